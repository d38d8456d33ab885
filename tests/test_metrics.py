"""Metrics of explanations against captum.metrics on one network, scipy and known values; what a run tells of them."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import captum.attr
import numpy as np
import pandas as pd
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max as captum_sensitivity
from cases import CASES, MEMBERS, ROWS, Case
from module_cases import Branching
from plain_suite import plain_figures
from report_fixture import BRIEF, datasets
from scipy.stats import spearmanr, t
from torch import Tensor, nn

from attribution_suite import audit, from_arrays
from attribution_suite.auditing import metric_frames
from attribution_suite.auditing.opened import open_run
from attribution_suite.auditing.run import prepare, run_audit
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work import metrics as work
from attribution_suite.conclusions.metrics import metrics_table, randomisation_sentences
from attribution_suite.errors import InputError
from attribution_suite.measures.explanations import infidelity, infidelity_normalised, sensitivity_max, unchanged
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import sum_groups
from attribution_suite.scorers.choice import Choice
from attribution_suite.tables.audit import TABLES

REGRESSION, MULTICLASS, GROUPED, LINEAR = CASES[0], CASES[2], CASES[5], CASES[6]
MEMBER = 1


class Subject:
    """What `metric_frames` reads of one."""

    def __init__(self, scorers: list[str]) -> None:
        self.scorers = scorers


def members() -> pd.DataFrame:
    return pd.DataFrame({"dataset": "made", "split": 0, "seed": range(MEMBERS), "removal": "original", "removed": "",
                         "layer": 0, "rank": 0})


def asked(case: Case, names: list[str], layer: int = 0) -> tuple[object, ...]:
    choices = [Choice(name) for name in names]
    return choices, case.networks, case.evaluation, layer, range(MEMBERS), np.ones(len(names), bool)


def explained_by(case: Case, layer: int) -> tuple[nn.Module, Tensor, Tensor, Tensor | None]:
    """One network from a layer on, its rows and baseline there, and the class of each row."""
    seen = case.evaluation.at_layer(case.networks, layer)
    inputs, baseline = (values[MEMBER] if values.dim() == most else values
                        for values, most in ((seen.inputs, 3), (seen.baseline, 2)))
    target = None if seen.explained is None else seen.explained[MEMBER]
    return case.networks.tail(layer).to_module(MEMBER), inputs, baseline, target


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("case", [REGRESSION, GROUPED, MULTICLASS], ids=lambda case: case.name)
def test_infidelity_is_captums(case: Case, layer: int) -> None:
    """On one network, the same features put at the baseline; a group's φ stands at its first column."""
    names = ["deep_lift", "lrp"]
    arrays = work.explanation_metrics(*asked(case, names, layer))
    network, inputs, baseline, target = explained_by(case, layer)
    groups = case.evaluation.at_layer(case.networks, layer).groups
    subsets = work.drawn_subsets(ROWS, len(groups))
    columns = torch.zeros(*subsets.shape[:2], inputs.shape[1])
    for place, group in enumerate(groups.values()):
        columns[..., list(group)] = subsets[..., place:place + 1].float()

    def perturb(rows: Tensor) -> tuple[Tensor, Tensor]:
        gone = columns.flatten(0, 1)
        return gone, rows - gone * (rows - baseline)

    with torch.no_grad():
        every = network(torch.cat([inputs, perturb(inputs.repeat_interleave(work.SUBSETS, 0))[1]]))
    classes = torch.zeros(ROWS, dtype=torch.int64) if target is None else target
    before = every[:ROWS].gather(1, classes[:, None])
    after = every[ROWS:].gather(1, classes.repeat_interleave(work.SUBSETS)[:, None]).reshape(ROWS, -1)
    scale = ((before - after) ** 2).mean()
    for place, name in enumerate(names):
        local = Choice(name).attribute(case.networks, case.evaluation, layer).values[MEMBER]
        phi = torch.zeros_like(inputs)
        phi[:, [group[0] for group in groups.values()]] = local
        for measure, normalise in (("infidelity", False), ("infidelity_normalised", True)):
            expected = captum_infidelity(network, perturb, inputs, phi, target=target, normalize=normalise,
                                         n_perturb_samples=work.SUBSETS).mean() / scale
            found = arrays["metrics"][MEMBER, place, work.MEASURED.index(measure)]
            assert found == pytest.approx(float(expected), rel=1e-4), (name, measure)
            assert found > 1e-3, "a case where it says something"


