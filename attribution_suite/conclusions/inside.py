"""What a look inside found, in words: units, masking, rankings, and whether the weight history is an importance."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import MINUS, UNMEASURED, percent
from attribution_suite.conclusions.summary import seed_interval
from attribution_suite.conclusions.words import Finding, poor_words
from attribution_suite.datasets.table import DECOY
from attribution_suite.scorers import CONTROL
from attribution_suite.units.masking import RANDOM, TOGETHER, areas, summary

LABELS = {"units": "units", "masking": "masking", "ranking": "ranking", "cuts": "cuts", "history": "weight history"}
USABLE = 0.5  # the least rank correlation with other scorers, in the median
NOISE = 0.2  # the most of the features that may stand below the noise column
ENOUGH = 5
LITTLE = 0.01  # nats: normal distributions whose means are a seventh of a standard deviation apart
NEARLY_ALL = 0.95  # from here on the significant units are simply the units
Look = Mapping[str, pd.DataFrame]
PAIRS = (("significant", "as many as significant"), ("non-significant", "as many as non-significant"))


def measure_of(task: str) -> Literal["accuracy", "loss"]:
    """What masking is read by."""
    return "loss" if task == "regression" else "accuracy"


def headline(look: Look, task: str) -> str:
    """One sentence on a look inside where nothing was removed. `look`: the tables of a look inside one data set."""
    units, masking = look["units"], look["masking"]
    last = masking[masking.layer == masking.layer.max()]
    part = units[units.layer == units.layer.max()].significant.mean()
    if part == 0:
        return "No hidden unit separates the target by itself."
    if part >= NEARLY_ALL:
        return (f"{percent(part)} of the units of layer {last.layer.iloc[0]} separate the target by themselves: "
                "significance singles out none.")
    verb = _matter(pool_difference(last, measure_of(task), *PAIRS[0]), measure_of(task))
    if verb == UNMEASURED:
        return "Whether significant units matter more than random ones was not measured."
    return f"Significant units {verb} as many random ones (layer {last.layer.iloc[0]})."


def findings(look: Look, originals: pd.DataFrame, task: str, poor: Sequence[str] = ()) -> list[Finding]:
    """One finding a layer for units and masking, then the rankings and the weight history.

    `originals`: the attributions of the original networks' inputs, which the weight history is held against;
    `poor`: the scorers among them that are too poor to speak for the networks.
    """
    units, masking = look["units"], look["masking"]
    layers = sorted(units.layer.unique())
    text = " ".join(_units(layer, units[units.layer == layer]) for layer in layers)
    result = [Finding("units", (), text)]
    for layer in [*layers, *([TOGETHER] if (masking.layer == TOGETHER).any() else [])]:
        curves = masking[(masking.layer == layer) & (masking["fill"] == "zero")]
        result += [*_masking(layer, curves, measure_of(task)), *_ranking(layer, curves, measure_of(task))]
    return [*result, *_cuts(look["cuts"]), *_history(look, originals, poor)]


def pool_difference(curves: pd.DataFrame, measure: str, pool: str, control: str) -> tuple[float, float, float]:
    """The measure with most of a pool at zero minus that of its control: mean and 95 % interval over seeds.

    No interval (NaN) of fewer than `ENOUGH` seeds: it would be too wide to say anything.
    """
    last = curves[(curves["fill"] == "zero") & (curves.fraction == curves.fraction.max())]
    means = last.groupby(["selection", "seed"])[measure].mean()
    if pool not in means.index.get_level_values(0):
        return np.nan, np.nan, np.nan
    mean, low, high = seed_interval((means[pool] - means[control]).to_numpy())
    return (mean, low, high) if curves.seed.nunique() >= ENOUGH else (mean, np.nan, np.nan)


def _matter(difference: tuple[float, float, float], measure: str) -> str:
    """The verb of a pool against its control; 'not measured' where there is no difference to read."""
    if np.isnan(difference[0]):
        return UNMEASURED
    mean, low, high = difference if measure == "accuracy" else (-difference[0], -difference[2], -difference[1])
    if np.isnan(low):
        return "cost more than" if mean < 0 else "cost no more than"
    return "cost clearly more than" if high < 0 else "cost less than" if low > 0 else "cost no more than"


def _units(layer: int, units: pd.DataFrame) -> str:
    count, seeds = units.unit.nunique(), units.seed.nunique()
    states = units.state.value_counts() / seeds
    parts = [f"{states[name]:.1f} {name}" for name in ("dead", "always on", "never on") if states.get(name, 0) > 0]
    note = f" ({', '.join(parts)})" if parts else " (none dead)"
    return (f"Layer {layer}: {count} units{note}; {percent(units.significant.mean())} separate the target, "
            f"{percent(units.significant_holm.mean())} after Holm.")


def _masking(layer: int, curves: pd.DataFrame, measure: Literal["accuracy", "loss"]) -> list[Finding]:
    means = summary(curves.rename(columns={"seed": "member"}), measure).set_index(["selection", "fraction"])
    most = curves.fraction.max()
    parts = []
    masked = curves[curves.fraction == most].groupby("selection").units.mean()
    for pool, control in PAIRS:
        if masked[pool] < 1:  # an empty pool costs nothing, which says nothing
            continue
        of_pool, of_control = means.loc[(pool, most)], means.loc[(control, most)]
        verb = _matter(pool_difference(curves, measure, pool, control), measure)
        if verb == UNMEASURED:
            parts.append(f"{masked[pool]:.0f} {pool} units: {UNMEASURED}")
            continue
        parts.append(f"{masked[pool]:.0f} {pool} units {verb} as many random ones ({_shown(of_pool)} against "
                     f"{_shown(of_control)})")
    whose = "of every layer" if layer == TOGETHER else f"of layer {layer}"
    text = f"{percent(most)} of a pool {whose} at zero, {measure}: {'; '.join(parts)}."
    return [Finding("masking", (), text)] if parts else []


def _shown(row: pd.Series) -> str:
    interval = "" if np.isnan(row.low) else f", {row.low:.3g} to {row.high:.3g}"
    return f"{row['mean']:.3g}{interval}"


def _ranking(layer: int, curves: pd.DataFrame, measure: Literal["accuracy", "loss"]) -> list[Finding]:
    area = areas(curves.rename(columns={"seed": "member"}), measure)
    top = area[area.selection.str.startswith("top:")]
    if top.empty:
        return []
    order = top.sort_values("mean", ascending=measure == "accuracy", kind="stable")
    first, last = order.iloc[0], order.iloc[-1]
    random = area.set_index("selection").loc[RANDOM]
    falls = "falls" if measure == "accuracy" else "rises"
    worst = last.selection.removeprefix("top:")
    whose = "all layers together" if layer == TOGETHER else f"layer {layer}"
    text = (f"ranks units of {whose} best: {measure} {falls} first (mean over the curve {first['mean']:.3g}, "
            f"random {random['mean']:.3g}); last of {len(order)} is {worst}, {last['mean']:.3g}.")
    return [Finding("ranking", (first.selection.removeprefix("top:"),), text)]


def _cuts(cuts: pd.DataFrame) -> list[Finding]:
    """Which units of the first network move the next layer most when they are cut, each alone."""
    parts = []
    for layer, units in cuts[cuts.seed == 0].dropna(subset="kl").groupby("layer"):
        most: Any = next(units.nlargest(1, ["kl", "mean_shift"]).itertuples())
        size = f"KL {most.kl:.2g}" if np.isfinite(most.kl) else "a node is left constant"
        parts.append(f"unit {most.unit} of layer {layer} ({size}, means by {most.mean_shift:.2g} standard deviations; "
                     f"{percent((units.kl < LITTLE).mean())} of the layer's units: KL below {LITTLE:g})")
    return [Finding("cuts", (), f"cut alone, the next layer is moved most by {'; '.join(parts)}; first network.")
            ] if parts else []


def history_agreement(look: Look, originals: pd.DataFrame) -> pd.Series:
    """scorer → Spearman of its shares with those of weight_history over features, mean over networks; best first."""
    history = look["importances"].set_index(["seed", "feature"]).share
    inputs = originals[(originals.layer == 0) & originals.seed.isin(look["importances"].seed)]
    shares = inputs.pivot(index=["seed", "feature"], columns="scorer", values="share")
    if history.empty or shares.empty:
        return pd.Series(dtype=float)
    both = shares.drop(columns=CONTROL, errors="ignore").join(history.rename("weight_history"))
    ranks = both.groupby("seed").rank()
    each = ranks.groupby("seed").corr()["weight_history"].unstack().drop(columns="weight_history")
    return each.mean().dropna().sort_values(ascending=False, kind="stable")


def below_noise(shares: pd.DataFrame) -> float:
    """Of the features, the part with a smaller share than the noise column, mean over seeds; NaN without one."""
    table = shares.pivot(index="seed", columns="feature", values="share")
    if DECOY not in table:
        return np.nan
    return float(table.drop(columns=DECOY).lt(table[DECOY], axis=0).mean(axis=1).mean())


def _history(look: Look, originals: pd.DataFrame, poor: Sequence[str]) -> list[Finding]:
    agreement = history_agreement(look, originals)
    if agreement.empty:
        return []
    noise, middle = below_noise(look["importances"]), agreement.median()
    usable = middle >= USABLE and not noise > NOISE
    noisy = (" There is no noise column to compare it with." if np.isnan(noise) else
             f" It puts the noise column above {percent(noise)} of the features.")
    scorers = list(agreement.index)
    text = (f"is {'a' if usable else 'no'} usable importance here: rank correlation with {len(scorers)} "
            f"scorer{'s' if len(scorers) > 1 else ''} {_correlation(middle)} in the median, "
            f"{_correlation(agreement.iloc[-1])} ({scorers[-1]}) to {_correlation(agreement.iloc[0])} ({scorers[0]})."
            f"{poor_words([name for name in poor if name in scorers])}{noisy}")
    return [Finding("history", ("weight_history",), text)]


def _correlation(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)
