"""What raw outputs mean (a classifier's are logits): their loss, the class they predict, the one that is explained."""

import torch.nn.functional as F
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError


def loss_per_row(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """The task's loss of every member and row: `[E, rows, out]` and `[rows]` → `[E, rows]`.

    Regression (y − f)², in squared units of the target; binary −log σ(±f) for a logit f; multi-class −log softmax(f)_y.
    Targets are 0/1 floats for binary, class indices for multi-class. Raises InputError if the outputs do not fit them.
    """
    members, rows, width = outputs.shape
    if targets.shape != (rows,):
        raise InputError(f"{rows} rows of outputs need {rows} targets, got shape {tuple(targets.shape)}")
    if task == "multiclass":
        if targets.max() >= width:
            raise InputError(f"a target is class {int(targets.max())}, but the network has {width} outputs")
        return F.cross_entropy(outputs.transpose(1, 2), targets.expand(members, -1), reduction="none")
    values, wanted = single_output(outputs), targets.to(outputs).expand(members, -1)
    if task == "binary":
        return F.binary_cross_entropy_with_logits(values, wanted, reduction="none")
    return (values - wanted).square()


def task_loss(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """The mean of `loss_per_row` over rows, `[E]`."""
    return loss_per_row(outputs, targets, task).mean(1)


def predicted_class(outputs: Tensor, task: Task) -> Tensor:
    """The class of every member and row, int64 `[E, rows]`: logit > 0, or the largest logit (first of equal ones)."""
    if task == "regression":
        raise InputError("a regression network predicts no class; this measure applies to classifiers only")
    return outputs.argmax(2) if task == "multiclass" else (single_output(outputs) > 0).long()


def explained_output(outputs: Tensor, explained: Tensor | None) -> Tensor:
    """The output that is attributed, `[E, rows]`: of class `explained` `[E, rows]`, or the only one if that is None."""
    if explained is None:
        return single_output(outputs)
    return outputs.gather(2, explained[..., None])[..., 0]


def single_output(outputs: Tensor) -> Tensor:
    """`[E, rows, 1]` → `[E, rows]`. Raises InputError for more outputs than one."""
    if outputs.shape[2] != 1:
        raise InputError(f"regression and binary networks have one output, this one has {outputs.shape[2]}")
    return outputs[..., 0]
