"""The command line: what it loads, what it lists, and one clear line for whatever a user gets wrong."""

import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import BRIEF, NO_DATA, SEEN, SMALL, add_scorer, call, leftovers, start
from plain_suite import plain_figures

import attribution_suite
from attribution_suite.cli import main
from attribution_suite.datasets import DATASETS
from attribution_suite.errors import InputError
from attribution_suite.measures import MEASURES
from attribution_suite.registry import Registry
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS

LEAST = (*SMALL, "--seeds", "1", "--scorers", "saliency,random", "--jobs", "1")
QUICK = (*LEAST, *BRIEF, "--removals", "constant")
HEAVY = {"torch", "captum", "lime", "xgboost", "sklearn", "scipy", "matplotlib", "pandas", "numpy", "pyarrow", "joblib"}
Call = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def suite(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
          capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """The command line in this process (a fresh one loads torch for seconds): status, stdout, lines of stderr.

    It runs in an empty folder, without a file of data; pages have no figures where `figures` does not ask for them.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    for name, value in NO_DATA.items():
        monkeypatch.setenv(name, value)

    def run(*words: object, figures: bool = False) -> tuple[int, str, list[str]]:
        with nullcontext() if figures else plain_figures():
            status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err.splitlines()

    with warnings.catch_warnings():  # restores what the command line does to `warnings`
        yield run


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def loaded(code: str) -> set[str]:
    """The heavy modules that a fresh process has after `code`."""
    code += "\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    found = subprocess.run([sys.executable, "-c", code],
                           env={**os.environ, "PYTHONPATH": SEEN}, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in found.stderr.split()} & HEAVY


@pytest.mark.parametrize("code", [
    "import attribution_suite",
    "import attribution_suite; attribution_suite.SCORERS.names, attribution_suite.MEASURES, attribution_suite.audit",
    "from attribution_suite.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass",
    "from attribution_suite.cli import main\ntry:\n    main(['run', '--help'])\nexcept SystemExit: pass",
    "from attribution_suite.cli import main\nmain(['list', 'scorers'])",
    "from attribution_suite.cli import main\ntry:\n    main(['--version'])\nexcept SystemExit: pass",
])
def test_light_words_load_nothing_heavy(code: str) -> None:
    assert loaded(code) == set()


def test_the_check_sees_what_is_heavy() -> None:
    assert {"torch", "numpy"} <= loaded("import torch")


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    expected = f"attribution-suite {version('attribution-suite')}\n"
    assert (caught.value.code, capsys.readouterr().out) == (0, expected)
    assert expected == f"attribution-suite {attribution_suite.__version__}\n"


def test_help_names_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("target", "remove", "removals", "scorers", "profile", "preset", "seeds", "pca", "data-dir", "real-only",
               "out", "jobs", "fresh", "no-page", "layer", "tuning", "rows", "lime-rows", "lime-samples", "background",
               "task", "baseline")
    for words, expected in (([], ("run", "attribute", "report", "list")), (["run"], [f"--{name}" for name in options])):
        with pytest.raises(SystemExit) as caught:
            main([*words, "--help"])
        out = capsys.readouterr().out
        assert caught.value.code == 0 and all(word in out for word in expected)


@pytest.mark.parametrize(("family", "names"), [
    ("datasets", DATASETS.names), ("scorers", [*SCORERS.names, "captum:NAME"]), ("removals", REMOVALS.names),
    ("measures", list(MEASURES))])
def test_list_says_what_each_name_means(suite: Call, family: str, names: list[str]) -> None:
    status, out, err = suite("list", family)
    found = [line.split(maxsplit=1) for line in out.splitlines()]
    assert (status, err) == (0, []) and [each[0] for each in found] == names
    assert all(len(each) == 2 and len(each[1]) > 10 for each in found)
    if family == "removals":  # what each aims at and when it needs the column
        assert all(each[1].endswith(str(REMOVALS.load(each[0]).traits)) for each in found)


# Words after `run iris`, and what the one line says.
BAD_WORDS: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "data set": (("run", "iirs"), ("unknown data set 'iirs'", "did you mean iris")),
    "scorer": (("run", "iris", "--scorers", "lmie"), ("unknown scorer 'lmie'", "did you mean lime")),
    "removal": (("run", "iris", "--removals", "retrian"), ("unknown removal 'retrian'", "did you mean retrain")),
    "feature": (("run", "iris", "--remove", "petal_lenght"), ("of iris 'petal_lenght'", "did you mean petal_length")),
    "feature of another data set": (("run", "synthetic", "iris", "--remove", "X1"), ("of iris 'X1'", "petal_length")),
    "part of a set": (("run", "iris", "--remove", "petal_width+petal_lenght"),
                      ("of iris 'petal_lenght'", "did you mean petal_length")),
    "everything": (("run", "iris", "--remove", "petal_width+petal_length+sepal_length+sepal_width"),
                   ("all that there is", "nothing would be left")),
    "decoy removed": (("run", "iris", "--remove", "decoy"), ("the decoy is a column of noise",)),
    "target removed": (("run", "iris", "--remove", "species"), ("'species' is the target of iris",)),
    "no feature": (("run", "iris", "--remove", ""), ("of iris ''",)),
    "top nothing": (("run", "iris", "--remove", "top:0"), ("top:0", "at least 1")),
    "top what": (("run", "iris", "--remove", "top:many"), ("top:many", "whole number")),
    "preset": (("run", "iris", "--preset", "publshed"), ("unknown preset 'publshed'", "did you mean published")),
    "profile": (("run", "iris", "--profile", "qick"), ("unknown profile 'qick'", "did you mean quick")),
    "twice": (("run", "iris", "iris"), ("two data sets are named 'iris'",)),
    "target of a named set": (("run", "iris", "--target", "y"), ("iris has its own target",)),
    "jobs": (("run", "iris", "--jobs", "0"), ("option 'jobs'", "at least 1")),
    "seeds": (("run", "iris", "--seeds", "0"), ("option 'seeds'", "at least 1")),
    "seeds not a number": (("run", "iris", "--seeds", "five"), ("--seeds", "'five'", "run --help")),
    "rows": (("run", "iris", "--rows", "1"), ("option 'rows'", "at least 2")),
    "tuning": (("run", "iris", "--tuning", "nan"), ("option 'tuning'", "above 0")),
    "pca 0": (("run", "iris", "--pca", "0"), ("option 'pca' 0", "1 to 4")),
    "pca too many": (("run", "iris", "--pca", "9"), ("option 'pca' 9", "1 to 4")),
    "layer": (("run", "iris", "--layer", "7"), ("layer 7 does not exist",)),
    "layer's name": (("run", "iris", "--layer", "encoder.2"), ("'encoder.2' is a name", "1 is the first hidden one")),
    "index": (("run", "iris", "--index-columns", "petal_length"), ("'petal_length' holds ", "a whole number")),
    "layer -1": (("run", "iris", "--layer", "-1"), ("layer -1 does not exist",)),
    "unit": (("run", "iris", "--layer", "1", "--remove", "unit:99"), ("'unit:99'", "did you mean unit:9")),
    "unit at the input": (("run", "iris", "--remove", "unit:0"), ("of iris 'unit:0'",)),
    "hidden scorer at the input": (("run", "iris", "--scorers", "layer_conductance"),
                                  ("layer_conductance: scores hidden units only", "layer 1")),
    "no scorer": (("run", "iris", "--scorers", "random"), ("option 'scorers'",)),
    "missing file": (("run", "nothere.csv", "--target", "y"), ("nothere.csv: no such file",)),
    "no such data dir": (("run", "boston", "--data-dir", "nothere"),
                         ("nothere: no such directory", "option 'data_dir'")),
    "no real file": (("run", "boston", "--real-only"), ("boston: no real file", "boston.csv")),
    "command": (("frobnicate",), ("'frobnicate'", "--help")),
    "option": (("run", "iris", "--colour", "red"), ("--colour", "--help")),
    "family": (("list", "colours"), ("'colours'", "scorers")),
    "no run": (("report", "nothere"), ("nothere", "run.json")),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_bad_words_are_one_line_and_leave_nothing(suite: Call, tmp_path: Path, case: str) -> None:
    words, expected = BAD_WORDS[case]
    status, out, err = suite(*words, *(("--out", "out") if words[0] == "run" else ()))
    assert status == 2 and len(err) == 1 and err[0].startswith("attribution-suite: "), err
    assert all(part in err[0] for part in expected), err[0]
    assert files(tmp_path) == [] and out == ""


def frame(rows: int = 40) -> pd.DataFrame:
    generator = np.random.default_rng(5)
    table = pd.DataFrame(generator.standard_normal((rows, 2)).round(3), columns=["age", "income"])
    return table.assign(sex=generator.choice(["f", "m"], rows), y=(table.age + table.income > 0).astype(int))


def with_cell(column: str, value: object) -> pd.DataFrame:
    table = frame().astype({column: object})
    table.loc[3, column] = value
    return table


BAD_FILES: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {
    "text among numbers": (with_cell("age", "old"), ("'age'", "'old'", "row 4")),
    "one class": (frame().assign(y=1), ("'y'", "always 1")),
    "no target column": (frame().rename(columns={"y": "yy"}), ("'y'", "did you mean yy")),
    "constant column": (frame().assign(country="NL"), ("'country'", "always NL")),
    "equal columns": (frame().assign(wage=frame().income), ("'income'", "'wage'", "same in every row")),
    "empty column": (frame().assign(note=np.nan), ("'note'", "no value")),
    "infinite": (with_cell("income", np.inf), ("'income'", "inf", "row 4")),
    "minus infinite": (with_cell("income", -np.inf), ("'income'", "-inf")),
    "one row": (frame(1), ("1 rows", "at least 20")),
    "line break in a name": (frame().assign(**{"a\nb": 7}), ("'a b'", "always 7")),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_one_line_and_leave_nothing(suite: Call, tmp_path: Path, case: str) -> None:
    table, expected = BAD_FILES[case]
    table.to_csv("people.csv", index=False)
    status, out, err = suite("run", "people.csv", "--target", "y", "--out", "out", *QUICK)
    assert status == 2 and len(err) == 1 and "people.csv" in err[0], err
    assert all(part in err[0] for part in expected), err[0]
    assert files(tmp_path) == ["people.csv"] and out == ""


def test_features_are_removed_together(suite: Call, tmp_path: Path) -> None:
    """With a column that has a '+' in its name; each table calls a set by its features."""
    frame().rename(columns={"income": "in+come"}).to_csv("people.csv", index=False)
    status, out, err = suite("run", "people.csv", "--target", "y", "--remove", "sex+in+come", "--remove", "age,in+come",
                             "--out", "out", *QUICK)
    assert (status, err) == (0, []) and "sex+in+come" in out
    outcomes = pd.read_parquet(tmp_path / "out" / "outcomes.parquet")
    assert list(pd.unique(outcomes.removed[outcomes.removed != ""])) == ["sex+in+come", "age", "in+come"]


def test_the_file_without_faults_runs(suite: Call, tmp_path: Path) -> None:
    frame().to_csv("people.csv", index=False)
    status, out, err = suite("run", "people.csv", "--target", "y", "--remove", "sex", "--out", "out", *QUICK)
    assert (status, err) == (0, []) and "target 'y' has two values" in out
    assert leftovers(tmp_path / "out") == [] and (tmp_path / "out" / "report.html").exists()


def test_a_wrong_file_under_a_real_name(suite: Call, tmp_path: Path) -> None:
    frame().to_csv("boston.csv", index=False)
    status, _, err = suite("run", "boston", "--data-dir", tmp_path, "--out", "out", *QUICK)
    assert status == 2 and len(err) == 1 and "boston.csv: not the boston table: no column 'CRIM'" in err[0]
    pd.DataFrame({"Age": [40]}).to_csv("heart.csv", index=False)
    status, _, err = suite("run", "heart", "--data-dir", tmp_path, "--out", "out", *QUICK)
    assert status == 2 and len(err) == 1 and "heart.csv: not the heart table" in err[0]
    assert files(tmp_path) == ["boston.csv", "heart.csv"]


def test_an_unseen_category_in_a_real_file(suite: Call, tmp_path: Path) -> None:
    from attribution_suite.datasets.heart import SOURCE

    SOURCE.simulate().replace({"Sex": {"M": "X"}}).to_csv("heart.csv", index=False)
    status, _, err = suite("run", "heart", "--data-dir", tmp_path, "--out", "out", *QUICK)
    assert status == 2 and len(err) == 1 and "column 'Sex' has the unknown category 'X'; known: " in err[0]


@pytest.mark.parametrize("out", ["a file", "a file/deeper", "/proc/attribution-suite"])
def test_a_folder_that_cannot_be_written(suite: Call, tmp_path: Path, out: str) -> None:
    Path("a file").write_text("mine")
    status, _, err = suite("run", "iris", "--out", out, *QUICK)
    assert status == 2 and len(err) == 1 and err[0].startswith(f"attribution-suite: {out}: cannot write there: ")
    assert files(tmp_path) == ["a file"] and Path("a file").read_text() == "mine"


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    """As above, where an interpreter would print a traceback; and a disk that is full from the start."""
    status, out, err = call("run", "iris", "--remove", "petal_lenght", *QUICK, "--out", "out", cwd=tmp_path,
                            program="attribution_suite")
    assert (status, out) == (2, "") and len(err.splitlines()) == 1 and files(tmp_path) == []
    code = ("import resource, sys; from attribution_suite.cli import main; "
            "resource.setrlimit(resource.RLIMIT_FSIZE, (9999, -1)); sys.exit(main(sys.argv[1:]))")
    found = subprocess.run([sys.executable, "-c", code, "run", "iris", *QUICK, "--out", "out"], cwd=tmp_path, text=True,
                           env={**os.environ, "PYTHONPATH": SEEN}, capture_output=True, check=False)
    assert found.returncode == 2 and len(found.stderr.splitlines()) == 1
    assert "out: cannot write there: File too large" in found.stderr
    assert [name for name in files(tmp_path) if "." in name] == ["out/.lock"]


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    process = start("list", "measures", cwd=tmp_path, program="attribution_suite")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 1


def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run([sys.executable, "-m", "attribution_suite", "list", "scorers"], cwd=tmp_path, text=True,
                               env={**os.environ, "PYTHONPATH": SEEN}, stdout=full, stderr=subprocess.PIPE,
                               check=False)
    assert found.returncode == 1 and found.stderr == "attribution-suite: output: No space left on device\n"


@pytest.mark.no_cover
def test_a_report_is_drawn_again_and_says_what_is_left_out(suite: Call, tmp_path: Path) -> None:
    """Rows that are gone are not drawn, nor those of another table, or of a stand-in, in their place."""
    from attribution_suite.datasets.boston import SOURCE

    table, data = SOURCE.simulate(), tmp_path / "data"
    table.loc[0, "RM"] = 5.5
    data.mkdir()
    table.to_csv(data / "boston.csv", index=False)
    status, _, err = suite("run", "boston", "--data-dir", data, "--remove", "LSTAT", "--out", "out", *QUICK,
                           figures=True)
    assert (status, err) == (0, [])
    run = tmp_path / "out"
    page, picture = run / "report.html", run / "figures" / "boston-fits.png"
    first = page.read_text()
    assert picture.exists() and "left out: it needs the rows" not in first
    page.unlink()
    status, out, err = suite("report", "out", figures=True)
    said = ["drawing the report: boston"]
    assert (status, err, out.strip()) == (0, said, "out/report.html") and page.read_text() == first
    for change in (lambda: table.assign(RM=table.RM + 1).to_csv(data / "boston.csv", index=False),
                   (data / "boston.csv").unlink):
        change()
        status, _, err = suite("report", "out", figures=True)
        assert (status, err) == (0, said) and "left out: it needs the rows" in page.read_text() and not picture.exists()
    assert json.loads((run / "run.json").read_text())["datasets"]["boston"]["source"] == "file"
    assert leftovers(run) == []


RECORDS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "", "cut": lambda text: text[:200], "a list": lambda text: "[]",
    "no spec": lambda text: json.dumps({**json.loads(text), "spec": None}),
    "no data sets": lambda text: json.dumps({**json.loads(text), "datasets": 3}),
    "another option": lambda text: text.replace('"pca"', '"acp"'),
}


def test_a_damaged_record_or_table_is_one_line(suite: Call, tmp_path: Path) -> None:
    assert suite("attribute", "iris", *LEAST, "--out", "out")[0] == 0
    record, page = tmp_path / "out" / "run.json", (tmp_path / "out" / "report.html").read_bytes()
    text = record.read_text()
    for change in RECORDS.values():
        record.write_text(change(text))
        status, _, err = suite("report", "out")
        assert status == 2 and len(err) == 1 and "run.json" in err[0] and "run the audit again" in err[0], err
    record.write_text(text)
    table = tmp_path / "out" / "shifts.parquet"
    for content in (b"", table.read_bytes()[:50]):
        table.write_bytes(content)
        status, _, err = suite("report", "out")
        assert status == 2 and len(err) == 1 and "shifts.parquet" in err[0], err
    assert (tmp_path / "out" / "report.html").read_bytes() == page and leftovers(tmp_path / "out") == []


def test_attribute_scores_and_removes_nothing(suite: Call) -> None:
    status, out, err = suite("attribute", "iris", *LEAST, "--scorers", "saliency,input_x_gradient", "--out", "out")
    assert (status, err) == (0, []) and "report: out/report.html" in out
    assert set(pd.read_parquet("out/attributions.parquet").removal) == {"original"}
    assert len(pd.read_parquet("out/agreement.parquet")) > 0 and set(
        pd.read_parquet("out/outcomes.parquet").removal) == {"original"}


def test_names_given_twice_count_once(suite: Call) -> None:
    status, _, err = suite("run", "iris", *LEAST, "--removals", "constant,constant", "--scorers", "saliency,saliency",
                           "--remove", "petal_width,petal_width", "--remove", "petal_width", "--out", "out")
    assert (status, err) == (0, []) and len(pd.read_parquet("out/shifts.parquet")) == 1


def test_a_package_adds_a_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = add_scorer(tmp_path, "even", "pass")
    monkeypatch.syspath_prepend(packages)
    family = Registry("scorer", {"lime": "attribution_suite.scorers.lime:Lime"})
    assert family.names == ["lime", "even"] and family.load("even").name == "even"
    assert family.describe("even") == "A scorer of another package."
    assert family.version("even") == "even 1.0" and family.version("lime") is None
    add_scorer(tmp_path / "more", "broken", "pass")
    (tmp_path / "more" / "broken_module.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path / "more")
    family = Registry("scorer", {})
    with pytest.raises(InputError, match=r"scorer 'broken' of broken 1.0 cannot be loaded: No module named 'no_such"):
        family.load("broken")
    for line, reason in (("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit(3)", "SystemExit: 3"),
                         ("def", "SyntaxError: invalid syntax")):
        (tmp_path / "more" / "broken_module.py").write_text(line)
        importlib.invalidate_caches()
        with pytest.warns(UserWarning, match=f"scorer 'broken' of broken 1.0 cannot be loaded: {reason}.* left out"):
            assert list(family.loaded()) == ["even"]  # the others live
        assert f"'broken' of broken 1.0 cannot be loaded: {reason}" in family.describe("broken")  # and `list` says so
    (tmp_path / "more" / "broken_module.py").write_text("class Added:\n    pass\n")
    importlib.invalidate_caches()
    family = Registry("scorer", {}, traits="ScorerTraits")
    with pytest.warns(UserWarning, match=r"'broken' \(broken_module:.*\) has no `traits`: .* left out"):
        assert list(family.loaded()) == ["even"]
    assert "has no `traits`" in family.describe("broken")
    with pytest.raises(InputError, match=r"scorer 'even' of an installed package .*: that name is taken"):
        Registry("scorer", {"even": "attribution_suite.scorers.lime:Lime"}).names  # noqa: B018


def test_what_else_is_installed_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in on the path is found; one in the place where packages are installed is not; kagglehub neither."""
    packages = add_scorer(tmp_path / "packages", "even", "pass")
    listed = "from attribution_suite import SCORERS; print(*SCORERS.names)"
    installed = f"import isolation; from pathlib import Path; isolation.INSTALLED = {{Path({str(packages)!r})}}; "
    for code, seen in ((listed, True), (installed + listed, False)):
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                               env={**os.environ, "PYTHONPATH": f"{SEEN}{os.pathsep}{packages}"})
        assert found.stdout.split() == [*SCORERS.names, *(["even"] if seen else [])]
    found = subprocess.run([sys.executable, "-c", "import kagglehub"], capture_output=True, text=True, check=False)
    assert "kagglehub" in found.stderr and list(Path.home().rglob("*kaggle*")) == []
