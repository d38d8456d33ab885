"""Reads a user's module as a chain of Linear and activation, by symbols."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from attribution_suite.datasets.preset import Activation
from attribution_suite.networks.nonlinearity import NEGATIVE_SLOPE
from attribution_suite.seeding import seeded

MODULES: dict[type[nn.Module], Activation] = {
    nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.LeakyReLU: "leaky_relu", nn.GELU: "gelu",
    nn.SiLU: "silu"}
FUNCTIONS: dict[Callable[..., Any] | str, Activation] = {
    torch.relu: "relu", torch.relu_: "relu", F.relu: "relu", "relu": "relu", "relu_": "relu",
    torch.tanh: "tanh", torch.tanh_: "tanh", F.tanh: "tanh", "tanh": "tanh", "tanh_": "tanh",
    torch.sigmoid: "sigmoid", F.sigmoid: "sigmoid", "sigmoid": "sigmoid", F.leaky_relu: "leaky_relu",
    F.gelu: "gelu", F.silu: "silu"}
DROPOUT = (F.dropout, F.alpha_dropout, F.feature_alpha_dropout)
IDLE = (nn.Identity, nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Flatten)  # nothing, of rows in eval mode
RESHAPING: tuple[Callable[..., Any] | str, ...] = (
    torch.flatten, torch.squeeze, torch.reshape, "flatten", "squeeze", "view", "reshape", "contiguous", "float", "to")
FIRST_COLUMN = (slice(None), 0)


class NoChain(Exception):
    """Why a module is none; its text goes on after 'it'."""


@dataclass
class Chain:
    """A module's Linears, float64 `[out, in]` and `[out]`, their names, and the activation of every gap between them.

    `ends_in_sigmoid`: a sigmoid follows the last Linear. `pending`: a BatchNorm's scale and shift that the next Linear
    takes in. `layers`: of every module that is called, by name, how many Linears came before or were it, call by call.
    """

    weights: list[Tensor] = field(default_factory=list)
    biases: list[Tensor] = field(default_factory=list)
    linears: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    gaps: list[tuple[Activation, float]] = field(default_factory=list)
    pending: tuple[Tensor, Tensor] | None = None
    layers: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, module: nn.Module) -> "Chain":
        """Of a module in eval mode, a copy of our own. Raises NoChain for any other."""
        tracer = _Tracer()
        try:
            with seeded(0):
                graph = tracer.trace(_Root(module))
        except Exception as error:  # the user's code, run on symbols: it may fail in any way
            raise NoChain(f"cannot be traced by torch.fx ({_line(error)})") from error
        chain, steps = cls(), _steps(graph)
        for node in graph.nodes:
            if node not in steps and _in_place(node, tracer.root):
                raise NoChain(f"changes values in place, by '{getattr(node.target, '__name__', node.target)}'")
        for node in steps:
            chain._take(node, tracer.root)
        chain._check(module)
        return chain

    @property
    def activation(self) -> tuple[Activation, float]:
        """Its name and negative slope."""
        return self.gaps[0] if len(self.weights) > 1 else ("relu", NEGATIVE_SLOPE)

    @property
    def ends_in_sigmoid(self) -> bool:
        """True if a sigmoid follows the last Linear."""
        return len(self.gaps) == len(self.weights)

    def _take(self, node: fx.Node, root: nn.Module) -> None:
        """One step, from the input on."""
        if node.op == "call_module":
            name = str(node.target)
            name, module = name.removeprefix("module").removeprefix("."), root.get_submodule(name)
            self._take_module(name, module)
            self.layers.setdefault(name, []).append(len(self.weights))
        elif node.target in FUNCTIONS:
            self._activate(FUNCTIONS[node.target], _functional_slope(node))
        elif node.target in DROPOUT:
            if (node.args[2:3] or (node.kwargs.get("training", True),))[0]:
                raise NoChain("draws a dropout in eval mode")
        elif node.target not in RESHAPING and not (node.target is operator.getitem and node.args[1] == FIRST_COLUMN):
            raise NoChain(f"computes '{getattr(node.target, '__name__', node.target)}'")

    def _take_module(self, name: str, module: nn.Module) -> None:
        kind = type(module)
        if name in (*self.linears, *self.norms):
            raise NoChain(f"calls '{name}' ({kind.__name__}) twice: its places share weights")
        if isinstance(module, nn.Linear) and kind is nn.Linear:
            if len(self.gaps) < len(self.weights):
                self.gaps.append(("linear", NEGATIVE_SLOPE))
            weight = module.weight.detach().double()
            bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().double()
            if self.pending is not None:
                scale, shift = self.pending
                weight, bias, self.pending = weight * scale, bias + weight @ shift, None
            self.weights.append(weight)
            self.biases.append(bias)
            self.linears.append(name)
        elif isinstance(module, nn.BatchNorm1d) and kind is nn.BatchNorm1d:
            self._normalise(module)
            self.norms.append(name)
        elif kind in MODULES:
            if getattr(module, "approximate", "none") != "none":
                raise NoChain(f"has a GELU that is approximate ('{name}')")
            self._activate(MODULES[kind], getattr(module, "negative_slope", NEGATIVE_SLOPE))
        elif kind not in IDLE:
            raise NoChain(f"calls '{name}' ({kind.__name__})" if name else f"is a {kind.__name__}")

    def _activate(self, activation: Activation, negative_slope: float) -> None:
        if len(self.gaps) == len(self.weights) or self.pending is not None:
            raise NoChain(f"has a {activation} that does not follow a Linear")
        self.gaps.append((activation, negative_slope))

    def _normalise(self, norm: nn.BatchNorm1d) -> None:
        """s·h + t, s = γ / √(variance + ε), t = β − s·mean: into the Linear before it, else into the one behind it."""
        if norm.running_mean is None or norm.running_var is None:
            raise NoChain("has a BatchNorm without running statistics")
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight.detach().double()
        shift = -scale * norm.running_mean.double()
        if norm.affine:
            shift = shift + norm.bias.detach().double()
        if self.weights and len(self.gaps) < len(self.weights):
            self.weights[-1], self.biases[-1] = scale[:, None] * self.weights[-1], scale * self.biases[-1] + shift
        elif self.pending is None:
            self.pending = scale, shift
        else:
            raise NoChain("has two BatchNorms in a row")

    def _check(self, module: nn.Module) -> None:
        """Raises NoChain for what the steps, one by one, do not tell."""
        if not self.weights or self.pending is not None:
            raise NoChain("has no Linear at its end")
        if self.ends_in_sigmoid and self.gaps[-1][0] != "sigmoid":
            raise NoChain(f"ends in a {self.gaps[-1][0]}")
        between = set(self.gaps[:len(self.weights) - 1])
        if len(between) > 1:
            raise NoChain(f"has several activations ({', '.join(sorted({name for name, _ in between}))})")
        if any(a.shape[1] != b.shape[0] for a, b in zip(self.weights[1:], self.weights, strict=False)):
            raise NoChain("reshapes values between its Linears")
        parts = [module.get_submodule(name) for name in (*self.linears, *self.norms)]
        tensors = [tensor for part in parts for tensor in part._parameters.values() if tensor is not None]
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            raise NoChain("has Linears that share weights")
        if not all("weight" in module.get_submodule(name)._parameters for name in self.linears):
            raise NoChain("has a Linear whose weights are computed")
        if len({tensor.requires_grad for tensor in tensors}) > 1:
            raise NoChain("trains some of its parameters and keeps others")


class _Root(nn.Module):
    """Calls a module, so that it is itself a step if it is one of PyTorch's."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: Any) -> Any:
        return self.module(rows)


