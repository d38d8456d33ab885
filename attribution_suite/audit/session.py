"""One run from its spec to its report: plan, run what is missing, write the tables, draw."""

import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from attribution_suite.audit.collate import collate
from attribution_suite.audit.given import Given, Networks
from attribution_suite.audit.inside import neuron_jobs, write_neurons
from attribution_suite.audit.job import Job
from attribution_suite.audit.progress import Progress
from attribution_suite.audit.record import available_cores, describe
from attribution_suite.audit.results import Audit
from attribution_suite.audit.schedule import (
    Done,
    check,
    each_in_pool,
    fingerprint,
    original_jobs,
    removal_jobs,
    run_jobs,
)
from attribution_suite.audit.scoring import inapplicable, scorers_at
from attribution_suite.audit.spec import Spec
from attribution_suite.audit.store import Store
from attribution_suite.audit.tables import NEURONS
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.sources import StandInWarning
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.devices import choose, describe_device
from attribution_suite.errors import InputError
from attribution_suite.files import exclusive, sweep, write_atomically
from attribution_suite.report.html import draw_report

LEAST_SPACE = 2**20  # bytes that must fit on the disk for a run to begin


def run_audit(spec: Spec, out: Path, *, jobs: int | None = None, device: str = "auto", fresh: bool = False,
              say: Callable[[str], None] = print, tables: Sequence[TabularDataset] = (),
              networks: Networks | None = None, training: Training | None = None) -> Audit:
    """Runs what `out` does not hold yet and writes every table, the figures and the report.

    `tables`: those that the spec calls given. `networks`: the user's own in the place of originals trained here, with
    the budget `training` of their retraining. `device`: 'auto', 'cpu' or 'cuda', where networks train and are scored.
    """
    started, begun = time.perf_counter(), datetime.now(UTC)
    computer, workers = choose(device), available_cores() if jobs is None else jobs
    if workers < 1:
        raise InputError(f"--jobs must be at least 1, got {workers}")
    plan = make_plan(spec, tables, networks, training, say)
    with open_store(out, fresh) as store:
        edits, done = carry_out(spec, plan, store, workers, computer, say)
        collate([*plan.originals, *(job for job in edits if job.removal != NEURONS)], plan.datasets, store, out)
        write_neurons(plan.looks, plan.datasets, store, out)
        record = describe(spec, plan.datasets, plan.originals, edits, done, store)
        record |= {"started": begun.isoformat(timespec="seconds"),
                   "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                   "timings": {"seconds": round(time.perf_counter() - started, 2), "jobs": workers,
                               "device": describe_device(computer), "chunks_run": sum(d.fresh for d in done),
                               "chunks_found": sum(not d.fresh for d in done)}}
        write_atomically(out / "run.json", (json.dumps(record, indent=1) + "\n").encode())
        draw_report(out, plan.datasets, each_in_pool(workers))
    return Audit(out, [f"{d.job.title}: {d.error}" for d in done if d.error])


@dataclass(frozen=True)
class Plan:
    """What is known before anything runs: the tables, and the chunks that train originals and that look inside them."""

    datasets: Mapping[str, TabularDataset]
    originals: Sequence[Job]
    looks: Sequence[Job]


def make_plan(spec: Spec, tables: Sequence[TabularDataset], networks: Networks | None, training: Training | None,
              say: Callable[[str], None]) -> Plan:
    """Loads every table and checks all that can be checked. Raises InputError for what cannot be run."""
    datasets = load_all(spec, tables)
    given = None if networks is None else given_networks(networks, spec, datasets, training, say)
    originals = original_jobs(spec, datasets, given)
    for original in originals:
        check(spec, original, datasets[original.name])
    looks = neuron_jobs(originals, datasets, spec.inside, say) if spec.inside else []
    if spec.inside and not looks and not spec.removals:
        raise InputError("there is nothing to look into: name a data set whose network has hidden layers")
    for dataset in datasets.values():
        for note in dataset.notes:
            say(f"{dataset.name}: {note}")
    return Plan(datasets, originals, looks)


