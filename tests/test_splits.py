"""Repeated splits: other rows and other networks, the worst of all of them, means of means with their interval.

One real run of a small table, three splits of two networks, beside the same run on one split.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
from conclusion_cases import PROVED, Network, exact, frames, searched

from attribution_suite import audit, from_arrays, load_dataset, train
from attribution_suite.auditing import plan
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.store import Store, Stored
from attribution_suite.conclusions import words
from attribution_suite.conclusions.direct import direct
from attribution_suite.conclusions.judgements import judgements
from attribution_suite.conclusions.summary import edits, interval, net_costs, no_difference, summary_table
from attribution_suite.datasets.load import load_splits
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.reporting.page import render, section
from attribution_suite.reporting.reading import Run
from attribution_suite.reporting.summary import format_summary
from attribution_suite.results import Audit
from attribution_suite.tables import TABLES

SPLITS, SEEDS = 3, 2
T = 0.95 * (2 / (1 - 0.95**2)) ** 0.5  # Student's quantile with two degrees of freedom, in closed form


def small(rows: int = 120) -> TabularDataset:
    """A table in memory: y = 2 a + b + noise."""
    generator = np.random.default_rng(5)
    inputs = generator.standard_normal((rows, 3))
    targets = 2 * inputs[:, 0] + inputs[:, 1] + 0.2 * generator.standard_normal(rows)
    table = from_arrays(inputs, targets, feature_names=["a", "b", "c"], name="small", split=(0.6, 0.2, 0.2))
    return replace(table, preset=Preset("default", (5,), Training(8, 16, 2e-2), tuning_epochs=4))


def run(folder: Path, **options: Any) -> Audit:
    """An audit of `small`, of which no page is drawn."""
    return audit([small()], removals=["stochastic_tuning", "constant"], scorers=["saliency", "lime", "random"],
                 seeds=SEEDS, rows=20, background=60, lime_rows=4, lime_samples=30, jobs=1, information="off",
                 out=folder, page=False, say=lambda line: None, **options)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return run(tmp_path_factory.mktemp("repeated"), remove="a,b", splits=SPLITS)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return run(tmp_path_factory.mktemp("single"), remove="a,b")


def table(result: Audit, name: str) -> pd.DataFrame:
    """A table of a run, whose times say nothing."""
    return result.table(name).drop(columns="seconds", errors="ignore")


# The rows

@pytest.mark.parametrize("load", [
    lambda: load_splits(DatasetRequest("iris"), SPLITS), lambda: load_splits(DatasetRequest("synthetic"), SPLITS),
    lambda: load_splits(DatasetRequest("weight_history"), SPLITS),
    lambda: load_splits(DatasetRequest("small", in_memory=True, decoy=True), SPLITS, small())])
def test_every_split_is_another_partition_of_the_same_rows(load: Callable[[], list[TabularDataset]]) -> None:
    datasets = load()
    assert [one.split for one in datasets] == [0, 1, 2]
    for one in datasets:
        assert np.array_equal(one.inputs, datasets[0].inputs) and np.array_equal(one.targets, datasets[0].targets)
        rows = np.concatenate([one.train_rows, one.validation_rows, one.test_rows])
        assert np.array_equal(np.sort(rows), np.arange(len(one.inputs)))
        assert [len(one.train_rows), len(one.test_rows)] == [len(datasets[0].train_rows), len(datasets[0].test_rows)]
        centre = one.inputs[one.train_rows].mean(0) if one.scaling == "standard" else 0
        assert np.allclose(one.scaler[0], centre, atol=1e-5)  # fitted to its own training rows
    tests = [set(one.test_rows) for one in datasets]
    assert tests[0] != tests[1] and tests[1] != tests[2] and tests[0] != tests[2]


def test_the_first_split_is_that_of_a_single_one_and_classes_keep_their_parts() -> None:
    first, second = load_splits(DatasetRequest("iris", seed=3), 2)
    alone = load_dataset("iris", seed=3)
    for name in ("train_rows", "validation_rows", "test_rows"):
        assert np.array_equal(getattr(first, name), getattr(alone, name))
    counts = [np.bincount(one.targets[one.test_rows]).tolist() for one in (first, second)]
    assert counts[0] == counts[1]


def test_numbers_are_filled_from_the_training_rows_of_their_own_split(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"gaps": generator.standard_normal(100), "other": generator.standard_normal(100),
                          "y": generator.standard_normal(100)})
    frame.loc[::4, "gaps"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    for one in load_splits(DatasetRequest(str(tmp_path / "t.csv"), target="y"), SPLITS):
        filled = one.inputs[frame.gaps.isna().to_numpy(), 0]
        assert np.allclose(filled, frame.gaps.iloc[one.train_rows].mean(), atol=1e-6)


@pytest.mark.parametrize(("words", "error"), [
    ({"datasets": ["iris"], "splits": 2}, "two splits give no interval"),
    ({"datasets": ["iris"], "splits": 0}, "option 'splits'"),
    ({"datasets": ["iris"], "splits": 3, "preset": "published"}, "option 'splits': the published preset of iris"),
    ({"datasets": ["iris"], "splits": 3, "pca": 2}, "option 'splits': the principal components of iris")])
def test_what_has_one_split_alone_is_refused(words: dict[str, Any], error: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=error):
        audit(**words, out=tmp_path / "run", say=lambda line: None)


def test_given_networks_know_one_split(tmp_path: Path) -> None:
    networks = train(small(), seeds=1).networks
    with pytest.raises(InputError, match="option 'splits': networks that are given were trained on one split"):
        audit(small(), networks=networks, splits=3, out=tmp_path / "run", say=lambda line: None)


def test_a_loader_that_draws_one_split_only_is_found_out() -> None:
    with (patch("attribution_suite.datasets.load._loaded", lambda request, frame: small()),
          pytest.raises(InputError, match="option 'splits': the loader of small draws one split only")):
        load_splits(DatasetRequest("iris"), 3)
    both = replace(small(), validation_rows=small().test_rows)
    with pytest.raises(InputError, match="rows in two parts"):
        both.with_split(1)


# The networks

@pytest.mark.parametrize("name", list(TABLES))
def test_the_first_of_three_splits_is_the_single_one(single: Audit, repeated: Audit, name: str) -> None:
    """Bit for bit; the other splits have numbers of their own."""
    alone, every = table(single, name), table(repeated, name)
    first = every[every.split == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, first, check_exact=True)
    numbers = [column for column in first if first[column].dtype == float and first[column].notna().any()]
    for split in (1, 2):
        other = every[every.split == split].reset_index(drop=True)
        if numbers:
            assert not np.array_equal(first[numbers].to_numpy(), other[numbers].to_numpy(), equal_nan=True)


def test_no_two_networks_share_a_seed(repeated: Audit) -> None:
    """So that what is paired by seed is paired within its split."""
    for name in TABLES:
        rows = table(repeated, name)
        if "seed" in rows and len(rows):
            assert rows.groupby("seed").split.nunique().eq(1).all()
            assert sorted(rows.seed.unique()) == list(range(SPLITS * SEEDS)), name


def test_an_edit_is_held_against_the_original_and_the_sham_of_its_own_split(repeated: Audit) -> None:
    """Losses before are those of the seed's own original; without the sham of one split its costs are unknown."""
    outcomes = table(repeated, "outcomes")
    originals = outcomes[(outcomes.removal == "original") & (outcomes.removed == "")].set_index("seed").loss_native
    assert originals.nunique() == SPLITS * SEEDS  # none could stand in for another
    edited = edits(outcomes)
    assert np.array_equal(edited.loss_before, edited.seed.map(originals))
    lost = outcomes[~((outcomes.removal == "sham") & (outcomes.split == 1))]
    tuned = edited.tuned.to_numpy()
    assert np.isfinite(net_costs(outcomes)).all()
    assert np.isnan(net_costs(lost)[tuned & (edited.split == 1).to_numpy()]).all()
    assert np.isfinite(net_costs(lost)[~tuned | (edited.split != 1).to_numpy()]).all()


