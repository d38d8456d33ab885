"""What is not finite is never read as gone: networks that return NaN somewhere, and scorers that return anything."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from module_cases import FEATURES, Layers, members
from torch import Tensor, nn

from attribution_suite import InputError, Training, audit, from_arrays
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.reporting.summary import format_summary
from attribution_suite.results import Audit
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Attribution, ScorerTraits

pytestmark = pytest.mark.usefixtures("plain")

SHORT = Training(2, 50, 1e-2)
ROWS, BACKGROUND = 10, 100
WORDS = {"remove": "a", "rows": ROWS, "background": BACKGROUND, "training": SHORT, "jobs": 1, "lime_rows": 4,
         "removals": ["retrain", "fold", "constant"], "scorers": ["saliency", "permutation"], "device": "cpu"}
# A method that is said to work: a headline, a row of the page's table, a line of the terminal's.
CLEAN = re.compile(r"\d+ of \d+ methods takes? |<b>(proved none|bounded)</b>|  (proved none|bounded)  ")


class Holed(Layers):
    """NaN for one row, wherever it comes."""

    def __init__(self, hole: Tensor) -> None:
        super().__init__()
        self.register_buffer("hole", hole)

    def forward(self, x: Tensor) -> Tensor:
        hit = (x == self.hole).all(1, keepdim=True)
        return torch.where(hit, torch.nan, super().forward(x))


class WithoutMean(Layers):
    """Infinite where the first column stands at its training mean: as only an edit puts it there."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, x: Tensor) -> Tensor:
        return torch.where((x[:, :1] - self.mean).abs() < 1e-6, torch.inf, super().forward(x))


@pytest.fixture(scope="module")
def table() -> TabularDataset:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.standard_normal((300, FEATURES)), columns=list("abcdef"))
    return from_arrays(rows, rows["a"] * 2 - rows["b"].abs(), name="mine")


def holed(table: TabularDataset, split: str, row: int) -> list[nn.Module]:
    """Three networks, of which number 1 has the hole."""
    torch.manual_seed(0)
    sound = torch.full((FEATURES,), 1e9)
    return [Holed(getattr(table, split).inputs[row] if member == 1 else sound) for member in range(3)]


def run(table: TabularDataset, out: Path, **words: Any) -> Audit:
    return audit(table, out=out, say=lambda line: None, **{**WORDS, **words})


def told(found: Audit) -> str:
    """The terminal's table."""
    return format_summary(found.summary, found.verdicts, found.record["spec"]["rules"])


def said(found: Audit) -> str:
    """What a reader sees: the terminal and the page's text."""
    return told(found) + (found.path / "report.html").read_text().replace("\N{NO-BREAK SPACE}", " ")


HOLES = [("test", 3), ("test", ROWS + 20), ("train", BACKGROUND - 10), ("validation", 5)]


@pytest.mark.parametrize(("split", "row"), HOLES, ids=["explained", "test row that is not explained", "background",
                                                       "validation"])
def test_one_row_without_an_output_is_a_named_failure(table: TabularDataset, tmp_path: Path, split: str,
                                                      row: int) -> None:
    found = run(table, tmp_path, networks=holed(table, split, row))
    rows = {"train": "training"}.get(split, split)
    assert found.failed == [f"mine original: InputError: network 1 returns nan for {rows} row {row}: its outputs must "
                            "be finite on every row"]
    assert len(found.table("outcomes")) == len(found.table("shifts")) == len(found.table("attributions")) == 0
    failures = found.table("failures")
    assert list(failures.scorer) == [""] and "network 1 returns nan" in failures.error[0]
    assert found.verdicts.empty and told(found) == "nothing was removed: no summary"
    assert not CLEAN.search(said(found))


def test_the_same_networks_without_the_hole_are_audited(table: TabularDataset, tmp_path: Path) -> None:
    """The control."""
    elsewhere = from_arrays(table.inputs + 7.0, table.targets, name="elsewhere")
    found = run(table, tmp_path, networks=holed(elsewhere, "test", 0))
    assert found.failed == [] and len(found.table("outcomes")) == 3 * (1 + 1 + 3)
    verdicts = found.verdicts.set_index("removal")
    assert set(verdicts.direct[WORDS["removals"]]) == {"proved none"} and CLEAN.search(said(found))


