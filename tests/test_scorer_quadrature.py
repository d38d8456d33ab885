"""Gauss-Legendre nodes on [0, 1]: where Captum calls the network, and exact for polynomials."""

import ast
from pathlib import Path

import captum.attr
import pytest
import torch
from torch import Tensor

import attribution_suite.scorers
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
