"""Every removal through one table of cases; constants; a known truth that all methods must end at."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from removal_cases import (
    CLOSED,
    EXACT,
    SEEDS,
    TUNED,
    RemovalCase,
    by_case,
    by_method,
    direct_effects,
    loss_of,
    removal_case,
    remove,
)

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.constant import GRID, Constant
from attribution_suite.removals.fold_tuning import Fold
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.removal import Removal, Setting
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.removals.subset_fold import (
    SubsetFold,
)


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
    before = [tensor.clone() for tensor in (*given_case.networks.tensors, *data)]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global one
    first = method.remove(given_case.networks, given_case.nodes, given_case.setting)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002
    torch.manual_seed(17)  # another global state, the same result
    again = method.remove(given_case.networks, given_case.nodes, given_case.setting)
    for old, now in zip(before, (*given_case.networks.tensors, *data), strict=True):
        assert torch.equal(old, now)
    for a, b in zip(first.networks.tensors, again.networks.tensors, strict=True):
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
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, second.tensors, strict=True))


@by_method([*EXACT, *TUNED])
def test_every_method_spends_its_own_budget(method: Removal) -> None:
    """Retraining has the original's budget, a warm start that of tuning, a closed form none."""
    case = removal_case("regression, layer 0")
    training, tuning = (replace(case.setting.training, keep="last", max_steps=steps) for steps in (3, 5))
    trained = method.remove(case.networks, case.nodes, replace(case.setting, training=training, tuning=tuning))
    expected = 0 if method in CLOSED else 3 if method == Retrain() else 5
    assert (trained.steps == expected).all()


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