def test_all_splits_lose_the_features_that_lead_in_the_mean_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """'a' leads in split 0 by a little, 'b' in split 1 by far."""
    spec = make_spec(["small"], removals=["constant"], scorers=["saliency"], remove="top:1", seeds=1, splits=3,
                     in_memory=["small"], decoy=False)
    datasets = load_splits(spec.requests[0], 3, small())
    originals = [plan.plan_originals(spec, one, None, torch.device("cpu")) for one in datasets]
    effects = ([[0.6, 0.5, 0.0]], [[0.1, 0.9, 0.0]], [[0.3, 0.3, 0.0]])
    monkeypatch.setattr(plan, "finished", lambda chunk, store: Stored(
        {"each_effect": np.array(effects[chunk.subject.split])}, {}))
    chosen = {features for one, data in zip(originals, datasets, strict=True)
              for features in plan.top_nodes(one, originals, data, Store(Path("nowhere")), 1)}
    assert chosen == {("b",)}
    assert plan.top_nodes(originals[0], originals[:1], datasets[0], Store(Path("nowhere")), 1) == [("a",)]


# What is concluded

def over_splits(networks: Sequence[Network | None]) -> dict[str, pd.DataFrame]:
    """'x', which moves each original, removed by constant: one network on each of three splits."""
    found = frames({("constant", "x"): networks}, originals={"x": [exact(9.0)] * 3})
    return {name: rows.assign(split=rows.seed) if "seed" in rows else rows for name, rows in found.items()}


