"""LRP: ε with biases against Captum, a layer by hand, what is absorbed; γ and αβ against their papers, and limits."""

from collections.abc import Callable

import captum.attr
import pytest
import torch
from cases import CASES, Case, make_case
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.outputs import explained_output
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation, sum_groups
from attribution_suite.scorers.gradients import InputXGradient
from attribution_suite.scorers.lrp import LRP, LRPAlphaBeta, LRPEpsilon, LRPGamma

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def with_biases(case: Case, factor: float) -> Perceptrons:
    networks = case.networks
    return Perceptrons(networks.architecture, networks.weights, tuple(factor * b for b in networks.biases))


CAPTUMS = 1e-9  # the ε of Captum's LRP, which knows no other by its public names


def captum_lrp(networks: Perceptrons, evaluation: Evaluation, member: int) -> Tensor:
    """φ of one network in float64, by Captum, whose rule for a Linear is the ε rule."""
    net = networks.to_module(member).double()
    target = 0 if evaluation.explained is None else evaluation.explained[member]
    values = captum.attr.LRP(net).attribute(evaluation.inputs.double(), target=target).detach()
    return sum_groups(values, evaluation.groups).float()


def slow_lrp(networks: Perceptrons, evaluation: Evaluation, member: int, epsilon: float) -> Tensor:
    """The definition, unit by unit, in float64: R_i = Σ_j h_i w_ji R_j / (z_j ± ε), away from zero."""
    net = networks.to_module(member).double().requires_grad_(False)
    linears = [layer for layer in net if isinstance(layer, nn.Linear)]
    activate = torch.tanh if networks.architecture.activation == "tanh" else torch.relu
    values = torch.zeros(evaluation.inputs.shape)
    for row, inputs in enumerate(evaluation.inputs.double()):
        entering, leaving = [inputs], []
        for linear in linears:
            leaving.append(linear(entering[-1]))
            entering.append(activate(leaving[-1]))
        explained = 0 if evaluation.explained is None else int(evaluation.explained[member, row])
        relevance = {explained: float(leaving[-1][explained])}
        for linear, h, z in zip(reversed(linears), reversed(entering[:-1]), reversed(leaving), strict=True):
            relevance = {i: sum(float(h[i] * linear.weight[j, i] * r / (z[j] + (epsilon if z[j] >= 0 else -epsilon)))
                                for j, r in relevance.items()) for i in range(len(h))}
        values[row] = torch.tensor([relevance[column] for column in range(len(inputs))])
    return sum_groups(values, evaluation.groups)


@by_case
@pytest.mark.parametrize("epsilon", [CAPTUMS, 0.3])  # a stabiliser, and one that weighs, so that its sign is seen
def test_epsilon_rule_equals_captum_with_biases(case: Case, epsilon: float) -> None:
    networks = with_biases(case, 3.0)
    found = LRPEpsilon(epsilon).attribute(networks, case.evaluation).values
    without = LRPEpsilon(epsilon).attribute(with_biases(case, 0.0), case.evaluation).values
    assert any((values < -0.1).any() for values in networks.activations(case.evaluation.inputs)[1:])
    for member in range(len(networks)):
        expected = slow_lrp(networks, case.evaluation, member, epsilon)
        if epsilon == CAPTUMS:
            torch.testing.assert_close(expected, captum_lrp(networks, case.evaluation, member), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found[member], expected, rtol=1e-4, atol=1e-5)
        # negative control: biases count (in one layer, z / (z ± ε) hides them)
        assert not torch.allclose(without[member], expected, rtol=1e-2, atol=1e-2) or case.name == "linear"


