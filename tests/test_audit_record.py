"""What a run records and finds again: counts, machines per chunk, exchanged and outdated chunks."""

import gc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from command import assert_same_tables, tables

from attribution_suite import audit
from attribution_suite.auditing import collate, machine
from attribution_suite.auditing.store import DamagedChunkWarning, Store
from attribution_suite.memory import loaded, seldom_collected
from attribution_suite.results import Audit

pytestmark = pytest.mark.usefixtures("plain")

SEEDS, ROWS = 2, 12
WORDS: dict[str, Any] = {
    "seeds": SEEDS, "rows": ROWS, "lime_rows": 3, "tuning": 0.02, "remove": "petal_width,petal_length", "jobs": 1,
    "device": "cpu", "scorers": ["saliency", "permutation"], "removals": ["constant", "fold", "shuffle_tuning"]}


def run(out: Path, **words: Any) -> Audit:
    return audit("iris", out=out, page=False, say=lambda line: None, **{**WORDS, **words})


def holding(out: Path, name: str) -> list[str]:
    """The keys of the chunks that hold an array of that name."""
    store = Store(out / "chunks")
    stored = {path.stem: store.load(path.stem) for path in sorted(store.folder.glob("*.safetensors"))}
    return [key for key, chunk in stored.items() if chunk is not None and name in chunk.arrays]


def test_counts_are_those_of_the_run(tmp_path: Path) -> None:
    record = run(tmp_path).record
    about = record["datasets"]["iris"]
    assert about["rows"] == {"train": 105, "validation": 21, "test": 24}
    assert about["features"] == 5 and about["groups"] == {
        "sepal_length": 1, "sepal_width": 1, "petal_length": 1, "petal_width": 1, "decoy": 1}
    assert about["removals"] == ["petal_width", "petal_length"] and about["architecture"] == "5-12-3 relu"
    assert about["training"]["epochs"] == 150 and about["tuning"]["epochs"] == 1
    assert set(about["scorers"]) == {"saliency", "permutation"}
    timings = record["timings"]
    assert (timings["chunks_run"], timings["chunks_found"], timings["jobs"]) == (6, 0, 1)
    assert [made["chunks"] for made in record["made_by"]] == [6] and record["machine"]["device"] == "cpu"
    more = run(tmp_path, removals=[*WORDS["removals"], "retrain"]).record
    assert (more["timings"]["chunks_run"], more["timings"]["chunks_found"]) == (1, 6)
    assert [made["chunks"] for made in more["made_by"]] == [7]


def test_a_run_that_another_machine_resumed_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = run(tmp_path, removals=["constant"]).record
    monkeypatch.setattr(machine, "cpu_name", lambda: "another processor")
    both = run(tmp_path).record
    assert both["machine"]["cpu"] == "another processor"
    made = {entry["cpu"]: entry["chunks"] for entry in both["made_by"]}
    # Here the originals, their examination and 'constant'; there the other two removals and the sham of one of them.
    assert made == {mine["made_by"][0]["cpu"]: 3, "another processor": 3}
    about = {"cpu", "instructions", "system", "python", "device", "chunks"}
    assert all(set(entry) == about for entry in both["made_by"])


@pytest.mark.no_cover
def test_two_chunks_that_changed_places_are_both_made_again(tmp_path: Path) -> None:
    """Without the key in the digest two methods' numbers would exchange places."""
    run(tmp_path / "whole")
    run(tmp_path / "run")
    first, second, *_ = (Store(tmp_path / "run" / "chunks").path(key)
                         for key in holding(tmp_path / "run", "loss_native"))
    between = first.rename(first.with_suffix(".between"))
    second.rename(first)
    between.rename(second)
    with pytest.warns(DamagedChunkWarning) as seen:
        again = run(tmp_path / "run")
    told = [str(each.message) for each in seen if each.category is DamagedChunkWarning]
    assert sorted(text.split()[0] for text in told) == sorted([first.name, second.name])
    assert again.record["timings"]["chunks_run"] == 2 and first.with_suffix(".damaged").exists()
    assert_same_tables(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("name", ["weight 0", "bias 1", "dependence", "agreement", "loss_native", "recoverability"])
@pytest.mark.no_cover
def test_a_chunk_that_lacks_an_output_is_made_again(tmp_path: Path, name: str) -> None:
    """As one of an earlier version does, which knew no such column."""
    expected = tables(run(tmp_path).path)
    store = Store(tmp_path / "chunks")
    keys = holding(tmp_path, name)
    assert keys
    for key in keys:
        stored = store.load(key)
        assert stored is not None
        store.save(key, {other: array for other, array in stored.arrays.items() if other != name}, stored.made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is no damage
        again = run(tmp_path)
    assert again.record["timings"]["chunks_run"] == len(keys) and again.failed == []
    for table, rows in tables(again.path).items():
        assert rows.equals(expected[table]), table


def test_a_run_leaves_the_generators_and_threads_as_they_were(tmp_path: Path) -> None:
    np.random.seed(5)  # noqa: NPY002 - the global generator is what is watched
    torch.manual_seed(5)
    before, threads = (np.random.get_state()[1].copy(), torch.get_rng_state()), torch.get_num_threads()  # noqa: NPY002
    position = np.random.get_state()[2]  # noqa: NPY002
    found = run(tmp_path, scorers=None, layer=1, remove="unit:0", removals=["constant", "stochastic_tuning"])
    assert found.failed == [] and torch.get_num_threads() == threads
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert np.random.get_state()[2] == position and torch.equal(torch.get_rng_state(), before[1])  # noqa: NPY002


def test_rows_of_small_chunks_are_written_together_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [("a", pd.DataFrame({"x": [1, 2], "name": ["p", "q"]})), ("b", pd.DataFrame({"x": [9]})),
              ("a", pd.DataFrame({"x": []})), ("a", pd.DataFrame({"x": [3]})), ("a", pd.DataFrame({"x": [4, 5]}))]
    written = list(collate.together(iter(pieces)))
    assert [table for table, _ in written] == ["a", "b"]
    assert list(written[0][1].x) == [1, 2, 3, 4, 5] and list(written[0][1].name.isna()) == [False] * 2 + [True] * 3
    monkeypatch.setattr(collate, "TOGETHER", 3)
    few = list(collate.together(iter(pieces)))
    assert [(table, list(rows.x)) for table, rows in few] == [("a", [1, 2, 3]), ("b", [9]), ("a", [4, 5])]


def test_a_command_looks_for_garbage_seldom_and_never_through_its_libraries() -> None:
    before = gc.get_threshold()
    with seldom_collected():
        assert gc.isenabled() and gc.get_threshold()[0] > 10 * before[0]
    assert gc.get_threshold() == before
    gc.unfreeze()
    loaded("json")
    assert gc.isenabled() and gc.get_freeze_count() > 10_000
    gc.unfreeze()