def carry_out(spec: Spec, plan: Plan, store: Store, workers: int, device: torch.device,
              say: Callable[[str], None]) -> tuple[list[Job], list[Done]]:
    """Trains the originals, then edits them and looks inside; the chunks after the originals, and how all ended."""
    progress = Progress(say)
    progress.expect(plan.originals)
    done = run_jobs(plan.originals, plan.datasets, store, workers, progress.done, device)
    edits = [job for original in plan.originals if store.has(original.key)
             for job in removal_jobs(spec, original, plan.datasets[original.name], store)]
    edits += [look for look in plan.looks if store.has(look.original.key)]
    progress.expect(edits)
    done += run_jobs(edits, plan.datasets, store, workers, progress.done, device)
    progress.close()
    return edits, done


def redraw(run_dir: Path) -> Path:
    """Draws the report again from the tables of a run; the figures that show rows need the data to be found again."""
    try:
        record = json.loads((run_dir / "run.json").read_text())
        sources = [DatasetRequest(**source) for source in record["spec"]["sources"]]
        known = {about["fingerprint"] for about in record["datasets"].values()}
    except FileNotFoundError as error:
        raise InputError(f"{run_dir} holds no run.json: name the --out folder of a finished run") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{run_dir}/run.json is not a run's record ({error}): run the audit again") from error
    datasets = {}
    for source in sources:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", StandInWarning)  # the page marks what is simulated
                dataset = source.load()
        except InputError:
            continue  # the page says which figures are left out for want of the data
        if fingerprint(dataset) in known:  # not another table, or a stand-in, that is found in its place by now
            datasets[dataset.name] = dataset
    return draw_report(run_dir, datasets)


def given_networks(networks: Networks, spec: Spec, datasets: Mapping[str, TabularDataset], training: Training | None,
                   say: Callable[[str], None]) -> Given:
    """The user's networks as the originals, and lines on how they run and on the scorers that do not apply.

    Raises InputError for networks that do not fit the one data set, or that have no such layer.
    """
    if len(datasets) != 1:
        raise InputError(f"networks belong to one data set, {len(datasets)} are named: audit them one by one")
    dataset = next(iter(datasets.values()))
    given = Given.of(networks, dataset, spec.profile.seeds, training)
    given.networks.tail(spec.layer)
    reasons = inapplicable(scorers_at(spec.scorers, spec.layer), given.networks)
    lines = [f"not applicable: {', '.join(name for name in reasons if reasons[name] == reason)}: {reason}"
             for reason in dict.fromkeys(reasons.values())]
    for line in (*given.sentences(dataset), *lines):
        say(f"{dataset.name}: {line}")
    return given


def load_all(spec: Spec, tables: Sequence[TabularDataset] = ()) -> dict[str, TabularDataset]:
    """Every data set by its name. Raises InputError where two have one name."""
    datasets: dict[str, TabularDataset] = {}
    given = {table.name: table for table in tables}
    for source in spec.sources:
        dataset = source.load(given.get(source.name))
        if dataset.name in datasets:
            raise InputError(f"two data sets are named '{dataset.name}': leave out or rename {source.name}")
        datasets[dataset.name] = dataset
    return datasets


@contextmanager
def open_store(out: Path, fresh: bool) -> Iterator[Store]:
    """The chunks of an output folder, which no other run may write to meanwhile. Raises InputError if it cannot be."""
    store = Store(out / "chunks")
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(out))
            if fresh and store.folder.exists():
                shutil.rmtree(store.folder)
            store.folder.mkdir(exist_ok=True)
            for folder in (store.folder, out, out / "figures"):
                sweep(folder)
            write_atomically(store.folder / ".writable", bytes(LEAST_SPACE))
            (store.folder / ".writable").unlink()
        except BlockingIOError as error:
            raise InputError(f"--out {out}: another run is writing there; wait until it has ended, or name another "
                             "folder") from error
        except OSError as error:
            raise InputError(f"--out {out}: cannot write there: {error.strerror}") from error
        yield store
