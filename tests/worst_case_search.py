"""The worst case by a search written from its definition: tables, random networks, what their answer must obey."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from attribution_suite import WorstCase
from attribution_suite.datasets.preset import Activation
from attribution_suite.measures.worst_case.measure import worst_case as measure
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons

GROUPS = {"number": (0,), "flag": (5,), "one-hot": (1, 2, 3), "number, missing": (4, 5),
          "number, one-hot": (1, 2, 3, 6)}
POINTS = 100_000


def table(generator: torch.Generator, rows: int) -> Tensor:
    """0: a number; 1-3: a one-hot of two categories and none; 4: a number with gaps, 5: that flag; 6: a number."""
    inputs = torch.randn(rows, 7, generator=generator)
    category = torch.randint(3, (rows,), generator=generator)
    inputs[:, 1:4] = torch.eye(3)[category] * torch.tensor([1.0, 1.0, 0.0]) * 1.7 - 0.4
    missing = torch.rand(rows, generator=generator) < 0.3
    inputs[:, 5] = missing * 2.5 - 0.7
    inputs[missing, 4] = 0.125
    return inputs


def random_networks(seed: int, hidden: tuple[int, ...], activation: Activation, outputs: int, kind: str) -> Perceptrons:
    """Two networks; `kind`: 'plain', 'ties' (coarse weights: kinks coincide, fall on ends), 'dead' units and zeros."""
    architecture = Architecture(7, hidden, outputs, activation)
    networks = Perceptrons.initialise(architecture, [seed, seed + 1])
    weights, biases = [3 * w for w in networks.weights], list(networks.biases)
    if kind == "ties":
        weights, biases = [(2 * w).round() / 2 for w in weights], [(2 * b).round() / 2 for b in biases]
        weights[0][:, 1:2] = weights[0][:, :1]  # two units with the same kinks
        biases[0][:, 1:2] = biases[0][:, :1]
    if kind == "dead":
        biases[0][:, 0] -= 100
        weights[0][:, -1] = 0
        weights[-1][:, :, -1] = 0
    return Perceptrons(architecture, tuple(weights), tuple(biases))


def function(networks: Perceptrons | Modules, member: int, rows: np.ndarray, task: str) -> np.ndarray:
    """f `[rows, outputs]`, by the network as a module in float64."""
    with torch.no_grad():
        outputs = networks.to_module(member).double()(torch.from_numpy(rows)).numpy().reshape(len(rows), -1)
    return outputs - outputs.mean(1, keepdims=True) if task == "multiclass" else outputs


def allowed(training: np.ndarray, columns: tuple[int, ...], points: int) -> np.ndarray:
    """Values `[many, columns]` that the definition lets x_j take, `points` along the one column that is a number."""
    seen = training[:, list(columns)]
    numbers = [c for c in range(len(columns)) if len(set(seen[:, c])) > 2]
    flags = [c for c in range(len(columns)) if c not in numbers]
    values = []
    for pattern in sorted({tuple(row[flags]) for row in seen}):
        own = seen[(seen[:, flags] == pattern).all(1)]
        line = np.zeros((1, 0))
        if numbers:
            fixed = len(set(own[:, numbers[0]])) == 1
            ends = own if fixed else seen
            line = np.linspace(ends[:, numbers].min(), ends[:, numbers].max(), 1 if fixed else points)[:, None]
        found = np.empty((len(line), len(columns)))
        found[:, flags], found[:, numbers] = pattern, line
        values.append(found)
    return np.concatenate(values)


def searched(networks: Perceptrons, member: int, inputs: Tensor, training: Tensor, columns: tuple[int, ...],
             task: str) -> tuple[float, int]:
    """D by a search of at least `POINTS` points over rows and values in float64, and how many rows change class."""
    values = allowed(training.double().numpy(), columns, POINTS // len(inputs))
    largest, flips = 0.0, 0
    for row in inputs.double().numpy():
        moved = np.repeat(row[None], len(values), 0)
        moved[:, list(columns)] = values
        before, after = (function(networks, member, rows, task) for rows in (row[None], moved))
        largest = max(largest, float(np.abs(after - before).max()))
        classes = after.argmax(1) if after.shape[1] > 1 else after[:, 0] > 0
        flips += bool((classes != (before.argmax(1) if after.shape[1] > 1 else before[:, 0] > 0)).any())
    return largest, flips


def check_witness(found: WorstCase, networks: Perceptrons | Modules, inputs: Tensor, columns: tuple[int, ...],
                  task: str, training: Tensor, tolerance: float = 1e-9) -> None:
    """The effect is attained, so never above D: the witness, by the network itself, moves as said, where it may."""
    for member in range(len(networks)):
        row, output = int(found.row[member]), int(found.output[member])
        own = inputs.double().numpy()[row][None]
        moved = own.copy()
        moved[0, list(columns)] = found.value_scaled[member, :len(columns)].numpy()
        before, after = (function(networks, member, rows, task)[0, output] for rows in (own, moved))
        scale = max(1.0, abs(before), abs(after))
        assert found.before[member].item() == pytest.approx(before, abs=tolerance * scale)
        assert found.after[member].item() == pytest.approx(after, abs=tolerance * scale)
        assert found.effect[member].item() == pytest.approx(abs(after - before), abs=tolerance * scale)
        np.testing.assert_array_equal(found.native_scaled[member, :len(columns)], own[0, list(columns)])
        to, ends = moved[0, list(columns)], allowed(training.double().numpy(), columns, 2)
        assert any((a <= to).all() and (to <= b).all() for a in ends for b in ends if (a != b).sum() <= 1)


def measured(networks: Perceptrons | Modules, inputs: Tensor, training: Tensor, columns: tuple[int, ...], task: str,
             delta: float = 0.0) -> WorstCase:
    nodes = Nodes.of([columns]).repeat(len(networks))
    return measure(networks, inputs, training, nodes, task, torch.full((len(networks),), delta))


TASKS = st.sampled_from([("regression", 1), ("binary", 1), ("multiclass", 3)])
