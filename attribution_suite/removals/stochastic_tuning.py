"""Fine-tuning on a column of noise."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.options import check_flags, check_positive
from attribution_suite.removals.removal import RemovalTraits
from attribution_suite.removals.tuning import ReplacingTuning


@dataclass(frozen=True)
class StochasticTuning(ReplacingTuning):
    """Warm start; the column is redrawn in every batch, so that its weight only adds noise to the loss.

    Default: from its own marginal (the values of a random training row; a group's columns from the same row).
    `published`: from N(mean, `deviation`²) with deviation 1. A noise much narrower than the column leaves its weight
    alive.
    """

    published: bool = False
    deviation: float = 1.0
    name: ClassVar[str] = "stochastic_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        reads="in training", exact=False, tuned=True, published={"published": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "published")
        check_positive(self, "deviation")

    def replacement(self) -> Replacement:
        """Draws a row of the training table, or normal noise, per row."""
        return self._normal if self.published else _marginal

    def _normal(self, block: Block) -> Tensor:
        noise = torch.randn(block.inputs.shape, generator=block.generator).to(block.values)[:, block.columns]
        return block.table.mean(0) + self.deviation * noise


def _marginal(block: Block) -> Tensor:
    return block.table[torch.randint(len(block.table), (len(block.values),), generator=block.generator)]
