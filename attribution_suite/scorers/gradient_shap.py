"""GradientSHAP."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.options import check_flags, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import Piece, attribute_in_pieces
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class GradientShap:
    """φ_k = mean over samples of (x_k − b_k) ∂f/∂x_k(b + α(x − b)), b a random training row, α ~ U(0, 1).

    Baselines and α are drawn as Captum's GradientShap draws them and are the same for all members. Where the run names
    one row to compare with, b is that row. Without `multiply_by_inputs` the gradient is not multiplied by (x_k − b_k).
    Lundberg & Lee (2017), A Unified Approach to Interpreting Model Predictions (expected gradients).
    """

    samples: int = 5
    multiply_by_inputs: bool = True
    name: ClassVar[str] = "gradient_shap"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="gradients", zero_on_zero_weights=True, draws=True, baseline="distribution",
        reference="attribution_suite.scorers.references.captum_package:gradient_shap")

    def __post_init__(self) -> None:
        check_whole(self, 1, "samples")
        check_flags(self, "multiply_by_inputs")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ in the units of the explained output."""
        baselines = evaluation.distribution
        points = evaluation.inputs.shape[-2] * self.samples
        with seeded(evaluation.seed):
            drawn = torch.from_numpy(np.random.choice(baselines.shape[-2], points))  # noqa: NPY002
            alpha = torch.from_numpy(np.random.uniform(0.0, 1.0, points)).to(evaluation.inputs)[:, None]  # noqa: NPY002

        inputs = evaluation.inputs.repeat_interleave(self.samples, -2)
        difference = inputs - baselines[..., drawn, :]
        point = inputs - (1 - alpha) * difference  # b + α(x − b), once for all members that share their rows

        def local(piece: Piece[Ensemble]) -> Tensor:
            part = slice(piece.rows.start * self.samples, piece.rows.stop * self.samples)
            interpolated, change = ((whole if whole.dim() == 2 else whole[piece.members])[..., part, :]
                                    for whole in (point, difference))
            gradient = piece.networks.gradient(piece.networks.first(interpolated), piece.explained)
            by_input = piece.pull_back(gradient)
            values = by_input * change if self.multiply_by_inputs else by_input
            per_row: Tensor = values.unflatten(1, (-1, self.samples))
            return per_row.mean(2)

        return attribute_in_pieces(self.name, networks, evaluation, self.samples, local, samples=self.samples)
