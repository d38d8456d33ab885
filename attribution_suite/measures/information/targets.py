"""x_j as what a probe is asked for: numbers, or the indicators of a category's classes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_suite.errors import InputError

Floats = NDArray[np.float64]

# A class of fewer rows has no AUC to speak of: it is left out of the mean over classes.
LEAST_ROWS_OF_A_CLASS = 5


@dataclass(frozen=True)
class Target:
    """x_j of the rows in use: `values` `[rows, columns]`, centred; of a category, the indicators of its classes.

    A feature is a category where each of its columns holds two values in these rows, else a number (a number with its
    'missing' flag too). Columns that are constant, and classes with fewer than five rows on either side, are left out;
    where nothing is left, `values` has no column.
    """

    values: Floats
    category: bool

    @classmethod
    def of(cls, columns: ArrayLike) -> "Target":
        """From the encoded columns of one feature, `[rows, columns]`. Raises InputError for values not finite."""
        values = finite(columns, "the feature")
        values = values[:, np.ptp(values, 0) > 0]
        category = all(len(np.unique(column)) == 2 for column in values.T)
        if category:
            values = (values > values.mean(0)).astype(float)
            smaller = np.minimum(values.sum(0), (1 - values).sum(0))
            values = values[:, smaller >= LEAST_ROWS_OF_A_CLASS]
            if values.shape[1] == 2 and not (values.sum(1) - 1).any():
                values = values[:, :1]  # two classes that fill all rows are one question
        return cls(values - values.mean(0), category)

    @property
    def metric(self) -> str:
        """'auc' of a category, 'r2' of a number."""
        return "auc" if self.category else "r2"

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.values)

    def permuted(self, permutations: int, seed: int) -> Floats:
        """The values with their rows permuted, `[permutations, rows, columns]`; columns stay together."""
        orders = row_orders(self.rows, permutations, seed)
        return self.values[orders]


@lru_cache(16)  # every probe of a run asks for the same ones
def row_orders(rows: int, permutations: int, seed: int) -> NDArray[np.int64]:
    """Orders of the rows drawn at random, `[permutations, rows]`; the first k do not depend on how many are drawn.

    Shared by all who ask: not to be written to.
    """
    return np.stack([np.random.default_rng((seed, draw)).permutation(rows) for draw in range(permutations)])


def finite(values: ArrayLike, name: str) -> Floats:
    """The values as floats, one column where they have no columns. Raises InputError for any that is not finite."""
    array = np.asarray(values, float)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite: fill or drop missing values first")
    return array[:, None] if array.ndim == 1 else array
