"""Finds the file of a data set, checks it, or makes a stand-in and says so."""

import hashlib
import os
import shutil
import socket
import tempfile
import threading
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from platformdirs import user_cache_path

from attribution_suite.datasets.files import TableFile, numbers, read_table_file
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.table import Provenance
from attribution_suite.errors import InputError

DATA_VARIABLE = "ATTRIBUTION_SUITE_DATA"
CONNECT_SECONDS = 4.0


class StandInWarning(UserWarning):
    """A simulated table stands in for a real one that could not be had."""


@dataclass(frozen=True)
class FileSource:
    """A table, where it may be found, and how a right one looks.

    `files`: the names under which it is known, in the order in which they are looked for. `text`: the text columns
    with their categories. `may_miss`: the columns that have missing values. `download` puts the file, under
    one of its names, into a directory and returns its path. `simulate` makes the stand-in, with the truth `truth`.
    """

    name: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    sha256: str
    how_to_get: str
    host: str
    download: Callable[[Path], Path]
    simulate: Callable[[], pd.DataFrame]
    truth: str
    text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    may_miss: frozenset[str] = frozenset()

    def table(self, request: DatasetRequest) -> tuple[pd.DataFrame, Provenance]:
        """The rows and where they are from: a directory of the user's, the cache, a download, else a stand-in.

        Raises InputError for a file that is found but is not this table, and, with `real_only`, if none is found.
        """
        tried: list[str] = []
        for directory in _directories(request, tried):
            path = next((directory / name for name in self.files if (directory / name).is_file()), None)
            if path is not None:
                return self._checked(path, "file")
            tried.append(f"no {self.files[0]} in {directory}")
        try:
            return self._downloaded()
        except Exception as error:  # whatever a foreign client raises: the reason is told, and the next source tried
            tried.append(f"download failed ({_reason(error)})")
        if request.real_only:
            raise InputError(f"{self.name}: no real file: {'; '.join(tried)}. {self.how_to_get}")
        warnings.warn(f"{self.name}: a SIMULATED stand-in is used: {'; '.join(tried)}. {self.how_to_get}",
                      StandInWarning, stacklevel=6)  # who called `load_dataset`
        frame = self.simulate()
        return frame, Provenance("simulated", f"attribution_suite.datasets.{self.name}", table_sha256(frame),
                                 f"stand-in with a known truth: {self.truth}")

    def _checked(self, path: Path, source: Any, location: str = "") -> tuple[pd.DataFrame, Provenance]:
        file = read_table_file(path)
        frame = self.check(file)
        known = self.sha256 in (file.sha256, file.content_sha256)
        note = "" if known else "the file's checksum is not the known one; its columns and rows are right"
        return frame, Provenance(source, location or str(path), file.sha256, note)

    def _downloaded(self) -> tuple[pd.DataFrame, Provenance]:
        """Fetches beside the cache, checks, and only then renames into it: nothing half-written is ever found."""
        _connect(self.host)
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            fetched = self.download(Path(scratch))
            table = self._checked(fetched, "download", f"https://{self.host}")
            fetched.replace(directory / fetched.name)
        return table

    def check(self, file: TableFile) -> pd.DataFrame:
        """The file's table, its columns in order. Raises InputError, naming the file, if it is not this table."""
        frame, where = file.frame, f"{file.path}: not the {self.name} table"
        missing = [name for name in self.columns if name not in frame]
        extra = [name for name in frame if name not in self.columns]
        if missing or extra:
            lacks = f"no column '{missing[0]}'" if missing else f"an unexpected column '{extra[0]}'"
            raise InputError(f"{where}: {lacks} ({len(self.columns)} columns expected, {len(frame.columns)} found)")
        if len(frame) != self.rows:
            raise InputError(f"{where}: {len(frame)} rows, {self.rows} expected")
        for name in self.columns:
            if name not in self.may_miss and frame[name].isna().any():
                raise InputError(f"{where}: column '{name}' has missing values")
            if name not in self.text:
                numbers(frame[name], where)
            elif unknown := sorted(set(frame[name].astype(str)) - set(self.text[name])):
                raise InputError(f"{where}: column '{name}' has the unknown category '{unknown[0]}'; "
                                 f"known: {', '.join(self.text[name])}")
        return frame[list(self.columns)]


def cache_directory() -> Path:
    """Where downloads are kept: the user's cache as the system has it (Linux: `~/.cache/attribution_suite`)."""
    return user_cache_path("attribution_suite", appauthor=False)


def _directories(request: DatasetRequest, tried: list[str]) -> list[Path]:
    """Where to look, in order. A directory that does not exist: an error if asked for by option, else told."""
    directories = [cache_directory()]
    variable = os.environ.get(DATA_VARIABLE)
    if request.data_dir is not None:
        asked = Path(request.data_dir)
        if not asked.is_dir():
            raise InputError(f"{asked}: no such directory; option 'data_dir' names one that holds the data files")
        return [asked, *directories]
    if variable and not Path(variable).is_dir():
        tried.append(f"{DATA_VARIABLE}={variable} is no directory")
    elif variable:
        directories.insert(0, Path(variable))
    return directories


@cache
def _unreachable(host: str) -> str:
    """Why `host` cannot be connected to within `CONNECT_SECONDS`, '' if it can.

    In a thread, for a name server that does not answer holds a look-up far longer than any socket's timeout; asked
    once a process, for several data sets share a host.
    """
    reason = [f"no answer in {CONNECT_SECONDS:g} seconds"]

    def connect() -> None:
        try:
            socket.create_connection((host, 443), CONNECT_SECONDS).close()
            reason[0] = ""
        except OSError as error:
            reason[0] = _reason(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    return reason[0]


def _connect(host: str) -> None:
    """Raises ConnectionError if the host is out of reach; a proxy is left to the client, which knows it."""
    proxied = {"https", "all"} & set(urllib.request.getproxies())
    if not proxied and (reason := _unreachable(host)):
        raise ConnectionError(f"{host}: {reason}")


def download_from_kaggle(directory: Path, handle: str, file: str) -> Path:
    """A file of a Kaggle data set ('owner/name') or competition ('name'), by the optional `kagglehub`."""
    try:
        import kagglehub
    except ImportError as error:
        raise ImportError("kagglehub is not installed: pip install 'attribution-suite[kaggle]'") from error
    fetch = kagglehub.dataset_download if "/" in handle else kagglehub.competition_download
    return Path(shutil.copyfile(fetch(handle, path=file), directory / file))


def table_sha256(frame: pd.DataFrame) -> str:
    """SHA-256 of a table that has no file, over its values and column names."""
    digest = hashlib.sha256(",".join(map(str, frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _reason(error: BaseException) -> str:
    """An error in one line of bounded length."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
