"""Which units separate the classes (or follow the target): a test of every unit, corrected for their number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError
from attribution_suite.measures.statistics import benjamini_hochberg, cliffs_delta, cohens_d, holm

VALUES_AT_ONCE = 4_000_000  # numbers that are tested at once (8 bytes each)
LEVEL = 0.05
SHAPIRO_ROWS = 5_000  # scipy's p-value of Shapiro and Wilk's W holds up to here
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class UnitTests:
    """One test a unit, arrays `[members, units]`.

    `test`: 'welch', 'mann_whitney', 'anova', 'kruskal', 'spearman', or 'constant' (nothing to test: p 1, effect 0).
    `normality`: the smallest Shapiro p over the classes (regression: of all rows), NaN where one cannot be tested.
    `p`, `p_holm`, `p_bh`: two-sided, uncorrected, and adjusted for the units of the same member.
    `effect` in [−1, 1]: binary, Cliff's delta P(h₁ > h₀) − P(h₁ < h₀) of class 1 against class 0; more classes, the
    delta of the class that stands out most against all other rows, `effect_class` (its index; 1 for binary, −1 for
    regression); regression, Spearman's ρ with the target. `cohens_d`: class 1 against 0, NaN unless binary.
    `bimodality`: Sarle's coefficient in (0, 1], above 5/9 hints at two modes; NaN for a constant unit.
    """

    test: NDArray[np.str_]
    normality: Floats
    p: Floats
    p_holm: Floats
    p_bh: Floats
    effect: Floats
    effect_class: NDArray[np.int64]
    cohens_d: Floats
    bimodality: Floats

    @property
    def significant(self) -> NDArray[np.bool_]:
        """p < 0.05, uncorrected: the definition that masking follows."""
        return self.p < LEVEL

    def to_frame(self) -> pd.DataFrame:
        """One row a member and unit, the fields as columns, and `significant`, `significant_holm`, `significant_bh`."""
        members, units = self.p.shape
        fields = {name: np.ravel(values) for name, values in vars(self).items()}
        flags = {"significant": self.significant, "significant_holm": self.p_holm < LEVEL,
                 "significant_bh": self.p_bh < LEVEL}
        return pd.DataFrame({"member": np.repeat(np.arange(members), units), "unit": np.tile(np.arange(units), members),
                             **fields, **{name: np.ravel(flag) for name, flag in flags.items()}})


def unit_tests(values: ArrayLike, targets: ArrayLike, task: Task) -> UnitTests:
    """Tests units `[members, rows, units]` (activations or pre-activations) against labels `[rows]`.

    Binary: Shapiro p > 0.05 in both classes → Welch's t-test, else Mann-Whitney U (normal approximation with tie and
    continuity correction). More classes: normal in all → ANOVA, else Kruskal-Wallis. A class with fewer than 3 rows
    cannot be tested for normality and counts as not normal; of a class with more than 5,000 rows, 5,000 evenly spaced
    ones are tested. Regression: Spearman's ρ. Raises InputError where there is nothing to compare: one class only, a
    constant target, NaN or infinite values.
    """
    units, labels = _checked(values, targets, task)
    members, count, rows = units.shape
    flat = units.reshape(members * count, rows)
    step = max(1, VALUES_AT_ONCE // rows)
    test = _follow if task == "regression" else _separate
    parts = [test(flat[start:start + step], labels) for start in range(0, len(flat), step)]
    results = {name: np.concatenate([part[name] for part in parts]).reshape(members, count) for name in parts[0]}
    return UnitTests(**results, p_holm=holm(results["p"]), p_bh=benjamini_hochberg(results["p"]))


def _checked(values: ArrayLike, targets: ArrayLike, task: Task) -> tuple[Floats, NDArray[Any]]:
    """Units in front of rows, float64 `[members, units, rows]`, and the labels `[rows]`."""
    units, labels = np.asarray(values, float).swapaxes(1, 2), np.asarray(targets)
    if units.shape[2] != len(labels):
        raise InputError(f"{units.shape[2]} rows of units need as many labels, got {len(labels)}")
    if not np.isfinite(units).all() or not np.isfinite(labels).all():
        raise InputError("units and labels must be finite to be tested: check the network for NaN or infinite outputs")
    kinds = len(np.unique(labels))
    if kinds < 2 or (task == "binary" and kinds != 2):
        raise InputError(f"a test of units needs rows of {'two classes' if task == 'binary' else 'more than one label'}"
                         f", these have {kinds}: give more rows")
    return units, labels


def _separate(units: Floats, labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The tests of classes, units `[units, rows]`."""
    names = np.unique(labels)
    classes = [units[:, labels == name] for name in names]
    normality = np.stack([_shapiro(values) for values in classes]).min(0)  # min keeps NaN: not testable
    constant, normal = np.ptp(units, axis=1) == 0, normality > LEVEL
    pair = len(classes) == 2
    parametric, rank_based = ("welch", "mann_whitney") if pair else ("anova", "kruskal")
    p = np.ones(len(units))
    for chosen, test in ((normal & ~constant, parametric), (~normal & ~constant, rank_based)):
        if chosen.any():
            p[chosen] = _p_value(test, [values[chosen] for values in classes])
    deltas = np.stack([cliffs_delta(units[:, labels == name], units[:, labels != name]) for name in names])
    place = np.ones(len(units), int) if pair else np.abs(deltas).argmax(0)
    return {
        "test": np.select([constant, normal], ["constant", parametric], rank_based),
        "normality": normality, "p": p, "effect": np.take_along_axis(deltas, place[None], 0)[0],
        "effect_class": names[place].astype(np.int64),
        "cohens_d": _cohens_d(*classes[::-1]) if pair else np.full(len(units), np.nan),
        "bimodality": bimodality(units)}


