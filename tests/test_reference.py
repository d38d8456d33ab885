"""The references: each against the package called as one would, and what a run makes of a scorer that differs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pandas as pd
import pytest
import torch
from captum.attr._utils.lrp_rules import EpsilonRule
from cases import CASES, GROUPS, Case, make_case
from reference import captum_alone, gradient_weight_alone, positive_relevance
from sklearn.inspection import permutation_importance
from test_scorer_lime import SCORER, package
from test_scorer_lime import case as lime_case
from test_scorer_permutation import OneNetwork
from torch import Tensor, nn

from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work.checks import Check, difference
from attribution_suite.auditing.work.score import score_all
from attribution_suite.conclusions.checks import OFF, at_most, reference_problems, reference_sentence, reference_table
from attribution_suite.errors import InputError
from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.alone import Alone, reference_numbers
from attribution_suite.scorers.attribution import Attribution, Evaluation, sum_groups
from attribution_suite.scorers.choice import Choice, traits_of
from attribution_suite.scorers.gradients import Saliency
from attribution_suite.scorers.integrated_gradients import IntegratedGradients
from attribution_suite.scorers.layer_conductance import LayerConductance
from attribution_suite.scorers.lime import Lime
from attribution_suite.scorers.permutation import Permutation
from attribution_suite.tables.audit import TABLES

CAPTUM = ["integrated_gradients", "smooth_integrated_gradients", "deep_lift", "gradient_shap", "saliency",
          "input_x_gradient", "feature_ablation"]
ROWS, MEMBER = [0, 5, 11], 1
REGRESSION, MULTICLASS, TANH, GROUPED = CASES[0], CASES[2], CASES[3], CASES[5]
HELD = [name for name in SCORERS.names if traits_of(name).reference]


def numbers(name: str, case: Case, layer: int = 0, rows: list[int] = ROWS, **options: Any) -> Tensor:
    alone = Alone.of(case.networks, case.evaluation, MEMBER, layer)
    return reference_numbers(SCORERS.load(name)(**options), alone, rows)


# Each reference against the call written out.

@pytest.mark.parametrize("case", [REGRESSION, TANH, GROUPED], ids=lambda case: case.name)
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("method", CAPTUM)
def test_captums_own_numbers(method: str, case: Case, layer: int) -> None:
    """Captum asked for all rows with `target`: those of a few must be the same, draws included."""
    evaluation = case.evaluation.at_layer(case.networks, layer)
    alone = captum_alone(method, case.networks.tail(layer), evaluation, MEMBER)[ROWS]
    expected = alone[:, [columns[0] for columns in evaluation.groups.values()]] if method == "feature_ablation" else (
        sum_groups(alone, evaluation.groups))
    torch.testing.assert_close(numbers(method, case, layer).float(), expected, rtol=1e-6, atol=1e-7)


def test_captums_lrp_and_conductance() -> None:
    target = MULTICLASS.evaluation.explained[MEMBER, ROWS]
    net = MULTICLASS.networks.to_module(MEMBER)
    for layer in (0, 2, 4):
        net[layer].rule = EpsilonRule(0.2)
    expected = captum.attr.LRP(net).attribute(MULTICLASS.evaluation.inputs[ROWS], target=target)
    torch.testing.assert_close(numbers("lrp_epsilon", MULTICLASS, epsilon=0.2).float(), expected.detach())
    net = MULTICLASS.networks.to_module(MEMBER)
    expected = captum.attr.LayerConductance(net, net[3]).attribute(
        MULTICLASS.evaluation.inputs[ROWS], MULTICLASS.evaluation.baseline[None], target=target, n_steps=20)
    alone = Alone.of(MULTICLASS.networks, MULTICLASS.evaluation, MEMBER)
    found = reference_numbers(LayerConductance(2, steps=20), alone, ROWS)
    torch.testing.assert_close(found.float(), expected.detach())


@pytest.mark.parametrize("case", [REGRESSION, GROUPED], ids=lambda case: case.name)
def test_loops_from_the_definitions(case: Case) -> None:
    evaluation, weight = case.evaluation, case.networks.weights[0][MEMBER]
    columns = weight.abs().mean(0) / weight.abs().mean(0).sum()
    means = weight.mean(0) / weight.abs().mean(0).sum()
    for found, expected in zip(numbers("weights", case).float(), (columns, means), strict=True):
        torch.testing.assert_close(found, sum_groups(expected, evaluation.groups))
    first = numbers("weights", case, reading="first_unit")[1].float()
    torch.testing.assert_close(first, sum_groups(weight[0] / weight[0].abs().sum(), evaluation.groups))
    expected = gradient_weight_alone(case.networks, evaluation, MEMBER, batch_size=16)
    torch.testing.assert_close(numbers("gradient_weight", case, batch_size=16)[0].float(), expected)
    for place, relevances in zip(ROWS, numbers("lrp", case), strict=True):
        *layers, output = [a[MEMBER, place] for a in case.networks.activations(evaluation.inputs)]
        explained = 0 if evaluation.explained is None else int(evaluation.explained[MEMBER, place])
        relevance = torch.zeros_like(output).index_fill(0, torch.tensor([explained]), float(output[explained]))
        for values, layer in zip(reversed(layers), reversed(case.networks.weights), strict=True):
            relevance = positive_relevance(values, layer[MEMBER], relevance)
        torch.testing.assert_close(relevances.float(), sum_groups(relevance, evaluation.groups), rtol=1e-4, atol=1e-6)


def test_scikit_learns_permutation_importance() -> None:
    case = make_case("binary", "binary")
    expected = permutation_importance(
        OneNetwork(case.networks.to_module(MEMBER), "binary"), case.evaluation.inputs.numpy(),
        case.evaluation.targets.numpy(), n_repeats=3, random_state=case.evaluation.seed).importances_mean
    np.testing.assert_allclose(numbers("permutation", case, repeats=3)[1], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_scipys_tests_of_units(task: str) -> None:
    case = make_case(task, task, groups=GROUPS)
    found, rows = numbers("unit_significance", case), case.evaluation.background[None].numpy()
    effect = unit_tests(rows, case.evaluation.background_targets.numpy(), task).effect
    expected = [[np.abs(effect[0, list(columns)]).sum() for columns in GROUPS.values()],
                [effect[0, list(columns)].sum() for columns in GROUPS.values()]]
    np.testing.assert_allclose(found, expected[:1] if task == "multiclass" else expected, atol=1e-12)


@pytest.mark.parametrize("published", [False, True])
def test_the_lime_package(published: bool) -> None:
    """Through its own table of six columns and its own categories, which know nothing of encoded groups."""
    networks, evaluation, background, rows = lime_case("multiclass")
    scorer = replace(SCORER, published=published)
    alone = Alone.of(networks, evaluation, MEMBER)
    found = reference_numbers(scorer, replace(alone, network=alone.network.double()), [0, 3])
    for values, row in zip(found, [0, 3], strict=True):
        expected = package(networks, evaluation, MEMBER, row, background, rows[row],
                           **({"categorical": (5,), "corrected": False} if published else {}))
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


# What a run makes of it.

class Flipped(IntegratedGradients):
    """A broken fast path: one weight has the other sign."""

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        weight = networks.first_weight.clone()
        weight[-1, 0, 0] *= -1  # of the last network alone
        return super().attribute(networks.with_first_layer(weight, networks.first_bias), evaluation)


def off_by_one_percent(kind: type) -> type:
    class Off(kind):
        def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
            found = super().attribute(networks, evaluation)
            changed = {name: 1.01 * value for name in ("scores", "values", "signed")
                       if (value := getattr(found, name)) is not None}
            return replace(found, **changed)
    return Off


OffLime, OffPermutation, OffConductance = map(off_by_one_percent, (Lime, Permutation, LayerConductance))


def scored(names: list[str], case: Case = GROUPED, layer: int = 0, reference: str = "sample",
           networks: Ensemble | None = None) -> tuple[dict[str, Check], dict[str, str], dict[str, np.ndarray]]:
    """The checks and failures by scorer, and the arrays."""
    ensemble = case.networks if networks is None else networks
    choices = [Choice(name, {"samples": 60} if name == "lime" else {}, None, reference == "all") for name in names]
    arrays = score_all(choices, ensemble, case.evaluation, layer, case.evaluation, 12, range(len(ensemble)), reference)
    checks = {row["scorer"]: Check(**row) for row in json.loads(arrays["checks"].tobytes())}
    return checks, json.loads(arrays["failures"].tobytes()), arrays


@pytest.mark.parametrize("layer", [0, 1])
def test_every_scorer_with_a_reference_is_held_against_it(layer: int) -> None:
    asked = [name for name in SCORERS.names if layer or not traits_of(name).below]
    checks, failures, _ = scored(asked, layer=layer)
    assert failures == {} and list(checks) == [name for name in asked if name in HELD]
    for name, check in checks.items():
        assert check.passed and check.note == "" and 0 <= check.largest_diff < 1e-5, check
        assert check.networks in ((1,) if name == "lime" or traits_of(name).reads == "labels" else (2, 3))
        assert check.package in ("captum", "lime", "scikit-learn", "scipy", "attribution-suite")
    assert checks["lime"].rows == 1


def test_networks_that_say_the_same_everywhere_pass() -> None:
    """What is left is rounding of 16, which has no size: of our LIME nothing, of the package 1e-15 or so."""
    last = torch.zeros_like(GROUPED.networks.weights[-1])
    networks = replace(GROUPED.networks, weights=(*GROUPED.networks.weights[:-1], last),
                       biases=(*GROUPED.networks.biases[:-1], torch.full_like(GROUPED.networks.biases[-1], 16.118)))
    asked = [name for name in HELD if not traits_of(name).below]
    checks, failures, arrays = scored(asked, networks=networks)
    assert failures == {} and list(checks) == asked and checks["lime"].passed
    assert (arrays["mean_abs"][:, asked.index("lime")] == 0).all()
    alone = Alone.of(networks, GROUPED.evaluation, MEMBER, 0)
    wrong = torch.full((1, len(GROUPED.evaluation.groups)), 1e-9)
    assert difference(Lime(60), alone, [0], wrong).item() > 0.1


def test_a_run_without_checks_has_none() -> None:
    assert scored(["saliency"], reference="off")[0] == {}


@pytest.mark.parametrize(("name", "broken", "layer"), [
    ("integrated_gradients", "Flipped", 0), ("integrated_gradients", "Flipped", 1), ("lime", "OffLime", 0),
    ("permutation", "OffPermutation", 0), ("layer_conductance", "OffConductance", 1)])
def test_a_broken_fast_path_fails_by_name_and_costs_no_other(
        name: str, broken: str, layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORERS.places, name, f"{__name__}:{broken}")
    checks, failures, arrays = scored(["saliency", name, "deep_lift"], layer=layer)
    assert set(failures) == {name} and "differ by" in failures[name] and checks[name].package in failures[name]
    assert not checks[name].passed and checks[name].largest_diff > 5e-3
    assert arrays["measured"].tolist() == [True, False, True]
    assert np.isnan(arrays["share"][:, 1]).all() and np.isfinite(arrays["share"][:, [0, 2]]).all()
    checks, failures, arrays = scored([name], layer=layer, reference="all")  # which asks Captum for the numbers
    assert failures == {} and "itself" in checks[name].note and checks[name].networks == 3
    sound = SCORERS.load(name).__mro__[1](**({"layer": layer} if name == "layer_conductance" else {}))
    if not traits_of(name).draws:
        through = 0 if traits_of(name).below else layer
        expected = sound.attribute(GROUPED.networks.tail(through),
                                   GROUPED.evaluation.at_layer(GROUPED.networks, through))
        np.testing.assert_allclose(arrays["mean_abs"][:, 0], expected.scores, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(arrays["gap"][:, 0], expected.completeness_gap, rtol=0.05, atol=1e-4)


def test_what_cannot_be_called_is_not_checked_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Tensor:
        raise AssertionError("modules of this kind are not supported")

    monkeypatch.setattr("attribution_suite.scorers.references.captum_package.deep_lift", refuse)
    checks, failures, arrays = scored(["deep_lift", "saliency"])
    assert failures == {} and arrays["measured"].all() and checks["saliency"].passed
    assert not checks["deep_lift"].passed and np.isnan(checks["deep_lift"].largest_diff)
    assert checks["deep_lift"].note == "not checked: AssertionError: modules of this kind are not supported"


class Flat(nn.Module):
    """Returns `[rows]`, as users' regressions do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 5), nn.Softplus(), nn.Linear(5, 1))

    def forward(self, rows: Tensor) -> Tensor:
        return self.layers(rows)[:, 0]


