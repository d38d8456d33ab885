"""What units do, against loops over rows and units, and scikit-learn."""

import numpy as np
import pytest
import torch
from cases import CASES, Case
from scipy import stats
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.forward import collect
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.units.activations import (
    activity,
    class_members,
    class_scores,
    driven_by,
    drivers,
)
from attribution_suite.units.table import units_table

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
hidden_case = pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case.name)


def classes_of(case: Case, member: int) -> list[str]:
    """The predicted class of each row, one network and row at a time."""
    outputs = [case.networks.to_module(member)(row) for row in case.evaluation.inputs]
    if case.evaluation.task == "regression":
        return ["all"] * len(outputs)
    if case.evaluation.task == "binary":
        return [str(int(output.item() > 0)) for output in outputs]
    return [str(int(output.argmax())) for output in outputs]


@by_case
def test_collected_values_are_what_hooks_see(case: Case) -> None:
    collected = collect(case.networks, case.evaluation.inputs)
    for member in range(len(case.networks)):
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        module = case.networks.to_module(member)
        for linear in module:
            if isinstance(linear, nn.Linear):
                linear.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append((inputs[0], output)))
        module(case.evaluation.inputs)
        for layer, (entering, leaving) in enumerate(seen):
            torch.testing.assert_close(collected.entering[layer][member], entering.detach())
            torch.testing.assert_close(collected.leaving[layer][member], leaving.detach())


@hidden_case
def test_activity_equals_a_count(case: Case) -> None:
    collected = collect(case.networks, case.evaluation.inputs)
    table = activity(collected, case.evaluation.task).set_index(["member", "layer", "unit", "predicted"])
    for member in range(len(case.networks)):
        predicted = np.array(classes_of(case, member))
        for layer in range(1, case.networks.architecture.depth):
            for unit in range(case.networks.architecture.widths[layer]):
                values = collected.entering[layer][member, :, unit].numpy()
                for name in set(predicted):
                    row = table.loc[(member, layer, unit, name)]
                    own = values[predicted == name]
                    assert row.rate == pytest.approx((own > 0).mean())
                    assert row["mean"] == pytest.approx(own.mean(), abs=1e-6)
                    assert row.rows == len(own)
    absent = table[table.rows == 0]
    assert absent.rate.isna().all() and absent["mean"].isna().all()
    assert table[table.rows > 0].notna().all(axis=None)


@hidden_case
def test_drivers_equal_a_loop(case: Case) -> None:
    collected = collect(case.networks, case.evaluation.inputs)
    groups = case.evaluation.groups
    table = drivers(case.networks, collected, groups, case.evaluation.task).set_index(
        ["member", "predicted", "feature"])
    for member in range(len(case.networks)):
        weight, predicted = case.networks.weights[0][member].numpy(), classes_of(case, member)
        for name in set(predicted):
            positive, given, active = np.zeros(weight.shape[1]), np.zeros(weight.shape[1]), 0
            for row, inputs in enumerate(case.evaluation.inputs.numpy()):
                for unit in range(len(weight)):
                    if predicted[row] == name and collected.leaving[0][member, row, unit] > 0:
                        active += 1
                        positive += weight[unit] > 0
                        given += np.abs(weight[unit] * inputs)
            for feature, columns in groups.items():
                found = table.loc[(member, name, feature)]
                assert found.positive == pytest.approx(positive[list(columns)].mean() / active)
                assert found.share == pytest.approx(given[list(columns)].sum() / given.sum())


@hidden_case
def test_what_drives_a_unit_equals_a_loop(case: Case) -> None:
    collected, groups = collect(case.networks, case.evaluation.inputs), case.evaluation.groups
    table = driven_by(case.networks, collected, groups).set_index(["member", "unit"]).driven_by
    assert table.map(bool).sum() > len(table) / 2
    for (member, unit), text in table.items():
        weight = case.networks.weights[0][member, unit].numpy()
        rows = case.evaluation.inputs.numpy()[collected.leaving[0][member, :, unit].numpy() > 0]
        parts = {name: sum((weight[column] * rows[:, column]).mean() for column in columns)
                 for name, columns in groups.items()} if len(rows) else {}
        pushes = sorted((name for name in parts if parts[name] > 0), key=lambda name: -parts[name])
        assert text == ", ".join(pushes[:3])


