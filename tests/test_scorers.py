"""Every scorer through one table of cases, against Captum on each network alone or a slow version."""

import captum.attr
import pytest
import torch
from cases import CASES, SCORED, Case, make_case
from reference import captum_alone, gradient_weight_alone, positive_relevance

from attribution_suite.errors import InputError
from attribution_suite.networks.nodes import Nodes
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import sum_groups
from attribution_suite.scorers.layer_conductance import LayerConductance

CAPTUM = ["integrated_gradients", "smooth_integrated_gradients", "deep_lift", "gradient_shap", "saliency",
          "input_x_gradient", "feature_ablation"]
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.mark.parametrize(("case", "layer"), [
    pytest.param(case, layer, id=f"{case.name}-{layer}")
    for case in CASES for layer in range(min(2, case.networks.architecture.depth))])
@pytest.mark.parametrize("method", CAPTUM)
def test_equals_captum_on_each_network(method: str, case: Case, layer: int) -> None:
    networks, evaluation = case.networks.tail(layer), case.evaluation.at_layer(case.networks, layer)
    attribution = SCORERS.load(method)().attribute(networks, evaluation)
    for member in range(len(networks)):
        alone = captum_alone(method, networks, evaluation, member)
        if method == "feature_ablation":  # Captum gives every column of a feature the feature's value
            expected = alone[:, [columns[0] for columns in evaluation.groups.values()]]
        else:
            expected = sum_groups(alone, evaluation.groups)
        torch.testing.assert_close(attribution.values[member], expected, rtol=1e-5, atol=2e-6)


@by_case
def test_layer_conductance_equals_captum(case: Case) -> None:
    for layer in range(1, case.networks.architecture.depth):
        attribution = LayerConductance(layer).attribute(case.networks, case.evaluation)
        for member in range(len(case.networks)):
            net = case.networks.to_module(member)
            evaluation = case.evaluation
            target = 0 if evaluation.explained is None else evaluation.explained[member]
            expected = captum.attr.LayerConductance(net, net[2 * layer - 1]).attribute(
                evaluation.inputs, evaluation.baseline[None], target=target, n_steps=50)
            torch.testing.assert_close(attribution.values[member], expected.detach(), rtol=1e-5, atol=2e-6)
    with pytest.raises(InputError, match="hidden units"):
        LayerConductance(0).attribute(case.networks, case.evaluation)


@by_case
@pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift"])
def test_completeness(method: str, case: Case) -> None:
    attribution = SCORERS.load(method)().attribute(case.networks, case.evaluation)
    assert (attribution.completeness_gap < (1e-5 if method == "deep_lift" else 5e-2)).all()
    # negative control: a baseline that the method was not told of breaks completeness
    other = SCORERS.load("input_x_gradient")().attribute(case.networks, case.evaluation)
    assert not torch.allclose(other.values.sum(2), attribution.values.sum(2), rtol=1e-2)


@by_case
def test_lrp_follows_the_positive_rule(case: Case) -> None:
    attribution = SCORERS.load("lrp")().attribute(case.networks, case.evaluation)
    for member in range(len(case.networks)):
        for row in range(4):
            *layers, output = [a[member, row] for a in case.networks.activations(case.evaluation.inputs)]
            explained = 0 if case.evaluation.explained is None else int(case.evaluation.explained[member, row])
            relevance = torch.zeros_like(output)
            relevance[explained] = output[explained]
            for values, weight in zip(reversed(layers), reversed(case.networks.weights), strict=True):
                relevance = positive_relevance(values, weight[member], relevance)
            expected = sum_groups(relevance, case.evaluation.groups)
            torch.testing.assert_close(attribution.values[member, row], expected, rtol=1e-4, atol=1e-5)


@by_case
def test_gradient_weight_by_hand(case: Case) -> None:
    attribution = SCORERS.load("gradient_weight")(batch_size=16).attribute(case.networks, case.evaluation)
    for member in range(len(case.networks)):
        expected = gradient_weight_alone(case.networks, case.evaluation, member, batch_size=16)
        torch.testing.assert_close(attribution.scores[member], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("method", "case"), SCORED)
def test_leaves_everything_as_it_was(method: str, case: Case) -> None:
    before = [tensor.clone() for tensor in (*case.networks.weights, *case.networks.biases, case.evaluation.inputs)]
    state = torch.get_rng_state()
    scorer = SCORERS.load(method)()
    attribution = scorer.attribute(case.networks, case.evaluation)
    after = (*case.networks.weights, *case.networks.biases, case.evaluation.inputs)
    assert all(torch.equal(a, b) and not b.requires_grad for a, b in zip(before, after, strict=True))
    assert torch.equal(state, torch.get_rng_state())
    again = scorer.attribute(case.networks, case.evaluation)
    assert torch.equal(attribution.scores, again.scores)
    assert torch.isfinite(attribution.scores).all()
    torch.testing.assert_close(attribution.shares.sum(1), torch.ones(len(case.networks)))


@by_case
@pytest.mark.parametrize("method", [name for name in SCORERS.names if name != "layer_conductance"])
def test_a_member_scores_the_same_alone(method: str, case: Case) -> None:
    together = SCORERS.load(method)().attribute(case.networks, case.evaluation)
    members = torch.tensor([1])
    alone = SCORERS.load(method)().attribute(case.networks.select(members), case.evaluation.for_members(members))
    if method == "random":  # the control draws by position
        assert not torch.equal(together.scores[1], alone.scores[0])
        return
    torch.testing.assert_close(together.scores[1], alone.scores[0], rtol=1e-4, atol=1e-6)


def test_ablation_of_a_feature_without_weights_is_exactly_zero() -> None:
    zeros = []
    for seed, hidden in enumerate([(7, 5), (13,), (100, 50, 10)] * 5):  # the products' last bits depend on the widths
        case = make_case(f"zero {seed}", "multiclass", hidden=hidden)
        networks = case.networks.with_nodes_folded(Nodes.of([(1,)] * len(case.networks)), torch.zeros(3, 1))
        values = SCORERS.load("feature_ablation")().attribute(networks, case.evaluation).values
        assert values.abs().amax((0, 1))[[0, 2, 3, 4, 5]].min() > 0
        zeros.append(values[..., 1])
    assert not torch.stack(zeros).any()
