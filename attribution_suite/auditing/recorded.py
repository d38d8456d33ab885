"""The chunks of a finished run, made again from its run.json: neither its data nor its networks need be at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from attribution_suite.auditing.chunks import (
    Chunk,
    ExamineOriginals,
    LookInside,
    MeasureExplanations,
    RemoveFeatures,
    TrainOriginals,
    TuneSham,
)
from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.engine import Done, ThisProcess
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.rules import Rules
from attribution_suite.auditing.spec import Profile
from attribution_suite.auditing.store import Store, Stored
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.train import networks_of
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import Provenance, TabularDataset
from attribution_suite.devices import CPU
from attribution_suite.networks.architecture import Architecture

if TYPE_CHECKING:
    from attribution_suite.networks.network import Ensemble

WORKS: Mapping[str, type[Any]] = {
    work.__name__: work for work in (ExamineOriginals, TuneSham, RemoveFeatures, MeasureExplanations, LookInside)}


@dataclass(frozen=True)
class RecordedStore(Store):
    """A run's chunks as they lie: nothing is set aside. `keys`: today's key of a chunk → the one that it lies under."""

    keys: dict[str, str] = field(default_factory=dict)

    def load(self, key: str) -> Stored | None:
        """A finished chunk; None if it is not there or damaged."""
        try:
            return self.read(self.keys.get(key, key))
        except Exception:  # a stranger's bytes make the readers fail in many ways; `verify` has named each
            return None


@dataclass(frozen=True)
class Recorded:
    """What a run was made of.

    `chunks` and their `entries` in run.json, in its order; `done`: how those that failed ended; `failed`: all
    that failed, as run.json has it. `context`: with the store, and of each data set an outline, which has its columns
    and no rows.
    """

    chunks: Sequence[Chunk]
    entries: Sequence[Mapping[str, Any]]
    done: Sequence[Done]
    failed: Sequence[tuple[str, str]]
    context: RunContext

    @property
    def store(self) -> RecordedStore:
        """The chunks' files."""
        return cast("RecordedStore", self.context.store)


def recorded(run: Path, record: Mapping[str, Any]) -> Recorded:
    """A run from the content of its run.json. Raises KeyError, TypeError or ValueError for what holds no run."""
    store, entries = RecordedStore(run / "chunks"), record["chunks"]
    originals: dict[tuple[str, int], TrainOriginals] = {}
    chunks: list[Chunk] = []
    for entry in entries:
        place = entry["dataset"], entry["split"]
        if entry["work"] == TrainOriginals.__name__:
            originals[place] = TrainOriginals(_subject(record, entry, store), entry["record_every"])
            chunks.append(originals[place])
        else:
            chunks.append(_made(WORKS[entry["work"]], originals[place], entry))
    store.keys.update({chunk.key: entry["key"] for chunk, entry in zip(chunks, entries, strict=True)})
    lost: dict[str, list[Chunk]] = {}
    for chunk, entry in zip(chunks, entries, strict=True):
        if entry["sha256"] is None:
            lost.setdefault(chunk.title, []).append(chunk)
    done = [Done(lost[failure["chunk"]].pop(0), 0.0, failure["error"]) for failure in record["failed"]
            if lost.get(failure["chunk"])]
    datasets = {(name, split): _outline(name, about, split) for name, about in record["datasets"].items()
                for split in range(len(about["splits"]))}
    failed = [(failure["chunk"], failure["error"]) for failure in record["failed"]]
    return Recorded(chunks, entries, done, failed, RunContext(store, datasets, CPU, ThisProcess(), print))


def _made(work: type[Any], originals: TrainOriginals, entry: Mapping[str, Any]) -> Chunk:
    words = {one.name: _tuples(entry["removed" if one.name == "features" else one.name])
             for one in fields(work) if one.name != "originals"}
    return cast("Chunk", work(originals, **words))


def _subject(record: Mapping[str, Any], entry: Mapping[str, Any], store: Store) -> Subject:
    spec, about = record["spec"], record["datasets"][entry["dataset"]]
    preset = about["preset"]
    return Subject(
        entry["dataset"], about["splits"][entry["split"]]["fingerprint"],
        Preset(**{**preset, "hidden": tuple(preset["hidden"]), "training": Training(**preset["training"])}),
        Profile(**{name: _tuples(value) for name, value in spec["profile"].items()}), tuple(spec["scorers"]),
        spec["layer"], torch.device(record["machine"]["device"].partition(":")[0]).type,
        Rules(**{name: _tuples(value) for name, value in spec["rules"].items()}), _given(about, spec, entry, store),
        entry["split"], spec["reference"], spec["baseline"])


def _given(about: Mapping[str, Any], spec: Mapping[str, Any], entry: Mapping[str, Any], store: Store) -> Given | None:
    """The user's networks as the run kept them: stacked weights; of others nothing but their digest is known."""
    if "networks" not in about:
        return None
    networks: Ensemble | None = None
    if about["stacked"] is not None and (stored := store.load(entry["key"])) is not None:
        networks = networks_of(stored.arrays, Architecture.from_json(about["stacked"]))
    told = about["networks"]
    # The tables ask of networks that are not kept nothing but whether they are stacked.
    return Given(cast("Ensemble", networks), Training(**told["training"]), told["digest"], None, spec["layer"])


def _outline(name: str, about: Mapping[str, Any], split: int) -> TabularDataset:
    """A data set without its rows: all that the tables of a chunk ask of one."""
    rows, start, groups = about["splits"][split]["rows"], 0, {}
    for group, width in about["groups"].items():
        groups[group] = tuple(range(start, start + width))
        start += width
    train, validation, test = (np.arange(rows[part]) for part in ("train", "validation", "test"))
    return TabularDataset(
        name, np.empty((0, about["features"]), np.float32), np.empty(0), (), groups, about["task"], about["target"],
        train, validation, test, Provenance(about["source"], about["location"], about["sha256"], about["note"]),
        classes=tuple(about["classes"]), split=split)


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at every depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