def test_what_only_an_edit_shows_fails_by_name(table: TabularDataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = [WithoutMean(table.train.inputs[:, 0].mean()) for _ in range(2)]
    found = run(table, tmp_path, networks=networks, removals=["constant", "shuffle_tuning"])
    assert len(found.failed) == 2 and "mine constant (a): InputError: network 0 returns inf" in found.failed[0]
    assert "mine shuffle_tuning (a): InputError: loss_mean_filled of network 0 is inf" in found.failed[1]
    assert set(found.table("attributions").removal) == {"original"}
    assert set(found.table("outcomes").removal) == {"original", "sham"}
    failures = found.table("failures")
    assert list(failures.removal) == ["constant", "shuffle_tuning"] and set(failures.removed) == {"a"}
    verdicts = found.verdicts.set_index("removal")
    assert set(verdicts.direct) == {"not measured"} and (verdicts.networks_not_measured == 2).all()
    assert verdicts.worst_case[["constant", "shuffle_tuning"]].isna().all() and not CLEAN.search(said(found))


# What a scorer of another package may return or raise, and what is said of it.
Scores = Callable[[int, int], Any]


def scored(scores: Tensor, **more: Any) -> Attribution:
    return Attribution("odd", tuple("abcdef"), scores, **more)


def leave(code: int) -> None:
    raise SystemExit(code)


def recurse(depth: int) -> int:
    return recurse(depth + 1) + 1


ODD: dict[str, tuple[Scores, str]] = {
    "one column": (lambda m, f: scored(torch.ones(m, 1)), r"InputError: its scores are \[2, 1\], not \[2 networks, 6"),
    "one row": (lambda m, f: scored(torch.ones(1, f)), r"InputError: its scores are \[1, 6\]"),
    "NaN": (lambda m, f: scored(torch.where(torch.arange(m * f).view(m, f) == f + 2, torch.nan, 1.0)),
            "InputError: its score of c in network 1 is nan"),
    "infinite": (lambda m, f: scored(torch.full((m, f), torch.inf)), "its score of a in network 0 is inf"),
    "too large": (lambda m, f: scored(torch.full((m, f), 1e300, dtype=torch.float64)), "in network 0 is 1e\\+300"),
    "below zero": (lambda m, f: scored(-torch.ones(m, f)), "its scores are magnitudes, and some are below zero"),
    "whole numbers": (lambda m, f: scored(torch.ones(m, f, dtype=torch.int64)), "its scores are torch.int64"),
    "booleans": (lambda m, f: scored(torch.ones(m, f, dtype=torch.bool)), "its scores are torch.bool"),
    "complex": (lambda m, f: scored(torch.ones(m, f, dtype=torch.complex64)), "its scores are torch.complex64"),
    "an array": (lambda m, f: np.ones((m, f)), "returned ndarray, not an Attribution"),
    "nothing": (lambda m, f: None, "returned NoneType, not an Attribution"),
    "other features": (lambda m, f: Attribution("odd", tuple("fedcba"), torch.ones(m, f)), "its features are"),
    "a sign without values": (lambda m, f: scored(torch.ones(m, f), signed=torch.full((m, f), torch.nan)),
                              "its signed means are not finite"),
    "rows missing": (lambda m, f: scored(torch.ones(m, f), values=torch.ones(m, 2, f)),
                     r"its local values are \[2, 2, 6\], not \[2 networks, at least 4 rows, 6 features\]"),
    "a row of NaN": (lambda m, f: scored(torch.ones(m, f), values=torch.full((m, ROWS, f), torch.nan)),
                     "its local values are not all finite"),
    "a gap of another shape": (lambda m, f: scored(torch.ones(m, f), completeness_gap=torch.ones(m + 1)), "Error: "),
    "SystemExit": (lambda m, f: leave(3), "SystemExit: 3"),
    "RecursionError": (lambda m, f: recurse(0), "RecursionError: maximum recursion depth"),
    "two lines": (lambda m, f: int("one\ntwo"), "ValueError: invalid literal"),
}


def add(patch: pytest.MonkeyPatch, name: str, scores: Scores) -> None:
    """Adds a scorer as an entry point does."""
    class Odd:
        traits = ScorerTraits(zero_on_zero_weights=True)  # so that it gets no phantoms

        def attribute(self, networks: Any, evaluation: Any) -> Any:
            return scores(len(networks), len(evaluation.groups))

    Odd.name = name
    patch.setitem(SCORERS.places, name, f"{__name__}:{name.capitalize()}")
    patch.setattr(__import__(__name__), name.capitalize(), Odd, raising=False)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scores], None]:
    """Adds the scorer 'odd'."""
    return partial(add, monkeypatch, "odd")


NAMES = {case: f"odd{number}" for number, case in enumerate(ODD)}


