"""Every removal through one table of cases; constants; a known truth that all methods must end at."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from removal_cases import (
    EXACT,
    METHODS,
    NAMES,
    SEEDS,
    RemovalCase,
    Untouched,
    by_case,
    by_method,
    direct_effects,
    loss_of,
    removal_case,
    remove,
)
from torch import Tensor

from attribution_suite import load_dataset, train
from attribution_suite import remove as api_remove
from attribution_suite.auditing.spec import PROFILES, make_spec
from attribution_suite.auditing.subject import Subject
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.measures.worst_case.domain import SEARCH_VALUES
from attribution_suite.measures.worst_case.lines import effect_output
from attribution_suite.measures.worst_case.measure import worst_case
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.batches import Block
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import GOALS
from attribution_suite.removals import REFERENCE, REMOVALS
from attribution_suite.removals.conditional_tuning import ConditionalTuning
from attribution_suite.removals.constant import GRID, Constant
from attribution_suite.removals.fold_tuning import Fold
from attribution_suite.removals.independence_tuning import IndependenceTuning
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.lazy import Lazy
from attribution_suite.removals.newton import Newton
from attribution_suite.removals.removal import Removal, RemovalTraits, Setting
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.removals.subset_fold import SubsetFold
from attribution_suite.removals.tuning import UNTIL_BUDGETS

# What holds for every method of the catalogue, whatever it claims.

@pytest.mark.parametrize("name", REMOVALS.names)
def test_a_method_declares_what_it_is(name: str) -> None:
    method = REMOVALS.load(name)()
    assert method.name == name
    traits = method.traits
    assert isinstance(traits, RemovalTraits)
    assert traits.aims in ("direct", "marginal") and traits.reads in ("never", "in training", "at inference")
    assert all(type(flag) is bool for flag in (traits.exact, traits.tuned, traits.control, traits.default))
    assert not (traits.exact and traits.reads == "at inference")  # its output changes with x_j by design
    assert set(traits.published) <= {field.name for field in fields(REMOVALS.load(name))}
    if traits.reads == "in training" and not traits.exact:  # what it trains on, a baseline can be refitted to
        assert method.replacement() is not None


def test_a_run_does_the_default_removals_or_every_one() -> None:
    declared = {name: REMOVALS.load(name).traits for name in REMOVALS.names}
    every = [name for name in REMOVALS.names if not declared[name].control]
    short = [name for name in every if declared[name].default]
    assert list(make_spec(["iris"]).removals) == short and REFERENCE in short
    assert list(make_spec(["iris"], removals=["all"]).removals) == every
    assert list(make_spec(["iris"], removals="all").removals) == every
    assert make_spec(["iris"], removals=["constant? constant = zero", "constant?constant=zero"]).removals == (
        "constant?constant=zero",)
    refused: tuple[Any, ...] = ("fold", {"fold"}, ["fold", 3])
    for wrong in refused:
        with pytest.raises(InputError, match="option 'removals' is a list of names"):
            make_spec(["iris"], removals=wrong)


@by_case
@by_method(METHODS)
def test_leaves_everything_as_it_was_and_repeats_itself(method: Removal, case: str) -> None:
    given_case = removal_case(case).briefly().for_method(method)
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
    if not first.steps.any():  # nothing is trained: nothing but the first layer is edited, and no data are replaced
        assert method.replacement() is None
        assert method.traits.layers or all(torch.equal(a, b) for a, b in
                   zip(first.networks.weights[1:], given_case.networks.weights[1:], strict=True))


@pytest.mark.parametrize("case", [NAMES[0], NAMES[-1]])
@by_method(METHODS)
def test_a_member_does_not_depend_on_the_ensemble_it_is_in(method: Removal, case: str) -> None:
    given_case = removal_case(case).briefly().for_method(method)
    together = remove(method, given_case)
    probe = given_case.inputs(given_case.variants)
    rounding = 5e-4 if isinstance(method, IndependenceTuning) else 1e-4  # which a strong penalty's steps enlarge
    for variant in range(given_case.variants):  # of the second seed, alone: another width of the padded groups too
        member = given_case.variants + variant
        nodes, setting = Nodes.of([given_case.groups[member]]), one_seed(given_case, member)
        alone = method.remove(given_case.networks.select([member]), nodes, setting)
        torch.testing.assert_close(together.outputs(probe)[member], alone.networks.outputs(probe)[0],
                                   rtol=1e-3, atol=rounding)


@by_case
@by_method(EXACT)
def test_the_output_no_longer_depends_on_the_node(method: Removal, case: str) -> None:
    given_case = removal_case(case).briefly().for_method(method)
    edited = remove(method, given_case)
    assert (direct_effects(given_case, edited) == 0).all()
    for member, group in enumerate(given_case.groups):
        net, native = edited.to_module(member), given_case.inputs(member)
        absurd = native.clone()
        absurd[:, group] = 1e6 * torch.randn(len(native), len(group), generator=torch.Generator().manual_seed(1))
        assert torch.equal(net(native), net(absurd))
        assert not torch.allclose(given_case.networks.to_module(member)(native),
                                  given_case.networks.to_module(member)(absurd))


@by_case
@by_method(METHODS)
def test_the_worst_case_of_every_edit_is_what_its_method_claims(method: Removal, case: str) -> None:
    """Of an exact method nothing is left by algebra; else what two numbers together move is found by a search."""
    given_case = removal_case(case).briefly().for_method(method)
    edited, rows = remove(method, given_case), given_case.setting.validation.inputs
    variants = given_case.variants
    training = given_case.setting.train.inputs
    if rows.dim() == 3:  # a hidden layer: each seed's networks have rows of their own
        rows, training = rows.repeat_interleave(variants, 0), training.repeat_interleave(variants, 0)
    delta = torch.full((len(edited),), 0.01)
    worst = worst_case(edited, rows, training, given_case.nodes, given_case.setting.task, delta)
    if method.traits.exact:
        assert set(worst.method) == {"algebra"} and (worst.bound == 0).all()
        return
    together = range(variants - 1, len(edited), variants)  # the last of a seed: two at once, and each row's own values
    assert {worst.method[member] for member in together} == {"search"} and worst.bound[together].isinf().all()
    for member in together:
        columns = list(given_case.groups[member])
        native = rows if rows.dim() == 2 else rows[member]
        values = given_case.inputs(member)[:, columns].unique(dim=0)
        spread = torch.linspace(0, len(values) - 1, min(len(values), SEARCH_VALUES)).round().long()
        moved = native.expand(len(spread), -1, -1).clone()
        moved[:, :, columns] = values[spread][:, None]
        net = edited.to_module(member)
        change = (net(moved) - net(native)).detach()
        change = change - change.mean(-1, keepdim=True) if change.shape[-1] > 1 else change
        assert float(worst.effect[member]) == pytest.approx(float(change.abs().max()), rel=1e-4)
        assert float(worst.effect[member]) > 0.01


@by_case
def test_a_method_that_removes_nothing_is_seen(case: str) -> None:
    """The control of the test above."""
    assert (direct_effects(removal_case(case), remove(Untouched(), removal_case(case))) > 0.3).all()


@by_case
@by_method([StochasticTuning(), InversionTuning(), ShuffleTuning()])
def test_tuning_takes_most_of_the_direct_effect(method: Removal, case: str) -> None:
    given_case = removal_case(case)
    before, kept = direct_effects(given_case, given_case.networks), remove(method, given_case)
    ratio = direct_effects(given_case, kept) / before
    assert (before > 0.3).all()
    if method.name == "inversion_tuning":
        assert ratio.max() < 0.7 and ratio.mean() < 0.4
    else:
        assert ratio.max() < 0.4 and ratio.mean() < 0.2
    no_time = replace(given_case.setting, tuning=replace(given_case.setting.tuning, epochs=0))
    untuned = method.remove(given_case.networks, given_case.nodes, no_time).networks  # negative control
    torch.testing.assert_close(direct_effects(given_case, untuned), before)


def test_inversion_takes_out_a_one_hot_group() -> None:
    case = removal_case("regression, layer 0")
    ratio = direct_effects(case, remove(InversionTuning(), case)) / direct_effects(case, case.networks)
    assert (ratio[[member for member, group in enumerate(case.groups) if group == (1, 2, 3)]] < 0.3).all()


@by_case
def test_retraining_is_a_cold_start(case: str) -> None:
    """It owes nothing to the networks it replaces: other originals, the same result."""
    given_case = removal_case(case).briefly()
    other = Perceptrons.initialise(given_case.networks.architecture, range(50, 50 + len(given_case.groups)))
    first, second = remove(Retrain(), given_case), remove(Retrain(), replace(given_case, networks=other))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, second.tensors, strict=True))


@by_method(METHODS)
def test_every_method_spends_its_own_budget(method: Removal) -> None:
    """Retraining has the original's budget, a warm start that of tuning, a closed form none, to the step."""
    case = removal_case("regression, layer 0")
    training, tuning = (replace(case.setting.training, keep="last", max_steps=steps) for steps in (3, 5))
    trained = method.remove(case.networks, case.nodes, replace(case.setting, training=training, tuning=tuning))
    spent = set(trained.steps.tolist())
    assert spent == {3} if method.name == REFERENCE else spent in ({0}, {1}, {5})
    assert method.traits.exact or method.traits.reads != "in training" or spent == {5}


