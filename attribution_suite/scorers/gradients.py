"""Saliency and input × gradient."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import Chunk, attribute_in_chunks


@dataclass(frozen=True)
class Saliency:
    """φ_k = abs(∂f/∂x_k). Simonyan, Vedaldi & Zisserman (2014), Deep Inside Convolutional Networks."""

    name: ClassVar[str] = "saliency"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ ≥ 0, in the explained output's units per unit of the input."""
        return attribute_in_chunks(self.name, networks, evaluation, 1, lambda chunk: _gradient(chunk).abs())


@dataclass(frozen=True)
class InputXGradient:
    """φ_k = x_k ∂f/∂x_k. Shrikumar et al. (2016), Not Just a Black Box."""

    name: ClassVar[str] = "input_x_gradient"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        return attribute_in_chunks(self.name, networks, evaluation, 1, lambda chunk: _gradient(chunk) * chunk.inputs)


def _gradient(chunk: Chunk) -> Tensor:
    """∂f/∂x, `[members, rows, columns]`."""
    return chunk.pull_back(chunk.networks.gradient(chunk.networks.first(chunk.inputs), chunk.explained))