def _p_value(test: str, classes: list[Floats]) -> Floats:
    if test == "welch":
        result = stats.ttest_ind(*classes, axis=1, equal_var=False)
    elif test == "mann_whitney":
        result = stats.mannwhitneyu(*classes, axis=1, method="asymptotic")
    else:
        result = stats.f_oneway(*classes, axis=1) if test == "anova" else stats.kruskal(*classes, axis=1)
    return np.asarray(result.pvalue)


def _follow(units: Floats, target: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The test of a regression's target, units `[units, rows]`: Spearman's ρ is Pearson's r of the ranks."""
    constant = np.ptp(units, axis=1) == 0
    p, effect = np.ones(len(units)), np.zeros(len(units))
    if not constant.all():
        ranks = stats.rankdata(units[~constant], axis=1)
        result = stats.pearsonr(ranks, np.broadcast_to(stats.rankdata(target), ranks.shape), axis=1)
        p[~constant], effect[~constant] = result.pvalue, result.statistic
    return {
        "test": np.where(constant, "constant", "spearman"), "normality": _shapiro(units), "p": p, "effect": effect,
        "effect_class": np.full(len(units), -1), "cohens_d": np.full(len(units), np.nan),
        "bimodality": bimodality(units)}


def _shapiro(values: Floats) -> Floats:
    """p of Shapiro and Wilk's W, `[units, rows]` → `[units]`; NaN for fewer than 3 rows or constant values."""
    p = np.full(len(values), np.nan)
    varied = np.ptp(values, axis=1) > 0
    if values.shape[1] >= 3 and varied.any():
        rows = np.linspace(0, values.shape[1] - 1, min(values.shape[1], SHAPIRO_ROWS)).astype(int)
        p[varied] = stats.shapiro(values[varied][:, rows], axis=1).pvalue
    return p


def _cohens_d(first: Floats, second: Floats) -> Floats:
    """Cohen's d; NaN where a class has one row, and so no spread."""
    if min(first.shape[1], second.shape[1]) < 2:
        return np.full(len(first), np.nan)
    return cohens_d(first, second)


def bimodality(values: Floats) -> Floats:
    """Sarle's coefficient (g₁² + 1) / (g₂ + 3(n − 1)² / ((n − 2)(n − 3))), `[units, rows]` → `[units]`.

    g₁, g₂: skewness and excess kurtosis, corrected for the sample's size (Pfister et al. 2013). 1/3 is a normal
    distribution, 5/9 a uniform one, 1 two points. NaN for a constant unit and for fewer than 4 rows.
    """
    coefficient, n = np.full(len(values), np.nan), values.shape[1]
    varied = np.ptp(values, axis=1) > 0
    if n >= 4 and varied.any():
        skew = stats.skew(values[varied], axis=1, bias=False)
        kurtosis = stats.kurtosis(values[varied], axis=1, bias=False)
        coefficient[varied] = (skew**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    return coefficient
