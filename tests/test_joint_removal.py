"""Features removed together, from the library's calls to an audit's page, against least squares done directly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from plain_suite import plain_figures
from shared import shared
from sklearn.linear_model import LinearRegression

from attribution_suite import audit, from_arrays, remove, train, worst_case
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import asked
from attribution_suite.reporting.figures.redistribution import _dumbbell_row, _feature_panels
from attribution_suite.reporting.reading import Run
from attribution_suite.results import Audit

SMALL = Preset("default", (9, 6), Training(12, 16, 0.02), tuning_epochs=4)
ROWS, SEEDS = 20, 2
NAMES = ["a", "kind=x", "kind=y", "kind=z", "b", "c", "d"]
METHODS = list(asked(None))
EXACT = [name for name in METHODS if REMOVALS.load(name).traits.exact]
WORDS = {"seeds": SEEDS, "rows": ROWS, "background": 80, "lime_rows": 4, "lime_samples": 50, "jobs": 1,
         "say": lambda line: None}


def table(rows: int = 240, **names: str) -> TabularDataset:
    """y = a + b + c/2 ± kind; d is a proxy of a and b together, and of neither as much."""
    generator = np.random.default_rng(8)
    a, b, c, noise = generator.standard_normal((4, rows))
    kind = generator.integers(0, 3, rows)
    inputs = np.column_stack([a, np.eye(3)[kind], b, c, (a + b + noise / 2) / 1.5])
    found = from_arrays(inputs, a + b + c / 2 + kind - 1.0, name="small",
                        feature_names=[names.get(name, name) for name in NAMES], groups={"kind": NAMES[1:4]})
    return replace(found, preset=SMALL)


@pytest.fixture(scope="module")
def dataset() -> TabularDataset:
    return table()


@pytest.fixture(scope="module")
def originals(dataset: TabularDataset) -> Perceptrons:
    return train(dataset, seeds=SEEDS).networks


def test_a_fold_is_least_squares_on_the_features_that_stay(dataset: TabularDataset, originals: Perceptrons) -> None:
    gone, rest = [4, 0, 1, 2, 3], [5, 6]  # b, a and kind
    edited = remove(originals, dataset, ["b", "a", "kind"], "fold")
    training, rows = dataset.train.inputs.numpy(), dataset.test.inputs.clone()
    fitted = LinearRegression().fit(training[:, rest], training[:, gone]).predict(rows[:, rest].numpy())
    expected = rows.clone()
    expected[:, gone] = torch.from_numpy(fitted).float()
    torch.testing.assert_close(edited.outputs(rows), originals.outputs(expected), rtol=1e-3, atol=1e-3)
    assert (edited.outputs(rows) - originals.outputs(rows)).abs().max() > 0.1
    again = remove(originals, dataset, "b+a+kind", "fold")
    assert all(map(torch.equal, again.tensors, edited.tensors))


@pytest.mark.parametrize("layer", [0, 1])
def test_one_after_the_other_is_not_together(dataset: TabularDataset, originals: Perceptrons, layer: int) -> None:
    """Of two networks each lost one and reads the other; folding b out of one without a puts b's part on a again."""
    pair = ["a", "b"] if layer == 0 else ["unit:2", "unit:5"]
    both = remove(originals, dataset, pair, "fold", layer=layer)
    assert (worst_case(both, dataset, pair, layer).bound == 0).all()
    for first, second in (pair, pair[::-1]):
        one = remove(originals, dataset, first, "fold", layer=layer)
        assert (worst_case(one, dataset, first, layer).bound == 0).all()
        assert (worst_case(one, dataset, second, layer).effect > 0.01).any()
        assert (worst_case(one, dataset, pair, layer).effect > 0.01).any()
        then = remove(one, dataset, second, "fold", layer=layer)
        assert (worst_case(then, dataset, first, layer).effect > 0.001).any()


def test_the_worst_case_of_two_is_more_than_that_of_each(dataset: TabularDataset, originals: Perceptrons) -> None:
    """A category and a number together: exact, and as large as a search of each pattern along the number finds."""
    rows, training = dataset.test.inputs[:ROWS].double(), dataset.train.inputs.double()
    together = worst_case(originals, dataset, "kind+a", rows=ROWS)
    assert together.method == ("exact",) * SEEDS
    patterns, numbers = training[:, 1:4].unique(dim=0), torch.linspace(*training[:, 0].aminmax(), 2001).double()
    for member in range(SEEDS):
        module, largest = originals.to_module(member).double(), 0.0
        for pattern in patterns:
            moved = rows.expand(len(numbers), -1, -1).clone()
            moved[:, :, 1:4], moved[:, :, 0] = pattern, numbers[:, None]
            largest = max(largest, float((module(moved) - module(rows)).detach().abs().max()))
        assert float(together.effect[member]) == pytest.approx(largest, rel=1e-3)
        alone = [worst_case(originals, dataset, name, rows=ROWS).effect[member] for name in ("a", "kind")]
        assert together.effect[member] > max(alone)


