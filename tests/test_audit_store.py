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
import safetensors.torch
import torch

from attribution_suite import load_dataset
from attribution_suite.auditing import code_digest, store
from attribution_suite.auditing.chunks import LookInside, RemoveFeatures, TrainOriginals
from attribution_suite.auditing.plan import plan_originals
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.store import DamagedChunkWarning, Store, content_key
from attribution_suite.auditing.subject import fingerprint
from attribution_suite.datasets.load import load_request
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.files import LOCK, exclusive, sweep, write_atomically

ARRAYS = {"share": np.arange(12.0).reshape(3, 4), "steps": np.array([3, 4]), "none": np.zeros((0, 5), np.float32),
          "applicable": np.array([True, False])}

MADE = {"cpu": "a processor", "seconds": 1.5}


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def with_tensors(path: Path, made: str, **tensors: torch.Tensor) -> None:
    """A file whose digest is right, of what no chunk holds."""
    arrays = {name: tensor.float().numpy() for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, path, {"made": made, "digest": store._digest("k", made, arrays)})


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("kept")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "cut in the data": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a bit flipped": flip_last_bit,
    "something else": lambda path: path.write_bytes(b"<html>not found</html>" * 50),
    "a folder": folder_in_its_place,
    "an odd dtype": lambda path: with_tensors(path, "{}", share=torch.ones(3, dtype=torch.bfloat16)),
    "no JSON": lambda path: with_tensors(path, "a machine", share=torch.ones(3)),
    "no metadata": lambda path: safetensors.torch.save_file({"share": torch.ones(3)}, path),
}
UMASK = os.umask(0o022)
os.umask(UMASK)


def test_a_chunk_comes_back_as_it_was(tmp_path: Path) -> None:
    chunks = Store(tmp_path / "chunks")
    chunks.save("k", {**ARRAYS, "transposed": ARRAYS["share"].T}, MADE)
    found = chunks.load("k")
    assert found is not None and set(found.arrays) == {*ARRAYS, "transposed"} and found.made == MADE
    for name, array in {**ARRAYS, "transposed": ARRAYS["share"].T}.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    assert chunks.load("other") is None
    assert [path.name for path in chunks.folder.iterdir()] == ["k.safetensors"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_is_set_aside_with_one_warning(tmp_path: Path, damage: str) -> None:
    chunks = Store(tmp_path)
    chunks.save("k", ARRAYS, MADE)
    DAMAGES[damage](chunks.path("k"))
    with pytest.warns(DamagedChunkWarning, match=r"k.safetensors was damaged \(.+\): set aside as k.damaged") as seen:
        assert chunks.load("k") is None
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chunks.load("k") is None  # said once
        chunks.save("k", ARRAYS, MADE)
        assert chunks.load("k") is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.damaged", "k.safetensors"]


def test_a_chunk_that_may_not_be_read_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, for the superuser may read everything."""
    chunks = Store(tmp_path)
    chunks.save("k", ARRAYS, MADE)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(store, "safe_open", refuse)
        with pytest.warns(DamagedChunkWarning, match="Permission denied"):
            assert chunks.load("k") is None
    assert chunks.load("k") is None and (tmp_path / "k.damaged").exists()


def test_earlier_damage_is_kept(tmp_path: Path) -> None:
    chunks = Store(tmp_path)
    for content in (b"first", b"second"):
        chunks.path("k").write_bytes(content)
        with pytest.warns(DamagedChunkWarning):
            assert chunks.load("k") is None
    assert [(tmp_path / name).read_bytes() for name in ("k.damaged", "k.damaged1")] == [b"first", b"second"]


def test_a_chunk_under_the_name_of_another_is_damaged(tmp_path: Path) -> None:
    chunks = Store(tmp_path)
    chunks.save("a", {"share": np.zeros(3)}, MADE)
    chunks.save("b", {"share": np.ones(3)}, MADE)
    between = chunks.path("a").rename(tmp_path / "between")
    chunks.path("b").rename(chunks.path("a"))
    between.rename(chunks.path("b"))
    for key in ("a", "b"):
        with pytest.warns(DamagedChunkWarning, match="its digest does not fit its name and content"):
            assert chunks.load(key) is None


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new folder" / "table"
    write_atomically(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~UMASK
    os.umask(0o027)
    try:
        write_atomically(path, b"old")
    finally:
        os.umask(UMASK)
    assert path.stat().st_mode & 0o777 == 0o640

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and caught.value.filename == str(path)
    assert [each.name for each in path.parent.iterdir()] == ["table"]


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    write_atomically(tmp_path / "kept", b"")
    (tmp_path / "inside").mkdir()
    for name in (".kept.0123abcd.tmp", "inside/.kept.0123abcd.tmp", ".another's.tmp"):
        (tmp_path / name).write_bytes(b"half")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".another's.tmp", "inside", "kept"]


def originals(name: str = "iris", device: str = "cpu", **words: object) -> TrainOriginals:
    spec = make_spec([name], **{"seeds": 3, "scorers": ["saliency", "random"], **words})  # type: ignore[arg-type]
    return plan_originals(spec, load_request(spec.requests[0]), None, torch.device(device))


def test_equal_content_has_an_equal_key(tmp_path: Path) -> None:
    key = originals().key
    assert key == originals().key
    assert key == originals(data_dir=str(tmp_path)).key == originals(real_only=True).key  # where the data lie
    assert key == originals(remove="petal_length").key == originals(removals=["retrain"]).key  # other chunks of the run
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})


def test_whatever_decides_the_numbers_changes_the_key() -> None:
    one = originals()
    others = [originals(**words) for words in (
        {"seeds": 4}, {"rows": 21}, {"lime_rows": 7}, {"lime_samples": 77}, {"background": 55}, {"tuning": 0.5},
        {"scorers": ["saliency"]}, {"scorers": ["random", "saliency"]}, {"layer": 1}, {"preset": "published"},
        {"pca": 2}, {"device": "cuda"})]
    others += [replace(one, subject=replace(one.subject, data="another table")), replace(one, record_every=1)]
    named, ranked = (("petal_length",),) * 3, (("petal_length",), ("petal_width",), ("petal_length",))
    chunks = [one, *others, LookInside(one, (1,)), LookInside(one, (1, 2)), *(
        RemoveFeatures(first, removal, features, (0,), ((),), False)
        for first in (one, others[0]) for removal in ("retrain", "constant") for features in (named, ranked))]
    assert len({chunk.key for chunk in chunks}) == len(chunks)


def test_the_versions_of_packages_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = originals().key
    monkeypatch.setitem(code_digest.VERSIONS, "torch", "0.0")
    assert originals().key != before


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
        with pytest.raises(InputError, match="another run is writing there"), exclusive(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with exclusive(tmp_path):  # what the killed one left does not hold it
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        with pytest.raises(InputError, match="another run is writing there"), exclusive(tmp_path):
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
        keys.append(originals(str(path), target="y").key)
    assert keys[0] == keys[1]