@pytest.fixture(scope="module")
def twice(table: TabularDataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Audit]:
    """An audit with every odd scorer among two sound ones, and once more."""
    out = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patch:
        for case, (scores, _) in ODD.items():
            add(patch, NAMES[case], scores)
        first, again = (run(table, out, networks=members(Layers, 2), removals=["constant"],
                            scorers=["saliency", *NAMES.values(), "permutation"]) for _ in range(2))
    return first, again


@pytest.mark.parametrize("case", ODD)
def test_a_scorer_that_fails_costs_its_own_rows(twice: tuple[Audit, Audit], case: str) -> None:
    found, name, message = twice[0], NAMES[case], ODD[case][1]
    shares, shifts, failures = (found.table(table) for table in ("attributions", "shifts", "failures"))
    assert set(shares.scorer) == {"saliency", "permutation"} and shares.share.notna().all()
    lost = shifts[shifts.scorer == name][["share_before", "share_after", "target_shift"]]
    assert lost.isna().all(axis=None)
    assert shifts[shifts.scorer.isin(["saliency", "permutation"])].share_after.notna().all()
    assert set(failures.scorer) == set(NAMES.values())
    failures = failures[failures.scorer == name]
    assert list(failures.removal) == ["original", "constant"]
    assert failures.error.str.contains(message).all() and not failures.error.str.contains("\n").any()
    told_of_it = [line.partition(":")[0] for line in found.failed if f", {name}: " in line]
    assert told_of_it == [f"mine original, {name}", f"mine constant (a), {name}"]


def test_what_failed_is_told_again_and_not_tried_again(twice: tuple[Audit, Audit]) -> None:
    found, again = twice
    assert again.record["timings"]["chunks_run"] == 0 and again.failed == found.failed
    assert again.record["failed"] == found.record["failed"] and len(again.record["failed"]) == 2 * len(ODD)


def test_without_a_scorer_that_was_measured_the_output_alone_is_judged(table: TabularDataset, tmp_path: Path,
                                                                       odd: Callable[[Scores], None]) -> None:
    """`top:K` and the verdicts read the output, so they stand where every scorer failed."""
    odd(lambda m, f: leave(3))
    found = run(table, tmp_path, networks=members(Layers, 2), removals=["constant"], scorers=["odd", "random"],
                remove="top:2")
    assert found.failed[0] == "mine original, odd: SystemExit: 3" and all("odd" in line for line in found.failed)
    gone = found.verdicts[found.verdicts.removal == "constant"]
    assert len(gone) == 2 and set(gone.direct) == {"proved none"} and set(gone.scorers_not_measured) == {"odd"}
    assert not (gone[["sees", "silent", "by_construction", "false_alarm", "blind"]] != "").any(axis=None)
    effects = run(table, tmp_path / "all", networks=members(Layers, 2), removals=["constant"], scorers=["saliency"],
                  remove="all").summary.set_index("removed").effect_before
    assert list(gone.removed) == list(effects.nlargest(2).index)


def test_a_scorer_that_works_is_in_every_table(table: TabularDataset, tmp_path: Path,
                                               odd: Callable[[Scores], None]) -> None:
    """The control."""
    odd(lambda m, f: scored(torch.ones(m, f)))
    found = run(table, tmp_path, networks=members(Layers, 2), removals=["constant"], scorers=["saliency", "odd"])
    assert found.failed == [] and set(found.table("attributions").scorer) == {"saliency", "odd"}
    assert len(found.table("failures")) == 0


def test_an_interrupt_is_no_failure_of_a_scorer(table: TabularDataset, tmp_path: Path,
                                                odd: Callable[[Scores], None]) -> None:
    def interrupt(members: int, features: int) -> None:
        raise KeyboardInterrupt

    odd(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(table, tmp_path, networks=members(Layers, 2), removals=[], scorers=["saliency", "odd"])


@pytest.mark.parametrize(("traits", "message"), [
    (None, r"scorer 'odd' \(.*\) has no `traits`"),
    (ScorerTraits(from_profile={"steps": "lime_sample"}), "number of a profile that odd asks for 'lime_sample'"),
])
def test_a_scorer_that_declares_nothing_or_what_there_is_not(
        table: TabularDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traits: ScorerTraits | None,
        message: str) -> None:
    monkeypatch.setitem(SCORERS.places, "odd", f"{__name__}:Odd")
    monkeypatch.setattr(__import__(__name__), "Odd", SimpleNamespace(name="odd", traits=traits), raising=False)
    with pytest.raises(InputError, match=message):
        run(table, tmp_path / "out", networks=members(Layers, 2), removals=[], scorers=["saliency", "odd"])
    assert not (tmp_path / "out").exists()
