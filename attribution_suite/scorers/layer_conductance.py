"""Layer conductance."""

from dataclasses import dataclass
from typing import ClassVar

import captum.attr
import torch

from attribution_suite.errors import InputError
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import chunks, completeness_gap


@dataclass(frozen=True)
class LayerConductance:
    """The conductance of unit h of layer `layer` ≥ 1: ∫ ∂f/∂h · dh along the straight path from the baseline to x.

    Complete: the units' sum is f(x) − f(b). Dhamdhere, Sundararajan & Yan (2019), How Important Is a Neuron?
    It needs the layers below its own, so it is given whole networks and the input's evaluation.
    """

    layer: int = 1
    steps: int = 50
    name: ClassVar[str] = "layer_conductance"
    reads: ClassVar[str] = "network"
    whole_network: ClassVar[bool] = True

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ per unit, in the units of the explained output. Raises InputError for the input layer."""
        if not 1 <= self.layer < networks.architecture.depth:
            raise InputError(f"layer_conductance scores hidden units: layers 1 to {networks.architecture.depth - 1}, "
                             f"not {self.layer}; for the input use integrated_gradients")
        units = networks.architecture.widths[self.layer]
        values = torch.empty(len(networks), evaluation.inputs.shape[-2], units)
        for chunk in chunks(networks, evaluation, self.steps + 1):
            view = chunk.view
            method = captum.attr.LayerConductance(view, view.activations[self.layer - 1])
            conductance = method.attribute(view.enter(chunk.inputs), view.enter(chunk.baseline), n_steps=self.steps)
            values[chunk.members, chunk.rows] = conductance.detach().transpose(0, 1)
        gap = completeness_gap(values, networks, evaluation)
        return Attribution.from_local(self.name, values, tuple(f"unit:{unit}" for unit in range(units)), gap)
