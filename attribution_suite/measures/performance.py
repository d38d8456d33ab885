"""How good networks are, in absolute terms: of raw outputs `[members, rows, outputs]` and targets `[rows]`.

Every function returns `[members]`, float64. A measure that does not exist for a task or for these rows is NaN: r2 of
targets that do not vary, auc of rows of one class, kappa where targets and predictions are all one class.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.networks.outputs import predicted_class, single_output, task_loss

PERFORMANCE = ("r2", "rmse", "accuracy", "auc", "log_loss", "kappa")


def performance(outputs: Tensor, targets: Tensor, task: Task, ordered: bool = False) -> Mapping[str, Tensor]:
    """Every measure of `PERFORMANCE` by its name; NaN for those of the other kind of task.

    `ordered`: the classes are in the order of their index, so that kappa's weights are quadratic.
    """
    result = {name: outputs.new_full((len(outputs),), torch.nan, dtype=torch.float64) for name in PERFORMANCE}
    if task == "regression":
        return result | {"r2": r2(outputs, targets), "rmse": rmse(outputs, targets)}
    return result | {
        "accuracy": accuracy(outputs, targets, task), "auc": auc(outputs, targets, task),
        "log_loss": log_loss(outputs, targets, task), "kappa": kappa(outputs, targets, task, ordered)}


def r2(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 − Σ(y − f)² / Σ(y − ȳ)², ȳ the mean of these targets; 1 is exact, 0 no better than that mean."""
    wanted = targets.double()
    spread = (wanted - wanted.mean()).square().sum()
    lost = (wanted - single_output(outputs).double()).square().sum(1)
    return torch.where((wanted != wanted[:1]).any(), 1 - lost / spread, torch.nan)


def rmse(outputs: Tensor, targets: Tensor) -> Tensor:
    """√ mean (y − f)², in the target's own units."""
    return task_loss(outputs.double(), targets, "regression").sqrt()


def log_loss(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Mean −log of the probability that a network gives the true class."""
    return task_loss(outputs.double(), targets, task)


def accuracy(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """The part of the rows whose predicted class is the true one."""
    return (predicted_class(outputs, task) == targets.long()).double().mean(1)


def auc(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Area under the ROC curve: P(score of a row of the class > that of another row), ties half; 0.5 is chance.

    Binary: the score is the logit. Multi-class: the mean over the classes that occur of each against all others, the
    score being the class's log probability. NaN where fewer than two classes occur.
    """
    labels = targets.long()
    present = labels.unique()
    if len(present) < 2:
        return outputs.new_full((len(outputs),), torch.nan, dtype=torch.float64)
    if task == "binary":
        return _area(single_output(outputs), labels == 1)
    scores = F.log_softmax(outputs.double(), 2)
    return torch.stack([_area(scores[..., label], labels == label) for label in present.tolist()]).mean(0)


def _area(scores: Tensor, positive: Tensor) -> Tensor:
    """From scores `[members, rows]`: how many rows each positive one exceeds, ties half, less the other positives."""
    ordered = torch.from_numpy(np.sort(scores.numpy(force=True), axis=1)).to(scores)  # a third of torch's time
    wanted = scores[:, positive].contiguous()
    exceeded = (torch.searchsorted(ordered, wanted) + torch.searchsorted(ordered, wanted, right=True)).double() / 2
    count = wanted.shape[1]
    return (exceeded.sum(1) - count**2 / 2) / (count * (scores.shape[1] - count))


def kappa(outputs: Tensor, targets: Tensor, task: Task, ordered: bool = False) -> Tensor:
    """Cohen's kappa, (p_o − p_e) / (1 − p_e): the agreement of predicted and true classes beyond that of chance.

    p_o = Σ w_ij p_ij and p_e = Σ w_ij p_i. p_.j over the confusion matrix p. Weights w: 1 on the diagonal and 0
    elsewhere (Cohen 1960), or for ordered classes 1 − (i − j)² / (C − 1)² (quadratic, Cohen 1968).
    """
    table = confusion(outputs, targets, task).double() / len(targets)
    weights = agreement_weights(table.shape[1], ordered).to(table)
    expected = chance_agreement(table, weights)
    value = ((table * weights).sum((1, 2)) - expected) / (1 - expected)
    return torch.where(expected < 1, value, torch.nan)


def confusion(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """How many rows of class i are predicted to be j, `[members, classes, classes]` (i, j), int64."""
    classes = 2 if task == "binary" else outputs.shape[2]
    cells = targets.long() * classes + predicted_class(outputs, task)
    counts = cells.new_zeros(len(outputs), classes**2)
    counts.scatter_add_(1, cells, torch.ones_like(cells))
    return counts.view(-1, classes, classes)


def agreement_weights(classes: int, ordered: bool) -> Tensor:
    """w, `[classes, classes]`: the identity, or quadratic weights for ordered classes."""
    if not ordered:
        return torch.eye(classes, dtype=torch.float64)
    place = torch.arange(classes, dtype=torch.float64)
    return 1 - (place[:, None] - place).square() / max(1, classes - 1) ** 2


def chance_agreement(table: Tensor, weights: Tensor) -> Tensor:
    """p_e of confusion matrices `[members, classes, classes]`, `[members]`."""
    return torch.einsum("ei,ij,ej->e", table.sum(2), weights, table.sum(1))