def test_modules_of_any_kind_are_held_too() -> None:
    torch.manual_seed(0)
    networks = Modules.wrap([Flat() for _ in range(3)], REGRESSION.evaluation.background)
    checks, failures, _ = scored([*CAPTUM, "permutation", "weights"], REGRESSION, networks=networks)
    assert failures == {} and set(checks) == {*CAPTUM, "permutation"}
    assert all(check.passed for check in checks.values())


def test_a_row_at_a_kink_is_passed_over() -> None:
    """Unit 0 is exactly at zero on row 0: rounding may switch it on, which changes the gradient by its weights."""
    networks = Perceptrons(Architecture(2, (2,), 1), (torch.tensor([[[1.0, -1.0], [0.5, 0.2]]]), torch.ones(1, 1, 2)),
                           (torch.tensor([[0.0, 1.0]]), torch.zeros(1, 1)))
    rows = torch.tensor([[0.3, 0.3], [0.9, 0.3], [0.1, 0.6]])
    evaluation = Evaluation(rows, torch.zeros(3), rows, torch.zeros(3), torch.zeros(2), {"a": (0,), "b": (1,)},
                            "regression")
    alone, sound = Alone.of(networks, evaluation, 0), Saliency().attribute(networks, evaluation).values[0]
    switched = sound.clone()
    switched[0] = torch.tensor([1.5, 0.8])
    assert not torch.equal(switched, sound)
    apart = difference(Saliency(), alone, [0, 1, 2], switched)
    assert apart.isnan().tolist() == [True, False, False] and (apart[1:] < 1e-6).all()
    # the same difference where no kink is near is one
    switched[1] = torch.tensor([0.5, 0.2])
    assert difference(Saliency(), alone, [0, 1, 2], switched)[1] > 0.5
    # and so is 1 % on the other rows
    assert (difference(Saliency(), alone, [0, 1, 2], 1.01 * sound)[1:] > 5e-3).all()
    # a run compares the other rows, and says how many it did not
    other = networks.with_first_layer(networks.first_weight, networks.first_bias + torch.tensor([1e-7, 0.0]))
    case = Case("kink", networks, evaluation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Saliency, "attribute", lambda self, _, seen: replace(
            IntegratedGradients(1).attribute(other, seen), scorer="saliency",
            values=(found := torch.stack([switched])), scores=found.abs().mean(1), signed=found.mean(1)))
        switched[1] = sound[1]
        checks, failures, _ = scored(["saliency"], case)
    assert failures == {} and checks["saliency"].passed and checks["saliency"].passed_over == 1


