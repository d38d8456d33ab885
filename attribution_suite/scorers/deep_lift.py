"""DeepLIFT."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.options import check_flags
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, check_applies
from attribution_suite.scorers.pieces import Piece, attribute_in_pieces, by_each_baseline

SAME = 1e-10  # a difference that counts as none (Captum's)


@dataclass(frozen=True)
class DeepLift:
    """φ_k = m_k (x_k − b_k), m the multipliers of the rescale rule: Δout/Δin at every activation, chained.

    Complete: Σφ = f(x) − f(b). Without `multiply_by_inputs` the multipliers alone, which are not. Shrikumar, Greenside
    & Kundaje (2017), Learning Important Features Through Propagating Activation Differences.
    """

    multiply_by_inputs: bool = True
    name: ClassVar[str] = "deep_lift"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="activations", zero_on_zero_weights=True, baseline="zero",
        reference="attribution_suite.scorers.references.captum_package:deep_lift")

    def __post_init__(self) -> None:
        check_flags(self, "multiply_by_inputs")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        check_applies(self, networks)

        def local(piece: Piece[Ensemble]) -> Tensor:
            networks = piece.networks
            between = networks.first(piece.inputs), networks.first(piece.baseline), piece.explained
            by_input = piece.pull_back(_multipliers(networks, *between))
            return by_input * (piece.inputs - piece.baseline) if self.multiply_by_inputs else by_input

        return attribute_in_pieces(self.name, networks, evaluation, 2, by_each_baseline(local),
                                   complete=self.multiply_by_inputs)


def _multipliers(networks: Ensemble, first: Tensor, baseline: Tensor, explained: Tensor | None) -> Tensor:
    if isinstance(networks, Perceptrons):
        return multipliers(networks, first, baseline, explained)
    from attribution_suite.scorers.deep_lift_modules import module_multipliers  # Captum is slow to load

    return module_multipliers(networks, first, baseline, explained)


def multipliers(networks: Perceptrons, first: Tensor, baseline: Tensor, explained: Tensor | None) -> Tensor:
    """The multipliers of the explained output by the first pre-activation, `[members, rows, hidden]`.

    The rescale rule: an activation passes Δout/Δin between the row `first` and `baseline` `[members, 1, hidden]`, its
    derivative where Δin is below 1e-10; a Linear passes Wᵀ. Equal to Captum's DeepLift.
    """
    slope, layers, passing = networks.last_weight(first, explained), [], networks.architecture.nonlinearity
    row, reference = first, baseline
    for layer in range(1, networks.architecture.depth):
        active, still = networks.activate(row), networks.activate(reference)
        layers.append((row - reference, active - still, row if passing.reads == "input" else active))
        weight, bias = networks.weights[layer].transpose(1, 2), networks.biases[layer][:, None]
        if layer < networks.architecture.depth - 1:
            row, reference = torch.baddbmm(bias, active, weight), torch.baddbmm(bias, still, weight)
    for layer in reversed(range(1, networks.architecture.depth)):
        entering, leaving, read = layers[layer - 1]
        derived = passing.backward(slope, read)
        slope = torch.where(entering.abs() < SAME, derived, slope * leaving / entering)
        slope = slope if layer == 1 else torch.bmm(slope, networks.weights[layer - 1])
    return slope
