"""Integrated gradients, and its mean over noisy copies of a row."""

from dataclasses import dataclass
from typing import ClassVar

import captum.attr
import torch
from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import Chunk, attribute_in_chunks
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class IntegratedGradients:
    """φ_k = (x_k − b_k) ∫₀¹ ∂f/∂x_k(b + α(x − b)) dα, by Gauss-Legendre with `steps` nodes.

    Complete: Σφ = f(x) − f(b). Sundararajan, Taly & Yan (2017), Axiomatic Attribution for Deep Networks.
    """

    steps: int = 50
    name: ClassVar[str] = "integrated_gradients"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""

        def local(chunk: Chunk) -> Tensor:
            return _mean_gradient(chunk, *chunk.entered, self.steps) * (chunk.inputs - chunk.baseline)

        return attribute_in_chunks(self.name, networks, evaluation, self.steps, local, complete=True)


@dataclass(frozen=True)
class SmoothIntegratedGradients:
    """Integrated gradients averaged over `samples` copies of the row with N(0, `deviation`²) added to every input.

    The noise is drawn as Captum's NoiseTunnel draws it and is the same for all members.
    Smilkov et al. (2017), SmoothGrad: removing noise by adding noise.
    """

    samples: int = 5
    deviation: float = 0.1
    steps: int = 50
    name: ClassVar[str] = "smooth_integrated_gradients"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        rows, columns = evaluation.inputs.shape[-2:]
        with seeded(evaluation.seed):
            noise = torch.normal(0.0, torch.full((rows * self.samples, columns), self.deviation))

        def local(chunk: Chunk) -> Tensor:
            part = slice(chunk.rows.start * self.samples, chunk.rows.stop * self.samples)
            noisy = chunk.inputs.repeat_interleave(self.samples, -2) + noise[part]
            gradient = _mean_gradient(chunk, chunk.view.enter(noisy), chunk.entered[1], self.steps)
            return (gradient * (noisy - chunk.baseline)).unflatten(1, (-1, self.samples)).mean(2)

        points = self.samples * self.steps
        return attribute_in_chunks(self.name, networks, evaluation, points, local, samples=self.samples)


def _mean_gradient(chunk: Chunk, first: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """∫ ∂f/∂x over the path, `[members, rows, columns]`: the path is linear in the first pre-activation too."""
    method = captum.attr.IntegratedGradients(chunk.view, multiply_by_inputs=False)
    return chunk.view.pull_back(method.attribute(first, baseline.expand_as(first), n_steps=steps))
