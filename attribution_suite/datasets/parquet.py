"""Parquet data sets: one file, a folder of files, or either at a URL that fsspec knows; read some columns at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
from pyarrow import parquet

from attribution_suite.datasets.dialect import Reading
from attribution_suite.datasets.files import parse_frame
from attribution_suite.errors import InputError

ENDING = ".parquet"
GROUP_VALUES = 16_000_000  # that are read at once: 128 MB


@dataclass(frozen=True)
class ParquetFiles:
    """The files of a data set in the order of their names: their rows follow each other.

    `system`: fsspec's file system, None for paths of this machine; `where`: the data set, as errors name it.
    """

    where: str
    paths: tuple[str, ...]
    system: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str) -> "ParquetFiles | None":
        """Of a file that ends in .parquet, a folder, or a URL; None for anything else.

        Files and folders whose names begin with '_' or '.' are left out, as Spark and pyarrow do. Raises InputError for
        a folder that holds none, or anything else, or that is partitioned by folders, and for a URL out of reach.
        """
        if "://" in name:
            return cls(name, *_remote(name))
        path = Path(name)
        if path.is_dir():
            inside = [file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()]
            return cls(name, tuple(str(path / file) for file in _chosen(name, inside)))
        return cls(name, (name,)) if path.is_file() and name.lower().endswith(ENDING) else None

    def open(self, path: str) -> Any:
        """One of the files, to read its bytes."""
        return Path(path).open("rb") if self.system is None else self.system.open(path, "rb")

    @cached_property
    def sha256(self) -> str:
        """Of the one file; of several over their names and hashes."""
        with_names = hashlib.sha256()
        for path in self.paths:
            with self.open(path) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if len(self.paths) == 1:
                return digest
            with_names.update(f"{PurePosixPath(path).name} {digest}\n".encode())
        return with_names.hexdigest()

    @cached_property
    def footers(self) -> list[Any]:
        """Each file's metadata. Raises InputError, naming it, for a file that is no Parquet, or has other columns."""
        footers = []
        for path in self.paths:
            try:
                with self.open(path) as file:
                    footers.append(parquet.ParquetFile(file).metadata)
            except (pyarrow.ArrowException, OSError) as error:
                raise InputError(f"{path}: cannot be read as Parquet: "
                                 f"{(str(error).strip() or type(error).__name__).splitlines()[0]}") from error
        schemas = [footer.schema.to_arrow_schema() for footer in footers]
        first, names = self.paths[0], _names(schemas[0])
        if twice := [name for place, name in enumerate(names) if name in names[:place]]:
            raise InputError(f"{first}: two columns are named '{twice[0]}': rename or drop one")
        for path, schema in zip(self.paths[1:], schemas[1:], strict=True):
            there = _names(schema)
            if missing := [name for name in names if name not in there]:
                raise InputError(f"{path}: has no column '{missing[0]}', which {first} has")
            if more := [name for name in there if name not in names]:
                raise InputError(f"{path}: has a column '{more[0]}', which {first} lacks")
            for name in names:
                if not _alike(schemas[0].field(name).type, schema.field(name).type):
                    raise InputError(f"{path}: column '{name}' is {schema.field(name).type}, in {first} it is "
                                     f"{schemas[0].field(name).type}: write both alike")
        return footers

    @cached_property
    def names(self) -> list[str]:
        """The columns, in the order of the first file; an index that pandas wrote is none."""
        return _names(self.footers[0].schema.to_arrow_schema())

    @cached_property
    def rows(self) -> int:
        """Of all files."""
        return sum(int(footer.num_rows) for footer in self.footers)

    @property
    def gigabytes(self) -> float:
        """What its values take as the networks' float32, in 10⁹ bytes, before any category has a column of its own."""
        return 4e-9 * self.rows * len(self.names)

    def read(self, names: Sequence[str]) -> pyarrow.Table:
        """Some columns of all files. Raises InputError, naming the file, for one that is damaged."""
        tables = []
        for path, footer in zip(self.paths, self.footers, strict=True):
            try:
                with self.open(path) as file:
                    tables.append(parquet.ParquetFile(file, metadata=footer).read(columns=list(names)).select(names))
            except (pyarrow.ArrowException, OSError) as error:
                raise InputError(f"{path}: cannot be read as Parquet: {str(error).strip().splitlines()[0]}") from error
        return pyarrow.concat_tables(tables, promote_options="permissive")

    def frame(self) -> pd.DataFrame:
        """All of it, in memory."""
        frame: pd.DataFrame = self.read(self.names).to_pandas(ignore_metadata=True)
        return frame


