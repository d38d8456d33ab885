"""Chunks over the workers of a Dask cluster, on this machine or on others.

What is large, tables and given networks, lies with the chunks where all machines reach it, named by the SHA-256 of its
bytes; a task that travels names it. So nothing that is finished lives in a worker or in the scheduler.
"""

import io
import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster, as_completed
from distributed.client import ClosedClientError
from distributed.utils import silence_logging_cmgr

from attribution_suite.auditing.chunks import load
from attribution_suite.auditing.cluster_worker import Ended, Unfit, attempt_there, missing_there
from attribution_suite.auditing.engine import KILLED, Done, Task
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.machine import available_cores
from attribution_suite.auditing.pool import local_engine
from attribution_suite.auditing.requirements import Requirements
from attribution_suite.auditing.shared import Shared
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError, in_one_line
from attribution_suite.files import file_sha256
from attribution_suite.options import whole_number

PATIENCE = 10  # seconds for a scheduler to answer, and for its first worker
LATE = 60  # seconds after which a folder of the network, as NFS, shows what another machine has written


@contextmanager
def joined(words: str) -> Iterator[Client]:
    """A client of the cluster of `words`: the address of a scheduler, or 'local:N' for N workers of this machine.

    Raises InputError where no scheduler answers, and where it has no workers.
    """
    with silence_logging_cmgr(logging.CRITICAL):
        if words.startswith("local:"):
            number = words.removeprefix("local:")
            count = whole_number("cluster local", int(number) if number.isdecimal() else number, 1)
            with _local(count) as cluster, Client(cluster, set_as_default=False) as client:
                yield client
            return
        try:
            client = Client(words, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(f"option 'cluster': no Dask scheduler answers at {words} within {PATIENCE} s: start one "
                             "by `dask scheduler` and name the address that it tells, or local:N") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise InputError(f"option 'cluster': the scheduler at {words} has no workers: start some by `dask "
                                 f"worker {words} --nthreads 1`") from error
            yield client


def _local(count: int) -> LocalCluster:
    """Workers that never see Ctrl-C, which is the run's business: they inherit that it is blocked."""
    resource_tracker.ensure_running()  # else the first worker starts it, which unblocks SIGINT (Python 3.11)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=":0",
                            silence_logs=logging.CRITICAL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class DaskCluster:
    """The workers of a scheduler. `data`: where tables lie for them; `maps`: as of `LocalPool`, which draws here."""

    def __init__(self, client: Client, data: Shared, maps: Path, say: Callable[[str], None]) -> None:
        self.client, self.data, self.maps, self.say = client, data, maps, say
        self.workers, self.address = len(client.nthreads()), str(client.scheduler_info()["address"])
        self._put: dict[int, tuple[object, str]] = {}  # by identity: what lies in `data`, and its name there
        self._unfit: set[str] = set()

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """As `Engine.run`.

        Raises InputError for a worker that lacks something, ConnectionError where the scheduler is lost.
        """
        if not tasks:
            return
        needs = Requirements.of((task.chunk for task in tasks), tasks[0].device.type)
        packed = {task.chunk.key: self._packed(task) for task in tasks}
        self._check(needs)
        killed = []
        for task, ended in self._as_they_end(tasks, packed, needs):
            if ended is None:
                killed.append(task)
            else:
                yield self._done(task, ended)
        for one in killed:  # which task took its worker down is not known: one at a time tells
            for task, ended in self._as_they_end([one], packed, needs):
                yield self._done(task, ended or (0.0, KILLED, True))

    def each(self, call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        """As `Engine.each`."""
        return local_engine(available_cores(), self.maps).each(call, items)

    def _as_they_end(self, tasks: Sequence[Task], packed: Mapping[str, bytes],
                     needs: Requirements) -> Iterator[tuple[Task, Ended | None]]:
        """Each task with how it ended, None where it lost its worker too often."""
        def submitted(tasks: Sequence[Task], preferred: Sequence[str] = ()) -> dict[Future[Any], Task]:
            # In one call, as a family: the scheduler then keeps in hand what no worker is free for.
            keys = [f"chunk-{task.chunk.key}-{os.urandom(4).hex()}" for task in tasks]
            with self._lost():
                futures = self.client.map(attempt_there, [packed[task.chunk.key] for task in tasks], data=self.data,
                                          needs=needs, key=keys, pure=False, workers=list(preferred) or None,
                                          allow_other_workers=bool(preferred))
            return dict(zip(futures, tasks, strict=True))

        futures = submitted(tasks)
        waiting = as_completed(futures, loop=self.client.loop)
        for future in waiting:
            task = futures.pop(future)
            ended: Ended | None = None
            try:
                with self._lost():
                    ended = future.result()
            except KilledWorker:
                pass
            except Unfit as unfit:
                if others := self._others_than(unfit):
                    again = submitted([task], others)
                    futures |= again
                    waiting.update(list(again))
                    continue
                ended = 0.0, f"worker {' '.join(unfit.args)}", True
            except ConnectionError:
                raise
            except Exception as error:  # what became of a task on a machine that we do not know
                ended = 0.0, in_one_line(error), True
            yield task, ended

    @contextmanager
    def _lost(self) -> Iterator[None]:
        """Raises ConnectionError where Dask finds its scheduler gone."""
        try:
            yield
        except (CancelledError, ClosedClientError, OSError) as error:
            raise ConnectionError(f"{self.address}: the scheduler was lost; what is finished is kept: the same command "
                                  "goes on from there") from error

    def _others_than(self, unfit: Unfit) -> list[str]:
        """The workers beside those that lack something, of which the user is told once."""
        address, reason = unfit.args
        if address not in self._unfit:
            self.say(f"worker {address} {reason}; it computes nothing")
        self._unfit.add(address)
        return sorted(self.client.nthreads().keys() - self._unfit)

    def _done(self, task: Task, ended: Ended) -> Done:
        """Waits for the chunk where its folder is one of the network, which shows new files late."""
        seconds, error, fresh = ended
        deadline = time.monotonic() + LATE
        while error is None and load(task.chunk, task.store) is None:
            if time.monotonic() > deadline:
                error = f"it was computed, and is not in {task.store.folder}: is that the folder that workers see?"
            time.sleep(0.1)
            list(task.store.folder.iterdir())  # makes the system ask for what is new
        return Done(task.chunk, seconds, error, fresh)

    def _check(self, needs: Requirements) -> None:
        """Raises InputError for a worker that could not compute as this run would."""
        names = [name for _, name in self._put.values()]
        with self._lost():
            answers = self.client.run(missing_there, self.data, names, needs, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, ModuleNotFoundError):
                answer = f"has no package '{answer.name}': pip install 'attribution_suite[cluster]' there"
            if answer:
                said = in_one_line(answer) if isinstance(answer, Exception) else answer
                raise InputError(f"option 'cluster': worker {address} {said}")

    def _packed(self, task: Task) -> bytes:
        """A task as bytes that name what lies in `data`."""
        file = io.BytesIO()
        _Packer(file, self._name).dump(replace(task, store=replace(task.store, folder=task.store.folder.absolute())))
        return file.getvalue()

    def _name(self, thing: object) -> str:
        """What a table, or given networks, are called in `data`, where they now lie."""
        if id(thing) not in self._put:
            self.maps.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.maps) as folder:
                path = Path(folder) / "thing"
                # A table as arrays that workers map; without what it has worked out from them.
                joblib.dump(replace(thing) if isinstance(thing, TabularDataset) else cloudpickle.dumps(thing), path)
                name = f"{file_sha256(path)}.joblib"
                if not self.data.has(name):
                    with path.open("rb") as content:
                        self.data.write(name, content)
            self._put[id(thing)] = thing, name
        return self._put[id(thing)][1]


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles a task; what is large by its name. The user's classes travel by value, as they do to joblib's workers."""

    def __init__(self, file: io.BytesIO, name: Callable[[object], str]) -> None:
        super().__init__(file)
        self._name = name

    def persistent_id(self, thing: object) -> str | None:
        """The name of what is large."""
        return self._name(thing) if isinstance(thing, TabularDataset | Given) else None
