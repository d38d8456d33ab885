"""Regressions train on standardised targets, and everyone else sees the target's own units."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch import Tensor, nn

from attribution_suite import from_arrays, load_dataset, remove, train
from attribution_suite.datasets.preset import GENERIC, Training
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.target_scale import OutputScale, TargetScale, cold_start
from attribution_suite.networks.training import train as fit

SEEDS = (0, 1)
MEAN, DEVIATION = 65_000.0, 20_000.0


def salary() -> TabularDataset:
    """y ≈ 65,000 ± 20,000: linear in four of five columns, with an interaction and a bend; 600 rows."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((600, 5))
    value = x[:, 0] + 0.5 * x[:, 1] - 0.7 * x[:, 2] + 0.6 * x[:, 3] * x[:, 4] + 0.6 * np.abs(x[:, 1])
    noise = 2_000 * generator.standard_normal(600)
    pay = MEAN + DEVIATION * (value - value.mean()) / value.std() + noise
    return from_arrays(x, pay.astype(np.float32), name="salary", target="pay")


SALARY = salary()


class Net(nn.Module):
    """No chain, so it runs as `Modules`; one output without an axis of its own."""

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(features, 64), nn.Linear(64, 32), nn.Linear(32, 1)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = torch.relu(self.first(rows))
        return self.last(torch.relu(self.second(hidden)) + hidden[:, :32])[:, 0]


class Scaled(Net):
    """One that was built for a salary: its own last step is in the target's units."""

    def forward(self, rows: Tensor) -> Tensor:
        return MEAN + DEVIATION * super().forward(rows)


def r2(networks: Ensemble, dataset: TabularDataset) -> list[float]:
    outputs = networks.outputs(dataset.test.inputs)[..., 0].numpy()
    return [r2_score(dataset.test.targets.numpy(), member) for member in outputs]


def own(kind: type[Net], features: int = 5) -> list[nn.Module]:
    torch.manual_seed(0)
    return [kind(features) for _ in SEEDS]


def test_a_salary_trains_with_the_default_preset_and_did_not_before() -> None:
    assert min(r2(train(SALARY, seeds=5).networks, SALARY)) > 0.9
    raw = train(SALARY, seeds=2, training=replace(GENERIC.training, standardise=False))
    assert max(r2(raw.networks, SALARY)) < 0


@pytest.mark.parametrize("kind", [Net, Scaled])
def test_a_given_module_is_retrained_to_a_salary(kind: type[Net]) -> None:
    noisy = SALARY.with_decoy()
    given = as_ensemble(own(kind, 6), noisy)
    assert isinstance(given, Modules)
    retrained = remove(given, noisy, "decoy", "retrain")
    assert min(r2(retrained, noisy)) > 0.9
    module = retrained.to_module(1)  # what is exported is in the target's units
    torch.testing.assert_close(module(noisy.test.inputs), retrained.outputs(noisy.test.inputs)[1, :, 0])


def test_a_module_with_a_scale_of_its_own_would_not_train_with_two() -> None:
    """The negative of `cold_start`'s exception."""
    given = as_ensemble(own(Scaled), SALARY)
    assert cold_start(given, SALARY.train, "regression", GENERIC.training) is given
    scale = TargetScale.of(SALARY.train, "regression", GENERIC.training)
    twice = fit(scale.leaving(given), SALARY.train, SALARY.validation, "regression", GENERIC.training, SEEDS)
    assert max(r2(twice.networks, SALARY)) < 0.5


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("hidden", [(8, 6), ()])
def test_it_is_training_by_hand_on_a_standardised_target(hidden: tuple[int, ...], optimiser: str) -> None:
    """Standardised by numpy, trained on targets as they are, and multiplied out."""
    budget = Training(12, 32, 5e-3, optimiser, patience=3, record_every=2)
    untrained = Perceptrons.initialise(Architecture(5, hidden, 1), SEEDS)
    splits = SALARY.train, SALARY.validation
    found = fit(cold_start(untrained, SALARY.train, "regression", budget), *splits, "regression", budget, SEEDS)
    pay = SALARY.targets[SALARY.train_rows].astype(float)
    by_hand = [Split(split.inputs, ((split.targets.double() - pay.mean()) / pay.std()).float()) for split in splits]
    plain = fit(untrained, *by_hand, "regression", replace(budget, standardise=False), SEEDS)
    assert found.steps.tolist() == plain.steps.tolist()
    close = {"rtol": 1e-3, "atol": 1e-3}
    rows = SALARY.test.inputs
    torch.testing.assert_close((found.networks.outputs(rows) - pay.mean()) / pay.std(), plain.networks.outputs(rows),
                               **close)
    for curve in ("training_loss", "validation_loss"):
        torch.testing.assert_close(getattr(found, curve) / pay.var(), getattr(plain, curve), equal_nan=True, **close)
    first = 1.0 if hidden else pay.std()  # the only layer is the one that carries the scale
    torch.testing.assert_close(found.history / first, plain.history, equal_nan=True, **close)
    kept = (found.networks.outputs(SALARY.validation.inputs)[..., 0] - SALARY.validation.targets).square().mean(1)
    best = np.nanmin(found.validation_loss.numpy(), axis=0)
    np.testing.assert_allclose(best, kept, rtol=1e-3)  # what was recorded is the loss in squared units of the target


