"""Baselines in a run: estimators, what is refused or named, what tables and page say, what the reference is given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import captum.attr
import pytest
import torch
from baseline_cases import ROWS, SCORE, SEED, TABLE, case
from command import NO_DATA, call_main
from torch import Tensor
from xgboost import XGBRegressor

from attribution_suite import attribute, audit, from_arrays
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work.checks import Checks
from attribution_suite.conclusions.baselines import baseline_sentence
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.predictors import Predictors
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice
from attribution_suite.scorers.shapley_sampling import drawn_orders

pytestmark = pytest.mark.usefixtures("plain")


# Estimators: a tree asks on which side of a value a row is, to the last bit.

@pytest.mark.parametrize("kind", ["row", "distribution"])
def test_estimators_see_the_baseline_to_the_last_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """XGBoost splits at values of the table, so that a baseline that is rounded falls on the other side."""
    table = from_arrays(ROWS, SCORE, task="regression", groups={"colour": [2, 3, 4]})
    kind = f"row:{table.train_rows[0]}" if kind == "row" else kind
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
    assert status == 2 and "option 'baseline': row 150 of iris: there is no such row" in err


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


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift", "shapley_sampling"])
def test_the_references_own_numbers_by_a_distribution(name: str) -> None:
    networks, evaluation = case("relu", "distribution")
    fast, slow = (Choice(name, by_reference=asked).attribute(networks, evaluation) for asked in (False, True))
    torch.testing.assert_close(slow.values, fast.values, rtol=1e-4, atol=3e-6)
    assert not torch.equal(slow.values, fast.values)  # another way to the same
    if fast.completeness_gap is not None:
        torch.testing.assert_close(slow.completeness_gap, fast.completeness_gap, rtol=0.05, atol=1e-4)


def test_the_sentence_of_the_page() -> None:
    assert baseline_sentence({"weights": "", "deep_lift": "mean", "gradient_shap": "distribution", "random": "",
                              "integrated_gradients": "mean", "feature_ablation": "row:7"}) == (
        "Compared with the mean of the training rows: deep_lift, integrated_gradients. Compared with drawn training "
        "rows: gradient_shap. Compared with row 7 of the table: feature_ablation. With no baseline: weights.")
    assert baseline_sentence({}) == ""