class ParquetFrame:
    """The columns of Parquet files where a DataFrame's are asked for, one at a time, each read when it is asked for.

    Numbers and booleans are as they are stored; of any other column the different values are parsed as they would
    be written to a CSV, so that text that is numbers is numbers here too.
    """

    def __init__(self, files: ParquetFiles, reading: Reading, present: np.ndarray | None = None,
                 behind: pd.DataFrame | None = None) -> None:
        """`behind`: rows that follow; `present` `[rows]`: which of all rows there are (None: all)."""
        self.files, self.reading, self.present, self.behind = files, reading, present, behind
        self.columns = [str(name) for name in files.names]
        self._read: pyarrow.Table = None

    def __len__(self) -> int:
        rows = self.files.rows + (0 if self.behind is None else len(self.behind))
        return rows if self.present is None else int(self.present.sum())

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> pd.Series:
        """A column `[rows]`; the next ones are read with it."""
        place = self.columns.index(name)
        stored = self.files.names[place]
        if self._read is None or stored not in self._read.column_names:
            some = max(1, GROUP_VALUES // max(1, self.files.rows))
            self._read = self.files.read(self.files.names[place:place + some])
        column = self._parsed(self._read[stored], name)
        if self.behind is not None:
            column = pd.concat([column, self.behind[name]], ignore_index=True)
        return column if self.present is None else column[self.present].reset_index(drop=True)

    def only(self, present: np.ndarray) -> "ParquetFrame":
        """The same with some rows, `present` `[rows]` bool."""
        return ParquetFrame(self.files, self.reading, present, self.behind)

    def followed_by(self, rows: pd.DataFrame) -> "ParquetFrame":
        """The same with more rows behind its own."""
        return ParquetFrame(self.files, self.reading, None, rows)

    def _parsed(self, stored: pyarrow.ChunkedArray, name: str) -> pd.Series:
        kind = stored.type
        if pyarrow.types.is_nested(kind):
            raise InputError(f"{self.files.where}: column '{name}' holds {kind}: drop it, or write a column each")
        if pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind):
            column: pd.Series = stored.to_pandas().rename(name)
            missing = [number for number in map(_number, self.reading.na) if number is not None]
            return column.mask(column.isin(missing)) if missing and not pyarrow.types.is_boolean(kind) else column
        if pyarrow.types.is_dictionary(kind):
            stored = stored.cast(kind.value_type)
        different = pyarrow.compute.unique(stored)
        # The second column keeps a missing value from being an empty line, which is no row of a CSV.
        text = pd.DataFrame({name: different.to_pandas(), f"{name} number": np.arange(len(different))})
        values = parse_frame(text, self.files.where, self.reading)[0][name]
        codes = pyarrow.compute.index_in(stored, value_set=different).to_numpy()
        return values.take(codes.astype(np.int64)).reset_index(drop=True).rename(name)


def _remote(name: str) -> tuple[tuple[str, ...], Any]:
    """The paths at a URL, and its file system."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(name)
        if not system.isdir(path):
            system.info(path)
            return (path,), system
        root = path.rstrip("/") + "/"
        files = [file.removeprefix(root) for file in system.find(path)]
    except (OSError, ValueError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{name}: cannot be read: {reason}") from error
    return tuple(root + file for file in _chosen(name, files)), system


def _chosen(where: str, files: Sequence[str]) -> list[str]:
    """The Parquet files among those of a folder, in the order of their names."""
    seen = sorted(file for file in files if not any(part.startswith(("_", ".")) for part in PurePosixPath(file).parts))
    if not seen:
        raise InputError(f"{where}: a folder that holds no Parquet file (whose name ends in {ENDING})")
    for file in seen:
        if not file.lower().endswith(ENDING):
            raise InputError(f"{where}: holds '{file}', which is no Parquet file: leave only files that end in "
                             f"{ENDING} there")
        if "=" in str(PurePosixPath(file).parent):
            raise InputError(f"{where}: is partitioned by folders such as '{PurePosixPath(file).parent}': write that "
                             "column into the files")
    return seen


def _names(schema: pyarrow.Schema) -> list[str]:
    index = [name for name in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)]
    return [name for name in schema.names if name not in index]


def _alike(one: pyarrow.DataType, other: pyarrow.DataType) -> bool:
    """Can a column be of both types: the same, numbers of any width, text of any kind, or nothing at all?"""
    def kind(of: pyarrow.DataType) -> str:
        of = of.value_type if pyarrow.types.is_dictionary(of) else of
        number = pyarrow.types.is_integer(of) or pyarrow.types.is_floating(of)
        text = pyarrow.types.is_string(of) or pyarrow.types.is_large_string(of)
        return "number" if number else "text" if text else str(of)

    return "null" in (kind(one), kind(other)) or kind(one) == kind(other)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
