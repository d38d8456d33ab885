"""Tries a user's modules on a few rows, so that what they cannot do is said before anything runs."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attribution_suite.errors import InputError
from attribution_suite.networks.wrapped import several, title
from attribution_suite.seeding import seeded

INCOMPLETE = 1e-3  # relative gap of Σφ to f(x) − f(0) above which DeepLIFT's values are wrong: rounding makes 1e-5
# The activation modules that Captum's DeepLIFT has a rule for that keeps Σφ = f(x) − f(0). (Its softmax rule does not.)
RESCALED: frozenset[type[nn.Module]] = frozenset((
    nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d))
# Calls of PyTorch outside activation modules that bend nothing, without the underscores of their names (`add_`,
# `__radd__`): DeepLIFT's linear rule holds for these. A product of two values that both depend on the input is among
# them; the sum of φ tells. 'get' reads an attribute (`shape`, `T`).
LINEAR = frozenset((
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "add", "addbmm", "addmm", "addmv", "alpha_dropout", "arange",
    "as_strided", "avg_pool1d", "avg_pool2d", "avg_pool3d", "baddbmm", "batch_norm", "bmm", "cat", "chunk", "clone",
    "concat", "concatenate", "contiguous", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "copy", "cumsum", "detach", "diagonal", "dim", "div", "divide", "dot", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "einsum", "empty", "expand", "expand_as", "feature_alpha_dropout", "flatten", "flip", "float", "full",
    "full_like", "gather", "get", "getitem", "hstack", "index_select", "is_contiguous", "is_floating_point", "iter",
    "len", "linear", "matmul", "mean", "mm", "movedim", "mul", "multiply", "mv", "narrow", "neg", "new_ones",
    "new_tensor", "new_zeros", "numel", "ones", "ones_like", "pad", "permute", "radd", "ravel", "repeat",
    "repeat_interleave", "requires_grad", "reshape", "rmatmul", "rmul", "roll", "rsub", "select", "set_grad_enabled",
    "setitem", "size", "split", "squeeze", "stack", "stride", "sub", "subtract", "sum", "swapaxes", "t", "tensor",
    "tile", "to", "transpose", "tril", "triu", "true_divide", "truediv", "unbind", "unflatten", "unsqueeze", "view",
    "view_as", "vstack", "zeros", "zeros_like",
))


def copied(module: nn.Module, number: int) -> nn.Module:
    """A private copy in eval mode: the user's module is never run or changed.

    A Lightning module's trainer, which holds the training data and the module itself, is left out of the copy; parts
    that are compiled or on several devices are bare in it.
    """
    trainers = {id(part.__dict__.get(name)): None for part in module.modules() for name in ("_trainer", "_fabric")}
    try:
        private = copy.deepcopy(module, trainers).eval()
    except Exception as error:  # deepcopy runs the user's code
        raise InputError(f"network {number} ({title(module)}) cannot be copied: {error}") from error
    for part in list(private.modules()):
        for name, child in part.named_children():
            if bare(child) is not child:
                part.add_module(name, bare(child))
    return private


def bare(module: nn.Module) -> nn.Module:
    """What a wrapper of PyTorch's around a whole module runs: torch.compile's, and those for several devices."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return bare(module.module)
    below = getattr(module, "_orig_mod", None)
    return bare(below) if isinstance(below, nn.Module) else module


def check_modules(modules: Sequence[nn.Module]) -> None:
    """Raises InputError for parameters that are not float32 on the CPU, or that differ in name or shape."""
    shapes = []
    for number, module in enumerate(modules):
        name = f"network {number} ({title(module)})"
        tensors = [*module.named_parameters(), *module.named_buffers()]
        for key, tensor in tensors:
            if nn.parameter.is_lazy(tensor):
                raise InputError(f"{name}: parameter '{key}' has no shape yet: call the module once on a row")
            if tensor.device.type != "cpu":
                raise InputError(f"{name}: '{key}' lies on {tensor.device}: move the module with .cpu()")
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise InputError(f"{name}: '{key}' is {tensor.dtype}: convert the module with .float()")
        shapes.append({key: (tensor.shape, tensor.dtype) for key, tensor in tensors})
        if shapes[number] != shapes[0]:
            raise InputError(f"{name} has other parameters than network 0: the networks of an audit share one "
                             "architecture")


