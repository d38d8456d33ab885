"""Training the networks that an audit is about, unless they are given, and scoring them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pandas as pd
import torch

from attribution_suite.auditing import frames
from attribution_suite.auditing.chunks.chunk import Chunk, Frames
from attribution_suite.auditing.store import Arrays, Store, content_key
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.train import score_originals, stored_names
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.tables.audit import ORIGINAL


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
        return frames.seed_keys(self.subject, ORIGINAL)

    @property
    def outputs(self) -> frozenset[str]:
        """What a finished chunk holds."""
        return frozenset(stored_names(self.subject, self.record_every))

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """The networks, what scorers say of them, how they trained."""
        return score_originals(self.subject, dataset, device, self.record_every)

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence[Chunk]) -> Frames:
        """Rows of every table that is about networks before any edit."""
        yield from frames.scored(self.subject, dataset, arrays, self.members)
        yield "outcomes", frames.original_outcomes(dataset, arrays, self.members)
        yield "confusion", frames.confusion(dataset, arrays, self.members)
        yield "local_attributions", frames.local_attributions(arrays, self.members)


@dataclass(frozen=True)
class OfOriginals:
    """A chunk that builds on finished originals."""

    originals: TrainOriginals

    @property
    def subject(self) -> Subject:
        """The originals'."""
        return self.originals.subject
