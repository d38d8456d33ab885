"""A table of the user's own: what it becomes, and one clear line for each way it can be wrong."""

import gzip
import io
import string
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution_suite import load_dataset
from attribution_suite.datasets import files
from attribution_suite.datasets.files import read_table_file
from attribution_suite.errors import InputError

ROWS = 60


def good(rows: int = ROWS) -> pd.DataFrame:
    """A table with a column of every kind, without gaps."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({
        "age": generator.integers(18, 80, rows),
        "income": generator.lognormal(10, 1, rows),
        "member": generator.random(rows) < 0.5,
        "sex": generator.choice(["f", "m"], rows),
        "city": generator.choice(["Bonn", "Köln", "Ulm"], rows),
    })
    return frame.assign(y=frame["age"] / 10 + generator.standard_normal(rows))


def write(frame: pd.DataFrame, directory: Path, name: str = "data.csv") -> Path:
    frame.to_csv(directory / name, index=False)
    return directory / name


def test_every_kind_of_column_is_encoded(tmp_path):
    frame = good()
    dataset = load_dataset(write(frame, tmp_path), target="y")
    assert dataset.feature_names == ("age", "income", "member", "sex=m", "city=Bonn", "city=Köln", "city=Ulm")
    assert dataset.groups == {"age": (0,), "income": (1,), "member": (2,), "sex": (3,), "city": (4, 5, 6)}
    np.testing.assert_allclose(dataset.inputs[:, 1], frame["income"], rtol=1e-6)
    np.testing.assert_array_equal(dataset.inputs[:, 2], frame["member"])
    np.testing.assert_array_equal(dataset.inputs[:, 3], frame["sex"] == "m")
    np.testing.assert_array_equal(dataset.inputs[:, 4:], pd.get_dummies(frame["city"]))
    np.testing.assert_allclose(dataset.targets, frame["y"], rtol=1e-6)
    assert dataset.name == "data" and dataset.provenance.source == "file" and dataset.default_removals == ()


def test_gaps_are_filled_from_the_training_rows_and_marked(tmp_path):
    frame = good()
    frame.loc[frame.index % 4 == 0, "age"] = np.nan
    frame.loc[frame.index % 5 == 0, "city"] = None
    frame["member"] = frame["member"].astype(object)
    frame.loc[3, "member"] = None
    dataset = load_dataset(write(frame, tmp_path), target="y")
    value, gap = dataset.columns("age")
    missing = frame["age"].isna().to_numpy()
    np.testing.assert_array_equal(dataset.inputs[:, gap], missing)
    np.testing.assert_allclose(dataset.inputs[missing, value], frame["age"].iloc[dataset.train_rows].mean(), rtol=1e-6)
    assert dataset.inputs[missing, value][0] != np.float32(frame["age"].mean()), "not the mean of all rows"
    cities = dataset.inputs[:, list(dataset.columns("city"))]
    np.testing.assert_array_equal(cities.sum(1), 1)
    np.testing.assert_array_equal(cities[:, -1], frame["city"].isna())
    assert [dataset.feature_names[k] for k in dataset.columns("member")] == ["member", "member missing"]
    assert "age (15), member (1), city (12)" in dataset.notes[1]


def test_a_column_of_one_value_and_gaps_is_its_gaps(tmp_path):
    frame = good().assign(flag=np.where(np.arange(ROWS) % 3 == 0, 1.0, np.nan))
    dataset = load_dataset(write(frame, tmp_path), target="y")
    (gap,) = dataset.columns("flag")
    np.testing.assert_array_equal(dataset.inputs[:, gap], frame["flag"].isna())


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.zip", "a.CSV"])
def test_plain_and_packed_files_give_the_same_table(tmp_path, name):
    text = good().to_csv(index=False).encode()
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner/table.csv", text)
            archive.writestr("__MACOSX/table.csv", "rubbish")
            archive.writestr("readme.txt", "rubbish")
    else:
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    plain = load_dataset(write(good(), tmp_path, "plain.csv"), target="y")
    np.testing.assert_array_equal(load_dataset(path, target="y").inputs, plain.inputs)


def _label(values: list) -> pd.DataFrame:
    return good(120).assign(y=[values[row % len(values)] for row in range(120)])


@pytest.mark.parametrize(("frame", "task", "classes"), [
    (_label([0, 1]), "binary", ("0", "1")),
    (_label([1.5, 2.5]), "binary", ("1.5", "2.5")),
    (_label(["yes", "no"]), "binary", ("no", "yes")),
    (_label([True, False]), "binary", ("False", "True")),
    (_label(["a", "b", "c"]), "multiclass", ("a", "b", "c")),
    (_label([3, 1, 2]), "multiclass", ("1", "2", "3")),
    (_label(list(range(13))), "regression", ()),  # 120 rows hold fewer than ten of each
    (_label([0.5, 1.5, 2.5]), "regression", ()),
    (good(120), "regression", ()),
])
def test_task_is_inferred_and_told(tmp_path, frame, task, classes):
    dataset = load_dataset(write(frame, tmp_path), target="y")
    assert (dataset.task, dataset.classes) == (task, classes)
    assert task in dataset.notes[0] and "option 'task' overrides" in dataset.notes[0]
    if classes:
        named = np.array(classes)[dataset.targets.astype(int)]
        np.testing.assert_array_equal(named, frame["y"].astype(str))
        assert all(set(part.targets.tolist()) == set(range(len(classes))) for part in
                   (dataset.train, dataset.validation, dataset.test))


@pytest.mark.parametrize(("values", "task"), [([1, 2, 3], "regression"), ([0, 1], "regression"), ([0, 1], "multiclass"),
                                              (list(range(15)), "multiclass")])
def test_task_can_be_overridden(tmp_path, values, task):
    dataset = load_dataset(write(_label(values), tmp_path), target="y", task=task)
    assert dataset.task == task and "as asked for" in dataset.notes[0]
    assert dataset.outputs == (len(values) if task == "multiclass" else 1)


def _changed(column: str, row: int, value: object) -> pd.DataFrame:
    frame = good()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


BAD_TABLES = {
    "text in numbers": (_changed("age", 6, "n.n."), {}, "column 'age' holds numbers, but 'n.n.' in data row 7"),
    "text in the target": (_changed("y", 6, "n.n."), {}, "column 'y' holds numbers, but 'n.n.' in data row 7"),
    "infinite": (_changed("income", 3, np.inf), {}, "column 'income' has inf in data row 4"),
    "minus infinite": (_changed("income", 3, -np.inf), {}, "column 'income' has -inf in data row 4"),
    "beyond float32": (_changed("income", 3, 1e39), {}, "column 'income' has 1e\\+39 in data row 4"),
    "infinite target": (_changed("y", 3, np.inf), {}, "column 'y' has inf in data row 4"),
    "constant": (good().assign(zip=1), {}, "column 'zip' is always 1: drop it"),
    "constant text": (good().assign(zip="a"), {}, "column 'zip' is always a: drop it"),
    "finer than float32": (good().assign(t=1e9 + np.arange(ROWS) / 1e3), {}, "'t' varies by less than single"),
    "all missing": (good().assign(gap=np.nan), {}, "column 'gap' has no value in any row"),
    "duplicated": (good().assign(years=lambda frame: frame["age"]), {}, "columns 'age' and 'years' are the same"),
    "constant target": (good().assign(y=3), {}, "target 'y' is always 3"),
    "one class": (good().assign(y="yes"), {}, "target 'y' is always yes"),
    "rare class": (good().assign(y=["a"] * 58 + ["b"] * 2), {}, "class 'b' of target 'y' has 2 rows"),
    "too many classes": (good(120).assign(y=[f"c{i % 55}" for i in range(120)]), {}, "55 classes"),
    "one row": (good(1), {}, "1 rows with a target, at least 20"),
    "few rows": (good(19), {}, "19 rows with a target, at least 20"),
    "header alone": (good().iloc[:0], {}, "0 rows with a target, at least 20"),
    "only the target": (good()[["y"]], {}, "'y' is the only column"),
    "ids": (good().assign(id=[f"p{i}" for i in range(ROWS)]), {}, "column 'id' is an identifier"),
    "no target": (good(), {"target": None}, "predict: option 'target'"),
    "unknown target": (good(), {"target": "incme"}, "did you mean income"),
    "unknown task": (good(), {"task": "regresion"}, "did you mean regression"),
    "preset": (good(), {"preset": "published"}, "unknown preset"),
    "binary of three": (good(120).assign(y=[i % 3 for i in range(120)]), {"task": "binary"}, "3 values, a binary"),
    "regression on text": (_label(["a", "b"]), {"task": "regression"}, "target 'y' is text"),
    "classes of numbers": (good(), {"task": "multiclass"}, "60 classes"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_one_line_that_names_the_thing(tmp_path, case):
    frame, options, message = BAD_TABLES[case]
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(write(frame, tmp_path), **{"target": "y", **options})
    assert "\n" not in str(caught.value)


ROW = "1,2,3\n" * 30
BAD_FILES = {
    "empty.csv": (b"", "file is empty"),
    "twice.csv": (("a,b,a\n" + ROW).encode(), "two columns are named 'a'"),
    "long_rows.csv": (("a,b\n" + ROW).encode(), "more values than the header"),
    "ragged.csv": (("a,b,c\n" + ROW + "1,2,3,4,5\n").encode(), "separated by ',': .*option 'sep'"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "picture.csv"),
    "cut.csv.gz": (gzip.compress(ROW.encode() * 99)[:60], "cannot be read"),
    "no.zip": (b"PK\x03\x04rubbish", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_damaged_file_is_named(tmp_path, name):
    content, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(tmp_path / name, target="a")
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def zipped(text: bytes, flags: int = 0, method: int = 0) -> bytes:
    """A zip file of one table; `flags` 1 says that it has a password, `method` how it is packed."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.csv", text)
    content = bytearray(held.getvalue())
    for start in (6, content.index(b"PK\x01\x02") + 8):
        content[start], content[start + 2] = flags, method
    return bytes(content)


