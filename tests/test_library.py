"""The steps of an audit one by one, tables from arrays, and audits of a user's own networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from module_cases import FEATURES, Branching, Residual, Unknown, members
from torch import nn

from attribution_suite import audit, load_dataset, report
from attribution_suite.datasets.arrays import from_arrays
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import train as train_networks
from attribution_suite.removals.removal import Setting
from attribution_suite.removals.retrain import Retrain
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.integrated_gradients import IntegratedGradients
from attribution_suite.steps import attribute, remove, train

pytestmark = pytest.mark.usefixtures("plain")

SHORT = Training(3, 16, 1e-2)


@pytest.fixture(scope="module")
def iris() -> TabularDataset:
    return load_dataset("iris")


@pytest.fixture(scope="module")
def table() -> TabularDataset:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.standard_normal((200, FEATURES)), columns=list("abcdef"))
    return from_arrays(rows, rows["a"] * 2 - rows["b"].abs(), name="mine")


def test_train_is_the_presets_training(iris: TabularDataset) -> None:
    found = train(iris, seeds=2)
    preset = iris.preset
    start = Perceptrons.initialise(Architecture(4, preset.hidden, 3, preset.activation), [0, 1])
    expected = train_networks(start, iris.train, iris.validation, "multiclass", preset.training, [0, 1])
    assert all(map(torch.equal, found.networks.tensors, expected.networks.tensors))
    by_name = train("iris", seeds=[1], training=SHORT)
    assert by_name.training_loss.shape == (3, 1)
    torch.testing.assert_close(by_name.training_loss[:, 0], train(iris, seeds=2, training=SHORT).training_loss[:, 1])


def test_attribute_is_the_scorer(iris: TabularDataset) -> None:
    networks = train(iris, seeds=2, training=SHORT)
    found = attribute(networks, iris, "integrated_gradients", rows=10, steps=20)
    explained = networks.networks.outputs(iris.test.inputs[:10]).argmax(2)
    given = Evaluation(iris.test.inputs[:10], iris.test.targets[:10], iris.train.inputs, iris.train.targets,
                       torch.zeros(4), iris.groups, "multiclass", explained)
    expected = IntegratedGradients(20).attribute(networks.networks, given)
    assert torch.equal(found.values, expected.values) and found.features == tuple(iris.groups)
    assert not torch.equal(found.values, IntegratedGradients(5).attribute(networks.networks, given).values)
    hidden = attribute(networks.networks, iris, "layer_conductance", rows=10, layer=1)
    assert hidden.scores.shape == (2, 12)


def test_remove_is_the_removal(iris: TabularDataset) -> None:
    networks = train(iris, seeds=2, training=SHORT).networks
    feature = next(iter(iris.groups))
    found = remove(networks, iris, feature, "retrain", training=SHORT)
    setting = Setting(iris.train, iris.validation, "multiclass", [0, 1], SHORT, SHORT)
    expected = Retrain().remove(networks, Nodes.of([(0,), (0,)]), setting).networks
    assert all(map(torch.equal, found.tensors, expected.tensors))
    edited = attribute(found, iris, "saliency", explained_by=networks)
    assert (edited.shares[:, 0] == 0).all() and (attribute(networks, iris, "saliency").shares[:, 0] > 0).all()
    unit = remove(networks, iris, "unit:3", "constant", layer=1, constant="zero")
    assert (unit.weights[1][:, :, 3] == 0).all() and torch.equal(unit.weights[0], networks.weights[0])


def test_the_explained_class_is_that_of_the_originals(iris: TabularDataset) -> None:
    networks, others = (train(iris, seeds=seeds, training=SHORT) for seeds in ([0, 1], [4, 5]))
    here, there = (attribute(others, iris, "input_x_gradient", explained_by=by) for by in (None, networks))
    assert not torch.equal(here.values, there.values)
    with pytest.raises(InputError, match="explained_by has 2 networks, 1 are attributed"):
        attribute(others.networks.select([0]), iris, "saliency", explained_by=networks)


@pytest.mark.parametrize(("call", "message"), [
    (lambda n, d: attribute(n, d, "integrated_gradient"), "did you mean integrated_gradients"),
    (lambda n, d: attribute(n, d, "integrated_gradients", step=3), "option of integrated_gradients 'step'.*steps"),
    (lambda n, d: remove(n, d, "petal_length_", "retrain"), "did you mean"),
    (lambda n, d: remove(n, d, d.feature_names[0], "retrian"), "did you mean retrain"),
    (lambda n, d: remove(n, d, d.feature_names[0], "retrain", seeds=[1]), "2 networks need as many seeds, got 1"),
    (lambda n, d: remove(n, d, "unit:12", "constant", layer=1), "unknown unit of layer 1 'unit:12'"),
    (lambda n, d: remove(n, d, d.target_name, "retrain"), "only an input can be removed"),
    (lambda n, d: attribute(nn.Linear(4, 2), d, "saliency"), "iris is a multiclass task of 3 outputs.*have 2"),
])
def test_wrong_words_are_named(iris: TabularDataset, call, message: str) -> None:
    networks = train(iris, seeds=2, training=SHORT)
    with pytest.raises(InputError, match=message):
        call(networks, iris)


def test_a_module_goes_through_the_same_calls(table: TabularDataset) -> None:
    model = members(Residual, 1)[0]
    edited = remove(model, table, "a", "stochastic_tuning", training=SHORT)
    assert attribute(edited, table, "permutation").shares[0, 0] < attribute(model, table, "permutation").shares[0, 0]
    with pytest.raises(InputError, match="weights does not apply"):
        attribute(model, table, "weights")


def test_tables_from_arrays() -> None:
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((60, 4)) * [1, 10, 1, 1] + 3
    labels = np.array(["no", "yes"])[(rows[:, 0] > 3).astype(int)]
    split = (range(40), range(40, 50), range(50, 60))
    table = from_arrays(torch.tensor(rows), labels, groups={"g": ("x1", "x3")}, split=split)
    assert (table.task, table.classes, table.outputs) == ("binary", ("no", "yes"), 1)
    assert table.groups == {"x0": (0,), "g": (1, 3), "x2": (2,)}
    torch.testing.assert_close(table.test.inputs, torch.tensor(rows[50:]).float())  # as they are: not scaled
    torch.testing.assert_close(table.test.targets, torch.tensor(rows[50:, 0] > 3).float())
    scaled = from_arrays(rows, labels, scaling="standard")
    torch.testing.assert_close(scaled.train.inputs.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert from_arrays(rows, rows[:, 0]).task == "regression"
    floats = from_arrays(rows, (rows[:, 0] > 3).astype(np.float32), split=split)
    assert (floats.task, floats.classes, floats.outputs) == ("binary", ("0.0", "1.0"), 1)
    assert floats.targets.dtype == np.float32 and torch.equal(floats.test.targets, table.test.targets)
    assert from_arrays(rows, generator.integers(0, 4, 60)).task == "multiclass"


@pytest.mark.parametrize(("words", "message"), [
    ({"inputs": np.full((40, 2), np.nan)}, "column 0 has missing"),
    ({"inputs": pd.DataFrame({"a": ["x"] * 40})}, "must be numbers"),
    ({"inputs": np.zeros((5, 2))}, "at least 20 rows"),
    ({"targets": np.zeros(40)}, "same in every row"),
    ({"targets": np.zeros(39)}, r"must be \[40\]"),
    ({"targets": np.where(np.arange(40) == 7, np.inf, np.arange(40))}, r"targets\[7\] is inf: .* finite"),
    ({"targets": np.where(np.arange(40) == 8, -np.inf, 1.0)}, r"targets\[8\] is -inf: .* finite"),
    ({"targets": np.where(np.arange(40) == 9, 1e39, np.arange(40))}, r"targets\[9\] is 1e\+39: .* finite"),
    ({"targets": np.arange(40), "task": "binary"}, "two values, got 40"),
    ({"targets": np.arange(40), "task": "ranking"}, "unknown task"),
    ({"groups": {"g": ("x0", "x9")}}, "unknown column of group 'g' 'x9'; did you mean x"),
    ({"groups": {"g": (0,), "h": (0, 1)}}, "one group at most"),
    ({"groups": {"x1": (0,)}}, "rename the group"),
    ({"feature_names": ["a", "a"]}, "2 columns need as many different"),
    ({"feature_names": ["a", "target"]}, "both an input and the target"),
    ({"split": (0.5, 0.5, 0.5)}, "sum to 1"),
    ({"split": (range(30), range(29, 35), range(35, 40))}, "in two parts"),
    ({"split": (range(30), range(30, 35), range(35, 41))}, "from 0 to 39"),
])
def test_arrays_that_cannot_be_used(words: dict, message: str) -> None:
    arrays = {"inputs": np.arange(80.0).reshape(40, 2), "targets": np.arange(40.0), **words}
    with pytest.raises(InputError, match=message):
        from_arrays(**arrays)


@pytest.mark.parametrize(("words", "message"), [
    ({"seed": 5}, "unknown option of audit 'seed'; did you mean seeds"),
    ({"removal": ["retrain"]}, "unknown option of audit 'removal'; did you mean removals, remove"),
    ({"seeds": "five"}, "option 'seeds' must be a whole number of at least 1, got 'five'"),
    ({"rows": 2.5}, "option 'rows' must be a whole number of at least 2, got 2.5"),
    ({"tuning": "all"}, "option 'tuning' must be a finite number above 0"),
    ({"target": "y"}, "'mine' is a table already: option 'target'"),
    ({"pca": 2}, "'mine' is a table already: option 'pca'"),
])
def test_wrong_words_of_an_audit_are_named(table: TabularDataset, tmp_path: Path, words: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit(table, out=tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()


SCORERS = ("integrated_gradients", "weights", "deep_lift", "permutation", "random")
WORDS = {"remove": "a", "scorers": SCORERS, "removals": ["retrain", "shuffle_tuning", "constant"], "rows": 20,
         "training": SHORT, "jobs": 1}


def run(table: TabularDataset, out: Path, networks, **words):
    lines: list[str] = []
    return audit(table, networks=networks, out=out, say=lines.append, **{**WORDS, **words}), lines


def test_an_audit_of_given_modules(table: TabularDataset, tmp_path: Path) -> None:
    models = members(Residual)
    found, lines = run(table, tmp_path, models)
    assert not found.failed and any("3 given networks, Residual (6 inputs, 1 outputs), run stacked" in line
                                    for line in lines)
    assert any("not applicable: weights" in line for line in lines)
    shares = found.table("attributions")
    before = shares[(shares["removal"] == "original") & (shares["scorer"] == "integrated_gradients")]
    expected = attribute(models, table, "integrated_gradients", rows=20).shares
    np.testing.assert_allclose(before["share"].to_numpy().reshape(3, FEATURES), expected, rtol=1e-5)
    assert set(shares["scorer"]) == set(SCORERS) - {"weights"} and shares["share"].notna().all()
    shifts = found.table("shifts").set_index(["scorer", "removal"])
    assert not shifts.loc["weights", "applicable"].any() and shifts.loc["weights", "share_after"].isna().all()
    assert (shifts.loc[("deep_lift", "retrain"), "share_after"] == 0).all()
    assert (found.table("outcomes").query("removal == 'constant'")["direct_effect"] == 0).all()
    record = found.record["datasets"]["mine"]
    assert record["networks"]["how"] == "stacked by torch.vmap; no chain: it computes 'add'"
    assert record["networks"]["training"]["epochs"] == 3
    assert list(record["networks"]["not_applicable"]) == ["weights"] and record["source"] == "given"
    assert "decoy" not in record["groups"] and (tmp_path / "report.html").exists()


@pytest.mark.no_cover
def test_the_store_knows_the_networks_by_their_weights(table: TabularDataset, tmp_path: Path) -> None:
    models = members(Branching, 2)
    short = {"scorers": SCORERS[:2], "removals": ["constant"], "information": "off", "page": False}
    first, lines = run(table, tmp_path, models, **short)
    expected = first.table("attributions")
    assert any("one at a time (torch.vmap cannot" in line for line in lines)
    assert first.record["datasets"]["mine"]["networks"]["how"].startswith("one at a time (torch.vmap")
    again, _ = run(table, tmp_path, members(Branching, 2), **short)
    assert again.record["timings"]["chunks_run"] == 0
    models[1].last.bias.data += 1e-3
    other, _ = run(table, tmp_path, models, **short)
    assert other.record["timings"]["chunks_found"] == 0
    pair = run(table, tmp_path / "two", members(Branching, 2), jobs=2, **short)[0]  # modules travel to worker processes
    pd.testing.assert_frame_equal(pair.table("attributions"), expected)


def test_one_network_given_is_one_network(table: TabularDataset, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(FEATURES, 5), nn.ReLU(), nn.Linear(5, 1))
    found, lines = run(table, tmp_path, model)
    assert any("1 given network, 6-5-1 relu, run as stacked weights" in line for line in lines)
    assert found.record["spec"]["profile"]["seeds"] == found.record["datasets"]["mine"]["networks"]["count"] == 1
    for name in ("attributions", "shifts", "outcomes", "training"):
        rows = found.table(name)
        assert set(rows.seed) == {0} and not rows.duplicated().any(), name
    # One row a method, the original's own, its one of the feature, and its sham: nothing to draw an interval over.
    assert list(found.table("outcomes").removal) == ["original", "original", "sham", *WORDS["removals"]]
    column = model[0].weight.detach().abs().mean(0)
    weights = found.table("attributions").query("removal == 'original' and scorer == 'weights'")
    np.testing.assert_allclose(weights.share, column / column.sum(), rtol=1e-5)
    with pytest.raises(InputError, match="1 networks are given for 5 seeds: leave out option 'seeds'"):
        run(table, tmp_path, model, seeds=5)


def test_a_report_on_given_networks_of_a_named_set_finds_its_rows_again(tmp_path: Path) -> None:
    words = {"remove": "X1", "removals": ["constant"], "scorers": ["saliency"], "seeds": 1, "rows": 20,
             "training": SHORT, "jobs": 1, "say": lambda _: None}
    audit("synthetic", networks=nn.Linear(3, 1), out=tmp_path, data_dir=Path(tmp_path), **words)
    page = tmp_path / "report.html"
    first = page.read_text()
    assert report(tmp_path) == page and page.read_text() == first and "it needs the rows" not in first


@pytest.mark.parametrize(("networks", "words", "message"), [
    (members(Residual), {"seeds": 2}, "3 networks are given for 2 seeds"),
    (members(Residual, 2, 3), {}, "regression task of 1 output, the networks have 3"),
    (members(Residual), {"layer": 1}, "layer 1 cannot be audited"),
    (nn.Linear(3, 1), {}, "take 3 inputs, the table has 6"),
])
def test_networks_that_do_not_fit_are_refused(table: TabularDataset, tmp_path: Path, networks, words: dict,
                                              message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(replace(table), tmp_path, networks, **words)
    with pytest.raises(InputError, match="networks belong to one data set"):
        audit(["iris", table], networks=nn.Linear(4, 3), out=tmp_path, say=lambda _: None)


def test_refused_activations_are_told(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((200, FEATURES))
    labels = from_arrays(rows, rows[:, 0] > 0, name="labels")
    found, lines = run(labels, tmp_path, members(Unknown, 2), removals=["constant"], remove="x0")
    assert any("not applicable: deep_lift: 'tanh' (GELU) computes 'gelu' outside" in line for line in lines)
    assert "deep_lift" not in set(found.table("attributions")["scorer"])
