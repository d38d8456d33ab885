"""What a run needs everywhere, as one object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from attribution_suite.auditing.chunks import Chunk
from attribution_suite.auditing.engine import Engine, Task
from attribution_suite.auditing.store import Store
from attribution_suite.auditing.subject import Subject
from attribution_suite.datasets.table import TabularDataset


@dataclass(frozen=True)
class RunContext:
    """`datasets` by name and split; `engine`: what computes; `say`: how the user is told."""

    store: Store
    datasets: Mapping[tuple[str, int], TabularDataset]
    device: torch.device
    engine: Engine
    say: Callable[[str], None]

    def dataset(self, subject: Subject) -> TabularDataset:
        """The rows of a subject, on its split."""
        return self.datasets[subject.name, subject.split]

    def task(self, chunk: Chunk) -> Task:
        """A chunk with what its work needs."""
        return Task(chunk, self.dataset(chunk.subject), self.store, self.device)
