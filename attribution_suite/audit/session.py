"""One run from its spec to its report: plan, run what is missing, write the tables, draw."""

import json
import os
import platform
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from attribution_suite.audit.bench import Bench
from attribution_suite.audit.collate import collate
from attribution_suite.audit.given import Given, Networks
from attribution_suite.audit.inside import neuron_jobs, write_neurons
from attribution_suite.audit.job import VERSIONS, Job
from attribution_suite.audit.progress import Progress
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
from attribution_suite.audit.spec import Source, Spec
from attribution_suite.audit.store import Store
from attribution_suite.audit.tables import NEURONS
from attribution_suite.datasets.sources import StandInWarning
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.devices import choose, describe_device
from attribution_suite.errors import InputError
from attribution_suite.files import sweep, write_atomically
from attribution_suite.networks.budget import Training
from attribution_suite.report.html import draw_report

LEAST_SPACE = 2**20  # bytes that must fit on the disk for a run to begin


def run_audit(spec: Spec, out: Path, *, jobs: int | None = None, device: str = "auto", fresh: bool = False,
              say: Callable[[str], None] = print, tables: Sequence[TabularDataset] = (),
              networks: Networks | None = None, training: Training | None = None) -> Audit:
    """Runs what `out` does not hold yet and writes every table, the figures and the report.

    `tables`: those that the spec calls given. `networks`: the user's own in the place of originals trained here, with
    the budget `training` of their retraining. `device`: 'auto', 'cpu' or 'cuda', where networks train and are scored.
    """
    computer = choose(device)
    started, begun = time.perf_counter(), datetime.now(UTC)
    workers = available_cores() if jobs is None else jobs
    if workers < 1:
        raise InputError(f"--jobs must be at least 1, got {workers}")
    # Networks of the user's know no decoy: their table is taken as it is.
    datasets = load_all(spec, tables, decoy=networks is None)
    given = None if networks is None else given_networks(networks, spec, datasets, training, say)
    planned = original_jobs(spec, datasets, given)
    for original in planned:
        check(spec, original, datasets[original.name])
    looks = neuron_jobs(planned, datasets, spec.inside, say) if spec.inside else []
    if spec.inside and not looks and not spec.removals:
        raise InputError("there is nothing to look into: name a data set whose network has hidden layers")
    store = open_store(out, fresh)
    for dataset in datasets.values():
        for note in dataset.notes:
            say(f"{dataset.name}: {note}")
    progress = Progress(say)
    progress.expect(planned)
    done = run_jobs(planned, datasets, store, workers, progress.done, computer)
    edits = [job for original in planned if store.has(original.key)
             for job in removal_jobs(spec, original, datasets[original.name], store)]
    edits += [look for look in looks if store.has(look.original.key)]
    progress.expect(edits)
    done += run_jobs(edits, datasets, store, workers, progress.done, computer)
    progress.close()
    collate([*planned, *(job for job in edits if job.removal != NEURONS)], datasets, store, out)
    write_neurons(looks, datasets, store, out)
    record = describe(spec, datasets, planned, edits, done, store)
    record |= {"started": begun.isoformat(timespec="seconds"),
               "finished": datetime.now(UTC).isoformat(timespec="seconds"),
               "timings": {"seconds": round(time.perf_counter() - started, 2), "jobs": workers,
                           "device": describe_device(computer),
                           "chunks_run": sum(d.fresh for d in done), "chunks_found": sum(not d.fresh for d in done)}}
    write_atomically(out / "run.json", (json.dumps(record, indent=1) + "\n").encode())
    draw_report(out, datasets, each_in_pool(workers))
    return Audit(out, [f"{d.job.title}: {d.error}" for d in done if d.error])


def redraw(run_dir: Path) -> Path:
    """Draws the report again from the tables of a run; the figures that show rows need the data to be found again."""
    try:
        record = json.loads((run_dir / "run.json").read_text())
        sources = [Source(**source) for source in record["spec"]["sources"]]
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


def load_all(spec: Spec, tables: Sequence[TabularDataset] = (), decoy: bool = True) -> dict[str, TabularDataset]:
    """Every data set by its name. Raises InputError where two have one name."""
    datasets: dict[str, TabularDataset] = {}
    given = {table.name: table for table in tables}
    for source in spec.sources:
        dataset = source.load(given.get(source.name), decoy)
        if dataset.name in datasets:
            raise InputError(f"two data sets are named '{dataset.name}': leave out or rename {source.name}")
        datasets[dataset.name] = dataset
    return datasets


def open_store(out: Path, fresh: bool) -> Store:
    """The chunks of an output folder. Raises InputError if it cannot be written."""
    store = Store(out / "chunks")
    try:
        if fresh and store.folder.exists():
            shutil.rmtree(store.folder)
        store.folder.mkdir(parents=True, exist_ok=True)
        for folder in (store.folder, out, out / "figures"):
            sweep(folder)
        write_atomically(store.folder / ".writable", bytes(LEAST_SPACE))
        (store.folder / ".writable").unlink()
    except OSError as error:
        raise InputError(f"--out {out}: cannot write there: {error.strerror}") from error
    return store


def describe(spec: Spec, datasets: Mapping[str, TabularDataset], planned: Sequence[Job], edits: Sequence[Job],
             done: Sequence[Done], store: Store) -> dict[str, Any]:
    """run.json but its times: what was run, on what, with which versions, and what failed."""
    removed: dict[str, list[str]] = {}
    for job in (job for job in edits if job.removal != NEURONS):
        known = removed.setdefault(job.name, [])
        known += [feature for feature in job.features if feature not in known]
    return {
        "spec": spec.to_json(),
        "versions": {"python": platform.python_version(), **VERSIONS},
        "machine": {"cpu": cpu_name(), "cores": available_cores(), "python": platform.python_version(),
                    "system": platform.platform()},
        "datasets": {job.name: about(job, datasets[job.name], removed.get(job.name, []), store) for job in planned},
        "failed": [{"chunk": d.job.title, "error": d.error} for d in done if d.error],
    }


def about(job: Job, dataset: TabularDataset, removed: list[str], store: Store) -> dict[str, Any]:
    """One data set in run.json."""
    bench = Bench(job, dataset)
    arrays = store.load(job.key)
    names = scorers_at(job.scorers, job.layer)
    networks = {} if job.given is None else {"networks": job.given.describe() | {
        "not_applicable": inapplicable(names, job.given.networks)}}
    return {
        **networks,
        **asdict(dataset.provenance), "simulated": dataset.provenance.simulated, "fingerprint": job.data,
        "rows": {"train": len(dataset.train_rows), "validation": len(dataset.validation_rows),
                 "test": len(dataset.test_rows)},
        "features": dataset.features, "groups": {name: len(columns) for name, columns in dataset.groups.items()},
        "task": dataset.task, "target": dataset.target_name, "classes": list(dataset.classes),
        "notes": list(dataset.notes), "removals": removed,
        "architecture": str(bench.architecture),
        "training": asdict(bench.preset.training), "tuning": asdict(bench.tuning),
        "scorers": {} if arrays is None else {
            name: {"seconds": round(float(arrays["scorer_seconds"][k]), 4),
                   "completeness_gap": _mean(arrays["gap"][:, k]), "fidelity": _mean(arrays["fidelity"][:, k])}
            for k, name in enumerate(names)},
    }


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else round(float(np.nanmean(values)), 6)


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