@pytest.mark.parametrize(("flags", "method", "message"), [
    (1, 0, "cannot be read: .*password required"), (0, 97, "cannot be read: .*compression method is not supported"),
])
def test_archives_that_cannot_be_opened_are_refused_in_one_line(tmp_path, flags, method, message):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(b"a,b\n" + ROW.encode(), flags, method))
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(path, target="a")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch, name):
    text = b"a,b\n" + b"1,2\n" * 50_000
    packed = gzip.compress(text)
    if name == "a.zip":
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", text)
    else:
        (tmp_path / name).write_bytes(packed)
    assert len(text) > 100 * len(packed)  # no table packs so well
    assert len(read_table_file(tmp_path / name).frame) == 50_000  # it is small all the same
    monkeypatch.setattr(files, "LEAST_LIMIT", 1000)
    with pytest.raises(InputError, match=rf"{name}: unpacks to more than .*, 100 times its size"):
        read_table_file(tmp_path / name)


def test_files_that_are_not_there_or_not_files(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.csv: no such file"):
        load_dataset(tmp_path / "nothing.csv", target="y")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: a folder that holds no Parquet file"):
        load_dataset(tmp_path / "folder.csv", target="y")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a\n")
        archive.writestr("b.csv", "a\n")
    with pytest.raises(InputError, match=r"one table, found: a\.csv, b\.csv"):
        load_dataset(tmp_path / "two.zip", target="y")


def test_a_byte_order_mark_and_odd_names_are_kept_out_of_the_way(tmp_path):
    frame = good().rename(columns={"age": "NA", "city": 'the "city", now'})
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + frame.to_csv(index=False).encode())
    dataset = load_dataset(tmp_path / "a.csv", target="y")
    assert list(dataset.groups) == ["NA", "income", "member", "sex", 'the "city", now']


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32)
READ_AS_MISSING = {"NA", "NULL", "NaN", "None", "nan", "null"}  # of what pandas reads so, the words of letters alone
WORDS = st.text(string.ascii_letters + " ,'äß\"=", min_size=1, max_size=5).filter(
    lambda text: text.strip() and text not in READ_AS_MISSING)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.one_of(st.none(), NUMBERS), min_size=ROWS, max_size=ROWS),
       words=st.lists(WORDS, min_size=3, max_size=8, unique=True), seed=st.integers(0, 99))
def test_a_table_comes_back_as_it_was_written(tmp_path, numbers, words, seed):
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "base": generator.standard_normal(ROWS),
        "number": np.array([np.nan if value is None else value for value in numbers]),
        "word": [words[row % len(words)] for row in range(ROWS)],
        "y": generator.standard_normal(ROWS),
    })
    frame.loc[:1, "number"] = [0.25, 7]
    try:
        dataset = load_dataset(write(frame, tmp_path), target="y", seed=seed)
    except InputError as error:
        assert "no value in the training rows" in str(error)  # noqa: PT017 - an error is one of two right outcomes
        return
    columns = dataset.columns("number")
    present = frame["number"].notna().to_numpy()
    np.testing.assert_allclose(dataset.inputs[present, columns[0]], frame["number"][present], rtol=1e-6)
    assert len(columns) == (1 if present.all() else 2)
    assert sorted(column for group in dataset.groups.values() for column in group) == list(range(dataset.features))
    decoded = np.array([dataset.feature_names[k] for k in dataset.columns("word")])[
        dataset.inputs[:, list(dataset.columns("word"))].argmax(1)]
    assert decoded.tolist() == [f"word={word}" for word in frame["word"]]
