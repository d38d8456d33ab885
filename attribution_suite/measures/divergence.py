"""How far one distribution is from another."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_suite.errors import InputError

Floats: TypeAlias = NDArray[np.float64]


def gaussian_kl(mean: ArrayLike, variance: ArrayLike, other_mean: ArrayLike, other_variance: ArrayLike) -> Floats:
    """KL(N(μ, σ²) ‖ N(μ′, σ′²)) = ½ [σ²/σ′² + (μ − μ′)²/σ′² − 1 − ln(σ²/σ′²)], in nats ≥ 0; arrays broadcast.

    0 for equal distributions, ∞ where the second is a point and the first is another; NaN where the first is a point,
    which has no density, unless the second is the same point. Kullback & Leibler (1951). Raises InputError for a
    negative variance.
    """
    first, spread, second, other = (np.asarray(value, float) for value in (mean, variance, other_mean, other_variance))
    if (spread < 0).any() or (other < 0).any():
        raise InputError("a variance is below zero")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = spread / other
        divergence: Floats = 0.5 * (ratio + (first - second) ** 2 / other - 1 - np.log(ratio))
    same = (first == second) & (spread == other)
    return np.where(same, 0.0, np.where(spread == 0, np.nan, np.where(other == 0, np.inf, np.maximum(divergence, 0))))