@pytest.mark.parametrize("case", [REGRESSION, GROUPED], ids=lambda case: case.name)
def test_sensitivity_is_captums(case: Case) -> None:
    """The same steps; Captum's own integrated gradients explain, summed over groups."""
    network, inputs, baseline, target = explained_by(case, 0)
    steps = torch.stack([copy.inputs - inputs for copy in work.perturbed(case.evaluation)], 1).flatten(0, 1)
    assert float(steps.abs().max()) > 0.05

    def explain(rows: tuple[Tensor], **words: object) -> tuple[Tensor]:
        found = captum.attr.IntegratedGradients(network).attribute(rows[0], baseline[None], **words)
        return (sum_groups(found.detach(), case.evaluation.groups),)

    expected = captum_sensitivity(explain, inputs, lambda rows: (rows + steps,), n_perturb_samples=work.COPIES,
                                  **({} if target is None else {"target": target})).mean()
    found = work.explanation_metrics(*asked(case, ["integrated_gradients"]))["metrics"][MEMBER, 0, 2]
    assert found == pytest.approx(float(expected), rel=1e-3) and found > 0.05


def test_what_is_known_in_advance() -> None:
    """Truth is 0, silence 1, the wrong sign 4 (no factor can tell: normalised 0), half of it a quarter."""
    moves = torch.randn(4, 6, 9, generator=torch.Generator().manual_seed(0))
    for factor, plain in ((1.0, 0.0), (0.0, 1.0), (-1.0, 4.0), (0.5, 0.25)):
        torch.testing.assert_close(infidelity(factor * moves, moves), torch.full((4,), plain))
        expected = torch.full((4,), float(factor == 0))
        torch.testing.assert_close(infidelity_normalised(factor * moves, moves), expected, atol=1e-6, rtol=0)
    assert infidelity(moves, 0 * moves).isnan().all() and infidelity_normalised(moves, 0 * moves).isnan().all()
    values = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    moved = torch.stack([values, values + torch.tensor([[0.0, 1.0], [0.5, 0.0]])])
    torch.testing.assert_close(sensitivity_max(values, moved), torch.tensor([(1 / 5 + 0.5) / 2]))


def test_a_linear_networks_attribution_is_exact_and_a_random_one_is_not() -> None:
    """The control is steady, for it reads nothing: sensitivity alone is no merit. Labels explain no network."""
    names = ["integrated_gradients", "saliency", "random", "weights", "xgboost_shap"]
    arrays = work.explanation_metrics(*asked(LINEAR, names))
    truth, slope, control, *none = np.moveaxis(arrays["metrics"], 1, 0)
    assert (truth[:, 0] < 1e-9).all() and (truth[:, 2] > 0.01).all()
    assert (slope[:, 0] > 0.1).all() and (slope[:, 2] < 1e-5).all(), "a gradient is no contribution, and constant here"
    assert (control[:, 0] > 1).all() and (control[:, 1] > 0.3).all() and (control[:, 2] == 0).all()
    assert np.isnan(none).all() and arrays["metric_failures"].tobytes() == b"{}"


def test_a_scorer_is_held_to_its_own_baseline() -> None:
    """GradientSHAP explains against training rows, here far from zero: towards these it is true, towards zero not."""
    case = replace(LINEAR, evaluation=replace(LINEAR.evaluation, background=LINEAR.evaluation.background + 3))
    found = work.explanation_metrics(*asked(case, ["gradient_shap", "integrated_gradients"]))["metrics"][..., 0]
    assert found[:, 0].max() < 0.2 and found[:, 1].max() < 1e-9
    with patch.object(work, "baseline_of", return_value="zero"):
        wrong = work.explanation_metrics(*asked(case, ["gradient_shap"]))["metrics"][..., 0]
    assert wrong[:, 0].min() > 2 * found[:, 0].max()


def test_what_has_no_values_between_its_values_is_not_moved() -> None:
    """Two values, whole numbers: categories, counts, indices stay; the step is a part of the column's deviation."""
    evaluation = REGRESSION.evaluation
    background = evaluation.background.clone()
    background[:, 0] = (background[:, 0] > 0) * 0.7
    background[:, 1] = background[:, 1].round()
    background[:, 2] *= 50
    copies = torch.stack([copy.inputs for copy in work.perturbed(replace(evaluation, background=background))])
    steps = (copies - evaluation.inputs).abs().amax((0, 1))
    assert len(copies) == work.COPIES and (steps[:2] == 0).all() and (steps[2:] > 0).all()
    assert float(steps[2]) == pytest.approx(0.1 * float(background[:, 2].std()), rel=0.05)
    assert list(work.perturbed(replace(evaluation, background=background.round()))) == []


