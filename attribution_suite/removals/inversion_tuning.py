"""Fine-tuning on the mirrored column."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.options import check_flags
from attribution_suite.removals.removal import RemovalTraits
from attribution_suite.removals.tuning import ReplacingTuning


@dataclass(frozen=True)
class InversionTuning(ReplacingTuning):
    """Warm start; x_j becomes its mirror image 2μ − x_j in half of the rows, so that no weight on it helps.

    Run to convergence on mirrored rows alone the influence would change its *sign*, not go: each row is mirrored with
    probability ½. A mirror image of a category is no row of the data, and a network learns to tell it apart: a category
    (columns of two values) becomes another one, drawn by frequency. For the mix to tell nothing of the native category
    c it stays with its own frequency p_c: with ½ a part 1/4 of the contrasts of three categories would stay, of many
    nearly ½. What is even in x_j − μ stays, and so does the product of two numbers that are removed together: both are
    mirrored in the same rows. `published`: mean(batch) − 2(x − μ) in every row, as the published code has it (it
    doubles the column's spread), categories too.
    """

    published: bool = False
    name: ClassVar[str] = "inversion_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        reads="in training", exact=False, tuned=True, published={"published": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flags(self, "published")

    def replacement(self) -> Replacement:
        """Mirrors the columns about their training mean."""
        return _published if self.published else _half


def _half(block: Block) -> Tensor:
    mirrored = 2 * block.table.mean(0) - block.values
    coin = torch.rand(len(block.values), 1, generator=block.generator).to(mirrored) < 0.5
    # Category c stays if the row drawn is one of c's, so with p_c, and else becomes the drawn one's, by frequency.
    rows = torch.randint(len(block.table), (len(block.values),), generator=block.generator)
    ends = block.table.aminmax(dim=0)
    flags = ((block.table == ends.min) | (block.table == ends.max)).all(0)
    return torch.where(flags, block.table[rows], torch.where(coin, mirrored, block.values))


def _published(block: Block) -> Tensor:
    batches = block.values.split(block.batch_size)
    means = torch.cat([batch.mean(0, keepdim=True).expand_as(batch) for batch in batches])
    return means - 2 * (block.values - block.table.mean(0))
