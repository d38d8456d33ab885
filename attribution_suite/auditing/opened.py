"""A run's output folder while the run holds it: its store, and what computes for it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.engine import Engine
from attribution_suite.auditing.pool import local_engine, mapped
from attribution_suite.auditing.run import Prepared
from attribution_suite.auditing.shared import Shared, SharedStore
from attribution_suite.auditing.store import Store
from attribution_suite.auditing.workers import suited_workers
from attribution_suite.errors import InputError
from attribution_suite.files import exclusive, prove_writable, sweep, writing
from attribution_suite.options import whole_number


@contextmanager
def open_run(prepared: Prepared, out: Path, *, jobs: int | None = None, cluster: str | None = None,
             store: str | Path | None = None, fresh: bool = False,
             say: Callable[[str], None] = print) -> Iterator[RunContext]:
    """What a run needs, while it holds its output folder. `cluster`: as for `joined`; `store`: as for `Shared.of`.

    Raises InputError for a folder, cluster or option that cannot be.
    """
    maps, shared = out / "maps", None if store is None else Shared.of(store)
    with ExitStack() as stack:
        if cluster is None:
            workers = (suited_workers(prepared.spec, prepared.plan, prepared.datasets) if jobs is None
                       else whole_number("jobs", jobs, 1))
            engine = local_engine(workers, maps)
        else:
            data = Shared(str(maps.absolute())) if shared is None else shared.within("data")
            engine = stack.enter_context(_cluster(cluster, jobs, data, maps, say))
        chunks = stack.enter_context(open_store(out, fresh, shared))
        stack.enter_context(mapped(maps))
        yield RunContext(chunks, prepared.datasets, prepared.device, engine, say)


@contextmanager
def _cluster(words: str, jobs: int | None, data: Shared, maps: Path, say: Callable[[str], None]) -> Iterator[Engine]:
    if jobs is not None:
        raise InputError("option 'jobs' is of this machine's own workers: leave it out beside 'cluster'")
    try:
        from attribution_suite.auditing.cluster import DaskCluster, joined
    except ModuleNotFoundError as error:
        raise InputError(f"option 'cluster' needs the package '{error.name}': pip install 'attribution_suite[cluster]'"
                         ) from error
    with joined(words) as client:
        yield DaskCluster(client, data, maps, say)


@contextmanager
def open_store(out: Path, fresh: bool, shared: Shared | None = None) -> Iterator[Store]:
    """The chunks of an output folder, which no other run may write to meanwhile. Raises InputError if it cannot be."""
    folder = out / "chunks"
    if fresh and shared is not None:
        raise InputError("option 'fresh': other runs may read what lies in the 'store': name another one")
    with exclusive(out):
        with writing(out):
            if fresh and folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(exist_ok=True)
            prove_writable(folder)
        if shared is None:
            yield Store(folder)
        else:
            store = SharedStore(folder, shared)
            store.send()
            yield store
        sweep(out)  # what a worker that was killed was about to write
