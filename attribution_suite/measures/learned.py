"""Has a network learned? Tests on rows that it has not seen, against the best constant and against chance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.measures.performance import agreement_weights, chance_agreement, confusion
from attribution_suite.networks.outputs import loss_per_row, single_output

SIZE = 0.05
CONSTANT = 1e-6  # outputs whose range over rows is below this part of the largest are one constant, up to rounding

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """`routes`: the one-sided p of each test, `[members]`, NaN where it has no value; `p`: the smallest, Holm-adjusted.

    The first step of Holm's procedure multiplies the smallest p by the number of routes of the task, those without a
    value among them, so that a network that learned nothing passes in at most `SIZE` of all cases. `p` is NaN where no
    route has a value, and for a network that returns one constant.
    """

    routes: Mapping[str, Floats]
    p: Floats

    @property
    def learned(self) -> NDArray[np.bool_]:
        """Whether `p` ≤ `SIZE`, `[members]`; what could not be tested has not."""
        return np.nan_to_num(self.p, nan=1.0) <= SIZE


def learned(outputs: Tensor, targets: Tensor, training_targets: Tensor, task: Task, ordered: bool = False) -> Learned:
    """Of outputs `[members, rows, outputs]` on test rows: is any route better than nothing, one-sided?

    - `loss` (every task): paired t-test over rows of the loss of the best constant (the training targets' mean, or
      their classes' frequencies) minus the network's.
    - `auc` (binary): the Mann-Whitney test, asymptotic, ties corrected, that logits of class 1 exceed those of class 0.
    - `kappa` (classes): z = kappa / its standard error under chance, quadratic weights for ordered classes.

    A network whose probabilities are too bold may lose to the constant and rank well all the same: hence the others.
    """
    routes = {"loss": _loss_route(outputs, targets, training_targets, task)}
    if task == "binary":
        routes["auc"] = _auc_route(outputs, targets)
    if task != "regression":
        routes["kappa"] = _kappa_route(outputs, targets, task, ordered)
    varies = (outputs.amax(1) - outputs.amin(1) > CONSTANT * outputs.abs().amax(1)).any(1).numpy(force=True)
    routes = {name: np.where(varies, p, np.nan) for name, p in routes.items()}
    stacked = np.stack(list(routes.values()))
    smallest = np.where(np.isnan(stacked), np.inf, stacked).min(0)
    return Learned(routes, np.where(np.isinf(smallest), np.nan, np.minimum(1.0, len(routes) * smallest)))


def best_constant(training_targets: Tensor, task: Task, outputs: int) -> Tensor:
    """The outputs `[outputs]` of the constant with the least training loss, float64.

    The mean, the logit of class 1's frequency, or the log frequencies; a class that training lacks counts as one row,
    for a constant that rules a class out would lose infinitely by it.
    """
    if task == "regression":
        return training_targets.double().mean()[None]
    classes = 2 if task == "binary" else outputs
    logs = training_targets.long().bincount(minlength=classes).clamp_min(1).double().log()
    return (logs[1] - logs[0])[None] if task == "binary" else logs


def _loss_route(outputs: Tensor, targets: Tensor, training_targets: Tensor, task: Task) -> Floats:
    from scipy.stats import ttest_1samp

    constant = best_constant(training_targets, task, outputs.shape[2]).expand(1, len(targets), -1)
    gained = loss_per_row(constant, targets, task) - loss_per_row(outputs.double(), targets, task)
    rows = gained.numpy(force=True)
    if rows.shape[1] < 2:
        return np.full(len(rows), np.nan)
    return np.asarray(ttest_1samp(rows, 0.0, axis=1, alternative="greater").pvalue)


def _auc_route(outputs: Tensor, targets: Tensor) -> Floats:
    from scipy.stats import mannwhitneyu

    logits, positive = single_output(outputs).double().numpy(force=True), targets.numpy(force=True) == 1
    if positive.all() or not positive.any():
        return np.full(len(logits), np.nan)
    return np.asarray(mannwhitneyu(logits[:, positive], logits[:, ~positive], alternative="greater",
                                   method="asymptotic", axis=1).pvalue)


def _kappa_route(outputs: Tensor, targets: Tensor, task: Task, ordered: bool) -> Floats:
    """The variance under independence of Fleiss, Cohen & Everitt (1969), with margins as observed.

    n (1 − p_e)² var = Σ_ij p_i. p_.j (w_ij − w̄_i. − w̄_.j)² − p_e², w̄_i. = Σ_j p_.j w_ij, w̄_.j = Σ_i p_i. w_ij.
    """
    from scipy.stats import norm

    table = confusion(outputs, targets, task).double() / len(targets)
    weights = agreement_weights(table.shape[1], ordered).to(table)
    true, predicted, expected = table.sum(2), table.sum(1), chance_agreement(table, weights)
    by_true, by_predicted = predicted @ weights.T, true @ weights
    left = (weights - by_true[:, :, None] - by_predicted[:, None]).square()
    variance = torch.einsum("ei,ej,eij->e", true, predicted, left) - expected.square()
    # Of one class, predicted or true, kappa is 0 by definition: nothing to test (the variance is 0 up to rounding).
    exists = ((true > 0).sum(1) > 1) & ((predicted > 0).sum(1) > 1)
    z = ((table * weights).sum((1, 2)) - expected) / (variance / len(targets)).sqrt()  # 1 − p_e cancels
    return np.asarray(norm.sf(torch.where(exists, z, torch.nan).numpy(force=True)))
