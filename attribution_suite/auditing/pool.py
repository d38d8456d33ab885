"""Chunks over worker processes of this machine."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky import process_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from attribution_suite.auditing.engine import KILLED, Done, Engine, Task, ThisProcess, after_chunks
from attribution_suite.memory import return_freed_memory

SEMAPHORES = Path("/dev/shm")  # where Linux keeps the named ones
# Bytes by which a worker may grow. Above 0.3 GB loky takes it for a leak, ends it with a warning and starts another,
# which loads the libraries again; libraries, tables and what scorers keep (bounded: scorers/memory.py) come to that.
GROWTH = 2 << 30


class LocalPool:
    """Worker processes of this machine. `maps`: the folder where they share large arrays."""

    def __init__(self, workers: int, maps: Path) -> None:
        self.workers, self.maps = workers, maps

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """As `Engine.run`; a single task runs in this process."""
        if len(tasks) < 2:
            yield from ThisProcess().run(tasks)
            return
        ended = set()
        try:
            for done in self._pool(tasks, self.workers):
                ended.add(done.chunk.key)
                yield done
        except TerminatedWorkerError:  # which chunk took its worker down is not known: one at a time tells
            for task in tasks:
                if task.chunk.key not in ended:
                    yield self._isolated(task)

    def each(self, call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        """As `Engine.each`; in this process where there is one item, or a worker was killed."""
        return_freed_memory()
        if len(items) > 1:
            try:
                pool = _workers(self.workers, self.maps, "generator")
                return list(_start(pool, (joblib.delayed(after_chunks)(call, item) for item in items)))
            except TerminatedWorkerError:
                pass  # it was too large beside the others: alone it may fit
        return ThisProcess().each(call, items)

    def _pool(self, tasks: Sequence[Task], workers: int) -> Iterator[Done]:
        # Tables travel to the workers once, as memory maps, not with every chunk.
        pool = _workers(workers, self.maps, "generator_unordered")
        yield from _start(pool, (joblib.delayed(Task.attempt)(task) for task in tasks))

    def _isolated(self, task: Task) -> Done:
        """Runs a task alone in a worker process, whose death becomes the chunk's error."""
        started = time.perf_counter()
        try:
            return next(self._pool([task], 2))
        except TerminatedWorkerError:
            return Done(task.chunk, time.perf_counter() - started, KILLED)


def local_engine(workers: int, maps: Path) -> Engine:
    """What computes on this machine alone."""
    return ThisProcess() if workers == 1 else LocalPool(workers, maps)


def _workers(count: int, maps: Path, results: str) -> joblib.Parallel:
    """Processes that share large arrays as files in `maps`, in a folder of this process.

    Not in shared memory, joblib's choice: what a killed run leaves there nobody would sweep.
    """
    folder = maps / str(os.getpid())
    folder.mkdir(parents=True, exist_ok=True)
    return joblib.Parallel(n_jobs=count, return_as=results, batch_size=1, temp_folder=str(folder),
                           initializer=_end_with, initargs=(os.getpid(), str(folder)))


@contextmanager
def mapped(maps: Path) -> Iterator[None]:
    """Leaves nothing of the maps behind, nor what a killed run left: also the semaphores that loky names by process."""
    for folder in maps.glob("*"):
        if folder.name.isdecimal() and not _lives(int(folder.name)):
            for semaphore in SEMAPHORES.glob(f"sem.loky-{folder.name}-*"):
                with suppress(OSError):
                    semaphore.unlink()
    shutil.rmtree(maps, ignore_errors=True)
    try:
        yield
    finally:
        shutil.rmtree(maps, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def _start(pool: joblib.Parallel, tasks: Iterator[Any]) -> Iterator[Any]:
    """The results as they come. Ctrl-C is the run's business: workers inherit that it is blocked, and never see it.

    Here it is kept until the workers have started, then delivered: in the middle of a start it would leave workers
    behind that nobody ends. Blocking alone does not keep it, for the system then hands it to another thread of this
    process (those of a linear algebra library); so Python's handler, which runs in the main thread, notes it.
    """
    resource_tracker.ensure_running()  # else the first worker starts it, which unblocks SIGINT (Python 3.11)
    in_main_thread = threading.current_thread() is threading.main_thread()
    kept: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: kept.append(number)) if in_main_thread else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        started: Generator[Any] = pool(tasks)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if in_main_thread:
            signal.signal(signal.SIGINT, before)
    if kept:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interrupt:
            started.throw(interrupt)  # so that the pool ends as it does when results are awaited
    return started


def _end_with(parent: int, _: str) -> None:
    """In a worker: lets it grow, and ends it soon after a parent that was killed, which it would outlive by minutes.

    What else differs, the folder of a run's maps, makes joblib start workers anew.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = GROWTH

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
