"""Baselines: every kind, by every scorer that has one, against Captum called directly; what is drawn, and by whom."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from baseline_cases import GROUPS, KINDS, ROW, SEED, TABLE, by_hand, case
from captum_cases import ASKED, directly
from reference import captum_alone
from second_device import ELSEWHERE, second_device
from test_scorer_shapley import captum_shapley
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Activation
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation, sum_groups
from attribution_suite.scorers.baselines import DRAWN, baseline_row
from attribution_suite.scorers.choice import Choice, baseline_of, layer_of, traits_of
from attribution_suite.scorers.shapley_sampling import drawn_orders

OURS = ("integrated_gradients", "smooth_integrated_gradients", "deep_lift", "gradient_shap", "feature_ablation",
        "layer_conductance")
CAPTUMS = ("captum:IntegratedGradients?n_steps=7", "captum:DeepLiftShap", "captum:GradientShap",
           "captum:ShapleyValueSampling?n_samples=3", "captum:Occlusion?sliding_window_shapes=2&strides=2",
           "captum:LayerFeatureAblation", "captum:LayerDeepLift", "captum:NeuronIntegratedGradients@1:2",
           "captum:NoiseTunnel(IntegratedGradients)?n_steps=5&stdevs=0.5")
FROM_MANY = ("gradient_shap", "captum:GradientShap", "captum:DeepLiftShap")  # they are given them all at once


def by_captum(name: str, networks: Perceptrons, evaluation: Evaluation, baselines: Tensor) -> Tensor:
    """φ of network 1 by Captum, one baseline after the other, or all given at once."""
    one_by_one = [replace(evaluation, baseline=row, baseline_kind=None) for row in baselines]
    if name in FROM_MANY:
        many = baselines if len(baselines) > 1 or name != "captum:DeepLiftShap" else baselines.repeat(2, 1)
        one_by_one = [replace(evaluation, background=many, baseline_kind=None)]
    values = []
    for seen in one_by_one:
        if name in ASKED:
            values.append(directly(name, networks, seen, 1))
            continue
        columns = captum_alone(name, networks, seen, 1)
        summed = name not in ("feature_ablation", "layer_conductance")
        first = [place for place, *_ in GROUPS.values()]
        values.append(sum_groups(columns, seen.groups) if summed else
                      columns if name == "layer_conductance" else columns[:, first])
    return torch.stack(values).mean(0)


@pytest.mark.parametrize(("name", "activation", "kind"), [
    *product(OURS, ["relu", "tanh"], KINDS), *product(CAPTUMS, ["tanh"], ["median", "distribution"])])
def test_equals_captum_by_every_baseline(name: str, activation: Activation, kind: str) -> None:
    networks, evaluation = case(activation, kind)
    layer = 1 if name == "layer_conductance" or ":Layer" in name else 0
    values = Choice(name).attribute(networks, evaluation, layer).values[1]
    many = evaluation.background[:50] if kind == "distribution" and name in FROM_MANY else by_hand(kind)
    torch.testing.assert_close(values, by_captum(name, networks, evaluation, many), rtol=1e-4, atol=3e-6)
    wrong = by_captum(name, networks, evaluation, by_hand("mean" if kind == "zero" else "zero"))
    assert not torch.allclose(values, wrong, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_shapley_values_equal_captums(kind: str) -> None:
    networks, evaluation = case("relu", kind)
    attribution = Choice("shapley_sampling?permutations=8").attribute(networks, evaluation)
    orders = drawn_orders(4, 4, SEED)
    each = [captum_shapley(networks, replace(evaluation, baseline=row), 1, torch.cat([orders, orders.flip(1)]))
            for row in by_hand(kind)]
    torch.testing.assert_close(attribution.values[1], torch.stack(each).mean(0), rtol=1e-4, atol=3e-6)
    assert (attribution.completeness_gap < 1e-5).all() and (attribution.details["standard_error"] > 0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_values_sum_to_the_distance_from_the_baseline(kind: str) -> None:
    """Σφ = f(x) − f(b); over a distribution, minus the mean of f(b). Another baseline's f(b) is missed."""
    for name, activation in (("integrated_gradients", "tanh"), ("deep_lift", "tanh"), ("deep_lift", "relu"),
                             ("layer_conductance?steps=400", "tanh")):
        networks, evaluation = case(activation, kind)
        attribution = Choice(name).attribute(networks, evaluation, int("layer" in name))
        gaps = []
        for other in (kind, "mean" if kind == "zero" else "zero"):
            net, explained = networks.to_module(1).requires_grad_(False), evaluation.explained[1][:, None]
            start = net(by_hand(other)).mean(0).expand(4, -1)
            distance = (net(evaluation.inputs) - start).gather(1, explained)[:, 0]
            gaps.append(float((attribution.values[1].sum(1) - distance).abs().mean() / distance.abs().mean()))
        assert gaps[0] < (2e-2 if "layer" in name else 1e-4) < 5e-2 < gaps[1]
        assert float(attribution.completeness_gap[1]) == pytest.approx(gaps[0], abs=1e-5)


