"""Reads the file of a table, packed or not, and says what is wrong with one that cannot be read."""

import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd

from attribution_suite.datasets import COLUMNAR_ENDINGS, TEXT_ENDINGS
from attribution_suite.datasets.dialect import Reading, parse
from attribution_suite.errors import InputError

MOST_PACKED = 100  # a table of text packs 5 to 20 times
LEAST_LIMIT = 100_000_000  # bytes that anything may unpack to
FLOAT32_LIMIT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class TableFile:
    """A file that was read: its table, the SHA-256 of the file and of what is in it (equal if not packed), notes."""

    path: Path
    frame: pd.DataFrame
    sha256: str
    content_sha256: str
    notes: tuple[str, ...] = ()


def read_table_file(path: Path, reading: Reading | None = None) -> TableFile:
    """Reads a table with a header row, as `dialect.parse` does, or Parquet or Feather by the ending of its name.

    What it is packed in is seen from its first bytes. Raises InputError, naming the file: missing, unreadable, damaged,
    empty, not a table, rows of unequal length, columns with the same name.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        packed = path.read_bytes()
        content, name = _unpack(packed, path)
        if name.lower().endswith(COLUMNAR_ENDINGS):
            frame, notes, _ = parse_frame(_columnar(content, name), str(path), reading or Reading())
        else:
            frame, notes = parse(content, str(path), reading or Reading())
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        # RuntimeError: a zip file with a password, or packed in a way that Python does not know
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return TableFile(path, frame, hashlib.sha256(packed).hexdigest(), hashlib.sha256(content).hexdigest(), notes)


def parse_frame(frame: pd.DataFrame, where: str, reading: Reading) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    """A DataFrame as the CSV that it would be written to is read, without its index; notes; that CSV's SHA-256."""
    text = _csv_text(frame, where)
    return *parse(text, where, Reading(",", reading.decimal, "utf-8", reading.na)), hashlib.sha256(text).hexdigest()


def _csv_text(frame: pd.DataFrame, where: str) -> bytes:
    """The DataFrame as CSV. Raises InputError for columns in several levels, or without a name of their own."""
    if frame.columns.nlevels > 1:
        raise InputError(f"{where}: the columns have {frame.columns.nlevels} levels of names: give each one name")
    if not len(frame.columns):
        raise InputError(f"{where}: has no column")
    try:
        return frame.to_csv(index=False).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: holds text that is not Unicode: {error.reason}") from error


def _columnar(content: bytes, name: str) -> pd.DataFrame:
    import pyarrow

    try:
        reader = pd.read_parquet if name.lower().endswith(".parquet") else pd.read_feather
        return reader(io.BytesIO(content))
    except pyarrow.ArrowException as error:
        raise OSError(str(error).strip().splitlines()[0]) from error


def _unpack(packed: bytes, path: Path) -> tuple[bytes, str]:
    """What is in the file, and the name of it."""
    if packed.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(packed)) as file:
            return _bounded(file, len(packed), path), path.name.removesuffix(".gz")
    if not packed.startswith(b"PK\x03\x04"):
        return packed, path.name
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        tables = [name for name in archive.namelist()
                  if name.lower().endswith(TEXT_ENDINGS + COLUMNAR_ENDINGS) and not name.startswith("__MACOSX")]
        csv = [name for name in tables if name.lower().endswith(".csv")]  # a readme.txt beside it is no table
        wanted = [name for name in tables if PurePosixPath(name).name == path.stem] or csv or tables
        if len(wanted) != 1:
            listed = ", ".join(tables) or "none"
            raise InputError(f"{path}: a zip file must hold one table, found: {listed}; unpack it and name one")
        with archive.open(wanted[0]) as file:
            return _bounded(file, len(packed), path), wanted[0]


def _bounded(file: IO[bytes] | gzip.GzipFile, packed: int, path: Path) -> bytes:
    """What an archive unpacks to. Raises InputError for far more than a table packs: it would fill the memory."""
    most = max(LEAST_LIMIT, MOST_PACKED * packed)
    content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: unpacks to more than {most / 1e6:.0f} MB, {MOST_PACKED} times its size: no table "
                         "packs so well; unpack it yourself if it is one")
    return content


def is_text(column: pd.Series) -> bool:
    """True unless the column holds numbers or booleans (booleans with gaps count as such)."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    return not column.dropna().map(lambda value: isinstance(value, bool)).all()


def numbers(column: pd.Series, where: str) -> np.ndarray:
    """A column's values as float64 `[rows]`, NaN where missing; `where` names the file in an error.

    Raises InputError for text and for values that float32, which the networks use, cannot hold (±inf, 1e39).
    """
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.isnan(values) & column.notna().to_numpy()
    if text.any():
        row = int(text.argmax())
        raise InputError(f"{where}: column '{column.name}' holds numbers, but '{column.iloc[row]}' in data row "
                         f"{row + 1}: correct it, or leave it empty for 'missing'")
    infinite = np.abs(values) > FLOAT32_LIMIT
    if infinite.any():
        row = int(infinite.argmax())
        raise InputError(f"{where}: column '{column.name}' has {values[row]:g} in data row {row + 1}: "
                         "inputs must be finite in single precision")
    return values
