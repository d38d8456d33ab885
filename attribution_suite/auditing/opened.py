"""A run's output folder while the run holds it: its store, and what computes for it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.engine import Engine, ThisProcess
from attribution_suite.auditing.pool import LocalPool, mapped
from attribution_suite.auditing.run import Prepared
from attribution_suite.auditing.store import Store
from attribution_suite.auditing.workers import suited_workers
from attribution_suite.files import exclusive, prove_writable, writing
from attribution_suite.options import whole_number


@contextmanager
def open_run(prepared: Prepared, out: Path, *, jobs: int | None = None, fresh: bool = False,
             say: Callable[[str], None] = print) -> Iterator[RunContext]:
    """What a run needs, while it holds its output folder. Raises InputError for a folder or option that cannot be."""
    workers = (suited_workers(prepared.spec, prepared.plan, prepared.datasets) if jobs is None
               else whole_number("jobs", jobs, 1))
    maps = out / "maps"
    engine: Engine = ThisProcess() if workers == 1 else LocalPool(workers, maps)
    with open_store(out, fresh) as store, mapped(maps):
        yield RunContext(store, prepared.datasets, prepared.device, engine, say)


@contextmanager
def open_store(out: Path, fresh: bool) -> Iterator[Store]:
    """The chunks of an output folder, which no other run may write to meanwhile. Raises InputError if it cannot be."""
    store = Store(out / "chunks")
    with exclusive(out):
        with writing(out):
            if fresh and store.folder.exists():
                shutil.rmtree(store.folder)
            store.folder.mkdir(exist_ok=True)
            prove_writable(store.folder)
        yield store
