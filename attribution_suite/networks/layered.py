"""Any `nn.Module` of which one layer is known by name: its units are scored, masked and removed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import linear
from attribution_suite.networks.modules import PROBE_ROWS, Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.parts import Head, Tail, followed, layer_path
from attribution_suite.networks.perceptrons import Perceptrons


@dataclass(frozen=True, kw_only=True)
class Layered(Modules):
    """Modules cut at one named layer, which is layer 1: x → above(V h + c), h = below(W x + b) the layer's units.

    V `[E, units, units]` and c `[E, units]`, identity and 0 until units are removed, stand behind the layer, at `path`;
    the layer's units decide the outputs alone. `below` and `above` are the two parts; their parameters are those of
    `state`, whatever their own hold.
    """

    path: str
    below: Modules
    above: Modules

    @classmethod
    def of(cls, networks: Modules, name: str, inputs: Tensor) -> "Layered":
        """The same networks with a layer, tried on some rows `[rows, features]`.

        Raises InputError, naming it, for a layer that is not there, that returns anything but `[rows, units]`, or that
        inputs pass by on their way to the outputs.
        """
        device, networks, rows = networks.device, networks.to(torch.device("cpu")), inputs[:PROBE_ROWS].cpu()
        modules = [networks.loaded(member) for member in range(len(networks))]
        path, *_ = [layer_path(module, name, rows) for module in modules]
        below = Modules.wrap([Head(module, path) for module in modules], rows)
        units = below.outputs(rows)
        above = Modules.wrap([Tail(module, path, rows[0], each)
                              for module, each in zip(modules, units, strict=True)], units[0])
        whole = Modules.wrap([followed(module, path, units.shape[2]) for module in modules], rows)
        architecture = replace(networks.architecture, hidden=(units.shape[2],), place=name)
        known = {field.name: getattr(whole, field.name) for field in fields(Modules)} | {
            name: getattr(networks, name) for name in ("weight", "bias", "scale", "shift", "note")}
        index = tuple(replace(column, embedding=column.embedding.replace(f"{path}.", f"{path}.0.", 1))
                      if column.embedding.startswith(f"{path}.") else column for column in networks.index)
        return cls(**{**known, "architecture": architecture, "index": index}, path=path, below=below,
                   above=above).to(device)

    def refusal(self, reads: str) -> str | None:
        """As of any modules, but that the units of the layer are known."""
        if reads == "units":
            return None
        if reads == "unit activations":
            return self.deep_lift or self.below.deep_lift or self.above.deep_lift
        return super().refusal(reads)

    def to(self, device: torch.device) -> "Layered":
        """The same networks on another device."""
        return replace(super().to(device), below=self.below.to(device), above=self.above.to(device))

    def select(self, members: Tensor | Sequence[int] | slice) -> "Layered":
        """The members at these positions, in this order (repeats allowed)."""
        return replace(super().select(members), below=self.below.select(members), above=self.above.select(members))

    def fresh(self, seeds: Sequence[int]) -> "Layered":
        """Untrained copies, one a seed; V and c as of new ones."""
        cold = super().fresh(seeds)
        units = cold.architecture.widths[1]
        return cold.with_parameters({
            f"{self.path}.1.weight": torch.eye(units, device=self.device).repeat(len(seeds), 1, 1),
            f"{self.path}.1.bias": torch.zeros(len(seeds), units, device=self.device)})

    @property
    def head(self) -> Modules:
        """From the inputs to the layer's units, W and b in front."""
        return replace(self._of_today(self.below), weight=self.weight, bias=self.bias)

    def tail(self, layer: int) -> Modules:
        """The networks themselves, or what follows the layer, V and c in front. Raises InputError for another layer."""
        if layer == 0:
            return self
        if layer != 1:
            raise InputError(f"layer {layer} does not exist: of {self.architecture.title} layer 1 is known, "
                             f"'{self.architecture.place}'")
        return replace(self._of_today(self.above), weight=self.state[f"{self.path}.1.weight"],
                       bias=self.state[f"{self.path}.1.bias"], scale=self.scale, shift=self.shift)

    def with_tail(self, tail: Modules) -> "Layered":
        """These networks with what follows the layer replaced by that of `tail`; nothing before the layer changes."""
        if isinstance(tail, Layered):
            return tail
        template = tail.templates[0]
        assert isinstance(template, Tail)
        after = {name.removeprefix("module."): value for name, value in tail.state.items()
                 if template.follows(name)}
        return replace(self.with_parameters({**after, f"{self.path}.1.weight": tail.weight,
                                             f"{self.path}.1.bias": tail.bias}),
                       scale=tail.scale, shift=tail.shift)

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """The inputs, the layer's units and the outputs, `[E, rows, width]` each."""
        rows = inputs if inputs.dim() == 3 else inputs.expand(len(self), -1, -1)
        return [rows, self.head.outputs(inputs), self.outputs(inputs)]

    def to_sequential(self, member: int = 0) -> nn.Sequential:
        """One member as Linear, what leads to the layer, Linear, what follows it."""
        head, tail = self.head, self.tail(1)
        return nn.Sequential(*(step for part in (head, tail) for step in (
            linear(part.weight[member], part.bias[member]), part.member_module(member)))).eval()

    def _of_today(self, part: Modules) -> Modules:
        """`below` or `above` with the parameters of these networks."""
        return part.with_parameters({name: self.state[name.removeprefix("module.")] for name in part.state
                                     if name.removeprefix("module.") in self.state and name.startswith("module.")})


def at_layer(networks: Ensemble, layer: int | str, inputs: Tensor) -> tuple[Ensemble, int]:
    """The networks, and the number of a layer that is named: of a chain's layer its own, of any module's layer 1.

    Raises InputError, naming it, for a layer that there is not.
    """
    if not isinstance(layer, str):
        return networks, layer
    if isinstance(networks, Perceptrons):
        names = {} if networks.origin is None else dict(networks.origin.layers)
        if layer not in names:
            known = ", ".join(f"{name} ({number})" for name, number in names.items())
            depth = networks.architecture.depth
            raise InputError(f"layer '{layer}': hidden layers of these networks are numbered"
                             + (f" 1 to {depth - 1}" if depth > 1 else ", and there are none")
                             + f"; those with a name: {known}" * bool(names))
        return networks, names[layer]
    if not isinstance(networks, Modules):
        raise InputError(f"layer '{layer}' cannot be audited: {networks.refusal('units')}")
    if isinstance(networks, Layered) and networks.architecture.place == layer:
        return networks, 1
    if isinstance(networks, Layered):
        raise InputError(f"layer '{layer}': these networks are cut at layer '{networks.architecture.place}', and a "
                         "module at one layer: name that one alone, or give the module itself")
    return Layered.of(networks, layer, inputs), 1
