"""The least-squares folds: theorems, and searches over subsets against their definitions."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from removal_cases import NAMES, SEEDS, RemovalCase, by_method, removal_case, remove
from sklearn.linear_model import LinearRegression
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals.constant import Constant
from attribution_suite.removals.fold_tuning import Fold
from attribution_suite.removals.folding import covariance
from attribution_suite.removals.removal import Removal, Setting
from attribution_suite.removals.subset_fold import (
    SubsetFold,
    exhaustive,
    explained_variance,
    matching_pursuit,
)

# The fold.

def gaussian_case(rows: int = 200, features: int = 6, seed: int = 0) -> RemovalCase:
    """Correlated inputs with means, an untrained network: single nodes and groups."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(features, features, generator=generator)
    inputs = torch.randn(rows, features, generator=generator) @ mixing + torch.arange(features)
    split = Split(inputs, inputs.sum(1))
    budget = Training(2, 32, 1e-3)
    groups = ((0,), (5,), (1, 3), (2, 4, 0))
    networks = Perceptrons.initialise(Architecture(features, (7,), 1), range(2)).select(
        torch.arange(2).repeat_interleave(len(groups)))
    return RemovalCase(networks, groups * 2, Setting(split, split, "regression", SEEDS, budget, budget))


def fit_by_sklearn(case: RemovalCase, member: int, peers: list[int]) -> tuple[LinearRegression, np.ndarray]:
    """The regression of a member's nodes on `peers`, and its residuals `[rows, group]`."""
    inputs = case.inputs(member).double().numpy()
    removed = inputs[:, case.groups[member]]
    model = LinearRegression().fit(inputs[:, peers], removed)
    return model, removed - model.predict(inputs[:, peers])


@pytest.mark.parametrize("make", [gaussian_case, *(lambda name=name: removal_case(name) for name in NAMES[1::2])],
                         ids=["gaussian", *NAMES[1::2]])
def test_the_error_of_a_fold_is_the_residual_times_the_lost_weights(make) -> None:
    case = make()
    folded, means = remove(Fold(), case), remove(Constant("mean"), case)
    for member, group in enumerate(case.groups):
        inputs, lost = case.inputs(member), case.networks.weights[0][member][:, group].double().numpy()
        _, residual = fit_by_sklearn(case, member, [k for k in range(inputs.shape[1]) if k not in group])
        theorem = np.square(residual @ lost.T).sum(1).mean()
        if len(group) == 1:  # ‖W_j‖² × mean squared residual
            assert theorem == pytest.approx(np.square(lost).sum() * np.square(residual).mean(), rel=1e-9)

        def error(edited: Perceptrons, member: int = member, inputs: Tensor = inputs) -> float:
            change = edited.to_module(member)[0](inputs) - case.networks.to_module(member)[0](inputs)
            return float(change.detach().double().square().sum(1).mean())

        assert error(folded) == pytest.approx(theorem, rel=1e-3)
        spread = (inputs[:, group] - inputs[:, group].mean(0)).double().numpy()
        assert error(means) == pytest.approx(np.square(spread @ lost.T).sum(1).mean(), rel=1e-3)
        assert error(means) > 1.02 * error(folded)  # negative control: the constant is no fold


def test_fold_equals_the_formula() -> None:
    """W′ = W − W_:j (G⁻¹)_j: / (G⁻¹)_jj with G = AᵀA, A = [h, 1]; the bias is the last column."""
    case = gaussian_case()
    folded = remove(Fold(), case)
    for member, group in enumerate(case.groups):
        if len(group) > 1:
            continue
        matrix = np.column_stack([case.inputs(member).double().numpy(), np.ones(200)])
        inverse, j = np.linalg.inv(matrix.T @ matrix), group[0]
        before = np.column_stack([case.networks.weights[0][member], case.networks.biases[0][member]]).astype(float)
        expected = before - np.outer(before[:, j], inverse[j]) / inverse[j, j]
        after = np.column_stack([folded.weights[0][member], folded.biases[0][member]])
        np.testing.assert_allclose(after, expected, rtol=1e-3, atol=2e-4)


def test_a_collinear_copy_is_folded_without_loss() -> None:
    case = gaussian_case()
    inputs = case.setting.train.inputs.clone()
    inputs[:, 5] = 3 * inputs[:, 0] - 2 * inputs[:, 1] + 4
    split = Split(inputs, case.setting.train.targets)
    case = replace(case, setting=replace(case.setting, train=split), groups=((0,), (5,), (1,), (5,)) * 2)
    before = case.networks.outputs(inputs)
    torch.testing.assert_close(remove(Fold(), case).outputs(inputs), before, rtol=1e-3, atol=2e-3)
    assert (remove(Constant("mean"), case).outputs(inputs) - before).abs().mean() > 0.1  # negative control


def test_a_one_hot_column_is_folded_onto_its_group() -> None:
    case = replace(removal_case("regression, layer 0"), groups=((1,), (2,), (3,)) * 2)
    before = case.networks.outputs(case.setting.train.inputs)
    folded = remove(Fold(), case).outputs(case.setting.train.inputs)
    torch.testing.assert_close(folded, before, rtol=1e-3, atol=1e-3)


