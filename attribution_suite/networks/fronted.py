"""Networks of which only the ends are known, behind an editable layer of their own."""

from dataclasses import dataclass, field, replace
from typing import Self

from torch import Tensor
from torch.nn.functional import pad

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import IndexColumn, Nodes


@dataclass(frozen=True)
class ModuleArchitecture(Architecture):
    """Of a module its ends are known, and the most numbers that one of its submodules makes of a row, `widest`.

    `place`: the name of the one layer of it that is known, whose units are `hidden`; '' where there is none.
    """

    title: str = "module"
    widest: int = 1
    place: str = ""

    @property
    def widths(self) -> tuple[int, ...]:
        """Input, units of the known layer, and last the widest place inside (what memory is planned by) or the output.

        Of no known layer: input, the widest place, output.
        """
        widest = max(self.features, self.widest, self.outputs)
        return (self.features, *self.hidden, widest) if self.hidden else (self.features, widest, self.outputs)

    @property
    def depth(self) -> int:
        """How many parts there are: one, or two where a layer is known."""
        return 1 + len(self.hidden)

    def __str__(self) -> str:
        known = f"; layer 1 is '{self.place}', {self.hidden[0]} units" if self.hidden else ""
        return f"{self.title} ({self.features} inputs, {self.outputs} outputs{known})"


@dataclass(frozen=True)
class Fronted(Ensemble):
    """E networks x → network(W x + b), `weight` W `[E, features, features]` and `bias` b, identity and 0 until edited.

    What follows, a module or an estimator, is the subclass's own. There are no layers below or between. `index`: the
    columns that hold a category's number.
    """

    architecture: ModuleArchitecture
    weight: Tensor
    bias: Tensor
    index: tuple[IndexColumn, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    @property
    def first_weight(self) -> Tensor:
        """W, `[E, features, features]`."""
        return self.weight

    @property
    def first_bias(self) -> Tensor:
        """b, `[E, features]`."""
        return self.bias

    def tail(self, layer: int) -> "Fronted":
        """The networks themselves. Raises InputError for a hidden layer."""
        if layer != 0:
            raise InputError(f"layer {layer} cannot be audited: {self.refusal('layers')}")
        return self

    def with_tail(self, tail: Self) -> Self:
        """`tail`: there is nothing below it."""
        return tail

    def with_first_layer(self, weight: Tensor, bias: Tensor) -> Self:
        """The same networks behind another W `[E, features, features]` and b `[E, features]`."""
        return replace(self, weight=weight, bias=bias)

    def with_nodes_at_mean(self, nodes: Nodes, means: Tensor) -> Self:
        """Replaces the members' nodes by their means; a column of indices by the mean of what its embedding returns.

        Raises InputError, with the reason, for a column of indices that has no such mean.
        """
        mask = nodes.mask(self.architecture.features)
        lost = [column for column in self.index if bool(mask[:, column.column].any())]
        for column in lost:
            if column.reason:
                raise InputError(f"column {column.column} holds an index, and its mean is none: {column.reason}")
            means = means.masked_fill(nodes.index == column.column, float(column.values[column.stands]))
        networks = self.with_nodes_folded(nodes, means)
        for column in lost:
            networks = networks.with_embedding_at_mean(column, mask[:, column.column])
        return networks

    def with_embedding_at_mean(self, column: IndexColumn, members: Tensor) -> Self:
        """Some `members` `[E]` bool for which a column of indices stands for the mean of its embedding."""
        raise NotImplementedError

    def widened(self, columns: int) -> Self:
        """The same networks with that many more inputs, the last ones, of zero weights: W is no longer square."""
        wider = replace(self.architecture, features=self.architecture.features + columns)
        return replace(self, architecture=wider, weight=pad(self.weight, (0, columns)))
