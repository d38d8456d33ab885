"""Multilayer perceptrons as stacked weights: the object that almost everything trains, scores and edits."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture, linear
from attribution_suite.networks.chain import Chain, NoChain
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.origin import Origin
from attribution_suite.networks.probe import copied
from attribution_suite.networks.wrapped import prefix


@dataclass(frozen=True)
class Perceptrons(Ensemble):
    """E multilayer perceptrons, `weights[l]` `[E, out, in]` and `biases[l]` `[E, out]`, float32.

    `origin`: the user's modules that they were read from; None for networks made here.
    """

    architecture: Architecture
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    origin: Origin | None = field(default=None, compare=False, repr=False)

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
        untrained = Perceptrons.initialise(self.architecture, seeds).to(self.device)
        positions = [position * len(self) // len(seeds) for position in range(len(seeds))]
        return replace(untrained, origin=None if self.origin is None else self.origin.select(positions))

    def to(self, device: torch.device) -> "Perceptrons":
        """The same networks on another device."""
        return replace(self, weights=tuple(w.to(device) for w in self.weights),
                       biases=tuple(b.to(device) for b in self.biases))

    @classmethod
    def from_modules(cls, modules: Sequence[nn.Module]) -> "Perceptrons":
        """From chains of Linear and one kind of activation, in any class, as torch.fx follows them in eval mode.

        BatchNorm1d is folded into a Linear beside it, Dropout and reshaping are dropped. Raises InputError for others,
        and for a chain that ends in an activation.
        """
        try:
            stacked, ends_in_sigmoid = cls.read([copied(module, number) for number, module in enumerate(modules)])
        except NoChain as reason:
            raise InputError(f"an ensemble takes chains of Linear and activation, and one {reason}") from reason
        if ends_in_sigmoid:
            raise InputError("an ensemble takes chains of Linear and activation, and one ends in a sigmoid")
        return stacked

    @classmethod
    def read(cls, copies: Sequence[nn.Module]) -> tuple["Perceptrons", bool]:
        """From copies of modules in eval mode, which it keeps; True if a sigmoid, left out, ends them.

        Raises NoChain for what is no chain, and for members that differ.
        """
        chains = [Chain.of(module) for module in copies]
        first = chains[0]
        like = [(chain.linears, chain.norms, chain.gaps, [weight.shape for weight in chain.weights])
                for chain in chains]
        if any(each != like[0] for each in like):
            raise NoChain("does not share one architecture with the others")
        outputs, *hidden = [len(weight) for weight in reversed(first.weights)]
        architecture = Architecture(first.weights[0].shape[1], tuple(reversed(hidden)), outputs, *first.activation)
        weights, biases = (tuple(torch.stack(layer).float() for layer in zip(*parts, strict=True)) for parts in (
            [chain.weights for chain in chains], [chain.biases for chain in chains]))
        layers = {name.removeprefix(prefix(copies[0])): numbers[0] for name, numbers in first.layers.items()
                  if len(numbers) == 1 and 1 <= numbers[0] < len(first.weights)}
        origin = Origin(tuple(copies), tuple(first.linears), tuple(first.norms), layers=layers)
        return cls(architecture, weights, biases, origin), first.ends_in_sigmoid

    def to_module(self, member: int = 0) -> nn.Module:
        """One member as the user's own class, if its weights were read from one; else as `to_sequential`."""
        if self.origin is None:
            return self.to_sequential(member)
        return self.origin.module(member, [weight[member] for weight in self.weights],
                                  [bias[member] for bias in self.biases])

    def to_sequential(self, member: int = 0) -> nn.Sequential:
        """One member as a plain `nn.Sequential`, its activations separate modules (as DeepLIFT needs them)."""
        layers: list[nn.Module] = []
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            layers.append(linear(weight[member], bias[member]))
            if index < self.architecture.depth - 1:
                layers.append(self.architecture.nonlinearity.module())
        return nn.Sequential(*layers)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that decides the outputs."""
        return *self.weights, *self.biases

    @property
    def how(self) -> str:
        """How the members run, in words."""
        note = "" if self.origin is None else self.origin.note
        return "as stacked weights" + f" ({note})" * bool(note)

    def refusal(self, reads: str) -> str | None:
        """None: every method can be asked of them."""
        return None

    def select(self, members: Tensor | Sequence[int] | slice) -> "Perceptrons":
        """The members at these positions, in this order (repeats allowed)."""
        pick = members if isinstance(members, slice | Tensor) else torch.as_tensor(members)
        origin = self.origin and self.origin.select(torch.arange(len(self))[pick].tolist())
        return replace(self, weights=tuple(w[pick] for w in self.weights), biases=tuple(b[pick] for b in self.biases),
                       origin=origin)

    def tail(self, layer: int) -> "Perceptrons":
        """The rest of the networks from layer `layer` on: its inputs are that layer's activations. It has no origin."""
        return Perceptrons(self.architecture.tail(layer), self.weights[layer:], self.biases[layer:])

    def with_tail(self, tail: "Perceptrons") -> "Perceptrons":
        """These networks with their last layers replaced by those of `tail`."""
        head = self.architecture.depth - tail.architecture.depth
        return replace(self, weights=self.weights[:head] + tail.weights, biases=self.biases[:head] + tail.biases)

    def with_first_layer(self, weight: Tensor, bias: Tensor) -> "Perceptrons":
        """These networks with another first layer, `[E, out, in]` and `[E, out]`."""
        return replace(self, weights=(weight, *self.weights[1:]), biases=(bias, *self.biases[1:]))

    def widened(self, columns: int) -> "Perceptrons":
        """The same networks with that many more inputs, the last ones, of zero weights."""
        wider = replace(self.architecture, features=self.architecture.features + columns)
        return Perceptrons(wider, (pad(self.weights[0], (0, columns)), *self.weights[1:]), self.biases)

    def with_outputs_scaled(self, scale: float, shift: float) -> "Perceptrons":
        """The networks whose outputs are scale · f + shift, folded into the last Linear (computed in float64)."""
        weight, bias = self.weights[-1].double() * scale, self.biases[-1].double() * scale + shift
        return replace(self, weights=(*self.weights[:-1], weight.to(self.weights[-1])),
                       biases=(*self.biases[:-1], bias.to(self.biases[-1])))

    def with_logit_difference(self) -> "Perceptrons":
        """Networks of two logits as those of their difference, the second minus the first."""
        last, bias = (layer[:, 1:].double() - layer[:, :1].double() for layer in (self.weights[-1], self.biases[-1]))
        return Perceptrons(replace(self.architecture, outputs=1), (*self.weights[:-1], last.to(self.weights[-1])),
                           (*self.biases[:-1], bias.to(self.biases[-1])),
                           self.origin and replace(self.origin, two_logits=True))

    def activate(self, values: Tensor) -> Tensor:
        """The activation function."""
        return self.architecture.nonlinearity.apply(values)

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
        in_place = self.architecture.nonlinearity.in_place
        active = [in_place(first) if reuse else self.activate(first)]
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1], strict=True):
            value = torch.baddbmm(bias[:, None], active[-1], weight.transpose(1, 2))
            active.append(in_place(value))
        return active

    def _pre_activations(self, first: Tensor) -> list[Tensor]:
        """Those of every hidden layer, `[E, rows, width]` each; `first` is the first layer's."""
        values = [first][:self.architecture.depth - 1]
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1], strict=True):
            values.append(torch.baddbmm(bias[:, None], self.activate(values[-1]), weight.transpose(1, 2)))
        return values

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
        slope, passing = self.last_weight(first, explained), self.architecture.nonlinearity
        entering = self.hidden(first) if passing.reads == "output" else self._pre_activations(first)
        for values, weight in zip(reversed(entering), (*reversed(self.weights[1:-1]), None), strict=False):
            slope = passing.backward(slope, values)
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
