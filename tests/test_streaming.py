"""What reads all rows reads them in pieces: the same numbers as at once, and no copy of them all."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from attribution_suite.auditing.work.outcomes import each_effect, moves
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.measures.worst_case import measure
from attribution_suite.networks import batches
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.batches import Batches, windows
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import train
from attribution_suite.removals import folding, linear_maps
from attribution_suite.removals.folding import covariance
from attribution_suite.removals.linear_maps import Entering
from attribution_suite.scorers.attribution import Evaluation

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = 3 + 2 * torch.randn(403, 5, generator=GENERATOR) @ torch.randn(5, 5, generator=GENERATOR)
INPUTS[:, 3] = 7.0  # a constant column
SPLIT = Split(INPUTS, INPUTS[:, 0] - INPUTS[:, 1])


def orders(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def runs() -> torch.Generator:
    return torch.Generator().manual_seed(11)


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of 16 rows, four to a window."""
    for name, value in (("RUN_ROWS", 16), ("WINDOW_RUNS", 4), ("WINDOW", 64)):
        monkeypatch.setattr(batches, name, value)


def test_an_epoch_of_few_rows_is_one_permutation() -> None:
    (order,) = windows(100, orders([3, 4]), runs())
    assert torch.equal(order, torch.stack([torch.randperm(100, generator=each) for each in orders([3, 4])]))