def test_bad_sets_are_refused(dataset: TabularDataset, originals: Perceptrons, tmp_path: Path) -> None:
    for feature, message in ((["a", "zz"], "unknown feature of small 'zz'"), ("a+zz", "unknown feature of small 'zz'"),
                             ([], "named by a string"), (["a", 3], "named by a string"), (7, "named by a string"),
                             ("a+b+c+d+kind", "all that there is")):
        with pytest.raises(InputError, match=message):
            remove(originals, dataset, feature, "fold")
    with pytest.raises(InputError, match="unknown unit of layer 1 'unit:77'"):
        worst_case(originals, dataset, ["unit:0", "unit:77"], 1)
    for wrong, message in (([["a", "zz"]], "'zz'"), ([[]], "is empty"), ([["a", 3]], "3 is none"),
                           ("a+decoy", "the decoy is a column of noise"), ("decoy", "the decoy is a column of noise"),
                           ([["a", ["b"]]], "is none"), ("a+b+c+d+kind", "all that there is"), ([3], "3 is none")):
        with pytest.raises(InputError, match=message):
            audit(dataset, remove=wrong, out=tmp_path / "run", **WORDS)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def run(dataset: TabularDataset) -> Audit:
    """Every default removal; its page is drawn. `["b", "a"]` is the same set as the first."""
    return Audit(shared("joint", lambda folder: audit(
        dataset, remove=[["a", "b"], "c,kind+a", ["b", "a"], ["c"]], out=folder,
        scorers=["saliency", "weights", "permutation", "xgboost_gain", "random"], **WORDS)))


def test_every_table_has_the_sets(run: Audit) -> None:
    assert not run.record["failed"]
    removed = ["a+b", "c", "kind+a"]
    for name in ("outcomes", "shifts", "attributions", "training"):
        found = run.table(name)
        edited = found[~found.removal.isin(["original", "sham"])]
        assert list(pd.unique(edited.removed)) == removed, name
        assert set(edited.removal) <= set(METHODS)
    outcomes = run.table("outcomes")
    assert len(outcomes[outcomes.removed != ""]) == SEEDS * 3 * (1 + len(METHODS))
    assert list(run.summary.removed.unique()) == removed
    assert json.loads((run.path / "run.json").read_text())["datasets"]["small"]["removals"] == removed


def test_what_is_removed_together_is_out(run: Audit) -> None:
    outcomes = run.table("outcomes").query("removed != ''")
    exact = outcomes.removal.isin(EXACT)
    assert (outcomes[exact].direct_effect == 0).all() and (outcomes[exact].worst_case_bound == 0).all()
    assert (outcomes[exact].worst_case_method == "algebra").all()
    before = outcomes[outcomes.removal == "original"].set_index(["removed", "seed"])
    assert (before.loc["a+b"].worst_case_method == "search").all()
    assert (before.loc["kind+a"].worst_case_method == "exact").all() and (before.worst_case > 0.01).all()
    assert all("a " in text and "b " in text for text in before.loc["a+b"].witness_to)


def test_shifts_are_those_of_the_sum(run: Audit, dataset: TabularDataset) -> None:
    attributions, shifts = run.table("attributions"), run.table("shifts")
    shares = {key: rows.set_index("feature").share
              for key, rows in attributions.groupby(["removed", "removal", "scorer", "seed"])}
    training = dataset.with_decoy().train.inputs.numpy()
    columns = {"a": [0], "kind": [1, 2, 3], "b": [4], "c": [5], "d": [6], "decoy": [7]}
    on = {name: {k: np.mean([LinearRegression().fit(training[:, gone], training[:, column]).score(
        training[:, gone], training[:, column]) for column in several]) for k, several in columns.items()}
        for name, gone in (("a+b", [0, 4]), ("kind+a", [0, 1, 2, 3]))}
    assert on["a+b"]["d"] > 0.8 > on["kind+a"]["d"]  # d is a proxy of both together
    checked = 0
    for row in shifts[shifts.applicable & shifts.removed.isin(on) & (shifts.scorer != "random")].itertuples():
        members = row.removed.split("+")
        before = shares["", "original", row.scorer, row.seed]
        after = shares[row.removed, row.removal, row.scorer, row.seed]
        assert row.share_before == pytest.approx(before[members].sum())
        assert row.share_after == pytest.approx(after[members].sum(), abs=1e-7)
        gains = (after - before).drop(members)
        assert row.largest_gainer == gains.idxmax() and row.largest_gainer not in members
        positive = gains.clip(lower=0)
        if positive.sum() > 1e-3:
            expected = sum(positive[k] * on[row.removed][k] for k in positive.index) / positive.sum()
            assert row.proxy_mass == pytest.approx(expected, abs=1e-3)
            checked += 1
    assert checked > 20