def test_a_budget_of_steps_is_that_of_fine_tuning_too() -> None:
    """A preset's `max_steps` ends a warm start as it ends the original's training, in an audit and in the library."""
    iris = load_dataset("iris")
    limited = replace(iris.preset, training=replace(iris.preset.training, max_steps=3, keep="last"))
    subject = Subject("iris", "", limited, PROFILES["quick"], (), 0, "cpu")
    assert (subject.tuning.max_steps, subject.tuning.epochs) == (3, round(limited.tuning_epochs / 4))
    case = removal_case("multiclass, layer 0")
    trained = ShuffleTuning().remove(case.networks, case.nodes, replace(case.setting, tuning=subject.tuning))
    assert (trained.steps == 3).all()
    networks = train(iris, seeds=1, training=replace(limited.training, epochs=1)).networks
    words = {"training": limited.training, "tuning": 0.5}
    short = api_remove(networks, iris, "petal_width", "shuffle_tuning", **words)
    setting = Setting.of(iris, networks, 0, [0], limited.training, replace(limited.training, epochs=99))
    expected = ShuffleTuning().remove(networks, Nodes.of([iris.columns("petal_width")]), setting)
    assert (expected.steps == 3).all()
    assert all(map(torch.equal, short.tensors, expected.networks.tensors))


