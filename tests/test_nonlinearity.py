"""Every activation of stacked weights against PyTorch's own module, autograd and Captum."""

import captum.attr
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attribution_suite.measures.worst_case.bends import bends
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.backward import Batch, PerceptronBackward
from attribution_suite.networks.nonlinearity import ACTIVATIONS
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.probe import RESCALED
from attribution_suite.scorers.deep_lift import multipliers

PYTORCH = {"relu": F.relu, "tanh": torch.tanh, "linear": lambda z: z, "sigmoid": torch.sigmoid, "gelu": F.gelu,
           "silu": F.silu, "leaky_relu": lambda z: F.leaky_relu(z, 0.3)}
FEATURES, ROWS = 5, 20


def networks_of(activation: Activation) -> Perceptrons:
    networks = Perceptrons.initialise(Architecture(FEATURES, (7, 6), 3, activation, 0.3), [3, 4])
    return Perceptrons(networks.architecture, tuple(3 * w for w in networks.weights), networks.biases)


def alone(networks: Perceptrons, member: int, first: Tensor) -> Tensor:
    """Outputs from the first pre-activation, with PyTorch's function and none of ours."""
    activate, value = PYTORCH[networks.architecture.activation], first
    for weight, bias in zip(networks.weights[1:], networks.biases[1:], strict=True):
        value = activate(value) @ weight[member].T + bias[member]
    return value


def rows(seed: int = 0) -> Tensor:
    return torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(seed))


def test_there_is_a_function_for_each() -> None:
    assert set(PYTORCH) == set(ACTIVATIONS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_and_gradients_are_pytorchs(activation: Activation) -> None:
    networks, inputs = networks_of(activation), rows()
    explained = networks.outputs(inputs).argmax(2)
    first = networks.first(inputs)
    gradient = networks.gradient(first, explained)
    for member in range(2):
        point = first[member].clone().requires_grad_()
        outputs = alone(networks, member, point)
        outputs.gather(1, explained[member][:, None]).sum().backward()
        torch.testing.assert_close(networks.outputs(inputs)[member], outputs.detach())
        torch.testing.assert_close(networks.to_sequential(member)(inputs), outputs)
        torch.testing.assert_close(networks.activations(inputs)[3][member], outputs.detach())
        torch.testing.assert_close(gradient[member], point.grad, rtol=1e-4, atol=1e-5)
    other = networks_of("tanh" if activation != "tanh" else "relu")
    assert not torch.allclose(other.outputs(inputs), networks.outputs(inputs), atol=1e-2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_training_step_has_autograds_gradient(activation: Activation) -> None:
    networks, inputs = networks_of(activation), rows()
    targets = inputs[:, :3].argmax(1)
    loop = PerceptronBackward(networks, "multiclass", 1)
    batch = Batch(inputs[None], targets[None])
    loop.backward(batch)
    slopes = loop.first_slope(batch)
    for member in range(2):
        module = networks.to_sequential(member)
        before = module[0](inputs).detach().requires_grad_()
        F.cross_entropy(module(inputs), targets).backward()
        F.cross_entropy(alone(networks, member, before), targets).backward()
        linears = [layer for layer in module if isinstance(layer, nn.Linear)]
        expected = [linear.weight.grad for linear in linears] + [linear.bias.grad for linear in linears]
        for found, wanted in zip(loop.views(loop.gradient), expected, strict=True):
            torch.testing.assert_close(found[member], wanted, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(slopes[member], before.grad.T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_deep_lift_is_complete_and_captums_where_captum_has_a_rule(activation: Activation) -> None:
    networks, inputs, zero = networks_of(activation), rows(), torch.zeros(1, FEATURES)
    explained = networks.outputs(inputs).argmax(2)
    first, base = networks.first(inputs), networks.first(zero)
    values = torch.bmm(multipliers(networks, first, base, explained), networks.first_weight) * inputs
    change = (networks.outputs(inputs) - networks.outputs(zero)).gather(2, explained[..., None])[..., 0]
    torch.testing.assert_close(values.sum(2), change, rtol=1e-4, atol=1e-4)
    still = multipliers(networks, base, base, explained[:, :1])  # no difference anywhere: the derivative
    torch.testing.assert_close(still, networks.gradient(base, explained[:, :1]))
    for member in range(2):
        module = networks.to_sequential(member)
        with pytest.warns(UserWarning, match="Setting forward, backward hooks"):
            alone = captum.attr.DeepLift(module).attribute(inputs, zero, target=explained[member])
        if type(module[1]) in RESCALED or activation == "linear":
            torch.testing.assert_close(values[member], alone.detach(), rtol=1e-3, atol=1e-4)
        else:  # Captum takes the derivative, and its values miss f(x) − f(0)
            assert activation in ("gelu", "silu") and (alone.sum(1) - change[member]).abs().max() > 0.1


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "silu"])
def test_bends_are_the_largest_derivatives_of_a_piece(activation: Activation) -> None:
    generator, dense = torch.Generator().manual_seed(1), 2000
    ends = torch.cat([6 * torch.randn(400, generator=generator, dtype=torch.float64),
                      torch.linspace(-8, 8, 400, dtype=torch.float64)])
    low, high = torch.minimum(ends[1:], ends[:-1]), torch.maximum(ends[1:], ends[:-1])
    z = torch.lerp(low, high, torch.linspace(0, 1, dense, dtype=torch.float64)[:, None]).requires_grad_()
    slope = torch.autograd.grad(PYTORCH[activation](z).sum(), z, create_graph=True)[0]
    curve = torch.autograd.grad(slope.sum(), z)[0]
    pre, none = ends[None, :, None], torch.zeros(1, 1, 1, dtype=torch.float64)
    for bound, seen in zip(bends(activation, pre, PYTORCH[activation](pre), none), (slope, curve), strict=True):
        largest = seen.detach().abs().amax(0)
        assert (bound[0, :, 0] >= largest - 1e-12).all()
        torch.testing.assert_close(bound[0, :, 0], largest, rtol=0, atol=2e-4)  # and no larger: the grid's rounding
    sag = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    wider = bends(activation, pre, PYTORCH[activation](pre), sag)
    beyond = bends(activation, torch.stack([low - 0.5, high + 0.5])[None], PYTORCH[activation](
        torch.stack([low - 0.5, high + 0.5]))[None], torch.zeros(1, 1, 1, dtype=torch.float64))
    for bound, least in zip(wider, beyond, strict=True):
        assert (bound[0, :, 0] >= least[0, 0] - 1e-12).all()
