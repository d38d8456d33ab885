"""What the originals do with the features that go: the before of every removal."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pandas as pd
import torch

from attribution_suite.auditing import frames
from attribution_suite.auditing.chunks.chunk import Chunk, Frames, few, finished
from attribution_suite.auditing.chunks.train_originals import OfOriginals
from attribution_suite.auditing.store import Arrays, Store, content_key
from attribution_suite.auditing.work.edit import EXAMINED, examine_originals
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.tables.audit import ORIGINAL


@dataclass(frozen=True)
class ExamineOriginals(OfOriginals):
    """Asks the originals what every edited network is asked about the features that go, so that there is a before.

    `features` and `ranks` as in `RemoveFeatures`.
    """

    features: tuple[tuple[str, ...], ...]
    ranks: tuple[int, ...]
    removal: ClassVar[str] = ORIGINAL

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
        return f"{self.subject.title} before ({few(self.features)})"

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        return frozenset(EXAMINED)

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """The originals' effects, and the nulls of their scorers."""
        originals = finished(self.originals, store)
        return examine_originals(self.subject, dataset, device, originals.arrays, self.features)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence[Chunk]) -> Frames:
        """Rows of outcomes, nulls, failures, information, proxies and partial dependence."""
        originals = finished(self.originals, store).arrays
        yield "outcomes", frames.examined(arrays, originals, self.members)
        yield "nulls", frames.nulls(self.subject, dataset, arrays, originals, self.members)
        yield "failures", frames.failures(arrays, self.members)
        yield from frames.told(arrays, self.members)