# What methods that tune on replaced columns may be asked.

@pytest.mark.parametrize("case", [NAMES[0], NAMES[-1]])
def test_then_folds_what_tuning_left(case: str) -> None:
    given_case = removal_case(case).briefly()
    tuned = remove(ShuffleTuning(), given_case)
    folded = Fold().remove(tuned, given_case.nodes, given_case.setting).networks
    ended = remove(ShuffleTuning(then="fold"), given_case)
    assert all(map(torch.equal, ended.tensors, folded.tensors)) and not torch.equal(ended.weights[0], tuned.weights[0])
    assert ShuffleTuning(then="fold").traits.exact and not ShuffleTuning().traits.exact


@pytest.mark.parametrize(("case", "until"), [(NAMES[0], 0.8), (NAMES[-1], 0.3)])
def test_until_goes_on_until_the_worst_case_is_small_or_says_that_it_is_not(case: str, until: float) -> None:
    given_case = removal_case(case).briefly()
    setting, variants = given_case.setting, given_case.variants
    rows, training = setting.validation.inputs, setting.train.inputs
    if rows.dim() == 3:
        rows, training = rows.repeat_interleave(variants, 0), training.repeat_interleave(variants, 0)
    spread = torch.stack([effect_output(given_case.networks.select([e]).outputs(rows if rows.dim() == 2 else rows[e]))
                          .std(1, correction=0).max() for e in range(len(given_case.networks))])
    trained = ShuffleTuning(until=until).remove(given_case.networks, given_case.nodes, setting)
    worst = worst_case(trained.networks, rows, training, given_case.nodes, setting.task, until * spread,
                       flags=rows.dim() == 2)
    below = worst.effect <= until * spread
    goals = [GOALS[place] for place in trained.goal.tolist()]
    assert [goal.startswith("reached") for goal in goals] == below.tolist()
    assert [goal == "reached" for goal in goals] == (worst.bound <= until * spread).tolist()  # a search bounds nothing
    each = setting.tuning.epochs * 10  # steps: 320 rows in batches of 32
    assert len(set(trained.steps.tolist())) > 1 and (trained.steps % each == 0).all() and below.any()
    never = ShuffleTuning(until=1e-9).remove(given_case.networks, given_case.nodes, setting)
    assert {GOALS[place] for place in never.goal.tolist()} == {"not reached"}
    assert (never.steps == UNTIL_BUDGETS * each).all()
    assert len(never.training_loss) == UNTIL_BUDGETS * setting.tuning.epochs
    there = ShuffleTuning(until=1e9).remove(given_case.networks, given_case.nodes, setting)
    assert not there.steps.any() and all(map(torch.equal, there.networks.tensors, given_case.networks.tensors))


@pytest.mark.parametrize("options", [{"then": "drop"}, {"until": 0}, {"until": "soon"}])
def test_options_of_tuning_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"option '{next(iter(options))}' of shuffle_tuning must be"):
        ShuffleTuning(**options)


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
    setting, seed = case.setting, member // case.variants
    train, validation = (split if split.inputs.dim() == 2 else Split(split.inputs[seed].contiguous(), split.targets)
                         for split in (setting.train, setting.validation))
    return replace(setting, train=train, validation=validation, seeds=SEEDS[seed:seed + 1])


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


