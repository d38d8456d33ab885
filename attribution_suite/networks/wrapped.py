"""Modules around a user's own that turn what it returns into the outputs that are explained."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from attribution_suite.errors import InputError

LEAST = 1e-7  # of a probability: float32 holds nothing nearer to 1


class Wrapped(nn.Module):
    """Calls `module`, a user's own or one that is wrapped already."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


class Logits(Wrapped):
    """The logits of a module's probabilities: log p − log(1 − p) of one, log p of several, p within [1e-7, 1 − 1e-7].

    A network that saturates at exactly 0 or 1 has lost its logit: it comes out as ± 16.1.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """`[rows, outputs]`, or `[rows]` where the module returns that."""
        p: Tensor = self.module(rows).clamp(LEAST, 1 - LEAST)
        return p.log() if p.dim() == 2 and p.shape[1] > 1 else p.logit()


class LogitDifference(Wrapped):
    """Of two logits `[rows, 2]` the second minus the first, `[rows, 1]`: the logit of class 1 against class 0."""

    def forward(self, rows: Tensor) -> Tensor:
        """`[rows, 1]`."""
        logits: Tensor = self.module(rows)
        return logits[:, 1:] - logits[:, :1]


class Picked(Wrapped):
    """One of a module's several results, by its index, key or attribute."""

    def __init__(self, module: nn.Module, output: int | str) -> None:
        super().__init__(module)
        self.output = output

    def forward(self, rows: Tensor) -> Any:
        """Raises InputError, naming what there is, where the module returns no such result."""
        results = self.module(rows)
        if isinstance(results, Tensor):
            raise InputError(f"{title(self)} returns one tensor: leave out option 'output'")
        if isinstance(self.output, str) and not isinstance(results, Mapping):
            return _attribute(self, results, self.output)
        try:
            return results[self.output]
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"{title(self)} returns {several(results)}: option 'output' is one of these, not "
                             f"{self.output!r}") from error


def _attribute(module: nn.Module, results: Any, name: str) -> Any:
    if not hasattr(results, name):
        raise InputError(f"{title(module)} returns {several(results)}: option 'output' is one of these, not {name!r}")
    return getattr(results, name)


def several(results: object) -> str:
    """What a module returned instead of one tensor, in words: 'a tuple (0: [64, 1], 1: [64, 8])'."""
    named: Mapping[Any, Any] = {}
    if isinstance(results, Mapping):
        named = results
    elif isinstance(results, Sequence) and not isinstance(results, str):
        named = dict(enumerate(results))
    elif hasattr(results, "__dict__"):
        named = vars(results)
    parts = [f"{key!r}: {list(value.shape) if isinstance(value, Tensor) else type(value).__name__}"
             for key, value in named.items()]
    return f"a {type(results).__name__}" + f" ({', '.join(parts)})" * bool(parts)


def unwrapped(module: nn.Module) -> nn.Module:
    """The user's own module inside."""
    while isinstance(module, Wrapped):
        module = module.module
    return module


def prefix(module: nn.Module) -> str:
    """What stands before the user's own names of submodules."""
    before = ""
    while isinstance(module, Wrapped):
        module, before = module.module, before + "module."
    return before


def title(module: nn.Module) -> str:
    """The name of the user's own class."""
    return type(unwrapped(module)).__name__
