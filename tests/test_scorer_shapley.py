"""Sampled Shapley values: Captum's for the same orders, exact ones for all orders, and the sampling error."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import captum.attr
import pytest
import torch
from cases import CASES, Case, make_case
from torch import Tensor

from attribution_suite.auditing.spec import make_spec
from attribution_suite.errors import InputError
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.shapley_sampling import ShapleySampling, by_orders, drawn_orders

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def captum_shapley(networks: Perceptrons, evaluation: Evaluation, member: int, orders: Tensor | None) -> Tensor:
    """φ `[rows, features]` of one network by Captum: for these orders, exact by all of them if that is None."""
    mask = torch.zeros(1, evaluation.inputs.shape[-1], dtype=torch.int64)
    for number, columns in enumerate(evaluation.groups.values()):
        mask[0, list(columns)] = number
    words = {"target": 0 if evaluation.explained is None else evaluation.explained[member], "feature_mask": mask}
    network = networks.to_module(member)
    if orders is None:
        method = captum.attr.ShapleyValues(network)
    else:
        def told(features: int, samples: int) -> Iterator[list[int]]:
            assert (features, samples) == (orders.shape[1], len(orders))
            yield from orders.tolist()

        method, words["n_samples"] = captum.attr.ShapleyValueSampling(network), len(orders)
        method.permutation_generator = told
    inputs, baseline = (values if values.dim() == 2 else values[member]
                        for values in (evaluation.inputs, evaluation.baseline[None]))
    values = method.attribute(inputs, baseline, **words).detach()
    return values[:, [columns[0] for columns in evaluation.groups.values()]]


def check_equal(found: Tensor, expected: Tensor) -> None:
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


@by_case
def test_equals_captum_for_the_same_orders(case: Case) -> None:
    found = ShapleySampling(8).attribute(case.networks, case.evaluation)
    drawn = drawn_orders(len(case.evaluation.groups), 4, case.evaluation.seed)
    other = drawn_orders(len(case.evaluation.groups), 4, case.evaluation.seed + 1)
    for member in range(len(case.networks)):
        expected = captum_shapley(case.networks, case.evaluation, member, torch.cat([drawn, drawn.flip(1)]))
        check_equal(found.values[member], expected)
        if case.name != "linear":  # the control: the order counts, but not where features only add up
            wrong = captum_shapley(case.networks, case.evaluation, member, torch.cat([other, other.flip(1)]))
            assert float((found.values[member] - wrong).abs().max() / wrong.abs().max()) > 1e-3
    assert (found.completeness_gap < 1e-5).all()


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_all_orders_give_the_exact_values(task: str) -> None:
    case = make_case("all orders", task, groups={"a": (0,), "b": (1, 2, 3), "c": (4,), "d": (5,)})
    whole = by_orders("all", case.networks, case.evaluation, torch.tensor(list(permutations(range(4)))))
    some = by_orders("some", case.networks, case.evaluation, torch.tensor([[0, 1, 2, 3], [1, 0, 2, 3]]))
    for member in range(len(case.networks)):
        exact = captum_shapley(case.networks, case.evaluation, member, None)
        check_equal(whole.values[member], exact)
        assert float((some.values[member] - exact).abs().max()) > 1e-3  # the control


def test_the_standard_error_is_the_spread_over_draws() -> None:
    """Of 200 draws of four pairs, the spread of φ and of the score is what each draw says of itself."""
    case = make_case("spread", "regression")
    networks, evaluation = case.networks.select([0]), case.evaluation.with_rows(4)
    draws = [ShapleySampling(8).attribute(networks, replace(evaluation, seed=seed)) for seed in range(200)]
    for values, said in (([draw.values for draw in draws], "standard_error_local"),
                         ([draw.scores for draw in draws], "standard_error")):
        spread = torch.stack(values).var(0)
        expected = torch.stack([draw.details[said] for draw in draws]).square().mean(0)
        assert expected.shape == spread.shape
        large = spread > spread.max() / 10
        ratio = (expected[large].mean() / spread[large].mean()).item()
        assert 0.75 < ratio < 1.33, said  # without pairs, or without the square root of their number, far outside


def test_seeds_draw_for_themselves_and_options_are_checked() -> None:
    assert not torch.equal(drawn_orders(9, 4, 0), drawn_orders(9, 4, 1))
    assert torch.equal(drawn_orders(9, 4, 1).sort(1).values, torch.arange(9).expand(4, -1))
    for permutations_ in (2, 7):
        with pytest.raises(InputError, match="permutations"):
            ShapleySampling(permutations_)


def test_a_run_that_names_no_scorers_leaves_out_what_is_no_default() -> None:
    extra = {"shapley_sampling", "lrp_gamma", "lrp_alpha_beta"}
    assert set(make_spec(["iris"]).scorers) == set(SCORERS.names) - extra
    assert make_spec(["iris"], scorers=["all"]).scorers == tuple(SCORERS.names)
