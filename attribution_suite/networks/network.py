"""What scorers, removals and training may ask of networks, whatever they are made of."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import pandas as pd
import torch
from torch import Tensor, nn

from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import IndexColumn, Nodes
from attribution_suite.presented import Presented

# Values that one batched product may hold at once (4 bytes each): its operands stay in a core's cache, memory bounded.
VALUES_AT_ONCE = 1_000_000


class Ensemble(Presented):
    """E networks of one architecture, float32, that never mix: x → finish(W x + b).

    `first_weight` `[E, hidden, features]` and `first_bias` `[E, hidden]` are the first layer, which every removal
    edits; what follows it is the implementation's own: stacked weights (`Perceptrons`) or any module (`Modules`).
    Inputs are `[rows, features]` (the same for all members) or `[E, rows, features]`.
    An ensemble is a value: every edit returns a new one.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.networks:ENSEMBLE"
    architecture: Architecture
    # May the first pre-activation of a changed row be had by adding what changed? Not where the last bit decides.
    additive: ClassVar[bool] = True
    # The input columns that hold a category's number, where that matters: stacked weights take any number.
    index: tuple[IndexColumn, ...] = ()

    def __len__(self) -> int:
        return len(self.first_weight)

    @property
    @abstractmethod
    def first_weight(self) -> Tensor:
        """W, `[E, hidden, features]`."""

    @property
    @abstractmethod
    def first_bias(self) -> Tensor:
        """b, `[E, hidden]`."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that decides the outputs."""

    @property
    @abstractmethod
    def how(self) -> str:
        """How the members run, in words: 'as stacked weights'."""

    @property
    def index_columns(self) -> list[int]:
        """The places of the columns of `index`."""
        return [column.column for column in self.index]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.first_weight.device

    @abstractmethod
    def refusal(self, reads: str) -> str | None:
        """Why a method cannot be asked of these; None if it can.

        It reads 'gradients', 'layers' (a perceptron's), 'activations' (modules, through hooks), the 'units' of a known
        layer, or its 'unit activations', through hooks.
        """

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """The same networks on another device."""

    @abstractmethod
    def select(self, members: Tensor | Sequence[int] | slice) -> Self:
        """The members at these positions, in this order (repeats allowed)."""

    @abstractmethod
    def fresh(self, seeds: Sequence[int]) -> Self:
        """Untrained networks of this architecture, one a seed."""

    @abstractmethod
    def tail(self, layer: int) -> "Ensemble":
        """The rest of the networks from layer `layer` on: its inputs are that layer's activations.

        Raises InputError for a layer that they do not have.
        """

    @abstractmethod
    def with_tail(self, tail: Self) -> Self:
        """These networks with their last layers replaced by those of `tail`."""

    @abstractmethod
    def with_first_layer(self, weight: Tensor, bias: Tensor) -> Self:
        """These networks with another W `[E, hidden, features]` and b `[E, hidden]`."""

    @abstractmethod
    def widened(self, columns: int) -> Self:
        """The same networks with that many more inputs, the last ones, whose first-layer weights are all zero.

        W becomes `[E, hidden, features + columns]`; no output depends on the new inputs.
        """

    @abstractmethod
    def with_outputs_scaled(self, scale: float, shift: float) -> Self:
        """The networks whose outputs are scale · f + shift."""

    @abstractmethod
    def to_module(self, member: int = 0) -> nn.Module:
        """One member as a module of its own, from encoded inputs to outputs."""

    def to_frame(self) -> pd.DataFrame:
        """One row a network and input column: member, column, and `weight`, the L2 norm of its first-layer weights.

        A network whose weight from a column is 0 cannot depend on it.
        """
        members, _, features = self.first_weight.shape
        return pd.DataFrame({
            "member": [member for member in range(members) for _ in range(features)],
            "column": list(range(features)) * members,
            "weight": self.first_weight.norm(dim=1).flatten().numpy(force=True)})

    def to_sequential(self, member: int = 0) -> nn.Module:
        """One member as steps, where layers are known: step 2l − 1 returns the units of layer l."""
        return self.to_module(member)

    @abstractmethod
    def finish(self, first: Tensor) -> Tensor:
        """From the first pre-activation `[E, rows, hidden]` to the output `[E, rows, outputs]`."""

    @abstractmethod
    def gradient(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """∂(explained output)/∂(first pre-activation) at points `[E, points, hidden]`, the same shape.

        `explained` `[E, points]` is the class of each point, None where there is one output.
        """

    @abstractmethod
    def activations(self, inputs: Tensor) -> list[Tensor]:
        """What enters each Linear, then the output: `[E, rows, width]` for layers 0 … depth.

        Raises InputError where the layers are not known.
        """

    def first(self, inputs: Tensor) -> Tensor:
        """The first pre-activation W x + b, `[E, rows, hidden]`."""
        rows = inputs.expand(len(self), -1, -1)
        return torch.baddbmm(self.first_bias[:, None], rows, self.first_weight.transpose(1, 2))

    def first_with(self, first: Tensor, inputs: Tensor, columns: Sequence[int], values: Tensor,
                   rows: Tensor | None = None) -> Tensor:
        """W x + b, `first` `[E, rows, hidden]`, when `columns` of the inputs take other values, `[…, rows, columns]`.

        A rank-1 change of what is known. `rows`: which rows of `inputs` these are, all if it is None.
        """
        # Most features are one column, and a slice of one is a view.
        chosen = slice(columns[0], columns[0] + 1) if len(columns) == 1 else list(columns)
        native = inputs[..., chosen] if rows is None else inputs[..., chosen][..., rows, :]
        change = (values - native).expand(len(self), -1, -1)
        return torch.baddbmm(first, change, self.first_weight[:, :, chosen].transpose(1, 2))

    def explained_output(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """The explained output at first pre-activations `[E, rows, variants, hidden]`, without the last axis.

        `explained` `[E, rows]`: the variants of a row share its class. `first` may be overwritten.
        """
        outputs: Tensor = self.finish(first.flatten(1, 2)).unflatten(1, first.shape[1:3])
        classes = first.new_zeros(first.shape[:2], dtype=torch.int64) if explained is None else explained
        return outputs.gather(3, classes[:, :, None, None].expand(-1, -1, first.shape[2], 1))[..., 0]

    def with_nodes_folded(self, nodes: Nodes, constants: Tensor) -> Self:
        """Replaces the members' nodes by `constants` `[E, group]`: their columns become zero, b' = b + W[:, j]·c."""
        mask = nodes.mask(self.architecture.features)
        constant = constants.new_zeros(mask.shape).scatter_(1, nodes.index, constants)
        bias = self.first_bias + torch.einsum("ehf,ef->eh", self.first_weight, constant)
        return self.with_first_layer(self.first_weight.masked_fill(mask[:, None], 0.0), bias)

    def with_nodes_at_mean(self, nodes: Nodes, means: Tensor) -> Self:
        """Replaces the members' nodes by their `means` `[E, group]` over the training rows, as `with_nodes_folded`."""
        return self.with_nodes_folded(nodes, means)

    def outputs(self, inputs: Tensor) -> Tensor:
        """The raw outputs (logits for a classifier), `[E, rows, outputs]`, in pieces of bounded size."""
        widest = max(self.architecture.widths[1:])
        step = max(1, VALUES_AT_ONCE // widest)
        result = self.first_weight.new_empty(len(self), inputs.shape[-2], self.architecture.outputs)
        for start in range(0, inputs.shape[-2], step):
            rows = inputs[..., start:start + step, :]
            for members, networks in self.pieces(rows.shape[-2] * widest):
                member_rows = rows if rows.dim() == 2 else rows[members]
                result[members, start:start + step] = networks.finish(networks.first(member_rows))
        return result

    def outputs_with(self, inputs: Tensor, nodes: Nodes, values: Tensor) -> Tensor:
        """The outputs when each member's own nodes take other values, `[E, rows, group]`.

        A rank-1 change of the first pre-activation: where a node's weights are zero, two calls with different values
        give the same bits, so an effect that is gone measures exactly zero.
        """
        pieces = []
        rows, group = values.shape[1:]
        for piece, networks in self.pieces(rows * max(self.architecture.widths)):
            member_inputs = inputs if inputs.dim() == 2 else inputs[piece]
            index, unrepeated = nodes.index[piece], ~nodes.repeats[piece]
            native = member_inputs.expand(len(networks), -1, -1).gather(2, index[:, None].expand(-1, rows, group))
            change = (values[piece] - native) * unrepeated[:, None]
            hidden = networks.first_weight.shape[1]
            lost = networks.first_weight.gather(2, index[:, None].expand(-1, hidden, group))
            first = networks.first(member_inputs) + torch.bmm(change, lost.transpose(1, 2))
            pieces.append(networks.finish(first))
        return torch.cat(pieces)

    def pieces(self, values_per_member: int) -> Iterator[tuple[slice, Self]]:
        """Members in pieces of bounded memory; `values_per_member`: how many numbers one member's pass will hold."""
        step = max(1, VALUES_AT_ONCE // max(1, values_per_member))
        if step >= len(self):
            yield slice(0, len(self)), self
            return
        for start in range(0, len(self), step):
            piece = slice(start, min(start + step, len(self)))
            yield piece, self.select(piece)
