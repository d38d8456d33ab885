"""A look into the hidden layers of the originals."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pandas as pd
import torch

from attribution_suite.auditing import frames
from attribution_suite.auditing.chunks.chunk import Chunk, Frames, finished
from attribution_suite.auditing.chunks.train_originals import OfOriginals
from attribution_suite.auditing.store import Arrays, Store, content_key
from attribution_suite.auditing.work.look import look_inside
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.tables import NEURON_TABLES
from attribution_suite.tables.audit import ORIGINAL


@dataclass(frozen=True)
class LookInside(OfOriginals):
    """Looks into hidden `layers` of the originals: units, masking, paths, how weights grew. Nothing is removed."""

    layers: tuple[int, ...]
    removal: ClassVar[str] = ORIGINAL

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.originals.key, self.layers])

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.seed_keys(self.subject, ORIGINAL)

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

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence[Chunk]) -> Frames:
        """Every table of `NEURON_TABLES`."""
        return frames.unpacked(arrays)
