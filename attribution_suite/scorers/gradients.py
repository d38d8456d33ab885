"""Saliency and input × gradient."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import Piece, attribute_in_pieces


@dataclass(frozen=True)
class Saliency:
    """φ_k = abs(∂f/∂x_k). Simonyan, Vedaldi & Zisserman (2014), Deep Inside Convolutional Networks."""

    name: ClassVar[str] = "saliency"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.captum_package:saliency")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ ≥ 0, in the explained output's units per unit of the input."""
        return attribute_in_pieces(self.name, networks, evaluation, 1, lambda piece: _gradient(piece).abs())


@dataclass(frozen=True)
class InputXGradient:
    """φ_k = x_k ∂f/∂x_k. Shrikumar et al. (2016), Not Just a Black Box."""

    name: ClassVar[str] = "input_x_gradient"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.captum_package:input_x_gradient")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        return attribute_in_pieces(self.name, networks, evaluation, 1, lambda piece: _gradient(piece) * piece.inputs)


def _gradient(piece: Piece[Ensemble]) -> Tensor:
    """∂f/∂x, `[members, rows, columns]`."""
    return piece.pull_back(piece.networks.gradient(piece.networks.first(piece.inputs), piece.explained))
