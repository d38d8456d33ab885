"""Chunks computed again: whole, where processor and versions are those of the run; else the scores of its networks."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from attribution_suite.auditing.chunks import Chunk, RemoveFeatures, TrainOriginals
from attribution_suite.auditing.code_digest import VERSIONS, code_digest
from attribution_suite.auditing.engine import one_thread
from attribution_suite.auditing.machine import describe_machine
from attribution_suite.auditing.recorded import Recorded
from attribution_suite.auditing.store import Arrays, Stored
from attribution_suite.auditing.work.edit import edits_scored
from attribution_suite.auditing.work.train import originals_scored, weight_names
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.devices import CPU
from attribution_suite.errors import InputError

# What no two runs share.
TIMED = ("seconds", "scorer_seconds")
RTOL = 1e-4
# What is compared where training is not repeated.
SCORES = ("mean_abs", "signed", "performance")


def drawn(recorded: Recorded, count: int) -> list[int]:
    """The positions of `count` finished chunks, drawn anew at each call, so that nobody knows which will be checked."""
    finished = [place for place, entry in enumerate(recorded.entries) if entry["sha256"] is not None]
    return sorted(random.SystemRandom().sample(finished, min(count, len(finished))))


def elsewhere(record: Mapping[str, Any], stored: Stored) -> str:
    """Why a chunk's bits cannot be expected again: what differs from where it was made; '' if nothing does."""
    versions = {name: version for name, version in record["versions"].items() if name != "python"}
    if machine := unlike_here(stored.made):
        return machine
    if versions != VERSIONS:
        name = next(name for name in {**versions, **VERSIONS} if versions.get(name) != VERSIONS.get(name))
        return f"it was made with {name} {versions.get(name)}, here is {VERSIONS.get(name)}"
    return "" if record["code"] == code_digest() else "it was made by other code of this package"


def unlike_here(made: Mapping[str, Any]) -> str:
    """Which part of the machine that made something this one's CPU is not like; '' if it is one of the kind."""
    machine = describe_machine(CPU)
    for part in ("device", "cpu", "instructions"):
        if made[part] != machine[part]:
            return f"it was made on {made[part]}, this is {machine[part]}"
    return ""


def replayed(chunk: Chunk, stored: Stored, recorded: Recorded, dataset: TabularDataset) -> Iterator[str]:
    """Where the bits of a chunk that is computed again differ, a line an array."""
    with one_thread():
        arrays = chunk.work(dataset, recorded.store, CPU)
    for name in sorted({*arrays, *stored.arrays} - set(TIMED)):
        one, other = stored.arrays.get(name), arrays.get(name)
        if one is None or other is None:
            yield f"array '{name}' is in one of the two alone"
        elif one.dtype != other.dtype or one.shape != other.shape or one.tobytes() != other.tobytes():
            yield f"array '{name}' differs in {_count(one, other)}"


def scored_again(chunk: Chunk, stored: Stored, recorded: Recorded, dataset: TabularDataset) -> Iterator[str]:
    """Where what the chunk's stored networks score differs by more than `RTOL` of a network's largest, a line an array.

    Raises InputError for a chunk that keeps no networks.
    """
    if not isinstance(chunk, TrainOriginals | RemoveFeatures) or not (
            set(weight_names(chunk.subject)) & stored.arrays.keys()):
        raise InputError("it keeps no networks")
    with one_thread():
        if isinstance(chunk, TrainOriginals):
            arrays = originals_scored(chunk.subject, dataset, CPU, stored.arrays)
        else:
            originals = recorded.store.load(chunk.originals.key)
            if originals is None:
                raise InputError("the originals' chunk is damaged")
            arrays = edits_scored(chunk.subject, dataset, CPU, originals.arrays, stored.arrays, chunk.removal,
                                  chunk.features, chunk.proxies, chunk.residual)
    yield from _far(stored.arrays, arrays)


def _far(stored: Arrays, arrays: Arrays) -> Iterator[str]:
    for name in SCORES:
        one, other = stored[name].astype(float), arrays[name].astype(float)
        largest = np.nanmax(np.abs(one), axis=-1, keepdims=True, initial=0)
        near = (np.abs(one - other) <= RTOL * largest) | (np.isnan(one) & np.isnan(other))
        if not near.all():
            yield f"array '{name}' differs by more than {RTOL:g} in {(~near).sum()} of {near.size} values"


def _count(one: np.ndarray, other: np.ndarray) -> str:
    if one.shape != other.shape:
        return f"shape: {one.shape}, again {other.shape}"
    both = (one == other) if one.dtype.kind != "f" else (one == other) | (np.isnan(one) & np.isnan(other))
    return f"{int((~both).sum())} of {one.size} values"
