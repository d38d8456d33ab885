"""What a scorer declares of zero weights is so, by measurement; and inputs without weights change nothing."""

import pytest
import torch
from cases import CASES, SCORED, Case, layer_of
from module_cases import Layers, Residual, members
from torch import nn

from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice, traits_of

OPTIONS = {"lime": {"samples": 200}}
FEATURE = 0  # which decides the labels of every case


def scores_without_weights(name: str, networks: Ensemble, evaluation: Evaluation, layer: int) -> torch.Tensor:
    """Of a feature whose first-layer weights are all exactly zero, `[members]`; the layer's tail loses them."""
    group = list(evaluation.at_layer(networks, layer).groups.values())[FEATURE]
    tail = networks.tail(layer)
    nodes = Nodes.of([group] * len(tail))
    edited = networks.with_tail(tail.with_nodes_folded(nodes, torch.zeros(len(tail), len(group))))
    return Choice(name, OPTIONS.get(name, {})).attribute(edited, evaluation, layer).scores[:, FEATURE]


@pytest.mark.parametrize(("name", "case"), SCORED)
def test_zero_on_zero_weights_exactly_where_it_is_declared(name: str, case: Case) -> None:
    scores = scores_without_weights(name, case.networks, case.evaluation, layer_of(name))
    if traits_of(name).zero_on_zero_weights:
        assert not scores.any()
    else:  # the control: what is not declared does not hold, so that phantoms are needed
        assert scores.any()


@pytest.mark.parametrize("kind", [Layers, Residual])
@pytest.mark.parametrize("name", [name for name in SCORERS.names if layer_of(name) == 0])
def test_the_same_of_a_users_modules(name: str, kind: type[nn.Module]) -> None:
    evaluation = CASES[4].evaluation
    networks = Modules.wrap(members(kind), evaluation.background)
    if networks.refusal(traits_of(name).reads) is None:
        scores = scores_without_weights(name, networks, evaluation, 0)
        assert bool(scores.any()) is not traits_of(name).zero_on_zero_weights


@pytest.mark.parametrize("networks", [case.networks for case in CASES] + [
    pytest.param(Modules.wrap(members(Residual), CASES[0].evaluation.background), id="modules")])
def test_inputs_of_zero_weights_change_no_output(networks: Ensemble) -> None:
    wide = networks.widened(3)
    rows, noise = CASES[0].evaluation.inputs, torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    inputs = torch.cat([rows, noise], 1)
    assert wide.architecture.features == networks.architecture.features + 3 == wide.first_weight.shape[2]
    torch.testing.assert_close(wide.outputs(inputs), networks.outputs(rows), rtol=1e-5, atol=1e-6)
    assert torch.equal(wide.first_weight[..., :-3], networks.first_weight) and not wide.first_weight[..., -3:].any()
    with torch.no_grad():
        alone = wide.to_module(1)(inputs).reshape(12, -1)
    torch.testing.assert_close(alone, networks.outputs(rows)[1], rtol=1e-5, atol=1e-6)
    fresh = wide.fresh([1, 2])
    assert fresh.outputs(inputs).shape == (2, 12, networks.architecture.outputs)
