"""Tables as people have them: DataFrames, odd files, odd columns, and what becomes of each."""

import gzip
import io
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch

from attribution_suite import InputError, TabularDataset, attribute, load_dataset, remove, train, worst_case
from attribution_suite.auditing.run import load_all
from attribution_suite.auditing.spec import make_spec
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.request import Frames

ROWS = 60
BRIEF = Training(1, 32, 1e-2)


def table(rows: int = ROWS) -> pd.DataFrame:
    """Numbers that no short decimal holds, text, yes or no, gaps in each."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({
        "age": generator.integers(18, 60, rows), "income": generator.lognormal(8, 1, rows),
        "member": generator.random(rows) < 0.5, "city": generator.choice(["Bonn", "Köln", "Ulm"], rows)})
    frame.loc[::7, "income"], frame.loc[::9, "city"] = np.nan, None
    return frame.assign(y=frame["age"] / 7 + generator.standard_normal(rows))


def same(one: TabularDataset, other: TabularDataset) -> None:
    assert (one.feature_names, one.groups, one.levels, one.classes, one.task) == (
        other.feature_names, other.groups, other.levels, other.classes, other.task)
    for name in ("inputs", "targets", "train_rows", "validation_rows", "test_rows"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


class Foreign:
    """A table of another library, which turns itself into one of pandas."""

    def to_pandas(self) -> pd.DataFrame:
        return table()


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": table,
    "an index of its own": lambda: table().set_index(pd.Index(range(5, ROWS + 5), name="row")),
    "pyarrow": lambda: pyarrow.Table.from_pandas(table()),
    "to_pandas": Foreign,
    "pandas' own types": lambda: table().convert_dtypes(),
    "categories": lambda: table().astype({"city": "category"}),
    "objects": lambda: table().astype(object),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_is_the_file_it_was_written_to(tmp_path: Path, kind: str) -> None:
    table().to_csv(tmp_path / "t.csv", index=False)
    file, frame = load_dataset(tmp_path / "t.csv", target="y"), load_dataset(FRAMES[kind](), target="y")
    same(frame, file)
    assert (frame.name, frame.provenance.source, frame.provenance.location) == ("table", "given", "DataFrame")
    assert len(frame.provenance.sha256) == 64


def test_a_digest_is_of_what_the_frame_holds() -> None:
    frame = table()
    assert load_dataset(frame, target="y").provenance.sha256 == sha256(frame.to_csv(index=False).encode()).hexdigest()
    frame.loc[3, "age"] += 1
    assert load_dataset(frame, target="y").provenance.sha256 != load_dataset(table(), target="y").provenance.sha256


def test_every_call_takes_a_frame_and_gives_the_numbers_of_the_file(tmp_path: Path) -> None:
    frame, path = table(), tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    asked: dict[str, Any] = {"target": "y"}
    weights, shares, edited, moved = [], [], [], []
    for data in (frame, path):
        networks = train(data, seeds=1, training=BRIEF, **asked).networks
        weights.append(networks.weights[0])
        shares.append(attribute(networks, data, "saliency", **asked).shares)
        edited.append(remove(networks, data, "city", "constant", **asked).weights[0])
        moved.append(worst_case(networks, data, "city", rows=5, **asked).to_frame().effect[0])
    for one, other in (weights, shares, edited):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other), rtol=0, atol=0)
    assert moved[0] == moved[1] > 0


def test_a_run_draws_the_splits_of_a_frame_as_those_of_its_file(tmp_path: Path) -> None:
    frame, path = table(), tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    own = {"drop": ["member"], "group_rare": None}
    named = load_all(make_spec(["table"], target="y", own=own, in_memory=["table"], splits=3), {"table": Frames(frame)})
    files = load_all(make_spec([str(path)], target="y", own=own, splits=3))
    assert len(named) == 3 and not np.array_equal(named["table", 0].train_rows, named["table", 1].train_rows)
    for split in range(3):
        same(named["table", split], files["t", split])
    assert "member" not in named["table", 0].groups


def test_steps_take_what_an_audit_is_told_of_a_table() -> None:
    frame, told = table(), {"target": "y", "drop": ["member"], "na": ["Ulm"]}
    prepared = load_dataset(frame, **told)
    networks = train(frame, prepare=told, seeds=1, training=BRIEF).networks
    assert networks.first_weight.shape[2] == prepared.features < load_dataset(frame, target="y").features
    for one, other in ((attribute(networks, frame, "saliency", prepare=told),
                        attribute(networks, prepared, "saliency")),):
        torch.testing.assert_close(one.shares, other.shares, rtol=0, atol=0)
    assert worst_case(networks, frame, "age", prepare=told, rows=3).names == prepared.feature_names
    for words, message in (({"prepare": {"dorp": 1}}, "unknown option 'dorp'"),
                           ({"prepare": ["drop"]}, "a dictionary")):
        with pytest.raises(InputError, match=message):
            train(frame, target="y", **words)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is a table already: option 'drop'"):
        train(prepared, prepare={"drop": ["age"]})


@pytest.mark.parametrize(("data", "words", "message"), [
    (table(), {}, "name the column to predict"),
    (table().rename(columns={"age": "y"}), {"target": "y"}, "two columns are named 'y'"),
    (table().set_axis(pd.MultiIndex.from_product([["a"], list("bcdef")]), axis=1), {"target": "y"}, "levels of names"),
    (pd.DataFrame(), {"target": "y"}, "has no column"),
    (load_dataset("iris"), {"target": "species"}, "is a table already: option 'target'"),
    ([1, 2], {"target": "y"}, "a file, a DataFrame or a table"),
])
def test_what_is_no_usable_frame_is_told(data: Any, words: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(data, **words)


def heart() -> str:
    """Rows as UCI's processed.cleveland.data has them: no header, '.0' everywhere, '?' in ca and thal, num 0 to 4."""
    generator = np.random.default_rng(1)
    lines = []
    for row in range(120):
        numbers = [generator.integers(29, 78), row % 2, 1 + row % 4, generator.integers(94, 200), 126 + row % 90,
                   row % 3 % 2, row % 5 % 3, generator.integers(71, 202), row % 7 % 2]
        tail = [f"{generator.integers(0, 60) / 10}", f"{1 + row % 3}.0",
                "?" if row % 29 == 0 else f"{row % 4}.0", "?" if row % 41 == 5 else f"{3 + row % 3}.0", str(row % 5)]
        lines.append(",".join([f"{number}.0" for number in numbers] + tail))
    return "\n".join(lines) + "\n"


