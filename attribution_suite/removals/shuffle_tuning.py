"""Fine-tuning on the permuted column."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.removals.removal import RemovalTraits
from attribution_suite.removals.tuning import ReplacingTuning


@dataclass(frozen=True)
class ShuffleTuning(ReplacingTuning):
    """Warm start; the column is permuted within each batch, so that it keeps its values and loses its rows."""

    name: ClassVar[str] = "shuffle_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training", exact=False, tuned=True)

    def replacement(self) -> Replacement:
        """Permutes the columns' rows together, batch by batch."""
        return _permuted


def _permuted(block: Block) -> Tensor:
    draw = torch.rand(len(block.values), generator=block.generator).to(block.values)
    return torch.cat([batch[order.argsort()] for batch, order in
                      zip(block.values.split(block.batch_size), draw.split(block.batch_size), strict=True)])
