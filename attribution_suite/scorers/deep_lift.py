"""DeepLIFT."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import captum.attr
from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import Chunk, attribute_in_chunks


@dataclass(frozen=True)
class DeepLift:
    """φ_k = m_k (x_k − b_k), m the multipliers of the rescale rule: Δout/Δin at every activation, chained.

    Complete: Σφ = f(x) − f(b). Shrikumar, Greenside & Kundaje (2017), Learning Important Features Through Propagating
    Activation Differences.
    """

    name: ClassVar[str] = "deep_lift"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""

        def local(chunk: Chunk) -> Tensor:
            view = chunk.view
            first, baseline = view.enter(chunk.inputs), view.enter(chunk.baseline)
            with warnings.catch_warnings():  # Captum announces the hooks that it sets and removes
                warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
                method = captum.attr.DeepLift(view, multiply_by_inputs=False)
                multipliers = method.attribute(first, baseline.expand_as(first))
            return chunk.pull_back(multipliers.transpose(0, 1)) * (chunk.inputs - chunk.baseline)

        return attribute_in_chunks(self.name, networks, evaluation, 2, local, complete=True)