def probe(modules: Sequence[nn.Module], rows: Tensor) -> tuple[Tensor, int]:
    """The outputs `[members, rows, outputs]`, and the most numbers that a submodule makes of one row.

    Raises InputError, naming the module, for anything that rules out attribution.
    """
    checked, widest = [], 1
    for number, module in enumerate(modules):
        name = f"network {number} ({title(module)})"
        handles = []

        def widen(_: nn.Module, __: Any, output: Any) -> None:
            nonlocal widest
            if isinstance(output, Tensor):
                widest = max(widest, output.numel() // len(rows))

        try:
            handles = [part.register_forward_hook(widen) for part in module.modules()]
            with seeded(0):
                outputs, again, few = (module(_variable(part)) for part in (rows, rows, rows[:len(rows) // 2]))
        except InputError:  # of our own: what it returns is not what was asked for
            raise
        except Exception as error:  # the user's code: any error is theirs, told in one line
            raise InputError(f"{name} cannot take rows of {rows.shape[1]} float32 inputs: "
                             f"{(str(error).strip() or type(error).__name__).splitlines()[0]}") from error
        finally:
            for handle in handles:
                handle.remove()
        checked.append(_checked(name, outputs, again, few, len(rows)))
    if len({outputs.shape for outputs in checked}) > 1:
        raise InputError("the networks have different numbers of outputs")
    return torch.stack(checked), widest


def _checked(name: str, outputs: Any, again: Tensor, few: Tensor, rows: int) -> Tensor:
    """The outputs `[rows, outputs]` of one module, if they can be explained."""
    if not isinstance(outputs, Tensor):
        raise InputError(f"{name} returns {several(outputs)}, not one tensor: say which is the output, as output=0 or "
                         "output='logits'")
    if outputs.dim() not in (1, 2) or len(outputs) != rows:
        raise InputError(f"{name} must return [rows, outputs] or [rows], for {rows} rows it returned "
                         f"{list(outputs.shape)}")
    if outputs.dtype != torch.float32 or not outputs.requires_grad:
        raise InputError(f"{name} must return float32 outputs that depend on its inputs with a gradient (no argmax, no "
                         "torch.no_grad)")
    if not bool(torch.isfinite(outputs).all()):
        raise InputError(f"{name} returns NaN or infinite outputs")
    if not torch.equal(outputs, again):
        raise InputError(f"{name} returns different outputs for the same rows: it draws random numbers in eval mode")
    if not torch.allclose(outputs[:len(few)], few, rtol=1e-3, atol=1e-4):
        raise InputError(f"{name}: a row's output depends on the other rows of its batch, so it cannot be attributed")
    explained: Tensor = outputs.detach()
    return explained[:, None] if explained.dim() == 1 else explained


def _variable(rows: Tensor) -> Tensor:
    """A copy that carries a gradient and may be changed in place."""
    return rows.clone().requires_grad_().clone()


def reset(module: nn.Module) -> None:
    """New parameters for every submodule. Raises InputError for one that has parameters and no `reset_parameters`."""
    for name, part in module.named_modules():
        again = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if callable(again):
            again()
        elif any(p.requires_grad for p in part.parameters(recurse=False)):
            raise InputError(f"retrain starts from new parameters, and {_named(name, part)} has no reset_parameters(): "
                             "give its class that method")


def deep_lift_problem(module: nn.Module, rows: Tensor) -> str | None:
    """Why Captum's DeepLIFT values of this module would be wrong, naming the culprit; None if they are right.

    DeepLIFT replaces the derivative of every activation *module* by a ratio of differences, through hooks that
    remember one call: a module called twice makes it fail, an activation that is no module of its own (`torch.relu`,
    an `nn.ReLU()` made inside `forward`) silently gets wrong values (captum #1082, #1104). What structure does not
    tell, the sum of φ does: it must be f(x) − f(0).
    """
    module, variable = copy.deepcopy(module), _variable(rows)
    with _watched(module) as watch, watch:
        module(variable)
    for name, calls in watch.calls.items():
        if calls > 1:
            return (f"'{name}' ({type(module.get_submodule(name)).__name__}) is called {calls} times in one forward: "
                    "give each place its own module")
    if watch.bent:
        (name, operation), place = next(iter(watch.bent.items()))
        return (f"{_named(name, place)} computes '{operation}' outside an activation module that DeepLIFT knows: "
                "use a module such as nn.ReLU(), made in __init__ and called once")
    try:
        gap = _incompleteness(module, rows)
    except Exception as error:  # Captum's hooks meet the user's code
        return (f"Captum's DeepLIFT fails on {title(module)}: "
                f"{(str(error).strip() or type(error).__name__).splitlines()[0]}")
    if gap > INCOMPLETE:
        return (f"the values of {title(module)} miss f(x) − f(0) by {gap:.1%}: something in forward is not "
                "linear between its activation modules (a product of two values, for one)")
    return None


class _Watch(TorchFunctionMode):
    """Counts the calls of activation modules, and notes operations that bend values outside of them."""

    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self.inside: list[tuple[str, nn.Module]] = [("", root)]
        self.calls: dict[str, int] = {}
        self.bent: dict[tuple[str, str], nn.Module] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        (name, part), operation = self.inside[-1], getattr(function, "__name__", str(function)).strip("_")
        if type(part) not in RESCALED and operation not in LINEAR and _varies((args, kwargs)):
            self.bent.setdefault((name, operation), part)
        return function(*args, **(kwargs or {}))

    def enter(self, name: str, part: nn.Module) -> None:
        """A module is called."""
        self.inside.append((name, part))
        if type(part) in RESCALED:
            self.calls[name] = self.calls.get(name, 0) + 1

    def leave(self, *_: object) -> None:
        """It returns."""
        self.inside.pop()


def _varies(values: Any) -> bool:
    """Does anything among the arguments carry a gradient? What is made of constants alone bends nothing."""
    if isinstance(values, dict):
        values = tuple(values.values())
    if isinstance(values, list | tuple):
        return any(map(_varies, values))
    return isinstance(values, Tensor) and values.requires_grad


@contextmanager
def _watched(module: nn.Module) -> Iterator[_Watch]:
    """Hooks that tell a watch which module runs. `module` is a copy of our own."""
    watch = _Watch(module)
    handles = []
    for name, part in module.named_modules():
        handles.append(part.register_forward_pre_hook(lambda part, _, name=name: watch.enter(name, part)))
        handles.append(part.register_forward_hook(watch.leave))
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _incompleteness(module: nn.Module, rows: Tensor) -> float:
    """Mean abs(Σφ − (f(x) − f(0))) over mean abs(f(x) − f(0)) of Captum's DeepLIFT, the baseline at zero."""
    import warnings

    from captum.attr import DeepLift

    outputs = module(_variable(rows)).detach()
    target = None if outputs.dim() == 1 else outputs.argmax(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
        values = DeepLift(module).attribute(rows.clone().requires_grad_(), torch.zeros_like(rows), target=target).sum(1)
    change = outputs - module(torch.zeros_like(rows)).detach()
    change = change if target is None else change.gather(1, target[:, None])[:, 0]
    scale = change.abs().mean()
    return float((values.detach() - change).abs().mean() / scale) if scale > 0 else 0.0


def _named(name: str, part: nn.Module) -> str:
    return f"'{name}' ({type(part).__name__})" if name else type(part).__name__
