"""Parquet data sets kept on disk: the same bits as the same rows in memory, and one line for what cannot be read."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch

from attribution_suite import InputError, describe, load_dataset, remove, train, worst_case
from attribution_suite.datasets import on_disk, parquet
from attribution_suite.datasets.own_split import own_split
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset

ROWS = 300
PARTS = ("train", "validation", "test")


def table() -> pd.DataFrame:
    """A column of every kind that a Parquet file stores, gaps in most, the target's too; a sentinel in one."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({
        "age": generator.integers(18, 60, ROWS), "income": generator.lognormal(8, 1, ROWS),
        "score": generator.standard_normal(ROWS).astype(np.float32), "member": generator.random(ROWS) < 0.5,
        "city": generator.choice(["Bonn", "Köln", "Ulm"], ROWS), "code": generator.choice(["1", "2", "03"], ROWS),
        "opened": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 900, ROWS), "D"),
        "grade": pd.Categorical(generator.choice(["low", "mid", "high"], ROWS)),
        "firm": generator.integers(0, 40, ROWS)})
    frame["old"] = generator.choice([True, False, None], ROWS)
    frame["y"] = frame["age"] / 7 + frame["score"] + generator.standard_normal(ROWS)
    frame.loc[::7, "income"], frame.loc[::9, "city"], frame.loc[3::11, "age"], frame.loc[::13, "code"] = (
        np.nan, None, -999, None)
    frame.loc[[5, 77], "y"] = np.nan
    return frame


