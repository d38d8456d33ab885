"""The six kinds of work an audit is made of. A chunk knows its key, its inputs, its work and its tables.

A chunk is one unit of scheduling, resumption and distribution; it is plain data, so it travels to a worker process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from attribution_suite.auditing import frames, metric_frames
from attribution_suite.auditing.code_digest import plug_in_digest
from attribution_suite.auditing.store import Arrays, Store, Stored, content_key
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.edit import EDITED, EXAMINED, examine_originals, explain_edits, remove_features
from attribution_suite.auditing.work.look import look_inside
from attribution_suite.auditing.work.metrics import METRICS, RANDOMISED
from attribution_suite.auditing.work.sham import TUNED, tune_sham
from attribution_suite.auditing.work.train import explain_originals, score_originals, stored_names, weight_names
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.removals import REFERENCE, REMOVALS, SHAM
from attribution_suite.removals.removal import removal_traits, sham_of
from attribution_suite.tables import NEURON_TABLES
from attribution_suite.tables.audit import ORIGINAL

Frames = Iterator[tuple[str, pd.DataFrame]]


@dataclass(frozen=True)
class TrainOriginals:
    """Trains one network a seed, unless they are given, and scores them.

    `record_every`: the epochs from one record of the first layer's weights to the next; None records nothing.
    """

    subject: Subject
    record_every: int | None = None
    removal: ClassVar[str] = ORIGINAL

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.subject.content(), self.record_every])

    @property
    def title(self) -> str:
        """For progress and errors."""
        return f"{self.subject.title} {ORIGINAL}"

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.member_keys(self.subject, ORIGINAL, (("",),) * len(self.subject.seeds), (0,))

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        return frozenset(stored_names(self.subject, self.record_every))

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """The networks, what scorers say of them, how they trained."""
        return score_originals(self.subject, dataset, device, self.record_every)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence["Chunk"]) -> Frames:
        """Rows of every table that is about networks before any edit."""
        yield from frames.scored(self.subject, dataset, arrays, self.members)
        yield "outcomes", frames.original_outcomes(dataset, arrays, self.members)
        yield "confusion", frames.confusion(dataset, arrays, self.members)
        yield "local_attributions", frames.local_attributions(arrays, self.members)


@dataclass(frozen=True)
class ExamineOriginals:
    """Asks the originals what every edited network is asked about the features that go, so that there is a before.

    `features` and `ranks` as in `RemoveFeatures`.
    """

    originals: TrainOriginals
    features: tuple[tuple[str, ...], ...]
    ranks: tuple[int, ...]
    removal: ClassVar[str] = ORIGINAL

    @property
    def subject(self) -> Subject:
        """The originals'."""
        return self.originals.subject

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.originals.key, self.features])

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.member_keys(self.subject, ORIGINAL, self.features, self.ranks)

    @property
    def title(self) -> str:
        """For progress and errors."""
        return f"{self.subject.title} before ({_few(self.features)})"

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        return frozenset(EXAMINED)

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """The originals' effects, and the nulls of their scorers."""
        originals = finished(self.originals, store)
        return examine_originals(self.subject, dataset, device, originals.arrays, self.features)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence["Chunk"]) -> Frames:
        """Rows of outcomes, nulls, failures, information, proxies and partial dependence."""
        originals = finished(self.originals, store).arrays
        yield "outcomes", frames.examined(arrays, originals, self.members)
        yield "nulls", frames.nulls(self.subject, dataset, arrays, originals, self.members)
        yield "failures", frames.failures(arrays, self.members)
        yield from frames.told(arrays, self.members)


@dataclass(frozen=True)
class TuneSham:
    """The control of costs: tunes each original as the tuned methods do, with nothing removed. One network a seed.

    `removal`: 'sham', or with its option the control of a method that takes one step.
    """

    originals: TrainOriginals
    removal: str = SHAM

    @property
    def subject(self) -> Subject:
        """The originals'."""
        return self.originals.subject

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.originals.key, self.removal])

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.member_keys(self.subject, self.removal, (("",),) * len(self.subject.seeds), (0,))

    @property
    def title(self) -> str:
        """For progress and errors."""
        return f"{self.subject.title} {self.removal}"

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        return frozenset(TUNED)

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """The tuned networks' losses."""
        return tune_sham(self.subject, dataset, device, finished(self.originals, store).arrays, self.removal)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence["Chunk"]) -> Frames:
        """Rows of training and outcomes."""
        yield "training", frames.training(arrays, self.members)
        budget = self.subject.budget if self.removal == SHAM else np.nan
        yield "outcomes", frames.sham(arrays, finished(self.originals, store).arrays, budget, self.members)


