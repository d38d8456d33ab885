"""The shape of a multilayer perceptron."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attribution_suite.datasets.preset import Activation
from attribution_suite.errors import InputError

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "linear": nn.Identity}
IN_PLACE: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_, "tanh": torch.tanh_, "linear": lambda values: values}


def chain(activation: Activation, slope: Tensor, active: Tensor) -> Tensor:
    """`slope` times the activation's derivative, read off its own output: the chain rule, in one kernel."""
    if activation == "relu":
        slope = torch.ops.aten.threshold_backward(slope, active, 0)
    elif activation == "tanh":
        slope = torch.ops.aten.tanh_backward(slope, active)
    return slope


@dataclass(frozen=True)
class Architecture:
    """features → hidden[0] → … → outputs, each but the last followed by the activation."""

    features: int
    hidden: tuple[int, ...]
    outputs: int
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if min(self.widths) < 1:
            raise InputError(f"every layer needs at least one unit, got widths {self.widths}")
        if self.activation not in ACTIVATIONS:
            raise InputError(f"unknown activation '{self.activation}'; known: {', '.join(ACTIVATIONS)}")

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of every layer; layer l is what enters Linear l + 1, layer 0 the input."""
        return (self.features, *self.hidden, self.outputs)

    @property
    def depth(self) -> int:
        """How many Linear layers there are."""
        return len(self.widths) - 1

    def __str__(self) -> str:
        return "-".join(map(str, self.widths)) + f" {self.activation}"

    def tail(self, layer: int) -> "Architecture":
        """The architecture from layer `layer` on."""
        if not 0 <= layer < self.depth:
            raise InputError(f"layer {layer} does not exist: a network of widths {self.widths} "
                             f"has layers 0 (the input) to {self.depth - 1}")
        return Architecture(self.widths[layer], self.widths[layer + 1:-1], self.outputs, self.activation)