@pytest.mark.usefixtures("short_windows")
def test_an_epoch_of_many_rows_permutes_runs_then_rows_of_a_window() -> None:
    parts = list(windows(403, orders([3, 4]), runs()))
    assert len(parts) == 7 and sum(part.shape[1] for part in parts) == 403  # 26 runs, the last of them of 3 rows
    order = torch.cat(parts, 1)
    for seed in order:
        assert torch.equal(seed.sort().values, torch.arange(403))
    for part in parts:  # the same rows for every seed, whole runs of neighbours, in another order
        assert torch.equal(part[0].sort().values, part[1].sort().values) and not torch.equal(part[0], part[1])
        assert {int(row) // 16 for row in part[0]} == {int(row) // 16 for row in part[1]}
        assert len({int(row) // 16 for row in part[0]}) <= 4
    first = sorted({int(row) // 16 for row in parts[0][0]})
    assert first != [0, 1, 2, 3]  # the runs are permuted too
    alone = torch.cat(list(windows(403, orders([4]), runs())), 1)
    assert torch.equal(alone[0], order[1])  # a seed's order does not depend on what is trained beside it


@pytest.mark.usefixtures("short_windows")
def test_training_in_windows_takes_every_row_once_an_epoch_and_learns() -> None:
    loop = Batches(SPLIT, [3, 4], 10, None, None)
    for _ in range(2):
        seen = torch.cat([batch.targets for batch in loop.epoch()], 1)
        for targets in seen:
            assert torch.equal(targets.sort().values, SPLIT.targets.sort().values)
    start = Perceptrons.initialise(Architecture(5, (8,), 1), [3, 4])
    trained = train(start, SPLIT, SPLIT, "regression", Training(20, 10, 1e-2), [3, 4])
    alone = train(start.select([1]), SPLIT, SPLIT, "regression", Training(20, 10, 1e-2), [4])
    assert bool((trained.validation_loss[-1] < 0.1 * SPLIT.targets.var()).all())
    torch.testing.assert_close(trained.networks.weights[0][1], alone.networks.weights[0][0], rtol=1e-3, atol=1e-5)


def test_a_gathering_is_bounded_and_held_out_rows_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Batches(SPLIT, range(6), 10, None, None)
    held_out = loop.fixed()
    assert held_out.inputs.data_ptr() == INPUTS.data_ptr() and held_out.inputs.shape == (6, *INPUTS.shape)
    whole = [(batch.inputs, batch.targets) for batch in Batches(SPLIT, range(6), 10, None, None).epoch()]
    monkeypatch.setattr(batches, "GATHERED_VALUES", 6 * 10 * 5)
    assert loop.batches_at_once == 1
    pieces = [(batch.inputs, batch.targets) for batch in loop.epoch()]
    assert len(pieces) == len(whole) == 41
    for one, other in zip(pieces, whole, strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


@pytest.mark.parametrize("inputs", [INPUTS, torch.stack([INPUTS[:200], INPUTS[200:400]])], ids=["rows", "seeds"])
def test_a_covariance_in_pieces(inputs: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "VALUES_AT_ONCE", 10 * inputs.numel() // inputs.shape[-2])
    mean, matrix = covariance(inputs, damping=0.0)
    for rows, one, other in zip(inputs.reshape(-1, *inputs.shape[-2:]).double().numpy(),
                                mean.reshape(-1, 5).numpy(), matrix.reshape(-1, 5, 5).numpy(), strict=True):
        np.testing.assert_allclose(one, rows.mean(0), rtol=1e-12)
        np.testing.assert_allclose(other, np.cov(rows.T, bias=True), rtol=1e-11, atol=1e-11)


def test_correlations_and_scores_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes.of([(1,), (2,)])
    monkeypatch.setattr(linear_maps, "VALUES_AT_ONCE", 55)
    entering = Entering.of(INPUTS, 2, nodes)
    varied = [0, 1, 2, 4]
    rows = INPUTS.double().numpy()
    expected = np.corrcoef(rows[:, varied].T)
    np.testing.assert_allclose(entering.correlation[0][varied][:, varied], expected, rtol=1e-10, atol=1e-12)
    assert not entering.correlation[:, 3].any()  # of a constant column there is none
    scores = (rows - rows.mean(0)) / np.where(rows.std(0) > 1e-6, rows.std(0), 1)
    np.testing.assert_allclose(entering.scores(entering.removed)[..., 0], scores[:, [1, 2]].T, rtol=1e-9, atol=1e-9)
    cross = entering.covariance(SPLIT.targets.double()[None, :, None])[0, :, 0].numpy()
    np.testing.assert_allclose(cross[[0, 2, 4]], (scores.T @ SPLIT.targets.double().numpy() / 403)[[0, 2, 4]],
                               rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("activation", "task"), [("relu", "regression"), ("relu", "binary"), ("tanh", "regression")])
def test_a_worst_case_in_pieces(activation: Activation, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Perceptrons.initialise(Architecture(5, (6,), 1, activation), [1, 2])
    words = networks, INPUTS[:100], INPUTS, Nodes.of([(0,), (4,)]), task, torch.full((2,), 0.01)
    whole = measure.worst_case(*words)
    monkeypatch.setattr(measure, "VALUES_AT_ONCE", 70)  # 14 rows at a time
    pieces = measure.worst_case(*words)
    assert torch.equal(pieces.effect, whole.effect) and torch.equal(pieces.row, whole.row)
    assert torch.equal(pieces.value_scaled, whole.value_scaled) and pieces.method == whole.method
    torch.testing.assert_close(pieces.flips, whole.flips, equal_nan=True)
    torch.testing.assert_close(pieces.bound, whole.bound, rtol=0.01, atol=0.0)
    assert bool((pieces.bound >= pieces.effect).all()) and len(set(pieces.row.tolist()) - set(range(14)))


def test_the_effects_of_all_features_are_those_of_each_alone() -> None:
    networks = Perceptrons.initialise(Architecture(5, (6,), 3), [1, 2, 3])
    networks.weights[0][1, :, 4] = 0.0
    groups = {"a": (0,), "b": (1, 3), "c": (2,), "d": (4,)}
    explained = networks.outputs(INPUTS[:50]).argmax(2)
    rows = Evaluation(INPUTS[:50], torch.zeros(50, dtype=torch.int64), INPUTS, torch.zeros(403, dtype=torch.int64),
                      torch.zeros(5), groups, "multiclass", explained)
    together = each_effect(networks, rows)
    alone = np.stack([moves(networks, Nodes.of([group] * 3), rows)["direct_effect"] for group in groups.values()], 1)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-7)
    assert together[1, 3] == 0.0 and (together[[0, 2], 3] > 0).all()