def linear_setting(r: float, tuning: Training) -> tuple[Perceptrons, Setting]:
    """The network (2, 0, 1) and its data: every sample covariance equals the population's."""
    draws = np.random.default_rng(0).standard_normal((ROWS, 4))
    exact = np.linalg.qr(draws - draws.mean(0))[0] * ROWS**0.5  # orthonormal, means zero
    first, other, third, noise = exact.T
    inputs = np.column_stack([first, r * first + (1 - r**2) ** 0.5 * other, third])
    split = Split(torch.from_numpy(inputs).float(), torch.from_numpy(2 * first + third + 0.2 * noise).float())
    networks = Perceptrons(Architecture(3, (), 1), (torch.tensor([[[2.0, 0.0, 1.0]]]),), (torch.zeros(1, 1),))
    training = Training(400, ROWS, 0.1, "sgd", keep="last")
    return networks, Setting(split, split, "regression", (0,), training, tuning)


def coefficients_after(method: Removal, r: float, tuning: Training) -> np.ndarray:
    networks, setting = linear_setting(r, tuning)
    return method.remove(networks, Nodes.of([(0,)]), setting).networks.weights[0][0, 0].numpy()


LONG = Training(60, 50, 0.02, "sgd", keep="last")


@pytest.mark.parametrize("r", [0.0, 0.3, 0.8])
def test_without_the_feature_its_proxy_takes_over_exactly(r: float) -> None:
    full = Training(400, ROWS, 0.1, "sgd", keep="last")
    for method in (Retrain(), Fold(), REMOVALS.load("fold_tuning")(), Lazy(), Newton()):
        np.testing.assert_allclose(coefficients_after(method, r, full), [0, 2 * r, 1], atol=1e-3)
    if r:
        np.testing.assert_allclose(coefficients_after(SubsetFold(1), r, full), [0, 2 * r, 1], atol=1e-3)
    np.testing.assert_allclose(coefficients_after(Constant("mean"), r, full), [0, 0, 1], atol=1e-6)  # no one takes over


@pytest.mark.parametrize("r", [0.0, 0.8])
@by_method([StochasticTuning(), StochasticTuning(published=True), ShuffleTuning(), InversionTuning(),
            ConditionalTuning()])
def test_tuning_to_convergence_ends_near_retraining(method: Removal, r: float) -> None:
    np.testing.assert_allclose(coefficients_after(method, r, LONG), [0, 2 * r, 1], atol=0.15)


def test_published_inversion_flips_the_influence() -> None:
    """On −2x₁ the best coefficient is −1: the influence turned its sign. The default has nothing to turn to."""
    assert coefficients_after(InversionTuning(published=True), 0.0, LONG)[0] == pytest.approx(-1, abs=0.1)
    assert coefficients_after(InversionTuning(), 0.0, LONG)[0] == pytest.approx(0, abs=0.15)


def half_mirrored(block: Block) -> Tensor:
    """Half of the rows take another category, drawn by frequency among three equal ones."""
    step = torch.randint(1, 3, (len(block.values), 1), generator=block.generator)
    other = block.values.gather(1, (torch.arange(3) + step) % 3)
    return torch.where(torch.rand(len(other), 1, generator=block.generator) < 0.5, other, block.values)


def test_a_category_that_stays_by_its_frequency_is_gone_and_one_mirrored_by_a_coin_is_not() -> None:
    """Closed form, three equal categories: with probability ½ a part ½ − ¼ of the contrast stays the best fit."""
    category = torch.arange(900) % 3
    inputs, value = torch.eye(3)[category] - 1 / 3, torch.tensor([-1.5, 0.0, 1.5])[category]
    networks = Perceptrons(Architecture(3, (), 1), (torch.tensor([[[-1.5, 0.0, 1.5]]]),), (torch.zeros(1, 1),))
    split, nodes = Split(inputs, value), Nodes.of([(0, 1, 2)])
    setting = Setting(split, split, "regression", (0,), LONG, LONG)
    mirrored = InversionTuning().remove(networks, nodes, setting).networks.weights[0][0, 0]
    by_coin = setting.tune(networks, LONG, replaced=nodes, replacement=half_mirrored).networks.weights[0][0, 0]
    assert float(mirrored[2] - mirrored[0]) / 3 == pytest.approx(0, abs=0.05)
    assert float(by_coin[2] - by_coin[0]) / 3 == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("deviation", [0.1, 0.5, 1.0])
def test_narrow_noise_leaves_the_weight_alive(deviation: float) -> None:
    """A gradient step shrinks the weight by 1 − 2ησ²: after 265 steps σ = 0.1 keeps 95 %, σ = 1 keeps 0.5 %."""
    budget = Training(11, 40, 0.01, "sgd", keep="last", max_steps=265)
    kept = coefficients_after(StochasticTuning(published=True, deviation=deviation), 0.0, budget)[0] / 2
    assert kept == pytest.approx((1 - 2 * 0.01 * deviation**2) ** 265, abs=0.05)
    assert kept > 0.9 if deviation == 0.1 else kept < (0.05 if deviation == 1.0 else 0.4)
