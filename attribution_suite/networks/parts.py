"""A module cut at a layer of its own, by name: what leads to the layer, what follows it, and an editable step there."""

from typing import Any

import torch
from torch import Tensor, nn

from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.architecture import linear
from attribution_suite.networks.probe import copied
from attribution_suite.networks.wrapped import Wrapped, prefix, several, title, unwrapped
from attribution_suite.seeding import seeded

CLOSE = 1e-4  # relative: what a layer's own units decide is decided to float32's rounding


class Reached(Exception):
    """The layer has returned its `units`, and what follows is not asked."""

    def __init__(self, units: Tensor) -> None:
        super().__init__("a layer was reached")
        self.units = units


class Ended(nn.Sequential):
    """The layer, `[0]`, where the forward pass ends."""

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Raises Reached with what the layer returns."""
        raise Reached(self[0](*arguments, **options))


class Followed(nn.Sequential):
    """The layer, `[0]`, and a Linear behind it, `[1]`, the identity until units are removed."""

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """W h + b of the layer's units h."""
        return self[1](self[0](*arguments, **options))


class Standing(nn.Module):
    """Stands in the layer's place: returns the units that are put into it."""

    units: Tensor | None = None

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """The units `[rows, units]`, whatever leads there."""
        return self.units


class Head(Wrapped):
    """From the inputs `[rows, features]` to a layer's units `[rows, units]`. What follows the layer is not run."""

    def __init__(self, module: nn.Module, path: str) -> None:
        """A copy of `module`, cut behind its submodule `path`."""
        super().__init__(copied(module, 0))
        self.module.set_submodule(path, Ended(self.module.get_submodule(path)))

    def forward(self, rows: Tensor) -> Any:
        """Raises InputError where the layer is not called."""
        try:
            self.module(rows)
        except Reached as reached:
            return reached.units
        raise InputError(f"a layer of {title(self)} is not called for every row")


