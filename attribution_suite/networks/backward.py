"""Forward and backward of all members of an ensemble, written out: a small network costs mostly dispatch.

Layout: values are `[members, units, rows]`. Members are seed-major, `[seeds × variants]`; the variants of a seed share
every batch, so the first layer is one wide product a seed, plus a rank-1 correction for the few columns in which a
variant's inputs differ.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.networks.network import VALUES_AT_ONCE, Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons


@dataclass(frozen=True)
class Batch:
    """One batch of every seed: `inputs` `[seeds, rows, features]`, `targets` `[seeds, rows]`.

    `replaced` `[members × group, rows]`: the values of each member's replaced nodes; `change`: these less the native
    ones.
    """

    inputs: Tensor
    targets: Tensor
    replaced: Tensor | None = None
    change: Tensor | None = None

    @property
    def size(self) -> int:
        """How many rows each seed has."""
        return self.inputs.shape[1]

    def rows(self, start: int, stop: int) -> "Batch":
        """The rows from `start` to before `stop`."""
        replaced, change = ((None, None) if self.replaced is None or self.change is None
                            else (self.replaced[:, start:stop], self.change[:, start:stop]))
        return Batch(self.inputs[:, start:stop], self.targets[:, start:stop], replaced, change)


@dataclass(frozen=True)
class ReplacedColumns:
    """Which columns are replaced for some member, and where each member's own are among them.

    `columns` `[columns]`: those of every distinct group, one group after the other, so that a column that two groups
    share is there twice: given the other inputs it may have another value in each. `groups` `[seeds, variants, group]`:
    each member's own among them; `place` `[members × group]`: the flat position in `[seeds, columns]`.
    """

    columns: Tensor
    groups: Tensor
    place: Tensor

    @classmethod
    def of(cls, nodes: Nodes, seeds: int) -> "ReplacedColumns":
        """From the nodes of seed-major members."""
        distinct, which = nodes.index.unique(dim=0, return_inverse=True)
        kept = ~Nodes(distinct).repeats
        position = kept.flatten().cumsum(0).view(kept.shape) - 1
        position = torch.where(kept, position, position[:, :1])
        groups = position[which].view(seeds, -1, position.shape[1])
        first = int(kept.sum()) * torch.arange(seeds, device=groups.device)
        return cls(distinct[kept], groups, (groups + first[:, None, None]).flatten())


class Penalty(Protocol):
    """What is added to every member's mean loss, `rows` of a batch at a time."""

    @property
    def rows(self) -> int:
        """The length of a piece."""
        ...

    def __call__(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Its sum `[members]` over the rows of a batch, and its derivative by `output` `[members, outputs, rows]`."""
        ...

    def select(self, members: Tensor) -> "Penalty":
        """That of the members at these positions."""
        ...


class Backward(ABC):
    """Forward and backward of the whole ensemble over one flat buffer of parameters, which an optimiser steps."""

    def __init__(self, networks: Ensemble, tensors: Sequence[Tensor], task: Task, seeds: int,
                 clamp: Nodes | None = None, replaced: Nodes | None = None) -> None:
        """`tensors` `[members, …]`: what is trained, copied into the buffer.

        `penalty`, and the directions that the first layer is `held` from reading: none, until they are set.
        """
        self.penalty: Penalty | None = None
        self.held: Tensor | None = None
        self.networks, self.task, self.seeds, self.members = networks, task, seeds, len(networks)
        self.clamped, self.replaced = clamp, replaced
        self.shapes = [tensor.shape for tensor in tensors]
        self.parameters = torch.nn.Parameter(torch.cat([tensor.flatten() for tensor in tensors]))
        self.gradient = torch.zeros_like(self.parameters.data)
        self.parameters.grad = self.gradient
        self.replaced_columns = None if replaced is None else ReplacedColumns.of(replaced, seeds)

    @property
    @abstractmethod
    def first_weight(self) -> Tensor:
        """The first layer's weights as they are now, `[members, hidden, features]`."""

    @abstractmethod
    def forward(self, batch: Batch) -> list[Tensor]:
        """Values `[members, units, rows]` of the layers that a backward pass needs, the output last."""

    @abstractmethod
    def backward(self, batch: Batch) -> Tensor:
        """Sets the gradient of the members' mean loss over the batch; returns the summed loss `[members]`."""

    def hold(self) -> None:
        """Keeps the first layer from reading the directions `held`; nothing to do where it is not trained."""
        return

    @abstractmethod
    def rebuilt(self, tensors: Sequence[Tensor]) -> Ensemble:
        """The networks with other trained parameters, in the order of `kept`."""

    def views(self, flat: Tensor) -> list[Tensor]:
        """A buffer's tensors, `[members, …]` each, in its memory."""
        parts = flat.split([shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def kept(self) -> list[Tensor]:
        """What stopping keeps of this moment, `[members, …]` each, for `rebuilt`: the parameters."""
        return self.views(self.parameters.data)

    def narrowed(self, flat: Tensor, kept: Tensor) -> Tensor:
        """What is left of a buffer like `parameters` when the members at `kept` stay."""
        return torch.cat([view[kept].flatten() for view in self.views(flat)])

    def targets(self, batch: Batch) -> Tensor:
        """`[members, 1, rows]`."""
        return batch.targets.repeat_interleave(self.members // self.seeds, 0)[:, None]

    def loss_and_slope(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Summed loss `[members]` over the rows, penalised, and its derivative by the output, divided by the rows."""
        if self.penalty is None:
            return self.task_loss_and_slope(output, batch)
        more, more_slope = self.penalty(output, batch)  # first: the loss may reuse the output's memory
        loss, slope = self.task_loss_and_slope(output, batch)
        return loss + more, slope + more_slope / batch.size

    def task_loss_and_slope(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same without the penalty."""
        targets, scale = self.targets(batch), 1.0 / batch.size
        if self.task == "regression":
            error = output - targets
            return error.square().sum((1, 2)), error.mul_(2 * scale)
        if self.task == "binary":
            loss = torch.nn.functional.softplus(output) - output * targets
            return loss.sum((1, 2)), output.sigmoid().sub_(targets).mul_(scale)
        logs = output.log_softmax(1)
        loss = -logs.gather(1, targets).sum((1, 2))
        return loss, logs.exp_().scatter_add_(1, targets, torch.full_like(targets, -1.0, dtype=logs.dtype)).mul_(scale)

    @torch.no_grad()
    def loss(self, batch: Batch) -> Tensor:
        """Mean loss `[members]` over a batch of any size, in pieces of rows."""
        step = max(256, VALUES_AT_ONCE // (self.members * max(self.networks.architecture.widths[1:])))
        if self.penalty is not None:  # whole pieces of it: the same whatever else is in the ensemble
            step = -(-step // self.penalty.rows) * self.penalty.rows
        total = batch.inputs.new_zeros(self.members)
        for start in range(0, batch.size, step):
            part = batch.rows(start, min(start + step, batch.size))
            total += self.loss_and_slope(self.forward(part)[-1], part)[0]
        return total / batch.size


class PerceptronBackward(Backward):
    """Stacked weights, their gradients written out."""

    def __init__(self, networks: Perceptrons, task: Task, seeds: int, clamp: Nodes | None = None,
                 replaced: Nodes | None = None) -> None:
        super().__init__(networks, [*networks.weights, *networks.biases], task, seeds, clamp, replaced)
        self.perceptrons = networks
        self.nonlinearity = networks.architecture.nonlinearity
        half = len(networks.weights)
        now, gradients = self.views(self.parameters.data), self.views(self.gradient)
        self.weights, self.biases = now[:half], now[half:]
        self.weight_grads, self.bias_grads = gradients[:half], gradients[half:]
        hidden = networks.weights[0].shape[1]
        # Where the members' nodes are in the first layer's weights, `[members, hidden, group]`.
        self.clamp_at = None if clamp is None else clamp.index[:, None].expand(-1, hidden, -1)
        self.replaced_at = None if replaced is None else replaced.index[:, None].expand(-1, hidden, -1)
        # A repeated node fills up a small group: it must not be corrected twice.
        self.unrepeated = None if replaced is None else (~replaced.repeats).float()[..., None]

    @property
    def first_weight(self) -> Tensor:
        """The first layer's weights as they are now, `[members, hidden, features]`."""
        return self.weights[0]

    def wide(self, tensor: Tensor) -> Tensor:
        """`[members, a, b]` as `[seeds, variants × a, b]`."""
        return tensor.view(self.seeds, -1, tensor.shape[-1])

    def forward(self, batch: Batch) -> list[Tensor]:
        """Every layer's values `[members, units, rows]`: what the derivatives are read off, then the output.

        A hidden layer's are its activations, or its pre-activations where the activation's derivative needs these.
        """
        weight, bias = self.weights[0], self.biases[0]
        wide = torch.bmm(self.wide(weight), batch.inputs.transpose(1, 2))
        value = wide.view(*bias.shape, -1).add_(bias[..., None])
        if self.replaced_at is not None and self.unrepeated is not None and batch.change is not None:
            change = batch.change.view(len(bias), -1, batch.size) * self.unrepeated
            value.baddbmm_(weight.gather(2, self.replaced_at), change)
        values = [value]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            active = self.nonlinearity.in_place(values[-1])
            if self.nonlinearity.reads == "output":
                values[-1] = active
            values.append(torch.baddbmm(bias[..., None], weight, active))
        return values

    def backward(self, batch: Batch) -> Tensor:
        """Sets the gradient of the members' mean loss over the batch; returns the summed loss `[members]`."""
        values = self.forward(batch)
        loss, slope = self.loss_and_slope(values.pop(), batch)
        for layer in range(len(self.weights) - 1, 0, -1):
            value = values.pop()
            active = self.nonlinearity.apply(value) if self.nonlinearity.reads == "input" else value
            torch.bmm(slope, active.transpose(1, 2), out=self.weight_grads[layer])
            torch.sum(slope, 2, out=self.bias_grads[layer])
            slope = self.below(layer, slope, value)
        torch.sum(slope, 2, out=self.bias_grads[0])
        torch.bmm(self.wide(slope), batch.inputs, out=self.wide(self.weight_grads[0]))
        if self.clamp_at is not None:
            self.weight_grads[0].scatter_(2, self.clamp_at, 0.0)
        if self.replaced_at is not None and batch.replaced is not None:
            replaced = batch.replaced.view(len(slope), -1, batch.size)
            self.weight_grads[0].scatter_(2, self.replaced_at, torch.bmm(slope, replaced.transpose(1, 2)))
        return loss

    def below(self, layer: int, slope: Tensor, value: Tensor) -> Tensor:
        """From the slope by what Linear `layer` returns to that by the pre-activation below, of the values `value`."""
        return self.nonlinearity.backward(torch.bmm(self.weights[layer].transpose(1, 2), slope), value)

    def first_slope(self, batch: Batch) -> Tensor:
        """The derivative of the members' mean loss by the first pre-activation, `[members, hidden, rows]`."""
        values = self.forward(batch)
        slope = self.loss_and_slope(values.pop(), batch)[1]
        for layer in range(len(self.weights) - 1, 0, -1):
            slope = self.below(layer, slope, values.pop())
        return slope

    def hold(self) -> None:
        """W ← W (I − Q Qᵀ)."""
        if self.held is not None:
            weight = self.weights[0]
            weight.baddbmm_(torch.bmm(weight, self.held), self.held.transpose(1, 2), alpha=-1)

    def rebuilt(self, tensors: Sequence[Tensor]) -> Perceptrons:
        """The networks with other parameters, in the order (*weights, *biases)."""
        depth = len(self.weights)
        return replace(self.perceptrons, weights=tuple(tensors[:depth]), biases=tuple(tensors[depth:]))
