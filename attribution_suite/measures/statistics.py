"""Means, intervals, tests and effect sizes over seeds or splits: arrays `[..., seeds]`, vectorised over the rest.

Two of them are paired by seed. A NaN (a member that has no value) is refused with InputError: leave that member out
before asking.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from attribution_suite.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its interval, each `[...]`, in the units of the values."""

    mean: Floats
    low: Floats
    high: Floats


def student_mean(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over seeds `[..., seeds]` and Student's interval, mean ± t·s/√n with n − 1 degrees of freedom.

    It covers the mean of normal values in `level` of the samples, whatever their number; of skewed ones in fewer
    (lognormal, 5 seeds: 82 %). Raises InputError for fewer than 2 seeds.
    """
    data = _checked(values)
    seeds = data.shape[-1]
    mean = data.mean(-1)
    half = _quantile(level, seeds - 1) * data.std(-1, ddof=1) / np.sqrt(seeds)
    return Interval(mean, mean - half, mean + half)


def split_mean(values: ArrayLike, ratio: float, level: float = 0.95) -> Interval:
    """Mean over splits `[..., splits]` of the same rows, mean ± t·s·√(1/K + n_test/n_train), K − 1 degrees of freedom.

    Training parts of repeated splits overlap, so that their results are no independent draws: Student's variance s²/K
    is too small by about s²·n_test/n_train. `ratio`: test rows a training row. Nadeau & Bengio, Machine Learning 52
    (2003), 'corrected resampled t'. Raises InputError for fewer than 3 splits and a ratio that is not above 0.
    """
    data = _checked(values)
    mean, splits = data.mean(-1), data.shape[-1]
    half = _quantile(level, splits - 1) * data.std(-1, ddof=1) * _split_factor(splits, ratio)
    return Interval(mean, mean - half, mean + half)


def _split_factor(splits: int, ratio: float) -> float:
    """√(1/K + n_test/n_train): the standard error of a mean over splits, in their standard deviation."""
    if splits < 3:
        raise InputError(f"an interval over splits needs at least 3 of them, got {splits}: set option 'splits'")
    if not ratio > 0:
        raise InputError(f"an interval over splits needs n_test / n_train, which is above 0, got {ratio}")
    return float(np.sqrt(1 / splits + ratio))


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of a − b paired by seed, with the interval of `student_mean`."""
    return student_mean(_difference(a, b), level)


@cache
def _quantile(level: float, freedom: int) -> float:
    """t with `level` of Student's distribution within ± t."""
    return float(stats.t.ppf((1 + level) / 2, freedom))


def wilcoxon(a: ArrayLike, b: ArrayLike) -> Floats:
    """Two-sided p of the signed-rank test of a − b, `[..., seeds]` → `[...]`; 1 where all pairs are equal.

    scipy's: exact where it can be, zeros dropped. n seeds cannot give less than 2^(1 − n): 0.0625 for 5 seeds, so
    5 % needs at least 6, and more after Holm. Each comparison is tested alone, because scipy picks its method (exact
    or normal) once for all that it is given.
    """
    def test(pair: Floats) -> float:
        return float(stats.wilcoxon(pair).pvalue) if pair.any() else 1.0

    return np.apply_along_axis(test, -1, _difference(a, b))


def wilcoxon_holm(a: ArrayLike, b: ArrayLike) -> Floats:
    """`wilcoxon` for all comparisons `[comparisons, seeds]` → Holm-adjusted p `[comparisons]`."""
    return holm(wilcoxon(a, b))


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, ratio: float | None = None) -> Floats:
    """p of two one-sided paired t-tests (Schuirmann 1987): small if −margin < mean(a − b) < margin, `[...]`.

    t± = (d̄ ± margin) / (s / √n) with n − 1 degrees of freedom, p the larger of P(T > t₊) and P(T < t₋). Where all
    differences are equal there is no spread to test: p is 0 inside the margin, 1 elsewhere. `ratio`: n_test / n_train,
    where the pairs are splits of the same rows: s·√(1/K + ratio) in the place of s / √n, as in `split_mean`.
    """
    if not margin > 0:
        raise InputError(f"equivalence: the margin must be above 0, got {margin}")
    difference = _difference(a, b)
    mean, seeds = difference.mean(-1), difference.shape[-1]
    deviation = difference.std(-1, ddof=1)
    error = deviation / np.sqrt(seeds) if ratio is None else deviation * _split_factor(seeds, ratio)
    nearest = margin - np.abs(mean)  # distance to the nearer margin: the larger of the two p
    certain = np.where(nearest > 0, np.inf, -np.inf)
    t = np.divide(nearest, error, out=certain, where=error > 0)
    return np.asarray(stats.t.sf(t, seeds - 1))


def holm(p_values: ArrayLike) -> Floats:
    """Holm's (1979) step-down adjustment along the last axis: max over j ≤ i of (m − j + 1) p_(j), at most 1."""
    p = _probabilities(p_values)
    order = p.argsort(-1, kind="stable")
    weighted = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(weighted, -1), 1.0), -1)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Benjamini and Hochberg's (1995) adjustment along the last axis (false discovery rate)."""
    return np.asarray(stats.false_discovery_control(_probabilities(p_values), axis=-1))


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> Floats:
    """P(a > b) − P(a < b) of independent samples `[..., n]`, `[..., m]` → `[...]` in [−1, 1] (Cliff 1993).

    From ranks: 2U / (nm) − 1 with Mann-Whitney's U, ties counting half.
    """
    first, second = _checked(a, least=1), _checked(b, least=1)
    n, m = first.shape[-1], second.shape[-1]
    ranks = stats.rankdata(np.concatenate([first, second], -1), axis=-1)
    u = ranks[..., :n].sum(-1) - n * (n + 1) / 2
    delta: Floats = 2 * u / (n * m) - 1
    return delta


def cohens_d(a: ArrayLike, b: ArrayLike) -> Floats:
    """(mean a − mean b) / pooled standard deviation of independent samples `[..., n]`, `[..., m]` → `[...]`.

    Two constant samples: 0 if they are equal, ±inf if not.
    """
    first, second = _checked(a), _checked(b)
    n, m = first.shape[-1], second.shape[-1]
    pooled = np.sqrt(((n - 1) * first.var(-1, ddof=1) + (m - 1) * second.var(-1, ddof=1)) / (n + m - 2))
    constant = (np.ptp(first, -1) == 0) & (np.ptp(second, -1) == 0)
    difference = np.where(constant, first[..., 0] - second[..., 0], first.mean(-1) - second.mean(-1))
    unscaled = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.asarray(np.divide(difference, pooled, out=unscaled, where=~constant))


def _difference(a: ArrayLike, b: ArrayLike) -> Floats:
    first, second = _checked(a), _checked(b)
    if first.shape != second.shape:
        raise InputError(f"a paired comparison needs the same seeds on both sides, got shapes {first.shape} "
                         f"and {second.shape}")
    return first - second


def _checked(values: ArrayLike, least: int = 2) -> Floats:
    data = np.asarray(values, float)
    if data.ndim == 0 or data.shape[-1] < least:
        raise InputError(f"a statistic over seeds needs at least {least} of them; run with more seeds")
    if not np.isfinite(data).all():
        raise InputError(f"{int((~np.isfinite(data)).sum())} of {data.size} values are NaN or inf: leave out members "
                         "that have no value before a statistic")
    return data


def _probabilities(p_values: ArrayLike) -> Floats:
    p = _checked(p_values, least=1)
    if ((p < 0) | (p > 1)).any():
        raise InputError("p-values must lie between 0 and 1")
    return p
