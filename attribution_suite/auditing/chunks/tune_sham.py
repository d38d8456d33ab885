"""The control of costs: tuning as long with nothing removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from attribution_suite.auditing import frames
from attribution_suite.auditing.chunks.chunk import Chunk, Frames, finished
from attribution_suite.auditing.chunks.train_originals import OfOriginals
from attribution_suite.auditing.store import Arrays, Store, content_key
from attribution_suite.auditing.work.sham import TUNED, tune_sham
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.removals import SHAM


@dataclass(frozen=True)
class TuneSham(OfOriginals):
    """The control of costs: tunes each original as the tuned methods do, with nothing removed. One network a seed.

    `removal`: 'sham', or with its option the control of a method that takes one step.
    """

    removal: str = SHAM

    @cached_property
    def key(self) -> str:
        """The chunk's name in the store."""
        return content_key([type(self).__name__, self.originals.key, self.removal])

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""
        return frames.seed_keys(self.subject, self.removal)

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

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence[Chunk]) -> Frames:
        """Rows of training and outcomes."""
        yield "training", frames.training(arrays, self.members)
        budget = self.subject.budget if self.removal == SHAM else np.nan
        yield "outcomes", frames.sham(arrays, finished(self.originals, store).arrays, budget, self.members)
