"""Statistics of what a probe recovers: r or AUC with standard error, limits, power, and the state that follows.

Both are computed on scores that are comparable within folds only, so with each fold's mean taken out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

FOUND, NONE_FOUND, NOT_DISTINGUISHED, NOT_MEASURED = "found", "none found", "not distinguished", "not measured"
ALPHA, LEAST_POWER, LEAST_ROWS = 0.05, 0.8, 100
ONE_SIDED = float(stats.norm.ppf(1 - ALPHA))
R2_MARGIN, AUC_MARGIN = 0.02, 0.07


@dataclass(frozen=True)
class Limits:
    """A measure of every network with its uncertainty over rows, `[members]` where not said otherwise.

    `value` with its one-sided 95 % limits `low` and `high`; `control`: the mean of the shuffled copies, `control_high`:
    their one-sided 95 % limit; `p`: (1 + how many copies reach the value) / (1 + copies). `power`: the probability of
    seeing the margin if it were there, NaN where none is stated. `state`: `FOUND` … `NOT_MEASURED`.
    """

    metric: str
    value: Floats
    low: Floats
    high: Floats
    control: Floats
    control_high: Floats
    p: Floats
    power: Floats
    rows: int
    state: tuple[str, ...]


def correlation(wanted: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """Pearson's r and its standard error, over the rows: `[…, rows, columns]` → two `[…, columns]`.

    The influence of a row on r, with a and b standardised, is ab − r(a² + b²) / 2; the error is its spread / √rows,
    which holds for any distribution with four moments (√(1 / rows) for independent normals). 0 for a constant.
    """
    a, b = _standard(wanted), _standard(predicted)
    r = (a * b).mean(-2)
    influence = a * b - r[..., None, :] * (a**2 + b**2) / 2
    rows = wanted.shape[-2]
    error = np.sqrt(np.square(influence).mean(-2) / rows)
    return r, np.where(b.any(-2), error, 1 / np.sqrt(rows))


def auc(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """The area under the ROC curve and its standard error (DeLong et al. 1988), two `[…, columns]`.

    From `[…, rows, columns]` by ranks, ties half: each positive's placement among the negatives and the other way
    round; the error is √(var(positives' placements) / positives + var(negatives') / negatives).
    """
    positive = np.broadcast_to(positive, scores.shape)
    count = positive.sum(-2)
    other = positive.shape[-2] - count
    both = stats.rankdata(scores, axis=-2)
    value: Floats = ((both * positive).sum(-2) - count * (count + 1) / 2) / (count * other)
    # Ranks within a class, of all rows at once: the other class is put above.
    apart = np.abs(scores).max() * 4 + 1
    of_positives = stats.rankdata(np.where(positive, scores, scores + apart), axis=-2)
    of_negatives = stats.rankdata(np.where(positive, scores + apart, scores), axis=-2)
    n, m = count[..., None, :], other[..., None, :]
    above, below = (both - of_positives) / m, 1 - (both - of_negatives) / n
    variance = [(np.square(placement - value[..., None, :]) * mask).sum(-2) / np.maximum(size - 1, 1) / size
                for placement, mask, size in ((above, positive, count), (below, ~positive, other))]
    return value, np.sqrt(sum(variance))


def quick_auc(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """The value of `auc` alone: `[…, rows, columns]` → `[…, columns]`."""
    count = positive.sum(-2)
    ranks = stats.rankdata(scores, axis=-2)
    above = (ranks * positive).sum(-2) - count * (count + 1) / 2
    return np.asarray(above / (count * (positive.shape[-2] - count)))


def equivalent_r2(margin: float | Floats, parts: Floats) -> Floats:
    """The R² of a class's indicator where scores of AUC 0.5 + `margin` are normal in both classes.

    With d = √2 Φ⁻¹(AUC) and π the class's `parts` of the rows, π(1 − π)d² / (1 + π(1 − π)d²); the mean over classes.
    `margin`: one, or `[…]`; `parts` `[classes]`.
    """
    apart = 2 * stats.norm.ppf(0.5 + np.asarray(margin)) ** 2
    between = np.multiply.outer(apart, parts * (1 - parts))
    return np.asarray((between / (1 + between)).mean(-1))


def upper_quantile(copies: Floats) -> Floats:
    """Of copies `[copies, …]`, what at most a part ALPHA reaches: the value above it has p ≤ ALPHA."""
    place = max(int(ALPHA * (len(copies) + 1)), 1)
    quantile: Floats = np.sort(copies, axis=0)[-place]
    return quantile


def permutation_p(value: Floats, copies: Floats) -> Floats:
    """(1 + copies that reach the value) / (1 + copies): `[members]` and `[copies, members]`.

    Sums in another order differ by rounding: a copy that is as large but for that has reached it.
    """
    p: Floats = (1 + (copies >= value - 1e-9 * np.abs(value)).sum(0)) / (1 + len(copies))
    return p


def states(low: Floats, high: Floats, chance: float, margin: float, power: Floats, rows: int) -> tuple[str, ...]:
    """The state of every network: found if its lower limit is above chance, whatever the power (a find is a find).

    Else it is not measured below 100 rows or below 80 % power; none found where the upper limit is below the margin.
    """
    enough = (power >= LEAST_POWER) & (rows >= LEAST_ROWS)
    return tuple(np.select([low > chance, ~enough, high < margin], [FOUND, NOT_MEASURED, NONE_FOUND],
                           NOT_DISTINGUISHED).tolist())


def _standard(values: Floats) -> Floats:
    centred = values - values.mean(-2, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(-2, keepdims=True))
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12))
