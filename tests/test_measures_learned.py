"""Has it learned? How often noise passes, what passes, and each route against its own definition."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from attribution_suite import from_arrays, train
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Task
from attribution_suite.measures.learned import best_constant, learned
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.outputs import task_loss
from attribution_suite.networks.perceptrons import Perceptrons

KINDS: list[tuple[Task, bool]] = [("regression", False), ("binary", False), ("multiclass", False), ("multiclass", True)]
by_kind = pytest.mark.parametrize(("task", "ordered"), KINDS)
WIDTHS = {"regression": 1, "binary": 1, "multiclass": 4}


def labels(task: Task, rows: int, seed: int) -> Tensor:
    """Targets that nothing can know; classes of unequal size."""
    generator = torch.Generator().manual_seed(seed)
    if task == "regression":
        return 65_000 + 20_000 * torch.randn(rows, generator=generator)
    drawn = torch.rand(rows, generator=generator)
    return (drawn < 0.3).float() if task == "binary" else (drawn > 0.2).long() + (drawn > 0.5) + (drawn > 0.8)


@by_kind
def test_noise_is_rarely_taken_for_learning(task: Task, ordered: bool) -> None:
    """200 untrained networks and 400 of pure noise, bold and timid, each against labels of its own."""
    untrained = 0
    for draw in range(200):
        inputs = torch.randn(300, 5, generator=torch.Generator().manual_seed(draw))
        before, targets = labels(task, 300, 1_000 + draw), labels(task, 150, 3_000 + draw)
        network = Perceptrons.initialise(Architecture(5, (16,), WIDTHS[task]), [draw])
        if task == "regression":  # on the target's scale, and with the constant part that training would give it
            network = network.with_outputs_scaled(20_000, float(before.mean()))
        untrained += int(learned(network.outputs(inputs[:150]), targets, before, task, ordered).learned[0])
    assert untrained <= 0.08 * 200
    noise = 0
    for draw in range(100):
        size = torch.tensor([0.02, 0.3, 1.0, 4.0])[:, None, None]
        outputs = size * torch.randn(4, 150, WIDTHS[task], generator=torch.Generator().manual_seed(5_000 + draw))
        before, targets = labels(task, 300, 7_000 + draw), labels(task, 150, 9_000 + draw)
        base = best_constant(before, task, WIDTHS[task]).float()
        found = learned(base + outputs * (20_000 if task == "regression" else 1), targets, before, task, ordered)
        noise += int(found.learned.sum())
    assert noise <= 0.08 * 400


@by_kind
def test_networks_trained_on_shuffled_labels_have_not_learned_and_those_on_true_ones_have(task: Task,
                                                                                          ordered: bool) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(500, 4))
    value = inputs[:, 0] + inputs[:, 1] ** 2 + 0.3 * generator.normal(size=500)
    targets = {"regression": 65_000 + 20_000 * value, "binary": (value > 1).astype(int),
               "multiclass": np.digitize(value, [0, 1, 2])}[task]
    passed, budget = [], Training(20, 32, 5e-3, patience=5)
    for draw in range(10):
        table = from_arrays(inputs, generator.permutation(targets), task=task, ordered=ordered, seed=draw)
        outputs = train(table, seeds=[draw], training=budget).networks.outputs(table.test.inputs)
        passed.append(bool(learned(outputs, table.test.targets, table.train.targets, task, ordered).learned[0]))
    assert sum(passed) <= 2  # P(3 or more of 10 at 5 %) = 1 %
    table = from_arrays(inputs, targets, task=task, ordered=ordered)
    outputs = train(table, seeds=3, training=budget).networks.outputs(table.test.inputs)
    found = learned(outputs, table.test.targets, table.train.targets, task, ordered)
    assert found.learned.all() and (found.p < 1e-4).all()


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_the_best_constant_has_the_least_training_loss(task: Task) -> None:
    targets = labels(task, 400, 0)
    constant = best_constant(targets, task, WIDTHS[task])
    least = float(task_loss(constant.expand(1, 400, -1), targets, task))
    steps = 0.01 * (20_000 if task == "regression" else 1) * torch.eye(len(constant), dtype=torch.float64)
    for step in (*steps, *-steps):
        assert float(task_loss((constant + step).expand(1, 400, -1), targets, task)) > least


def test_a_class_that_training_lacks_costs_the_constant_something_finite() -> None:
    constant = best_constant(torch.tensor([0, 0, 1, 1]), "multiclass", 3)
    assert torch.isfinite(constant).all() and constant.softmax(0).argmin() == 2


def test_the_routes_are_the_tests_they_are_named_after() -> None:
    generator = torch.Generator().manual_seed(1)
    targets, before = labels("binary", 120, 0), labels("binary", 300, 1)
    logits = 0.4 * targets[:, None] + torch.randn(3, 120, 1, generator=generator)
    found = learned(logits, targets, before, "binary")
    rate = float(before.double().mean())
    for member in range(3):
        own, wanted = logits[member, :, 0].double().numpy(), targets.numpy()
        chance = 1 / (1 + np.exp(-own))
        mine, constant = (-np.log(np.where(wanted == 1, p, 1 - p)) for p in (chance, rate))
        assert found.routes["loss"][member] == pytest.approx(
            stats.ttest_rel(constant, mine, alternative="greater").pvalue, rel=1e-6)
        assert found.routes["auc"][member] == pytest.approx(stats.mannwhitneyu(
            own[wanted == 1], own[wanted == 0], alternative="greater", method="asymptotic").pvalue)
        # Of two classes kappa's z is the square root of chi-squared without a correction, signed.
        table = [[np.sum((wanted == i) & ((own > 0) == j)) for j in (0, 1)] for i in (0, 1)]
        chi = stats.chi2_contingency(table, correction=False)
        z = np.sqrt(chi.statistic) * np.sign(table[1][1] * table[0][0] - table[0][1] * table[1][0])
        assert found.routes["kappa"][member] == pytest.approx(stats.norm.sf(z), rel=1e-6)
        p = min(found.routes[route][member] for route in ("loss", "auc", "kappa"))
        assert found.p[member] == pytest.approx(min(1, 3 * p))


@pytest.mark.parametrize("ordered", [False, True])
def test_kappas_z_is_standard_normal_under_permutation(ordered: bool) -> None:
    """Its variance against 4,000 permutations of one table, margins as they are."""
    generator = torch.Generator().manual_seed(3)
    targets = labels("multiclass", 200, 5)
    guesses = torch.randint(4, (200,), generator=generator)
    order = torch.rand(4_000, 200, generator=generator).argsort(1)
    outputs = torch.nn.functional.one_hot(guesses[order], 4).float()
    p = learned(outputs, targets, targets, "multiclass", ordered).routes["kappa"]
    z = stats.norm.isf(p)
    assert abs(z.mean()) < 0.06 and z.std() == pytest.approx(1, abs=0.04)
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.015)


def test_a_bold_network_that_ranks_well_has_learned_by_its_ranks() -> None:
    """Its loss is far above the constant's; neither the loss alone nor the ranks alone tells the whole."""
    targets = labels("binary", 200, 0)
    outputs = 40 * (0.8 * targets[:, None] - 0.5 + torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0)))
    found = learned(outputs, targets, targets, "binary")
    assert found.routes["loss"][0] > 0.9 and found.routes["auc"][0] < 1e-4 and found.learned[0]
    assert not learned(-outputs, targets, targets, "binary").learned[0]  # worse than chance is no learning


@by_kind
def test_a_constant_network_has_not_learned_however_lucky(task: Task, ordered: bool) -> None:
    targets = labels(task, 150, 0)
    lucky = best_constant(targets, task, WIDTHS[task]).float().expand(1, 150, -1)
    found = learned(lucky, targets, labels(task, 30, 1), task, ordered)
    assert np.isnan(found.p).all() and not found.learned.any()


def test_what_cannot_be_tested_has_not_learned() -> None:
    found = learned(torch.tensor([[[2.0]]]), torch.tensor([1.0]), torch.tensor([0.0, 1.0]), "binary")
    assert np.isnan(found.p).all() and not found.learned.any()
