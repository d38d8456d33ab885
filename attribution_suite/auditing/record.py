"""run.json: what was run, on what, with which versions, where, and what failed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_suite.auditing.chunks import Chunk, ExamineOriginals, RemoveFeatures, TrainOriginals, load
from attribution_suite.auditing.code_digest import VERSIONS, code_digest
from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.machine import available_cores, describe_machine
from attribution_suite.auditing.plan import architecture_for, called, proxies_gone, refusals
from attribution_suite.auditing.spec import Spec
from attribution_suite.auditing.store import Store, content_key
from attribution_suite.auditing.work.train import weight_names
from attribution_suite.datasets.columns import columns_of
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.files import file_sha256

MACHINE = ("cpu", "instructions", "system", "python", "device")


def describe(spec: Spec, context: RunContext, chunks: Sequence[Chunk],
             failed: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """run.json but its times: what was run, on what, with which versions, on which machines, and what failed."""
    machine, entries = describe_machine(context.device), [contents(chunk, context.store) for chunk in chunks]
    return {
        "spec": spec.to_json(),
        "versions": {"python": machine["python"], **VERSIONS}, "code": code_digest(),
        "machine": {**machine, "cores": available_cores()},
        "made_by": made_by(chunks, context),
        "chunks": entries, "tables_from": tables_from(entries, failed),
        "datasets": {chunk.subject.name: about(chunk, chunks, context, spec)
                     for chunk in chunks if isinstance(chunk, TrainOriginals) and not chunk.subject.split},
        "failed": [{"chunk": chunk, "error": error} for chunk, error in failed],
    }


def made_by(chunks: Sequence[Chunk], context: RunContext) -> list[dict[str, Any]]:
    """Which machines and devices computed the chunks, and how many each: a resumed run may hold several."""
    counts: Counter[tuple[tuple[str, str], ...]] = Counter()
    for chunk in chunks:
        stored = load(chunk, context.store)
        if stored is not None:
            counts[tuple((name, stored.made[name]) for name in MACHINE)] += 1
    return [{**dict(machine), "chunks": count} for machine, count in counts.items()]


def tables_from(entries: Sequence[Mapping[str, Any]], failed: Sequence[tuple[str, str]]) -> str:
    """A name for what the tables are made from: run.json and every table bear it, so that none is read with another's.

    A run that ends between writing the one and the other leaves them with two names. A chunk that is made again has the
    same key and numbers, and other times: its tables keep their name.
    """
    finished = [[entry["key"], entry["sha256"] is not None] for entry in entries]
    return content_key([finished, [list(failure) for failure in failed]])


def contents(chunk: Chunk, store: Store) -> dict[str, Any]:
    """Which file of the store holds what: the networks of `seeds`, what each lost (`removed` `[seeds][variants]`).

    With the hash of the file (None of a chunk that failed), and all else that the chunk is made again from
    (`recorded_chunks`).
    """
    subject, path = chunk.subject, store.path(chunk.key)
    words = {field.name: getattr(chunk, field.name) for field in fields(chunk)
             if field.name not in ("subject", "originals")}
    return {"key": chunk.key, "sha256": file_sha256(path) if path.exists() else None, "work": type(chunk).__name__,
            "dataset": subject.name, "split": subject.split, "seeds": list(subject.seeds), "removal": chunk.removal,
            "removed": words.pop("features", []), **words}


def about(original: TrainOriginals, chunks: Sequence[Chunk], context: RunContext, spec: Spec) -> dict[str, Any]:
    """One data set in run.json; what differs between splits is that of the first, and of each under 'splits'."""
    subject, stored = original.subject, load(original, context.store)
    dataset = context.dataset(subject)
    architecture = architecture_for(subject, dataset)
    removed = dict.fromkeys(name for chunk in chunks if isinstance(chunk, RemoveFeatures) and
                            chunk.originals == original for name in chunk.removed)
    pieces = [chunk.features for chunk in chunks if isinstance(chunk, ExamineOriginals) and chunk.originals == original]
    features = [tuple(name for names in seeds for name in names) for seeds in zip(*pieces, strict=True)]
    gone = proxies_gone(spec, dataset, features[0] if features else ())
    networks = {} if subject.given is None else {"networks": subject.given.describe() | {
        "not_applicable": subject.given.not_applicable(spec.removals, subject.scorers, dataset)}}
    return {
        **networks,
        **asdict(dataset.provenance), "simulated": dataset.provenance.simulated, "fingerprint": subject.data,
        "rows": row_counts(dataset), "splits": [
            {"fingerprint": chunk.subject.data, "rows": row_counts(context.dataset(chunk.subject))}
            for chunk in chunks if isinstance(chunk, TrainOriginals) and chunk.subject.name == subject.name],
        "features": dataset.features, "groups": {name: len(columns) for name, columns in dataset.groups.items()},
        "task": dataset.task, "target": dataset.target_name, "classes": list(dataset.classes),
        "notes": list(dataset.notes), "removals": list(removed),
        "refused": [[name, called(features, place), reason] for name in spec.removals if features
                    for place, reason in refusals(name, original, dataset, features, gone, spec,
                                                  context.store).items()],
        "proxies_gone": {name: list(proxies) for name, proxies in gone.items()},
        "architecture": str(architecture), "stacked": asdict(architecture) if list(weight_names(subject)) else None,
        "columns": columns_of(dataset),
        "preset": asdict(subject.preset), "training": asdict(subject.preset.training), "tuning": asdict(subject.tuning),
        "scorers": {} if stored is None else {
            name: {"seconds": round(float(stored.arrays["scorer_seconds"][k]), 4),
                   "completeness_gap": _mean(stored.arrays["gap"][:, k]),
                   "fidelity": _mean(stored.arrays["fidelity"][:, k])}
            for k, name in enumerate(subject.scorers)},
    }


def row_counts(dataset: TabularDataset) -> dict[str, int]:
    """How many rows each part of the split has."""
    return {"train": len(dataset.train_rows), "validation": len(dataset.validation_rows),
            "test": len(dataset.test_rows)}


def _mean(values: NDArray[np.float32]) -> float | None:
    return None if np.isnan(values).all() else round(float(np.nanmean(values)), 6)
