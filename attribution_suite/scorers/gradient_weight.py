"""Gradient × weight."""

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.backward import Batch, PerceptronBackward
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.options import check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, perceptrons, sum_groups
from attribution_suite.scorers.pieces import PIECE_VALUES


@dataclass(frozen=True)
class GradientWeight:
    """s_k = mean over batches and outputs o of abs(∂loss/∂W_ok)·abs(W_ok), W the first layer, loss the task's.

    Batches are the background rows (training data with labels) in their order. Global: it has no local values.
    """

    batch_size: int = 64
    name: ClassVar[str] = "gradient_weight"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.definitions:gradient_weight")

    def __post_init__(self) -> None:
        check_whole(self, 1, "batch_size")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Scores in units of the loss."""
        stacked = perceptrons(self, networks)
        columns = torch.cat([self._products(piece, evaluation, members) for members, piece in
                             stacked.pieces(4 * networks.first_weight[0].numel())])
        return Attribution(self.name, evaluation.features, sum_groups(columns, evaluation.groups))

    def _products(self, networks: Perceptrons, evaluation: Evaluation, members: slice) -> Tensor:
        """`[members, columns]`."""
        background = evaluation.background
        seeds = len(networks) if background.dim() == 3 else 1  # members that share their rows share one wide product
        inputs = background[members] if background.dim() == 3 else background[None]
        targets = evaluation.background_targets.expand(seeds, -1)
        backward = PerceptronBackward(networks, evaluation.task, seeds)
        weight, rows = networks.first_weight, background.shape[-2]
        total, gradient = torch.zeros_like(weight), torch.empty_like(weight)
        several = self.batch_size * max(1, PIECE_VALUES // (weight[:, :, 0].numel() * self.batch_size))
        for start in range(0, rows, several):
            block = Batch(inputs[:, start:start + several], targets[:, start:start + several])
            slope = backward.first_slope(block)
            for first in range(0, block.size, self.batch_size):
                part = slice(first, min(first + self.batch_size, block.size))
                torch.bmm(backward.wide(slope[..., part]), block.inputs[:, part], out=backward.wide(gradient))
                total.add_(gradient.abs_(), alpha=block.size / (part.stop - part.start))
        return (total * weight.abs()).mean(1) / ceil(rows / self.batch_size)