@pytest.mark.parametrize(("networks", "verdict"), [
    ([PROVED, PROVED, PROVED], "proved none"), ([PROVED, PROVED, exact(0.5)], "bounded"),
    ([PROVED, PROVED, exact(2.0)], "present"), ([exact(0.4), searched(0.1), PROVED], "undecided"),
    ([PROVED, None, PROVED], "not measured")])
def test_the_verdict_is_the_worst_over_splits(networks: list[Network | None], verdict: str) -> None:
    rows = direct(over_splits(networks)).set_index("removal")
    row = rows.loc["constant"]
    assert row.direct == verdict and row.splits == 3
    assert row.filter(like="networks_").sum() == 3
    original = rows.loc["original"]
    assert original.witness_split == original.witness_seed == 2  # δ is the largest there
    assert "(network 2, split 2, test row 22: " in words.witness(original, "x")
    assert "(network 2, test row 22: " in words.witness(original.mask(original.index == "splits", 1), "x")


def test_a_split_whose_networks_all_failed_is_not_measured() -> None:
    """It has no row but that of its failure; without that row there are two splits, and both are proved."""
    found = over_splits([PROVED, PROVED, None])
    for name in ("outcomes", "attributions"):
        found[name] = found[name][found[name].split < 2]
    assert direct(found).set_index("removal").loc["constant", "direct"] == "proved none"
    failed = pd.DataFrame([{"dataset": "d", "split": 2, "layer": 0, "rank": 0, "removal": "original", "removed": "",
                            "scorer": "", "error": "no room"}])
    row = direct({**found, "failures": failed}).set_index("removal").loc["constant"]
    assert row.direct == "not measured" and row.networks_not_measured == 1 and row.networks_proved == 2


@pytest.mark.parametrize(("p", "state"), [
    ((0.05, 0.05, 0.9), "false alarm"), ((0.05, 0.9, 0.9), "silent"), ((0.05, 0.05, np.nan), "not measured"),
    ((0.05, 0.05), "not measured")])
def test_a_scorer_sees_what_it_sees_in_most_splits(p: tuple[float, ...], state: str) -> None:
    """One that was not asked on every split is not measured."""
    found = over_splits([PROVED] * 3)
    keys = {"dataset": "d", "layer": 0, "rank": 0, "removed": "x", "scorer": "lime", "by_construction": False,
            "unseen": False, "score": 1.0, "phantoms": 19, "fidelity": np.nan}
    nulls = [{**keys, "removal": removal, "seed": split, "split": split, "p": value}
             for removal, values in (("original", (0.05,) * 3), ("constant", p)) for split, value in enumerate(values)]
    shifts = pd.DataFrame([{**keys, "removal": "constant", "seed": 0, "split": 0, "applicable": True}])
    found |= {"nulls": pd.DataFrame(nulls), "shifts": shifts}
    assert judgements(found, direct(found)).set_index("removal").loc["constant", "state"] == state


def test_intervals_are_those_of_the_means_of_the_splits() -> None:
    """Two networks on each of three splits, by hand: means 1, 2, 6, s² = 7; K = 3, n_test / n_train = 1/4."""
    values, splits = np.array([0.0, 2, 1, 3, 4, 8]), np.array([0, 0, 1, 1, 2, 2])
    half = T * (7 * (1 / 3 + 1 / 4)) ** 0.5
    assert interval(values, splits, 0.25) == pytest.approx((3, 3 - half, 3 + half))
    student = interval(values, splits, None)
    assert student[0] == 3 and student[2] - student[1] < half  # six networks would be taken for six samples
    two = interval(values[:4], splits[:4], 0.25)
    assert two[0] == 1.5 and np.isnan(two[1:]).all()


