"""Paths from one input to the output whose worst case is known in closed form, and the table that they run on.

The arithmetic here is numpy's, in float64, on the numbers that a network of float32 weights holds; it shares no code
with the package. x_j is column 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.perceptrons import Perceptrons

Floats = NDArray[np.float64]

COLUMNS, TRAIN, TEST = 6, 2000, 500
CORRELATION = 0.9  # of column 1 with x_j, in a table with a proxy


@dataclass(frozen=True)
class Table:
    """Standard normal columns, `train` `[2000, 6]` and `test` `[500, 6]`; the largest x_j is a training row's."""

    train: Tensor
    test: Tensor

    @classmethod
    def draw(cls, seed: int, proxy: bool = False) -> "Table":
        """`proxy`: column 1 is correlated `CORRELATION` with x_j, else independent of it as all others are."""
        rows = np.random.default_rng(seed).standard_normal((TRAIN + TEST, COLUMNS))
        if proxy:
            rows[:, 1] = CORRELATION * rows[:, 0] + (1 - CORRELATION**2) ** 0.5 * rows[:, 1]
        largest = int(rows[:, 0].argmax())
        rows[[0, largest]] = rows[[largest, 0]]
        inputs = torch.from_numpy(rows.astype(np.float32))
        return cls(inputs[:TRAIN], inputs[TRAIN:])

    @property
    def native(self) -> Floats:
        """The test rows, as numbers."""
        return np.asarray(self.test.double().numpy())

    @property
    def ends(self) -> Floats:
        """The least and the largest x_j of the training rows."""
        column = self.train[:, 0].double().numpy()
        return np.array([column.min(), column.max()])


@dataclass(frozen=True)
class Path:
    """c · (σ(S₁ σ(W x + b)) − σ(S₂ σ(W x + b))) for c = 1: W `[members, 4, 6]`, b `[members, 4]`, S `[members, 2, 4]`.

    `reach` `[members]`: its D.
    """

    first: Floats
    bias: Floats
    second: Floats
    reach: Floats

    @classmethod
    def empty(cls, members: int) -> "Path":
        """All weights zero: no path."""
        return cls(np.zeros((members, 4, COLUMNS)), np.zeros((members, 4)), np.zeros((members, 2, 4)),
                   np.zeros(members))

    def networks(self, coefficient: Tensor, activation: Activation) -> Perceptrons:
        """The path times `coefficient` `[members]`, as perceptrons 6-4-2-1."""
        members = len(self.first)
        weights = (*(torch.from_numpy(values).float() for values in (self.first, self.second)),
                   torch.stack([coefficient, -coefficient], 1)[:, None].float())
        biases = (torch.from_numpy(self.bias).float(), torch.zeros(members, 2), torch.zeros(members, 1))
        return Perceptrons(Architecture(COLUMNS, (4, 2), 1, activation), weights, biases)


Plant = Callable[[Table, int, np.random.Generator], Path]


def relu(values: Floats) -> Floats:
    return np.maximum(values, 0)


def stored(values: Floats | float) -> Floats:
    """The numbers that a network of float32 weights holds."""
    return np.float32(values).astype(float)


def none(table: Table, members: int, generator: np.random.Generator) -> Path:
    return Path.empty(members)


def cancelling(table: Table, members: int, generator: np.random.Generator) -> Path:
    """Two identical units that read x_j, with outgoing weights v and −v: D = 0, and no weight is."""
    path = Path.empty(members)
    path.first[:, :2] = generator.normal(size=(members, 1, COLUMNS))
    path.bias[:, :2] = generator.normal(size=(members, 1))
    path.second[:, [0, 1], [0, 1]] = generator.uniform(0.5, 3, (members, 1))
    return path


def linear(table: Table, members: int, generator: np.random.Generator) -> Path:
    """a · x_j = relu(a x_j) − relu(−a x_j): D = |a| · the longest way from a test row's x_j to an end."""
    path, slope = Path.empty(members), stored(generator.uniform(0.5, 3, members) * generator.choice([-1, 1], members))
    path.first[:, 0, 0], path.first[:, 1, 0] = slope, -slope
    path.second[:, [0, 1], [0, 1]] = 1
    path.reach[:] = np.abs(slope) * np.abs(table.native[:, 0, None] - table.ends).max()
    return path