def test_the_cleveland_file_runs_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "processed.cleveland.data").write_text(heart())
    dataset = load_dataset(tmp_path / "processed.cleveland.data", target="column_14")
    rows = [line.split(",") for line in heart().splitlines()]
    assert dataset.task == "multiclass" and len(dataset.groups) == 13 and len(dataset.inputs) == len(rows) == 120
    value, gap = dataset.columns("column_12")
    np.testing.assert_array_equal(dataset.inputs[:, gap], [row[11] == "?" for row in rows])
    known = dataset.inputs[:, gap] == 0
    np.testing.assert_array_equal(dataset.inputs[known, value], [float(row[11]) for row in rows if row[11] != "?"])
    assert any("no header row" in note for note in dataset.notes)
    assert any("column_12 (5), column_13 (3)" in note for note in dataset.notes)


def packed(content: bytes, ending: str) -> bytes:
    if not ending.endswith(".zip"):
        return gzip.compress(content) if ending.endswith(".gz") else content
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("t.csv", content)
    return archive.getvalue()


def german(frame: pd.DataFrame) -> bytes:
    """Semicolons, decimal commas, thousands behind points, cp1252."""
    numbers = frame["income"].map(lambda value: "" if np.isnan(value) else
                                  f"{value:,.3f}".translate(str.maketrans(",.", ".,")))
    return frame.assign(income=numbers, y=frame["y"].map(lambda value: repr(value).replace(".", ","))).to_csv(
        index=False, sep=";").encode("cp1252")


def columnar(frame: pd.DataFrame, write: str) -> bytes:
    file = io.BytesIO()
    getattr(frame, write)(file)
    return file.getvalue()


