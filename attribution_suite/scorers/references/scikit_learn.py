"""Permutation importance by scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.inspection import permutation_importance
from torch import Tensor, nn

from attribution_suite.networks.outputs import task_loss
from attribution_suite.scorers.attribution import Evaluation

PACKAGE = "scikit-learn"


def permutation(network: nn.Module, evaluation: Evaluation, rows: Sequence[int], repeats: int) -> Tensor:
    """`sklearn.inspection.permutation_importance`, by minus the task's loss: magnitude and rise, `[2, features]`.

    Its table has one column a feature, which holds the number of the row that the feature's columns come from: so the
    columns of a group move together.
    """
    features, native = len(evaluation.groups), np.arange(len(evaluation.inputs))
    feature_of = torch.full(evaluation.inputs.shape[1:], features)  # of a column of no feature: one that stays
    for number, columns in enumerate(evaluation.groups.values()):
        feature_of[list(columns)] = number

    def score(_: object, table: np.ndarray, targets: Any) -> float:
        origin = torch.from_numpy(np.column_stack([table, native]))[:, feature_of]
        with torch.no_grad():
            outputs = network(evaluation.inputs.gather(0, origin))
            return -float(task_loss(outputs[None], evaluation.targets, evaluation.task))

    result = permutation_importance(_Network(), np.repeat(native[:, None], features, 1), native, scoring=score,
                                    n_repeats=repeats, random_state=evaluation.seed)
    rise = torch.from_numpy(result.importances_mean)
    return torch.stack([rise.abs(), rise])


class _Network:
    """What scikit-learn takes for a fitted estimator; `score` above asks the network."""

    def fit(self, table: np.ndarray, targets: np.ndarray) -> "_Network":
        """Nothing is fitted."""
        return self
