"""Where a feature may go: what training has shown of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SEARCH_POINTS = 101  # that a search tries along a number
SEARCH_VALUES = 256  # joint values of several numbers that a search tries


@dataclass(frozen=True)
class Domain:
    """The values that a group of g columns may take: `patterns`, and along one of the columns all of a range.

    `patterns` `[patterns, g]` float64, 0 at column `number`, which takes every value from `low` to `high` `[patterns]`;
    no such column: `number` is None, and both are 0. `complete`: nothing that training has shown is left out.
    """

    patterns: Tensor
    number: int | None
    low: Tensor
    high: Tensor
    complete: bool = True

    @classmethod
    def of(cls, values: Tensor, flags: bool = True, index: Sequence[bool] | None = None) -> "Domain":
        """From the group's values in the training rows, `[rows, g]`.

        A column of at most two values (a category's indicator, a 'missing' flag, a constant) is a flag: flags take the
        patterns that occur. One other column is a number: it takes its whole range with every pattern, but where all
        rows of a pattern share one value of it: the fill of a missing number stays what it is. Several numbers: the
        rows' joint values, at most `SEARCH_VALUES` of them, evenly spread over the rows as sorted.
        `index` `[g]`: which columns hold a category's number; they are flags, whatever they hold.
        Without `flags` (a hidden unit, that is zero on nearly all rows) two values are the ends of a number's range.
        """
        values = values.double()
        least, most = values.amin(0), values.amax(0)
        varied = ((values != least) & (values != most)).any(0) if flags else least < most
        if index is not None:
            varied &= ~torch.tensor(index)
        numbers = varied.nonzero()[:, 0].tolist()
        if not numbers:
            return cls.finite(_distinct(values)[0])
        if len(numbers) > 1:
            joint, _ = _distinct(values)
            spread = torch.linspace(0, len(joint) - 1, min(len(joint), SEARCH_VALUES)).round().long()
            return cls.finite(joint[spread], complete=False)
        number = numbers[0]
        rest = values.clone()
        rest[:, number] = 0.0
        patterns, pattern = _distinct(rest)
        column = values[:, number]
        none = column.new_zeros(len(patterns))
        low, high = (none.scatter_reduce(0, pattern, column, kind, include_self=False) for kind in ("amin", "amax"))
        varies = low < high
        return cls(patterns, number, torch.where(varies, least[number], low), torch.where(varies, most[number], high))

    @classmethod
    def finite(cls, patterns: Tensor, complete: bool = True) -> "Domain":
        """These `[patterns, g]` alone."""
        none = patterns.new_zeros(len(patterns))
        return cls(patterns, None, none, none, complete)

    def sampled(self) -> "Domain":
        """A finite part of it: `SEARCH_POINTS` evenly spaced values of the number, its ends among them.

        All of it where there is no number.
        """
        if self.number is None:
            return self
        share = torch.linspace(0, 1, SEARCH_POINTS, dtype=self.low.dtype)
        values = torch.lerp(self.low[:, None], self.high[:, None], share)
        patterns = self.patterns[:, None].repeat(1, SEARCH_POINTS, 1)
        patterns[..., self.number] = values
        return Domain.finite(_distinct(patterns.flatten(0, 1))[0], complete=False)

    def value(self, pattern: int, number: float) -> Tensor:
        """The columns' values `[g]` of a pattern at a value of the number."""
        values = self.patterns[pattern].clone()
        if self.number is not None:
            values[self.number] = number
        return values


def _distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of `[rows, columns]`, sorted by their columns, and which of them each row is.

    Column by column: `torch.unique(dim=0)` compares rows one by one, and takes 0.2 s for 50,000.
    """
    which = torch.zeros(len(rows), dtype=torch.int64)
    for column in rows.T:
        codes = column.unique(return_inverse=True)[1]
        which = (which * (codes.max() + 1) + codes).unique(return_inverse=True)[1]
    example = torch.empty(int(which.max()) + 1, dtype=torch.int64).scatter_(0, which, torch.arange(len(rows)))
    return rows[example], which