@pytest.mark.parametrize("kind", ["perceptrons", "modules"])
def test_a_warm_start_goes_on_from_where_the_networks_are(kind: str) -> None:
    """A step of nothing leaves them where they were, up to rounding; the recorded loss is the one they have."""
    trained = train(SALARY, seeds=2).networks if kind == "perceptrons" else remove(
        as_ensemble(own(Net), SALARY), SALARY, "x0", "retrain")
    before = trained.outputs(SALARY.validation.inputs)
    idle = fit(trained, SALARY.train, SALARY.validation, "regression", Training(1, 32, 1e-12, "sgd"), SEEDS)
    torch.testing.assert_close(idle.networks.outputs(SALARY.validation.inputs), before, rtol=0, atol=1e-5 * DEVIATION)
    loss = (before[..., 0] - SALARY.validation.targets).square().mean(1)
    torch.testing.assert_close(idle.validation_loss[0], loss, rtol=1e-4, atol=0)


def test_an_affine_step_on_the_outputs() -> None:
    rows = SALARY.test.inputs
    for networks in (Perceptrons.initialise(Architecture(5, (8, 6), 1), SEEDS), as_ensemble(own(Net), SALARY)):
        plain = networks.outputs(rows)
        moved = networks.with_outputs_scaled(20.0, -3.0).with_outputs_scaled(0.5, 7.0)
        torch.testing.assert_close(moved.outputs(rows), 10 * plain + 5.5)
        torch.testing.assert_close(moved.select([1]).outputs(rows), 10 * plain[1:] + 5.5)
        torch.testing.assert_close(moved.to_module(1)(rows).reshape(-1, 1), 10 * plain[1] + 5.5)
        first = networks.first(rows.expand(2, -1, -1))
        torch.testing.assert_close(moved.gradient(first, None), 10 * networks.gradient(first, None))
        torch.testing.assert_close(networks.outputs(rows), plain, rtol=0, atol=0)
        # untrained copies are of the plain network: the step belongs to one training
        torch.testing.assert_close(moved.fresh([4, 5]).outputs(rows), networks.fresh([4, 5]).outputs(rows))
    scale = nn.Sequential(nn.Linear(1, 1), OutputScale(2.0, 1.0))
    assert [name for name, _ in scale.named_parameters()] == ["0.weight", "0.bias"]  # no optimiser trains the step


def test_attributions_of_a_retrained_module_are_in_the_targets_units() -> None:
    from attribution_suite import attribute

    retrained = remove(as_ensemble(own(Net), SALARY), SALARY, "x0", "retrain")
    f = retrained.outputs(SALARY.test.inputs[:40])[..., 0]
    at_zero = retrained.outputs(torch.zeros(1, 5))[..., 0]
    for scorer in ("integrated_gradients", "feature_ablation"):
        values = attribute(retrained, SALARY, scorer, rows=40).values
        assert values.shape == (2, 40, 5) and values.abs().max() > 1_000
    values = attribute(retrained, SALARY, "integrated_gradients", rows=40).values
    torch.testing.assert_close(values.sum(2), (f - at_zero).to(values), rtol=0.05, atol=0.02 * DEVIATION)


def test_a_clamped_column_stays_zero_and_a_constant_target_keeps_its_scale() -> None:
    nodes = Nodes.of([(0,), (1, 2)])
    start = Perceptrons.initialise(Architecture(5, (), 1), SEEDS).with_nodes_folded(nodes, torch.zeros(2, 2))
    done = fit(start, SALARY.train, SALARY.validation, "regression", Training(3, 32, 1e-2), SEEDS, clamp=nodes)
    assert (done.networks.first_weight[nodes.mask(5)[:, None]] == 0).all()
    assert (done.networks.first_weight[~nodes.mask(5)[:, None]] != 0).all()
    flat = Split(SALARY.train.inputs, torch.full_like(SALARY.train.targets, 0.1))
    assert TargetScale.of(flat, "regression", GENERIC.training) == TargetScale(pytest.approx(0.1), 1.0)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_classes_train_as_before_to_the_bit(task: str) -> None:
    dataset = load_dataset("heart" if task == "binary" else "iris")
    one, other = (train(dataset, seeds=2, training=Training(3, 32, 1e-2, standardise=flag)) for flag in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(one.networks.tensors, other.networks.tensors, strict=True))


@pytest.mark.parametrize("name", ["boston", "iris", "heart", "prudential", "weight_history"])
def test_what_was_published_trained_on_targets_as_they_are(name: str) -> None:
    published, default = (load_dataset(name, preset=preset).preset for preset in ("published", "default"))
    assert not published.training.standardise and default.training.standardise