def test_what_is_left_to_know_of_a_set_is_asked_of_all_its_columns(run: Audit) -> None:
    """d tells most of a and b together, and its network's output does; the answer is a row a set."""
    information, proxies = run.table("information"), run.table("proxies")
    assert {"a+b", "c", "kind+a"} <= set(information.removed) and "a+b" in set(proxies.removed)
    assert not proxies[proxies.removed == "a+b"].proxy.isin(["a", "b"]).any()
    assert (proxies[proxies.removed == "a+b"].proxy == "d").any()
    verdicts = run.table("verdicts").query("removal in ['original', 'fold']")
    assert set(verdicts.removed) - {""} == {"a+b", "c", "kind+a"}


def test_the_null_of_a_set_reads_the_sum(run: Audit) -> None:
    nulls = run.table("nulls").set_index(["removed", "removal", "scorer"]).sort_index()
    reported = run.table("attributions").set_index(["removed", "removal", "scorer", "feature"]).sort_index().mean_abs
    for removal in ("fold", "shuffle_tuning"):
        scores = nulls.loc[("kind+a", removal, "saliency")].sort_values("seed")
        parts = [reported.loc[("kind+a", removal, "saliency", feature)].to_numpy() for feature in ("kind", "a")]
        np.testing.assert_allclose(scores.score, sum(parts), rtol=1e-5)
        assert (scores.p == (1 if removal == "fold" else 0)).all()
        assert (scores.by_construction == (removal == "fold")).all()
    assert (nulls.loc[("a+b", "fold", "permutation")].p == 1).all()


def test_the_page_is_drawn_with_the_sets(run: Audit) -> None:
    page = (run.path / "report.html").read_text()
    assert "a+b" in page and "kind+a removed by" in page
    assert {path.name for path in (run.path / "figures").glob("*.png")} >= {"small-matrix.png", "small-cost.png",
                                                                           "small-redistribution.png"}


def test_a_figure_marks_every_feature_that_went(run: Audit) -> None:
    subject, = Run(run.path).subjects(None)
    panels = _feature_panels(subject)
    assert {name: changes.gone for name, changes in panels.items()} == {"a+b": 2, "c": 1, "kind+a": 2}
    for name, changes in panels.items():
        assert list(changes.after.index[:changes.gone]) == name.split("+") and len(changes.after) == 6
        axes = Figure().add_subplot()
        _dumbbell_row(axes, changes)
        bold = [tick.get_text() for tick in axes.get_yticklabels() if tick.get_fontweight() == "bold"]
        assert bold == name.split("+")


@pytest.mark.no_cover
def test_units_are_removed_together(dataset: TabularDataset, tmp_path: Path) -> None:
    found = audit(dataset, remove=[["unit:3", "unit:5"], "unit:3"], layer=1, out=tmp_path,
                  scorers=["saliency", "layer_conductance", "random"], **WORDS)
    assert not found.failed
    outcomes, shifts = found.table("outcomes").query("removed != ''"), found.table("shifts")
    assert list(pd.unique(outcomes.removed)) == ["unit:3+unit:5", "unit:3"]
    exact = outcomes.removal.isin(EXACT)
    assert (outcomes[exact].direct_effect == 0).all() and (outcomes[exact].worst_case_bound == 0).all()
    both = shifts[(shifts.removed == "unit:3+unit:5") & shifts.applicable]
    assert not both.largest_gainer.isin(["unit:3", "unit:5"]).any()
    joined = both.merge(shifts[shifts.removed == "unit:3"], on=["seed", "removal", "scorer"], suffixes=("", "_alone"))
    assert (joined.share_before >= joined.share_before_alone).all()
    assert (joined.share_before > joined.share_before_alone).any()
    assert (tmp_path / "figures" / "small-layer-1-redistribution.png").exists()


@pytest.mark.parametrize("name", ["c+d", "c,d", "c+a"])
def test_a_name_with_a_sign_in_it_is_one_feature(tmp_path: Path, name: str) -> None:
    with plain_figures():
        found = audit(table(d=name), remove=[name, ["c", "b"], ["kind", name]], removals=["constant"],
                      scorers=["saliency"], out=tmp_path, **WORDS)
    outcomes, shifts = found.table("outcomes").query("removed != ''"), found.table("shifts")
    assert list(pd.unique(outcomes.removed)) == [name, "c+b", f"kind+{name}"]
    shares = found.table("attributions").query("removal == 'original' and scorer == 'saliency'")
    shares = shares.set_index(["feature", "seed"]).share
    for seed in range(SEEDS):
        share = shifts.query("seed == @seed and scorer == 'saliency'").set_index("removed").share_before
        assert share[name] == pytest.approx(shares[name, seed])
        assert share[f"kind+{name}"] == pytest.approx(shares[name, seed] + shares["kind", seed])
