"""How true and steady explanations are, where a run asks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import pandas as pd
import torch

from attribution_suite.auditing import frames, metric_frames
from attribution_suite.auditing.chunks.chunk import Chunk, Frames, finished, load
from attribution_suite.auditing.chunks.remove_features import RemoveFeatures
from attribution_suite.auditing.chunks.train_originals import OfOriginals, TrainOriginals
from attribution_suite.auditing.store import Arrays, Store, content_key
from attribution_suite.auditing.work.edit import explain_edits
from attribution_suite.auditing.work.metrics import METRICS, RANDOMISED
from attribution_suite.auditing.work.train import explain_originals
from attribution_suite.datasets.table import TabularDataset


@dataclass(frozen=True)
class MeasureExplanations(OfOriginals):
    """How true and steady explanations of the originals are, or of edited networks, where a run asks (`--metrics`).

    It is no part of the chunk whose networks are asked: who asks later keeps all that is finished.
    `edit`: the fields of that `RemoveFeatures` after `originals`; none for the originals themselves.
    """

    edit: tuple[Any, ...] = ()

    @classmethod
    def of(cls, networks: TrainOriginals | RemoveFeatures) -> "MeasureExplanations":
        """The one that asks a chunk's networks."""
        if isinstance(networks, TrainOriginals):
            return cls(networks)
        return cls(networks.originals, tuple(getattr(networks, one.name) for one in fields(networks)[1:]))

    @property
    def networks(self) -> TrainOriginals | RemoveFeatures:
        """The chunk whose networks are asked."""
        return RemoveFeatures(self.originals, *self.edit) if self.edit else self.originals

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

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence[Chunk]) -> Frames:
        """Rows of metrics, randomisation and failures."""
        originals = load(MeasureExplanations(self.originals), store) if self.edit else None
        before = None if originals is None else originals.arrays
        yield "metrics", metric_frames.metrics(self.subject, arrays, before, self.members)
        if not self.edit:
            yield "randomisation", metric_frames.randomisation(self.subject, arrays, self.members)
        yield "failures", frames.failures(arrays, self.members)