# Words, tables and a whole run.

def test_what_the_page_and_the_terminal_say() -> None:
    row = {"dataset": "d", "split": 0, "removal": "retrain", "layer": 0, "scorer": "saliency", "package": "captum",
           "version": "0.9.0", "networks": 3, "rows": 3, "passed_over": 1, "largest_diff": 2.1e-7, "tolerance": 1e-4,
           "passed": True, "note": ""}
    apart = {**row, "scorer": "deep_lift", "removal": "fold", "largest_diff": 0.012, "passed": False}
    unasked = {**apart, "largest_diff": np.nan, "note": "not checked: why"}
    lime = {**row, "scorer": "lime", "package": "lime", "version": "0.2", "largest_diff": 4e-8}
    checks = pd.DataFrame([row, {**row, "largest_diff": 1e-7}, apart, unasked, lime])
    assert set(checks) == set(TABLES["checks"])
    assert reference_sentence(checks, "sample") == (
        "Equal to Captum 0.9.0 within 3e-7 and LIME 0.2 within 4e-8 of a row's largest score, checked in this run "
        "on a few rows and networks.")
    assert reference_sentence(checks, "off") == OFF
    assert reference_sentence(checks[checks.scorer == "lime"], "all").startswith("Computed by LIME 0.2, network by")
    assert "No score" in reference_sentence(checks[~checks.passed], "sample")
    assert reference_problems(checks) == [
        "d, fold: deep_lift against Captum 0.9.0: differs by 2e-2 of a row's largest score, 1e-4 is allowed",
        "d, fold: deep_lift against Captum 0.9.0: not checked: why"]
    first, second, _ = reference_table(checks)
    assert (first["chunks"], first["compared"], first["passed_over"], first["largest"]) == (2, 18, 2, "3e-7")
    assert not second["passed"] and second["note"] == "not checked: why"
    assert [at_most(value) for value in (0.0, np.nan, 1e-4, 1.0001e-4)] == ["0", "–", "1e-4", "2e-4"]


def test_the_spec_knows_three_ways() -> None:
    assert make_spec(["iris"]).reference == "sample"
    with pytest.raises(InputError, match="reference"):
        make_spec(["iris"], reference="some")


RUN = """
import sys
from attribution_suite import audit
assert "captum" not in sys.modules and "lime" not in sys.modules
audit("iris", removals=["constant"], remove=["petal_width"], scorers=["integrated_gradients", "lime"], seeds=2, rows=12,
      background=60, lime_rows=3, lime_samples=50, information="off", jobs=1, out=sys.argv[1], say=lambda line: None)
print(*(name for name in ("captum", "lime") if name in sys.modules))
"""


@pytest.mark.no_cover
def test_a_run_calls_captum_and_lime(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["captum", "lime"]
    checks = pd.read_parquet(tmp_path / "checks.parquet")
    assert checks[["removal", "scorer"]].to_numpy().tolist() == [
        [removal, scorer] for removal in ("original", "constant") for scorer in ("integrated_gradients", "lime")]
    assert checks.passed.all() and (checks.largest_diff < 1e-5).all()
    page = (tmp_path / "report.html").read_text()
    assert "Equal to Captum 0.9.0 within" in page and "checked in this run" in page
