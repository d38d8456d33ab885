"""A table of the user's own from arrays: the inputs exactly as their network takes them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from attribution_suite.datasets.files import FLOAT32_LIMIT
from attribution_suite.datasets.table import Provenance, TabularDataset, Task, random_split, stratified_split
from attribution_suite.errors import InputError, unknown_name

MIN_ROWS = 20
Columns = Sequence[str] | Sequence[int]


def from_arrays(inputs: Any, targets: Any, *, feature_names: Sequence[str] | None = None, task: Task | None = None,
                groups: Mapping[str, Columns] | None = None, name: str = "table", target: str = "target",
                scaling: Literal["none", "standard", "minmax"] = "none", ordered: bool = False,
                split: Sequence[float] | Sequence[Sequence[int]] = (0.7, 0.15, 0.15), seed: int = 0,
                index_columns: Sequence[str] = ()) -> TabularDataset:
    """A `TabularDataset` from inputs `[rows, features]` (DataFrame, array or tensor of numbers) and targets `[rows]`.

    `feature_names`: those of the DataFrame, else x0, x1, …. `task`: without it, two values are 'binary', integers,
    booleans and text 'multiclass', other numbers 'regression'. A binary network has one logit; give one of two
    logits as 'multiclass'. `groups`: the columns (names or positions) that one original column was encoded into;
    columns that are not named are features of their own. `ordered`: classes are grades, in the order of their numbers
    (kappa then weighs a miss by its square). `scaling` 'none' takes the inputs as they are. `split`:
    three fractions (shuffled by `seed`, stratified for classes), or the row numbers of training, validation and test:
    give the network's own, so that it is measured on rows that it has not seen. `index_columns`: those that hold a
    category's number, as an embedding reads it; where a network has an `nn.Embedding` they are found without.

    Raises InputError, naming the column or option, for what cannot be used.
    """
    names = list(map(str, inputs.columns)) if isinstance(inputs, pd.DataFrame) else None
    values = _numbers(inputs, names)
    names = list(feature_names) if feature_names is not None else names or [f"x{k}" for k in range(values.shape[1])]
    if len(set(names)) != len(names) or len(names) != values.shape[1]:
        raise InputError(f"{values.shape[1]} columns need as many different feature names, got {names}")
    if target in names:
        raise InputError(f"'{target}' is both an input and the target's name: drop the column, or set target=")
    labels, classes, chosen = _labels(targets, len(values), task)
    if ordered:
        _check_order(targets, chosen)
    rows = _split(split, labels, chosen, seed)
    digest = hashlib.sha256(values.tobytes() + labels.tobytes()).hexdigest()
    table = TabularDataset(
        name=name, inputs=values, targets=labels, feature_names=tuple(names), groups=_groups(groups, names),
        task=chosen, target_name=target, train_rows=rows[0], validation_rows=rows[1], test_rows=rows[2],
        provenance=Provenance("given", "arrays", digest), classes=classes, ordered=ordered, scaling=scaling)
    return table.with_index_columns(index_columns) if index_columns else table


def _numbers(inputs: Any, names: Sequence[str] | None) -> np.ndarray:
    """The inputs as float32 `[rows, features]`."""
    try:
        values = np.asarray(inputs, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"inputs must be numbers, encoded as the network takes them: {error}") from error
    if values.ndim != 2 or len(values) < MIN_ROWS or not values.shape[1]:
        raise InputError(f"inputs must be [rows, features] of at least {MIN_ROWS} rows, got {list(values.shape)}")
    bad = np.flatnonzero(~np.isfinite(values).all(0))
    if len(bad):
        raise InputError(f"column {names[bad[0]] if names else bad[0]} has missing or infinite values: fill them as "
                         "for the network")
    return values


def _labels(targets: Any, rows: int, task: Task | None) -> tuple[np.ndarray, tuple[str, ...], Task]:
    """Targets `[rows]` in the form that `Split` says, the classes' names, the task."""
    values = np.asarray(targets)
    if values.shape != (rows,):
        raise InputError(f"targets must be [{rows}], one a row of the inputs, got {list(values.shape)}")
    if pd.isna(values).any():
        raise InputError("targets have missing values: drop these rows")
    if values.dtype.kind == "f" and (large := np.abs(values) > FLOAT32_LIMIT).any():
        row = int(large.argmax())
        raise InputError(f"targets[{row}] is {values[row]:g}: targets must be finite in single precision; correct the "
                         "row, or drop it")
    distinct, codes = np.unique(values, return_inverse=True)
    if task is None:
        task = "binary" if len(distinct) == 2 else "regression" if values.dtype.kind == "f" else "multiclass"
    if task not in ("regression", "binary", "multiclass"):
        raise unknown_name("task", task, ("regression", "binary", "multiclass"))
    if len(distinct) < 2:
        raise InputError("targets are the same in every row: there is nothing to explain")
    if task == "regression":
        if values.dtype.kind not in "iufb":
            raise InputError("a regression needs targets that are numbers")
        return values.astype(np.float32), (), task
    if task == "binary" and len(distinct) != 2:
        raise InputError(f"a binary task needs targets of two values, got {len(distinct)}: use task='multiclass'")
    return codes.astype(np.float32 if task == "binary" else np.int64), tuple(map(str, distinct)), task


