"""One table of cases: small ensembles of every task and activation, and what is explained of them."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import traits_of

ROWS, FEATURES, MEMBERS = 12, 6, 3


@dataclass(frozen=True)
class Case:
    name: str
    networks: Perceptrons
    evaluation: Evaluation


def make_case(name: str, task: str, activation: Activation = "relu", groups: dict | None = None,
              hidden: tuple[int, ...] = (7, 5)) -> Case:
    generator = torch.Generator().manual_seed(len(name))
    outputs = 4 if task == "multiclass" else 1
    networks = Perceptrons.initialise(Architecture(FEATURES, hidden, outputs, activation), range(5, 5 + MEMBERS))
    # PyTorch's initial biases and weights are small: scaled up, every method works at its kinks too.
    networks = Perceptrons(networks.architecture, tuple(2 * w for w in networks.weights), networks.biases)
    inputs = torch.randn(ROWS, FEATURES, generator=generator)
    background = torch.randn(40, FEATURES, generator=generator)

    def labels(rows: Tensor) -> Tensor:
        if task == "regression":
            return rows.sum(1)
        return (rows[:, 0] > 0).float() if task == "binary" else rows[:, :4].argmax(1)

    explained = networks.outputs(inputs).argmax(2) if task == "multiclass" else None
    evaluation = Evaluation(
        inputs, labels(inputs), background, labels(background), torch.zeros(FEATURES) + 0.1,
        groups or {f"x{k}": (k,) for k in range(FEATURES)}, task, explained, seed=3)
    return Case(name, networks, evaluation)


def layer_of(name: str) -> int:
    """The first layer that a scorer scores."""
    return 1 if traits_of(name).below else 0


GROUPS = {"a": (0,), "b": (1, 2, 3), "c": (4,), "d": (5,)}
CASES = [
    make_case("regression", "regression"),
    make_case("binary", "binary"),
    make_case("multiclass", "multiclass"),
    make_case("multiclass tanh", "multiclass", "tanh"),
    make_case("regression groups", "regression", groups=GROUPS),
    make_case("multiclass groups", "multiclass", groups=GROUPS),
    make_case("linear", "regression", hidden=()),
]
# Every scorer with every network that it can be asked of: one that reads the layers below scores hidden units.
SCORED = [pytest.param(name, case, id=f"{name}-{case.name}") for name in SCORERS.names for case in CASES
          if layer_of(name) < case.networks.architecture.depth]
