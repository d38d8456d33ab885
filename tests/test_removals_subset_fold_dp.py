"""The fold onto the peers whose correlations sum nearest to 1: against all subsets, and scikit-learn's regression."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from removal_cases import SEEDS, TASKS, removal_case, remove
from sklearn.linear_model import LinearRegression
from torch import Tensor

from attribution_suite.removals.folding import covariance
from attribution_suite.removals.subset_fold import matching_pursuit
from attribution_suite.removals.subset_fold_dp import SubsetFoldDynamicProgramme, nearest_to_one


def distances(correlations: np.ndarray, count: int) -> dict[tuple[int, ...], float]:
    """abs(1 − Σ r) of every subset of 1 to `count` peers."""
    places = range(len(correlations))
    return {subset: abs(1 - sum(correlations[k] for k in subset))
            for size in range(1, min(count, len(correlations)) + 1) for subset in combinations(places, size)}


def star(correlations: list[float]) -> Tensor:
    """A covariance of node 0 and its peers, who have these correlations with it; scales differ."""
    matrix = torch.eye(len(correlations) + 1, dtype=torch.float64)
    matrix[0, 1:] = matrix[1:, 0] = torch.tensor(correlations)
    scale = torch.arange(1, len(matrix) + 1).double()
    return matrix * scale * scale[:, None]


def search(matrix: Tensor, count: int, node: int = 0) -> list[int]:
    peers = [feature for feature in range(len(matrix)) if feature != node]
    return nearest_to_one(matrix, torch.tensor([node]), torch.tensor(peers), count).tolist()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 7))
def test_no_subset_of_peers_sums_nearer_to_one(seed: int, count: int, node: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(50, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    matrix = covariance(rows)[1]
    peers = [feature for feature in range(8) if feature != node]
    every = distances(np.corrcoef(rows.double().numpy().T)[peers, node], count)
    found = tuple(peers.index(peer) for peer in search(matrix, count, node))
    ranked = sorted(every.values())
    bound = count**2 / 30_000 + 2e-5  # what rounding the sums may cost, and the covariance's damping
    assert every[found] <= ranked[0] + bound
    if ranked[1] - ranked[0] > bound:
        assert found == min(every, key=every.__getitem__)


def test_another_search_does_not_find_them() -> None:
    """Negative control of the property above: the best predictors are mostly other peers."""
    differ = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        matrix = covariance(torch.randn(50, 8, generator=generator) @ torch.randn(8, 8, generator=generator))[1]
        pursued = matching_pursuit(matrix, torch.tensor([0]), torch.arange(1, 8), 3)
        differ += sorted(pursued.tolist()) != search(matrix, 3)
    assert differ > 15


@pytest.mark.parametrize(("correlations", "count", "expected"), [
    ([0.9, 0.3, -0.2, 0.5], 3, [1, 2, 3]),  # 0.9 + 0.3 − 0.2: signs count
    ([0.9, 0.3, -0.2, 0.5], 2, [1]),  # 0.9 is nearer to 1 than any pair
    ([0.5, 0.98, 0.5], 3, [1, 3]),
    ([0.5, 0.5, 0.5], 3, [1, 2]),  # equal ones: those that come first
    ([0.4, 0.6, 0.99999999], 3, [3]),  # equal after rounding: the fewest
    ([0.9, 0.2], 1, [1]), ([0.95, -0.3, 0.35], 1, [1]),
    ([-0.4, -0.1, -0.3], 3, [2]),  # one at least
    ([0.2, 0.3], 9, [1, 2]),  # fewer peers than allowed
    ([], 3, []),
])
def test_peers_by_hand(correlations: list[float], count: int, expected: list[int]) -> None:
    assert search(star(correlations), count) == expected


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("task", TASKS)
def test_each_removed_node_is_regressed_on_its_own_peers(task: str, layer: int) -> None:
    case = removal_case(f"{task}, layer {layer}")
    edited = remove(SubsetFoldDynamicProgramme(), case)
    for member, group in enumerate(case.groups):
        inputs = case.inputs(member).double().numpy()
        weight = case.networks.weights[0][member].double().numpy()
        bias = case.networks.biases[0][member].double().numpy()
        expected, constant = weight.copy(), bias.copy()
        expected[:, group] = 0
        peers = [column for column in range(inputs.shape[1]) if column not in group and np.ptp(inputs[:, column]) > 0]
        for node in group:
            every = distances(np.array([np.corrcoef(inputs[:, node], inputs[:, peer])[0, 1] for peer in peers]), 3)
            chosen = [peers[place] for place in min(every, key=every.__getitem__)]
            model = LinearRegression().fit(inputs[:, chosen], inputs[:, node])
            expected[:, chosen] += np.outer(weight[:, node], model.coef_)
            constant += weight[:, node] * model.intercept_
        np.testing.assert_allclose(edited.weights[0][member], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(edited.biases[0][member], constant, rtol=1e-3, atol=1e-3)


def test_the_published_number_of_peers_is_three() -> None:
    case = removal_case("regression, layer 1")
    assert len(case.groups) == 3 * len(SEEDS) and SubsetFoldDynamicProgramme() == SubsetFoldDynamicProgramme(3)
    changed = (remove(SubsetFoldDynamicProgramme(), case).weights[0][0] != case.networks.weights[0][0]).any(0)
    assert 2 <= int(changed.sum()) <= 4  # the removed unit and 1 to 3 peers