@dataclass(frozen=True)
class RemoveFeatures:
    """Removes features (or hidden units) from the originals by one method, then scores and measures what is left.

    `features` `[seeds][variants]`: what each network loses, one network a variant. `ranks` `[variants]`: the places
    of 'top:K', 0 for what was named. `proxies` `[variants]`: the inputs that go with each, or, where they are
    `residual` (of one variant), stay less their regression on it.
    """

    originals: TrainOriginals
    removal: str
    features: tuple[tuple[str, ...], ...]
    ranks: tuple[int, ...]
    proxies: tuple[tuple[str, ...], ...]
    residual: bool

    @property
    def subject(self) -> Subject:
        """The originals'."""
        return self.originals.subject

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.originals.key, self.removal,
                            plug_in_digest(REMOVALS, self.removal), self.features, self.proxies, self.residual])

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.member_keys(self.subject, self.removal, self.features, self.ranks)

    @property
    def removed(self) -> tuple[str, ...]:
        """What some network loses, each name once."""
        return tuple(dict.fromkeys(name for names in self.features for name in names))

    @property
    def reads(self) -> str:
        """When the edited networks, or their making, need the removed feature: as `RemovalTraits.reads`."""
        return "at inference" if self.residual and any(self.proxies) else removal_traits(self.removal).reads

    @property
    def title(self) -> str:
        """For progress and errors: data set, removal and features."""
        return f"{self.subject.title} {self.removal} ({_few(self.features)})"

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        kept = () if removal_traits(self.removal).in_front else weight_names(self.subject)
        return frozenset((*EDITED, *kept))

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """The edited networks' scores, losses and effects."""
        originals = finished(self.originals, store)
        return remove_features(self.subject, dataset, device, originals.arrays, self.removal, self.features,
                               self.proxies, self.residual)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence["Chunk"]) -> Frames:
        """Rows of every table that is about edits."""
        members = self.members
        yield from frames.scored(self.subject, dataset, arrays, members)
        originals, twin = finished(self.originals, store).arrays, replace(self, removal=REFERENCE)
        reference = load(twin, store) if twin in chunks else None
        retrained = None if reference is None else reference.arrays
        yield "shifts", frames.shifts(self.subject, dataset, arrays, originals, retrained, members)
        yield "nulls", frames.nulls(self.subject, dataset, arrays, arrays, members)
        budget = self.subject.budget if removal_traits(self.removal).tuned else np.nan
        yield "outcomes", frames.outcomes(arrays, retrained, originals, sham_of(self.removal), budget, self.reads,
                                          members)
        yield "frontier", frames.frontier(arrays, members)
        yield "confusion", frames.confusion(dataset, arrays, members)
        yield from frames.told(arrays, members)


@dataclass(frozen=True)
class MeasureExplanations:
    """How true and steady explanations of the originals are, or of edited networks, where a run asks (`--metrics`).

    It is no part of the chunk whose networks are asked: who asks later keeps all that is finished.
    `edit`: the fields of that `RemoveFeatures` after `originals`; none for the originals themselves.
    """

    originals: TrainOriginals
    edit: tuple[Any, ...] = ()

    @classmethod
    def of(cls, networks: "TrainOriginals | RemoveFeatures") -> "MeasureExplanations":
        """The one that asks a chunk's networks."""
        if isinstance(networks, TrainOriginals):
            return cls(networks)
        return cls(networks.originals, tuple(getattr(networks, one.name) for one in fields(networks)[1:]))

    @property
    def networks(self) -> TrainOriginals | RemoveFeatures:
        """The chunk whose networks are asked."""
        return RemoveFeatures(self.originals, *self.edit) if self.edit else self.originals

    @property
    def subject(self) -> Subject:
        """The originals'."""
        return self.originals.subject

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.networks.key])

    @property
    def removal(self) -> str:
        """That of the networks."""
        return self.networks.removal

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return self.networks.members

    @property
    def title(self) -> str:
        """For progress and errors."""
        return f"{self.networks.title}, metrics"

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        return frozenset(METRICS if self.edit else (*METRICS, *RANDOMISED))

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """Infidelity and sensitivity of every scorer; of the originals also what it says of random weights."""
        originals = finished(self.originals, store).arrays
        if not self.edit:
            return explain_originals(self.subject, dataset, device, originals)
        removal, features, _, proxies, residual = self.edit
        return explain_edits(self.subject, dataset, device, originals, finished(self.networks, store).arrays, removal,
                             features, proxies, residual)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence["Chunk"]) -> Frames:
        """Rows of metrics, randomisation and failures."""
        originals = load(MeasureExplanations(self.originals), store) if self.edit else None
        before = None if originals is None else originals.arrays
        yield "metrics", metric_frames.metrics(self.subject, arrays, before, self.members)
        if not self.edit:
            yield "randomisation", metric_frames.randomisation(self.subject, arrays, self.members)
        yield "failures", frames.failures(arrays, self.members)


@dataclass(frozen=True)
class LookInside:
    """Looks into hidden `layers` of the originals: units, masking, paths, how weights grew. Nothing is removed."""

    originals: TrainOriginals
    layers: tuple[int, ...]
    removal: ClassVar[str] = ORIGINAL

    @property
    def subject(self) -> Subject:
        """The originals'."""
        return self.originals.subject

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.originals.key, self.layers])

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.member_keys(self.subject, ORIGINAL, (("",),) * len(self.subject.seeds), (0,))

    @property
    def title(self) -> str:
        """For progress and errors."""
        return f"{self.subject.title} inside (layers {', '.join(map(str, self.layers))})"

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds: every table of `NEURON_TABLES`."""
        return frozenset(NEURON_TABLES)

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """A matter of seconds, of scipy and of tables: it stays on the CPU."""
        originals = finished(self.originals, store)
        return look_inside(self.subject, dataset, originals.arrays, self.layers, self.originals.record_every)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence["Chunk"]) -> Frames:
        """Every table of `NEURON_TABLES`."""
        return frames.unpacked(arrays)


Chunk = TrainOriginals | ExamineOriginals | TuneSham | RemoveFeatures | MeasureExplanations | LookInside


def _few(features: tuple[tuple[str, ...], ...]) -> str:
    names = list(dict.fromkeys(name for names in features for name in names))
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def load(chunk: Chunk, store: Store) -> Stored | None:
    """A finished chunk; None if the store does not hold it whole, with all that a chunk of its kind holds today."""
    stored = store.load(chunk.key)
    return stored if stored is not None and chunk.outputs <= stored.arrays.keys() else None


def finished(chunk: Chunk, store: Store) -> Stored:
    """A chunk that must have run before."""
    stored = load(chunk, store)
    if stored is None:
        raise RuntimeError(f"{chunk.title} is missing: that chunk must run first")
    return stored
