"""The networks that users have, as their sources write them: each with its function by hand, and what is made of it."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from types import SimpleNamespace
from typing import Any

import torch
from module_cases import FEATURES, Layers, Residual
from torch import Tensor, nn
from torch.nn import functional as F


class Boston(nn.Module):
    """As the Boston tutorial of Captum's: four Linears and one ReLU module for all places."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(FEATURES, 8), nn.Linear(8, 7)
        self.lin3, self.lin4 = nn.Linear(7, 5), nn.Linear(5, outputs)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Any:
        return self.lin4(self.relu(self.lin3(self.relu(self.lin2(self.relu(self.lin1(x)))))))


class Functional(Boston):
    def forward(self, x: Tensor) -> Tensor:
        return self.lin4(torch.relu(self.lin3(F.relu(self.lin2(self.lin1(x).relu()))))).squeeze(-1)


class MadeInside(Boston):
    def forward(self, x: Tensor) -> Tensor:
        return self.lin4(nn.ReLU()(self.lin3(nn.ReLU()(self.lin2(nn.ReLU()(self.lin1(x)))))))


class Heart(nn.Module):
    """As the heart notebook's: tanh, one logit without an axis of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(FEATURES, 9), nn.Linear(9, 6), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Any:
        return self.out(torch.tanh(self.fc2(torch.tanh(self.fc1(x.float())))))[:, 0]


class InPlace(Boston):
    """Its ReLU changes what it is given; nothing is done with what it returns."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.lin1(x)
        F.relu(hidden, inplace=True)
        return self.lin4(torch.relu(self.lin3(torch.relu(self.lin2(hidden)))))


class InPlaceFirst(InPlace):
    """What it returns is used, too: no harm done."""

    def forward(self, x: Tensor) -> Tensor:
        return self.lin4(self.lin3(self.lin2(self.lin1(x.view(-1, x.size(1))).relu_()).relu_()).relu_())


class HeartProbability(Heart):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(x))


class Iris(nn.Module):
    """As the Iris notebook's: the output, and an activation beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(FEATURES, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        active = F.relu(self.layer1(x))
        return self.layer2(active), active


class IrisDict(Iris):
    def forward(self, x: Tensor) -> Any:
        output, active = super().forward(x)
        return {"logits": output, "hidden": active}


Result = namedtuple("Result", ["hidden", "logits"])


class IrisNamed(Iris):
    def forward(self, x: Tensor) -> Any:
        output, active = super().forward(x)
        return Result(active, output)


class ResidualTuple(Residual):
    def forward(self, x: Tensor) -> Any:
        return x, super().forward(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden, self.last = nn.Linear(FEATURES, 5), nn.Linear(5, 5), nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.hidden(self.hidden(self.first(x).relu()).relu()).relu())


class OneParameter(Tied):
    """Two modules, one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(5, 5)
        self.again.weight = self.hidden.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.again(self.hidden(self.first(x).relu()).relu()).relu())


class Trainer:
    """What a Lightning module holds on to, and no one can copy."""

    def __init__(self) -> None:
        self.lock = Lock()


class Lightning(Boston):
    """A LightningModule after fit: it knows its trainer."""

    def __init__(self) -> None:
        super().__init__()
        self._trainer = Trainer()


class Huge(Boston):
    """What float32 cannot hold: a difference of two large numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 1e9) - super().forward(torch.full_like(x, 1e9))


class CompiledInside(nn.Module):
    """A part of it is compiled, another one stands ready for several devices."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.compile(nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU()))
        self.head = nn.DataParallel(nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.view(x.size(0), -1)))


def normed() -> nn.Module:
    """BatchNorm with statistics of its own, behind a Linear, behind the activation and at the input; dropout."""
    module = nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Linear(FEATURES, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(),
                           nn.Dropout(0.5), nn.Linear(8, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 1),
                           nn.Flatten())
    for part in module:
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(0, 0.5)
            part.running_var.uniform_(0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module


def sequence(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), activation, nn.Linear(8, 6), activation, nn.Linear(6, 1))


def frozen() -> nn.Module:
    module = Boston()
    module.lin1.requires_grad_(False)
    return module


def plain(module: nn.Module, rows: Tensor) -> Tensor:
    """What a module returns for rows of its own dtype, as float32."""
    with torch.no_grad():
        result: Tensor = module.eval()(rows.to(next(module.parameters()).dtype))
    return result.float()


@dataclass(frozen=True)
class Kind:
    """`made` is what becomes of it: 'stacked', 'module', or the words of a refusal. `f`: its outputs by hand."""

    make: Callable[[], Any]
    made: str
    task: str = "regression"
    words: dict[str, Any] = field(default_factory=dict)
    f: Callable[[Any, Tensor], Tensor] = plain
    how: str = ""  # a part of what is said of how it runs


def inner(network: Any, rows: Tensor) -> Tensor:
    return plain(network.module_, rows)


def two(network: nn.Module, rows: Tensor) -> Tensor:
    logits = plain(network, rows)
    return logits[:, 1] - logits[:, 0]


