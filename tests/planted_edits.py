"""Networks trained on a planted regression and then edited by the package's removals, with a search for the truth."""

import numpy as np
import torch
from planted import DELTA, Planted
from planted_paths import Floats, Table
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.measures.worst_case.measure import output_spread
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.target_scale import cold_start
from attribution_suite.networks.training import train
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Setting

METHODS = ("retrain", "fold", "constant", "stochastic_tuning", "shuffle_tuning")
FEATURES = 5  # columns 0 … 4 are removed, each by each method; the target does not depend on 4 and 5
TRAINING = Training(60, 32, 5e-3, patience=10)  # as the catalogue's synthetic table is trained
HASTY = Training(20, 64, 5e-3, patience=4)  # some networks stop before they have learned: losses have a long tail
TUNING = Training(8, 32, 5e-3, patience=10)  # a quick audit's: a quarter of 30 epochs
POINTS, SEARCHED = 20_001, 3  # values that the search tries, on the rows that move most at 101 of them
ROUNDING = 1e-13  # a product of more rows adds in another order


def regression(rows: Tensor, seed: int) -> Tensor:
    """y = 1.5 x₀ + x₁ + relu(x₂) x₃ + N(0, 0.3²)."""
    noise = torch.randn(len(rows), generator=torch.Generator().manual_seed(seed))
    return 1.5 * rows[:, 0] + rows[:, 1] + rows[:, 2].relu() * rows[:, 3] + 0.3 * noise


def splits(table: Table) -> tuple[Split, Split, Split]:
    """Training, validation and test rows with their targets."""
    train_rows, validation = table.train[:1500], table.train[1500:]
    return (Split(train_rows, regression(train_rows, 1)), Split(validation, regression(validation, 2)),
            Split(table.test, regression(table.test, 3)))


def originals(table: Table, seeds: range, training: Training = TRAINING) -> tuple[Ensemble, Setting]:
    """One trained network 6-16-8-1 a seed, and what removals from them are given."""
    rows, validation, _ = splits(table)
    start = cold_start(Perceptrons.initialise(Architecture(6, (16, 8), 1), seeds), rows, "regression", training)
    trained = train(start, rows, validation, "regression", training, seeds).networks
    return trained, Setting(rows, validation, "regression", seeds, training, TUNING)


def edited(members: int, seed: int, training: Training = TRAINING) -> list[Planted]:
    """About `members` networks, one family a method. `truth` is found by search, a lower bound of D."""
    table = Table.draw(seed, proxy=True)
    count = max(1, round(members / len(METHODS) / FEATURES))
    trained, setting = originals(table, range(1000 * seed, 1000 * seed + count), training)
    copies = torch.arange(count).repeat_interleave(FEATURES)
    nodes = Nodes(torch.arange(FEATURES).repeat(count)[:, None])
    delta = DELTA * output_spread(trained, table.test)[copies]
    families = []
    for method in METHODS:
        networks = REMOVALS.load(method)().remove(trained.select(copies), nodes, setting).networks
        truth = np.array([searched(networks, member, table, setting.train.inputs, int(nodes.index[member, 0]))
                          for member in range(len(networks))])
        families.append(Planted(f"edited: {method}", networks, table.test, setting.train.inputs, nodes, delta, truth,
                                truth / delta.numpy(), (method,) * len(networks), closed=False))
    return families


def searched(networks: Perceptrons, member: int, table: Table, training: Tensor, column: int) -> float:
    """The most that f moves at 101 values of x_j on every test row, then at `POINTS` values on those that move most."""
    layers = [(w[member].double().numpy(), b[member].double().numpy())
              for w, b in zip(networks.weights, networks.biases, strict=True)]
    ends = training[:, column].double().aminmax()
    before = outputs(layers, table.native)

    def moves(rows: np.ndarray, points: int) -> Floats:
        moved = np.repeat(table.native[rows], points, 0)
        moved[:, column] = np.tile(np.linspace(float(ends.min), float(ends.max), points), len(rows))
        return np.asarray(np.abs(outputs(layers, moved).reshape(-1, points) - before[rows, None]).max(1))

    coarse = moves(np.arange(len(before)), 101)
    largest = float(max(coarse.max(), moves(np.argsort(-coarse)[:SEARCHED], POINTS).max()))
    return largest if largest > ROUNDING * np.abs(before).max() else 0.0


def outputs(layers: list[tuple[Floats, Floats]], rows: Floats) -> Floats:
    """f `[rows]` of one network of ReLUs in float64."""
    for weight, bias in layers[:-1]:
        rows = np.maximum(rows @ weight.T + bias, 0)
    return np.asarray((rows @ layers[-1][0].T + layers[-1][1])[:, 0])
