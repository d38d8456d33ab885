"""Cut units and layers' importances, against networks that are really cut, scipy, autograd and slow relevance."""

import numpy as np
import pytest
import torch
from cases import CASES, MEMBERS, Case
from scipy.stats import entropy, norm
from torch import nn

from attribution_suite.errors import InputError
from attribution_suite.measures.divergence import gaussian_kl
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.outputs import task_loss
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.references import definitions
from attribution_suite.units.cuts import cuts
from attribution_suite.units.importances import layer_importances

hidden_case = pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case.name)


@pytest.mark.parametrize(("mean", "deviation", "other", "spread"), [
    (0.0, 1.0, 0.0, 2.0), (1.0, 0.5, -0.5, 0.8), (0.3, 1.2, 0.3, 1.2), (2.0, 1.0, 0.0, 1.0)])
def test_the_closed_form_is_scipys_entropy_on_a_fine_grid(mean: float, deviation: float, other: float,
                                                          spread: float) -> None:
    along = np.linspace(-12, 12, 20_001)
    expected = entropy(norm.pdf(along, mean, deviation), norm.pdf(along, other, spread))
    assert gaussian_kl(mean, deviation**2, other, spread**2) == pytest.approx(expected, abs=1e-7)
    turned = gaussian_kl(other, spread**2, mean, deviation**2)
    assert (deviation == spread) or turned != pytest.approx(expected, rel=1e-3)  # it has a direction


def test_points_have_no_density() -> None:
    assert gaussian_kl(1.0, 0.0, 1.0, 0.0) == 0 and gaussian_kl(1.0, 2.0, 1.0, 0.0) == np.inf
    assert np.isnan(gaussian_kl(1.0, 0.0, 1.0, 2.0))
    with pytest.raises(InputError, match="below zero"):
        gaussian_kl(0.0, -1.0, 0.0, 1.0)


@hidden_case
def test_cuts_are_those_of_networks_that_are_cut(case: Case) -> None:
    """Each unit's outgoing weights set to zero in a copy, the rows run again, means and variances taken anew."""
    inputs, table = case.evaluation.inputs, cuts(case.networks, case.evaluation.inputs, [1, 2])
    assert len(table) == MEMBERS * sum(case.networks.architecture.hidden)
    for row in table.itertuples():
        before, after = (case.networks.to_module(row.member)[:2 * row.layer + 1].double() for _ in range(2))
        after[2 * row.layer].weight.data[:, row.unit] = 0
        old, new = (module(inputs.double()).detach().numpy() for module in (before, after))
        live = old.std(0) > 1e-9
        divergence = [np.inf if b.std() < 1e-9 else np.log(b.std() / a.std())
                      + (a.var() + (a.mean() - b.mean()) ** 2) / (2 * b.var()) - 0.5
                      for a, b in zip(old.T[live], new.T[live], strict=True)]
        shift = np.abs(new.mean(0) - old.mean(0))[live] / old.std(0)[live]
        assert (row.kl, row.kl_most) == pytest.approx((np.mean(divergence), np.max(divergence)), rel=1e-3, abs=1e-5)
        assert (row.mean_shift, row.mean_shift_most) == pytest.approx((shift.mean(), shift.max()), rel=1e-3, abs=1e-5)
        assert divergence[np.flatnonzero(live).tolist().index(row.moved_most)] == pytest.approx(
            max(divergence), rel=1e-3, abs=1e-5)


def test_a_unit_that_nothing_reads_moves_nothing() -> None:
    """Negative controls: no outgoing weight, no change at all; a constant unit moves means and not the spread."""
    first = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [-1.0, -1.0]]])
    last = torch.tensor([[[1.0, 0.0, 2.0, 1.0]]])
    networks = Perceptrons(Architecture(2, (4,), 1), (first, last),
                           (torch.tensor([[0.0, 0, 3, -100]]), torch.ones(1, 1)))
    inputs = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    table = cuts(networks, inputs, [1]).set_index("unit")
    assert table.kl[1] == 0 and table.mean_shift[1] == 0 and table.kl[3] == 0  # not read; dead
    spread = float(inputs[:, 0].relu().std(correction=0))
    assert table.mean_shift[2] == pytest.approx(6 / spread, rel=1e-5)
    assert table.kl[2] == pytest.approx((6 / spread) ** 2 / 2, rel=1e-4)
    assert np.isinf(table.kl[0]) and table.moved_most[0] == 0  # what was left of the output is a constant
    still = cuts(networks.with_first_layer(torch.zeros_like(first), torch.ones(1, 4)), inputs, [1])
    assert still[["kl", "mean_shift"]].isna().all(axis=None) and (still.moved_most == -1).all()
    with pytest.raises(InputError, match="hidden layers 1 to 1, not in layer 2"):
        cuts(networks, inputs, [1, 2])


@hidden_case
def test_every_layers_importances_are_those_of_the_whole_network(case: Case) -> None:
    """gradient × weight of each Linear by autograd through the whole network; relevance from the output down."""
    table = layer_importances(case.networks, case.evaluation)
    depth, evaluation = case.networks.architecture.depth, case.evaluation
    assert set(table.layer) == set(range(depth))
    assert np.allclose(table.groupby(["member", "layer", "scorer"]).share.sum(), 1, atol=1e-5)
    for member in range(MEMBERS):
        module = case.networks.to_module(member)
        linears = [step for step in module if isinstance(step, nn.Linear)]
        loss = task_loss(module(evaluation.background)[None], evaluation.background_targets, evaluation.task).sum()
        gradients = torch.autograd.grad(loss, [linear.weight for linear in linears])
        for layer, (linear, gradient) in enumerate(zip(linears, gradients, strict=True)):
            of_layer = table[(table.member == member) & (table.layer == layer)]
            products = (gradient.abs() * linear.weight.detach().abs()).mean(0)
            at_layer = evaluation.at_layer(case.networks, layer).alone(member)
            rest = nn.Sequential(*list(module)[2 * layer:])
            slow = definitions.lrp(rest, at_layer, range(len(evaluation.inputs))).abs().mean(0)
            if layer == 0:
                products = torch.stack([products[list(columns)].sum() for columns in evaluation.groups.values()])
            else:
                assert of_layer.node.iloc[0] == "unit:0"
            for scorer, expected in (("gradient_weight", products), ("lrp", slow)):
                found = of_layer[of_layer.scorer == scorer].score
                np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)