@pytest.mark.parametrize(("bias", "z"), [(-0.5, -1.0), (0.5, 0.0), (1.5, 1.0)])
def test_one_layer_by_hand(bias: float, z: float) -> None:
    """x = (1, 2), w = (−1, 1/4), so Σ h w = −1/2; R = z, divided by z ± ε with ε = 1/4, away from 0."""
    networks = Perceptrons(Architecture(2, (), 1), (torch.tensor([[[-1.0, 0.25]]]),), (torch.tensor([[bias]]),))
    evaluation = Evaluation(torch.tensor([[1.0, 2.0]]), torch.zeros(1), torch.zeros(1, 2), torch.zeros(1),
                            torch.zeros(2), {"a": (0,), "b": (1,)}, "regression")
    found = LRPEpsilon(0.25).attribute(networks, evaluation)
    ratio = {-1.0: 1 / 1.25, 0.0: 0.0, 1.0: 1 / 1.25}[z]  # with the other sign, 1 / 0.75
    torch.testing.assert_close(found.values, torch.tensor([[[-ratio, ratio / 2]]]))
    torch.testing.assert_close(found.details["absorbed"], torch.tensor([abs(z + ratio / 2)]))


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_epsilon_rule_tends_to_input_times_gradient(task: str) -> None:
    case = make_case(task, task)
    expected = InputXGradient().attribute(case.networks, case.evaluation).values
    far, near = ((LRPEpsilon(epsilon).attribute(case.networks, case.evaluation).values - expected).abs().max()
                 for epsilon in (0.1, 1e-7))
    assert near < 1e-4 < 0.05 < far
    tanh = make_case(task, task, "tanh")  # negative control: only a ReLU passes what its gradient passes
    values = LRPEpsilon(1e-7).attribute(tanh.networks, tanh.evaluation).values
    assert (values - InputXGradient().attribute(tanh.networks, tanh.evaluation).values).abs().max() > 0.05


@by_case
def test_absorbed_is_what_does_not_arrive(case: Case) -> None:
    networks, explained = with_biases(case, 3.0), case.evaluation.explained
    found = LRPEpsilon().attribute(networks, case.evaluation)
    for member in range(len(networks)):
        output = networks.to_module(member)(case.evaluation.inputs).detach()
        wanted = output[:, 0] if explained is None else output.gather(1, explained[member, :, None])[:, 0]
        arrived = slow_lrp(networks, case.evaluation, member, 1e-6).sum(1)
        torch.testing.assert_close(found.details["absorbed"][member], (wanted - arrived).abs().mean(),
                                   rtol=1e-4, atol=1e-5)
    assert (found.details["absorbed"] > 0.05).all()
    # without biases all of it arrives
    unbiased = with_biases(case, 0.0)
    assert (LRPEpsilon(1e-7).attribute(unbiased, case.evaluation).details["absorbed"] < 1e-4).all()


def test_the_positive_rule_loses_only_what_has_nowhere_to_go() -> None:
    """x ≥ 0 and w > 0: whatever the biases, Σ φ is the output; a unit fed by nothing but inhibition passes none on."""
    evaluation = Evaluation(torch.tensor([[1.0, 2.0], [3.0, 0.5]]), torch.zeros(2), torch.zeros(1, 2), torch.zeros(1),
                            torch.zeros(2), {"a": (0,), "b": (1,)}, "regression")
    for weight, absorbed in (([1.0, 0.5], 0.0), ([-1.0, -0.5], 5.375)):  # the outputs 8 − 2 and 8 − 3.25
        networks = Perceptrons(Architecture(2, (), 1), (torch.tensor([[weight]]),), (torch.tensor([[8.0]]),))
        found = LRP().attribute(networks, evaluation)
        torch.testing.assert_close(found.details["absorbed"], torch.tensor([absorbed]), rtol=1e-5, atol=1e-5)


# The γ and αβ rules: contributions z_ij = h_i w_ji of one layer, unit by unit, from their papers.

def gamma_layer(h: Tensor, weight: Tensor, bias: Tensor, relevance: Tensor, gamma: float) -> Tensor:
    """Montavon et al. (2019), the bias as the weight of a neuron that is always 1; mirrored for units below zero."""
    below = torch.zeros_like(h)
    for w, b, r in zip(weight, bias, relevance, strict=True):
        parts = torch.cat([h * w, b[None]])
        side = 1.0 if parts.sum() >= 0 else -1.0
        favoured = parts + gamma * side * (side * parts).clamp(min=0)
        below += (favoured / favoured.sum() * r)[:-1]
    return below


def alpha_beta_layer(h: Tensor, weight: Tensor, bias: Tensor, relevance: Tensor, alpha: float) -> Tensor:
    """Bach et al. (2015), with β = α − 1; a part of which there is nothing passes nothing."""
    below = torch.zeros_like(h)
    for w, b, r in zip(weight, bias, relevance, strict=True):
        parts = torch.cat([h * w, b[None]])
        for factor, half in ((alpha, parts.clamp(min=0)), (1 - alpha, parts.clamp(max=0))):
            if half.sum() != 0:
                below += (factor * half / half.sum() * r)[:-1]
    return below


