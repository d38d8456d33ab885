"""Modules of a user's own that are no plain Sequential, good ones and bad ones (of a module: workers import them)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES, WIDTH = 6, 8


class Layers(nn.Module):
    """Three layers and their activations, for the forwards below; its own is a perceptron's."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(FEATURES, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last, self.relu, self.tanh = nn.Linear(WIDTH, outputs), nn.ReLU(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.tanh(self.second(self.relu(self.first(x)))))


class Residual(Layers):
    """A skip connection, batch norm with statistics of its own, dropout, an in-place activation, outputs `[rows]`."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__(outputs)
        self.norm, self.drop, self.relu = nn.BatchNorm1d(WIDTH), nn.Dropout(0.5), nn.ReLU(inplace=True)
        with torch.no_grad():
            self.norm.running_mean.normal_(0, 0.3)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.norm(self.first(x)))
        return self.last(self.drop(hidden + self.tanh(self.second(hidden)))).squeeze(1)


class Branching(Layers):
    """Python control flow that depends on the data: torch.vmap refuses it."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.first(x))
        if bool(torch.isfinite(hidden).all()):
            hidden = self.second(hidden)
        return self.last(self.tanh(hidden))


class Reused(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.relu(self.second(self.relu(self.first(x)))))


class Functional(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.second(self.relu(self.first(x)))))


class Method(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.relu(self.first(x))).clamp(min=0))


class MadeInside(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.ReLU()(self.second(self.relu(self.first(x)))))


class Product(Layers):
    """Nothing tells it from linear code but the sum of φ."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.first(x))
        return self.last(hidden * self.second(hidden))


class Unknown(Layers):
    """An activation module that Captum has no rule for."""

    def __init__(self) -> None:
        super().__init__()
        self.tanh = nn.GELU()


class Wide(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :, None]


class Random(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.dropout(x, 0.5, training=True))


class Mixing(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class Cut(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach()).detach()


class Raising(Layers):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no such luck")


class Unresettable(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


def members(kind: type[nn.Module], count: int = 3, *arguments: int) -> list[nn.Module]:
    """Modules with weights of their own, large enough that every activation is at its kink somewhere."""
    with torch.random.fork_rng():
        torch.manual_seed(len(kind.__name__))
        modules = [kind(*arguments) for _ in range(count)]
    for module in modules:
        for parameter in module.parameters():
            parameter.data *= 2
    return modules
