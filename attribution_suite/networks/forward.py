"""One forward pass with everything kept: what enters and what leaves every Linear."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.layered import Layered
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons


@dataclass(frozen=True)
class Collected:
    """Inputs and outputs of every Linear, of every member and row.

    `entering[l]` `[members, rows, width l]` enters Linear l + 1: the activations of layer l, at l = 0 the inputs.
    `leaving[l]` `[members, rows, width l + 1]` leaves it: the pre-activations of layer l + 1, at the end the outputs.
    """

    entering: tuple[Tensor, ...]
    leaving: tuple[Tensor, ...]

    @property
    def outputs(self) -> Tensor:
        """The networks' outputs `[members, rows, outputs]`."""
        return self.leaving[-1]


def collect(networks: Ensemble, inputs: Tensor) -> Collected:
    """One forward pass over `[rows, features]` or `[members, rows, features]`; it holds every value of it.

    Of a module's named layer both are what the layer returns. Raises InputError for networks whose layers are not
    known.
    """
    if isinstance(networks, Layered):
        rows, units, outputs = networks.activations(inputs)
        return Collected((rows, units), (units, outputs))
    if not isinstance(networks, Perceptrons):
        raise InputError(f"units cannot be read: {networks.refusal('layers')}")
    entering, leaving = [inputs.expand(len(networks), *inputs.shape[-2:])], [networks.first(inputs)]
    for weight, bias in zip(networks.weights[1:], networks.biases[1:], strict=True):
        entering.append(networks.activate(leaving[-1]))
        leaving.append(torch.baddbmm(bias[:, None], entering[-1], weight.transpose(1, 2)))
    return Collected(tuple(entering), tuple(leaving))
