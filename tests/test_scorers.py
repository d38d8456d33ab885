"""Every scorer through one table of cases, against Captum on each network alone or a slow version."""

from dataclasses import fields, replace

import captum.attr
import pytest
import torch
from cases import CASES, SCORED, Case, layer_of, make_case
from reference import captum_alone, gradient_weight_alone, positive_relevance

from attribution_suite.auditing.spec import PROFILES
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation, ScorerTraits, sum_groups
from attribution_suite.scorers.choice import Choice, traits_of
from attribution_suite.scorers.layer_conductance import LayerConductance
from attribution_suite.scorers.pieces import completeness_gap

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


@pytest.mark.parametrize("method", CAPTUM)
def test_equals_captum_in_pieces_of_a_row(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn for the rows (noise, baselines, steps) must be the row's own in every piece."""
    monkeypatch.setattr("attribution_suite.scorers.pieces.PIECE_VALUES", 1)
    case = CASES[2]
    attribution = SCORERS.load(method)().attribute(case.networks, case.evaluation)
    for member in range(len(case.networks)):
        expected = sum_groups(captum_alone(method, case.networks, case.evaluation, member), case.evaluation.groups)
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


def test_the_completeness_gap_by_hand() -> None:
    """f = 2x₁ − x₂ + 3, baseline (1, 0): f(x) − f(b) is 1, −3 and −4 for the rows; Σφ misses it by 1, −1 and 0."""
    networks = Perceptrons(Architecture(2, (), 1), (torch.tensor([[[2.0, -1.0]]]),), (torch.tensor([[3.0]]),))
    rows = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 2.0]])
    evaluation = Evaluation(rows, torch.zeros(3), rows, torch.zeros(3), torch.tensor([1.0, 0.0]),
                            {"a": (0,), "b": (1,)}, "regression")
    values = torch.tensor([[[2.0, 0.0], [-2.0, -2.0], [-2.0, -2.0]]])
    assert completeness_gap(values, networks, evaluation).tolist() == pytest.approx([(1 + 1 + 0) / (1 + 3 + 4)])
    exact = torch.tensor([[[2.0, -1.0], [-2.0, -1.0], [-2.0, -2.0]]])
    assert completeness_gap(exact, networks, evaluation).tolist() == [0.0]
    assert completeness_gap(-exact, networks, evaluation).tolist() == [2.0]
    both = replace(evaluation, baseline=torch.tensor([[1.0, 0.0], [0.0, 0.0]]))  # a member's own baseline
    found = completeness_gap(values.expand(2, -1, -1), networks.select([0, 0]), both)
    assert found.tolist() == pytest.approx([2 / 8, (1 + 3 + 2) / (3 + 1 + 2)])  # f(x) − f(0) is 3, −1 and −2


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


# What holds for every scorer of the catalogue, whatever it computes.

@pytest.mark.parametrize("name", SCORERS.names)
def test_a_scorer_declares_what_it_is(name: str) -> None:
    scorer = SCORERS.load(name)()
    assert scorer.name == name
    assert isinstance(scorer.traits, ScorerTraits)
    assert set(scorer.traits.from_profile) <= {field.name for field in fields(scorer)}
    assert {scorer.traits.rows, *scorer.traits.from_profile.values()} - {None} <= set(vars(PROFILES["quick"]))


@pytest.mark.parametrize(("method", "case"), SCORED)
def test_the_scores_are_finite_magnitudes_and_repeat_themselves(method: str, case: Case) -> None:
    features = len(case.evaluation.at_layer(case.networks, layer_of(method)).groups)
    first, again = (Choice(method).attribute(case.networks, case.evaluation, layer_of(method)) for _ in range(2))
    assert torch.equal(first.scores, again.scores)
    assert first.scores.shape == (len(case.networks), features) == (len(case.networks), len(first.features))
    assert torch.isfinite(first.scores).all() and (first.scores >= 0).all()
    torch.testing.assert_close(first.shares.sum(1), torch.ones(len(case.networks)))


@pytest.mark.parametrize("piece_values", [None, 1])
@pytest.mark.parametrize(("method", "case"), SCORED)
def test_a_score_is_the_mean_magnitude_of_the_local_values(method: str, case: Case, piece_values: int | None,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    if piece_values is not None:  # one row and one member at a time
        monkeypatch.setattr("attribution_suite.scorers.pieces.PIECE_VALUES", piece_values)
    found = Choice(method).attribute(case.networks, case.evaluation, layer_of(method))
    if found.values is None:
        return
    torch.testing.assert_close(found.scores, found.values.abs().mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.signed, found.values.mean(1), rtol=1e-5, atol=1e-6)
    if method == "integrated_gradients":  # the control: signs cancel, the mean of φ is not its magnitude
        assert not torch.allclose(found.scores, found.signed.abs(), rtol=1e-2)


@by_case
@pytest.mark.parametrize("method", [name for name in SCORERS.names if not traits_of(name).below])
def test_a_member_scores_the_same_alone(method: str, case: Case) -> None:
    together = SCORERS.load(method)().attribute(case.networks, case.evaluation)
    members = torch.tensor([1])
    alone = SCORERS.load(method)().attribute(case.networks.select(members), case.evaluation.for_members(members))
    if traits_of(method).control:  # it draws by position
        assert not torch.equal(together.scores[1], alone.scores[0])
        return
    torch.testing.assert_close(together.scores[1], alone.scores[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", SCORERS.names)
def test_a_scorer_reads_what_it_declares(method: str) -> None:
    case, layer = CASES[2], layer_of(method)
    tail = case.networks.tail(layer)
    nodes = Nodes.of([(1,)] * len(case.networks))
    edited = case.networks.with_tail(tail.with_nodes_folded(nodes, torch.zeros(len(case.networks), 1)))
    before, after = (Choice(method).attribute(networks, case.evaluation, layer) for networks in (case.networks, edited))
    if traits_of(method).control or traits_of(method).reads == "labels":  # no edit of weights changes it
        assert torch.equal(before.scores, after.scores)
    else:  # a feature whose weights are gone: nothing of it is left, but for what a surrogate draws
        assert (after.shares[:, 1] < before.shares[:, 1] / 4).all()
    if traits_of(method).below:
        with pytest.raises(InputError, match="hidden units"):
            Choice(method).attribute(case.networks, case.evaluation, 0)


def test_ablation_of_a_feature_without_weights_is_exactly_zero() -> None:
    zeros = []
    for seed, hidden in enumerate([(7, 5), (13,), (100, 50, 10)] * 5):  # the products' last bits depend on the widths
        case = make_case(f"zero {seed}", "multiclass", hidden=hidden)
        networks = case.networks.with_nodes_folded(Nodes.of([(1,)] * len(case.networks)), torch.zeros(3, 1))
        values = SCORERS.load("feature_ablation")().attribute(networks, case.evaluation).values
        assert values.abs().amax((0, 1))[[0, 2, 3, 4, 5]].min() > 0
        zeros.append(values[..., 1])
    assert not torch.stack(zeros).any()
