"""Gradient × weight."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.backward import Backward, Batch
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, Reads, check_applies, sum_groups


@dataclass(frozen=True)
class GradientWeight:
    """s_k = mean over batches and outputs o of abs(∂loss/∂W_ok)·abs(W_ok), W the first layer, loss the task's.

    Batches are the background rows (training data with labels) in their order. Global: it has no local values.
    """

    batch_size: int = 64
    name: ClassVar[str] = "gradient_weight"
    reads: ClassVar[Reads] = "layers"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Scores in units of the loss."""
        check_applies(self, networks)
        columns = torch.cat([self._products(piece, evaluation, members) for members, piece in
                             networks.chunks(4 * networks.weights[0][0].numel())])
        return Attribution(self.name, evaluation.features, sum_groups(columns, evaluation.groups))

    def _products(self, networks: Ensemble, evaluation: Evaluation, members: slice) -> Tensor:
        """`[members, columns]`."""
        background = evaluation.background
        seeds = len(networks) if background.dim() == 3 else 1  # members that share their rows share one wide product
        inputs = background[members] if background.dim() == 3 else background[None]
        targets = evaluation.background_targets.expand(seeds, -1)
        backward = Backward(networks, evaluation.task, seeds)
        total, count = torch.zeros_like(networks.weights[0]), 0
        for start in range(0, background.shape[-2], self.batch_size):
            rows = slice(start, start + self.batch_size)
            backward.backward(Batch(inputs[:, rows], targets[:, rows]))
            total += backward.weight_grads[0].abs_()  # the next batch writes them anew
            count += 1
        return (total * networks.weights[0].abs()).mean(1) / count
