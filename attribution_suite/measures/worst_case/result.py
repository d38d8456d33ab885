"""What a worst case says of every network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from attribution_suite.networks.nodes import Nodes
from attribution_suite.presented import Presented

ROUNDING = 1e-6
Method = Literal["algebra", "exact", "enclosure", "search"]


@dataclass(frozen=True)
class WorstCase(Presented):
    """Per network, the most that f moves on some row when x_j alone does: effect ≤ D ≤ bound, in f's units.

    D = max over rows i and values t of |f(x_i with x_j = t) − f(x_i)|; f is the output, the logit, or of several logits
    each minus their mean (and D the largest over them). `[members]`, float64 where not said otherwise:

    `effect`: the largest move found, by the witness. `bound`: no move is larger: `effect` itself where `method` is
    'exact', 0 where it is 'algebra' (all weights from x_j are zero), above it for 'enclosure', infinite for 'search'.
    `row` (int64): the witness, counted in the rows looked at; `native` and `value` `[members, group]`: its own x_j and
    the one that it is moved to, in the columns' own units; `native_scaled`, `value_scaled` as the network takes them.
    `output` (int64): which of f's outputs moves most there; `before` and `after`: that one.
    `flips`: how many rows change their predicted class at some value that was looked at, by 'exact' at any value at
    all; NaN for a regression.
    Where nothing moves by algebra there is no witness: its row and output are −1, its values NaN.
    `rows`: how many rows were looked at; `delta`: see `measure`; `nodes`: the columns that moved. `names`, `centre` and
    `scale` are those of all the network's columns: own units = scaled · scale + centre.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.measures:WORST_CASE"
    effect: Tensor
    bound: Tensor
    method: tuple[Method, ...]
    row: Tensor
    native_scaled: Tensor
    value_scaled: Tensor
    output: Tensor
    before: Tensor
    after: Tensor
    flips: Tensor
    rows: int
    delta: Tensor
    nodes: Nodes
    names: tuple[str, ...]
    centre: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.effect)

    @property
    def native(self) -> Tensor:
        """The witness's own x_j `[members, group]`, in the columns' own units."""
        return self._unscaled(self.native_scaled)

    @property
    def value(self) -> Tensor:
        """What x_j is moved to `[members, group]`, in the columns' own units."""
        return self._unscaled(self.value_scaled)

    def named(self, names: Sequence[str], centre: ArrayLike, scale: ArrayLike) -> "WorstCase":
        """The same with the names of all columns, and `centre` and `scale` `[features]` of their own units."""
        return replace(self, names=tuple(names), centre=torch.as_tensor(centre), scale=torch.as_tensor(scale))

    def named_units(self) -> "WorstCase":
        """The same for the units of a hidden layer: 'unit:0', 'unit:1' and so on."""
        return replace(self, names=tuple(f"unit:{unit}" for unit in range(len(self.names))))

    def to_frame(self) -> pd.DataFrame:
        """One row a network: its number `member`, and the fields above but the scaled values and the names.

        `native` and `value` are text, as 'age 41' or 'thal=7 1': of a group, the columns that are not 0. Empty where
        there is no witness.
        """
        return pd.DataFrame({
            "member": range(len(self)),
            "effect": self.effect.numpy(),
            "bound": self.bound.numpy(),
            "method": self.method,
            "row": self.row.numpy(),
            "native": self._texts(self.native),
            "value": self._texts(self.value),
            "before": self.before.numpy(),
            "after": self.after.numpy(),
            "output": self.output.numpy(),
            "flips": self.flips.numpy(),
            "rows": self.rows,
            "delta": self.delta.numpy(),
        })

    def _unscaled(self, scaled: Tensor) -> Tensor:
        return scaled * self.scale[self.nodes.index] + self.centre[self.nodes.index]

    def _texts(self, values: Tensor) -> list[str]:
        """Each network's values by the columns' names."""
        # What float32 inputs leave of a 0 in own units is not worth a reader's time.
        least = (ROUNDING * (self.scale + self.centre.abs()))[self.nodes.index]
        rounded = torch.where(values.abs() < least, 0.0, values).tolist()
        return [_text([self.names[column] for column in index], numbers) if row >= 0 else ""
                for index, numbers, row in zip(self.nodes.index.tolist(), rounded, self.row.tolist(), strict=True)]


def _text(names: list[str], values: list[float]) -> str:
    by_name = dict(zip(names, values, strict=True))  # a smaller group than the largest names its first column again
    shown = {name: value for name, value in by_name.items() if value} or by_name
    return ", ".join(f"{name} {value:.6g}" for name, value in shown.items())
