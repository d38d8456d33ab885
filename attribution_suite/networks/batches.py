"""The batches of all seeds, side by side, with the columns that a removal replaces."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attribution_suite.datasets.table import Split
from attribution_suite.networks.backward import Batch, ReplacedColumns

BLOCK_BATCHES = 32  # batches gathered at once: a block of inputs stays in the cache, and bounds memory
GATHERED_VALUES = 8_000_000  # of inputs that are gathered at once where nothing is replaced: 32 MB
# An epoch's order of more rows than `WINDOW`: runs of this many rows, so many of which are shuffled together.
RUN_ROWS, WINDOW_RUNS = 1024, 128
WINDOW = RUN_ROWS * WINDOW_RUNS


@dataclass(frozen=True)
class Block:
    """Some batches of one seed, as a replacement sees them.

    `values` `[rows, columns]`: the columns that some member loses, native; `table` `[n, columns]`: the same columns of
    all training rows; `inputs` `[rows, features]` and `training` `[n, features]`: everything; `columns` `[columns]`:
    their positions in these. `groups` `[members, group]`: which of `columns` each of the seed's members loses together
    (a smaller group repeats its first); a column that two groups share is in `columns` once for each.
    `generator` goes on from block to block; `seed` is the networks' own, for what must be drawn once and for all.
    """

    values: Tensor
    table: Tensor
    inputs: Tensor
    training: Tensor
    columns: Tensor
    groups: Tensor
    batch_size: int
    seed: int
    generator: torch.Generator


Replacement = Callable[[Block], Tensor]
"""Draws the replaced columns `[rows, columns]`. It must draw per row or per input column, never per removed column:
then a member sees the same values whatever else is in its ensemble."""


class Batches:
    """The batches of all seeds, side by side, gathered a block at a time."""

    def __init__(self, split: Split, seeds: Sequence[int], batch_size: int, replaced_columns: ReplacedColumns | None,
                 replacement: Replacement | None, purpose: int = 0, table: Split | None = None) -> None:
        """`table`: the training rows that a replacement draws from, where `split` is not they."""
        self.split, self.seeds, self.batch_size, self.replacement = split, seeds, batch_size, replacement
        self.rows = (split if table is None else table).inputs
        self.device = split.inputs.device
        self.order = [torch.Generator().manual_seed(1_000_003 * seed + 11 + purpose) for seed in seeds]
        self.runs = torch.Generator().manual_seed(11 + purpose)  # whatever seeds there are
        self.draws = [torch.Generator().manual_seed(1_000_003 * seed + 12 + purpose) for seed in seeds]
        self.narrow(replaced_columns)

    def narrow(self, replaced_columns: ReplacedColumns | None) -> None:
        """Goes on for fewer members, whose replaced columns these are; what is drawn stays the same."""
        self.replaced_columns = replaced_columns
        self.table = None if replaced_columns is None else self.rows[..., replaced_columns.columns]

    def epoch(self) -> Iterator[Batch]:
        """A fresh order for every seed."""
        at_once = self.batch_size * self.batches_at_once
        for window in windows(len(self.split.targets), self.order, self.runs):
            order = window.to(self.device)
            for start in range(0, order.shape[1], at_once):
                block = self.gather(order[:, start:start + at_once])
                for first in range(0, block.size, self.batch_size):
                    yield block.rows(first, min(first + self.batch_size, block.size))

    @property
    def batches_at_once(self) -> int:
        """How many batches one gathering takes: fewer where they are wide; what is replaced is drawn block by block."""
        values = len(self.seeds) * self.batch_size * self.split.inputs.shape[-1]
        return BLOCK_BATCHES if self.replacement else min(BLOCK_BATCHES, max(1, GATHERED_VALUES // values))

    def fixed(self) -> Batch:
        """All rows in their own order, replaced once: the same held-out loss is measured every epoch."""
        seeds = len(self.order)
        return self.replaced(self.split.inputs.expand(seeds, -1, -1), self.split.targets.expand(seeds, -1))

    def gather(self, rows: Tensor) -> Batch:
        """The rows `[seeds, rows]`, with the replaced values drawn."""
        if self.split.inputs.dim() == 2:
            inputs = self.split.inputs.index_select(0, rows.flatten()).view(*rows.shape, -1)
        else:
            inputs = self.split.inputs.gather(1, rows[..., None].expand(-1, -1, self.split.inputs.shape[2]))
        return self.replaced(inputs, self.split.targets[rows])

    def replaced(self, inputs: Tensor, targets: Tensor) -> Batch:
        """Inputs `[seeds, rows, features]` and targets `[seeds, rows]` with the replaced values drawn."""
        if self.replaced_columns is None or self.table is None or self.replacement is None:
            return Batch(inputs, targets)
        native = inputs[..., self.replaced_columns.columns]
        replaced = torch.stack([
            self.replacement(Block(native[s], _of_seed(self.table, s), inputs[s], _of_seed(self.rows, s),
                                   self.replaced_columns.columns, self.replaced_columns.groups[s], self.batch_size,
                                   seed, self.draws[s]))
            for s, seed in enumerate(self.seeds)])
        wide, change = replaced.transpose(1, 2), (replaced - native).transpose(1, 2)
        place = self.replaced_columns.place
        return Batch(inputs, targets, wide.flatten(0, 1)[place], change.flatten(0, 1)[place])


def windows(rows: int, orders: Sequence[torch.Generator], runs: torch.Generator) -> Iterator[Tensor]:
    """The row numbers 0 … `rows` − 1 in the order of an epoch, each seed's by its own of `orders`: `[seeds, some]`.

    Up to `WINDOW` rows: one permutation. More: runs of `RUN_ROWS` neighbouring rows in a permuted order drawn from
    `runs`, the same for all seeds; `WINDOW_RUNS` of them at a time are a window, whose rows every seed permutes.
    So a table on disk is read once an epoch however many networks are trained, and what is read at random fits the
    system's cache. The order depends on the rows' number and the seed alone, not on where the rows are kept.
    """
    if rows <= WINDOW:
        yield torch.stack([torch.randperm(rows, generator=order) for order in orders])
        return
    for some in torch.randperm(-(-rows // RUN_ROWS), generator=runs).split(WINDOW_RUNS):
        window = (RUN_ROWS * some[:, None] + torch.arange(RUN_ROWS)).flatten()
        window = window[window < rows]
        yield torch.stack([window[torch.randperm(len(window), generator=order)] for order in orders])


def _of_seed(rows: Tensor, seed: int) -> Tensor:
    """`[n, columns]` of a seed's position, from rows that all seeds share or `[seeds, n, columns]`."""
    return rows if rows.dim() == 2 else rows[seed]
