"""When each member stops, and what training keeps of it: its best weights, its curves, its weights' history."""

from math import prod

import torch
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Backward
from attribution_suite.networks.network import Ensemble

HISTORY_VALUES = 128_000_000  # the most numbers a weight history may hold: 512 MB
# Members are left out of the loop once at most this part of a seed's still runs: the copy costs a few steps.
WORTH_NARROWING = 0.8


class History:
    """The first layer's weights after every k-th epoch, in memory of a size known before training starts."""

    def __init__(self, loop: Backward, training: Training) -> None:
        self.every, self.taken = training.record_every, 0
        if self.every is None:
            return
        shape = (training.epochs // self.every, *loop.first_weight.shape)
        if prod(shape) > HISTORY_VALUES:
            raise InputError(f"a weight history of {' × '.join(map(str, shape))} (epochs × networks × units × inputs) "
                             f"is over the limit of {HISTORY_VALUES:,} values: raise record_every (now {self.every}) "
                             "or train fewer networks at once")
        self.record = loop.first_weight.new_full(shape, torch.nan)

    def epoch(self, epoch: int, loop: Backward, stopping: "Stopping") -> None:
        """Copies the weights after epoch number `epoch` (from 0) if it is one to record; NaN for a stopped member."""
        if self.every is not None and (epoch + 1) % self.every == 0:
            running = stopping.running[stopping.members]
            self.record[self.taken, stopping.members[running]] = loop.first_weight[running]
            self.taken += 1

    def result(self) -> Tensor | None:
        """What was recorded, `[recorded epochs, members, hidden, features]`."""
        return None if self.every is None else self.record[:self.taken].clone()


class Stopping:
    """Keeps each member's best weights and says when nothing is left to train.

    `members` `[positions]`: which member the loop trains at each of its positions; those that stopped drop out of it.
    """

    def __init__(self, loop: Backward, training: Training) -> None:
        self.whole, self.training = loop, training
        self.best = [tensor.clone() for tensor in loop.kept()]
        count = loop.members
        self.best_loss = self.best[0].new_full((count,), torch.inf)
        self.kept_loss, self.since_best = self.best_loss, torch.zeros_like(self.best_loss)
        self.members = torch.arange(count, device=self.best_loss.device)
        self.running = torch.ones_like(self.members, dtype=torch.bool)
        self.taken, self.steps = 0, torch.zeros_like(self.members)
        self.losses: list[Tensor] = []

    def step(self) -> bool:
        """Counts a step; True when the budget of steps is spent."""
        self.taken += 1
        return self.taken == self.training.max_steps

    def epoch(self, loop: Backward, training_loss: Tensor, validation_loss: Tensor) -> bool:
        """Records an epoch; True when every member has stopped."""
        both = torch.stack([training_loss, validation_loss])
        losses = both.new_full((2, len(self.running)), torch.nan).index_copy(1, self.members, both)
        losses = losses.masked_fill(~self.running, torch.nan)
        self.losses.append(losses)
        improved = self.running & (losses[1] < self.best_loss)
        kept = self.running if self.training.keep == "last" else improved
        kept_in_loop = kept[self.members]
        for best, now in zip(self.best, loop.kept(), strict=True):
            best[self.members[kept_in_loop]] = now[kept_in_loop]
        self.steps[kept] = self.taken
        self.kept_loss = torch.where(kept, losses[1], self.kept_loss)
        self.best_loss = torch.where(improved, losses[1], self.best_loss)
        self.since_best = torch.where(improved, torch.zeros_like(self.since_best), self.since_best + 1)
        if self.training.patience is not None:
            self.running = self.running & (self.since_best < self.training.patience)
        return not bool(self.running.any()) or self.taken == self.training.max_steps

    def narrow(self, seeds: int) -> Tensor | None:
        """The loop's positions that stay, as many of each seed, if enough have stopped; else None."""
        running = self.running[self.members].view(seeds, -1)
        most = int(running.sum(1).max())
        if most > WORTH_NARROWING * running.shape[1]:
            return None
        first = running.int().argsort(dim=1, descending=True, stable=True)[:, :most].sort(1).values
        kept = (first + running.shape[1] * torch.arange(seeds, device=first.device)[:, None]).flatten()
        self.members = self.members[kept]
        return kept

    def curves(self) -> tuple[Tensor, Tensor]:
        """Training and validation loss, `[epochs, members]` each, NaN after a member stopped."""
        none = self.best_loss.new_empty(0, len(self.running))
        return (torch.stack([losses[0] for losses in self.losses]) if self.losses else none,
                torch.stack([losses[1] for losses in self.losses]) if self.losses else none)

    def kept(self) -> Ensemble:
        """The networks. Raises InputError if the validation loss of the weights kept is not finite."""
        diverged = int((~torch.isfinite(self.kept_loss)).sum())
        if self.losses and diverged:
            raise InputError(f"training diverged: the validation loss of {diverged} of {len(self.kept_loss)} networks "
                             "is not finite; lower the learning rate")
        return self.whole.rebuilt(self.best)