class Replayed(nn.Module):
    """What a part made of one row, for every row."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        """`value` `[1, …]`."""
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, rows: Tensor, *_: Any, **__: Any) -> Tensor:
        """`[rows, …]`."""
        return self.value.expand(len(rows), *self.value.shape[1:])


class Tail(Wrapped):
    """From a layer's units `[rows, units]` to the outputs.

    What leads to the layer runs on copies of one row, or is replayed, and nothing of it arrives. It stays as it is: its
    parameters require no gradient, and the parts named in `before` stay in eval mode.
    """

    row: Tensor

    def __init__(self, module: nn.Module, path: str, row: Tensor, units: Tensor) -> None:
        """A copy of `module` with `units` in the place of its submodule `path`; `row` `[features]`."""
        super().__init__(copied(module, 0))
        self.path = path
        calls = _calls(self.module, row[None])
        place = [name for name, _ in calls].index(path)
        inside = [name for name, _ in self.module.named_modules() if f"{name}.".startswith(f"{path}.")]
        self.before = frozenset({name for name, _ in calls[:place]} - {name for name, _ in calls[place + 1:]}
                                | set(inside))
        for name in self.before - {*inside}:
            made = [value for other, value in calls if other == name]
            whole = not any(name.startswith(f"{other}.") for other in self.before)
            if whole and len(made) == 1 and isinstance(made[0], Tensor) and made[0].shape[:1] == (1,):
                self.module.set_submodule(name, Replayed(made[0]))
        self.module.set_submodule(path, Standing())
        self.register_buffer("row", row.clone())
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            outputs = self(units.detach().clone().requires_grad_())
            reached = torch.autograd.grad(outputs.sum(), trained, allow_unused=True) if trained else ()
        for parameter, gradient in zip(trained, reached, strict=True):
            parameter.requires_grad_(gradient is not None)

    def forward(self, units: Tensor) -> Any:
        """What the module returns where its layer has these units."""
        place = self.module.get_submodule(self.path)
        assert isinstance(place, Standing)
        place.units = units.clone()  # what follows may change them in place
        try:
            return self.module(self.row.expand(len(units), -1).clone())
        finally:
            place.units = None

    def train(self, mode: bool = True) -> "Tail":
        """The mode of what follows the layer, and of what holds both."""
        super().train(mode)
        for name, part in self.module.named_modules():
            if name in self.before:
                part.eval()
        return self

    def follows(self, name: str) -> bool:
        """Does a parameter or buffer of this module belong to what follows the layer?"""
        tensors = dict(self.named_parameters())
        if name in tensors:
            return tensors[name].requires_grad
        return name != "row" and name.removeprefix("module.").rpartition(".")[0] not in self.before


def followed(module: nn.Module, path: str, units: int) -> nn.Module:
    """A copy with an identity, which is not trained, behind its submodule `path`."""
    module = copied(module, 0)
    identity = linear(torch.eye(units), torch.zeros(units)).requires_grad_(False)
    module.set_submodule(path, Followed(module.get_submodule(path), identity))
    return module.eval()


def layer_path(module: nn.Module, name: str, rows: Tensor) -> str:
    """The path of a user's layer in `module`, which may be wrapped. `rows` `[rows, features]` are tried.

    Raises InputError for a name that there is not, and for a layer that has no units or does not decide the outputs
    alone; it names the layers that can be had.
    """
    problem = _problem(module, name, rows) if name in _names(module) else unknown_name("layer", name, _names(module))
    if problem is None:
        return prefix(module) + name
    able = [other for other in _names(module) if other != name and _problem(module, other, rows) is None]
    raise InputError(f"{problem} (layers of {title(module)} that can be had: {', '.join(able) or 'none'})")


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in unwrapped(module).named_modules() if name]


def _problem(module: nn.Module, name: str, rows: Tensor) -> str | None:
    """Why a layer's units cannot be read and edited; None if they can."""
    path = prefix(module) + name
    kind = type(module.get_submodule(path)).__name__
    calls = _calls(module, rows)
    outputs, returned = calls[-1][1], [value for other, value in calls if other == path]
    if len(returned) != 1:
        times = f"called {len(returned)} times in one forward" if returned else "not called in forward"
        return f"layer '{name}' ({kind}) is {times}: a layer is called once"
    units = returned[0]
    if not isinstance(units, Tensor) or units.dim() != 2 or len(units) != len(rows) or units.dtype != torch.float32:
        shape = list(units.shape) if isinstance(units, Tensor) else several(units)
        return f"layer '{name}' ({kind}) returns {shape} for {len(rows)} rows: units are the columns of [rows, units]"
    if units.shape == outputs.shape and torch.equal(units, outputs):
        return f"layer '{name}' ({kind}) returns the outputs themselves: nothing follows it"
    try:
        with seeded(0):
            again = Tail(module, path, rows[0], units)(units.clone())
            followed(module, path, units.shape[1])(rows.clone())
    except Exception as error:  # the user's code, that reads more of the layer than what it returns
        return (f"layer '{name}' ({kind}) cannot be cut out: "
                f"{(str(error).strip() or type(error).__name__).splitlines()[0]}")
    if not torch.allclose(again, outputs, rtol=CLOSE, atol=CLOSE / 10 * float(outputs.abs().max())):
        return (f"layer '{name}' ({kind}) does not decide the output alone: inputs reach it past the layer, as by a "
                "skip connection around it")
    return None


def _calls(module: nn.Module, rows: Tensor) -> list[tuple[str, Any]]:
    """Every submodule's name and what it returned for rows `[rows, features]`, in the order in which calls ended."""
    calls = list[tuple[str, Any]]()

    def record(name: str, output: Any) -> None:
        calls.append((name, output.clone() if isinstance(output, Tensor) else output))

    handles = [part.register_forward_hook(lambda _, __, output, name=name: record(name, output))
               for name, part in module.named_modules()]
    try:
        with seeded(0), torch.no_grad():
            module(rows.clone())
    finally:
        for handle in handles:
            handle.remove()
    return calls
