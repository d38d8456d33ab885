"""What a removal is given and what it returns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split, Task
from attribution_suite.networks.batches import Replacement
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained, train


@dataclass(frozen=True)
class Setting:
    """The data and budgets of a removal. Inputs are `[rows, features]`, or `[seeds, rows, units]` for a hidden layer.

    `training` is the original's budget, `tuning` that of a warm start; `seeds` fix batch order and draws. `fresh`: the
    untrained networks of some seeds, for a hidden layer the tails of the untrained originals; None: the networks'
    own `fresh`, which is the original's initialisation at the input only.
    """

    train: Split
    validation: Split
    task: Task
    seeds: Sequence[int]
    training: Training
    tuning: Training
    fresh: Callable[[Sequence[int]], Ensemble] | None = None

    def tune(self, networks: Ensemble, training: Training, *, clamp: Nodes | None = None,
             replaced: Nodes | None = None, replacement: Replacement | None = None) -> Trained:
        """Trains `networks` (their weights the start, a fresh optimiser) within a budget."""
        return train(networks, self.train, self.validation, self.task, training, self.seeds,
                     clamp=clamp, replaced=replaced, replacement=replacement)

    @property
    def mean(self) -> Tensor:
        """The training mean of every input, `[features]` or `[seeds, features]`."""
        return self.train.inputs.mean(-2)


class Removal(Protocol):
    """A removal method. `aims`: 'direct' (the output stops changing with x_j) or 'marginal' (proxies included)."""

    name: ClassVar[str]
    aims: ClassVar[Literal["direct", "marginal"]]

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Edited copies: member e without `nodes.index[e]`. `networks` is seed-major and stays untouched."""
        ...

    def replacement(self) -> Replacement | None:
        """How training data lose the columns, for a baseline that is refitted; None if only weights are edited."""
        ...


def edited(networks: Ensemble, started: float) -> Trained:
    """The result of an edit in closed form: no epochs, no steps."""
    none = networks.biases[0].new_empty(0, len(networks))
    steps = none.new_zeros(len(networks), dtype=torch.int64)
    return Trained(networks, none, none, steps, time.perf_counter() - started)


def member_means(setting: Setting, nodes: Nodes) -> Tensor:
    """The training means of each member's nodes, `[members, group]`."""
    means = setting.mean
    per_member = means.expand(len(nodes), -1) if means.dim() == 1 else \
        means.repeat_interleave(len(nodes) // len(means), 0)
    return per_member.gather(1, nodes.index)