def test_the_rows_that_stand_for_the_training_rows() -> None:
    networks, evaluation = case("relu", "distribution")
    rows = {tuple(row) for row in TABLE.train.inputs[:50].tolist()}
    drawn = [tuple(row) for row in evaluation.baselines.tolist()]
    assert len(drawn) == len(set(drawn)) == DRAWN and set(drawn) < rows
    assert {tuple(row) for row in replace(evaluation, seed=SEED + 1).baselines.tolist()} != set(drawn)
    hidden = evaluation.at_layer(networks, 1).baselines  # the activations of the same rows
    torch.testing.assert_close(hidden, networks.activations(evaluation.baselines)[1])


def test_seeds_have_baselines_of_their_own_and_share_them_with_their_edits() -> None:
    networks, evaluation = case("relu", "distribution")
    four = networks.select([0, 0, 0, 0])  # an original and an edit for each of two seeds
    seen = evaluation.for_members(torch.tensor([0, 0, 0, 0]))
    values = Choice("deep_lift").attribute_seeds(four, seen, 0, [3, 9]).values
    torch.testing.assert_close(values[[0, 2]], values[[1, 3]])
    assert not torch.allclose(values[0], values[2], rtol=1e-3)
    points = Choice("deep_lift").attribute_seeds(four, replace(seen, baseline_kind=None), 0, [3, 9]).values
    torch.testing.assert_close(points[0], points[2])  # the control: nothing is drawn


def test_a_row_of_the_whole_table_on_the_scale_of_the_inputs() -> None:
    scaled = replace(TABLE, scaling="standard")
    assert torch.equal(baseline_row(scaled, f"row:{ROW}"), scaled.test.inputs[4])
    assert baseline_row(scaled, "mean").abs().max() < 1e-6 < 0.1 < baseline_row(scaled, "median").abs().max()
    with pytest.raises(InputError, match=r"option 'baseline': row 90 of table: .* header, to 89"):
        baseline_row(TABLE, "row:90")


def test_no_baseline_named_is_each_scorers_own() -> None:
    networks, evaluation = case("relu", None)
    zero = case("relu", "zero")[1]
    for name in ("integrated_gradients", "deep_lift", "feature_ablation"):
        plain, named = (Choice(name).attribute(networks, seen).values for seen in (evaluation, zero))
        assert torch.equal(plain, named)
    plain, named, drawn = (Choice("gradient_shap").attribute(networks, seen).values for seen in (
        evaluation, zero, case("relu", "distribution")[1]))
    assert torch.equal(plain, drawn) and not torch.allclose(plain, named, rtol=1e-2)
    assert [baseline_of(name, None) for name in ("deep_lift", "gradient_shap", "captum:DeepLiftShap", "lime")] == [
        "zero", "distribution", "distribution", ""]


@pytest.mark.parametrize("name", [*SCORERS.names, *ASKED])
def test_a_baseline_moves_exactly_the_scorers_that_declare_one(name: str) -> None:
    """Else a run would call what it ignored obeyed, or the reverse."""
    choice, traits = Choice(name, {"samples": 50} if name == "lime" else {}), traits_of(name)
    layer = layer_of(name) or int(traits.below)
    zero, mean = (choice.attribute(networks, evaluation, layer).scores
                  for networks, evaluation in (case("relu", "zero"), case("relu", "mean")))
    assert torch.equal(zero, mean) is (traits.baseline == "")


@pytest.mark.parametrize("kind", ["mean", f"row:{ROW}", "distribution"])
def test_modules_too(kind: str) -> None:
    networks, evaluation = case("relu", kind)
    wrapped = Modules.wrap([networks.to_module(member) for member in range(2)], evaluation.background)
    for name in ("integrated_gradients", "deep_lift", "feature_ablation", "shapley_sampling"):
        values = (Choice(name).attribute(kept, evaluation).values for kept in (networks, wrapped))
        torch.testing.assert_close(*values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", [*OURS, "shapley_sampling", "captum:IntegratedGradients?n_steps=7"])
def test_the_same_rows_are_drawn_for_a_gpu(name: str) -> None:
    networks, evaluation = case("relu", "distribution")
    layer = int(name == "layer_conductance")
    values = Choice(name).attribute(networks, evaluation, layer).values
    with second_device():
        away = Choice(name).attribute(networks.to(ELSEWHERE), evaluation.to(ELSEWHERE), layer).values.cpu()
    assert torch.equal(away, values)
