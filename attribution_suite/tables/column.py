"""A column of a table: its type, unit and meaning, which travel with the Parquet files and make their documentation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from attribution_suite.errors import InputError

MADE_FROM = "made_from"  # in a table's metadata: what run.json calls 'tables_from'

Kind = Literal["str", "int64", "bool", "float64"]
_PARQUET: Mapping[Kind, pa.DataType] = {
    "str": pa.string(), "int64": pa.int64(), "bool": pa.bool_(), "float64": pa.float64()}


@dataclass(frozen=True)
class Column:
    """`dtype` is pandas', `unit` the range or unit of the values ('' where there is none), `meaning` one sentence."""

    dtype: Kind
    unit: str
    meaning: str


def text(meaning: str) -> Column:
    """A column of names."""
    return Column("str", "", meaning)


def whole(meaning: str, unit: str = "") -> Column:
    """A column of whole numbers."""
    return Column("int64", unit, meaning)


def number(meaning: str, unit: str = "") -> Column:
    """A column of real numbers, NaN where a value does not apply or could not be measured."""
    return Column("float64", unit, meaning)


def flag(meaning: str) -> Column:
    """A column of True and False."""
    return Column("bool", "", meaning)


def check_made_from(path: Path, record: Mapping[str, Any]) -> None:
    """Raises InputError for a table that was not written with run.json, `record`: one of the two is another run's."""
    made_from = (pq.read_schema(path).metadata or {}).get(MADE_FROM.encode(), b"").decode()
    if made_from and made_from != record.get("tables_from", made_from):
        raise InputError(f"{path}: is not of the run that run.json beside it tells of: a run ended while it wrote "
                         "them; run the same command again, which finishes it")


def tidy(columns: Mapping[str, Column], rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with exactly the documented `columns`, in their order and types.

    Raises InputError for a flag without a value, which is neither True nor False.
    """
    frame = rows.reindex(columns=list(columns))
    typed = {}
    for name, column in columns.items():
        values = frame[name]
        if column.dtype == "bool" and values.isna().any():
            row = int(values.isna().to_numpy().argmax())
            raise InputError(f"column '{name}' has no value in row {row}: a flag is True or False, never missing")
        typed[name] = values if values.dtype == column.dtype else values.astype(column.dtype)
    return pd.DataFrame(typed, index=frame.index, columns=frame.columns)  # astype of a frame visits every column


def schema(columns: Mapping[str, Column], about: Mapping[str, str]) -> pa.Schema:
    """The Parquet types of a table, each column with its unit and meaning, the file with `about` as metadata."""
    return pa.schema([
        pa.field(name, _PARQUET[column.dtype], metadata={"unit": column.unit, "meaning": column.meaning})
        for name, column in columns.items()], dict(about))
