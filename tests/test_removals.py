"""Every removal through one table of cases; theorems and known truths for the single methods."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from removal_cases import NAMES, SEEDS, RemovalCase, direct_effects, loss_of, make_split, removal_case
from sklearn.linear_model import LinearRegression
from torch import Tensor

from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.batches import Block
from attribution_suite.networks.budget import Training
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.constant import GRID, Constant
from attribution_suite.removals.fold_tuning import Fold
from attribution_suite.removals.folding import covariance
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.removal import Removal, Setting
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.removals.subset_fold import (
    SubsetFold,
    SubsetFoldDynamicProgramme,
    dynamic_programme,
    exhaustive,
    explained_variance,
    matching_pursuit,
)

CLOSED = [Fold(), SubsetFold(2), SubsetFold(2, "exhaustive"), SubsetFoldDynamicProgramme(2),
          Constant("zero"), Constant("mean"), Constant("best")]
EXACT = [*CLOSED, Retrain(), REMOVALS.load("fold_tuning")()]
TUNED = [StochasticTuning(), StochasticTuning(published=True), InversionTuning(), InversionTuning(published=True),
         ShuffleTuning()]
by_case = pytest.mark.parametrize("case", NAMES)


def by_method(methods: list[Removal]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", methods, ids=str)


def remove(method: Removal, case: RemovalCase) -> Ensemble:
    return method.remove(case.networks, case.nodes, case.setting).networks


def tensors_of(networks: Ensemble) -> tuple[Tensor, ...]:
    return (*networks.weights, *networks.biases)


def test_the_whole_catalogue_is_tested_here() -> None:
    assert {type(method).name for method in (*EXACT, *TUNED)} == set(REMOVALS.names)
    assert all(method.aims == "direct" for method in (*EXACT, *TUNED))
    for name in REMOVALS.names:
        assert REMOVALS.load(name).name == name


@by_case
@by_method([*EXACT, *TUNED])
def test_leaves_everything_as_it_was_and_repeats_itself(method: Removal, case: str) -> None:
    given_case = removal_case(case)
    data = (given_case.setting.train.inputs, given_case.setting.validation.inputs, given_case.nodes.index)
    before = [tensor.clone() for tensor in (*tensors_of(given_case.networks), *data)]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global one
    first = method.remove(given_case.networks, given_case.nodes, given_case.setting)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002
    torch.manual_seed(17)  # another global state, the same result
    again = method.remove(given_case.networks, given_case.nodes, given_case.setting)
    for old, now in zip(before, (*tensors_of(given_case.networks), *data), strict=True):
        assert torch.equal(old, now)
    for a, b in zip(tensors_of(first.networks), tensors_of(again.networks), strict=True):
        assert torch.equal(a, b) and torch.isfinite(a).all() and not a.requires_grad
    assert first.networks.architecture == given_case.networks.architecture
    assert first.steps.shape == (len(given_case.networks),)


@by_case
@by_method(EXACT)
def test_the_output_no_longer_depends_on_the_node(method: Removal, case: str) -> None:
    given_case = removal_case(case)
    edited = remove(method, given_case)
    assert (direct_effects(given_case, edited) == 0).all()
    for member, group in enumerate(given_case.groups):
        net, native = edited.to_module(member), given_case.inputs(member)
        absurd = native.clone()
        absurd[:, group] = 1e6 * torch.randn(len(native), len(group), generator=torch.Generator().manual_seed(1))
        assert torch.equal(net(native), net(absurd))
        assert not torch.allclose(given_case.networks.to_module(member)(native),
                                  given_case.networks.to_module(member)(absurd))
        if method in CLOSED:  # nothing but the first layer is edited
            assert all(torch.equal(a[member], b[member]) for a, b in
                       zip(edited.weights[1:], given_case.networks.weights[1:], strict=True))


@by_case
@by_method([method for method in TUNED if not getattr(method, "published", False)])
def test_tuning_takes_most_of_the_direct_effect(method: Removal, case: str) -> None:
    given_case = removal_case(case)
    before, kept = direct_effects(given_case, given_case.networks), remove(method, given_case)
    ratio = direct_effects(given_case, kept) / before
    assert (before > 0.3).all()
    if method.name == "inversion_tuning":
        # A network tells mirrored one-hot columns from native ones and undoes the mirror: see the next test.
        continuous = [member for member, group in enumerate(given_case.groups) if group != (1, 2, 3)]
        assert ratio[continuous].mean() < 0.4
    else:
        assert ratio.max() < 0.4 and ratio.mean() < 0.2
    no_time = replace(given_case.setting, tuning=replace(given_case.setting.tuning, epochs=0))
    untuned = method.remove(given_case.networks, given_case.nodes, no_time).networks  # negative control
    torch.testing.assert_close(direct_effects(given_case, untuned), before)


def test_inversion_does_not_take_out_a_one_hot_group() -> None:
    """A limit of the method, kept in sight: its mirrored rows are no rows of the data, so the network reads through."""
    case = removal_case("regression, layer 0")
    ratio = direct_effects(case, remove(InversionTuning(), case)) / direct_effects(case, case.networks)
    assert (ratio[[member for member, group in enumerate(case.groups) if group == (1, 2, 3)]] > 0.5).all()


@by_case
def test_retraining_is_a_cold_start(case: str) -> None:
    """It owes nothing to the networks it replaces: other originals, the same result."""
    given_case = removal_case(case)
    other = Ensemble.initialise(given_case.networks.architecture, range(50, 50 + len(given_case.groups)))
    first, second = remove(Retrain(), given_case), remove(Retrain(), replace(given_case, networks=other))
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(first), tensors_of(second), strict=True))


@by_method([*EXACT, *TUNED])
def test_every_method_spends_its_own_budget(method: Removal) -> None:
    """Retraining has the original's budget, a warm start that of tuning, a closed form none."""
    case = removal_case("regression, layer 0")
    training, tuning = (replace(case.setting.training, keep="last", max_steps=steps) for steps in (3, 5))
    trained = method.remove(case.networks, case.nodes, replace(case.setting, training=training, tuning=tuning))
    expected = 0 if method in CLOSED else 3 if method == Retrain() else 5
    assert (trained.steps == expected).all()