def test_no_difference_is_shown_over_splits() -> None:
    """Means 0.001 apart: the spread over splits decides, and shared training rows widen it."""
    costs = np.array([-0.001, 0.0, 0.001])
    assert no_difference(costs, 0.25) and not no_difference(5 * costs, 0.25)
    assert no_difference(5 * costs)  # as three independent networks they would be within 1 %
    assert not no_difference(np.zeros(2), 0.25) and no_difference(np.zeros(3), 0.25)


def test_the_summary_has_means_of_splits_and_names_its_interval(single: Audit, repeated: Audit) -> None:
    outcomes = edits(table(repeated, "outcomes"))
    row = repeated.summary.set_index(["removed", "removal"]).loc[("a", "stochastic_tuning")]
    means = outcomes[(outcomes.removed == "a") & (outcomes.removal == "stochastic_tuning")].groupby("split").r2.mean()
    half = T * means.std() * (1 / 3 + 24 / 72) ** 0.5
    assert [row.performance, row.performance_low, row.performance_high] == pytest.approx(
        [means.mean(), means.mean() - half, means.mean() + half])
    assert (row.splits, row.seeds, row.interval) == (3, 6, "Nadeau and Bengio's over splits")
    alone = single.summary.iloc[0]
    assert (alone.splits, alone.seeds, alone.interval) == (1, 2, "Student's t over networks")


def test_one_split_of_a_repeated_run_has_no_interval(repeated: Audit) -> None:
    """Two of three splits failed: their rows are gone, and one split must not pass for a run of one."""
    tables = {name: table(repeated, name) for name in ("outcomes", "failures")}
    tables["outcomes"] = repeated.table("outcomes").query("split == 0")
    lost = [{"dataset": "small", "split": split, "removal": "original", "removed": "", "layer": 0, "rank": 0,
             "scorer": "", "error": "no room"} for split in (1, 2)]
    row = summary_table({**tables, "failures": pd.DataFrame(lost)}).iloc[0]
    assert np.isfinite(row.performance) and np.isnan(row.performance_low) and not row.cost_equivalent


def test_terminal_and_page_say_how_many_splits(single: Audit, repeated: Audit) -> None:
    said = [format_summary(one.summary, one.verdicts, one.record["spec"]["rules"]) for one in (single, repeated)]
    assert said[0].endswith("\nMean over 2 networks (one a seed); one split of the rows.")
    assert said[1].endswith("\nMean over 3 splits of the rows (2 networks on each).")
    pages = []
    for one in (single, repeated):
        with patch("attribution_suite.reporting.page.figures.draw", lambda subject: {}):
            reading = Run(one.path)
            pages.append(render(reading, [section(subject) for subject in reading.subjects(None)]))
    assert "2 networks each on one split of the rows" in pages[0] and "Nadeau" not in pages[0]
    assert "6 networks each (2 on each of 3 splits of the rows)" in pages[1]
    assert "95 % interval over splits (Nadeau and Bengio)" in pages[1] and "all on one split" not in pages[1]
    assert "6 networks on 3 splits of the rows trained here" in pages[1]
    record = repeated.record["datasets"]["small"]["splits"]
    assert len(record) == 3 and len({split["fingerprint"] for split in record}) == 3


def test_the_page_prints_what_was_measured_of_intervals_and_scorers(single: Audit, repeated: Audit) -> None:
    """Two networks were not measured, three splits were; each scorer of the run has its two rates."""
    pages = []
    for one in (single, repeated):
        with patch("attribution_suite.reporting.page.figures.draw", lambda subject: {}):
            reading = Run(one.path)
            pages.append(" ".join(render(reading, [section(one) for one in reading.subjects(None)]).split()))
    assert "of 5 and 10 networks (2 were not measured)" in pages[0] and "of 3 splits held" in pages[1]
    for page in pages:
        cells = '<th scope="row">lime</th><td>8&nbsp;%</td><td>76&nbsp;%</td>'
        assert cells in page and '<th scope="row">saliency</th><td>0&nbsp;%</td>' in page
        assert "permutation" not in page.partition('id="error-rates"')[2].partition("</table>")[0]
