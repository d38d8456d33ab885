"""Fine-tuning on the mirrored column."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_flags
from attribution_suite.removals.removal import RemovalTraits, Setting


@dataclass(frozen=True)
class InversionTuning:
    """Warm start; x_j becomes its mirror image 2μ − x_j, so that a weight on it is punished.

    Run to convergence on mirrored data alone the influence would change its *sign*, not go. Default: each row is
    mirrored with probability ½, so that no sign of the weight helps. `published`: mean(batch) − 2(x − μ) in every row,
    as the published code has it (it doubles the column's spread). A one-hot group mostly stays: its mirrored rows are
    no rows of the data, and a nonlinear network learns to tell them apart. What is even in x_j − μ stays, and so does
    the product of two features that are removed together: both are mirrored in the same rows.
    """

    published: bool = False
    name: ClassVar[str] = "inversion_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        reads="in training", exact=False, tuned=True, published={"published": True})

    def __post_init__(self) -> None:
        check_flags(self, "published")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes within `setting.tuning`."""
        return setting.tune(networks, setting.tuning, replaced=nodes, replacement=self.replacement())

    def replacement(self) -> Replacement:
        """Mirrors the columns about their training mean."""
        return _published if self.published else _half


def _half(block: Block) -> Tensor:
    mirrored = 2 * block.table.mean(0) - block.values
    coin = torch.rand(len(block.values), 1, generator=block.generator).to(mirrored) < 0.5
    return torch.where(coin, mirrored, block.values)


def _published(block: Block) -> Tensor:
    batches = block.values.split(block.batch_size)
    means = torch.cat([batch.mean(0, keepdim=True).expand_as(batch) for batch in batches])
    return means - 2 * (block.values - block.table.mean(0))
