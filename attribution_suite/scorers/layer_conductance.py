"""Layer conductance."""

from dataclasses import dataclass
from sys import maxsize
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.options import check_one_of, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, perceptrons
from attribution_suite.scorers.pieces import (
    QUADRATURES,
    Piece,
    by_each_baseline,
    completeness_gap,
    pieces,
    straight_path,
)


@dataclass(frozen=True)
class LayerConductance:
    """The conductance of unit h of layer `layer` ≥ 1: ∫ ∂f/∂h · dh along the straight path from the baseline to x.

    The path's points are those of the quadrature `method`. Complete: the units' sum is f(x) − f(b). Dhamdhere,
    Sundararajan & Yan (2019), How Important Is a Neuron?
    It needs the layers below its own, so it is given whole networks and the input's evaluation.
    """

    layer: int = 1
    steps: int = 50
    method: str = QUADRATURES[0]
    name: ClassVar[str] = "layer_conductance"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", below=True, at=range(1, maxsize), zero_on_zero_weights=True, baseline="zero",
        reference="attribution_suite.scorers.references.captum_package:layer_conductance")

    def __post_init__(self) -> None:
        check_whole(self, 0, "layer")  # which of them a network has is known when it is asked
        check_whole(self, 1, "steps")
        check_one_of(self, "method", QUADRATURES)

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ per unit, in the units of the explained output. Raises InputError for the input layer."""
        stacked = perceptrons(self, networks)
        if not 1 <= self.layer < networks.architecture.depth:
            raise InputError(f"layer_conductance scores hidden units: layers 1 to {networks.architecture.depth - 1}, "
                             f"not {self.layer}; for the input use integrated_gradients")
        units = networks.architecture.widths[self.layer]
        values = evaluation.inputs.new_empty(len(networks), evaluation.inputs.shape[-2], units)
        conductance = by_each_baseline(self._conductance)
        for piece in pieces(stacked, evaluation, self.steps + 1):
            values[piece.members, piece.rows] = conductance(piece)
        gap = completeness_gap(values, networks, evaluation)
        return Attribution.from_local(self.name, values, tuple(f"unit:{unit}" for unit in range(units)), gap)

    def _conductance(self, piece: Piece[Perceptrons]) -> Tensor:
        """Captum's sum over the path's points p of ∂f/∂h(p) (h(p + 1) − h(p)), `[members, rows, units]`."""
        networks, points = piece.networks, self.steps + 1
        path = straight_path(piece, piece.inputs, points, self.method)
        hidden = networks.hidden(path.flatten(1, 2))[self.layer - 1]
        tail = networks.tail(self.layer)
        explained = None if piece.explained is None else piece.explained.repeat(1, points)
        gradient = torch.bmm(tail.gradient(tail.first(hidden), explained), tail.weights[0])
        hidden, gradient = (values.unflatten(1, path.shape[1:3]) for values in (hidden, gradient))
        conductance: Tensor = (gradient[:, :-1] * hidden.diff(dim=1)).sum(1)
        return conductance
