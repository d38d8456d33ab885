"""Where did the influence go? Shares `[members, features]` before and after each member lost some of its features.

`removed` `[members, features]` (bool) says which: j stands for one feature, or for several that went together, whose
share is the sum of theirs. `dependence` `[members, features]` holds R²_kj, of feature k regressed on all of j.
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


def signed_shares(signed: ArrayLike) -> Floats:
    """signed_k / Σ_k |signed_k| over the last axis, in [−1, 1]: NaN where all are zero, or where one has no sign."""
    means = np.asarray(signed, float)
    total = np.abs(means).sum(-1, keepdims=True)
    shares: Floats = np.divide(means, total, out=np.full(means.shape, np.nan), where=total > 0)
    return shares


def removed_share(shares: ArrayLike, removed: ArrayLike) -> Floats:
    """What each member's removed features have together, `[members]`."""
    values = np.asarray(shares, float)
    together: Floats = np.where(_mask(removed, values), values, 0).sum(1)
    return together


def redistribution(before: ArrayLike, after: ArrayLike, removed: ArrayLike) -> Floats:
    """Δs_k = after − before of every feature k not in j, `[members, features]`; 0 at those in j."""
    change = np.asarray(after, float) - np.asarray(before, float)
    return np.where(_mask(removed, change), 0.0, change)


def proxy_mass(before: ArrayLike, after: ArrayLike, removed: ArrayLike, dependence: ArrayLike) -> Floats:
    """Σ[Δs_k]₊ R²_kj / Σ[Δs_k]₊ over k not in j, `[members]` in [0, 1]; NaN if no other feature gained."""
    gains = np.maximum(redistribution(before, after, removed), 0)
    total = gains.sum(1)
    through = (gains * _on_removed(dependence, gains)).sum(1)
    share: Floats = np.divide(through, total, out=np.full(len(total), np.nan), where=total > 0)
    return share


def dependence_correlation(before: ArrayLike, after: ArrayLike, removed: ArrayLike, dependence: ArrayLike) -> Floats:
    """Spearman of Δs_k with R²_kj over k not in j, `[members]` in [−1, 1]; NaN if either is constant (no ranking)."""
    change = redistribution(before, after, removed)
    return _spearman(change, _on_removed(dependence, change), ~_mask(removed, change))


def total_variation(shares: ArrayLike, reference: ArrayLike) -> Floats:
    """½ Σ_k |s_k − reference_k|, `[members]` in [0, 1]; 0 is where the reference (retraining) ends."""
    distance: Floats = np.abs(np.asarray(shares, float) - np.asarray(reference, float)).sum(-1)
    return 0.5 * distance


def largest_gainer(before: ArrayLike, after: ArrayLike, removed: ArrayLike) -> tuple[Indices, Floats]:
    """The other feature whose share grew most (the first of equal ones; −1 if unknown) and its Δs, both `[members]`.

    The gain is negative if every other feature lost. Raises InputError where there is no other feature.
    """
    change = redistribution(before, after, removed)
    gone = _mask(removed, change)
    if gone.all(1).any():
        raise InputError("every feature is removed: no other could gain; add a feature or the decoy")
    change = np.where(gone, -np.inf, change)
    best = change.argmax(1)  # the first NaN, if there is one
    gain = np.take_along_axis(change, best[:, None], 1)[:, 0]
    return np.where(np.isnan(gain), -1, best), gain


def shift(before: ArrayLike, after: ArrayLike, retrained: ArrayLike, removed: ArrayLike,
          dependence: ArrayLike) -> dict[str, Floats | Indices]:
    """The columns of the table 'shifts', each `[members]`; `largest_gainer` is the feature's index.

    All arguments are `[members, features]`: shares, which features went, and how far each depends on them.
    """
    old, new, target = np.asarray(before, float), np.asarray(after, float), np.asarray(removed)
    share_before, share_after = (removed_share(shares, target) for shares in (old, new))
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


def _mask(removed: ArrayLike, shares: Floats) -> NDArray[np.bool_]:
    """`removed`, checked."""
    gone = np.asarray(removed)
    if gone.dtype != bool or gone.shape != shares.shape or not gone.any(1).all():
        members, features = shares.shape
        raise InputError(f"`removed` says for each of {members} members which of {features} features it lost: True or "
                         "False each, at least one of them True")
    return gone


def _on_removed(dependence: ArrayLike, shares: Floats) -> Floats:
    """R²_kj, checked."""
    on_removed = np.asarray(dependence, float)
    if on_removed.shape != shares.shape or not np.isfinite(on_removed).all():
        raise InputError("`dependence` is one finite R² a member and feature, as `information.linear.dependence` makes")
    return on_removed


def _spearman(a: Floats, b: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Pearson's correlation of average ranks, of those values of a row that are `counted`.

    NaN if either is constant or not a number.
    """
    known = ~((np.isnan(a) | np.isnan(b)) & counted).any(-1)
    middle = (counted.sum(-1, keepdims=True) + 1) / 2  # the mean of average ranks, exactly
    # What does not count ranks above all that does.
    ranks_a, ranks_b = (np.where(counted, rankdata(np.where(counted, values, np.inf), axis=-1) - middle, 0)
                        for values in (a, b))
    scale = np.sqrt((ranks_a**2).sum(-1) * (ranks_b**2).sum(-1))
    unknown, product = np.full(scale.shape, np.nan), (ranks_a * ranks_b).sum(-1)
    correlation: Floats = np.divide(product, scale, out=unknown, where=known & (scale > 0))
    return correlation
