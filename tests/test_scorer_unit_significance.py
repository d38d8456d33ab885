"""Unit significance as a score, against the tests of units on what the networks' own modules give."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import make_case

from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.scorers.unit_significance import UnitSignificance


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_scorer_is_the_effect_of_each_node(task: str, layer: int) -> None:
    groups = {"a": (0,), "b": (1, 2, 3), "c": (4,), "d": (5,)} if layer == 0 else None
    case = make_case(task, task, groups=groups)
    evaluation = case.evaluation.at_layer(case.networks, layer)
    attribution = UnitSignificance().attribute(case.networks.tail(layer), evaluation)
    background = case.evaluation.background
    tested = torch.stack([case.networks.to_module(member)[:2 * layer - 1](background).detach() if layer else background
                          for member in range(len(case.networks))])  # a hidden layer's Linear, without its activation
    tests = unit_tests(tested.numpy(), evaluation.background_targets.numpy(), task)
    assert attribution.scores.shape == (len(case.networks), len(evaluation.groups))
    for member in range(len(case.networks)):
        for place, columns in enumerate(evaluation.groups.values()):
            expected = np.abs(tests.effect[member, list(columns)]).sum()
            assert float(attribution.scores[member, place]) == pytest.approx(expected, rel=1e-6)
    assert (attribution.signed is None) == (task == "multiclass")
    if layer:  # negative control: after the ReLU, where rows tie at zero, other effects are found
        active = unit_tests(tested.relu().numpy(), evaluation.background_targets.numpy(), task)
        assert not np.allclose(np.abs(active.effect), attribution.scores, atol=0.01)
    members = torch.tensor([2, 0])
    alone = UnitSignificance().attribute(case.networks.tail(layer).select(members), evaluation.for_members(members))
    assert torch.equal(alone.scores, attribution.scores[members])
    # the label is made of the inputs (x0 for binary): at the input the scorer must find it
    if task == "binary" and layer == 0:
        assert (attribution.scores[:, 0] == 1).all() and (attribution.signed[:, 0] == 1).all()


def test_scorer_tests_a_column_once_and_corrects_it_with_its_own_member() -> None:
    case = make_case("binary", "binary")
    background = case.evaluation.background.expand(3, -1, -1).clone()
    background[1, :, 2] = 0  # one member lost a column, another has one of its own
    background[2, :, 4] = background[2, :, 4] ** 2
    found = UnitSignificance().attribute(case.networks, replace(case.evaluation, background=background))
    expected = unit_tests(background.numpy(), case.evaluation.background_targets.numpy(), "binary")
    np.testing.assert_allclose(found.scores, np.abs(expected.effect), rtol=1e-6)
    np.testing.assert_allclose(found.details["p_holm"], expected.p_holm, rtol=1e-6)
    assert found.scores[1, 2] == 0 and found.scores[0, 2] > 0 and found.scores[2, 4] != found.scores[0, 4]