# The fold.

def gaussian_case(rows: int = 200, features: int = 6, seed: int = 0) -> RemovalCase:
    """Correlated inputs with means, an untrained network: single nodes and groups."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(features, features, generator=generator)
    inputs = torch.randn(rows, features, generator=generator) @ mixing + torch.arange(features)
    split = Split(inputs, inputs.sum(1))
    budget = Training(2, 32, 1e-3)
    groups = ((0,), (5,), (1, 3), (2, 4, 0))
    networks = Ensemble.initialise(Architecture(features, (7,), 1), range(2)).select(
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

        def error(edited: Ensemble, member: int = member, inputs: Tensor = inputs) -> float:
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


def chain_value(matrix: Tensor, removed: list[int], chain: tuple[int, ...]) -> float:
    """Σ abs(r_kj)(1 − abs(r_kk')) over the chain; its first peer has none before it. A group: its largest abs(r_kj)."""
    correlation = np.abs(matrix.numpy() / np.sqrt(np.outer(matrix.diagonal(), matrix.diagonal())))
    value = 0.0
    for position, peer in enumerate(chain):
        overlap = correlation[peer, chain[position - 1]] if position else 0.0
        value += max(correlation[peer, j] for j in removed) * (1 - overlap)
    return value


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 7), st.sampled_from([[0], [6], [2, 4]]))
def test_the_dynamic_programme_finds_the_best_chain(seed: int, count: int, removed: list[int]) -> None:
    matrix = random_matrix(seed)
    peers = [feature for feature in range(7) if feature not in removed]
    chains = [chain for size in range(1, min(count, len(peers)) + 1) for chain in combinations(peers, size)]
    best = max(chains, key=lambda chain: chain_value(matrix, removed, chain))
    found = dynamic_programme(matrix, torch.tensor(removed), torch.tensor(peers), count)
    assert tuple(found.tolist()) == best


@by_method([SubsetFold(2), SubsetFold(2, "exhaustive"), SubsetFoldDynamicProgramme(2)])
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
    for a, b in zip(tensors_of(remove(SubsetFold(99), case)), tensors_of(remove(Fold(), case)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method, message", [
    (SubsetFold(0), "at least one compensating node"),
    (SubsetFoldDynamicProgramme(0), "at least one compensating node"),
    (SubsetFold(20, "exhaustive"), "use search='omp' or fewer nodes"),
], ids=str)
def test_subset_folds_that_cannot_be(method: Removal, message: str) -> None:
    case = gaussian_case(features=41)
    with pytest.raises(InputError, match=message):
        remove(method, case)


# The constants.

