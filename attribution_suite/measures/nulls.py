"""Is a feature's score above what the scorer says of columns that the network cannot read?"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_suite.errors import InputError

LEVEL = 1 / 20
QUESTIONS = 60  # alarms about one feature that there are phantoms for: Holm's first needs p ≤ 1/(20 × 60)
CHOICES = 1_000_000  # of one out of each network, that are listed at most
ROUNDING = 1e-9  # sums of the same numbers in another order are no larger ones


def null_p(scores: ArrayLike, phantoms: ArrayLike) -> NDArray[np.float64]:
    """How often a phantom in the feature's place scores as much: an exact p-value, `[...]`, in (0, 1].

    `scores` `[..., networks]`: the feature's, ≥ 0; `phantoms` `[..., networks, count]`: those of its phantoms, in the
    same call. Where the network cannot read x_j either, x_j and its phantoms are exchangeable, and any of them is the
    largest equally often. T = Σ over networks of s / (mean of s over x_j and its phantoms), so that each network
    counts the same; p is the part of all choices of one out of each network, x_j or a phantom, whose T is at least
    that of x_j. In one network: (1 + the phantoms that score as much) / (1 + count). A network that scores all of them
    zero says nothing for x_j. NaN where anything is not finite. Raises InputError for shapes that do not fit, and for
    more than a million choices.

    A permutation test (Fisher 1935) of a feature against copies of it that are known to be unused, as Boruta's shadow
    features are (Kursa & Rudnicki 2010).
    """
    feature, others = np.asarray(scores, float), np.asarray(phantoms, float)
    if not feature.ndim or others.shape[:-1] != feature.shape or not others.shape[-1]:
        raise InputError(f"scores are [..., networks] and phantoms [..., networks, count ≥ 1], "
                         f"got {list(feature.shape)} and {list(others.shape)}")
    networks, count = others.shape[-2:]
    if networks * np.log(1 + count) > np.log(CHOICES):
        raise InputError(f"{1 + count} scores in each of {networks} networks are too many choices: give fewer networks")
    every = np.concatenate([feature[..., None], others], -1)
    finite = np.isfinite(every).all((-2, -1))
    every[~finite] = 0
    mean = every.mean(-1, keepdims=True)
    relative = np.divide(every, mean, out=np.zeros_like(every), where=mean != 0)
    sums = np.zeros((*feature.shape[:-1], 1))
    for network in range(networks):
        sums = (sums[..., None] + relative[..., network, None, :]).reshape(*feature.shape[:-1], -1)
    p = (sums >= relative[..., 0].sum(-1)[..., None] * (1 - ROUNDING)).mean(-1)
    return np.where(finite, p, np.nan)


def above_null(p: float) -> bool | None:
    """Is x_j's score above the null: p ≤ 1/20? In one network: above all of at least 19 phantoms. None: not measured.

    `p`: that of `null_p`, or, of a scorer that is exactly zero on zero weights, 0 for a score above zero, else 1.
    """
    return None if np.isnan(p) else bool(p <= LEVEL)
