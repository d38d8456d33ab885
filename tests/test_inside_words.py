"""The sentences on a look inside, on both sides of every threshold and where a number is missing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from attribution_suite.conclusions.inside import below_noise, findings, headline, history_agreement, pool_difference

POOLS = ("significant", "as many as significant", "non-significant", "as many as non-significant", "random")
PAIR = POOLS[:2]


def units(significant: Sequence[bool], seeds: int = 5, layer: int = 1, state: str = "mixed") -> pd.DataFrame:
    return pd.DataFrame([{
        "seed": seed, "layer": layer, "unit": unit, "state": state, "significant": chosen,
        "significant_holm": chosen and unit == 0} for seed in range(seeds) for unit, chosen in enumerate(significant)])


def masking(difference: float, seeds: int = 5, layer: int = 1, spread: float = 0.01, measure: str = "accuracy",
            masked: int = 7) -> pd.DataFrame:
    """With most of a pool at zero its measure is `difference` above its control's; other fractions are all alike."""
    rows = []
    for seed in range(seeds):
        for selection in POOLS:
            for fraction in (0.0, 0.5, 0.9):
                moved = difference + spread * (seed - 2) if selection in ("significant", "non-significant") else 0.0
                value = 0.5 + (moved if fraction == 0.9 else 0.0)
                rows.append({"seed": seed, "layer": layer, "fill": "zero", "selection": selection, "repeat": 0,
                             "fraction": fraction, "units": masked, "accuracy": np.nan, "loss": np.nan,
                             measure: value})
    return pd.DataFrame(rows)


NO_CUTS = pd.DataFrame(columns=["seed", "layer", "unit", "kl", "mean_shift"])


def look(units_: pd.DataFrame, curves: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"units": units_, "masking": curves, "importances": pd.DataFrame(columns=["seed", "feature", "share"]),
            "cuts": NO_CUTS}


NONE = pd.DataFrame(columns=["layer", "seed", "feature", "scorer", "share"])


@pytest.mark.parametrize(("significant", "words"), [
    (0, "No hidden unit separates the target by itself."),
    (1, "Significant units cost clearly more than as many random ones (layer 1)."),
    (18, "Significant units cost clearly more than as many random ones (layer 1)."),
    (19, "95 % of the units of layer 1 separate the target by themselves: significance singles out none."),
    (20, "100 % of the units of layer 1 separate the target by themselves: significance singles out none."),
])
def test_the_headline_by_how_many_units_are_significant(significant: int, words: str) -> None:
    assert headline(look(units([k < significant for k in range(20)]), masking(-0.2)), "binary") == words


@pytest.mark.parametrize(("task", "measure", "seeds", "difference", "verb"), [
    ("binary", "accuracy", 5, -0.03, "cost clearly more than"),  # the interval leaves out zero
    ("binary", "accuracy", 5, -0.005, "cost no more than"),
    ("binary", "accuracy", 5, 0.005, "cost no more than"),
    ("binary", "accuracy", 5, 0.03, "cost less than"),
    ("binary", "accuracy", 4, -0.03, "cost more than"),  # too few networks for an interval
    ("binary", "accuracy", 4, 0.03, "cost no more than"),
    ("regression", "loss", 5, 0.03, "cost clearly more than"),
    ("regression", "loss", 5, -0.03, "cost less than"),
    ("regression", "loss", 5, 0.005, "cost no more than"),
    ("regression", "loss", 4, 0.03, "cost more than"),
    ("regression", "loss", 4, -0.03, "cost no more than"),
])
def test_the_verb_by_the_difference_and_its_interval(task: str, measure: str, seeds: int, difference: float,
                                                     verb: str) -> None:
    found = look(units([True, False], seeds), masking(difference, seeds, measure=measure))
    assert headline(found, task) == f"Significant units {verb} as many random ones (layer 1)."
    sentence = next(one for one in findings(found, NONE, task) if one.kind == "masking").text
    assert sentence.startswith(
        f"90 % of a pool of layer 1 at zero, {measure}: 7 significant units {verb} as many random ones")
    assert f"7 non-significant units {verb} as many random ones" in sentence
    value = 0.5 + difference + 0.01 * (np.arange(seeds) - 2).mean()
    assert f"as many random ones ({value:.3g}, " in sentence and " against 0.5, 0.5 to 0.5)" in sentence


