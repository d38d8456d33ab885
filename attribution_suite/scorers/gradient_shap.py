"""GradientSHAP."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import Chunk, attribute_in_chunks
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class GradientShap:
    """φ_k = mean over samples of (x_k − b_k) ∂f/∂x_k(b + α(x − b)), b a random training row, α ~ U(0, 1).

    Baselines and α are drawn as Captum's GradientShap draws them and are the same for all members.
    Lundberg & Lee (2017), A Unified Approach to Interpreting Model Predictions (expected gradients).
    """

    samples: int = 5
    name: ClassVar[str] = "gradient_shap"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        points = evaluation.inputs.shape[-2] * self.samples
        with seeded(evaluation.seed):
            drawn = torch.from_numpy(np.random.choice(evaluation.background.shape[-2], points))  # noqa: NPY002
            alpha = torch.from_numpy(np.random.uniform(0.0, 1.0, points)).to(evaluation.inputs)[:, None]  # noqa: NPY002

        inputs = evaluation.inputs.repeat_interleave(self.samples, -2)
        difference = inputs - evaluation.background[..., drawn, :]
        point = inputs - (1 - alpha) * difference  # b + α(x − b), once for all members that share their rows

        def local(chunk: Chunk) -> Tensor:
            part = slice(chunk.rows.start * self.samples, chunk.rows.stop * self.samples)
            here, change = ((whole if whole.dim() == 2 else whole[chunk.members])[..., part, :]
                            for whole in (point, difference))
            gradient = chunk.networks.gradient(chunk.networks.first(here), chunk.explained)
            return (chunk.pull_back(gradient) * change).unflatten(1, (-1, self.samples)).mean(2)

        return attribute_in_chunks(self.name, networks, evaluation, self.samples, local, samples=self.samples)
