"""From what users hold (a skorch net, a compiled, float64 or tuple-returning module) to modules that can be run."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.networks.probe import bare, copied
from attribution_suite.networks.wrapped import Picked, title
from attribution_suite.seeding import seeded

SAME = 1e-5  # the largest difference of a float64 module's outputs in float32, of the largest output


class Fitted(Protocol):
    """What holds a module as a fitted skorch net does."""

    module_: nn.Module


def is_network(value: object) -> bool:
    """True for a module, and for what holds one (a skorch net, fitted or not)."""
    return isinstance(value, nn.Module) or hasattr(value, "module_") or _is_skorch(value)


def taken_apart(networks: Sequence[object]) -> list[nn.Module]:
    """The modules inside: of a skorch net its `module_`, of a compiled or data-parallel module the one it runs.

    Raises InputError, naming the network, for TorchScript and for a skorch net that has no module yet.
    """
    modules = []
    for number, network in enumerate(networks):
        inner: Any = network
        if not isinstance(inner, nn.Module):
            inner = getattr(inner, "module_", None)
        if not isinstance(inner, nn.Module):
            raise InputError(f"network {number} ({type(network).__name__}) holds no module yet: fit it first")
        inner = bare(inner)
        if any(isinstance(part, torch.jit.ScriptModule) for part in inner.modules()):
            raise InputError(f"network {number} ({type(inner).__name__}) is TorchScript, whose weights cannot be "
                             "edited: give the nn.Module that it was made from; load_state_dict takes its state_dict")
        modules.append(inner)
    return modules


def _is_skorch(value: object) -> bool:
    return hasattr(value, "initialize_module") and hasattr(value, "module")


def in_float32(modules: Sequence[nn.Module], rows: Tensor) -> tuple[list[nn.Module], str]:
    """The modules, float64 ones as float32 copies, and what is to be said of these; '' where there are none.

    Raises InputError, naming the network, where the outputs on `rows` differ by more than 1e-5 of the largest.
    """
    taken, largest = [], -1.0
    for number, module in enumerate(modules):
        kinds = {tensor.dtype for tensor in (*module.parameters(), *module.buffers()) if tensor.is_floating_point()}
        if kinds != {torch.float64} or any(map(nn.parameter.is_lazy, module.parameters())):
            taken.append(module)
            continue
        single = copied(module, number).float()
        try:
            with seeded(0), torch.no_grad():
                exact, rounded = copied(module, number)(rows.double()), single(rows.clone())
        except InputError:  # of our own: what it returns is not what was asked for
            raise
        except Exception as error:  # the user's code
            raise InputError(f"network {number} ({title(module)}) is float64 and cannot run in float32 "
                             f"({(str(error).strip() or type(error).__name__).splitlines()[0]}): convert the module "
                             "with .float()") from error
        if not isinstance(exact, Tensor) or not isinstance(rounded, Tensor):
            taken.append(single)  # what it returns instead is named where it is tried
            continue
        difference = float((exact - rounded).abs().max() / exact.abs().max().clamp_min(1e-30))
        if not difference <= SAME:
            raise InputError(f"network {number} ({title(module)}) is float64, and float32 changes its outputs by "
                             f"{difference:.1g} of the largest, more than {SAME:g}: it cannot be audited in float32")
        taken.append(single)
        largest = max(largest, difference)
    return taken, "" if largest < 0 else f"float64 taken as float32: outputs differ by {largest:.1g} of the largest"


def picked(modules: Sequence[nn.Module], output: object) -> list[nn.Module]:
    """The modules with one of several results, by index, key or attribute; as they are for None.

    Raises InputError for an `output` that is neither a number nor a word.
    """
    if output is None:
        return list(modules)
    if isinstance(output, bool) or not isinstance(output, int | str):
        raise InputError(f"option 'output' is the index or the key of one of several results, got {output!r}")
    return [Picked(module, output) for module in modules]