def test_the_difference_is_paired_by_network_and_of_the_largest_fraction() -> None:
    mean, low, high = pool_difference(masking(-0.03), "accuracy", *PAIR)
    assert mean == pytest.approx(-0.03) and -0.05 <= low < mean < high <= -0.01
    assert np.isnan(pool_difference(masking(-0.03, 4), "accuracy", *PAIR)[1:]).all()
    curves = masking(-0.03)
    mixed = pd.concat([curves, curves.assign(fill="mean", accuracy=0.9)])  # means are another figure
    assert pool_difference(mixed, "accuracy", *PAIR)[0] == pytest.approx(-0.03)


def test_the_last_layer_has_the_headline() -> None:
    both = look(pd.concat([units([True, False]), units([True, True, False], layer=2)]),
                pd.concat([masking(-0.2), masking(0.2, layer=2)]))
    assert headline(both, "binary") == "Significant units cost less than as many random ones (layer 2)."
    text = findings(both, NONE, "binary")[0].text
    assert text == ("Layer 1: 2 units (none dead); 50 % separate the target, 50 % after Holm. "
                    "Layer 2: 3 units (none dead); 67 % separate the target, 33 % after Holm.")


@pytest.mark.parametrize("state", ["dead", "always on", "never on"])
def test_units_that_do_nothing_are_counted_per_network(state: str) -> None:
    own = units([True, False, False])
    own.loc[(own.unit == 0) | ((own.unit == 1) & (own.seed < 2)), "state"] = state
    assert findings(look(own, masking(0.0)), NONE, "binary")[0].text.startswith(f"Layer 1: 3 units (1.4 {state}); 33 %")


def test_what_was_not_measured_is_said() -> None:
    """Accuracy that is NaN, and a pool that is not there."""
    lost = masking(-0.2).assign(accuracy=np.nan)
    assert headline(look(units([True, False]), lost), "binary") == (
        "Whether significant units matter more than random ones was not measured.")
    text = next(one for one in findings(look(units([True, False]), lost), NONE, "binary") if one.kind == "masking").text
    assert "7 significant units: not measured; 7 non-significant units: not measured" in text
    absent = masking(-0.2).query("selection != 'significant'")
    assert np.isnan(pool_difference(absent, "accuracy", *PAIR)).all()
    empty = findings(look(units([True, False]), masking(-0.2, masked=0)), NONE, "binary")
    assert not [one for one in empty if one.kind == "masking"]  # an empty pool costs nothing, which says nothing


def test_all_layers_together_are_called_so() -> None:
    ranked = masking(0.0, layer=0).query("selection == 'random'").assign(selection="top:x")
    both = pd.concat([masking(-0.2), masking(-0.3, layer=0), ranked])
    texts = [one.text for one in findings(look(units([True, False]), both), NONE, "binary")]
    assert texts[1].startswith("90 % of a pool of layer 1 at zero") and "(0.3, " in texts[1]
    assert texts[2].startswith("90 % of a pool of every layer at zero") and "(0.2, " in texts[2]
    assert texts[3].startswith("ranks units of all layers together best") and len(texts) == 4
    assert headline(look(units([True, False]), both), "binary").endswith("(layer 1).")


def test_the_unit_that_moves_the_next_layer_most() -> None:
    """Of the first network, each layer by itself; a node that is left constant is said, and NaN is no unit's."""
    rows = [(0, 1, 0, 0.001, 0.5), (0, 1, 1, 0.3, 0.25), (0, 1, 2, 0.009, 3.0), (0, 1, 3, np.nan, np.nan),
            (0, 2, 0, np.inf, 1.5), (0, 2, 1, 0.2, 2.0), (1, 1, 0, 9.0, 9.0)]
    table = pd.DataFrame(rows, columns=NO_CUTS.columns)
    found = findings({**look(units([True, False]), masking(0.0)), "cuts": table}, NONE, "binary")[-1]
    assert (found.kind, found.text) == ("cuts", (
        "cut alone, the next layer is moved most by unit 1 of layer 1 (KL 0.3, means by 0.25 standard deviations; 67 % "
        "of the layer's units: KL below 0.01); unit 0 of layer 2 (a node is left constant, means by 1.5 standard "
        "deviations; 0 % of the layer's units: KL below 0.01); first network."))


@pytest.mark.parametrize(("task", "measure", "best", "falls"), [
    ("binary", "accuracy", "low", "falls"), ("regression", "loss", "high", "rises")])
def test_the_best_ranking_is_the_one_that_costs_first(task: str, measure: str, best: str, falls: str) -> None:
    curves = [masking(0.0, measure=measure)]
    for name, value in (("low", 0.2), ("high", 0.8), ("middle", 0.6)):
        own = curves[0][curves[0].selection == "random"]
        curves.append(own.assign(selection=f"top:{name}", **{measure: value}))
    tables = look(units([True, False]), pd.concat(curves))
    found = [one for one in findings(tables, NONE, task) if one.kind == "ranking"]
    values, last = {"low": 0.2, "high": 0.8}, {"low": "high", "high": "low"}[best]
    assert [one.methods for one in found] == [(best,)]
    assert found[0].text == (f"ranks units of layer 1 best: {measure} {falls} first (mean over the curve "
                             f"{values[best]}, random 0.5); last of 3 is {last}, {values[last]}.")


