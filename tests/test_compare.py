"""Two runs compared: what differs first, what one lacks, what was asked otherwise; on the page and in the terminal."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from report_fixture import REMOVALS, changed, record, removed, settled, tables, whole_run, write_run

from attribution_suite import cli, compare
from attribution_suite.conclusions.verdicts import write_verdicts
from attribution_suite.reporting.compare import lines


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """In B stochastic_tuning leaves nothing of the first feature, constant costs more, and inversion_tuning is not."""
    folder = tmp_path_factory.mktemp("compare")
    found, first = settled(tables(whole_run(), names=("boston",))), removed()[0]
    about = record(whole_run(), ("boston",))
    a = write_run(folder / "a", found, about)
    here = {"removal": "stochastic_tuning", "removed": first}
    outcomes = changed(found["outcomes"], here, worst_case=0.0, worst_case_bound=0.0, worst_case_method="algebra",
                       witness_row=-1)
    outcomes = changed(outcomes, {"removal": "constant", "removed": first}, rmse=lambda rows: rows.rmse + 1,
                       loss_native=lambda rows: 2 * rows.loss_native)
    other = {**found, "outcomes": outcomes}
    other = {name: frame[frame.removal != "inversion_tuning"] if "removal" in frame else frame
             for name, frame in other.items()}
    about["spec"] = about["spec"] | {"rules": about["spec"]["rules"] | {"delta": 0.05}}
    b = write_run(folder / "b", other, about)
    for path in (a, b):
        write_verdicts(path)
    return a, b


def test_a_run_does_not_differ_from_itself(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found, _ = compare(runs[0], runs[0], out=tmp_path / "same.html")
    assert not found.changes and not any(found.only) and not found.spec
    assert found.same == 3 * (1 + len(REMOVALS)) and found.tally == f"None of {found.same} results differs."


def test_what_differs_is_said_and_nothing_else(runs: tuple[Path, Path]) -> None:
    found, page = compare(*runs)
    first = removed()[0]
    assert page == runs[0] / "compare.html"
    assert [(change.removed, change.removal) for change in found.changes] == [
        (first, "stochastic_tuning"), (first, "constant")]  # the verdict's first
    one, two = found.changes
    assert one.texts[0] == "present → proved none" and one.texts[1].endswith(" → 0")
    assert two.differs == [False, False, True, True]
    own = pd.read_parquet(runs[0] / "outcomes.parquet").query("removal == 'constant' and removed == @first")
    assert two.texts[2] == f"RMSE {own.rmse.mean():#.3g} → {own.rmse.mean() + 1:#.3g}"
    assert found.tally == (f"2 of {3 * len(REMOVALS)} results differ: 1 in the verdict, 1 in the worst case, 1 in "
                           "performance and 1 in net cost.")
    assert found.only == ([f"boston: inversion_tuning of {feature}" for feature in removed()], [])
    assert found.spec == [("spec rules delta", "0.01", "0.05")]


def test_the_page_and_the_terminal_say_the_same(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str],
                                                tmp_path: Path) -> None:
    assert cli.main(["report", *map(str, runs), "--out", str(tmp_path / "to" / "page.html")]) == 0
    said = capsys.readouterr().out
    found, _ = compare(*runs, out=tmp_path / "again.html")
    assert said == f"{lines(found)}\n{tmp_path / 'to' / 'page.html'}\n"
    assert said.startswith(f"a → b: {found.tally}\n")
    page = BeautifulSoup((tmp_path / "to" / "page.html").read_text(), "html.parser")
    rows = page.select("[data-file=differences] tbody tr")
    assert [[cell.get_text() for cell in row.select("td")[2:]] for row in rows] == [
        [text.replace(" %", "\N{NO-BREAK SPACE}%") for text in change.texts] for change in found.changes]
    assert [cell.get_text() for cell in rows[0].select("td b")] == found.changes[0].texts[:2]
    assert "only in a: boston: inversion_tuning of" in said and "spec rules delta: 0.01 → 0.05" in said


def test_a_number_that_is_missing_in_one_run_differs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = settled(tables(whole_run(), names=("boston",)))
    found["outcomes"] = changed(found["outcomes"], {"removal": "retrain", "removed": removed()[1], "seed": 1},
                                rmse=np.nan)
    other = write_run(tmp_path / "other", found, record(whole_run(), ("boston",)))
    write_verdicts(other)
    told, _ = compare(runs[0], other)
    assert [change.texts[2].split(" → ")[1] for change in told.changes] == ["not measured"]


@pytest.mark.parametrize(("words", "said"), [
    (["a", "b", "--zip"], "option 'zip' packs one run"), (["a", "--out", "x"], "option 'out' is for the comparison"),
    (["a", "b"], "run.json' does not exist")])
def test_what_cannot_be_compared_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str],
                                         tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", *words]) == 2
    assert said in capsys.readouterr().err
