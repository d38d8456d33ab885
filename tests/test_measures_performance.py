"""Absolute performance against scikit-learn, called directly for each member."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from attribution_suite import from_arrays, load_dataset
from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError
from attribution_suite.measures.performance import PERFORMANCE, confusion, performance

ROWS, MEMBERS, CLASSES = 300, 4, 5
KINDS = [("regression", False), ("binary", False), ("multiclass", False), ("multiclass", True)]


def problem(task: Task, seed: int = 0, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Outputs that know the targets more and more, member by member, some of them tied; a class that never occurs."""
    generator = torch.Generator().manual_seed(seed)
    width = classes if task == "multiclass" else 1
    noise = torch.randn(MEMBERS, ROWS, width, generator=generator)
    knows = torch.arange(MEMBERS)[:, None, None] * 0.7
    if task == "regression":
        targets = 300 + 50 * torch.randn(ROWS, generator=generator)
        return 300 + 10 * knows * (targets[:, None] - 300) / 50 + 20 * noise, targets
    if task == "binary":
        targets = (torch.rand(ROWS, generator=generator) < 0.3).float()
        return (knows * targets[:, None] + noise - 0.5).round(decimals=1), targets
    targets = torch.randint(classes - 1, (ROWS,), generator=generator)
    near = -(torch.arange(classes) - targets[:, None]).abs()
    return (knows * near + noise).round(decimals=1), targets


def by_sklearn(outputs: np.ndarray, targets: np.ndarray, task: Task, ordered: bool) -> dict[str, float]:
    """`outputs` `[rows, outputs]` of one member, float64."""
    if task == "regression":
        found = outputs[:, 0]
        return {"r2": metrics.r2_score(targets, found), "rmse": metrics.root_mean_squared_error(targets, found)}
    if task == "binary":
        chance = 1 / (1 + np.exp(-outputs[:, 0]))
        both, predicted, area = np.stack([1 - chance, chance], 1), outputs[:, 0] > 0, chance
        auc = metrics.roc_auc_score(targets, area)
    else:
        both = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
        predicted = outputs.argmax(1)
        present = np.unique(targets)  # scikit-learn's own macro average refuses a class that does not occur
        auc = np.mean([metrics.roc_auc_score(targets == label, both[:, label]) for label in present])
    labels = np.arange(both.shape[1])
    return {"accuracy": metrics.accuracy_score(targets, predicted), "auc": auc,
            "log_loss": metrics.log_loss(targets, both, labels=labels),
            "kappa": metrics.cohen_kappa_score(targets, predicted, labels=labels,
                                               weights="quadratic" if ordered else None)}


@pytest.mark.parametrize(("task", "ordered"), KINDS)
def test_every_measure_is_scikit_learns_of_each_member(task: Task, ordered: bool) -> None:
    outputs, targets = problem(task)
    found = performance(outputs, targets, task, ordered)
    assert tuple(found) == PERFORMANCE
    for member in range(MEMBERS):
        expected = by_sklearn(outputs[member].double().numpy(), targets.numpy(), task, ordered)
        assert {name for name in found if not found[name][member].isnan()} == set(expected)
        for name, value in expected.items():
            assert float(found[name][member]) == pytest.approx(value, rel=1e-6, abs=1e-9), name
    for name in expected:  # the members differ, so that taking one for another would show
        assert len(set(found[name].tolist())) == MEMBERS


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_confusion_is_scikit_learns_count_of_each_member(task: Task) -> None:
    outputs, targets = problem(task)
    classes = 2 if task == "binary" else CLASSES
    for counts, raw in zip(confusion(outputs, targets, task), outputs, strict=True):
        predicted = (raw[:, 0] > 0).int() if task == "binary" else raw.argmax(1)
        expected = metrics.confusion_matrix(targets.int(), predicted, labels=range(classes))
        assert counts.tolist() == expected.tolist()
        assert counts.T.tolist() != expected.tolist()  # own classes stand down, predicted ones across


def test_macro_auc_is_scikit_learns_where_all_classes_occur() -> None:
    outputs, targets = problem("multiclass", classes=CLASSES)
    targets = torch.arange(ROWS) % CLASSES
    chances = outputs.double().softmax(2).numpy()
    expected = [metrics.roc_auc_score(targets, chance, multi_class="ovr", average="macro") for chance in chances]
    np.testing.assert_allclose(performance(outputs, targets, "multiclass")["auc"], expected, rtol=1e-9)


def test_quadratic_weights_forgive_a_near_miss() -> None:
    targets = torch.arange(ROWS) % CLASSES
    near, far = ((targets + step) % CLASSES for step in (1, 3))
    outputs = torch.stack([torch.nn.functional.one_hot(guess, CLASSES).float() for guess in (near, far)])
    plain, weighted = (performance(outputs, targets, "multiclass", ordered)["kappa"] for ordered in (False, True))
    assert plain[0] == pytest.approx(float(plain[1])) and weighted[0] > weighted[1]


def only_one(task: Task) -> tuple[Tensor, Tensor]:
    outputs, targets = problem(task)
    return outputs, torch.full_like(targets, targets[0])


@pytest.mark.parametrize(("task", "make", "absent"), [
    ("regression", only_one, {"r2"}), ("binary", only_one, {"auc"}), ("multiclass", only_one, {"auc"}),
])
def test_what_does_not_exist_is_nan_and_the_rest_is_measured(task: Task, make: Callable, absent: set[str]) -> None:
    outputs, targets = make(task)
    found, usual = performance(outputs, targets, task), performance(*problem(task), task)
    assert {name for name in found if found[name].isnan().all()} - {
        name for name in usual if usual[name].isnan().all()} == absent


def test_kappa_does_not_exist_where_all_is_one_class_and_is_zero_of_one_guess() -> None:
    targets, sure = torch.ones(ROWS), torch.full((1, ROWS, 1), 5.0)
    assert performance(sure, targets, "binary")["kappa"].isnan().all()
    mixed = torch.arange(ROWS) % 2
    assert performance(sure, mixed.float(), "binary")["kappa"].tolist() == [0.0]


def test_a_shift_of_the_unit_is_read_in_full() -> None:
    """Large targets with a small spread: sums of squares in single precision would be off by per cents."""
    targets = 1e4 + torch.randn(ROWS, generator=torch.Generator().manual_seed(0))
    outputs = (targets + 0.5)[None, :, None]
    found = performance(outputs, targets, "regression")
    assert float(found["rmse"]) == pytest.approx(0.5, rel=1e-3)
    assert float(found["r2"]) == pytest.approx(1 - 0.25 / float(targets.double().var(correction=0)), rel=1e-3)


def test_which_classes_are_ordered() -> None:
    inputs, numbers = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
    assert not from_arrays(inputs, numbers).ordered and from_arrays(inputs, numbers, ordered=True).ordered
    assert from_arrays(inputs, numbers, ordered=True).with_decoy().ordered
    with pytest.raises(InputError, match="ordered"):
        from_arrays(inputs, numbers % 2, ordered=True)
    with pytest.raises(InputError, match="numbers"):
        from_arrays(inputs, np.array(["low", "mid", "high"])[numbers], ordered=True)
    assert load_dataset("prudential").ordered and not load_dataset("iris").ordered
