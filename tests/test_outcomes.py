"""Losses and effects of an edit, each against plain modules and loops, with what would fool a weaker test."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attribution_suite.auditing.work.outcomes import QUANTILES, loss_of_copies, losses, moves, node_grid
from attribution_suite.datasets.table import Split, Task
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation

pytestmark = pytest.mark.usefixtures("plain")

MEMBERS, FEATURES, ROWS, TRAINING, SEED = 2, 5, 9, 31, 4
GENERATOR = torch.Generator().manual_seed(0)
INPUTS, TARGETS = torch.randn(ROWS, FEATURES, generator=GENERATOR), torch.randn(ROWS, generator=GENERATOR)
BACKGROUND = 2 * torch.randn(TRAINING, FEATURES, generator=GENERATOR)  # wider than INPUTS, and no row of it
ORDER = torch.randperm(ROWS, generator=torch.Generator().manual_seed(SEED))
GROUPS = [[(1,), (3,)], [(0, 2), (2, 4)]]


@pytest.fixture
def networks() -> Perceptrons:
    return Perceptrons.initialise(Architecture(FEATURES, (6,), 1), [3, 8])


def moved(rows: Tensor, columns: tuple[int, ...], values: Tensor) -> Tensor:
    """`rows` with some columns at other values."""
    changed = rows.clone()
    changed[:, list(columns)] = values
    return changed


def outputs(module: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return module(rows)[:, 0]


@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_losses_native_filled_and_shuffled(networks: Perceptrons, groups: list[tuple[int, ...]]) -> None:
    means = torch.stack([BACKGROUND[:, list(columns)].mean(0) for columns in groups])
    found = losses(networks, Nodes.of(groups), means, Split(INPUTS, TARGETS), "regression", SEED)
    for member, columns in enumerate(groups):
        module = networks.to_module(member)
        rows = {"loss_native": INPUTS, "loss_mean_filled": moved(INPUTS, columns, means[member]),
                "loss_shuffled": moved(INPUTS, columns, INPUTS[ORDER][:, list(columns)])}
        expected = {name: float(F.mse_loss(outputs(module, each), TARGETS)) for name, each in rows.items()}
        assert {name: values[member] for name, values in found.items()} == pytest.approx(expected, rel=1e-5)
        assert len({round(value, 5) for value in expected.values()}) == 3  # else one could stand for another


@pytest.mark.parametrize("own", ["table", "original", "copy"], ids=str)
def test_a_loss_of_copies_is_their_originals(networks: Perceptrons, own: str) -> None:
    copies = networks.select([0, 0, 0, 1, 1, 1])
    rows = {"table": INPUTS, "original": torch.stack([INPUTS, 2 * INPUTS])}.get(own)
    rows = torch.stack([INPUTS] * 3 + [2 * INPUTS] * 3) if rows is None else rows
    found = loss_of_copies(copies, 2, Split(rows, TARGETS), "regression", "test")
    expected = [float(F.mse_loss(outputs(networks.to_module(e), (2 if e and own != "table" else 1) * INPUTS), TARGETS))
                for e in (0, 0, 0, 1, 1, 1)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert expected[0] != pytest.approx(expected[3], rel=0.01)


def grid_of(columns: tuple[int, ...]) -> list[Tensor]:
    """Training quantiles of one column; the values of seven training rows for a group, drawn with the seed."""
    if len(columns) == 1:
        values = BACKGROUND[:, columns[0]].numpy()
        return [torch.tensor([np.quantile(values, level)]) for level in (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)]
    drawn = torch.randint(TRAINING, (7,), generator=torch.Generator().manual_seed(SEED))
    return [BACKGROUND[row, list(columns)] for row in drawn]


def seen(task: Task, explained: torch.Tensor | None = None) -> Evaluation:
    none = torch.zeros(ROWS)
    return Evaluation(INPUTS, none, BACKGROUND, torch.zeros(TRAINING), torch.zeros(FEATURES), {}, task, explained, SEED)


@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_effects_permuted_and_over_the_grid(networks: Perceptrons, groups: list[tuple[int, ...]]) -> None:
    found, beyond = moves(networks, Nodes.of(groups), seen("regression")), []
    for member, columns in enumerate(groups):
        module = networks.to_module(member)
        native = outputs(module, INPUTS)
        permuted = outputs(module, moved(INPUTS, columns, INPUTS[ORDER][:, list(columns)]))
        assert found["direct_effect"][member] == pytest.approx(float((permuted - native).abs().mean()), rel=1e-4)
        each = [(outputs(module, moved(INPUTS, columns, values.float())) - native).abs() for values in grid_of(columns)]
        largest = [max(float(effect[row]) for effect in each) for row in range(ROWS)]  # of each row its own
        assert found["direct_effect_max"][member] == pytest.approx(np.mean(largest), rel=1e-4)
        beyond.append(np.mean(largest) - max(float(effect.mean()) for effect in each))
    assert max(beyond) > 1e-3  # the mean of the largest is not the largest mean
    assert np.isnan(found["flip_rate"]).all()


def test_the_grid_is_of_training_rows() -> None:
    nodes = Nodes.of(GROUPS[0])
    grid = node_grid(BACKGROUND, nodes, SEED)
    assert grid.shape == (len(QUANTILES), MEMBERS, 1) and QUANTILES == (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
    for member, (column,) in enumerate(GROUPS[0]):
        assert grid[0, member, 0] == BACKGROUND[:, column].min() and grid[-1, member, 0] == BACKGROUND[:, column].max()
    both = node_grid(BACKGROUND, Nodes.of(GROUPS[1]), SEED)
    patterns = {tuple(row) for row in BACKGROUND[:, [0, 2]].tolist()}
    mixed = {tuple(pair) for pair in itertools.product(*BACKGROUND[:, [0, 2]].T.tolist())}
    assert {tuple(row) for row in both[:, 0].tolist()} <= patterns < mixed  # values of one row, never of two
    assert not torch.equal(both, node_grid(BACKGROUND, Nodes.of(GROUPS[1]), SEED + 1))


def test_a_flip_is_a_change_of_the_predicted_class() -> None:
    networks = Perceptrons.initialise(Architecture(FEATURES, (6,), 3), [3, 8])
    networks = networks.with_first_layer(3 * networks.first_weight, networks.first_bias)
    explained = networks.outputs(INPUTS).argmax(2)
    found = moves(networks, Nodes.of(GROUPS[1]), seen("multiclass", explained))
    for member, columns in enumerate(GROUPS[1]):
        module = networks.to_module(member)
        permuted = module(moved(INPUTS, columns, INPUTS[ORDER][:, list(columns)]))
        expected = float((permuted.argmax(1) != module(INPUTS).argmax(1)).float().mean())
        assert found["flip_rate"][member] == pytest.approx(expected)
    assert (found["flip_rate"] > 0).any()
