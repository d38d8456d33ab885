"""The store: whole or not there, and named by what decides its content."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from attribution_suite.audit.job import Job
from attribution_suite.audit.schedule import fingerprint
from attribution_suite.audit.spec import make_spec
from attribution_suite.audit.store import DamagedChunkWarning, Store, content_key
from attribution_suite.datasets import load_dataset
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.files import LOCK, exclusive, sweep, write_atomically

ARRAYS = {"share": np.arange(12.0).reshape(3, 4), "steps": np.array([3, 4]), "none": np.zeros((0, 5), np.float32),
          "applicable": np.array([True, False])}


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "cut in the data": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a bit flipped": flip_last_bit,
    "something else": lambda path: path.write_bytes(b"<html>not found</html>" * 50),
}


def test_a_chunk_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "chunks")
    store.save("k", {**ARRAYS, "transposed": ARRAYS["share"].T})
    found = store.load("k")
    assert found is not None and set(found) == {*ARRAYS, "transposed"}
    for name, array in {**ARRAYS, "transposed": ARRAYS["share"].T}.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert store.has("k") and not store.has("other") and store.load("other") is None
    assert [path.name for path in store.folder.iterdir()] == ["k.safetensors"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_is_set_aside_with_one_warning(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    store.save("k", ARRAYS)
    DAMAGES[damage](store.path("k"))
    with pytest.warns(DamagedChunkWarning, match="k.safetensors was damaged: set aside as k.damaged") as seen:
        assert not store.has("k")
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.load("k") is None  # said once
        store.save("k", ARRAYS)
        assert store.has("k")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.damaged", "k.safetensors"]


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new folder" / "table"
    write_atomically(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o644

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and caught.value.filename == str(path)
    assert [each.name for each in path.parent.iterdir()] == ["table"]


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", b"")
    (tmp_path / ".kept.abc.tmp").write_bytes(b"half")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def job(**words: object) -> Job:
    spec = make_spec(["iris"], **{"seeds": 3, "scorers": ["saliency", "random"], **words})  # type: ignore[arg-type]
    dataset = spec.sources[0].load()
    return Job(spec.sources[0], dataset.name, fingerprint(dataset), spec.profile, spec.scorers, layer=spec.layer)


def test_equal_content_has_an_equal_key(tmp_path: Path) -> None:
    key = job().key
    assert key == job().key
    assert key == job(data_dir=str(tmp_path)).key == job(real_only=True).key  # where the data lie
    assert key == job(remove="petal_length").key == job(removals=["retrain"]).key  # other chunks of the run
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})


def test_whatever_decides_the_numbers_changes_the_key() -> None:
    one = job()
    others = [job(**words) for words in (
        {"seeds": 4}, {"rows": 21}, {"lime_rows": 7}, {"lime_samples": 77}, {"background": 55}, {"tuning": 0.5},
        {"scorers": ["saliency"]}, {"scorers": ["random", "saliency"]}, {"layer": 1}, {"preset": "published"},
        {"pca": 2})]
    others += [replace(one, removal="retrain"), replace(one, removal="retrain", features=("petal_length",)),
               replace(one, removal="constant", features=("petal_length",)), replace(one, data="another table")]
    keys = [one.key, *(other.key for other in others)]
    assert len(set(keys)) == len(keys)


def test_the_versions_of_packages_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from attribution_suite.audit import job as job_module

    before = job().key
    monkeypatch.setitem(job_module.VERSIONS, "torch", "0.0")
    assert job().key != before


def test_every_part_of_a_table_changes_its_fingerprint() -> None:
    table = load_dataset("iris")
    inputs, targets = table.inputs.copy(), table.targets.copy()
    inputs[7, 2] += 1e-5
    targets[0] = 2
    renamed = ("length", *table.feature_names[1:])
    others = [replace(table, inputs=inputs), replace(table, targets=targets), replace(table, feature_names=renamed),
              replace(table, train_rows=table.train_rows[1:]), replace(table, scaling="none"),
              replace(table, groups={"all": (0, 1, 2, 3)})]
    found = [fingerprint(each) for each in (table, *others)]
    assert len(set(found)) == len(found) and fingerprint(load_dataset("iris")) == found[0]


class FixedScaler(TabularDataset):
    """Scaled by other numbers than its training rows give."""

    scaler = (np.zeros(4), np.ones(4))


def with_other_scaler(table: TabularDataset) -> TabularDataset:
    return FixedScaler(**{field.name: getattr(table, field.name) for field in fields(table)})


@pytest.mark.parametrize("change", [
    lambda table: replace(table, train_rows=table.train_rows[::-1].copy()),
    lambda table: replace(table, validation_rows=table.validation_rows[1:]),
    lambda table: replace(table, test_rows=table.test_rows[:-1]),
    lambda table: replace(table, test_rows=table.test_rows[::-1].copy()),
    lambda table: replace(table, classes=("setosa", "virginica", "versicolor")),
    lambda table: replace(table, groups={"sepal": (0, 1), "petal_length": (2,), "petal_width": (3,)}),
    lambda table: replace(table, targets=np.where(np.arange(150) == 149, 0, table.targets)),
    lambda table: replace(table, task="regression"),
    lambda table: replace(table, preset=replace(table.preset, tuning_epochs=61)),
    with_other_scaler,
], ids=["order of training rows", "validation rows", "test rows", "order of test rows", "classes", "groups", "targets",
        "task", "preset", "scaler"])
def test_one_part_alone_changes_the_fingerprint(change: Callable[[TabularDataset], TabularDataset]) -> None:
    table = load_dataset("iris")
    assert fingerprint(change(table)) != fingerprint(table) == fingerprint(replace(table))


def test_a_folder_is_held_by_one_and_let_go_of_when_the_holder_is_killed(tmp_path: Path) -> None:
    code = ("import sys, time; from pathlib import Path; from attribution_suite.files import exclusive\n"
            "with exclusive(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)")
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError), exclusive(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(tmp_path):  # what the killed one left does not hold it
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        with pytest.raises(BlockingIOError), exclusive(tmp_path):
            pass
    with exclusive(tmp_path):
        pass


def test_a_csv_that_moved_is_the_same_data(tmp_path: Path) -> None:
    rows = "\n".join(f"{k % 7},{k % 5},{k % 2}" for k in range(40))
    keys = []
    for place in ("here", "there"):
        path = tmp_path / place / "table.csv"
        path.parent.mkdir()
        path.write_text(f"a,b,y\n{rows}\n")
        spec = make_spec([str(path)], target="y")
        dataset = spec.sources[0].load()
        keys.append(Job(spec.sources[0], dataset.name, fingerprint(dataset), spec.profile, spec.scorers).key)
    assert keys[0] == keys[1]
