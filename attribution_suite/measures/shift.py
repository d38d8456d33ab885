"""Where did the influence go? Shares `[members, features]` before and after each member lost feature `removed[member]`.

A member whose shares are NaN (a network that ignores all its inputs has none) has NaN in every measure, −1 as gainer.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from attribution_suite.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]


def target_shift(share_before: ArrayLike, share_after: ArrayLike) -> Floats:
    """share_after / share_before − 1, `[members]`: −1 is gone, 0 unchanged, 1 doubled; NaN if share_before is 0."""
    before, after = np.asarray(share_before, float), np.asarray(share_after, float)
    unknown = np.full(np.broadcast(before, after).shape, np.nan)
    ratio: Floats = np.divide(after, before, out=unknown, where=before != 0)
    return ratio - 1


def redistribution(before: ArrayLike, after: ArrayLike, removed: ArrayLike) -> tuple[Floats, Indices]:
    """Δs_k = after − before of every feature k ≠ removed, and which feature each is: both `[members, features − 1]`."""
    change = np.asarray(after, float) - np.asarray(before, float)
    others = _others(np.asarray(removed), change)
    return np.take_along_axis(change, others, 1), others


def proxy_mass(before: ArrayLike, after: ArrayLike, removed: ArrayLike, dependence: ArrayLike) -> Floats:
    """Σ[Δs_k]₊ R²_kj / Σ[Δs_k]₊ over k ≠ j, `[members]` in [0, 1]; NaN if no other feature gained.

    `dependence` `[features, features]`: [k, j] is R² of feature k regressed on feature j; `[members, features,
    features]` where members differ (the units of a hidden layer).
    """
    change, others = redistribution(before, after, removed)
    gains = np.maximum(change, 0)
    total = gains.sum(1)
    through = (gains * _on_removed(dependence, others, removed)).sum(1)
    share: Floats = np.divide(through, total, out=np.full(len(total), np.nan), where=total > 0)
    return share


def dependence_correlation(before: ArrayLike, after: ArrayLike, removed: ArrayLike, dependence: ArrayLike) -> Floats:
    """Spearman of Δs_k with R²_kj over k ≠ j, `[members]` in [−1, 1]; NaN if either is constant (it has no ranking)."""
    change, others = redistribution(before, after, removed)
    return _spearman(change, _on_removed(dependence, others, removed))


def total_variation(shares: ArrayLike, reference: ArrayLike) -> Floats:
    """½ Σ_k |s_k − reference_k|, `[members]` in [0, 1]; 0 is where the reference (retraining) ends."""
    distance: Floats = np.abs(np.asarray(shares, float) - np.asarray(reference, float)).sum(-1)
    return 0.5 * distance


def largest_gainer(before: ArrayLike, after: ArrayLike, removed: ArrayLike) -> tuple[Indices, Floats]:
    """The other feature whose share grew most (the first of equal ones; −1 if unknown) and its Δs, both `[members]`.

    The gain is negative if every other feature lost. Raises InputError where there is no other feature.
    """
    change, others = redistribution(before, after, removed)
    if change.shape[1] == 0:
        raise InputError("the removed feature is the only one: no other could gain; add a feature or the decoy")
    best = change.argmax(1)[:, None]  # the first NaN, if there is one
    gain = np.take_along_axis(change, best, 1)[:, 0]
    gainer = np.take_along_axis(others, best, 1)[:, 0]
    return np.where(np.isnan(gain), -1, gainer), gain


def shift(before: ArrayLike, after: ArrayLike, retrained: ArrayLike, removed: ArrayLike,
          dependence: ArrayLike) -> dict[str, Floats | Indices]:
    """The columns of the table 'shifts', each `[members]`; `largest_gainer` is the feature's index.

    `before`, `after` and `retrained` are shares `[members, features]`, `removed` indices `[members]`, `dependence`
    `[features, features]`, or one a member.
    """
    old, new, target = np.asarray(before, float), np.asarray(after, float), np.asarray(removed)
    share_before, share_after = (np.take_along_axis(shares, target[:, None], 1)[:, 0] for shares in (old, new))
    gainer, gain = largest_gainer(old, new, target)
    return {
        "share_before": share_before,
        "share_after": share_after,
        "target_shift": target_shift(share_before, share_after),
        "proxy_mass": proxy_mass(old, new, target, dependence),
        "dependence_correlation": dependence_correlation(old, new, target, dependence),
        "total_variation": total_variation(new, retrained),
        "largest_gainer": gainer,
        "largest_gain": gain,
    }


def _others(removed: Indices, shares: Floats) -> Indices:
    """The features but `removed`, in order, `[members, features − 1]`."""
    members, features = shares.shape
    if removed.shape != (members,) or (removed < 0).any() or (removed >= features).any():
        raise InputError(f"`removed` needs one index of {features} features for each of {members} members")
    kept = np.arange(features - 1)
    return kept + (kept >= removed[:, None])


def _on_removed(dependence: ArrayLike, others: Indices, removed: ArrayLike) -> Floats:
    """R² of each of `others` on the removed feature, `[members, others]`."""
    matrix = np.asarray(dependence, float)
    if not np.isfinite(matrix).all():
        raise InputError("the dependence matrix must be finite; `information.linear.dependence` makes one")
    target = np.asarray(removed)[:, None]
    on_removed: Floats = (matrix[others, target] if matrix.ndim == 2
                          else matrix[np.arange(len(others))[:, None], others, target])
    return on_removed


def _spearman(a: Floats, b: Floats) -> Floats:
    """Pearson's correlation of average ranks along the last axis; NaN if either is constant or not a number."""
    known = ~(np.isnan(a).any(-1) | np.isnan(b).any(-1))
    middle = (a.shape[-1] + 1) / 2  # the mean of average ranks, exactly
    ranks_a, ranks_b = (rankdata(values, axis=-1, nan_policy="propagate") - middle for values in (a, b))
    scale = np.sqrt((ranks_a**2).sum(-1) * (ranks_b**2).sum(-1))
    unknown, product = np.full(scale.shape, np.nan), (ranks_a * ranks_b).sum(-1)
    correlation: Floats = np.divide(product, scale, out=unknown, where=known & (scale > 0))
    return correlation
