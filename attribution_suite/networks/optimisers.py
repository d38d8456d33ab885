"""One step of an optimiser on the flat buffer of all members' parameters, by PyTorch's functions of the optimisers.

`torch.optim.Adam` and its like make the same steps, but importing what they need for `torch.compile` takes a second.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.optim import adam, rmsprop, sgd

from attribution_suite.datasets.preset import Training


class Optimiser(ABC):
    """Steps `parameters` `[values]` against their `grad`, in their memory, as PyTorch's class of the name by default.

    `buffers`: its state, `BUFFERS` tensors like the parameters; `steps`: how many there were.
    """

    BUFFERS: ClassVar[int] = 0

    def __init__(self, parameters: torch.nn.Parameter, learning_rate: float) -> None:
        """`learning_rate` > 0, constant."""
        self.parameters, self.learning_rate = parameters, learning_rate
        self.buffers = [torch.zeros_like(parameters.data) for _ in range(self.BUFFERS)]
        self.steps = torch.zeros((), device=parameters.device)

    @abstractmethod
    def step(self) -> None:
        """One step."""

    def carried_to(self, parameters: torch.nn.Parameter, narrowed: Callable[[Tensor], Tensor]) -> Self:
        """The same in the middle of its way, for the part of the members that `narrowed` takes out of a buffer."""
        fresh = type(self)(parameters, self.learning_rate)
        fresh.buffers, fresh.steps = [narrowed(buffer) for buffer in self.buffers], self.steps
        return fresh

    @property
    def _stepped(self) -> tuple[list[Tensor], list[Tensor]]:
        assert self.parameters.grad is not None  # a backward pass goes before every step
        return [self.parameters.data], [self.parameters.grad]


class Adam(Optimiser):
    """Adam (Kingma and Ba 2015): β₁ 0.9, β₂ 0.999, ε 1e-8."""

    BUFFERS = 2

    def step(self) -> None:
        """One step."""
        mean, square = self.buffers
        adam.adam(*self._stepped, [mean], [square], [], [self.steps], fused=True, amsgrad=False, beta1=0.9,
                  beta2=0.999, lr=self.learning_rate, weight_decay=0.0, eps=1e-8, maximize=False)


class RMSprop(Optimiser):
    """RMSprop (Hinton's lecture, 2012): α 0.99, ε 1e-8."""

    BUFFERS = 1

    def step(self) -> None:
        """One step."""
        rmsprop.rmsprop(*self._stepped, self.buffers, [], [], [self.steps], lr=self.learning_rate, alpha=0.99,
                        eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False)


class SGD(Optimiser):
    """Stochastic gradient descent without momentum."""

    def step(self) -> None:
        """One step."""
        sgd.sgd(*self._stepped, [None], fused=True, weight_decay=0.0, momentum=0.0, lr=self.learning_rate,
                dampening=0.0, nesterov=False, maximize=False)


def optimiser_for(training: Training, parameters: torch.nn.Parameter) -> Optimiser:
    """The optimiser that `training` names."""
    if training.optimiser == "adam":
        return Adam(parameters, training.learning_rate)
    if training.optimiser == "rmsprop":
        return RMSprop(parameters, training.learning_rate)
    return SGD(parameters, training.learning_rate)