# The subset folds.

def random_matrix(seed: int, features: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(60, features, generator=generator) @ torch.randn(features, features, generator=generator)
    return covariance(inputs)[1]


def explained_by_definition(matrix: Tensor, removed: list[int], subset: tuple[int, ...]) -> float:
    """tr(Σ_JS Σ_SS⁻¹ Σ_SJ): the variance of the removed nodes that a regression on the subset explains."""
    full, chosen = matrix.numpy(), list(subset)
    cross = full[np.ix_(chosen, removed)]
    return float(np.trace(cross.T @ np.linalg.inv(full[np.ix_(chosen, chosen)]) @ cross))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([[0], [3], [1, 4]]))
def test_exhaustive_search_finds_the_best_subset(seed: int, count: int, removed: list[int]) -> None:
    matrix = random_matrix(seed)
    peers = [feature for feature in range(7) if feature not in removed]
    lost, others = torch.tensor(removed), torch.tensor(peers)
    best = max(explained_by_definition(matrix, removed, subset) for subset in combinations(peers, count))
    found = exhaustive(matrix, lost, others, count)
    assert len(found) == count and set(found.tolist()) <= set(peers)
    assert explained_by_definition(matrix, removed, tuple(found.tolist())) == pytest.approx(best, rel=1e-9)
    assert explained_variance(matrix, lost, found) == pytest.approx(best, rel=1e-9)
    pursued = matching_pursuit(matrix, lost, others, count)
    assert len(set(pursued.tolist())) == count and set(pursued.tolist()) <= set(peers)
    assert explained_variance(matrix, lost, pursued) <= best * (1 + 1e-9)
    if count == 1:  # its first step is the best one
        assert torch.equal(pursued, found)


def test_matching_pursuit_comes_close_to_the_best_subset() -> None:
    """Over 60 random problems; a random subset of the same size does not (negative control)."""
    pursuit, chance = [], []
    for seed in range(60):
        matrix, lost, peers = random_matrix(seed), torch.tensor([0]), torch.arange(1, 7)
        best = explained_variance(matrix, lost, exhaustive(matrix, lost, peers, 3))
        pursuit.append(explained_variance(matrix, lost, matching_pursuit(matrix, lost, peers, 3)) / best)
        drawn = peers[torch.randperm(6, generator=torch.Generator().manual_seed(seed))[:3]]
        chance.append(explained_variance(matrix, lost, drawn) / best)
    assert np.quantile(pursuit, 0.2) >= 0.9 and np.mean(pursuit) > 0.95
    assert np.mean(chance) < 0.8


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_matching_pursuit_follows_the_residual(seed: int) -> None:
    """Written from its definition, on rows: the next peer is the one most correlated with what is left."""
    generator = torch.Generator().manual_seed(seed)
    rows = (torch.randn(60, 7, generator=generator) @ torch.randn(7, 7, generator=generator)).double().numpy()
    chosen: list[int] = []
    residual = rows[:, 0] - rows[:, 0].mean()
    for _ in range(4):
        correlation = [0.0 if k in chosen else abs(np.corrcoef(residual, rows[:, k])[0, 1]) for k in range(1, 7)]
        chosen.append(1 + int(np.argmax(correlation)))
        model = LinearRegression().fit(rows[:, chosen], rows[:, 0])
        residual = rows[:, 0] - model.predict(rows[:, chosen])
    matrix = covariance(torch.from_numpy(rows))[1]
    assert matching_pursuit(matrix, torch.tensor([0]), torch.arange(1, 7), 4).tolist() == chosen


@by_method([SubsetFold(2), SubsetFold(2, "exhaustive")])
@pytest.mark.parametrize("case", ["gaussian", "multiclass, layer 1"])
def test_a_subset_fold_is_the_regression_on_few_peers(method: Removal, case: str) -> None:
    given_case = gaussian_case() if case == "gaussian" else removal_case(case)
    edited = remove(method, given_case)
    for member, group in enumerate(given_case.groups):
        before, after = given_case.networks.weights[0][member], edited.weights[0][member]
        changed = (before != after).any(0).nonzero().flatten().tolist()
        peers = [column for column in changed if column not in group]
        assert 1 <= len(peers) <= 2 and (after[:, group] == 0).all()
        model, _ = fit_by_sklearn(given_case, member, peers)
        lost = before[:, group].double().numpy()
        np.testing.assert_allclose(after[:, peers], before[:, peers].numpy() + lost @ model.coef_, rtol=1e-3, atol=1e-4)
        bias = given_case.networks.biases[0][member].numpy() + lost @ model.intercept_
        np.testing.assert_allclose(edited.biases[0][member], bias, rtol=1e-3, atol=1e-3)


def test_a_subset_fold_with_every_peer_is_the_fold() -> None:
    case = gaussian_case()
    for a, b in zip(remove(SubsetFold(99), case).tensors, remove(Fold(), case).tensors, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_an_exhaustive_search_of_too_many_subsets_is_refused() -> None:
    with pytest.raises(InputError, match="use search='omp' or fewer nodes"):
        remove(SubsetFold(20, "exhaustive"), gaussian_case(features=41))
