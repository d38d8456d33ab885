"""The activations of perceptrons: what they compute, and their derivative."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attribution_suite.datasets.preset import Activation

aten = torch.ops.aten
NEGATIVE_SLOPE = 0.01  # LeakyReLU's, unless it says another


@dataclass(frozen=True)
class Nonlinearity:
    """An activation σ, elementwise.

    `apply`: σ(z). `in_place`: the same, in the memory of z where that can be. `backward`: a slope times σ′, read off
    the pre-activation z if `reads` is 'input', else off σ(z), so that z need not be kept. `shape` says how a worst case
    is found: 'linear' between kinks at z = 0, or 'smooth'.
    """

    module: Callable[[], nn.Module]
    apply: Callable[[Tensor], Tensor]
    in_place: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    reads: Literal["input", "output"] = "output"
    shape: Literal["linear", "smooth"] = "smooth"


def _relu(_: float) -> Nonlinearity:
    return Nonlinearity(nn.ReLU, torch.relu, torch.relu_, lambda slope, h: aten.threshold_backward(slope, h, 0),
                        shape="linear")


def _leaky_relu(negative_slope: float) -> Nonlinearity:
    def backward(slope: Tensor, active: Tensor) -> Tensor:
        passed: Tensor = aten.leaky_relu_backward(slope, active, negative_slope, True)
        return passed

    return Nonlinearity(partial(nn.LeakyReLU, negative_slope), partial(F.leaky_relu, negative_slope=negative_slope),
                        partial(F.leaky_relu_, negative_slope=negative_slope), backward, shape="linear")


def _linear(_: float) -> Nonlinearity:
    def same(values: Tensor) -> Tensor:
        return values

    return Nonlinearity(nn.Identity, same, same, lambda slope, _: slope, shape="linear")


ACTIVATIONS: dict[Activation, Callable[[float], Nonlinearity]] = {
    "relu": _relu,
    "tanh": lambda _: Nonlinearity(nn.Tanh, torch.tanh, torch.tanh_, aten.tanh_backward),
    "linear": _linear,
    "leaky_relu": _leaky_relu,
    "sigmoid": lambda _: Nonlinearity(nn.Sigmoid, torch.sigmoid, torch.sigmoid_, aten.sigmoid_backward),
    "gelu": lambda _: Nonlinearity(nn.GELU, F.gelu, F.gelu, aten.gelu_backward, "input"),
    "silu": lambda _: Nonlinearity(nn.SiLU, F.silu, F.silu, aten.silu_backward, "input"),
}


@cache
def nonlinearity(activation: Activation, negative_slope: float = NEGATIVE_SLOPE) -> Nonlinearity:
    """The activation of that name; `negative_slope` is leaky_relu's, below 0."""
    return ACTIVATIONS[activation](negative_slope)
