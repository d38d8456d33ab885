"""Tests of units, a column at a time, by scipy."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from attribution_suite.datasets.table import Task
from attribution_suite.scorers.attribution import Evaluation

PACKAGE = "scipy"


def unit_significance(network: nn.Module, evaluation: Evaluation, rows: Sequence[int]) -> Tensor:
    """Cliff's delta by scipy's Mann-Whitney U, of several classes that of the one furthest from the rest; or Spearman.

    `[2, features]`: Σ abs(effect) over a feature's columns and Σ effect; of several classes the first alone.
    """
    values = evaluation.background if evaluation.pre_activations is None else evaluation.pre_activations
    targets = evaluation.background_targets.numpy(force=True)
    columns = values.flatten(0, -2).double().numpy(force=True)
    effects = [torch.tensor([_effect(columns[:, column], targets, evaluation.task) for column in group])
               for group in evaluation.groups.values()]
    scores, signed = (torch.stack(sums) for sums in zip(*((e.abs().sum(), e.sum()) for e in effects), strict=True))
    return scores[None] if evaluation.task == "multiclass" else torch.stack([scores, signed])


def _effect(column: np.ndarray, targets: np.ndarray, task: Task) -> float:
    if np.ptp(column) == 0:
        return 0.0
    if task == "regression":
        return float(stats.spearmanr(column, targets).statistic)
    classes = np.unique(targets)
    deltas = [2 * stats.mannwhitneyu(column[targets == name], column[targets != name], method="asymptotic").statistic
              / ((targets == name).sum() * (targets != name).sum()) - 1 for name in classes]
    return float(deltas[1] if len(classes) == 2 else max(deltas, key=abs))
