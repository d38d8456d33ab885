"""`independence_tuning`: its penalty against definitions, its choice of λ, and proxies that retraining keeps."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from removal_cases import NAMES, removal_case
from torch import Tensor

from attribution_suite import audit, from_arrays
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.measures.information.dependence import dependence_test, distance_correlation
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.backward import Batch, PerceptronBackward
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import GOALS, train
from attribution_suite.removals.fold_tuning import FoldTuning
from attribution_suite.removals.independence_tuning import (
    DependencePenalty,
    IndependenceTuning,
    dependence,
    dependence_and_slope,
)
from attribution_suite.removals.removal import Setting
from attribution_suite.removals.retrain import Retrain

MEASURES = pytest.mark.parametrize("measure", ["distance_correlation", "hsic"])


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The penalty.

def test_the_distance_correlation_is_that_of_the_audit() -> None:
    x = draws(40, 2)
    outputs = torch.stack([x[:, :1] ** 2 + draws(40, 1, seed=1) / 3, draws(40, 1, seed=2)])
    found = dependence(outputs, x.expand(2, -1, -1), "distance_correlation")
    np.testing.assert_allclose(found, distance_correlation(outputs.numpy(), x.numpy()), rtol=1e-9)


def test_hsic_is_the_unbiased_one_of_its_definition() -> None:
    """Song et al. (2012): [tr(KL) + 1ᵀK1 1ᵀL1/((n−1)(n−2)) − 2/(n−2) 1ᵀKL1] / (n(n−3)), kernels without diagonal."""
    x, outputs = draws(25, 1), draws(25, 1).sin() + draws(25, 1, seed=1) / 2

    def kernel(values: Tensor) -> Tensor:
        distances = (values - values.T).abs()
        return torch.exp(-(distances / distances.flatten().median()) ** 2 / 2).fill_diagonal_(0)

    def hsic(a: Tensor, b: Tensor) -> Tensor:
        n = len(a)
        return ((a * b).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b).sum()) / (n * (n - 3))

    k, m = kernel(outputs), kernel(x)
    expected = hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()
    torch.testing.assert_close(dependence(outputs[None], x[None], "hsic")[0], expected, rtol=1e-9, atol=0)


@MEASURES
def test_independent_rows_cost_nothing_on_average_and_a_constant_nothing_at_all(measure: str) -> None:
    outputs, x = draws(4000, 16, 1), draws(4000, 16, 1, seed=1)
    many = dependence(outputs, x, measure)
    assert abs(float(many.mean())) < 4 * float(many.std()) / 4000**0.5 + 2e-3
    assert float(dependence(outputs, outputs + x / 2, measure).mean()) > 0.2
    value, slope = dependence_and_slope(torch.ones(1, 16, 1, dtype=torch.float64), x @ x.mT, measure)
    assert not value.any() and not slope.any()


@MEASURES
def test_the_gradient_of_the_loop_is_that_of_the_penalised_loss(measure: str) -> None:
    """By autograd over plain modules: two pieces of ten rows, and five rows that are too few for a third."""
    case = removal_case("multiclass, layer 0")
    nodes, strength = case.nodes, torch.tensor([0.5, 0.0, 3.0, 2.0, 1.0, 0.1])
    inputs, targets = case.setting.train.inputs[:25], case.setting.train.targets[:25]
    loop = PerceptronBackward(case.networks, "multiclass", 2)
    loop.penalty = DependencePenalty(nodes, strength, measure, rows=10)
    loss = loop.backward(Batch(inputs.expand(2, -1, -1), targets.expand(2, -1))) / 25
    gradients = loop.views(loop.gradient)
    for member, group in enumerate(case.groups):
        module = case.networks.to_module(member)
        output = module(inputs)
        x = inputs[:, list(group)]
        expected = torch.nn.functional.cross_entropy(output, targets) + sum(
            strength[member] * 10 * dependence(output[None, rows], x[None, rows], measure)[0] / 25
            for rows in (slice(0, 10), slice(10, 20)))
        assert float(loss[member]) == pytest.approx(float(expected.detach()), rel=1e-5)
        slopes = dict(zip((name for name, _ in module.named_parameters()),
                          torch.autograd.grad(expected, list(module.parameters())), strict=True))
        torch.testing.assert_close(gradients[0][member], slopes["0.weight"], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(gradients[2][member], slopes["4.weight"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("batch", "size"), [(20, 20), (100, 32)])
@pytest.mark.parametrize("case", [NAMES[0], NAMES[-1]])
def test_training_stops_on_the_penalised_validation_loss(case: str, batch: int, size: int) -> None:
    given = removal_case(case).briefly()
    setting = replace(given.setting, training=replace(given.setting.training, standardise=False),
                      tuning=replace(given.setting.tuning, standardise=False, batch_size=batch))
    found = IndependenceTuning(strengths=(4.0,)).remove(given.networks, given.nodes, setting)
    best = found.validation_loss.nan_to_num(torch.inf).min(0).values
    rows, targets = setting.validation.inputs, setting.validation.targets
    for member, group in enumerate(given.groups):
        inputs = rows if rows.dim() == 2 else rows[member // 3]
        output = found.networks.to_module(member)(inputs).detach()
        loss = torch.nn.functional.cross_entropy(output, targets) if output.shape[1] > 1 else (
            torch.nn.functional.mse_loss(output[:, 0], targets))
        price = sum(4.0 * len(part) * dependence(part[None], x[None], "distance_correlation")[0] / len(inputs)
                    for part, x in zip(output.split(size), inputs[:, list(group)].split(size), strict=True)
                    if len(part) >= 8)
        assert float(best[member]) == pytest.approx(float(loss + price), rel=1e-3)
        assert abs(float(price)) > 1e-3


def test_without_a_price_it_is_fold_tuning() -> None:
    given = removal_case(NAMES[0]).briefly()
    free = IndependenceTuning(strengths=(0.0,)).remove(given.networks, given.nodes, given.setting)
    folded = FoldTuning().remove(given.networks, given.nodes, given.setting)
    assert all(map(torch.equal, free.networks.tensors, folded.networks.tensors))


# Planted: y = 2x₀ + x₂ + noise; x₁ is a nonlinear proxy of x₀, x₂ is independent of both.

def planted(rows: int, seed: int) -> Split:
    """Uncorrelated in the sample too: what is by chance correlated there no tuning can tell from dependence."""
    noise = draws(rows, 4, seed=seed)
    noise = (torch.linalg.qr(noise - noise.mean(0))[0] * rows**0.5).float()
    first, other = noise[:, 0], noise[:, 2]
    inputs = torch.column_stack([first, first + first.tanh() + 0.3 * noise[:, 1], other])
    return Split(inputs, 2 * first + other + 0.2 * noise[:, 3])


@cache
def proxies() -> tuple[Perceptrons, Setting]:
    """Two networks of the planted rows, and what removals from them are given."""
    rows, validation = planted(800, 1), planted(500, 2)
    budget = Training(25, 50, 1e-2)
    networks = train(Perceptrons.initialise(Architecture(3, (12,), 1), (0, 1)), rows, validation, "regression", budget,
                     (0, 1)).networks
    return networks, Setting(rows, validation, "regression", (0, 1), budget, budget)


@MEASURES
def test_what_retraining_leaves_to_a_proxy_goes(measure: str) -> None:
    networks, setting = proxies()
    test, nodes = planted(500, 3), Nodes.of([(0,), (0,)])
    tuned = IndependenceTuning(measure, strengths=(8.0, 32.0)).remove(networks, nodes, setting)
    retrained = Retrain().remove(networks, nodes, setting).networks
    left, kept = (dependence_test(edited.outputs(test.inputs).numpy(), test.inputs[:, 0].numpy(), 0.02)
                  for edited in (tuned.networks, retrained))
    assert (kept.value > 0.3).all() and set(kept.state) == {"found"}
    assert (left.p > 0.05).all() and (left.value < 0.01).all()  # the level of permuted copies
    assert (left.value < kept.value / 20).all()
    error = (tuned.networks.outputs(test.inputs)[..., 0] - test.targets).square().mean(1) / test.targets.var()
    assert (error < 0.9).all()  # what has nothing to do with x₀ stays: x₂ explains a fifth of the target


def test_the_smallest_price_that_is_enough_is_taken_and_the_frontier_is_kept() -> None:
    networks, setting = proxies()
    nodes, strengths = Nodes.of([(0,), (0,)]), (8.0, 0.0, 32.0)
    tuned = IndependenceTuning(strengths=strengths).remove(networks, nodes, setting)
    table = {name: values.numpy() for name, values in tuned.frontier.items()}
    assert (table["strength"] == [[0, 8, 32]] * 2).all()  # in their order
    enough = table["dependence_high"] < table["margin"]
    assert not enough[:, 0].any() and (table["dependence"][:, 0] > 0.3).all()
    expected = np.where(enough.any(1), enough.argmax(1), table["dependence_high"].argmin(1))
    assert (table["chosen"].argmax(1) == expected).all() and (table["chosen"].sum(1) == 1).all()
    assert [GOALS[place] for place in tuned.goal] == np.where(enough.any(1), "reached", "not reached").tolist()
    x = setting.validation.inputs[:500, 0].numpy()
    outputs = tuned.networks.outputs(setting.validation.inputs[:500]).numpy()
    taken = np.take_along_axis(table["dependence"], expected[:, None], 1)[:, 0]
    np.testing.assert_allclose(distance_correlation(outputs, x), taken, atol=1e-4)
    never = IndependenceTuning(strengths=(0.0,)).remove(networks, nodes, setting)
    assert {GOALS[place] for place in never.goal} == {"not reached"}


@pytest.mark.parametrize("strengths", [(), (-1.0,), "much", (float("inf"),), ("1",)])
def test_strengths_that_make_no_sense_are_refused(strengths: object) -> None:
    with pytest.raises(InputError, match="option 'strengths' of independence_tuning must be numbers of at least 0"):
        IndependenceTuning(strengths=strengths)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="option 'measure' of independence_tuning must be one of"):
        IndependenceTuning("pearson")  # type: ignore[arg-type]


@pytest.mark.usefixtures("plain")
def test_an_audit_keeps_the_frontier(tmp_path: Path) -> None:
    rows = planted(260, 5)
    table = replace(from_arrays(rows.inputs.numpy(), rows.targets.numpy(), name="planted"),
                    preset=Preset("default", (6,), Training(6, 32, 0.02), tuning_epochs=8))
    name = "independence_tuning?strengths=(0,20)"
    found = audit(table, remove=["x0", "x2"], removals=[name, "fold"], scorers=["saliency"], seeds=2, out=tmp_path,
                  jobs=1, rows=20, say=lambda line: None)
    frontier, outcomes = found.table("frontier"), found.table("outcomes")
    assert len(frontier) == 2 * 2 * 2 and set(frontier.removal) == {name} and set(frontier.strength) == {0.0, 20.0}
    assert (frontier.groupby(["removed", "seed"]).chosen.sum() == 1).all()
    goals = outcomes[outcomes.removal == name].set_index(["removed", "seed"]).goal
    for key, of_network in frontier.groupby(["removed", "seed"]):
        reached = (of_network.dependence_high < of_network.margin).any()
        assert goals[key] == ("reached" if reached else "not reached")
    assert set(outcomes[outcomes.removal == "fold"].goal) == {""}
    note = found.summary.set_index("removal").note
    assert note[name].str.startswith("25 % budget, goal reached in ").all()