def test_random_weights_from_the_output_down() -> None:
    """Each stage written out: new values for the last Linears, as PyTorch draws them. Three networks have four each."""
    names = ["saliency", "weights"]
    found = work.randomised(*asked(REGRESSION, names))["randomised"]
    assert found.shape == (MEMBERS, 4, 3, 2)
    fresh = Perceptrons.initialise(REGRESSION.networks.architecture, [1_000_003 * (1 + MEMBER) + 2])
    for stage in range(3):
        kept = 2 - stage
        mixed = Perceptrons(fresh.architecture, *(
            (*(layer[[MEMBER]] for layer in trained[:kept]), *new[kept:]) for trained, new in (
                (REGRESSION.networks.weights, fresh.weights), (REGRESSION.networks.biases, fresh.biases))))
        network, inputs = mixed.to_module(), REGRESSION.evaluation.inputs.clone().requires_grad_()
        slopes, = torch.autograd.grad(network(inputs).sum(), inputs)
        before = Choice("saliency").attribute(REGRESSION.networks, REGRESSION.evaluation).scores[MEMBER]
        assert found[MEMBER, 2, stage, 0] == pytest.approx(
            spearmanr(before, slopes.abs().mean(0)).statistic, abs=1e-6), stage
    np.testing.assert_allclose(found[:, :, :2, 1], 1, err_msg="the first layer goes last")
    assert found[:, :, 2, 1].max() < 1 - 1e-6


def test_who_ignores_the_weights_is_caught() -> None:
    """The control and what reads the data alone; not what follows the network."""
    names = ["integrated_gradients", "saliency", "gradient_weight", "unit_significance", "random"]
    found = work.randomised(*asked(REGRESSION, names))["randomised"]
    last = found[:, :, -1].reshape(12, -1).T
    assert unchanged(last).tolist() == [False, False, False, True, True]
    low = last.mean(1) - t.ppf(0.95, 11) * last.std(1, ddof=1) / 12**0.5
    frame = metric_frames.randomisation(
        Subject(names), {"randomised": np.where(np.arange(5) == 1, np.nan, found)}, members())
    assert set(TABLES["randomisation"]) <= set(frame) and list(pd.unique(frame.scorer)) == [names[0], *names[2:]]
    full = frame[frame.stage == 3].drop_duplicates("scorer").set_index("scorer")
    assert full.unchanged[names[0]] == np.False_ and full.unchanged["random"]
    assert full.limit[names[0]] == pytest.approx(low[0]) and full.limit["random"] == pytest.approx(1)
    one = frame[(frame.seed == 2) & (frame.draw == 3) & (frame.stage == 2) & (frame.scorer == names[2])]
    assert one.correlation.item() == found[2, 3, 1, 2] and (frame.layers == 3).all()


def test_a_module_has_one_stage_and_what_cannot_start_anew_none() -> None:
    torch.manual_seed(0)
    networks = Modules.wrap([Branching(), Branching()], REGRESSION.evaluation.inputs)
    words = ([Choice("saliency"), Choice("random")], networks, REGRESSION.evaluation, 0, range(2), np.ones(2, bool))
    found = work.randomised(*words)["randomised"]
    assert found.shape == (2, 5, 1, 2) and found[..., 1].min() > 1 - 1e-9 and found[..., 0].min() < 0.9
    with patch.object(Modules, "fresh", side_effect=InputError("no reset_parameters")):
        none = work.randomised(*words)
    assert none["randomised"].shape == (2, 5, 0, 2) and none["randomised_failures"].tobytes() == b"{}"
    assert metric_frames.randomisation(Subject(["a", "b"]), none, members()[:2]).empty


def test_a_scorer_that_fails_costs_its_own_numbers() -> None:
    with patch("attribution_suite.scorers.gradients.Saliency.attribute", side_effect=ValueError("no")):
        words = asked(REGRESSION, ["saliency", "input_x_gradient"])
        arrays = work.explanation_metrics(*words) | work.randomised(*words)
    assert json.loads(arrays["metric_failures"].tobytes()) == {"saliency": "metrics: ValueError: no"}
    assert json.loads(arrays["randomised_failures"].tobytes()) == {"saliency": "random weights: ValueError: no"}
    for name, axis in (("metrics", 1), ("randomised", 3)):
        assert np.isnan(arrays[name].take(0, axis)).all() and np.isfinite(arrays[name].take(1, axis)).all()


# A run.

@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    iris = replace(datasets()["iris"], name="flowers")
    with plain_figures():
        result = audit(iris, remove=["petal_width"], removals=["constant"], scorers=[
            "integrated_gradients", "weights", "unit_significance", "random"], metrics=True, information="off",
            reference="off", out=tmp_path_factory.mktemp("metrics"), **{**BRIEF, "seeds": 4})
    assert not result.failed
    return result.path, {name: result.table(name) for name in ("metrics", "randomisation")}


