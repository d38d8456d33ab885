"""run.json: what was run, on what, with which versions, where, and what failed."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from attribution_suite.audit.bench import Bench
from attribution_suite.audit.job import VERSIONS, Job
from attribution_suite.audit.schedule import Done
from attribution_suite.audit.scoring import inapplicable, scorers_at
from attribution_suite.audit.spec import Spec
from attribution_suite.audit.store import Store
from attribution_suite.audit.tables import NEURONS
from attribution_suite.datasets.table import TabularDataset


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
