"""One training loop for all members of an ensemble, each stopped by its own validation loss."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Backward
from attribution_suite.networks.batches import Batches, Replacement
from attribution_suite.networks.ensemble import Ensemble, Nodes


@dataclass(frozen=True)
class Training:
    """A budget: the optimiser, and when to stop.

    `patience`: epochs without a better validation loss before a member stops; None trains all `epochs`.
    `keep`: the weights of the best validation loss, or the last ones. `max_steps` ends training within an epoch.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Literal["adam", "rmsprop", "sgd"] = "adam"
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1 or self.learning_rate <= 0:
            raise InputError(f"training needs epochs ≥ 0, batch_size ≥ 1 and learning_rate > 0, got {self}")
        if self.optimiser not in ("adam", "rmsprop", "sgd"):
            raise InputError(f"unknown optimiser '{self.optimiser}'; known: adam, rmsprop, sgd")


@dataclass(frozen=True)
class Trained:
    """Trained networks. `training_loss`, `validation_loss` `[epochs, members]`, NaN after a member stopped;
    `steps` `[members]`: optimiser steps until the kept weights; `seconds` of the whole ensemble."""

    networks: Ensemble
    training_loss: Tensor
    validation_loss: Tensor
    steps: Tensor
    seconds: float = field(compare=False, default=0.0)


def train(networks: Ensemble, train: Split, validation: Split, task: Task, training: Training, seeds: Sequence[int],
          *, clamp: Nodes | None = None, replaced: Nodes | None = None,
          replacement: Replacement | None = None) -> Trained:
    """Trains every member on `train`, stopping each by its own loss on `validation`.

    `networks` has len(seeds) × variants members, seed-major; batch order depends on the seed alone. Inputs are
    `[rows, features]`, or `[seeds, rows, features]` where seeds differ (a hidden layer).
    `clamp`: nodes whose first-layer weights stay exactly zero (they must be zero at the start; their gradient is set to
    zero, so no momentum moves them). `replaced`: nodes that each member sees through `replacement`, in training and in
    validation: early stopping follows the objective that is trained.
    """
    started = time.perf_counter()
    if len(networks) % len(seeds):
        raise InputError(f"{len(networks)} networks cannot share {len(seeds)} seeds evenly")
    loop = Backward(networks, task, len(seeds), clamp, replaced)
    optimiser = _optimiser(training, loop.parameters)
    batches = Batches(train, seeds, training.batch_size, loop.own, replacement)
    held_out = Batches(validation, seeds, training.batch_size, loop.own, replacement, purpose=2).fixed()
    stopping = _Stopping(loop, training)
    for _ in range(training.epochs):
        loss, rows = torch.zeros(len(networks)), 0
        for batch in batches.epoch():
            loss += loop.backward(batch)
            optimiser.step()
            rows += batch.size
            if stopping.step():
                break
        if stopping.epoch(loss / rows, loop.loss(held_out)):
            break
    return stopping.result(time.perf_counter() - started)


class _Stopping:
    """Keeps each member's best weights and says when nothing is left to train."""

    def __init__(self, loop: Backward, training: Training) -> None:
        members = len(loop.networks)
        self.loop, self.training = loop, training
        self.best = [tensor.clone() for tensor in (*loop.weights, *loop.biases)]
        self.best_loss = torch.full((members,), torch.inf)
        self.since_best, self.running = torch.zeros(members), torch.ones(members, dtype=torch.bool)
        self.taken, self.steps = 0, torch.zeros(members, dtype=torch.int64)
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
        self.best_loss = torch.where(improved, validation_loss, self.best_loss)
        self.since_best = torch.where(improved, torch.zeros_like(self.since_best), self.since_best + 1)
        if self.training.patience is not None:
            self.running &= self.since_best < self.training.patience
        return not bool(self.running.any()) or self.taken == self.training.max_steps

    def result(self, seconds: float) -> Trained:
        """The kept weights. Raises InputError if a member diverged from the start."""
        if self.training.epochs and not bool(torch.isfinite(self.best_loss).all()):
            raise InputError("training diverged: the validation loss was never finite; lower the learning rate")
        depth = len(self.loop.weights)
        networks = Ensemble(self.loop.networks.architecture, tuple(self.best[:depth]), tuple(self.best[depth:]))
        none = torch.empty(0, len(networks))
        training, validation = map(torch.stack, zip(*self.curves, strict=True)) if self.curves else (none, none)
        return Trained(networks, training, validation, self.steps, seconds)


def _optimiser(training: Training, parameters: torch.nn.Parameter) -> torch.optim.Optimizer:
    if training.optimiser == "adam":
        return torch.optim.Adam([parameters], lr=training.learning_rate, fused=True)
    if training.optimiser == "rmsprop":
        return torch.optim.RMSprop([parameters], lr=training.learning_rate)
    return torch.optim.SGD([parameters], lr=training.learning_rate, fused=True)