@by_case
def test_the_best_constant_is_the_best_of_its_grid(case: str) -> None:
    given_case = removal_case(case)
    best, mean = remove(Constant("best"), given_case), remove(Constant("mean"), given_case)
    gains = []
    for member, group in enumerate(given_case.groups):
        inputs, alone = given_case.inputs(member), given_case.networks.select([member])
        ranks = torch.linspace(0, len(inputs) - 1, GRID).long()
        rows = inputs[:, group[0]].argsort()[ranks]
        candidates = [inputs.mean(0)[list(group)], *inputs[rows][:, group]]
        losses = []
        for constants in candidates:
            filled = alone.with_nodes_folded(Nodes.of([group]), constants[None])
            losses.append(loss_of(replace(given_case, setting=one_seed(given_case, member)), filled, 0))
        assert loss_of(given_case, best, member) == pytest.approx(min(losses), rel=1e-4)
        assert loss_of(given_case, mean, member) == pytest.approx(losses[0], rel=1e-4)
        gains.append(losses[0] - min(losses))
    assert min(gains) >= 0 and max(gains) > 0  # for some member the mean is not the best


def one_seed(case: RemovalCase, member: int) -> Setting:
    """The setting of one member alone."""
    return replace(case.setting, train=Split(case.inputs(member), case.setting.train.targets), seeds=SEEDS[:1])


@by_case
@pytest.mark.parametrize("kind", ["zero", "mean"])
def test_a_constant_equals_the_column_filled_with_it(kind: str, case: str) -> None:
    given_case = removal_case(case)
    edited = remove(Constant(kind), given_case)
    for member, group in enumerate(given_case.groups):
        native = given_case.inputs(member)
        filled = native.clone()
        filled[:, group] = native[:, group].mean(0) if kind == "mean" else 0.0
        torch.testing.assert_close(edited.to_module(member)(native), given_case.networks.to_module(member)(filled),
                                   rtol=1e-4, atol=1e-5)


# Known truth: Y = 2X₁ + X₃ + noise with corr(X₁, X₂) = r, on a sample whose moments are exact; a linear network.

ROWS = 1000


def linear_setting(r: float, tuning: Training) -> tuple[Ensemble, Setting]:
    """The network (2, 0, 1) and its data: every sample covariance equals the population's."""
    draws = np.random.default_rng(0).standard_normal((ROWS, 4))
    exact = np.linalg.qr(draws - draws.mean(0))[0] * ROWS**0.5  # orthonormal, means zero
    first, other, third, noise = exact.T
    inputs = np.column_stack([first, r * first + (1 - r**2) ** 0.5 * other, third])
    split = Split(torch.from_numpy(inputs).float(), torch.from_numpy(2 * first + third + 0.2 * noise).float())
    networks = Ensemble(Architecture(3, (), 1), (torch.tensor([[[2.0, 0.0, 1.0]]]),), (torch.zeros(1, 1),))
    training = Training(400, ROWS, 0.1, "sgd", keep="last")
    return networks, Setting(split, split, "regression", (0,), training, tuning)


def coefficients_after(method: Removal, r: float, tuning: Training) -> np.ndarray:
    networks, setting = linear_setting(r, tuning)
    return method.remove(networks, Nodes.of([(0,)]), setting).networks.weights[0][0, 0].numpy()


LONG = Training(60, 50, 0.02, "sgd", keep="last")


@pytest.mark.parametrize("r", [0.0, 0.3, 0.8])
def test_without_the_feature_its_proxy_takes_over_exactly(r: float) -> None:
    full = Training(400, ROWS, 0.1, "sgd", keep="last")
    for method in (Retrain(), Fold(), REMOVALS.load("fold_tuning")()):
        np.testing.assert_allclose(coefficients_after(method, r, full), [0, 2 * r, 1], atol=1e-3)
    if r:
        np.testing.assert_allclose(coefficients_after(SubsetFold(1), r, full), [0, 2 * r, 1], atol=1e-3)
    np.testing.assert_allclose(coefficients_after(Constant("mean"), r, full), [0, 0, 1], atol=1e-6)  # no one takes over


@pytest.mark.parametrize("r", [0.0, 0.8])
@by_method([StochasticTuning(), StochasticTuning(published=True), ShuffleTuning(), InversionTuning()])
def test_tuning_to_convergence_ends_near_retraining(method: Removal, r: float) -> None:
    np.testing.assert_allclose(coefficients_after(method, r, LONG), [0, 2 * r, 1], atol=0.15)


