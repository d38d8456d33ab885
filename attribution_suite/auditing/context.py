"""What a run needs everywhere, as one object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from attribution_suite.auditing.store import Store
from attribution_suite.datasets.table import TabularDataset


@dataclass(frozen=True)
class RunContext:
    """`datasets` by name; `workers`: how many processes compute; `say`: how the user is told."""

    store: Store
    datasets: Mapping[str, TabularDataset]
    device: torch.device
    workers: int
    say: Callable[[str], None]