def test_before_and_after_each_removal(run: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    """Of the first three of four networks, paired by seed; weights and significance have no value for each row."""
    rows = run[1]["metrics"]
    assert set(rows.scorer) == {"integrated_gradients", "random"} and set(rows.seed) == {0, 1, 2}
    key = ["seed", "scorer", "measure"]
    before, after = (rows[rows.removal == removal].set_index(key) for removal in ("original", "constant"))
    assert len(before) == len(after) == 3 * 2 * 3 and set(after.removed) == {"petal_width"}
    assert before.before.isna().all()
    assert (after.before == before.value[after.index]).all()
    changed = after.value != after.before
    assert changed.xs("integrated_gradients", level="scorer").all()
    assert before.value.xs(("integrated_gradients", "infidelity"), level=("scorer", "measure")).max() < 0.2


def test_who_asks_later_keeps_what_is_finished(tmp_path: Path) -> None:
    """Chunks are found, not made again; numbers are those of who asked at once; a module is edited again as it was."""
    torch.manual_seed(0)
    rows = torch.randn(90, 6)
    table = from_arrays(rows, rows[:, 0] - rows[:, 1], name="made")
    network, removals, tables, ran = Branching(), ["constant", "stochastic_tuning"], {}, {}
    for run, folder, metrics in (("before", "a", False), ("later", "a", True), ("at once", "b", True)):
        spec = make_spec(["made"], in_memory=["made"], remove=["x0"], removals=removals, scorers=["saliency", "random"],
                         seeds=1, rows=20, background=30, tuning=0.02, information="off", reference="off", decoy=False,
                         metrics=metrics)
        prepared = prepare(spec, device="cpu", tables={"made": table}, networks=network, say=lambda line: None)
        with open_run(prepared, tmp_path / folder, jobs=1, say=lambda line: None) as context:
            assert run_audit(prepared, context, tmp_path / folder) == []
        ran[run] = json.loads((tmp_path / folder / "run.json").read_text())["timings"]
        tables[run] = {name: pd.read_parquet(tmp_path / folder / f"{name}.parquet")
                       for name in ("metrics", "randomisation", "attributions", "failures")}
    assert tables["before"]["metrics"].empty and tables["before"]["randomisation"].empty
    assert ran["later"]["chunks_found"] == ran["before"]["chunks_run"] and ran["later"]["chunks_run"] == 3
    for name, table in tables["later"].items():
        pd.testing.assert_frame_equal(table, tables["at once"][name])
    after = tables["later"]["metrics"].query("scorer == 'saliency' and measure == 'infidelity'").set_index("removal")
    assert set(after.index) == {"original", *removals} and after.value.nunique() == 3
    assert after.before["constant"] == after.value["original"]


def test_the_page_names_who_ignores_the_weights(run: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    path, tables = run
    same = tables["randomisation"].groupby("scorer").unchanged.first()
    assert same.to_dict() == {"integrated_gradients": False, "random": True, "unit_significance": True,
                              "weights": False}
    page = (path / "report.html").read_text()
    sentence, = randomisation_sentences(tables["randomisation"])
    assert sentence.startswith("flowers: unit_significance ranks the features alike") and sentence in page
    assert "The random control, which looks at nothing, is found out." in sentence
    assert page.count("<b>unchanged</b>") == 2 and "and steady" not in page
    table = {row["scorer"]: row for row in metrics_table(tables["metrics"], tables["randomisation"])}
    mean = tables["metrics"].query("scorer == 'integrated_gradients' and measure == 'sensitivity_max'")
    for column, removal in (("sensitivity_max", "original"), ("sensitivity_max_after", "constant")):
        assert table["integrated_gradients"][column] == f"{mean[mean.removal == removal].value.mean():.2g}"
    assert table["weights"]["infidelity"] == "not measured" and table["random"]["correlation"] == "1"


def test_sentences() -> None:
    row = {"dataset": "a", "layer": 0, "scorer": "lrp", "unchanged": False}
    control = {**row, "scorer": "random", "unchanged": True}
    assert randomisation_sentences(pd.DataFrame([row, control])) == [
        "a: every scorer that was asked ranks the features another way when all weights are random. The random "
        "control, which looks at nothing, is found out."]
    unseen = pd.DataFrame([{**row, "unchanged": True, "layer": 2}, {**row, "scorer": "b", "unchanged": True,
                           "layer": 2}, {**control, "unchanged": False, "layer": 2}])
    sentence, = randomisation_sentences(unseen)
    assert sentence.startswith("a, layer 2: lrp and b rank the features alike") and "do not rely" in sentence
    assert randomisation_sentences(unseen[:0]) == []


def test_it_is_asked_for_by_true_or_false() -> None:
    assert not make_spec(["iris"]).metrics and make_spec(["iris"], metrics=True).metrics
    with pytest.raises(InputError, match="option 'metrics' is True or False, got 'yes'"):
        make_spec(["iris"], metrics="yes")
