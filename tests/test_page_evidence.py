"""What the page says to be trusted by: the command that repeats a run, the hashes of files, what a zip holds."""

import hashlib
import io
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plain_suite import plain_figures
from report_fixture import SEEDS, record, removed, tables, whole_run, write_run

from attribution_suite import cli, report
from attribution_suite.auditing.spec import Spec, make_spec
from attribution_suite.errors import InputError
from attribution_suite.reporting import evidence
from attribution_suite.reporting.pack import harmless
from attribution_suite.reporting.reading import Run


@pytest.mark.parametrize("words", [
    {"datasets": ["boston", "iris"]},
    {"datasets": ["iris"], "profile": "full", "seeds": 2, "tuning": 0.5, "remove": ["petal_length", "a+b"]},
    {"datasets": ["heart"], "removals": ["retrain", "lazy?damping=0.1"],
     "scorers": ["lime", "integrated_gradients?steps=9"],
     "delta": 0.02, "delta_absolute": 0.5, "information": "off", "splits": 3, "reference": "off", "metrics": True,
     "proxies": "drop", "baseline": "row:3", "preset": "published", "real_only": True, "data_dir": "my data"},
    {"datasets": ["a file.csv"], "target": "y", "task": "binary",
     "own": {"na": ["-999", "x"], "sep": ";", "decimal": ",", "drop": ["it's"], "group_rare": 5, "id": "row"}},
    {"datasets": ["iris"], "removals": [], "inside": "2", "seeds": 3},
    {"datasets": ["iris"], "removals": [], "scorers": ["lime"], "rows": 40},
    {"datasets": ["iris"], "layer": 1, "remove": "top:2"}])
def test_the_command_repeats_the_run(words: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words, read as the command line reads them, are the spec."""
    wanted = make_spec(**words)
    seen: list[Spec] = []

    def prepare(spec: Spec, **_: object) -> None:
        seen.append(spec)
        raise InputError("that is enough")

    monkeypatch.setattr("attribution_suite.auditing.run.prepare", prepare)
    line = evidence.command(wanted.to_json())
    assert cli.main(shlex.split(line)[1:]) == 2
    own = {"scorers": ()} if " neurons " in line else {}  # it asks its own
    assert seen[0].to_json() | own == wanted.to_json() | own


def test_what_was_given_in_memory_has_no_command() -> None:
    assert evidence.command(make_spec(["mine"], in_memory=["mine"]).to_json()) == ""
    assert evidence.command(make_spec(["iris"], decoy=False).to_json()) == ""


def test_what_was_fixed_is_what_the_spec_says() -> None:
    said = dict(evidence.fixed(make_spec(["iris"], delta_absolute=0.25, information="off", splits=3,
                                         remove=[("a", "b"), "c"]).to_json()))
    assert said["the largest move that counts as none (δ)"] == "0.25 in the output's own units"
    assert said["information that is left"] == "not asked" and said["splits of the rows"] == "3"
    assert said["removed"] == "a+b, c"


def test_the_hashes_are_those_of_the_files() -> None:
    run = Run(whole_run())
    sums = dict(evidence.hashes(run))
    for name in ("outcomes.parquet", "verdicts.parquet", "units.parquet"):
        assert sums[name] == hashlib.sha256((run.path / name).read_bytes()).hexdigest()
    rows, more = evidence.networks(run)
    assert more == 0 and {row["removal"] for row in rows} > {"original", "retrain", "constant"}
    for row in rows:
        assert row["sha256"] == hashlib.sha256((run.path / row["file"]).read_bytes()).hexdigest()
        assert row["seeds"] == ", ".join(map(str, range(SEEDS)))
    assert {row["removed"] for row in rows if row["removal"] == "retrain"} == {
        ", ".join(removed(name)) for name in ("boston", "iris")}


def test_what_the_run_cannot_say_follows_what_it_asked() -> None:
    run = Run(whole_run())
    said = evidence.limits(run, 1, 3)
    assert any("one split" in one for one in said) and any("--metrics" in one for one in said)
    several = evidence.limits(run, 3, 9)
    assert not any("one split" in one for one in several) and any("these 9" in one for one in several)


def test_text_that_is_a_formula_is_made_harmless_and_numbers_stay() -> None:
    text = ["=1+1", "+2", "-3", "@SUM(A1)", "\tx", "\rx", "fine", "a=b", ""]
    made = harmless(pd.DataFrame({"text": text, "number": [-1.5] * 9, "flag": [True] * 9}))
    assert list(made.text) == ["'=1+1", "'+2", "'-3", "'@SUM(A1)", "'\tx", "'\rx", "fine", "a=b", ""]
    assert list(made.number) == [-1.5] * 9 and made.to_csv(index=False).splitlines()[1] == "'=1+1,-1.5,True"


def test_a_zip_holds_page_figures_record_and_tables(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", tables(whole_run(), 2, ("iris",)), record(whole_run(), ("iris",)))
    lines: list[str] = []
    with plain_figures():
        packed = report(path, pack=True, say=lines.append)
    assert lines == ["drawing the report: iris"]
    first = packed.read_bytes()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        names = set(archive.namelist())
        assert {"report.html", "run.json", "figures/iris-matrix.png", "csv/shifts.csv", "csv/outcomes.csv"} <= names
        assert archive.read("report.html") == (path / "report.html").read_bytes()
        shifts = pd.read_csv(archive.open("csv/shifts.csv"), keep_default_na=False, na_values={
            name: [""] for name, kind in pd.read_parquet(path / "shifts.parquet").dtypes.items() if kind == "float64"})
    pd.testing.assert_frame_equal(shifts, pd.read_parquet(path / "shifts.parquet"), check_dtype=False, rtol=1e-12)
    with plain_figures():
        assert report(path, pack=True, say=lines.append).read_bytes() == first