def test_dead_and_always_on_units_are_named() -> None:
    weight = torch.tensor([[[1.0], [0.0], [1.0], [1.0]]])
    bias = torch.tensor([[0.0, -1.0, 5.0, -5.0]])
    inputs = torch.tensor([[-1.0], [1.0], [2.0]])
    expected = {"relu": ["mixed", "dead", "always on", "dead"], "tanh": ["mixed", "dead", "always on", "never on"]}
    for activation, states in expected.items():
        networks = Perceptrons(Architecture(1, (4,), 1, activation), (weight, torch.ones(1, 1, 4)),
                            (bias, torch.zeros(1, 1)))
        collected = collect(networks, inputs)
        assert activity(collected, "regression").state.tolist() == states


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_class_scores_equal_scikit_learn(task: str) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 40, 4 if task == "multiclass" else 1, generator=generator)
    targets = torch.randint(0, 3 if task == "multiclass" else 2, (40,), generator=generator)  # class 3 has no rows
    table = class_scores(outputs, targets, task)
    for member in range(3):
        predicted = outputs[member].argmax(1) if task == "multiclass" else (outputs[member, :, 0] > 0).long()
        labels = range(4 if task == "multiclass" else 2)
        expected = precision_recall_fscore_support(targets, predicted, labels=list(labels), zero_division=0)
        found = table[table.member == member]
        for name, values in zip(("precision", "recall", "f1", "rows"), expected, strict=True):
            np.testing.assert_allclose(found[name], values)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="of classes"):
        class_scores(torch.zeros(1, 3, 1), torch.zeros(3), "regression")
    with pytest.raises(InputError, match="2 names"):
        class_scores(torch.zeros(1, 3, 3), torch.zeros(3), "multiclass", ("a", "b"))


@hidden_case
def test_units_table_joins_activity_and_tests(case: Case) -> None:
    rows = Split(case.evaluation.background, case.evaluation.background_targets)
    task = case.evaluation.task
    table = units_table(case.networks, rows, task)
    assert len(table) == len(case.networks) * sum(case.networks.architecture.hidden)
    collected = collect(case.networks, rows.inputs)
    _, chosen = class_members(collected.outputs, task)
    for layer in (1, 2):
        values = collected.entering[layer].numpy()
        own = table[table.layer == layer]
        np.testing.assert_allclose(own.rate, (values > 0).mean(1).ravel(), rtol=1e-6)
        tests = unit_tests(collected.leaving[layer - 1].numpy(), rows.targets.numpy(), task)
        np.testing.assert_array_equal(own.p_holm, tests.p_holm.ravel())
        for row in own.itertuples():
            member = chosen[row.member].numpy()
            rates = {str(place): (values[row.member, member[:, place] == 1, row.unit] > 0).mean()
                     for place in range(member.shape[1]) if member[:, place].any()}
            assert row.rate_range == pytest.approx(max(rates.values()) - min(rates.values()), abs=1e-6)
            if task == "regression":
                assert np.isnan([row.precision, row.recall, row.f1]).all()
                continue
            assert rates[row.busiest_class] == pytest.approx(max(rates.values()))
            active = values[row.member, :, row.unit] > 0
            expected = precision_recall_fscore_support(rows.targets == int(row.busiest_class), active, average="binary",
                                                       zero_division=0)
            assert (row.precision, row.recall, row.f1) == pytest.approx(expected[:3], abs=1e-6)


def test_units_are_tested_before_the_activation() -> None:
    """Normal inputs make normal pre-activations; after the ReLU no unit is normal, and a dead one says nothing."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(300, 5, generator=generator)
    targets = (inputs[:, 0] + torch.randn(300, generator=generator) > 0).float()
    networks = Perceptrons.initialise(Architecture(5, (40,), 1), [0])
    weight, bias = networks.weights[0].clone(), networks.biases[0].clone()
    weight[0, 7], bias[0, 7] = torch.tensor([1.0, 0, 0, 0, 0]), -50.0  # dead, and fed by what the classes differ in
    networks = networks.with_first_layer(weight, bias)
    table = units_table(networks, Split(inputs, targets), "binary")
    linear = networks.to_module()[0](inputs).detach().double().numpy()
    classes = [linear[targets == label] for label in (0, 1)]
    normality = np.min([stats.shapiro(values, axis=0).pvalue for values in classes], axis=0)
    np.testing.assert_allclose(table.normality, normality)
    assert (table.test == "welch").mean() > 0.8
    after = unit_tests(networks.activations(inputs)[1].numpy(), targets.numpy(), "binary")  # negative control
    assert "welch" not in after.test and np.nanmax(after.normality) < 0.001
    dead = table[table.unit == 7].iloc[0]
    assert (dead.state, dead.rate, bool(dead.significant)) == ("dead", 0.0, True)
    assert dead.p == pytest.approx(stats.ttest_ind(classes[0][:, 7], classes[1][:, 7], equal_var=False).pvalue)