class _Tracer(fx.Tracer):
    """Follows a module made inside a `forward` to what it computes; torch.fx alone refuses one."""

    def path_of_module(self, mod: nn.Module) -> str:
        try:
            return super().path_of_module(mod)
        except NameError:
            return ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name != "" and super().is_leaf_module(m, module_qualified_name)


def _steps(graph: fx.Graph) -> list[fx.Node]:
    """From the input to the output, each step's first argument the step before."""
    node: Any = next(node for node in graph.nodes if node.op == "output").args[0]
    steps = []
    while isinstance(node, fx.Node) and node.op != "placeholder":
        steps.append(node)
        node = node.args[0] if node.args else None
    if not isinstance(node, fx.Node):
        what = f"computes '{getattr(steps[-1].target, '__name__', steps[-1].target)}'" if steps else "returns several"
        raise NoChain(what)
    return steps[::-1]


def _in_place(node: fx.Node, root: nn.Module) -> bool:
    """True for a step that may change its argument: what comes after reads it, and the graph does not say so."""
    if node.op == "call_module":
        return bool(getattr(root.get_submodule(str(node.target)), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = str(getattr(node.target, "__name__", node.target))
    asked = bool(node.kwargs.get("inplace")) or "out" in node.kwargs or any(value is True for value in node.args)
    return asked or name.endswith("_") or name in ("setitem", "iadd", "isub", "imul", "itruediv")


def _functional_slope(node: fx.Node) -> float:
    """Of a functional activation: leaky_relu's. Raises NoChain for a GELU that is approximate."""
    if node.target is F.gelu and node.kwargs.get("approximate", "none") != "none":
        raise NoChain("has a GELU that is approximate")
    if node.target is not F.leaky_relu:
        return NEGATIVE_SLOPE
    given = node.args[1] if len(node.args) > 1 else node.kwargs.get("negative_slope", NEGATIVE_SLOPE)
    if not isinstance(given, float | int):
        raise NoChain("has a leaky_relu whose slope is computed")
    return float(given)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
