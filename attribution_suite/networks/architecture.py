"""The shape of a multilayer perceptron."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attribution_suite.datasets.preset import Activation
from attribution_suite.errors import InputError
from attribution_suite.networks.nonlinearity import ACTIVATIONS, NEGATIVE_SLOPE, Nonlinearity, nonlinearity


@dataclass(frozen=True)
class Architecture:
    """features → hidden[0] → … → outputs, each but the last followed by the activation.

    `negative_slope`: of leaky_relu, below 0.
    """

    features: int
    hidden: tuple[int, ...]
    outputs: int
    activation: Activation = "relu"
    negative_slope: float = NEGATIVE_SLOPE

    def __post_init__(self) -> None:
        if not all(type(width) is int for width in self.widths):
            raise InputError(f"every layer has a whole number of units, got widths {self.widths}")
        if min(self.widths) < 1:
            raise InputError(f"every layer needs at least one unit, got widths {self.widths}")
        if self.activation not in ACTIVATIONS:
            raise InputError(f"unknown activation '{self.activation}'; known: {', '.join(ACTIVATIONS)}")

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Architecture":
        """From what `dataclasses.asdict` made of one. Raises KeyError, TypeError or ValueError for other values."""
        return cls(**{**fields, "hidden": tuple(fields["hidden"])})

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of every layer; layer l is what enters Linear l + 1, layer 0 the input."""
        return (self.features, *self.hidden, self.outputs)

    @property
    def nonlinearity(self) -> Nonlinearity:
        """The activation's function and derivative."""
        return nonlinearity(self.activation, self.negative_slope)

    @property
    def depth(self) -> int:
        """How many Linear layers there are."""
        return len(self.widths) - 1

    def __str__(self) -> str:
        slope = f"({self.negative_slope:g})" if self.activation == "leaky_relu" else ""
        return "-".join(map(str, self.widths)) + f" {self.activation}{slope}"

    def tail(self, layer: int) -> "Architecture":
        """The architecture from layer `layer` on."""
        if not 0 <= layer < self.depth:
            raise InputError(f"layer {layer} does not exist: a network of widths {self.widths} "
                             f"has layers 0 (the input) to {self.depth - 1}")
        return Architecture(self.widths[layer], self.widths[layer + 1:-1], self.outputs, self.activation,
                            self.negative_slope)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A Linear of copies of these, `[out, in]` and `[out]`; made without drawing from the global generator."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return layer
