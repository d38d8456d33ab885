"""Where the chunks of a run are computed: one seam, whatever stands behind it; a failed chunk is named, others finish.

An `Engine` takes tasks and gives each back as it ends, in any order: `ThisProcess` here, `LocalPool` (pool.py) over the
processes of this machine, `DaskCluster` (cluster.py) over the workers of a scheduler.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from threadpoolctl import ThreadpoolController

from attribution_suite.auditing.chunks import Chunk
from attribution_suite.auditing.machine import describe_machine
from attribution_suite.auditing.store import Store
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import in_one_line
from attribution_suite.memory import keep_freed_memory, return_freed_memory
from attribution_suite.scorers.memory import SURROGATES, forget

KILLED = "its worker process was killed (out of memory?)"


@dataclass(frozen=True)
class Done:
    """A chunk that ended: `error` is None, or what went wrong in one line; `fresh` False if it was in the store."""

    chunk: Chunk
    seconds: float
    error: str | None = None
    fresh: bool = True


@dataclass(frozen=True)
class Task:
    """A chunk with all that its work needs; what it makes goes into the store."""

    chunk: Chunk
    dataset: TabularDataset
    store: Store
    device: torch.device

    def attempt(self) -> Done:
        """Runs the chunk; an error becomes the chunk's, named in the end, so that the other chunks finish."""
        started = time.perf_counter()
        try:
            self._run()
        except (Exception, SystemExit) as error:
            return Done(self.chunk, time.perf_counter() - started, in_one_line(error))
        return Done(self.chunk, time.perf_counter() - started)

    def _run(self) -> None:
        """On one thread, whatever the number of workers: a chunk's numbers must not depend on that."""
        keep_freed_memory()
        started = time.perf_counter()
        with one_thread():
            arrays = self.chunk.work(self.dataset, self.store, self.device)
        forget(SURROGATES)  # no other chunk has these networks; a booster that has explained rows holds 0.3 MB
        self.store.save(self.chunk.key, arrays, describe_machine(self.device) | {
            "chunk": self.chunk.title, "seconds": round(time.perf_counter() - started, 3)})
        return_freed_memory()


class Engine(Protocol):
    """What a run asks of what computes for it."""

    @property
    def workers(self) -> int:
        """How many chunks are computed at once."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Each chunk as it ends. None needs another one of `tasks`."""

    def each(self, call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        """A `map` on this machine, whose results stay in their order."""


class ThisProcess:
    """One chunk after the other, in this process."""

    workers = 1

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """As `Engine.run`."""
        return (task.attempt() for task in tasks)

    def each(self, call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        """As `Engine.each`."""
        return [after_chunks(call, item) for item in items]


def after_chunks(call: Callable[[Any], Any], item: Any) -> Any:
    """`call` of an item in a process whose chunks are done: what scorers kept for the next one goes first."""
    forget()
    return_freed_memory()
    return call(item)


@contextmanager
def one_thread() -> Iterator[None]:
    """Every library on one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries(len(sys.modules)).limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _libraries(_: int) -> ThreadpoolController:
    """Those that have threads, sought again when there are more modules: that takes 6 ms."""
    return ThreadpoolController()
