"""Tables that are kept on disk: encoded columns and the scaled rows of each part, as memory-mapped float32 files.

Pages of such a file belong to the system's cache, not to a process: it takes them back where memory is short.
"""

import hashlib
import json
import mmap
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attribution_suite.files import TEMPORARY, whole_files, writing

PART_VALUES = 64_000_000  # of a part that are in memory at once while it is written: 256 MB
STALE = 24 * 3600  # seconds after which what a killed process left half written is swept


@dataclass(frozen=True)
class OnDisk:
    """A table's encoded columns, one after the other in the file `path`, `rows` float32 values each.

    Beside it: what is known of the columns (`.json`), and the scaled rows of parts of its splits (`.rows`). Their names
    begin with a hash of what they were made from: a file of that name that is there is whole, and the right one.
    """

    path: Path
    rows: int

    @classmethod
    def of(cls, folder: Path, made_from: object, rows: int,
           columns: Callable[[dict[str, Any]], Iterable[np.ndarray]]) -> tuple["OnDisk", dict[str, Any]]:
        """The file of the columns, written now if it is not there, and what is known of them.

        `made_from`: plain values that decide its content. `columns`: yields each column `[rows]`, and puts what is to
        be known of them (plain values) into the dictionary that it is given. Raises InputError where the folder
        cannot be written to.
        """
        kept = cls(folder / f"{_digest(json.dumps(made_from).encode())}.columns", rows)
        known: dict[str, Any] = {}
        if not kept.path.exists() or not kept.about.exists():
            with writing(folder):
                _sweep(folder)
                with whole_files([kept.path, kept.about]) as (values, about):
                    for column in columns(known):
                        values.write(np.ascontiguousarray(column, np.float32).data)
                    about.write(json.dumps(known).encode())
        return kept, json.loads(kept.about.read_bytes())

    @property
    def about(self) -> Path:
        """The file of what is known of the columns."""
        return self.path.with_suffix(".json")

    @property
    def gigabytes(self) -> float:
        """The size of the file of columns, in 10⁹ bytes."""
        return self.path.stat().st_size / 1e9

    def columns(self, count: int) -> np.ndarray:
        """The first `count` columns, `[rows, count]`, read-only, in the file's memory."""
        return np.asarray(np.memmap(self.path, np.float32, "r", shape=(count, self.rows))).T

    def part(self, rows: np.ndarray, columns: int, centre: np.ndarray, scale: np.ndarray) -> Tensor:
        """Some rows of the first columns, (x − centre) / scale, `[rows, columns]`, in the memory of their own file.

        The file is written now if it is not there; what is written into the tensor does not reach it. Raises InputError
        where the folder cannot be written to.
        """
        what = _digest(*(np.ascontiguousarray(part).tobytes() for part in (rows, centre, scale)))
        path = self.path.with_name(f"{self.path.stem}-{what}.rows")
        if not path.exists():
            with writing(path.parent), whole_files([path]) as (file,):
                inputs, at_once = self.columns(columns), max(1, PART_VALUES // columns)
                for start in range(0, len(rows), at_once):
                    some = rows[start:start + at_once]
                    block = np.empty((len(some), columns), np.float32)
                    for column in range(columns):
                        block[:, column] = (inputs[:, column].take(some) - centre[column]) / scale[column]
                    file.write(block.data)
        with path.open("rb") as file:
            # Private: nobody who changes a tensor changes the file. Not reserved: the system need not hold it all.
            pages = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0),
                              mmap.PROT_READ | mmap.PROT_WRITE)
        return torch.frombuffer(pages, dtype=torch.float32).view(len(rows), columns)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:32]


def _sweep(folder: Path) -> None:
    """Removes what killed processes left half written; another process may be writing what is young."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()
