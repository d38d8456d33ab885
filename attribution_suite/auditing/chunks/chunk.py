"""What a chunk is: one unit of scheduling, resumption and distribution."""

from collections.abc import Iterator, Sequence
from dataclasses import Field
from typing import Any, ClassVar, Protocol

import pandas as pd
import torch

from attribution_suite.auditing.store import Arrays, Store, Stored
from attribution_suite.auditing.subject import Subject
from attribution_suite.datasets.table import TabularDataset

Frames = Iterator[tuple[str, pd.DataFrame]]


class Chunk(Protocol):
    """A dataclass, so that it travels to a worker process; it knows its key, its inputs, its work and its tables."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def subject(self) -> Subject:
        """The networks of which data set, trained and asked how."""

    @property
    def removal(self) -> str:
        """What was done to the networks that it is about: a removal, `ORIGINAL` or a sham."""

    @property
    def key(self) -> str:
        """Its name in the store: a digest of everything that its result depends on."""

    @property
    def members(self) -> pd.DataFrame:
        """The key columns of its tables, one row a network."""

    @property
    def title(self) -> str:
        """For progress and errors."""

    @property
    def outputs(self) -> frozenset[str]:
        """The names of the arrays that a finished one holds."""

    def work(self, dataset: TabularDataset, store: Store, device: torch.device) -> Arrays:
        """Does it; `store` holds the chunks that it builds on."""

    def tables(self, arrays: Arrays, dataset: TabularDataset, store: Store, chunks: "Sequence[Chunk]") -> Frames:
        """Its rows of each table, from its arrays; `chunks` are all of the run."""


def few(features: tuple[tuple[str, ...], ...]) -> str:
    """The first three names, for a title."""
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
