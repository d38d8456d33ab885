"""Two tables that should be one: the file, column and row where they are not."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

RTOL = 1e-6  # of tables that another processor or version derives


def table_differences(path: Path, derived: Path, exact: bool) -> Iterator[str]:
    """A line a column of the file `path` that is not as in `derived`; equal bytes are not read."""
    if path.read_bytes() == derived.read_bytes():
        return
    try:
        names = [pq.read_schema(one).names for one in (path, derived)]
    except (pa.ArrowException, OSError) as error:
        yield f"{path.name}: cannot be read: {error}".splitlines()[0]
        return
    if names[0] != names[1]:
        odd = sorted({*names[0]} ^ {*names[1]}) or names[0]
        yield f"{path.name}: its columns are not those derived: {', '.join(odd)}"
        return
    if exact and pq.read_schema(path).metadata != pq.read_schema(derived).metadata:
        yield f"{path.name}: its metadata are not those derived"
    for column in names[0]:  # one at a time: a large run's attributions would fill the memory
        there, again = (pd.read_parquet(one, columns=[column]) for one in (path, derived))
        yield from unlike(path.name, there, again, exact)
        if len(there) != len(again):
            return


def unlike(name: str, there: pd.DataFrame, derived: pd.DataFrame, exact: bool) -> Iterator[str]:
    """A line a column that differs; numbers, unless `exact`, by more than `RTOL`. NaN is equal to NaN."""
    if list(there.columns) != list(derived.columns):
        yield f"{name}: its columns are not those derived"
    elif len(there) != len(derived):
        yield f"{name}: has {len(there)} rows, derived are {len(derived)}"
    else:
        for column in there:
            rows = np.flatnonzero(~_equal(there[column], derived[column], exact))
            if len(rows):
                yield (f"{name}: column '{column}', row {rows[0]}: {there[column].iloc[rows[0]]!r}, derived "
                       f"{derived[column].iloc[rows[0]]!r}" + (f"; {len(rows)} rows differ" if len(rows) > 1 else ""))


def _equal(one: pd.Series, other: pd.Series, exact: bool) -> np.ndarray:
    if one.dtype != other.dtype:
        return np.zeros(len(one), bool)
    first, second = one.to_numpy(), other.to_numpy()
    if first.dtype.kind != "f":
        return np.asarray((first == second) | (one.isna() & other.isna()).to_numpy(), bool)
    if exact:
        return np.asarray((first == second) | (np.isnan(first) & np.isnan(second)))
    return np.asarray(np.isclose(first, second, rtol=RTOL, atol=0, equal_nan=True))
