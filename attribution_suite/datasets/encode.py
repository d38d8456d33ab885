"""Columns of numbers, booleans and text as the float32 columns that a network takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from attribution_suite.datasets.files import is_text, numbers
from attribution_suite.errors import InputError

Fill = Literal["mean", "median"]


@dataclass(frozen=True)
class Encoded:
    """`inputs` float32 `[rows, features]`, the features' names, and each original column's features.

    `levels`: the categories of each column of text, those without a feature of their own too.
    """

    inputs: np.ndarray
    names: tuple[str, ...]
    groups: dict[str, tuple[int, ...]]
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)


def encode(frame: pd.DataFrame, train_rows: np.ndarray, fill: Fill, where: str,
           parts: Mapping[str, str] | None = None) -> Encoded:
    """Encodes every column; `parts` names the original column of those that are parts of one.

    Numbers and booleans: one feature; with missing values, these become the mean or median of the training rows, and
    a feature `<column> missing` joins the column's group (so that removing a column removes its gaps too).
    Text: a feature a category, `<column>=<category>`, missing being one more; with two categories the second alone.
    Categories are those of the whole table: a validation or test row cannot hold an unseen one.
    Raises InputError, naming `where` and the column, for one that nothing is known of in the training rows.
    """
    encoder = Encoder(train_rows, fill, where)
    values = [feature for name in frame
              for feature in encoder.features(frame[name], (parts or {}).get(str(name), str(name)))]
    return encoder.encoded(stack(values))


@dataclass
class Encoder:
    """Encodes columns one at a time, as `encode` says, and remembers what became of each."""

    train_rows: np.ndarray
    fill: Fill
    where: str
    names: list[str] = field(default_factory=list)
    groups: dict[str, tuple[int, ...]] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def features(self, column: pd.Series, original: str) -> list[np.ndarray]:
        """The features `[rows]` of a column that is part of `original`, or is it."""
        features = (_text if is_text(column) else _number)(column, self.train_rows, self.fill, self.where)
        start = len(self.names)
        self.groups[original] = (*self.groups.get(original, ()), *range(start, start + len(features)))
        self.names += features
        if is_text(column):
            self.levels[str(column.name)] = tuple(sorted(column.dropna().astype(str).unique()))
        return list(features.values())

    def encoded(self, inputs: np.ndarray) -> Encoded:
        """With all features side by side."""
        return Encoded(inputs, tuple(self.names), self.groups, self.levels)


def stack(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Columns `[rows]` side by side, as float32 `[rows, columns]`."""
    inputs = np.empty((len(columns[0]), len(columns)), dtype=np.float32)
    for index, column in enumerate(columns):
        inputs[:, index] = column
    return inputs


def one_hot(column: pd.Series) -> dict[str, np.ndarray]:
    """0/1 features `[rows]`, one a category in sorted order, then one for missing values if there are any."""
    known = column.dropna().astype(str)
    texts = column.astype(str).to_numpy()
    present = column.notna().to_numpy()
    features = {f"{column.name}={category}": (texts == category) & present for category in sorted(known.unique())}
    return features if present.all() else {**features, f"{column.name} missing": ~present}


def _text(column: pd.Series, train_rows: np.ndarray, fill: Fill, where: str) -> dict[str, np.ndarray]:
    features = one_hot(column)
    return dict(list(features.items())[1:]) if len(features) == 2 else features


def _number(column: pd.Series, train_rows: np.ndarray, fill: Fill, where: str) -> dict[str, np.ndarray]:
    values = numbers(column, where)
    missing = np.isnan(values)
    if not missing.any():
        return {str(column.name): values}
    seen = values[train_rows][~missing[train_rows]]
    if not len(seen):
        raise InputError(f"{where}: column '{column.name}' has no value in the training rows: drop it")
    indicator = {f"{column.name} missing": missing}
    filled = np.where(missing, np.mean(seen) if fill == "mean" else np.median(seen), values)
    # A column with one value and gaps is its gaps: filled, it would be constant.
    return indicator if np.ptp(filled) == 0 else {str(column.name): filled, **indicator}
