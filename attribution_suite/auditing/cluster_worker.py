"""What a worker of a Dask cluster does: it takes what the run has laid out for it, and computes one chunk at a time."""

import io
import pickle
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import joblib
from distributed import get_worker

from attribution_suite.auditing.chunks import load
from attribution_suite.auditing.requirements import Requirements
from attribution_suite.auditing.shared import Shared
from attribution_suite.errors import in_one_line
from attribution_suite.files import file_sha256

PAUSE = 1.0  # seconds that a worker which lacks something holds a task, so that others take it first
ALONE = threading.Lock()  # of a worker process: random numbers and threads are the whole process's
Ended = tuple[float, str | None, bool]  # seconds, error and fresh of `Done`


class Unfit(Exception):
    """A worker cannot compute a task as this run would: (its address, why)."""


class Unseen(Exception):
    """A worker does not see what the run has laid out for it."""


class Unpacker(pickle.Unpickler):
    """Reads a task from its bytes, and from `data` what it names; `scratch`: where this machine keeps copies."""

    def __init__(self, packed: bytes, data: Shared, scratch: Path) -> None:
        super().__init__(io.BytesIO(packed))
        self._data, self._scratch = data, scratch

    def persistent_load(self, name: str) -> object:
        """What lies under a name."""
        try:
            path = self._data.local(name, self._scratch)
        except FileNotFoundError as error:
            raise Unseen(_unseen(self._data)) from error
        _held_against(path, name)
        thing = joblib.load(path, mmap_mode="r")
        return pickle.loads(thing) if isinstance(thing, bytes) else thing


@cache
def _held_against(path: Path, name: str) -> None:
    """Raises ValueError where a file is not the one of its name."""
    if f"{file_sha256(path)}.joblib" != name:
        raise ValueError(f"{path} is damaged: its name is not the SHA-256 of its bytes")


def attempt_there(packed: bytes, data: Shared, needs: Requirements) -> Ended:
    """On a worker: computes a task, one at a time whatever its threads. Raises Unfit where it lacks something."""
    worker = get_worker()
    scratch = Path(worker.local_directory)
    if lacking := needs.lacking():
        time.sleep(PAUSE)
        raise Unfit(worker.address, lacking)
    try:
        with ALONE:
            task = Unpacker(packed, data, scratch).load()
            # Copies of chunks for this task alone: what is finished is what lies in the store now.
            with tempfile.TemporaryDirectory(dir=scratch) as copies:
                store = task.store.on_worker(Path(copies))
                if load(task.chunk, store) is not None:  # by another client, or by a worker that was lost after it
                    return 0.0, None, False
                done = replace(task, store=store).attempt()
    except Unseen as error:
        time.sleep(PAUSE)
        raise Unfit(worker.address, str(error)) from error
    except Exception as error:  # as of the user's classes, which another machine may lack
        return 0.0, in_one_line(error), True
    return done.seconds, done.error, done.fresh


def missing_there(data: Shared, names: Sequence[str], needs: Requirements) -> str:
    """On a worker: what keeps it from computing as the run would; '' if nothing."""
    if lacking := needs.lacking():
        return lacking
    return "" if all(data.has(name) for name in names) else _unseen(data)


def _unseen(data: Shared) -> str:
    return f"does not see {data.url}: name an 'out' that all machines share, or a 'store'"
