"""Quadratures on [0, 1]: where Captum calls the network, exact for polynomials; gradients that are not multiplied."""

import ast
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from baseline_cases import SEED, by_hand, case
from torch import Tensor

import attribution_suite.scorers
from attribution_suite.errors import InputError
from attribution_suite.scorers.attribution import sum_groups
from attribution_suite.scorers.choice import Choice
from attribution_suite.scorers.pieces import quadrature


@pytest.mark.parametrize("steps", [1, 2, 7, 50, 51])
def test_nodes_are_where_captum_looks(steps: int) -> None:
    """From 0 to 1 the point on the path is the node; Captum asks for all of them in one call, after the two ends."""
    seen: list[Tensor] = []

    def network(rows: Tensor) -> Tensor:
        seen.append(rows.detach().flatten())
        return rows.sum(1)

    captum.attr.IntegratedGradients(network).attribute(torch.ones(1, 1), torch.zeros(1, 1), n_steps=steps)
    nodes = next(points for points in seen if len(points) == steps)
    torch.testing.assert_close(quadrature(steps)[1], nodes, rtol=0, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_polynomials_are_integrated_exactly_up_to_twice_the_nodes(steps: int) -> None:
    weights, nodes = (values.double() for values in quadrature(steps))
    for power in range(2 * steps):
        assert float(weights @ nodes**power) == pytest.approx(1 / (power + 1), abs=1e-6)
    assert abs(float(weights @ nodes ** (2 * steps)) - 1 / (2 * steps + 1)) > 1e-8  # and not further


def test_scorers_import_nothing_private() -> None:
    """A part of a package that begins with an underscore may change with any release."""
    for path in Path(attribution_suite.scorers.__file__).parent.glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not [node.module for node in imports if "._" in f"{node.module}"], path.name


# Quadratures, and gradients that are not multiplied.

@pytest.mark.parametrize("method", ["riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"])
def test_quadratures_are_captums(method: str) -> None:
    networks, evaluation = case("tanh", "mean")
    net, target, start = networks.to_module(1), evaluation.explained[1], by_hand("mean")
    for name, layer, expected in (
            ("integrated_gradients", 0, captum.attr.IntegratedGradients(net).attribute(
                evaluation.inputs, start, target=target, n_steps=6, method=method)),
            ("layer_conductance", 1, captum.attr.LayerConductance(net, net[1]).attribute(
                evaluation.inputs, start, target=target, n_steps=6, method=method))):
        values, other = (Choice(f"{name}?steps=6&method={kind}").attribute(networks, evaluation, layer).values[1]
                         for kind in (method, "gausslegendre"))
        expected = expected.detach() if layer else sum_groups(expected, evaluation.groups)
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-6)
        assert not torch.allclose(values, other, rtol=1e-3)


def test_gradients_that_are_not_multiplied_are_captums() -> None:
    networks, evaluation = case("tanh", "mean")
    net, target, start = networks.to_module(1), evaluation.explained[1], by_hand("mean")
    calls: dict[str, Any] = {
        "integrated_gradients": lambda: captum.attr.IntegratedGradients(net, False).attribute(
            evaluation.inputs, start, target=target),
        "smooth_integrated_gradients?method=riemann_middle&steps=9": lambda: captum.attr.NoiseTunnel(
            captum.attr.IntegratedGradients(net, False)).attribute(
                evaluation.inputs, nt_samples=5, stdevs=0.1, baselines=start, target=target, n_steps=9,
                method="riemann_middle"),
        "deep_lift": lambda: captum.attr.DeepLift(net, False).attribute(
            evaluation.inputs, start.expand(4, -1), target=target),
        "gradient_shap": lambda: captum.attr.GradientShap(net, False).attribute(
            evaluation.inputs, start, n_samples=5, target=target)}
    for name, call in calls.items():
        torch.manual_seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002 - what Captum draws from
        expected = sum_groups(call().detach(), evaluation.groups)
        attribution = Choice(name, {"multiply_by_inputs": False}).attribute(networks, evaluation)
        torch.testing.assert_close(attribution.values[1], expected, rtol=1e-4, atol=1e-6)
        assert attribution.completeness_gap is None  # a mean gradient sums to nothing
        multiplied = Choice(name).attribute(networks, evaluation).values[1]
        assert not torch.allclose(attribution.values[1], multiplied, rtol=1e-2)


@pytest.mark.parametrize(("name", "message"), [
    ("integrated_gradients?method=simpson", "option 'method' of integrated_gradients must be one of gausslegendre"),
    ("layer_conductance?method=simpson", "option 'method' of layer_conductance must be one of"),
    ("smooth_integrated_gradients?method=riemann_left&steps=1", "option 'steps' of smooth_.* of at least 2, got 1"),
    ("deep_lift?multiply_by_inputs=3", "option 'multiply_by_inputs' of deep_lift must be True or False"),
    ("gradient_shap?multiply_by_inputs=no", "option 'multiply_by_inputs' of gradient_shap must be True or False"),
])
def test_wrong_options_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Choice(name)
