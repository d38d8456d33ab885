"""A removal from every original, and what is left after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from attribution_suite.auditing import frames
from attribution_suite.auditing.chunks.chunk import Chunk, Frames, few, finished, load
from attribution_suite.auditing.chunks.train_originals import OfOriginals
from attribution_suite.auditing.code_digest import plug_in_digest
from attribution_suite.auditing.store import Arrays, Store, content_key
from attribution_suite.auditing.work.edit import EDITED, remove_features
from attribution_suite.auditing.work.train import weight_names
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.removals import REFERENCE, REMOVALS
from attribution_suite.removals.removal import removal_traits, sham_of


@dataclass(frozen=True)
class RemoveFeatures(OfOriginals):
    """Removes features (or hidden units) from the originals by one method, then scores and measures what is left.

    `features` `[seeds][variants]`: what each network loses, one network a variant. `ranks` `[variants]`: the places
    of 'top:K', 0 for what was named. `proxies` `[variants]`: the inputs that go with each, or, where they are
    `residual` (of one variant), stay less their regression on it.
    """

    removal: str
    features: tuple[tuple[str, ...], ...]
    ranks: tuple[int, ...]
    proxies: tuple[tuple[str, ...], ...]
    residual: bool

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
        return f"{self.subject.title} {self.removal} ({few(self.features)})"

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

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: Sequence[Chunk]) -> Frames:
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
