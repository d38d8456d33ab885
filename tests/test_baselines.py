"""Baselines: each kind by hand and through Captum called directly, where they apply, and what a run says of them."""

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from captum_cases import ASKED, directly
from command import NO_DATA, call_main
from reference import captum_alone
from test_scorer_shapley import captum_shapley
from torch import Tensor
from xgboost import XGBRegressor

from attribution_suite import attribute, audit, from_arrays
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work.checks import Checks
from attribution_suite.conclusions.baselines import baseline_sentence
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.predictors import Predictors
from attribution_suite.scorers.attribution import Evaluation, sum_groups
from attribution_suite.scorers.baselines import DRAWN, baseline_row
from attribution_suite.scorers.choice import Choice, baseline_of
from attribution_suite.scorers.shapley_sampling import drawn_orders

pytestmark = pytest.mark.usefixtures("plain")
DRAWS = np.random.default_rng(8)
COLOUR = np.eye(3)[DRAWS.integers(3, size=90)]
ROWS = np.column_stack([DRAWS.normal(1, 1, (90, 2)), COLOUR, DRAWS.exponential(1, 90)])
SCORE = ROWS[:, 0] * ROWS[:, 5] + ROWS[:, 2] - ROWS[:, 1]
GROUPS = {"a": (0,), "b": (1,), "colour": (2, 3, 4), "d": (5,)}
TABLE = replace(from_arrays(ROWS, np.digitize(SCORE, [-0.5, 0.5]), task="multiclass",
                            groups={"colour": [2, 3, 4]}, feature_names=["a", "b", "c1", "c2", "c3", "d"]),
                preset=Preset("default", (6, 4), Training(6, 16, 0.02), tuning_epochs=2))
ROW = int(TABLE.test_rows[4])  # of the whole table: one that no training row is
POINTS = ("zero", "mean", "median", f"row:{ROW}")
KINDS = (*POINTS, "distribution")
SEED = 4
OURS = ("integrated_gradients", "smooth_integrated_gradients", "deep_lift", "gradient_shap", "feature_ablation",
        "layer_conductance")
CAPTUMS = ("captum:IntegratedGradients?n_steps=7", "captum:DeepLiftShap", "captum:GradientShap",
           "captum:ShapleyValueSampling?n_samples=3", "captum:Occlusion?sliding_window_shapes=2&strides=2",
           "captum:LayerFeatureAblation", "captum:LayerDeepLift", "captum:NeuronIntegratedGradients@1:2",
           "captum:NoiseTunnel(IntegratedGradients)?n_steps=5&stdevs=0.5")
FROM_MANY = ("gradient_shap", "captum:GradientShap", "captum:DeepLiftShap")  # they are given them all at once


@cache
def case(activation: Activation, kind: str | None) -> tuple[Perceptrons, Evaluation]:
    networks = Perceptrons.initialise(Architecture(6, (7, 5), 3, activation), [1, 2])
    networks = Perceptrons(networks.architecture, tuple(2 * weight for weight in networks.weights), networks.biases)
    return networks, replace(Evaluation.of(TABLE, networks, 4, 50, kind), seed=SEED)


def by_hand(kind: str) -> Tensor:
    """The baselines `[baselines, columns]`, from the rows of the table as the user has them (it is not scaled)."""
    training = ROWS[TABLE.train_rows]
    rows = {"zero": np.zeros((1, 6)), "mean": training.mean(0)[None], "median": np.median(training, axis=0)[None],
            f"row:{ROW}": ROWS[[ROW]]}
    return torch.from_numpy(rows[kind]).float() if kind in rows else case("relu", kind)[1].baselines


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
    with pytest.raises(InputError, match=r"option 'baseline' row:90: table has the rows 0 to 89"):
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


@pytest.mark.parametrize("kind", ["mean", f"row:{ROW}", "distribution"])
def test_modules_too(kind: str) -> None:
    networks, evaluation = case("relu", kind)
    wrapped = Modules.wrap([networks.to_module(member) for member in range(2)], evaluation.background)
    for name in ("integrated_gradients", "deep_lift", "feature_ablation", "shapley_sampling"):
        values = (Choice(name).attribute(kept, evaluation).values for kept in (networks, wrapped))
        torch.testing.assert_close(*values, rtol=1e-3, atol=1e-5)


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


# Estimators: a tree asks on which side of a value a row is, to the last bit.

