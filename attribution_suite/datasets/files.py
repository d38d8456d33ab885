"""Reads a CSV file, plain, gzipped or zipped, and says what is wrong with one that cannot be read."""

import gzip
import hashlib
import io
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from attribution_suite.errors import InputError

FLOAT32_LIMIT = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class CsvFile:
    """A file that was read: its table, and the SHA-256 of the file and of the text in it (equal if not packed)."""

    path: Path
    frame: pd.DataFrame
    sha256: str
    text_sha256: str


def read_csv_file(path: Path) -> CsvFile:
    """Reads a UTF-8, comma-separated table with a header row; what it is packed in is seen from its first bytes.

    Raises InputError, naming the file: missing, unreadable, damaged, empty, not a CSV, rows of unequal length,
    columns without a name or with the same name.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        packed = path.read_bytes()
        text = _unpack(packed, path)
        frame = _parse(text, path)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return CsvFile(path, frame, hashlib.sha256(packed).hexdigest(), hashlib.sha256(text).hexdigest())


def _unpack(packed: bytes, path: Path) -> bytes:
    if packed.startswith(b"\x1f\x8b"):
        return gzip.decompress(packed)
    if not packed.startswith(b"PK\x03\x04"):
        return packed
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        tables = [name for name in archive.namelist()
                  if name.lower().endswith(".csv") and not name.startswith("__MACOSX")]
        wanted = [name for name in tables if PurePosixPath(name).name == path.stem] or tables
        if len(wanted) != 1:
            listed = ", ".join(tables) or "none"
            raise InputError(f"{path}: a zip file must hold one CSV file, found: {listed}; unpack it and name one")
        return archive.read(wanted[0])


def _parse(text: bytes, path: Path) -> pd.DataFrame:
    try:
        header = pd.read_csv(io.BytesIO(text), header=None, nrows=1, dtype=str, keep_default_na=False,
                             encoding="utf-8-sig").iloc[0]
        with warnings.catch_warnings():
            # index_col=False: else a row longer than the header silently shifts all columns by one.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(io.BytesIO(text), index_col=False, low_memory=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: the file is empty") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{path}: not a CSV table: some rows have more values than the header has names") from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: not a comma-separated table in UTF-8: {reason}") from error
    if (header == "").any():
        raise InputError(f"{path}: column {header.tolist().index('') + 1} has no name in the header: "
                         "name it, or drop it (an index that was saved with the table?)")
    if header.duplicated().any():
        raise InputError(f"{path}: two columns are named '{header[header.duplicated()].iloc[0]}': rename or drop one")
    frame.columns = pd.Index(header.tolist())
    if len(frame.columns) == 1 and any(mark in header.iloc[0] for mark in ";\t|"):
        raise InputError(f"{path}: one column only, '{header.iloc[0]}': save the table with commas between values")
    return frame


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