def written(folder: Path, frame: pd.DataFrame, files: int = 3) -> Path:
    """The frame as files of a folder, one of them in a folder of it, with what Spark leaves beside them."""
    (folder / "z").mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    for number, start in enumerate(range(0, len(frame), -(-len(frame) // files))):
        part = frame.iloc[start:start + -(-len(frame) // files)]
        part.to_parquet(folder / (f"part-{number}.parquet" if number < files - 1 else f"z/part-{number}.parquet"))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "attribution_suite" / "rows"


def assert_same(one: TabularDataset, other: TabularDataset) -> None:
    for name in ("feature_names", "groups", "levels", "classes", "task", "target_name", "index_columns"):
        assert getattr(one, name) == getattr(other, name)
    arrays = ("inputs", "targets", "train_rows", "validation_rows", "test_rows", "numbers")
    for first, second in [(getattr(one, name), getattr(other, name)) for name in arrays] + list(
            zip(one.scaler, other.scaler, strict=True)):
        np.testing.assert_array_equal(first, second)
    for part in PARTS:
        rows, others = getattr(one, part), getattr(other, part)
        assert torch.equal(rows.inputs, others.inputs) and torch.equal(rows.targets, others.targets)
        assert rows.inputs.stride() == others.inputs.stride()


@pytest.mark.parametrize("options", [
    {}, {"split": 2}, {"drop": ["code"], "id": None, "index_columns": ["firm"]}, {"ordinal": ["grade=low<mid<high"]},
    {"group_by": "firm"}, {"categorical": ["firm"], "group_rare": 9}, {"task": "multiclass", "target": "grade"},
], ids=str)
def test_a_folder_on_disk_is_the_frame_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 options: dict[str, Any]) -> None:
    monkeypatch.setattr(parquet, "GROUP_VALUES", 2 * ROWS)  # two columns at a time
    monkeypatch.setattr(on_disk, "PART_VALUES", 500)  # some rows at a time
    frame, words = table(), {"target": "y", "dates": ["opened"], "na": ["-999"], **options}
    if words["target"] == "grade":
        frame = frame.drop(columns="y")
    folder = written(tmp_path / "loans", frame)
    in_memory, kept = load_dataset(frame, **words), load_dataset(folder, **words, on_disk_above=0)
    assert in_memory.on_disk is None and kept.on_disk is not None and kept.name == "loans"
    assert kept.notes[:-1] == in_memory.notes and kept.notes[-1].startswith("rows kept on disk: ")
    assert_same(kept, in_memory)
    assert_same(kept.with_decoy(), in_memory.with_decoy())
    assert_same(kept.with_split(1), in_memory.with_split(1))
    assert_same(load_dataset(folder, **words), in_memory)  # a small one is read in memory
    assert describe(folder, **words, on_disk_above=0) == describe(folder, **words)


def test_test_rows_follow_those_on_disk(tmp_path: Path) -> None:
    frame = table().drop(columns=["opened", "old"])
    later = frame.iloc[:40].assign(age=range(40))
    folder = written(tmp_path / "loans", frame)
    later.to_parquet(tmp_path / "later.parquet")
    kept = load_dataset(folder, target="y", test=tmp_path / "later.parquet", on_disk_above=0)
    assert kept.on_disk is not None
    assert_same(kept, load_dataset(frame, target="y", test=later))


def test_networks_trained_edited_and_measured_on_disk_are_those_of_memory(tmp_path: Path,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table().drop(columns=["opened", "old"])
    kept = load_dataset(written(tmp_path / "loans", frame), target="y", on_disk_above=0)
    budget, found = Training(3, 16, 1e-2), []
    for data in (kept, load_dataset(frame, target="y")):
        networks = train(data, seeds=2, training=budget)
        edits = [remove(networks, data, "income", method, training=budget, tuning=0.1) for method in (
            "fold", "retrain", "shuffle_tuning", "leace", "splince")]
        worst = [worst_case(each, data, "income").effect for each in (networks.networks, edits[0])]
        found.append([*(tensor for each in (networks.networks, *edits) for tensor in each.tensors), *worst])
    assert all(map(torch.equal, *found))
    assert bool((found[0][-2] > 0).all()) and not found[0][-1].any()


def test_what_travels_to_a_worker_is_where_the_rows_are(tmp_path: Path) -> None:
    frame = table().drop(columns=["opened", "old"])
    data = load_dataset(written(tmp_path / "loans", pd.concat([frame] * 20)), target="y", on_disk_above=0).with_decoy()
    whole = data.train.inputs.clone()
    packed = pickle.dumps(data)
    assert len(packed) < data.inputs.nbytes / 2
    assert_same(pickle.loads(packed), data)
    data.train.inputs.zero_()  # a copy of the pages that it writes to, in this process alone
    assert torch.equal(pickle.loads(packed).train.inputs, whole)
    with pytest.raises(ValueError, match="read-only"):
        data.inputs[0, 0] = 1.0


def test_files_are_made_once_and_whole(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "loans", table().drop(columns=["opened", "old"]))

    def breaks(self: Any, *words: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(on_disk.np, "ascontiguousarray", breaks)
        with pytest.raises(InputError, match=r"rows: cannot write there: No space left on device"):
            load_dataset(folder, target="y", on_disk_above=0)
    assert not list(cache.iterdir())
    first = load_dataset(folder, target="y", on_disk_above=0)
    assert len(first.train) and len(first.test)
    times = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(times) == 4  # columns, what is known of them, two parts
    again = load_dataset(folder, target="y", on_disk_above=0)
    assert_same(again, first)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    other = load_dataset(folder, target="y", on_disk_above=0, seed=1)  # another split: missing numbers are filled anew
    assert other.on_disk is not None and again.on_disk is not None and other.on_disk.path != again.on_disk.path


@pytest.mark.parametrize("url", ["memory://shared/loans", "file"])
def test_a_url_is_read_as_its_files(tmp_path: Path, url: str) -> None:
    frame = table().drop(columns=["opened", "old"])
    folder = written(tmp_path / "loans", frame)
    if url == "file":
        url = f"file://{folder}"
    else:
        fsspec.filesystem("memory").put(str(folder), "/shared/loans", recursive=True)
    kept = load_dataset(url, target="y", on_disk_above=0)
    assert kept.name == "loans" and kept.provenance.location == url
    assert_same(kept, load_dataset(frame, target="y"))
    assert kept.provenance.sha256 == load_dataset(folder, target="y", on_disk_above=0).provenance.sha256


def other_columns(folder: Path) -> None:
    pd.read_parquet(folder / "part-1.parquet").drop(columns="age").to_parquet(folder / "part-1.parquet")


def more_columns(folder: Path) -> None:
    pd.read_parquet(folder / "part-1.parquet").assign(more=1).to_parquet(folder / "part-1.parquet")


def other_kind(folder: Path) -> None:
    pd.read_parquet(folder / "part-1.parquet").assign(age="old").to_parquet(folder / "part-1.parquet")


def no_parquet(folder: Path) -> None:
    (folder / "part-1.parquet").write_text("age,y\n1,2\n")


def cut(folder: Path) -> None:
    (folder / "part-1.parquet").write_bytes((folder / "part-1.parquet").read_bytes()[:-20])


def a_csv(folder: Path) -> None:
    (folder / "part-9.csv").write_text("age,y\n1,2\n")


def partitioned(folder: Path) -> None:
    (folder / "z").rename(folder / "year=2020")


def lists(folder: Path) -> None:
    for path in folder.rglob("*.parquet"):
        part = pd.read_parquet(path)
        part.assign(age=[[1, 2]] * len(part)).to_parquet(path)


def empty(folder: Path) -> None:
    for path in folder.rglob("*.parquet"):
        path.unlink()


@pytest.mark.parametrize("on_disk_above", [0, 1])
@pytest.mark.parametrize(("damage", "says"), [
    (other_columns, r"part-1\.parquet: has no column 'age', which .*part-0\.parquet has"),
    (more_columns, r"part-1\.parquet: has a column 'more', which .*part-0\.parquet lacks"),
    (other_kind, r"part-1\.parquet: column 'age' is (large_)?string, in .*part-0\.parquet it is int64: write both"),
    (no_parquet, r"part-1\.parquet: cannot be read as Parquet: "), (cut, r"part-1\.parquet: cannot be read as Parquet"),
    (a_csv, r"loans: holds 'part-9\.csv', which is no Parquet file"),
    (partitioned, r"loans: is partitioned by folders such as 'year=2020'"),
    (empty, r"loans: a folder that holds no Parquet file"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_what_cannot_be_read_is_one_line_that_names_the_file(tmp_path: Path, damage: Callable[[Path], None], says: str,
                                                            on_disk_above: float) -> None:
    folder = written(tmp_path / "loans", table())
    damage(folder)
    with pytest.raises(InputError, match=says) as raised:
        load_dataset(folder, target="y", on_disk_above=on_disk_above)
    assert "\n" not in str(raised.value)


def test_what_rows_on_disk_cannot_do_is_refused(tmp_path: Path) -> None:
    frame = table().drop(columns=["opened", "old"])
    folder = written(tmp_path / "loans", frame)
    kept = load_dataset(folder, target="y", on_disk_above=0)
    networks = train(kept, seeds=1, training=Training(1, 16, 1e-2))
    for call, says in (
            (lambda: load_dataset(folder, target="y", on_disk_above=0, pca=2), "option 'pca': the rows of loans are"),
            (lambda: remove(networks, kept, "unit:1", "fold", layer=1), "option 'layer': the rows of loans are kept"),
            (lambda: load_dataset(folder, target="y", on_disk_above=-1), "option 'on_disk_above' is a number"),
            (lambda: load_dataset("nosuch://x/y", target="y"), "nosuch://x/y: cannot be read: "),
            (lambda: load_dataset("file:///nowhere/loans", target="y"), "cannot be read")):
        with pytest.raises(InputError, match=says):
            call()
    lists(folder)
    with pytest.raises(InputError, match=r"loans: column 'age' holds list<.*>: drop it, or write a column each"):
        load_dataset(folder, target="y", on_disk_above=0)


def test_a_large_table_holds_out_no_more_rows_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = np.arange(1000.0)
    before = own_split(targets, "regression", 0)
    assert [len(part) for part in before] == [700, 150, 150]
    monkeypatch.setattr("attribution_suite.datasets.own_split.MOST_HELD_OUT", 40)
    for task in ("regression", "binary"):
        parts = own_split(targets if task == "regression" else targets % 2, task, 0)
        assert [len(part) for part in parts] == [920, 40, 40]
        assert sorted(np.concatenate(parts)) == list(range(1000))
    is_test = targets < 300
    parts = own_split(targets, "regression", 0, None, is_test)
    assert [len(part) for part in parts] == [660, 40, 300] and set(parts[2]) == set(range(300))
    assert list(parts[2]) != sorted(parts[2])  # the first of them are some at random
