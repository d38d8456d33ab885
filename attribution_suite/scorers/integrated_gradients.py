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
from attribution_suite.options import check_flags, check_one_of, check_positive, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import (
    QUADRATURES,
    Piece,
    attribute_in_pieces,
    by_each_baseline,
    quadrature,
    straight_path,
)
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class IntegratedGradients:
    """φ_k = (x_k − b_k) ∫₀¹ ∂f/∂x_k(b + α(x − b)) dα, by the quadrature `method` with `steps` nodes.

    Complete: Σφ = f(x) − f(b). Without `multiply_by_inputs` the integral alone, the mean gradient, which is not
    complete. Sundararajan, Taly & Yan (2017), Axiomatic Attribution for Deep Networks.
    """

    steps: int = 50
    method: str = QUADRATURES[0]
    multiply_by_inputs: bool = True
    name: ClassVar[str] = "integrated_gradients"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True, baseline="zero",
        reference="attribution_suite.scorers.references.captum_package:integrated_gradients")

    def __post_init__(self) -> None:
        _check_path(self)

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""

        def local(piece: Piece[Ensemble]) -> Tensor:
            gradient = mean_gradient(piece, piece.inputs, self.steps, self.method)
            return gradient * (piece.inputs - piece.baseline) if self.multiply_by_inputs else gradient

        return attribute_in_pieces(self.name, networks, evaluation, self.steps, by_each_baseline(local),
                                   complete=self.multiply_by_inputs)


@dataclass(frozen=True)
class SmoothIntegratedGradients:
    """Integrated gradients averaged over `samples` copies of the row with N(0, `deviation`²) added to every input.

    The other options are theirs. The noise is drawn as Captum's NoiseTunnel draws it and is the same for all members.
    Smilkov et al. (2017), SmoothGrad: removing noise by adding noise.
    """

    samples: int = 5
    deviation: float = 0.1
    steps: int = 50
    method: str = QUADRATURES[0]
    multiply_by_inputs: bool = True
    name: ClassVar[str] = "smooth_integrated_gradients"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True, draws=True, baseline="zero",
        reference="attribution_suite.scorers.references.captum_package:smooth_integrated_gradients")

    def __post_init__(self) -> None:
        check_whole(self, 1, "samples")
        check_positive(self, "deviation")
        _check_path(self)

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        rows, columns = evaluation.inputs.shape[-2:]
        with seeded(evaluation.seed):
            noise = torch.normal(0.0, torch.full((rows * self.samples, columns), self.deviation)).to(evaluation.inputs)

        def local(piece: Piece[Ensemble]) -> Tensor:
            part = slice(piece.rows.start * self.samples, piece.rows.stop * self.samples)
            noisy = piece.inputs.repeat_interleave(self.samples, -2) + noise[part]
            gradient = mean_gradient(piece, noisy, self.steps, self.method)
            values = gradient * (noisy - piece.baseline) if self.multiply_by_inputs else gradient
            per_row: Tensor = values.unflatten(1, (-1, self.samples))
            return per_row.mean(2)

        return attribute_in_pieces(self.name, networks, evaluation, self.samples * self.steps, by_each_baseline(local),
                                   samples=self.samples)


def _check_path(scorer: IntegratedGradients | SmoothIntegratedGradients) -> None:
    check_one_of(scorer, "method", QUADRATURES)
    check_whole(scorer, 1 if scorer.method == QUADRATURES[0] else 2, "steps")
    check_flags(scorer, "multiply_by_inputs")


def mean_gradient(piece: Piece[Ensemble], inputs: Tensor, steps: int, method: str) -> Tensor:
    """∫₀¹ ∂f/∂x(b + α(x − b)) dα at `inputs`, `[members, rows, columns]`."""
    path = straight_path(piece, inputs, steps, method)
    explained = None if piece.explained is None else piece.explained.repeat(1, steps)
    gradient = piece.networks.gradient(path.flatten(1, 2), explained)
    mean = quadrature(steps, method)[0].to(gradient) @ gradient.reshape(*path.shape[:2], -1)
    return piece.pull_back(mean.unflatten(1, path.shape[2:]))
