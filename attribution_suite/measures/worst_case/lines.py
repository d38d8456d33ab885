"""One network along the lines that its rows may be moved on, and the largest move found there."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError
from attribution_suite.measures.worst_case.domain import Domain
from attribution_suite.networks.network import Ensemble

CHUNK_VALUES = 500_000  # float64 values of one layer that a pass holds: 4 MB, near a core's cache


def effect_output(outputs: Tensor) -> Tensor:
    """f `[…, outputs]` in float64: the output or the logit itself; of several logits, each minus their mean.

    The mean is taken off because a constant added to all logits changes no probability.
    """
    values = outputs.double()
    return values if values.shape[-1] == 1 else values - values.mean(-1, keepdim=True)


@dataclass(frozen=True)
class Lines:
    """First pre-activations of one network when x_j moves: `base[row] + offset[pattern] + t·direction`.

    One line a row and pattern, line = row · patterns + pattern. `base` `[rows, hidden]` is the row without x_j,
    `offset` `[patterns, hidden]` what a pattern adds, `direction` `[hidden]` what one unit of the number adds;
    `low` and `high` `[patterns]` bound t. `network` is an ensemble of one, in float64 if it is a perceptron.
    """

    network: Ensemble
    base: Tensor
    offset: Tensor
    direction: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, network: Ensemble, inputs: Tensor, columns: Tensor, domain: Domain) -> "Lines":
        """The lines of every row of `inputs` `[rows, features]` when `columns` `[g]` move within `domain`."""
        weight = network.first_weight[0].double()
        rest = inputs.index_fill(1, columns, 0.0)
        base = network.first(rest.to(network.first_weight))[0].double()
        direction = weight.new_zeros(len(weight)) if domain.number is None else weight[:, columns[domain.number]]
        return cls(network, base, domain.patterns @ weight[:, columns].T, direction, domain.low, domain.high)

    @property
    def patterns(self) -> int:
        """How many lines a row has."""
        return len(self.offset)

    def __len__(self) -> int:
        return len(self.base) * self.patterns

    def at(self, line: Tensor, t: Tensor) -> Tensor:
        """The first pre-activations at values t of lines, both `[…]`: `[…, hidden]`."""
        if self.patterns == 1:
            return torch.addcmul((self.base + self.offset)[line], t[..., None], self.direction)
        row, pattern = line // self.patterns, line % self.patterns
        return (self.base[row] + self.offset[pattern]).addcmul_(t[..., None], self.direction)

    def outputs(self, first: Tensor) -> Tensor:
        """f `[points, outputs]` from first pre-activations `[points, hidden]`, by the network itself."""
        return effect_output(self.network.finish(first.to(self.network.first_weight)[None])[0])


class Moves:
    """The largest |f(x_i with x_j moved) − f(x_i)| of one network, `member`, as points of its lines are taken in.

    `before` `[rows, outputs]` is f(x_i), of the rows from number `start` on. `effect`, `line`, `t`, `output`, `after`:
    of the largest move so far. `flipped` `[rows]`: rows whose predicted class some point changes.
    """

    def __init__(self, before: Tensor, patterns: int, task: Task, member: int, start: int = 0) -> None:
        self.before, self.patterns, self.task, self.member, self.start = before, patterns, task, member, start
        self.effect, self.line, self.output = -1.0, 0, 0
        self.t = self.after = float("nan")
        self.flipped = torch.zeros(len(before), dtype=torch.bool)

    def take(self, line: Tensor, t: Tensor, f: Tensor) -> Tensor:
        """Takes in points: lines and values t `[points]`, f `[points, outputs]`. Returns |Δf| `[points, outputs]`.

        Raises InputError for an f that is not finite.
        """
        row = line if self.patterns == 1 else line // self.patterns
        change = (f - self.before[row]).abs()
        best = int(change.argmax())  # the first that is not a number, if there is one
        point, output = divmod(best, f.shape[1])
        effect = float(change[point, output])
        if not math.isfinite(effect):
            raise InputError(f"network {self.member} returns {float(f[point, output])} for test row "
                             f"{self.start + int(row[point])} when its feature is moved: its outputs must be finite "
                             "on every row")
        if effect > self.effect:
            self.effect, self.line, self.t = effect, int(line[point]), float(t[point])
            self.output, self.after = output, float(f[point, output])
        if self.task != "regression":
            self.flipped[row[self._predicted(f) != self._predicted(self.before)[row]]] = True
        return change

    def _predicted(self, f: Tensor) -> Tensor:
        return f.argmax(1) if f.shape[1] > 1 else f[:, 0] > 0
