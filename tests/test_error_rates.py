"""What the page prints of measured error rates is what the benchmark's tables say, number by number."""

import re

import pytest
from command import ROOT

from attribution_suite.conclusions import error_rates
from attribution_suite.conclusions.error_rates import OVER_NETWORKS, OVER_SPLITS, SCORERS, coverage_words


def measured() -> str:
    """The section of the methods page."""
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    return text.partition("(conclusions-error-rates)=")[2].partition("(neurons)=")[0]


def rows(heading: str) -> dict[str, list[str]]:
    """The table below a heading line: first cell → the others."""
    lines = measured().partition(heading)[2].splitlines()[2:]
    table = [line.strip("| ").split(" | ") for line in lines[:next(i for i, line in enumerate(lines) if not line)]]
    return {cells[0].strip("`"): cells[1:] for cells in table}


def test_coverage_is_that_of_the_methods_page() -> None:
    table = rows("| quantity | trained as the preset says | stopped too early |")
    found = {name.replace("`", ""): dict(zip((5, 10), numbers(cells[0]), strict=True)) for name, cells in table.items()}
    assert found == {name: dict(values) for name, values in OVER_NETWORKS.items()}
    table = rows("| quantity | 3 splits | 5 splits | 10 splits |")
    found = {name: {splits: numbers(cell)[0] for splits, cell in zip((3, 5, 10), cells, strict=True)}
             for name, cells in table.items()}
    assert found == {name: dict(values) for name, values in OVER_SPLITS.items()}


def numbers(cell: str) -> list[float]:
    """'95.3 (94.9) %' as parts of one."""
    return [round(float(number) / 100, 4) for number in re.findall(r"\d+\.\d", cell)]


def test_the_rates_of_scorers_are_those_of_the_methods_page() -> None:
    """The last two columns, all scorers and no other."""
    heading = next(line for line in measured().splitlines() if line.endswith("| false alarms | blind |"))
    found = {name.removesuffix(" (the control)"): tuple(int(cell) / 100 for cell in cells[-2:])
             for name, cells in rows(heading).items()}
    assert found == dict(SCORERS) and len(found) == 16


def test_they_are_those_of_the_benchmarks_table() -> None:
    """Its row has the ranges, and the date of the run."""
    line = next(line for line in (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").splitlines()
                if line.startswith("| `verdicts.py` |"))
    losses = [rate for name, values in OVER_NETWORKS.items() if "loss" in name or "cost" in name
              for rate in values.values()]
    shares = next(values for name, values in OVER_NETWORKS.items() if name.startswith("share"))
    splits = [rate for values in OVER_SPLITS.values() for rate in values.values()]
    assert f"losses cover {100 * min(losses):.1f} to {100 * max(losses):.1f} % (5 and 10 networks" in line
    assert f"of shares {100 * shares[5]:.1f} and {100 * shares[10]:.1f} %" in line
    assert f"over 3 to 10 splits {100 * min(splits):.1f} to {100 * max(splits):.1f} %" in line
    assert line.endswith(f"| {error_rates.MEASURED} |") and error_rates.MEASURED in measured()


@pytest.mark.parametrize(("networks", "splits", "said", "unsaid"), [
    (5, 1, ["of 5 networks held", "fold 95.3 %", "92.5 %"], ["94.9 and", "not measured"]),
    (10, 1, ["of 10 networks held", "fold 94.9 %", "93.9 %"], ["95.3"]),
    (7, 1, ["of 5 and 10 networks (7 were not measured)", "92.5 and 93.9 %"], []),
    (15, 3, ["of 3 splits held", "90.5 %", "93.8 %"], ["networks", "92.5"]),
    (20, 4, ["of 3, 5 and 10 splits (4 were not measured)"], ["networks"])])
def test_coverage_is_told_for_the_number_in_use(networks: int, splits: int, said: list[str],
                                                unsaid: list[str]) -> None:
    words = coverage_words(networks, splits)
    assert all(part in words for part in said) and not any(part in words for part in unsaid)
    assert coverage_words(1, 1) == ""
