"""Multilayer perceptrons as stacked weights: the object that almost everything trains, scores and edits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import ACTIVATIONS, IN_PLACE, Architecture, chain
from attribution_suite.networks.network import Ensemble

if TYPE_CHECKING:
    from attribution_suite.datasets.preset import Activation


@dataclass(frozen=True)
class Perceptrons(Ensemble):
    """E multilayer perceptrons, `weights[l]` `[E, out, in]` and `biases[l]` `[E, out]`, float32."""

    architecture: Architecture
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @property
    def first_weight(self) -> Tensor:
        """W, `[E, hidden, features]`."""
        return self.weights[0]

    @property
    def first_bias(self) -> Tensor:
        """b, `[E, hidden]`."""
        return self.biases[0]

    @classmethod
    def initialise(cls, architecture: Architecture, seeds: Sequence[int]) -> "Perceptrons":
        """One member a seed, by PyTorch's rule for `nn.Linear`: all weights and biases from U(−1/√in, 1/√in).

        A member depends on its own seed alone, so it is the same in any ensemble.
        """
        weights: list[list[Tensor]] = [[] for _ in range(architecture.depth)]
        biases: list[list[Tensor]] = [[] for _ in range(architecture.depth)]
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            for layer, (inputs, outputs) in enumerate(zip(architecture.widths, architecture.widths[1:], strict=False)):
                bound = inputs**-0.5
                weights[layer].append(torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator))
                biases[layer].append(torch.empty(outputs).uniform_(-bound, bound, generator=generator))
        return cls(architecture, tuple(map(torch.stack, weights)), tuple(map(torch.stack, biases)))

    def fresh(self, seeds: Sequence[int]) -> "Perceptrons":
        """Untrained networks of this architecture, one a seed."""
        return Perceptrons.initialise(self.architecture, seeds).to(self.device)

    def to(self, device: torch.device) -> "Perceptrons":
        """The same networks on another device."""
        return Perceptrons(self.architecture, tuple(w.to(device) for w in self.weights),
                        tuple(b.to(device) for b in self.biases))

    @classmethod
    def from_modules(cls, modules: Sequence[nn.Sequential]) -> "Perceptrons":
        """From `nn.Sequential`s of Linear layers with ReLU or Tanh between them. Raises InputError for others."""
        stacks = [_linears(module) for module in modules]
        if len({shape for shape, _ in stacks}) != 1:
            raise InputError("the networks of an ensemble must share one architecture")
        layers = [member for _, member in stacks]
        weights = tuple(torch.stack([member[i].weight.detach().float() for member in layers])
                        for i in range(len(layers[0])))
        biases = tuple(torch.stack([
            torch.zeros(member[i].out_features) if member[i].bias is None else member[i].bias.detach().float()
            for member in layers]) for i in range(len(layers[0])))
        return cls(stacks[0][0], weights, biases)

    def to_module(self, member: int = 0) -> nn.Sequential:
        """One member as a plain `nn.Sequential`, its activations separate modules (as DeepLIFT needs them)."""
        layers: list[nn.Module] = []
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            linear = nn.Linear(weight.shape[2], weight.shape[1])
            linear.weight.data, linear.bias.data = weight[member].clone(), bias[member].clone()
            layers.append(linear)
            if index < self.architecture.depth - 1:
                layers.append(ACTIVATIONS[self.architecture.activation]())
        return nn.Sequential(*layers)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that decides the outputs."""
        return *self.weights, *self.biases

    @property
    def how(self) -> str:
        """How the members run, in words."""
        return "as stacked weights"

    def refusal(self, reads: str) -> str | None:
        """None: every method can be asked of them."""
        return None

    def select(self, members: Tensor | Sequence[int] | slice) -> "Perceptrons":
        """The members at these positions, in this order (repeats allowed)."""
        pick = members if isinstance(members, slice | Tensor) else torch.as_tensor(members)
        return Perceptrons(self.architecture, tuple(w[pick] for w in self.weights), tuple(b[pick] for b in self.biases))

    def tail(self, layer: int) -> "Perceptrons":
        """The rest of the networks from layer `layer` on: its inputs are that layer's activations."""
        return Perceptrons(self.architecture.tail(layer), self.weights[layer:], self.biases[layer:])

    def with_tail(self, tail: "Perceptrons") -> "Perceptrons":
        """These networks with their last layers replaced by those of `tail`."""
        head = self.architecture.depth - tail.architecture.depth
        return Perceptrons(self.architecture, self.weights[:head] + tail.weights, self.biases[:head] + tail.biases)

    def with_first_layer(self, weight: Tensor, bias: Tensor) -> "Perceptrons":
        """These networks with another first layer, `[E, out, in]` and `[E, out]`."""
        return Perceptrons(self.architecture, (weight, *self.weights[1:]), (bias, *self.biases[1:]))

    def widened(self, columns: int) -> "Perceptrons":
        """The same networks with that many more inputs, the last ones, of zero weights."""
        wider = replace(self.architecture, features=self.architecture.features + columns)
        return Perceptrons(wider, (pad(self.weights[0], (0, columns)), *self.weights[1:]), self.biases)

    def with_outputs_scaled(self, scale: float, shift: float) -> "Perceptrons":
        """The networks whose outputs are scale · f + shift, folded into the last Linear (computed in float64)."""
        weight, bias = self.weights[-1].double() * scale, self.biases[-1].double() * scale + shift
        return Perceptrons(self.architecture, (*self.weights[:-1], weight.to(self.weights[-1])),
                           (*self.biases[:-1], bias.to(self.biases[-1])))

    def activate(self, values: Tensor) -> Tensor:
        """The activation function."""
        if self.architecture.activation == "relu":
            return values.relu()
        return values.tanh() if self.architecture.activation == "tanh" else values

    def finish(self, first: Tensor) -> Tensor:
        """From the first pre-activation `[E, rows, hidden]` to the output `[E, rows, outputs]`."""
        if self.architecture.depth == 1:
            return first
        return torch.baddbmm(self.biases[-1][:, None], self.hidden(first)[-1], self.weights[-1].transpose(1, 2))

    def hidden(self, first: Tensor, reuse: bool = False) -> list[Tensor]:
        """The activations of every hidden layer from the first pre-activation, `[E, rows, width]` each.

        `reuse`: the first ones take the memory of `first`.
        """
        if self.architecture.depth == 1:
            return []
        active = [IN_PLACE[self.architecture.activation](first) if reuse else self.activate(first)]
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1], strict=True):
            value = torch.baddbmm(bias[:, None], active[-1], weight.transpose(1, 2))
            active.append(IN_PLACE[self.architecture.activation](value))
        return active

    def last_weight(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """The gradient of the explained output by what enters the last Linear, `[E, points, width]`.

        `explained` `[E, points]` is the class of each point, None where there is one output.
        """
        last = self.weights[-1]
        if self.architecture.depth == 1:  # the first pre-activation is the output
            last = torch.eye(first.shape[2], device=first.device).expand(len(self), -1, -1)
        if explained is None:
            return last[:, :1].expand(-1, first.shape[1], -1)
        return last.gather(1, explained[..., None].expand(-1, -1, last.shape[2]))

    def explained_output(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """The explained output at first pre-activations `[E, rows, variants, hidden]`, without the last axis.

        `first` is overwritten: a copy of the largest tensor of the pass would push it out of the cache.
        """
        if self.architecture.depth == 1:
            return super().explained_output(first, explained)
        # The last Linear only for the class of each row: a product of eight columns takes longer than one of one.
        hidden: Tensor = self.hidden(first.flatten(1, 2), reuse=True)[-1].unflatten(1, first.shape[1:3])
        bias = self.biases[-1][:, :1] if explained is None else self.biases[-1].gather(1, explained)
        return hidden.mul_(self.last_weight(first, explained)[:, :, None]).sum(3) + bias[:, :, None]

    def gradient(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """∂(explained output)/∂(first pre-activation) at points `[E, points, hidden]`, the same shape."""
        slope = self.last_weight(first, explained)
        for values, weight in zip(reversed(self.hidden(first)), (*reversed(self.weights[1:-1]), None), strict=False):
            slope = chain(self.architecture.activation, slope, values)
            slope = slope if weight is None else torch.bmm(slope, weight)
        return slope

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """What enters each Linear, then the output: `[E, rows, width]` for layers 0 … depth."""
        values = [inputs if inputs.dim() == 3 else inputs.expand(len(self), -1, -1)]
        pre = self.first(inputs)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            values.append(self.activate(pre))
            pre = torch.baddbmm(bias[:, None], values[-1], weight.transpose(1, 2))
        return [*values, pre]


def is_perceptron(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """True for a plain `nn.Sequential(Linear, ReLU or Tanh, Linear, …, Linear)` with one kind of activation."""
    if type(module) is not nn.Sequential or len(module) % 2 == 0:
        return False
    layers = list(module)
    kinds = {type(layer) for layer in layers[1::2]}
    return (all(type(layer) is nn.Linear for layer in layers[::2])
            and len(kinds) <= 1 and kinds <= set(ACTIVATIONS.values()))


def _linears(module: nn.Sequential) -> tuple[Architecture, list[nn.Linear]]:
    if not is_perceptron(module):
        raise InputError("an ensemble takes nn.Sequential(Linear, ReLU or Tanh, Linear, …, Linear); "
                         "any other nn.Module runs as `Modules`")
    linears = [layer for layer in module if isinstance(layer, nn.Linear)]
    kinds = {type(layer) for layer in list(module)[1::2]}
    activation: Activation = next((name for name, kind in ACTIVATIONS.items() if kinds == {kind}), "relu")
    hidden = tuple(linear.out_features for linear in linears[:-1])
    return Architecture(linears[0].in_features, hidden, linears[-1].out_features, activation), linears
