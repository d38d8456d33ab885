"""Pure functions on arrays: what an audit says of losses, shifts, dependence, agreement and their uncertainty.

`MEASURES` is the catalogue that the command line lists: a measure's name, what it says, and where it is found.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Measure(NamedTuple):
    """What a measure says, in one line, and its `places`: a table's column (`outcomes.flip_rate`), a function, or both.

    A function is named in full, as it is imported.
    """

    meaning: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.meaning} [{', '.join(self.places)}]"


def _in(table: str, meanings: Mapping[str, str]) -> dict[str, Measure]:
    """Columns of a table."""
    return {name: Measure(meaning, (f"{table}.{name}",)) for name, meaning in meanings.items()}


def _by(module: str, meanings: Mapping[str, str], column: str | None = None) -> dict[str, Measure]:
    """Functions of a module here, whose values `column` of a table holds too."""
    also = () if column is None else (column,)
    return {name: Measure(meaning, (*also, f"{__name__}.{module}.{name}")) for name, meaning in meanings.items()}


def _by_outcome(module: str, meanings: Mapping[str, str]) -> dict[str, Measure]:
    """Functions of a module here, each with a column of its name in `outcomes`."""
    return {name: measure for key, meaning in meanings.items()
            for name, measure in _by(module, {key: meaning}, f"outcomes.{key}").items()}


MEASURES: Mapping[str, Measure] = {
    **_in("outcomes", {
        "loss_native": "test loss after the removal, on native data (mse, binary or multi-class cross entropy)",
        "loss_mean_filled": "test loss after the removal, the removed feature at its training mean",
        "loss_shuffled": "test loss after the removal, the removed feature permuted",
        "direct_effect": "mean abs(f(x) - f(x with x_j replaced)) of the explained output; 0 is gone",
        "flip_rate": "share of rows whose predicted class changes when x_j is replaced",
        "cost_ratio": "(L' - L) / (L_retrain - L): what the removal costs, against retraining without the feature",
    }),
    **_by("nulls", {
        "null_p": "how often one of a feature's phantoms scores as much as the feature: p, by choices within networks",
        "above_null": "is a scorer's score of a feature above what it says of phantoms? p at most 1/20",
    }),
    **_in("outcomes", {
        "training_loss": "the task's loss on training rows, native data",
    }),
    **_by_outcome("performance", {
        "r2": "1 - squared error / squared deviation from the test rows' mean (regression)",
        "rmse": "root mean squared error in the target's own units (regression)",
        "accuracy": "share of test rows whose class is predicted",
        "auc": "area under the ROC curve; of several classes the mean of each against the others",
        "log_loss": "mean -log of the probability of the true class",
        "kappa": "Cohen's kappa, quadratic for ordered classes",
    }),
    **_by("learned", {
        "learned": "does a network beat the best constant in loss, or chance in AUC or kappa? One-sided, Holm, 5 %",
    }, "outcomes.learned"),
    **_by("worst_case.measure", {
        "worst_case": "max abs(f(x) - f(x with x_j moved)) over rows and what training has shown of x_j, and its bound",
    }),
    **_in("attributions", {
        "signed_share": "mean phi of a feature over the sum of all features' abs(mean phi): which way it moves f",
    }),
    **_in("shifts", {
        "target_shift": "share after / share before - 1 of the removed feature; -1 is gone, 0 unchanged",
        "proxy_mass": "how much of the share that others gained went to features that predict the removed one",
        "dependence_correlation": "Spearman of the others' change of share with their dependence on the removed one",
        "total_variation": "half the L1 distance of the shares to those of retraining without the feature",
        "largest_gainer": "the feature whose share grew most, and by how much",
    }),
    **_by("agreement", {  # in the column `value`, where `metric` is the name
        "feature_agreement": "share of the top k features that two scorers have in common",
        "rank_agreement": "share of the top k features that two scorers have at the same rank",
        "sign_agreement": "share of the top k features that two scorers have in common with the same sign",
        "signed_rank_agreement":
            "share of the top k features that two scorers have at the same rank with the same sign",
        "rank_correlation": "Spearman of two scorers' rankings of all features by magnitude",
        "pairwise_rank_agreement": "share of all pairs of features that two scorers put in the same order",
    }, "agreement.value"),
    **_by("explanations", {  # in the column `value`, where `measure` is the name
        "infidelity": "how far phi of a set of features is from what f does without them; 1 is that of phi = 0",
        "infidelity_normalised": "the same after the best factor for each row, for scorers in other units",
        "sensitivity_max": "largest relative change of phi when the inputs move a little",
    }, "metrics.value"),
    **_by("explanations", {
        "unchanged": "does a scorer rank the features alike when all weights are random?",
    }, "randomisation.unchanged"),
    **_in("outcomes", {
        "recoverability": "R2 of a ridge probe for a removed unit from what the next layer is given",
    }),
    **_by("information.linear", {
        "dependence": "R2 of every feature regressed on another one, or on several together",
    }),
    **_by("information.probes", {
        "ridge_probe": "R2 or AUC of x_j from a layer or the output, cross-fitted, with limits, null and power",
        "boosted_probe": "the same by gradient boosting, which reads what bends",
    }, "information.value"),
    **_by("information.dependence", {
        "dependence_test": "squared distance correlation of the output and x_j, also given the target, with limits",
    }, "information.value"),
    **_by("information.conditional", {
        "generalised_covariance": "dependence of the output and x_j given named columns (GCM)",
    }, "information.value"),
    **_by("information.rates", {
        "group_rates": "rate of the favourable class per group, impact ratio, equalised-odds difference",
    }, "information.value"),
    **_in("proxies", {
        "r2_added": "by how much a feature, taken in the order of what each adds, raises R2 of the removed one",
        "part": "what the probe of the removed feature from the output loses when a proxy is permuted",
    }),
    **_by("statistics", {
        "student_mean": "mean over seeds with a 95 % interval (Student's t)",
        "split_mean": "mean over repeated splits with a 95 % interval (Nadeau and Bengio's)",
        "paired_difference": "mean difference paired by seed with a 95 % interval (Student's t)",
        "wilcoxon_holm": "signed-rank tests paired by seed, Holm-adjusted",
        "equivalence": "two one-sided paired t-tests: is the difference within a margin?",
        "cliffs_delta": "P(a > b) - P(a < b) of two samples",
    }),
    **_by("statistics", {"cohens_d": "difference of two means over their pooled standard deviation"}, "units.cohens_d"),
}
