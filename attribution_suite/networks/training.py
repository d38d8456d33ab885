"""One training loop for all members of an ensemble, each stopped by its own validation loss."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

import torch
from torch import Tensor

from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.backward import Backward
from attribution_suite.networks.batches import Batches, Replacement
from attribution_suite.networks.ensemble import Ensemble, Nodes
from attribution_suite.networks.module_backward import backward_for

HISTORY_VALUES = 128_000_000  # the most numbers a weight history may hold: 512 MB


@dataclass(frozen=True)
class Training:
    """A budget: the optimiser, and when to stop.

    `patience`: epochs without a better validation loss before a member stops; None trains all `epochs`.
    `keep`: the weights of the best validation loss, or the last ones. `max_steps` ends training within an epoch.
    `record_every`: copies the first layer's weights after every k-th epoch into `Trained.history`; None copies nothing.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam"
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    max_steps: int | None = None
    record_every: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InputError(f"training needs epochs ≥ 0, batch_size ≥ 1 and learning_rate > 0, got {self}")
        for option in ("patience", "max_steps", "record_every"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise InputError(f"training needs {option} of at least 1, or None to do without, got {value}")
        if self.optimiser not in ("adam", "rmsprop", "sgd"):
            raise unknown_name("optimiser", self.optimiser, ("adam", "rmsprop", "sgd"))
        if self.keep not in ("best", "last"):
            raise unknown_name("weights to keep", self.keep, ("best", "last"))


@dataclass(frozen=True)
class Trained:
    """Trained networks. `training_loss`, `validation_loss` `[epochs, members]`, NaN after a member stopped;
    `steps` `[members]`: optimiser steps until the kept weights; `seconds` of the whole ensemble; `history`
    `[recorded epochs, members, hidden, features]`: the first layer's weights after epoch k, 2k, … (`record_every` k),
    NaN after a member stopped; None if not asked for."""

    networks: Ensemble
    training_loss: Tensor
    validation_loss: Tensor
    steps: Tensor
    seconds: float = field(compare=False, default=0.0)
    history: Tensor | None = None


def train(networks: Ensemble, train: Split, validation: Split, task: Task, training: Training, seeds: Sequence[int],
          *, clamp: Nodes | None = None, replaced: Nodes | None = None,
          replacement: Replacement | None = None) -> Trained:
    """Trains every member on `train`, stopping each by its own loss on `validation`.

    `networks` has len(seeds) × variants members, seed-major; batch order depends on the seed alone. Inputs are
    `[rows, features]`, or `[seeds, rows, features]` where seeds differ (a hidden layer).
    `clamp`: nodes whose first-layer weights stay exactly zero (they must be zero at the start; their gradient is set to
    zero, so no momentum moves them). `replaced`: nodes that each member sees through `replacement`, in training and in
    validation: early stopping follows the objective that is trained.

    Raises InputError where networks, seeds, rows and nodes do not fit, and where a member's loss is not finite.
    """
    started = time.perf_counter()
    _check(networks, {"training": train, "validation": validation}, seeds, clamp, replaced, replacement)
    if training.record_every is not None and (reason := networks.refusal("layers")):
        raise InputError(f"record_every copies the first layer's weights: {reason}")
    loop = backward_for(networks, task, len(seeds), clamp, replaced)
    optimiser = _optimiser(training, loop.parameters)
    batches = Batches(train, seeds, training.batch_size, loop.own, replacement)
    held_out = Batches(validation, seeds, training.batch_size, loop.own, replacement, purpose=2,
                       table=train).fixed()
    stopping, history = _Stopping(loop, training), _History(loop, training)
    for epoch in range(training.epochs):
        loss, rows = networks.biases[0].new_zeros(len(networks)), 0
        for batch in batches.epoch():
            loss += loop.backward(batch)
            optimiser.step()
            rows += batch.size
            if stopping.step():
                break
        history.epoch(epoch, stopping.running)
        if stopping.epoch(loss / rows, loop.loss(held_out)):
            break
    return replace(stopping.result(time.perf_counter() - started), history=history.result())


class _History:
    """The first layer's weights after every k-th epoch, in memory of a size known before training starts."""

    def __init__(self, loop: Backward, training: Training) -> None:
        self.loop, self.every, self.taken = loop, training.record_every, 0
        if self.every is None:
            return
        shape = (training.epochs // self.every, *loop.weights[0].shape)
        if prod(shape) > HISTORY_VALUES:
            raise InputError(f"a weight history of {' × '.join(map(str, shape))} (epochs × networks × units × inputs) "
                             f"is over the limit of {HISTORY_VALUES:,} values: raise record_every (now {self.every}) "
                             "or train fewer networks at once")
        self.record = loop.parameters.detach().new_empty(shape)

    def epoch(self, epoch: int, running: Tensor) -> None:
        """Copies the weights after epoch number `epoch` (from 0) if it is one to record; NaN for a stopped member."""
        if self.every is not None and (epoch + 1) % self.every == 0:
            self.record[self.taken] = self.loop.weights[0].masked_fill(~running[:, None, None], torch.nan)
            self.taken += 1

    def result(self) -> Tensor | None:
        """What was recorded, `[recorded epochs, members, hidden, features]`."""
        return None if self.every is None else self.record[:self.taken].clone()


class _Stopping:
    """Keeps each member's best weights and says when nothing is left to train."""

    def __init__(self, loop: Backward, training: Training) -> None:
        members = len(loop.networks)
        self.loop, self.training = loop, training
        self.best = [tensor.clone() for tensor in (*loop.weights, *loop.biases)]
        self.best_loss = loop.parameters.new_full((members,), torch.inf).detach()
        self.kept_loss = self.best_loss
        self.since_best = torch.zeros_like(self.best_loss)
        self.running = torch.ones_like(self.best_loss, dtype=torch.bool)
        self.taken, self.steps = 0, torch.zeros_like(self.best_loss, dtype=torch.int64)
        self.curves: list[tuple[Tensor, Tensor]] = []

    def step(self) -> bool:
        """Counts a step; True when the budget of steps is spent."""
        self.taken += 1
        return self.taken == self.training.max_steps

    def epoch(self, training_loss: Tensor, validation_loss: Tensor) -> bool:
        """Records an epoch; True when every member has stopped."""
        nan = torch.full_like(training_loss, torch.nan)
        self.curves.append((torch.where(self.running, training_loss, nan),
                            torch.where(self.running, validation_loss, nan)))
        improved = self.running & (validation_loss < self.best_loss)
        kept = self.running if self.training.keep == "last" else improved
        for best, now in zip(self.best, (*self.loop.weights, *self.loop.biases), strict=True):
            best[kept] = now[kept]
        self.steps[kept] = self.taken
        self.kept_loss = torch.where(kept, validation_loss, self.kept_loss)
        self.best_loss = torch.where(improved, validation_loss, self.best_loss)
        self.since_best = torch.where(improved, torch.zeros_like(self.since_best), self.since_best + 1)
        if self.training.patience is not None:
            self.running &= self.since_best < self.training.patience
        return not bool(self.running.any()) or self.taken == self.training.max_steps

    def result(self, seconds: float) -> Trained:
        """The kept weights. Raises InputError if a member's validation loss is not finite."""
        diverged = int((~torch.isfinite(self.kept_loss)).sum())
        if self.curves and diverged:
            raise InputError(f"training diverged: the validation loss of {diverged} of {len(self.kept_loss)} networks "
                             "is not finite; lower the learning rate")
        networks = self.loop.rebuilt(self.best)
        none = self.best_loss.new_empty(0, len(networks))
        training, validation = map(torch.stack, zip(*self.curves, strict=True)) if self.curves else (none, none)
        return Trained(networks, training, validation, self.steps, seconds)


def _check(networks: Ensemble, splits: Mapping[str, Split], seeds: Sequence[int], clamp: Nodes | None,
           replaced: Nodes | None, replacement: Replacement | None) -> None:
    features = networks.architecture.features
    if not len(seeds) or len(networks) % len(seeds):
        raise InputError(f"{len(networks)} networks cannot share {len(seeds)} seeds evenly")
    for name, split in splits.items():
        if not len(split.targets):
            raise InputError(f"there are no {name} rows: give the split at least one")
        if split.inputs.shape[-1] != features or split.inputs.shape[:-2] not in ((), (len(seeds),)):
            raise InputError(f"{name} inputs must be [rows, {features}] or [{len(seeds)} seeds, rows, {features}], "
                             f"got {list(split.inputs.shape)}")
    for kind, nodes in (("clamped", clamp), ("replaced", replaced)):
        if nodes is not None and len(nodes) != len(networks):
            raise InputError(f"{len(nodes)} rows of {kind} nodes do not fit {len(networks)} networks: give one each")
    if (replaced is None) != (replacement is None):
        raise InputError("replaced nodes and their replacement go together: give both or neither")
    if clamp is not None and bool((networks.weights[0] * clamp.mask(features)[:, None]).any()):
        raise InputError("clamped nodes must start with zero weights: fold them first (Ensemble.with_nodes_folded)")


def _optimiser(training: Training, parameters: torch.nn.Parameter) -> torch.optim.Optimizer:
    if training.optimiser == "adam":
        return torch.optim.Adam([parameters], lr=training.learning_rate, fused=True)
    if training.optimiser == "rmsprop":
        return torch.optim.RMSprop([parameters], lr=training.learning_rate)
    return torch.optim.SGD([parameters], lr=training.learning_rate, fused=True)
