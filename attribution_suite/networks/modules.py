"""Any `nn.Module` as an ensemble: an editable layer in front of the user's own modules, a fixed affine step behind."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import linear
from attribution_suite.networks.fronted import Fronted, ModuleArchitecture
from attribution_suite.networks.nodes import IndexColumn
from attribution_suite.networks.probe import check_modules, copied, deep_lift_problem, probe, reset
from attribution_suite.networks.target_scale import OutputScale
from attribution_suite.networks.wrapped import title
from attribution_suite.seeding import seeded

PROBE_ROWS = 64
CLOSE = 1e-4  # relative; vmap orders its sums differently: float32 rounding, not another function


@dataclass(frozen=True)
class Modules(Fronted):
    """E networks x → module(W x + b), `weight` W `[E, features, features]` and `bias` b, identity and 0 until edited.

    So the *first pre-activation* is the input itself, and whatever is written for the first layer of an `Ensemble`
    (removing a column, folding a constant or a regression on its peers, ablating, permuting) holds for any module.
    W and b are never trained. What a module returns becomes scale · f + shift, 1 and 0 unless it was trained on
    standardised targets; that is not trained either.
    Modules run in eval mode, as private copies: the user's own are not touched. They train in train mode.

    `state`: every parameter and buffer, stacked `[E, …]`; `templates`: one copy a member that knows the code.
    `trainable`: the parameters that required a gradient. `note`: why they are no stacked weights, and what else is to
    be said of how they were taken. `stacked`: all members run as one call by `torch.vmap`;
    else one after the other, `reason` says why. `deep_lift`: why DeepLIFT's values would be wrong, None if they are
    right.
    """

    templates: tuple[nn.Module, ...]
    state: Mapping[str, Tensor]
    trainable: tuple[str, ...]
    stacked: bool
    reason: str
    deep_lift: str | None
    scale: float = 1.0
    shift: float = 0.0
    note: str = ""

    @classmethod
    def wrap(cls, modules: Sequence[nn.Module], inputs: Tensor) -> "Modules":
        """From modules of the same parameters, tried on some rows `[rows, features]`.

        Raises InputError, naming the module, for parameters that are not float32 on the CPU or differ between members;
        for outputs other than `[rows, outputs]` or `[rows]`, not finite, without gradient, random, or of a row that
        depends on the other rows.
        """
        rows = inputs[:PROBE_ROWS]
        templates = tuple(copied(module, number) for number, module in enumerate(modules))
        check_modules(templates)
        outputs, widest = probe(templates, rows)
        state = {name: torch.stack([tensors(template)[name].detach() for template in templates])
                 for name in tensors(templates[0])}
        members, features = len(templates), rows.shape[1]
        architecture = ModuleArchitecture(features, (), outputs.shape[2], "linear", title=title(modules[0]),
                                          widest=widest)
        trainable = tuple(name for name, p in templates[0].named_parameters() if p.requires_grad)
        problem = next((refusal for t in templates if (refusal := deep_lift_problem(t, rows))), None)
        alone = cls(architecture, torch.eye(features).repeat(members, 1, 1), torch.zeros(members, features), templates,
                    state, trainable, False, "", problem)
        together = replace(alone, stacked=True)
        reason = _difference(together, alone, rows)
        return together if reason is None else replace(alone, reason=reason)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that decides the outputs."""
        return self.weight, self.bias, *self.state.values()

    @property
    def how(self) -> str:
        """How the members run, in words."""
        how = "stacked by torch.vmap" if self.stacked else f"one at a time ({self.reason})"
        return how + f"; {self.note}" * bool(self.note)

    def fresh(self, seeds: Sequence[int]) -> Self:
        """Untrained copies, one a seed: `reset_parameters` of every submodule, W, b, scale and shift as of a new one.

        Parameters that require no gradient stay. Raises InputError for a submodule that cannot be reset.
        """
        ensemble = self.select([position * len(self) // len(seeds) for position in range(len(seeds))])
        cold = []
        for template, seed in zip(ensemble.templates, seeds, strict=True):
            template = copy.deepcopy(template)
            with seeded(seed):
                reset(template)
            cold.append(tensors(template))
        frozen = {name for name, _ in self.templates[0].named_parameters()} - set(self.trainable)
        state = {name: value if name in frozen else torch.stack([member[name].detach() for member in cold]).to(value)
                 for name, value in ensemble.state.items()}
        identity = torch.eye(*self.weight.shape[1:], device=self.device).repeat(len(seeds), 1, 1)
        return replace(ensemble, state=state, weight=identity, bias=torch.zeros_like(ensemble.bias), scale=1.0,
                       shift=0.0)

    def to_module(self, member: int = 0) -> nn.Sequential:
        """One member as `Sequential(Linear(W, b), the user's module)`, the output's scale within the latter."""
        first = linear(self.weight[member], self.bias[member])
        return nn.Sequential(first, self.member_module(member)).eval()

    def member_module(self, member: int) -> nn.Module:
        """A member's module with its state, without the layer in front; an `OutputScale` behind it if it needs one."""
        module = self.loaded(member)
        scaled = (self.scale, self.shift) != (1.0, 0.0)
        return nn.Sequential(module, OutputScale(self.scale, self.shift).to(self.device)) if scaled else module

    def loaded(self, member: int) -> nn.Module:
        """A copy of a member's template that holds its state."""
        module = copy.deepcopy(self.templates[member]).to(self.device)
        with torch.no_grad():
            for name, tensor in tensors(module).items():
                tensor.copy_(self.state[name][member])
        return module

    def refusal(self, reads: str) -> str | None:
        """Why a method that reads layers, units or activations cannot be asked of these networks; None if it can."""
        if reads in ("units", "unit activations"):
            return (f"it reads the units of a layer, and none of {title(self.templates[0])} is known: name one, as in "
                    "layer='encoder.2'")
        if reads == "layers":
            return (f"it reads the layers of a chain of Linear and one kind of activation, and the network is a "
                    f"{title(self.templates[0])}" + f" ({self.note})" * bool(self.note))
        return self.deep_lift if reads == "activations" else None

    def to(self, device: torch.device) -> Self:
        """The same networks on another device; the templates, of which only the code is called, stay."""
        state = {name: value.to(device) for name, value in self.state.items()}
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device), state=state)

    def select(self, members: Tensor | Sequence[int] | slice) -> Self:
        """The members at these positions, in this order (repeats allowed)."""
        pick = members if isinstance(members, slice | Tensor) else torch.as_tensor(members)
        positions = torch.arange(len(self))[pick].tolist()
        templates = tuple(self.templates[position] for position in positions)
        return replace(self, weight=self.weight[pick], bias=self.bias[pick], templates=templates,
                       state={name: value[pick] for name, value in self.state.items()})

    def with_outputs_scaled(self, scale: float, shift: float) -> Self:
        """The networks whose outputs are scale · f + shift."""
        return replace(self, scale=self.scale * scale, shift=self.shift * scale + shift)

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> Self:
        """The same code with some parameters `[E, …]` replaced."""
        return replace(self, state={**self.state, **parameters})

    def with_embedding_at_mean(self, column: IndexColumn, members: Tensor) -> Self:
        """The mean over the training rows, in the bias of the Linear behind it, or in the row that is read."""
        assert column.read is not None
        table = self.state[column.embedding][members].double()
        shares = column.shares.to(table)
        mean = torch.einsum("k,ekd->ed", shares, table[:, column.read.to(table.device)])
        if column.linear is None:
            stands = torch.zeros(table.shape[1], dtype=torch.bool, device=table.device)
            stands[column.read[column.stands]] = True
            return self.with_values(column.embedding, members, torch.where(stands[:, None], mean[:, None], table))
        name, start = column.linear
        weight, bias = (self.state[f"{name}.{kind}"][members].double() for kind in ("weight", "bias"))
        part = slice(start, start + mean.shape[1])
        bias = bias + torch.einsum("eod,ed->eo", weight[..., part], mean)
        weight[..., part] = 0.0
        return self.with_values(f"{name}.weight", members, weight).with_values(f"{name}.bias", members, bias)

    def with_values(self, name: str, members: Tensor, values: Tensor) -> Self:
        """The same code with a parameter of some `members` (bool `[E]`, or positions) at `values` `[members, …]`."""
        state = self.state[name].clone()
        state[members] = values.to(state)
        return self.with_parameters({name: state})

    def entering(self, name: str, member: int, inputs: Tensor) -> Tensor:
        """What one member's submodule is given for inputs `[rows, features]`: `[rows, …]`."""
        module, given = self.loaded(member), list[Tensor]()
        module.get_submodule(name).register_forward_pre_hook(lambda _, arguments: given.append(arguments[0].clone()))
        with torch.no_grad():
            module(self.select([member]).first(inputs)[0])
        return given[0]

    def finish(self, first: Tensor) -> Tensor:
        """What the modules make of their inputs `[E, rows, features]`: `[E, rows, outputs]`."""
        first = first.clone(memory_format=torch.contiguous_format)  # a module may call `view` on it, or change it
        if self.stacked:
            outputs: Tensor = torch.vmap(lambda state, rows: functional_call(self.templates[0], state, (rows,)),
                                         randomness="different")(dict(self.state), first)
        else:
            outputs = torch.stack([
                functional_call(template, {name: value[member] for name, value in self.state.items()}, (rows,))
                for member, (template, rows) in enumerate(zip(self.templates, first, strict=True))])
        outputs = outputs.reshape(*first.shape[:2], self.architecture.outputs)
        return outputs if (self.scale, self.shift) == (1.0, 0.0) else self.scale * outputs + self.shift

    def gradient(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """∂(explained output)/∂(module's input) at points `[E, points, features]`, the same shape, by autograd."""
        with torch.enable_grad():
            point = first.detach().requires_grad_()
            outputs = self.finish(point)
            chosen = outputs[..., :1] if explained is None else outputs.gather(2, explained[..., None])
            return torch.autograd.grad(chosen.sum(), point, materialize_grads=True)[0]

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """Raises InputError: a module's layers are not known."""
        raise InputError(f"the layers' activations cannot be read: {self.refusal('layers')}")


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _difference(together: Modules, alone: Modules, rows: Tensor) -> str | None:
    """Why the members cannot run as one call; None if outputs and gradients are the same as one after the other."""
    explained = alone.outputs(rows).argmax(2)
    try:
        pairs = [(ensemble.outputs(rows), ensemble.gradient(ensemble.first(rows), explained))
                 for ensemble in (alone, together)]
    except Exception as error:  # whatever torch.vmap cannot do, it says so by many kinds of error
        return f"torch.vmap cannot run them together: {str(error).strip().splitlines()[0]}"
    if not all(torch.allclose(a, b, rtol=CLOSE, atol=CLOSE / 10) for a, b in zip(*pairs, strict=True)):
        return "torch.vmap gives other values than the modules alone"
    return None