ROUNDED = table().round({"income": 3})
PLAIN = ROUNDED.to_csv(index=False)
# Each is the same table: its file's name, the bytes in it, the words that it needs, and what the user is told.
SAME_TABLE: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "CSV": ("t.csv", PLAIN.encode(), {}, ""),
    "gzip": ("t.csv.gz", packed(PLAIN.encode(), ".gz"), {}, ""),
    "zip": ("t.csv.zip", packed(PLAIN.encode(), ".zip"), {}, ""),
    "tabs": ("t.tsv", PLAIN.replace(",", "\t").encode(), {}, "separated by tabs"),
    "tabs, packed": ("t.tsv.gz", packed(PLAIN.replace(",", "\t").encode(), ".gz"), {}, "separated by tabs"),
    "bars": ("t.txt", PLAIN.replace(",", "|").encode(), {}, "separated by '|'"),
    "byte order mark": ("t.csv", b"\xef\xbb\xbf" + PLAIN.encode(), {}, ""),
    "UTF-16": ("t.csv", PLAIN.encode("utf-16"), {}, "utf-16"),
    "cp1252": ("t.csv", PLAIN.encode("cp1252"), {}, "cp1252"),
    "a named encoding": ("t.csv", PLAIN.encode("mac_roman"), {"encoding": "mac_roman"}, "mac_roman"),
    "Excel's sep line": ("t.csv", b"sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n").encode(), {}, "';'"),
    "German": ("t.csv", german(ROUNDED), {}, "decimal commas in income, y"),
    "German, said": ("t.csv", german(ROUNDED), {"sep": ";", "decimal": ",", "encoding": "cp1252"}, "decimal commas"),
    "English thousands": ("t.csv", ROUNDED.assign(income=ROUNDED["income"].map(
        lambda value: "" if np.isnan(value) else f"{value:,.3f}")).to_csv(index=False).encode(), {}, "thousands"),
    "gaps as ?": ("t.csv", ROUNDED.to_csv(index=False, na_rep="?").encode(), {}, "missing values in income (9)"),
    "gaps as N/A": ("t.csv", ROUNDED.to_csv(index=False, na_rep="N/A").encode(), {}, "missing values in income (9)"),
    "gaps as -999": ("t.csv", ROUNDED.to_csv(index=False, na_rep="-999").encode(), {"na": ["-999"]}, "too: -999"),
    "Parquet": ("t.parquet", columnar(ROUNDED, "to_parquet"), {}, ""),
    "Feather": ("t.feather", columnar(ROUNDED, "to_feather"), {}, ""),
    "a row without a target": ("t.csv", (PLAIN + "30,5.5,True,Ulm,\n").encode(), {}, "1 rows without a value of the"),
    "a name for the rows": ("t.csv", ROUNDED.assign(row=range(ROWS)).to_csv(index=False).encode(), {"id": "row"},
                            "not inputs, as asked for: row"),
    "a saved index": ("t.csv", ROUNDED.to_csv().encode(), {"drop": ["column_1"]}, "without a name in the header"),
    "spaces": ("t.txt", ROUNDED.fillna({"income": -1, "city": "none"}).to_csv(index=False, sep=" ").encode(),
               {"na": ["-1", "none"]}, "separated by spaces"),
}


@pytest.mark.parametrize("case", SAME_TABLE)
def test_odd_files_hold_the_table_that_they_hold(tmp_path: Path, case: str) -> None:
    name, content, words, told = SAME_TABLE[case]
    (tmp_path / name).write_bytes(content)
    dataset = load_dataset(tmp_path / name, target="y", **words)
    same(dataset, load_dataset(ROUNDED, target="y"))
    assert told in "; ".join(dataset.notes)
    assert dataset.provenance.sha256 == sha256(content).hexdigest()


NUMBERS = "\n".join(f"{k % 7},{k % 5},{k}" for k in range(40)).replace(",", ";")
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "commas that may be either": ("a;b;y\n" + NUMBERS.replace("6;", "6,123;"), {}, "comma or grouped thousands"),
    "commas and points": ("a;b;y\n" + NUMBERS.replace("6;", "6,5;").replace(";4;", ";4.25;"), {},
                          "column 'a' has decimal commas, column 'b' decimal points"),
    "a separator of two": ("a;b;y\n" + NUMBERS, {"sep": ";;"}, "option 'sep' is one character"),
    "a decimal mark": ("a;b;y\n" + NUMBERS, {"decimal": "x"}, "option 'decimal' is . or ,"),
    "an encoding": ("a;b;y\n" + NUMBERS, {"encoding": "utf-9"}, "'utf-9' is none that Python knows"),
    "another encoding": ("ä;b;y\n" + NUMBERS, {"encoding": "ascii"}, "is not text in ascii"),
    "a wrong separator": ("a;b;y\n" + NUMBERS, {"sep": "|"}, "unknown column of"),
    "no Parquet": ("PAR1", {}, "cannot be read"),
    "two options for one column": ("a;b;y\n" + NUMBERS, {"drop": ["a"], "ordinal": ["a"]}, "is in option 'drop' and"),
    "an unknown column": ("age;b;y\n" + NUMBERS, {"drop": ["agee"]}, "option 'drop' 'agee'; did you mean age"),
    "the target": ("a;b;y\n" + NUMBERS, {"drop": ["y"]}, "option 'drop': 'y' is the target"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_be_read_in_two_ways_is_refused(tmp_path: Path, case: str) -> None:
    text, words, message = REFUSED[case]
    path = tmp_path / ("t.parquet" if case == "no Parquet" else "t.csv")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message.replace("'.'", ".")) as caught:
        load_dataset(path, target="y", **words)
    assert "\n" not in str(caught.value)
