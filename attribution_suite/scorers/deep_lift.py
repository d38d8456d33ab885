"""DeepLIFT."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, Reads, check_applies
from attribution_suite.scorers.chunks import Chunk, attribute_in_chunks


@dataclass(frozen=True)
class DeepLift:
    """φ_k = m_k (x_k − b_k), m the multipliers of the rescale rule: Δout/Δin at every activation, chained.

    Complete: Σφ = f(x) − f(b). Shrikumar, Greenside & Kundaje (2017), Learning Important Features Through Propagating
    Activation Differences.
    """

    name: ClassVar[str] = "deep_lift"
    reads: ClassVar[Reads] = "activations"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        check_applies(self, networks)

        def local(chunk: Chunk) -> Tensor:
            first, baseline = chunk.networks.first(chunk.inputs), chunk.networks.first(chunk.baseline)
            multiplier = chunk.networks.multiplier(first, baseline, chunk.explained)
            return chunk.pull_back(multiplier) * (chunk.inputs - chunk.baseline)

        return attribute_in_chunks(self.name, networks, evaluation, 2, local, complete=True)