def part(key: Any) -> Callable[[Any, Tensor], Tensor]:
    def outputs(network: nn.Module, rows: Tensor) -> Tensor:
        with torch.no_grad():
            results = network.eval()(rows)
        result: Tensor = getattr(results, key) if isinstance(results, Result) else results[key]
        return result

    return outputs


def logit(network: nn.Module, rows: Tensor) -> Tensor:
    return plain(network, rows).logit()


KINDS = {
    "boston": Kind(Boston, "stacked"),
    "functional": Kind(Functional, "stacked"),
    "made inside": Kind(MadeInside, "stacked"),
    "heart": Kind(Heart, "stacked", "binary"),
    "probability": Kind(HeartProbability, "stacked", "binary", {"outputs": "probability"}, logit),
    "probability, unsaid": Kind(HeartProbability, "outputs all lie in", "binary"),
    "softmax": Kind(lambda: nn.Sequential(Boston(4), nn.Softmax(1)), "module", "multiclass",
                    {"outputs": "probability"}, lambda n, x: plain(n, x).log(), "calls '1' (Softmax)"),
    "iris": Kind(Iris, "stacked", "multiclass", {"output": 0}, part(0)),
    "iris, unsaid": Kind(Iris, r"returns a tuple \(0: \[.., 4\], 1: \[.., 8\]\).*output=0", "multiclass"),
    "iris, wrong": Kind(Iris, "Iris returns a tuple .* not 2", "multiclass", {"output": 2}),
    "dict": Kind(IrisDict, "stacked", "multiclass", {"output": "logits"}, part("logits")),
    "dict, unsaid": Kind(IrisDict, "returns a dict .'logits': ", "multiclass"),
    "dict, wrong": Kind(IrisDict, "'hidden': .* not 'output'", "multiclass", {"output": "output"}),
    "named": Kind(IrisNamed, "stacked", "multiclass", {"output": "logits"}, part("logits")),
    "tuple of a residual": Kind(ResidualTuple, "module", "regression", {"output": 1}, part(1), "computes 'add'"),
    "one tensor, picked": Kind(Residual, "Residual returns one tensor", "regression", {"output": 0}),
    "batch norm, dropout": Kind(normed, "stacked"),
    "gelu": Kind(lambda: sequence(nn.GELU()), "stacked"),
    "silu": Kind(lambda: sequence(nn.SiLU()), "stacked"),
    "leaky relu": Kind(lambda: sequence(nn.LeakyReLU(0.2)), "stacked"),
    "sigmoid": Kind(lambda: sequence(nn.Sigmoid()), "stacked"),
    "prelu": Kind(lambda: sequence(nn.PReLU()), "module", how="calls '1' (PReLU)"),
    "two activations": Kind(Layers, "module", how="several activations (relu, tanh)"),
    "residual": Kind(Residual, "module", how="computes 'add'"),
    "in place": Kind(InPlace, "module", how="changes values in place, by 'relu'"),
    "in place, returned": Kind(InPlaceFirst, "stacked"),
    "tied": Kind(Tied, "module", how="calls 'hidden' (Linear) twice"),
    "one parameter": Kind(OneParameter, "module", how="share weights"),
    "frozen": Kind(frozen, "module", how="trains some of its parameters"),
    "float64": Kind(lambda: Boston().double(), "stacked", how="float64 taken as float32"),
    "float64 residual": Kind(lambda: Residual().double(), "module", how="float64 taken as float32"),
    "float64 tuple": Kind(lambda: Iris().double(), "Iris.* returns a tuple", "multiclass"),
    "float64, too fine": Kind(lambda: Huge().double(), "float64, and float32 changes its outputs by"),
    "torchscript": Kind(lambda: torch.jit.trace(Boston(), torch.zeros(2, FEATURES)), "is TorchScript"),
    "compiled": Kind(lambda: torch.compile(Boston()), "stacked", f=lambda n, x: plain(n._orig_mod, x)),
    "compiled inside": Kind(CompiledInside, "stacked", f=lambda n, x: plain(n.head, n.body._orig_mod(x))),
    "data parallel": Kind(lambda: nn.DataParallel(Residual()), "module", f=lambda n, x: plain(n.module, x)),
    "skorch": Kind(lambda: SimpleNamespace(module_=Boston()), "stacked", f=inner),
    "lightning": Kind(Lightning, "stacked"),
    "two logits": Kind(lambda: Boston(2), "stacked", "binary", f=two),
    "two logits of a residual": Kind(lambda: nn.Sequential(Residual(), nn.Unflatten(0, (-1, 1)), nn.Linear(1, 2)),
                                     "module", "binary", f=two),
    "two probabilities": Kind(lambda: nn.Sequential(Boston(2), nn.Softmax(1)), "module", "binary",
                              {"outputs": "probability"}, lambda n, x: plain(n, x)[:, 1].logit()),
    "two probabilities, unsaid": Kind(lambda: nn.Sequential(Boston(2), nn.Softmax(1)), "outputs all lie in", "binary"),
}


def make(kind: Kind) -> Any:
    """One network, weights large enough that every activation bends somewhere."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = kind.make()
    module = getattr(network, "module_", network)
    if not isinstance(module, torch.jit.ScriptModule):
        for name, parameter in module.named_parameters():
            parameter.data *= 2 if "weight" in name else 1
    return network
