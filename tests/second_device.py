"""A second device for machines that have none: CPU tensors that say they are on a GPU, and refuse as one does.

Inside `second_device()` a tensor moved to `cuda`, or made there, is an `Elsewhere`. As on a GPU, it cannot be mixed
with a CPU tensor of one dimension or more (but be indexed by one), not become an array without a copy, and not be
filled by the CPU's generator. The arithmetic is the CPU's, so results must be the same to the last bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

ELSEWHERE = torch.device("cuda")
# What may take a CPU tensor beside one of the device, which is then the first: indexed by it, copied from it.
MIXING = {Tensor.__getitem__, Tensor.__setitem__, Tensor.copy_, Tensor.to}


def each_of(value: Any) -> Iterator[Any]:
    """What a nest of lists, tuples and dicts holds."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        for part in value:
            yield from each_of(part)
    else:
        yield value


def mapped(call: Callable[[Any], Any], value: Any) -> Any:
    """The same nest with `call` of what it holds; what a function of PyTorch returns (max, sort) stays of its type."""
    if isinstance(value, dict):
        return {key: mapped(call, part) for key, part in value.items()}
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        parts = [mapped(call, part) for part in value]
        plain = type(value) in (list, tuple) or not hasattr(value, "_fields")
        return type(value)(parts) if plain else type(value)(*parts)
    return call(value)


class Elsewhere(Tensor):
    """A tensor on the second device."""


class _Device(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [value for value in each_of((args, kwargs)) if isinstance(value, Tensor)]
        away = [value for value in given if isinstance(value, Elsewhere)]
        if func is torch.device:
            return func(*args)
        if func == Tensor.device.__get__:
            return ELSEWHERE if away else func(*args)
        if func is Tensor.numpy and away and not kwargs.get("force"):
            raise TypeError("can't convert cuda tensor to numpy; use Tensor.cpu()")
        target = _target(func, args, kwargs)
        if target is None and away:
            mixed = any(not isinstance(value, Elsewhere) and value.dim() for value in given)
            if mixed and not (func in MIXING and isinstance(args[0], Elsewhere)):
                raise RuntimeError(f"{func.__name__}: expected all tensors to be on the same device, cuda and cpu")
            target = ELSEWHERE
        generator = kwargs.get("generator")
        if generator is not None and target == ELSEWHERE:
            raise RuntimeError(f"{func.__name__}: expected a cuda generator, got one of the CPU")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*_on_cpu(args), **_on_cpu(kwargs))
        if func in (Tensor.numpy, Tensor.tolist, Tensor.item):
            return result
        kind = Elsewhere if target == ELSEWHERE else Tensor
        return mapped(lambda value: _as(value, kind), result)


def _as(value: Any, kind: type[Tensor]) -> Any:
    there = isinstance(value, Elsewhere) == (kind is Elsewhere)
    return value.as_subclass(kind) if isinstance(value, Tensor) and not there else value


def _target(func: Any, args: Any, kwargs: Any) -> torch.device | None:
    """The device that a call names, or that of the tensor it moves to; None if it names none."""
    if func is Tensor.cpu:
        return torch.device("cpu")
    named = kwargs.get("device")
    if func is Tensor.to:
        named = next((value for value in (*args[1:], named) if isinstance(value, torch.device | str)), None)
        other = next((value for value in args[1:] if isinstance(value, Tensor)), None)
        if other is not None:
            return ELSEWHERE if isinstance(other, Elsewhere) else torch.device("cpu")
    return None if named is None else torch.device(named)


def _on_cpu(value: Any) -> Any:
    def here(part: Any) -> Any:
        return torch.device("cpu") if isinstance(part, torch.device | str) and str(part) == "cuda" else part

    return mapped(here, value)


@contextmanager
def second_device() -> Iterator[None]:
    """Inside the block, PyTorch finds a GPU."""
    with patch("torch.cuda.is_available", lambda: True), patch("torch.cuda.get_device_name", lambda _: "simulated"), \
            _Device():
        yield

