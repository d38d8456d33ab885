"""What a run needs everywhere, as one object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from attribution_suite.auditing.store import Store
from attribution_suite.auditing.subject import Subject
from attribution_suite.datasets.table import TabularDataset


@dataclass(frozen=True)
class RunContext:
    """`datasets` by name and split; `workers`: how many processes compute; `say`: how the user is told."""

    store: Store
    datasets: Mapping[tuple[str, int], TabularDataset]
    device: torch.device
    workers: int
    say: Callable[[str], None]

    @property
    def maps(self) -> Path:
        """The folder where workers share large arrays, beside the store."""
        return self.store.folder.parent / "maps"

    def dataset(self, subject: Subject) -> TabularDataset:
        """The rows of a subject, on its split."""
        return self.datasets[subject.name, subject.split]
