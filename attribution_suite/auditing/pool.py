"""All chunks of a run over worker processes; a failed chunk is named, the others finish."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from attribution_suite.auditing.chunk import Chunk, load
from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.machine import describe_machine
from attribution_suite.auditing.store import Store
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import in_one_line
from attribution_suite.memory import keep_freed_memory, return_freed_memory
from attribution_suite.scorers.memory import SURROGATES, forget

SEMAPHORES = Path("/dev/shm")  # where Linux keeps the named ones


@dataclass(frozen=True)
class Done:
    """A chunk that ended: `error` is None, or what went wrong in one line; `fresh` False if it was in the store."""

    chunk: Chunk
    seconds: float
    error: str | None = None
    fresh: bool = True


def run_chunks(chunks: Sequence[Chunk], context: RunContext, report: Callable[[Done], None]) -> list[Done]:
    """Runs what the store does not hold, and tells `report` of each chunk as it ends."""
    results = [Done(chunk, 0.0, fresh=False) for chunk in chunks if load(chunk, context.store) is not None]
    for done in results:
        report(done)
    finished_keys = {done.chunk.key for done in results}
    for done in _parallel([chunk for chunk in chunks if chunk.key not in finished_keys], context):
        results.append(done)
        report(done)
    return results


def run_chunk(chunk: Chunk, dataset: TabularDataset, store: Store, device: torch.device) -> None:
    """Runs a chunk on one thread, whatever the number of workers: its numbers must not depend on that."""
    keep_freed_memory()
    started = time.perf_counter()
    with one_thread():
        arrays = chunk.work(dataset, store, device)
    forget(SURROGATES)  # no other chunk has these networks; a booster that has explained rows holds 0.3 MB
    store.save(chunk.key, arrays, describe_machine(device) | {
        "chunk": chunk.title, "seconds": round(time.perf_counter() - started, 3)})
    return_freed_memory()


@contextmanager
def one_thread() -> Iterator[None]:
    """Every library on one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def attempt(chunk: Chunk, dataset: TabularDataset, store: Store, device: torch.device) -> Done:
    """Runs a chunk; an error becomes the chunk's, named in the end, so that the other chunks finish."""
    started = time.perf_counter()
    try:
        run_chunk(chunk, dataset, store, device)
    except (Exception, SystemExit) as error:
        return Done(chunk, time.perf_counter() - started, in_one_line(error))
    return Done(chunk, time.perf_counter() - started)


def _parallel(chunks: Sequence[Chunk], context: RunContext) -> Iterator[Done]:
    if context.workers == 1 or len(chunks) < 2:
        yield from (attempt(chunk, context.dataset(chunk.subject), context.store, context.device)
                    for chunk in chunks)
        return
    ended = set()
    try:
        for done in _pool(chunks, context, context.workers):
            ended.add(done.chunk.key)
            yield done
    except TerminatedWorkerError:  # which chunk took its worker down is not known: one at a time tells
        for chunk in chunks:
            if chunk.key not in ended:
                yield _isolated(chunk, context)


def _pool(chunks: Sequence[Chunk], context: RunContext, workers: int) -> Iterator[Done]:
    # Tables travel to the workers once, as memory maps, not with every chunk.
    pool = _workers(workers, context.maps, "generator_unordered")
    yield from _start(pool, (joblib.delayed(attempt)(
        chunk, context.dataset(chunk.subject), context.store, context.device) for chunk in chunks))


def _isolated(chunk: Chunk, context: RunContext) -> Done:
    """Runs a chunk alone in a worker process, whose death becomes the chunk's error."""
    started = time.perf_counter()
    try:
        return next(_pool([chunk], context, 2))
    except TerminatedWorkerError:
        return Done(chunk, time.perf_counter() - started, "its worker process was killed (out of memory?)")


def each_in_pool(workers: int, maps: Path) -> Callable[[Callable[[Any], Any], list[Any]], list[Any]]:
    """A `map` over worker processes; in this process where there is one worker, one item, or a worker was killed."""

    def each(call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        if workers > 1 and len(items) > 1:
            try:
                pool = _workers(workers, maps, "generator")
                return list(_start(pool, (joblib.delayed(call)(item) for item in items)))
            except TerminatedWorkerError:
                pass  # it was too large beside the others: alone it may fit
        return [call(item) for item in items]

    return each


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
    """In a worker: ends it soon after a parent that was killed, which it would outlive by minutes.

    What else differs, the folder of a run's maps, makes joblib start workers anew.
    """
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