def few_rows(table: Table, members: int, generator: np.random.Generator) -> Path:
    """relu(a x_j + M (x_k − q)), q the 99 % quantile of x_k, M ≫ a: x_j counts where x_k is in its top 1 %."""
    path, slope = Path.empty(members), stored(generator.uniform(0.5, 2, members))
    steep = stored(generator.uniform(20, 50, members))
    shift = stored(-steep * np.quantile(table.native[:, 2], 0.99))
    path.first[:, 0, 0], path.first[:, 0, 2], path.bias[:, 0], path.second[:, 0, 0] = slope, steep, shift, 1
    rest = steep[:, None] * table.native[:, 2] + shift[:, None]
    before = relu(slope[:, None] * table.native[:, 0] + rest)
    path.reach[:] = np.max([np.abs(relu(slope[:, None] * end + rest) - before) for end in table.ends], (0, 2))
    return path


def saturated_gate(table: Table, members: int, generator: np.random.Generator) -> Path:
    """a · relu(x_j − h), h above every test row's x_j and below the largest in training: no row has a gradient."""
    path, slope = Path.empty(members), stored(generator.uniform(0.5, 3, members))
    seen, end = table.native[:, 0].max(), table.ends[1]
    threshold = stored(seen + (end - seen) * generator.uniform(0.1, 0.7, members))
    path.first[:, 0, 0], path.bias[:, 0], path.second[:, 0, 0] = 1, -threshold, slope
    path.reach[:] = slope * (end - threshold)
    return path


def interaction(table: Table, members: int, generator: np.random.Generator) -> Path:
    """relu(x_j + a x_k) − relu(x_j − a x_k): kinks at ∓a x_k."""
    path, slope = Path.empty(members), stored(generator.uniform(0.5, 2, members))
    path.first[:, :2, 0], path.first[:, 0, 3], path.first[:, 1, 3] = 1, slope, -slope
    path.second[:, [0, 1], [0, 1]] = 1
    partner = slope[:, None] * table.native[:, 3]
    moved = np.stack([*(np.clip(kink, *table.ends) for kink in (partner, -partner)),
                      *(np.full_like(partner, end) for end in table.ends)])
    before = relu(table.native[:, 0] + partner) - relu(table.native[:, 0] - partner)
    path.reach[:] = np.abs(relu(moved + partner) - relu(moved - partner) - before).max((0, 2))
    return path


def spike(table: Table, members: int, generator: np.random.Generator) -> Path:
    """A triangle of half-width 0.01 at s, which a search of evenly spaced values may step over: D is its height."""
    path, centre, width = Path.empty(members), stored(generator.uniform(-2, 2, members)), 1 / 128
    path.first[:, :3, 0] = 1
    path.bias[:, :3] = stored(-centre[:, None] + np.array([width, 0, -width]))
    path.second[:, 0, :3] = np.array([1, -2, 1]) * 32

    def height(values: Floats) -> Floats:
        return relu((path.second[:, 0] * relu(values[..., None] + path.bias)).sum(-1))

    kinks = -path.bias.T
    moved = np.stack([height(values) for values in (*kinks[:3], *np.repeat(table.ends[:, None], members, 1))])
    before = height(np.repeat(table.native[:, :1], members, 1))
    path.reach[:] = np.abs(moved[:, None] - before).max((0, 1))
    return path


def saturating(table: Table, members: int, generator: np.random.Generator) -> Path:
    """tanh(b tanh(a x_j)), monotone: D lies at an end."""
    path, inner, outer = Path.empty(members), *(stored(generator.uniform(0.3, 2, members)) for _ in range(2))
    path.first[:, 0, 0], path.second[:, 0, 0] = inner, outer

    def value(x: Floats) -> Floats:
        return np.tanh(outer * np.tanh(inner * x[..., None]))

    path.reach[:] = np.abs(value(table.ends)[:, None] - value(table.native[:, 0])).max((0, 1))
    return path
