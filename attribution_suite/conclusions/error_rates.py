"""How often intervals and scorers err, as measured where the truth is known: what the page prints beside them.

Source: `benchmarks/verdicts.py`, whose tables are in docs/methods.md, 'Error rates, measured'. Nothing here is computed
in a run: the numbers are those of planted networks and simulated tables, and a user's may be others.
"""

from collections.abc import Mapping

from attribution_suite.conclusions.numbers import listed

MEASURED = "2026-11-22"

# Quantity → networks → how often Student's 95 % interval over them holds the mean of 400 networks on the same split.
OVER_NETWORKS: Mapping[str, Mapping[int, float]] = {
    "change of the test loss, fold": {5: 0.953, 10: 0.949},
    "change of the test loss, stochastic_tuning": {5: 0.949, 10: 0.947},
    "its cost net of the sham": {5: 0.950, 10: 0.948},
    "part of the mean direct effect left": {5: 0.952, 10: 0.952},
    "share of x_j left (integrated gradients)": {5: 0.925, 10: 0.939},
}

# Quantity → splits → how often Nadeau and Bengio's 95 % interval over them holds the mean over tables, of least squares
# on simulated tables of 200 rows, 140 for training and 30 for testing.
OVER_SPLITS: Mapping[str, Mapping[int, float]] = {
    "test loss": {3: 0.905, 5: 0.900, 10: 0.896},
    "its rise without x_j": {3: 0.938, 5: 0.927, 10: 0.933},
}

# Scorer → part of planted networks in which it sees a column that the output does not depend on, and in which it does
# not see one that it depends on.
SCORERS: Mapping[str, tuple[float, float]] = {
    "gradient_weight": (0.33, 0.0), "lrp": (0.33, 0.20), "lrp_epsilon": (0.0, 0.20),
    "integrated_gradients": (0.0, 0.20), "smooth_integrated_gradients": (0.0, 0.17), "deep_lift": (0.0, 0.20),
    "gradient_shap": (0.0, 0.16), "input_x_gradient": (0.0, 0.20), "saliency": (0.0, 0.20),
    "feature_ablation": (0.33, 0.20), "permutation": (0.27, 0.20), "lime": (0.08, 0.76),
    "xgboost_gain_surrogate": (0.0, 0.0), "xgboost_shap_surrogate": (0.0, 0.0), "weights": (0.33, 0.0),
    "random": (0.07, 0.96),
}


def coverage_words(networks: int, splits: int) -> str:
    """How often intervals over so many networks, or splits, held what they should; '' of one network, which has none.

    Where that number was not measured the sentence says so, and gives those that were.
    """
    if networks == 1:
        return ""
    table, count, unit = (OVER_NETWORKS, networks, "networks") if splits == 1 else (OVER_SPLITS, splits, "splits")
    known = sorted(next(iter(table.values())))
    counts = [count] if count in known else known
    missing = "" if count in known else f" ({count} were not measured)"
    rates = [f"{quantity} {listed([f'{100 * row[many]:.1f}' for many in counts], 'and')} %"
             for quantity, row in table.items()]
    asked = f"{listed(list(map(str, counts)), 'and')} {unit}{missing}"
    return f"How often a 95 % interval of {asked} held what it should, where that is known: {'; '.join(rates)}."