def slow(rule: Callable[..., Tensor], networks: Perceptrons, evaluation: Evaluation, member: int,
         option: float) -> Tensor:
    """A rule of one layer and row, carried down from the explained output in float64."""
    values = []
    for row in range(len(evaluation.inputs)):
        *layers, output = [a[member, row].double() for a in networks.activations(evaluation.inputs)]
        explained = 0 if evaluation.explained is None else int(evaluation.explained[member, row])
        relevance = torch.zeros_like(output)
        relevance[explained] = output[explained]
        for h, weight, bias in zip(layers[::-1], networks.weights[::-1], networks.biases[::-1], strict=True):
            relevance = rule(h, weight[member].double(), bias[member].double(), relevance, option)
        values.append(relevance)
    return sum_groups(torch.stack(values), evaluation.groups).float()


@by_case
@pytest.mark.parametrize(("kind", "rule", "option", "other"), [
    (LRPGamma, gamma_layer, 0.25, 2.0), (LRPGamma, gamma_layer, 2.0, 0.25),
    (LRPAlphaBeta, alpha_beta_layer, 2.0, 1.0), (LRPAlphaBeta, alpha_beta_layer, 1.0, 2.0)])
def test_rules_equal_a_slow_version_of_their_papers(kind: type, rule: Callable[..., Tensor], option: float,
                                                    other: float, case: Case) -> None:
    networks = with_biases(case, 3.0)
    found, control = (kind(number).attribute(networks, case.evaluation).values for number in (option, other))
    for member in range(len(networks)):
        expected = slow(rule, networks, case.evaluation, member, option)
        torch.testing.assert_close(found[member], expected, rtol=2e-4, atol=2e-5 * float(expected.abs().max()))
        assert not torch.allclose(control[member], expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_limits_of_the_rules(task: str) -> None:
    case = make_case(task, task)
    networks, bare = with_biases(case, 3.0), with_biases(case, 0.0)

    def values(scorer: LRP | LRPEpsilon | LRPGamma | LRPAlphaBeta, networks: Perceptrons) -> Tensor:
        return scorer.attribute(networks, case.evaluation).values

    torch.testing.assert_close(values(LRPGamma(1e-7), networks), values(LRPEpsilon(1e-7), networks),
                               rtol=1e-3, atol=1e-3)
    assert (values(LRPGamma(1.0), networks) - values(LRPEpsilon(1e-7), networks)).abs().max() > 0.05
    torch.testing.assert_close(values(LRPAlphaBeta(1.0), bare), values(LRP(), bare), rtol=1e-4, atol=1e-5)
    # As γ grows, z⁺ remains where the output is above zero; below it, its mirror image, what makes the output low.
    output = bare.outputs(case.evaluation.inputs)
    explained = explained_output(output, case.evaluation.explained)
    above, far = explained > 0.05, values(LRPGamma(1e6), bare)
    torch.testing.assert_close(far[above], values(LRP(), bare)[above], rtol=1e-3, atol=1e-4)
    assert (values(LRPGamma(0.25), bare)[above] - values(LRP(), bare)[above]).abs().max() > 0.01


def test_what_biases_absorb_is_all_that_the_gamma_rule_loses() -> None:
    case = make_case("regression", "regression")
    networks, bare = with_biases(case, 3.0), with_biases(case, 0.0)
    assert (LRPGamma().attribute(bare, case.evaluation).details["absorbed"] < 1e-4).all()
    assert (LRPGamma().attribute(networks, case.evaluation).details["absorbed"] > 0.05).all()
    # αβ conserves where every unit is excited and inhibited: x = (1, 1), w = (2, −1), so z⁺ = 2, z⁻ = −1, f = 1.
    evaluation = Evaluation(torch.ones(1, 2), torch.zeros(1), torch.zeros(1, 2), torch.zeros(1), torch.zeros(2),
                            {"a": (0,), "b": (1,)}, "regression")
    for weight, expected in (([2.0, -1.0], [2.0, -1.0]), ([2.0, 1.0], [4.0, 2.0])):  # α = 2: 2 · 1, −1 · 1; 2 · 3 of 3
        one = Perceptrons(Architecture(2, (), 1), (torch.tensor([[weight]]),), (torch.zeros(1, 1),))
        found = LRPAlphaBeta(2.0).attribute(one, evaluation)
        torch.testing.assert_close(found.values, torch.tensor([[expected]]))
        torch.testing.assert_close(found.details["absorbed"], torch.tensor([abs(sum(expected) - sum(weight))]),
                                   atol=1e-6, rtol=0)


def test_alpha_is_at_least_one() -> None:
    with pytest.raises(InputError, match="alpha"):
        LRPAlphaBeta(0.5)
