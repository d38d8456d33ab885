"""Permutation against scikit-learn and a slow loop; the weights and the random control by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.inspection import permutation_importance
from torch import nn

from attribution_suite.errors import InputError
from attribution_suite.networks import network
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.permutation import Permutation
from attribution_suite.scorers.random import Random
from attribution_suite.scorers.weights import Weights

LOSSES = {"regression": nn.MSELoss(), "binary": nn.BCEWithLogitsLoss(), "multiclass": nn.CrossEntropyLoss()}
SINGLE = {f"x{column}": (column,) for column in range(5)}
GROUPED = {"b": (3, 1), "a": (0,), "c": (2, 4)}


def case(task: str, groups: dict = SINGLE, seed: int = 3) -> tuple[Perceptrons, Evaluation]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(60, 5, generator=generator)
    inputs[:, 3], inputs[:, 4] = (inputs[:, 3] > 1.5).float(), 0.7  # few rows get another value of it, and none
    value = inputs[:, 0] - 2 * inputs[:, 1]
    targets = {"regression": value, "binary": (value > 0).float(), "multiclass": (value > 0).long()}[task]
    networks = Perceptrons.initialise(Architecture(5, (8, 4), 3 if task == "multiclass" else 1), range(4))
    return networks, Evaluation(inputs, targets, inputs, targets, torch.zeros(5), groups, task, seed=seed)


class OneNetwork(BaseEstimator):
    """A network as scikit-learn sees an estimator; its score is minus the task's loss."""

    def __init__(self, net: nn.Module, task: str) -> None:
        self.net, self.task = net, task

    def fit(self, inputs: np.ndarray, targets: np.ndarray) -> "OneNetwork":
        return self

    def score(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        with torch.no_grad():
            outputs = self.net(torch.from_numpy(inputs))
        outputs = outputs if self.task == "multiclass" else outputs[:, 0]
        return -float(LOSSES[self.task](outputs, torch.from_numpy(targets)))


@pytest.mark.parametrize("task", LOSSES)
def test_equals_scikit_learn(task: str) -> None:
    networks, evaluation = case(task)
    found = Permutation(repeats=4).attribute(networks, evaluation)
    for member in range(len(networks)):
        expected = permutation_importance(
            OneNetwork(networks.to_module(member), task), evaluation.inputs.numpy(), evaluation.targets.numpy(),
            n_repeats=4, random_state=evaluation.seed).importances_mean
        np.testing.assert_allclose(found.signed[member], expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.scores, found.signed.abs())
    assert found.signed[:, 3].all() and not found.signed[:, 4].any()
    other = Permutation(repeats=4).attribute(networks, replace(evaluation, seed=4))
    assert not torch.allclose(other.signed, found.signed, rtol=0.01)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_groups_columns_move_together(layer: int) -> None:
    networks, evaluation = case("multiclass", GROUPED)
    tail, seen = networks.tail(layer), evaluation.at_layer(networks, layer)
    groups = GROUPED if layer == 0 else {"ab": (0, 5), "c": (2,)}
    found = Permutation(repeats=3).attribute(tail, replace(seen, groups=groups)).signed
    generator = np.random.RandomState(np.random.RandomState(3).randint(2**31))
    shuffled, orders = np.arange(60), [np.arange(60)]
    for _ in range(3):
        generator.shuffle(shuffled)
        orders.append(orders[-1][shuffled])
    for member in range(len(networks)):
        net, inputs = tail.to_module(member), seen.inputs if layer == 0 else seen.inputs[member]
        base = nn.functional.cross_entropy(net(inputs), seen.targets)
        for feature, group in enumerate(groups.values()):
            rises = []
            for order in orders[1:]:
                permuted = inputs.clone()
                permuted[:, list(group)] = inputs[order][:, list(group)]
                rises.append(nn.functional.cross_entropy(net(permuted), seen.targets) - base)
            torch.testing.assert_close(found[member, feature], torch.stack(rises).mean().detach(), rtol=1e-3, atol=1e-6)


def test_what_is_not_read_scores_exactly_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    finish, calls = Perceptrons.finish, []
    # a machine on which no two passes round alike
    monkeypatch.setattr(Perceptrons, "finish",
                        lambda self, first: finish(self, first) + 1e-6 * (calls.append(1) or len(calls)))
    networks, evaluation = case("regression", GROUPED)
    blind = networks.with_nodes_folded(Nodes.of([GROUPED["c"]] * 4), torch.zeros(4, 2))
    after = Permutation().attribute(blind, evaluation)
    assert (after.scores[:, 2] == 0).all() and (after.signed[:, 2] == 0).all()
    assert (after.scores[:, :2] > 0).all()
    assert (Permutation().attribute(networks, evaluation).scores[:, 2] > 0).all()


def test_an_inverted_influence_is_not_gone() -> None:
    _, evaluation = case("regression")
    exact = Perceptrons(Architecture(5, (), 1), (torch.tensor([[[1.0, -2, 0, 0, 0]]]),), (torch.zeros(1, 1),))
    inverted = exact.with_first_layer(exact.weights[0] * torch.tensor([1.0, -1, 1, 1, 1]), exact.biases[0])
    assert float(Permutation().attribute(exact, evaluation).signed[0, 1]) > 1
    found = Permutation().attribute(inverted, evaluation)
    assert float(found.signed[0, 1]) < -1 and float(found.scores[0, 1]) > 1


def test_chunks_of_members_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, evaluation = case("binary")
    tail, seen = networks.tail(1), evaluation.at_layer(networks, 1)
    whole = Permutation().attribute(tail, seen).signed
    monkeypatch.setattr(network, "VALUES_AT_ONCE", 1)
    torch.testing.assert_close(Permutation().attribute(tail, seen).signed, whole, rtol=1e-4, atol=1e-7)


def test_permutation_needs_a_repeat() -> None:
    with pytest.raises(InputError, match="repeats"):
        Permutation(repeats=0)


def test_weights_by_hand() -> None:
    weight = torch.tensor([[[1.0, -2, 3, 0, -4], [0, 2, -1, 0, 5]]])
    biases = torch.zeros(1, 2), torch.zeros(1, 1)
    networks = Perceptrons(Architecture(5, (2,), 1), (weight, torch.ones(1, 1, 2)), biases)
    evaluation = case("regression", GROUPED)[1]
    found = Weights().attribute(networks, evaluation)  # column means .5, 2, 2, 0, 4.5, sum 9
    torch.testing.assert_close(found.scores, torch.tensor([[2.0, 0.5, 6.5]]) / 9)
    torch.testing.assert_close(found.signed, torch.tensor([[0.0, 0.5, 1.5]]) / 9)  # column means .5, 0, 1, 0, .5
    assert found.values is None
    first = Weights(reading="first_unit").attribute(networks, evaluation)  # 1, -2, 3, 0, -4, sum of abs 10
    torch.testing.assert_close(first.signed, torch.tensor([[-0.2, 0.1, -0.1]]))
    torch.testing.assert_close(first.scores, torch.tensor([[0.2, 0.1, 0.1]]))
    zero = Weights().attribute(networks.with_first_layer(weight * 0, networks.biases[0]), evaluation)
    assert (zero.scores == 0).all()
    with pytest.raises(InputError, match="reading"):
        Weights(reading="last_unit")  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_random_knows_nothing_and_repeats(seed: int) -> None:
    networks, evaluation = case("regression", seed=seed)
    found = Random().attribute(networks, evaluation)
    blind = networks.with_first_layer(networks.weights[0] * 0, networks.biases[0])
    unseen = replace(evaluation, inputs=evaluation.inputs * 5)
    assert torch.equal(found.values, Random().attribute(blind, unseen).values)
    torch.testing.assert_close(found.scores, found.values.abs().mean(1))
    assert not torch.equal(found.values, Random().attribute(networks, replace(evaluation, seed=seed + 1)).values)
    torch.testing.assert_close(Random().attribute(networks.select([0, 1]), evaluation).values, found.values[:2])


def test_random_scores_are_half_normal_and_their_signs_fair() -> None:
    networks, evaluation = case("regression")
    many = networks.select([0] * 2000)
    found = Random().attribute(many, evaluation.with_rows(4))
    scores = found.scores.flatten().double()  # E abs z = √(2/π), E z² = 1
    assert scores.mean() == pytest.approx((2 / np.pi) ** 0.5, abs=0.02)
    assert scores.square().mean() == pytest.approx(1, abs=0.05)
    assert (found.values > 0).double().mean() == pytest.approx(0.5, abs=0.01)
