"""Gradient × weight."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from attribution_suite.datasets.table import Split
from attribution_suite.networks.backward import Backward, Batch
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, sum_groups


@dataclass(frozen=True)
class GradientWeight:
    """s_k = mean over batches and outputs o of abs(∂loss/∂W_ok)·abs(W_ok), W the first layer, loss the task's.

    Batches are the background rows (training data with labels) in their order. Global: it has no local values.
    """

    batch_size: int = 64
    name: ClassVar[str] = "gradient_weight"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Scores in units of the loss."""
        members, background = len(networks), evaluation.background
        seeds = members if background.dim() == 3 else 1  # members that share their rows share one wide product
        data = Split(background.expand(seeds, -1, -1), evaluation.background_targets.expand(seeds, -1))
        backward = Backward(networks, evaluation.task, seeds)
        total = torch.zeros_like(networks.weights[0])
        count = 0
        for start in range(0, background.shape[-2], self.batch_size):
            rows = slice(start, start + self.batch_size)
            backward.backward(Batch(data.inputs[:, rows], data.targets[:, rows]))
            total += backward.weight_grads[0].abs()
            count += 1
        columns = (total * networks.weights[0].abs()).mean(1) / count
        return Attribution(self.name, evaluation.features, sum_groups(columns, evaluation.groups))
