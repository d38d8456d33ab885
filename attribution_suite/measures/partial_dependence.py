"""Partial dependence of a network's prediction on one input, and the curves of single rows that it is the mean of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.networks.network import Ensemble

MOST_VALUES = 20  # of a number
MOST_POINTS = 60  # of a feature of several columns
MISSING = "missing"  # what the encoder calls the flag of a missing number


@dataclass(frozen=True)
class Grid:
    """Where a feature of g columns is put, each point a value that occurs in the training rows.

    `values` `[points, g]`: the columns there. `number` `[points]`: the feature's amount, in the units of `values`, NaN
    where it has none (a category, a missing value). `level` `[points]`: what the point is called, '' of an amount.
    """

    values: np.ndarray
    number: np.ndarray
    level: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, feature: str, names: Sequence[str], others: Sequence[str] = ()) -> "Grid":
        """From the columns in the training rows, `[rows, g]`, and their `names`.

        A number: all its values if they are at most `MOST_VALUES`, else as many quantiles, from the least to the
        largest. A category: its levels. A number beside flags (a 'missing' flag, a part of a category): the quantiles
        for each pattern of the flags that occurs. Several numbers: some of the rows, evenly spread. `others`: the
        levels of the category, of which one may have no column of its own.
        """
        flag = np.array([name != feature and bool(np.isin(column, (0, 1)).all())
                         for name, column in zip(names, rows.T, strict=True)])
        flags = pd.DataFrame(rows[:, flag])
        patterns = [rows] if flags.empty else [rows[part.index] for _, part in sorted(
            flags.groupby(list(flags)), key=lambda each: _first_flag(np.array(each[0])))]
        values = np.concatenate([_spread(pattern, flag) for pattern in patterns])
        values = values[np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int))]
        if (~flag).sum() > 1:
            level = [", ".join(f"{name} {value:.4g}" for name, value in zip(names, point, strict=True))
                     for point in values]
        else:
            of_flags = [name for name, is_flag in zip(names, flag, strict=True) if is_flag]
            level = [_level(point[flag], of_flags, feature, others, bool(flag.all())) for point in values]
        number = values[:, ~flag][:, 0] if (~flag).sum() == 1 else np.full(len(values), np.nan)
        return cls(values, np.where([name == MISSING for name in level], np.nan, number), np.array(level, dtype=object))


def amounts(column: np.ndarray) -> np.ndarray:
    """At most `MOST_VALUES` values of a column `[rows]` that occur, rising: all of them, or its quantiles."""
    distinct = np.unique(column)
    if len(distinct) <= MOST_VALUES:
        return distinct
    quantiles: np.ndarray = np.unique(np.quantile(column, np.linspace(0, 1, MOST_VALUES), method="nearest"))
    return quantiles


def curves(networks: Ensemble, inputs: Tensor, columns: Sequence[int], values: Tensor, task: Task) -> Tensor:
    """The prediction of each row with the feature put at each value of a grid, `[members, rows, points, outputs]`.

    One such curve is the individual conditional expectation of a row, f(x_j = t, x_i without j) over t (Goldstein et
    al. 2015); their mean over rows is the partial dependence of f on x_j (Friedman 2001). f is the prediction, the
    probability of the second of two classes, or the probability of each class.

    `inputs` `[rows, features]`, or `[members, rows, features]` for the tail behind a hidden layer; `columns` are the
    feature's, `values` `[points, len(columns)]` as the networks take them. All rows, points and members go through the
    networks together, in pieces of bounded memory, as a change of the first pre-activation: where a network's weights
    from the feature are zero, a curve is level up to rounding.
    """
    rows, points = inputs.shape[-2], len(values)
    moved = values.to(inputs).repeat(rows, 1)
    pieces = []
    for piece, part in networks.pieces(rows * points * max(networks.architecture.widths[1:])):
        seen = inputs if inputs.dim() == 2 else inputs[piece]
        first = part.first(seen).repeat_interleave(points, 1)
        outputs = part.finish(part.first_with(first, seen.repeat_interleave(points, -2), columns, moved))
        pieces.append(predictions(outputs, task).unflatten(1, (rows, points)))
    return torch.cat(pieces)


def predictions(outputs: Tensor, task: Task) -> Tensor:
    """Raw outputs `[…, outputs]` as what a reader knows: the prediction, or the probability of each class."""
    if task == "regression":
        return outputs
    return torch.sigmoid(outputs) if task == "binary" else F.softmax(outputs, -1)


def _first_flag(pattern: np.ndarray) -> tuple[bool, list[float]]:
    """The order of patterns: none set, then by the columns, the first one first."""
    return bool(pattern.any()), (-pattern).tolist()


def _spread(rows: np.ndarray, flag: np.ndarray) -> np.ndarray:
    """Points of one pattern of the flags: the quantiles of the number, or of several numbers some of the rows."""
    if flag.all():
        return rows[:1]
    if (~flag).sum() > 1:
        order = np.lexsort(rows[:, ~flag].T[::-1])
        chosen = np.unique(np.linspace(0, len(rows) - 1, MOST_VALUES).round().astype(int))
        some: np.ndarray = rows[order[chosen]]
        return some
    number = amounts(rows[:, ~flag][:, 0])
    points = rows[:1].repeat(len(number), 0)
    points[:, ~flag] = number[:, None]
    return points


def _level(point: np.ndarray, names: Sequence[str], feature: str, others: Sequence[str], category: bool) -> str:
    """The categories whose columns are 1; of a category without any, the one level that has no column."""
    called = [name.removeprefix(f"{feature} ").removeprefix(f"{feature}=").rpartition("=")[2] for name in names]
    there = [name for name, value in zip(called, point, strict=True) if value]
    rest = [name for name in others if name not in called]
    if there or not category:
        return ", ".join(there)
    return rest[0] if len(rest) == 1 else f"not {' or '.join(called)}"