@pytest.mark.parametrize("kind", [f"row:{int(TABLE.train_rows[0])}", "distribution"])
def test_estimators_see_the_baseline_to_the_last_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """XGBoost splits at values of the table, so that a baseline that is rounded falls on the other side."""
    table = from_arrays(ROWS, SCORE, task="regression", groups={"colour": [2, 3, 4]})
    kind = f"row:{int(table.train_rows[0])}" if kind != "distribution" else kind
    model = XGBRegressor(n_estimators=60, max_depth=6, n_jobs=1).fit(table.train.inputs.numpy(), table.train.targets)
    networks = as_ensemble(model, table)
    evaluation = replace(Evaluation.of(table, networks, 12, 50, kind), seed=SEED)
    orders = drawn_orders(4, 2, SEED)
    columns = [first for first, *_ in table.groups.values()]
    mask = torch.zeros(1, 6, dtype=torch.int64)
    for number, group in enumerate(table.groups.values()):
        mask[0, list(group)] = number

    def told(rows: Tensor) -> Tensor:
        return torch.from_numpy(model.predict(rows.numpy()))

    shapley = captum.attr.ShapleyValueSampling(told)
    shapley.permutation_generator = lambda *_: iter(torch.cat([orders, orders.flip(1)]).tolist())
    for name, options, method, words in (
            ("feature_ablation", {}, captum.attr.FeatureAblation(told), {}),
            ("shapley_sampling", {"permutations": 4}, shapley, {"n_samples": 4})):
        expected = torch.stack([method.attribute(evaluation.inputs, row[None], feature_mask=mask, **words)
                                for row in evaluation.baselines]).mean(0)[:, columns]
        values = Choice(name, options).attribute(networks, evaluation).values[0]
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
        monkeypatch.setattr(Predictors, "additive", True)  # the control: x − (x − b) is not b
        rounded = Choice(name, options).attribute(networks, evaluation).values[0]
        monkeypatch.undo()
        assert not torch.allclose(rounded, expected, rtol=1e-3, atol=1e-3)


# What a run says.

@pytest.mark.parametrize("kind", ["mode", "row:", "row:-1", "Mean", 3])
def test_what_is_no_baseline_is_refused(kind: Any) -> None:
    with pytest.raises(InputError, match="option 'baseline' must be zero, mean, median, row:N or distribution, got"):
        make_spec(["iris"], baseline=kind)


def test_a_scorer_without_a_baseline_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="option 'baseline' does not apply to saliency, where nothing is compared"):
        attribute(case("relu", None)[0], TABLE, "saliency", baseline="mean")
    with pytest.raises(InputError, match="option 'baseline' does not apply to lime, weights, where nothing is"):
        make_spec(["iris"], scorers=["lime", "weights", "random"], baseline="mean")
    status, _, err = call_main("attribute", "iris", "--scorers", "deep_lift", "--baseline", "row:150", cwd=tmp_path,
                               **NO_DATA)
    assert status == 2 and "option 'baseline' row:150: iris has the rows 0 to 149" in err


def test_a_run_states_and_checks_the_baseline(tmp_path: Path) -> None:
    said: list[str] = []
    scorers = ["integrated_gradients?method=riemann_middle&steps=20", "deep_lift", "gradient_shap", "feature_ablation",
               "shapley_sampling", "saliency", "captum:DeepLiftShap"]
    run = audit(TABLE, scorers=scorers, removals=["constant"], remove="a", baseline="distribution", seeds=2, rows=5,
                background=30, information="off", out=tmp_path, jobs=1, say=said.append)
    assert not run.failed
    assert "not applicable: baseline distribution to saliency, where nothing is compared with one" in said
    stated = run.table("attributions").groupby("scorer").baseline.unique().map(list)
    assert all(stated[name] == ([""] if name == "saliency" else ["distribution"]) for name in
               make_spec(["iris"], scorers=scorers).scorers)
    checks = run.table("checks")
    assert checks.passed.all() and set(checks.removal) == {"original", "constant"}
    assert {"deep_lift", "gradient_shap", "feature_ablation", "shapley_sampling"} < set(checks.scorer)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "With no baseline: saliency." in page and "Compared with drawn training rows: integrated_gradients" in page
    assert run.record["spec"]["baseline"] == "distribution"


def test_the_reference_is_held_against_the_same_baseline() -> None:
    """The control of the check: scores by another baseline than the run's differ from the reference."""
    networks, evaluation = case("relu", "mean")
    for name in ("integrated_gradients", "deep_lift", "feature_ablation"):
        choice = Choice(name)
        Checks(networks, evaluation, 0, [0, 1]).hold(choice, choice.attribute(networks, evaluation), evaluation)
        other = choice.attribute(networks, case("relu", "zero")[1])
        with pytest.raises(InputError, match="its numbers are not those of captum"):
            Checks(networks, evaluation, 0, [0, 1]).hold(choice, other, evaluation)


def test_the_sentence_of_the_page() -> None:
    assert baseline_sentence({"weights": "", "deep_lift": "mean", "gradient_shap": "distribution", "random": "",
                              "integrated_gradients": "mean", "feature_ablation": "row:7"}) == (
        "Compared with the mean of the training rows: deep_lift, integrated_gradients. Compared with drawn training "
        "rows: gradient_shap. Compared with row 7 of the table: feature_ablation. With no baseline: weights.")
    assert baseline_sentence({}) == ""
