"""Stand-ins for tables that cannot be had: columns drawn with given types, ranges, frequencies and missing rates.

A table is described by one line a column, `name | values | missing rate`, of summary statistics alone:
`M:.79 F:.21` are values with their frequencies; seven numbers are the quantiles at `PROBABILITIES`, whole ones for a
column of integers. The target is not drawn here: each data set states its own formula, which is the known truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

PROBABILITIES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class Column:
    """A column's distribution: `values` with `weights`, or the quantiles `values` where `weights` is empty."""

    name: str
    values: tuple[str, ...]
    weights: tuple[float, ...]
    missing: float

    @classmethod
    def parse(cls, line: str) -> "Column":
        """From `name | values | missing rate` (the last part may be left out)."""
        name, values, missing = (part.strip() for part in (line + "|").split("|")[:3])
        pairs = [token.partition(":") for token in values.split()]
        weights = tuple(float(weight) for _, mark, weight in pairs if mark)
        return cls(name, tuple(value for value, _, _ in pairs), weights, float(missing or 0))

    def at(self, levels: np.ndarray) -> np.ndarray:
        """The values at `levels` `[rows]` in [0, 1] of the cumulative distribution."""
        if self.weights:
            ends = np.cumsum(self.weights) / np.sum(self.weights)
            values: np.ndarray = np.array(self.values, dtype=object)[np.searchsorted(ends[:-1], levels, side="right")]
            return values if self.values[0][0].isalpha() else values.astype(np.int64)
        decimals = max(len(value.partition(".")[2]) for value in self.values)
        values = np.round(np.interp(levels, PROBABILITIES, [float(value) for value in self.values]), decimals)
        return values if decimals else values.astype(np.int64)


def parse_columns(table: str) -> tuple[Column, ...]:
    """One column a line; empty lines are skipped."""
    return tuple(Column.parse(line) for line in table.splitlines() if line.strip())


def draw(columns: tuple[Column, ...], rows: int, seed: int, shared: Mapping[str, tuple[str, float]]) -> pd.DataFrame:
    """A table with these columns, values missing at random.

    `shared` maps a column to the name of a factor and its loading a on it: the column is ordered by
    a·factor + √(1 − a²)·own, all standard normal, so two columns of a factor have rank correlation of about a·a'.
    Ranks, not draws, choose the values: minimum, maximum and frequencies are met exactly.
    """
    generator = np.random.default_rng(seed)
    factors = {name: generator.standard_normal(rows) for name, _ in sorted(set(shared.values()))}
    table = {}
    for column in columns:
        order = generator.standard_normal(rows)
        if column.name in shared:
            factor, loading = shared[column.name]
            order = loading * factors[factor] + np.sqrt(1 - loading**2) * order
        levels = np.empty(rows)
        levels[np.argsort(order)] = np.linspace(0, 1, rows)
        values = column.at(levels)
        if column.missing:
            values = values.astype(np.float64)
            values[generator.choice(rows, round(column.missing * rows), replace=False)] = np.nan
        table[column.name] = values
    return pd.DataFrame(table)


def standardised(column: pd.Series) -> np.ndarray:
    """(x − mean) / standard deviation, `[rows]`: how the formulas of the stand-ins read a column."""
    values: np.ndarray = column.to_numpy(dtype=np.float64)
    return np.asarray((values - values.mean()) / values.std())
