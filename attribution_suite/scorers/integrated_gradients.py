"""Integrated gradients, and its mean over noisy copies of a row.

Captum's methods, value by value (its quadrature nodes, its noise), with less arithmetic: the path from baseline to row
is straight, so it is straight in the first pre-activation z = Wx + b too. Gradients are taken and averaged there, and
one product Wᵀ carries their mean to the columns, which the path itself never visits.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.options import check_positive, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import Piece, attribute_in_pieces, quadrature, straight_path
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class IntegratedGradients:
    """φ_k = (x_k − b_k) ∫₀¹ ∂f/∂x_k(b + α(x − b)) dα, by Gauss-Legendre with `steps` nodes.

    Complete: Σφ = f(x) − f(b). Sundararajan, Taly & Yan (2017), Axiomatic Attribution for Deep Networks.
    """

    steps: int = 50
    name: ClassVar[str] = "integrated_gradients"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.captum_package:integrated_gradients")

    def __post_init__(self) -> None:
        check_whole(self, 1, "steps")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""

        def local(piece: Piece[Ensemble]) -> Tensor:
            return mean_gradient(piece, piece.inputs, self.steps) * (piece.inputs - piece.baseline)

        return attribute_in_pieces(self.name, networks, evaluation, self.steps, local, complete=True)


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
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True, draws=True,
        reference="attribution_suite.scorers.references.captum_package:smooth_integrated_gradients")

    def __post_init__(self) -> None:
        check_whole(self, 1, "samples", "steps")
        check_positive(self, "deviation")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        rows, columns = evaluation.inputs.shape[-2:]
        with seeded(evaluation.seed):
            noise = torch.normal(0.0, torch.full((rows * self.samples, columns), self.deviation)).to(evaluation.inputs)

        def local(piece: Piece[Ensemble]) -> Tensor:
            part = slice(piece.rows.start * self.samples, piece.rows.stop * self.samples)
            noisy = piece.inputs.repeat_interleave(self.samples, -2) + noise[part]
            values = mean_gradient(piece, noisy, self.steps) * (noisy - piece.baseline)
            per_row: Tensor = values.unflatten(1, (-1, self.samples))
            return per_row.mean(2)

        points = self.samples * self.steps
        return attribute_in_pieces(self.name, networks, evaluation, points, local, samples=self.samples)


def mean_gradient(piece: Piece[Ensemble], inputs: Tensor, steps: int) -> Tensor:
    """∫₀¹ ∂f/∂x(b + α(x − b)) dα at `inputs`, `[members, rows, columns]`."""
    path = straight_path(piece, inputs, steps)
    explained = None if piece.explained is None else piece.explained.repeat(1, steps)
    gradient = piece.networks.gradient(path.flatten(1, 2), explained)
    mean = quadrature(steps)[0].to(gradient) @ gradient.reshape(*path.shape[:2], -1)
    return piece.pull_back(mean.unflatten(1, path.shape[2:]))
