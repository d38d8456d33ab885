"""Bounds on the derivatives of smooth activations over a stretch of their pre-activation."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from attribution_suite.datasets.preset import Activation

PEAK = 1 / math.sqrt(3)  # 2|u|(1 − u²), u = tanh z, is largest where |u| is this


def bends(activation: Activation, pre: Tensor, active: Tensor, sag: Tensor) -> tuple[Tensor, Tensor]:
    """max |σ′| and max |σ″| over the pieces between neighbouring points, `[lines, points − 1, units]`.

    `pre` `[lines, points, units]` are the points' pre-activations z, `active` σ(z); within a piece z lies between those
    of its ends, or beyond them by no more than `sag`.
    """
    if activation == "tanh":
        return _saturating(active, sag)
    if activation == "sigmoid":  # (1 + tanh(z/2)) / 2
        steepness, bend = _saturating(2 * active - 1, sag / 2)
        return steepness / 4, bend / 8
    least = torch.minimum(pre[:, 1:], pre[:, :-1]) - sag
    most = torch.maximum(pre[:, 1:], pre[:, :-1]) + sag
    (first, turns), (second, second_turns) = DERIVATIVES[activation]
    return _largest(first, turns, least, most), _largest(second, second_turns, least, most)


def _saturating(active: Tensor, sag: Tensor) -> tuple[Tensor, Tensor]:
    """Of u = tanh z: |σ′| = 1 − u², |σ″| = 2|u|(1 − u²).

    tanh moves by no more than z does, so what bounds z off its chord bounds u beyond its ends.
    """
    least = torch.minimum(active[:, 1:], active[:, :-1]) - sag
    most = torch.maximum(active[:, 1:], active[:, :-1]) + sag
    nearest = torch.maximum(least, -most).clamp_(0, 1)
    farthest = torch.maximum(most, -least).clamp_(max=1)
    bend = 2 * nearest.maximum(farthest.clamp(max=PEAK))
    return 1 - nearest.square(), bend * (1 - (bend / 2).square())


def _largest(function: Callable[[Tensor], Tensor], turns: tuple[float, ...], least: Tensor, most: Tensor) -> Tensor:
    """max |function| over [least, most]: at an end, or at a turning point within."""
    largest = function(least).abs_().maximum(function(most).abs_())
    for turn in turns:
        value = float(function(torch.tensor(turn, dtype=torch.float64)).abs())
        inside = (least < turn) & (turn < most)
        largest = torch.where(inside, largest.clamp(min=value), largest)
    return largest


def _normal(z: Tensor) -> Tensor:
    return torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)


def _gelu_slope(z: Tensor) -> Tensor:
    """Of z Φ(z): Φ + z φ."""
    slope: Tensor = torch.special.ndtr(z) + z * _normal(z)
    return slope


def _gelu_curve(z: Tensor) -> Tensor:
    """φ (2 − z²); its own derivative, z φ (z² − 4), is zero at 0 and ± 2."""
    return _normal(z) * (2 - z.square())


def _silu_slope(z: Tensor) -> Tensor:
    """Of z s(z), s the sigmoid: s + z s (1 − s)."""
    s = z.sigmoid()
    return s + z * s * (1 - s)


def _silu_curve(z: Tensor) -> Tensor:
    """s (1 − s) (2 + z (1 − 2s))."""
    s = z.sigmoid()
    return s * (1 - s) * (2 + z * (1 - 2 * s))


ROOT = math.sqrt(2)
# Where the curve of z s(z) is zero (z tanh(z/2) = 2), and where it turns.
SILU_FLAT, SILU_TURN = 2.3993572805154675, 3.4358409935351104
Derivative = tuple[Callable[[Tensor], Tensor], tuple[float, ...]]
# σ′ and σ″, each with the points where it turns.
DERIVATIVES: dict[Activation, tuple[Derivative, Derivative]] = {
    "gelu": ((_gelu_slope, (-ROOT, ROOT)), (_gelu_curve, (-2.0, 0.0, 2.0))),
    "silu": ((_silu_slope, (-SILU_FLAT, SILU_FLAT)), (_silu_curve, (-SILU_TURN, 0.0, SILU_TURN))),
}
