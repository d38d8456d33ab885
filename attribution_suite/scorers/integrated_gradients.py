"""Integrated gradients, and its mean over noisy copies of a row.

Captum's methods, value by value (its quadrature nodes, its noise), with less arithmetic: the path from baseline to row
is straight, so it is straight in the first pre-activation z = Wx + b too. Gradients are taken and averaged there, and
one product Wᵀ carries their mean to the columns, which the path itself never visits.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import Chunk, attribute_in_chunks, quadrature, straight_path
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
            return mean_gradient(chunk, chunk.inputs, self.steps) * (chunk.inputs - chunk.baseline)

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
            noise = torch.normal(0.0, torch.full((rows * self.samples, columns), self.deviation)).to(evaluation.inputs)

        def local(chunk: Chunk) -> Tensor:
            part = slice(chunk.rows.start * self.samples, chunk.rows.stop * self.samples)
            noisy = chunk.inputs.repeat_interleave(self.samples, -2) + noise[part]
            values = mean_gradient(chunk, noisy, self.steps) * (noisy - chunk.baseline)
            return values.unflatten(1, (-1, self.samples)).mean(2)

        points = self.samples * self.steps
        return attribute_in_chunks(self.name, networks, evaluation, points, local, samples=self.samples)


def mean_gradient(chunk: Chunk, inputs: Tensor, steps: int) -> Tensor:
    """∫₀¹ ∂f/∂x(b + α(x − b)) dα at `inputs`, `[members, rows, columns]`."""
    path = straight_path(chunk, inputs, steps)
    explained = None if chunk.explained is None else chunk.explained.repeat(1, steps)
    gradient = chunk.networks.gradient(path.flatten(1, 2), explained)
    mean = quadrature(steps)[0].to(gradient) @ gradient.reshape(*path.shape[:2], -1)
    return chunk.pull_back(mean.unflatten(1, path.shape[2:]))
