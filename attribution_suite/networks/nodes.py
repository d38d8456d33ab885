"""What a removal takes out: columns or hidden units, one group a member of an ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Nodes:
    """The node or group of nodes (input columns, hidden units) that each member of an ensemble loses.

    `index` `[members, group]`: a member with a smaller group than the largest repeats its first node.
    """

    index: Tensor

    @classmethod
    def of(cls, groups: Sequence[Sequence[int]]) -> "Nodes":
        """From one tuple of columns a member."""
        width = max(len(group) for group in groups)
        return cls(torch.tensor([[*group, *[group[0]] * (width - len(group))] for group in groups]))

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device) -> "Nodes":
        """The same nodes, for networks on another device."""
        return Nodes(self.index.to(device))

    def select(self, members: Tensor) -> "Nodes":
        """Those of the members at these positions."""
        return Nodes(self.index[members])

    def repeat(self, times: int) -> "Nodes":
        """The same nodes for `times` ensembles, one after the other."""
        return Nodes(self.index.repeat(times, 1))

    def mask(self, features: int) -> Tensor:
        """`[members, features]` bool: True at the nodes that the member loses."""
        return self.index.new_zeros(len(self), features, dtype=torch.bool).scatter_(1, self.index, True)

    @property
    def repeats(self) -> Tensor:
        """`[members, group]` bool: True where `index` only repeats the first node to fill up."""
        first = self.index == self.index[:, :1]
        first[:, 0] = False
        return first


@dataclass(frozen=True)
class IndexColumn:
    """An input column that holds a category's number.

    `values` `[K]`: those that occur in training, rising; `shares` `[K]`: how often. `embedding`: the name of the
    weights that it reads, value k row `read[k]` of them, and `stands`: the number of the value whose row no other
    column reads, so that it may hold the mean; `linear`: the Linear that takes the embedding beside other inputs, and
    where it begins among them.
    `reason`: why there is no mean embedding.
    """

    column: int
    values: Tensor
    shares: Tensor
    embedding: str = ""
    read: Tensor | None = None
    stands: int = 0
    linear: tuple[str, int] | None = None
    reason: str = ""