def _check_order(targets: Any, task: Task) -> None:
    """Raises InputError for targets that have no classes to order, or whose order is not that of numbers."""
    if task != "multiclass":
        raise InputError(f"ordered=True is for three classes or more, and the task is {task}: leave it out")
    if np.asarray(targets).dtype.kind not in "iuf":
        raise InputError("ordered=True needs targets that are numbers, for text would be ordered by the alphabet: "
                         "number the classes from the lowest to the highest")


def _split(split: Any, labels: np.ndarray, task: Task, seed: int) -> tuple[np.ndarray, ...]:
    """Row numbers of training, validation and test."""
    if len(split) != 3:
        raise InputError("split has three parts: training, validation and test")
    if all(np.ndim(part) == 0 for part in split):
        if min(split) <= 0 or not np.isclose(sum(split), 1):
            raise InputError(f"the fractions of a split are above 0 and sum to 1, got {tuple(split)}")
        return random_split(len(labels), split, seed) if task == "regression" else stratified_split(labels, split, seed)
    parts = tuple(np.asarray(part, dtype=np.int64) for part in split)
    everything = np.concatenate(parts)
    if not all(map(len, parts)) or everything.min() < 0 or everything.max() >= len(labels):
        raise InputError(f"each part of a split needs row numbers from 0 to {len(labels) - 1}")
    if len(np.unique(everything)) != len(everything):
        raise InputError("a row is in two parts of the split, or twice in one")
    return parts


def _groups(groups: Mapping[str, Columns] | None, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Every feature's columns, in the order of their first column."""
    columns_of: dict[str, tuple[int, ...]] = {}
    for feature, columns in (groups or {}).items():
        for column in columns:
            if column not in names and not (isinstance(column, int) and 0 <= column < len(names)):
                raise unknown_name(f"column of group '{feature}'", str(column), names)
        columns_of[feature] = tuple(names.index(c) if isinstance(c, str) else int(c) for c in columns)
    grouped = [column for columns in columns_of.values() for column in columns]
    if len(set(grouped)) != len(grouped) or not all(columns_of.values()):
        raise InputError("every column is in one group at most, and no group is empty")
    columns_of |= {name: (position,) for position, name in enumerate(names) if position not in grouped}
    if len(columns_of) != len(groups or ()) + len(names) - len(grouped):
        raise InputError("a group is named like a column outside it: rename the group")
    return dict(sorted(columns_of.items(), key=lambda item: item[1][0]))