FEATURES = ["a", "b", "c", "d", "decoy"]


def importances(shares: Sequence[float], seeds: int = 2) -> pd.DataFrame:
    return pd.DataFrame([{"seed": seed, "feature": feature, "share": share} for seed in range(seeds)
                         for feature, share in zip(FEATURES, shares, strict=True)])


def originals(**shares: Sequence[float]) -> pd.DataFrame:
    return pd.concat([importances(values).assign(scorer=scorer, layer=0) for scorer, values in shares.items()])


RISING, NEARLY, FALLING = (5, 4, 3, 2, 1), (4, 5, 3, 2, 1), (1, 2, 3, 4, 5)  # ρ with RISING: 1, 0.9, −1


def history_text(shares: Sequence[float], **scorers: Sequence[float]) -> str:
    tables = {**look(units([True, False]), masking(0.0)), "importances": importances(shares)}
    return next(one for one in findings(tables, originals(**scorers), "binary") if one.kind == "history").text


def test_agreement_with_the_history_is_spearmans() -> None:
    tables = {"importances": importances(RISING)}
    found = history_agreement(tables, originals(x=NEARLY, y=FALLING, random=RISING, lost=[np.nan] * 5))
    assert dict(found) == pytest.approx({"x": 0.9, "y": -1.0}) and list(found.index) == ["x", "y"]
    hidden = originals(x=NEARLY).assign(layer=1)
    assert history_agreement(tables, hidden).empty


@pytest.mark.parametrize(("middle", "a"), [((1, 3, 2, 5, 4)[::-1], "a"), ((1, 5, 3, 2, 4)[::-1], "no")])
def test_the_history_is_usable_from_one_half_of_agreement_on(middle: Sequence[float], a: str) -> None:
    rank = pd.Series(middle).corr(pd.Series(RISING), method="spearman")
    assert (rank >= 0.5) == (a == "a")
    text = history_text(RISING, x=middle)
    assert text == (f"is {a} usable importance here: rank correlation with 1 scorer {rank:.2f} in the median, "
                    f"{rank:.2f} (x) to {rank:.2f} (x). It puts the noise column above 0 % of the features.")


def test_scorers_that_are_too_poor_to_speak_are_named_in_the_agreement() -> None:
    tables = {**look(units([True]), masking(0.0)), "importances": importances(RISING)}
    text = findings(tables, originals(x=RISING, y=NEARLY), "binary", ["y", "z"])[-1].text
    assert "1.00 (x). Too poor to speak for the networks (R² to them below 0.8): y. It puts the noise" in text
    assert "poor" not in findings(tables, originals(x=RISING), "binary", ["y"])[-1].text


def test_the_median_decides() -> None:
    half = (4, 5, 1, 2, 3)  # ρ 0.5
    assert history_text(RISING, x=half).startswith("is a usable importance here: rank correlation with 1 scorer 0.50")
    assert history_text(RISING, x=NEARLY, y=half, z=FALLING).startswith(
        "is a usable importance here: rank correlation with 3 scorers 0.50 in the median, −1.00 (z) to 0.90 (x).")
    assert history_text(RISING, x=NEARLY, y=FALLING, z=FALLING).startswith(
        "is no usable importance here: rank correlation with 3 scorers −1.00 in the median, −1.00 (")


@pytest.mark.parametrize(("above", "a", "part"), [(0, "a", "0 %"), (1, "no", "25 %"), (2, "no", "50 %")])
def test_noise_above_a_fifth_of_the_features_is_too_much(above: int, a: str, part: str) -> None:
    shares = [5, 4, 3, 2, 1 + above + 0.5 * (above > 0)]
    assert below_noise(importances(shares)) == above / 4
    text = history_text(shares, x=shares)
    assert text.startswith(f"is {a} usable importance") and text.endswith(f"noise column above {part} of the features.")


def test_without_a_noise_column_it_is_said() -> None:
    tables = {**look(units([True]), masking(0.0)), "importances": importances(RISING).query("feature != 'decoy'")}
    assert np.isnan(below_noise(tables["importances"]))
    text = next(one for one in findings(tables, originals(x=RISING), "binary") if one.kind == "history").text
    assert text.startswith("is a usable importance") and text.endswith("There is no noise column to compare it with.")