def test_published_inversion_flips_the_influence() -> None:
    """On −2x₁ the best coefficient is −1: the influence turned its sign. The default has nothing to turn to."""
    assert coefficients_after(InversionTuning(published=True), 0.0, LONG)[0] == pytest.approx(-1, abs=0.1)
    assert coefficients_after(InversionTuning(), 0.0, LONG)[0] == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize("deviation", [0.1, 0.5, 1.0])
def test_narrow_noise_leaves_the_weight_alive(deviation: float) -> None:
    """A gradient step shrinks the weight by 1 − 2ησ²: after 265 steps σ = 0.1 keeps 95 %, σ = 1 keeps 0.5 %."""
    budget = Training(11, 40, 0.01, "sgd", keep="last", max_steps=265)
    kept = coefficients_after(StochasticTuning(published=True, deviation=deviation), 0.0, budget)[0] / 2
    assert kept == pytest.approx((1 - 2 * 0.01 * deviation**2) ** 265, abs=0.05)
    assert kept > 0.9 if deviation == 0.1 else kept < (0.05 if deviation == 1.0 else 0.4)


# What a baseline is refitted on.

def block_of(columns: list[int], rows: int = 96, seed: int = 5) -> Block:
    inputs = make_split("regression", 400, 3).inputs
    table = inputs[:, columns]
    return Block(table[:rows], table, inputs[:rows], torch.tensor(columns), 32, torch.Generator().manual_seed(seed))


def is_row_of(rows: Tensor, table: Tensor) -> Tensor:
    return (rows[:, None] == table).all(2).any(1)


@by_method(CLOSED)
def test_edits_of_weights_replace_no_data(method: Removal) -> None:
    assert method.replacement() is None


@by_method([Retrain(), *TUNED])
def test_a_replaced_column_does_not_depend_on_what_else_is_replaced(method: Removal) -> None:
    together, alone = method.replacement()(block_of([0, 4, 5])), method.replacement()(block_of([4]))
    assert together.shape == (96, 3)
    torch.testing.assert_close(together[:, 1:2], alone)


def test_retraining_gives_baselines_a_column_of_zeros() -> None:
    assert (Retrain().replacement()(block_of([0, 4])) == 0).all()


def test_stochastic_draws_rows_of_the_marginal() -> None:
    block = block_of([0, 4], rows=400)
    drawn = StochasticTuning().replacement()(block)
    assert is_row_of(drawn, block.table).all()  # both columns from one row: their correlation stays
    assert torch.corrcoef(drawn.T)[0, 1] == pytest.approx(float(torch.corrcoef(block.table.T)[0, 1]), abs=0.1)
    assert abs(torch.corrcoef(torch.column_stack([drawn[:, 0], block.values[:, 0]]).T)[0, 1]) < 0.15
    assert len(drawn[:, 0].unique()) > 200


@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_published_stochastic_draws_normal_noise_about_the_mean(deviation: float) -> None:
    block = block_of([0, 4], rows=400)
    noise = StochasticTuning(published=True, deviation=deviation).replacement()(block) - block.table.mean(0)
    assert (noise.mean(0).abs() < 4 * deviation / 20).all()
    torch.testing.assert_close(noise.std(0), torch.full((2,), deviation), rtol=0.1, atol=0)
    assert abs(torch.corrcoef(noise.T)[0, 1]) < 0.2


def test_shuffling_permutes_rows_within_each_batch() -> None:
    block = block_of([0, 4], rows=80)  # 32 + 32 + 16
    shuffled = ShuffleTuning().replacement()(block)
    for native, mixed in zip(block.values.split(32), shuffled.split(32), strict=True):
        assert torch.equal(native[native[:, 0].argsort()], mixed[mixed[:, 0].argsort()])
        assert not torch.equal(native, mixed)


def test_inversion_mirrors_half_the_rows_about_the_training_mean() -> None:
    block = block_of([0, 4], rows=200)
    inverted = InversionTuning().replacement()(block)
    mirrored = 2 * block.table.mean(0) - block.values
    native = (inverted == block.values).all(1)
    assert torch.equal(inverted[~native], mirrored[~native])
    assert 0.4 < native.float().mean() < 0.6


def test_published_inversion_doubles_the_spread() -> None:
    block = block_of([0, 4], rows=80)
    inverted = InversionTuning(published=True).replacement()(block)
    for native, changed in zip(block.values.split(32), inverted.split(32), strict=True):
        torch.testing.assert_close(changed, native.mean(0) - 2 * (native - block.table.mean(0)))
    assert inverted.std() > 1.8 * block.values.std()
