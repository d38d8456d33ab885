"""The report: summarise, draw, render, and only then write, so that a failure leaves the last report as it was."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.colors import to_hex

from attribution_suite.conclusions import baselines, checks, error_rates, inside, metrics, numbers, words
from attribution_suite.conclusions.summary import edits, summary_table, unit_ranks
from attribution_suite.evidence.write import FOLDER
from attribution_suite.files import write_atomically
from attribution_suite.reporting import figures
from attribution_suite.reporting.figures.matrix import EFFECT, NORM, Matrix, shift_matrix, shift_text
from attribution_suite.reporting.figures.shades import DARK, PALETTE, SHIFT_COLOURS, ink_on
from attribution_suite.reporting.figures.style import LeftOut, Picture, cell_text
from attribution_suite.reporting.figures.svg import inline
from attribution_suite.reporting.reading import Run, Subject
from attribution_suite.scorers import CONTROL

if TYPE_CHECKING:
    from attribution_suite.datasets.table import TabularDataset

OPEN = 3  # removed features whose answer is open; those of a longer list fold


@dataclass(frozen=True)
class Answer:
    """What the page says first of one removed feature: a sentence, the findings, a table's rows, one a method."""

    removed: str
    headline: str
    findings: list[words.Finding]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Section:
    """All that the page says of one subject. `headline`: where nothing was removed, '' elsewhere."""

    subject: Subject
    headline: str
    answers: list[Answer]
    findings: list[words.Finding]
    features: list["FeatureTable"]
    chapters: Mapping[str, Sequence[Picture | LeftOut]]


@dataclass(frozen=True)
class Cell:
    """One number of a heat table: its text, background and ink."""

    text: str
    back: str
    ink: str


@dataclass(frozen=True)
class FeatureTable:
    """One removed feature: removals × (direct effect, scorers), `cells[row][column]`."""

    feature: str
    columns: list[str]
    cells: dict[str, list[Cell]]


def draw_report(run_dir: Path, datasets: "Mapping[str, TabularDataset] | None" = None,
                each: "Callable[[Callable[[Subject], Section], list[Subject]], Iterable[Section]]" = map,
                judged: pd.DataFrame | None = None) -> Path:
    """Writes `figures/` (PNG, SVG, GIF) and `report.html` into `run_dir` from its tables and `run.json`; its path.

    `datasets` gives the rows for the figures that show them (each feature against the target; the components); for a
    data set that is not in it the page says what was left out. Figures of an earlier report that are not drawn any
    more are removed. `each` maps a function over the sections, a pool of workers perhaps. `judged`: the table of
    verdicts, where that was just made.
    Raises InputError where a file of the run is missing, damaged or of another version, and OSError
    where it cannot write.
    """
    run = Run(Path(run_dir))
    sections = list(each(section, run.subjects(datasets, judged)))
    page = render(run, sections)
    pictures = {name: content for part in sections for chapter in part.chapters.values()
                for picture in chapter if isinstance(picture, Picture) for name, content in picture.files.items()}
    folder = run.path / "figures"
    folder.mkdir(exist_ok=True)
    for name, content in pictures.items():
        write_atomically(folder / name, content)
    for stale in folder.iterdir():
        if stale.suffix in {".png", ".svg", ".gif"} and stale.name not in pictures:
            stale.unlink()
    write_atomically(run.path / "report.html", page.encode())
    return run.path / "report.html"


def section(subject: Subject) -> Section:
    """Words, tables and figures of one subject."""
    answered = answers(subject)
    task, look = subject.info["task"], subject.neurons
    headline = "" if answered else inside.headline(look, task) if look else _without_answers(subject)
    findings = [] if look is None else inside.findings(look, subject.originals, task)
    return Section(subject, headline, answered, findings,
                   [feature_table(subject, feature) for feature in subject.shown], figures.draw(subject))


def _without_answers(subject: Subject) -> str:
    return "Nothing was removed here: below is what the networks use." if len(subject.originals) else "No results."


def answers(subject: Subject) -> list[Answer]:
    """One a removed feature, in the order of the run; none where nothing was removed."""
    summary = summary_table(subject.tables)
    if summary.empty:
        return []
    judged, result = subject.verdicts, []
    for removed, verdict_rows in judged.groupby("removed", sort=False):
        rows = summary[summary.removed == removed]
        sentences = words.findings(subject.tables, verdict_rows, rows)
        judged_rows = verdict_rows.drop(columns=["dataset", "layer", "removed", "splits"])
        both = rows.merge(judged_rows, on="removal").to_dict("records")
        result.append(Answer(str(removed), words.headline(verdict_rows), sentences,
                             [{str(column): value for column, value in row.items()} for row in both]))
    return result


def feature_table(subject: Subject, feature: str) -> FeatureTable:
    """The matrix of one removed feature as a heat table: mean over networks; 'n/a' where a method does not apply.

    Hidden units that each network picked for itself have a row a removal and network, with the unit's name.
    """
    outcomes = unit_ranks(subject.tables["outcomes"])
    units = edits(subject.tables["outcomes"][(outcomes.removed == feature) & (outcomes["rank"] > 0)])
    if not subject.layer or units.empty:
        return FeatureTable(feature, [EFFECT, *subject.scorers], _heat(shift_matrix(subject, feature)))
    cells: dict[str, list[Cell]] = {}
    for seed, picked in units.groupby("seed"):
        heat = _heat(shift_matrix(subject, feature, int(str(seed))))
        cells |= {f"{removal}, network {seed} ({unit})": heat[str(removal)]
                  for removal, unit in picked.set_index("removal").removed.items()}
    return FeatureTable(feature, [EFFECT, *subject.scorers], cells)


def _heat(matrix: Matrix) -> dict[str, list[Cell]]:
    """removal → its cells."""
    missing = matrix.missing.to_numpy()
    return {str(removal): [_cell(value, bool(missing[line, place]), column != CONTROL)
                           for place, (column, value) in enumerate(row.items())]
            for line, (removal, row) in enumerate(matrix.mean.iterrows())}


def _cell(value: float, missing: bool, coloured: bool) -> Cell:
    if np.isnan(value) or not coloured:
        return Cell(numbers.UNMEASURED if missing else shift_text(value), PALETTE["panel"], PALETTE["muted"])
    colour = SHIFT_COLOURS(NORM(value))
    return Cell(shift_text(value), to_hex(colour), ink_on(colour))


def render(run: Run, sections: Sequence[Section]) -> str:
    """The page, with figures and style inside; every name in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attribution_suite.reporting"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        percent=numbers.percent, signed_percent=numbers.signed_percent, number=numbers.number, seconds=numbers.seconds,
        measured=numbers.measured, score=numbers.score,
        count=lambda names: len([name for name in names.split(", ") if name]),
        unbroken=lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%"),
        foldable=lambda name: Markup("_<wbr>").join(name.split("_")),
        inline=lambda figure: Markup(inline(figure.svg, f"figure-{figure.name}", figure.alt)), cell=cell_text,
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False))
    environment.globals["infinite"] = float("inf")
    environment.tests["left_out"] = lambda figure: isinstance(figure, LeftOut)
    removals = list(dict.fromkeys(name for part in sections for name in part.subject.removals))
    scorers = list(dict.fromkeys(name for part in sections for name in part.subject.scorers))
    networks = max((part.subject.networks for part in sections), default=0)
    splits = max((part.subject.splits for part in sections), default=1)
    failures = [sentence for part in sections for sentence in words.failure_sentences(part.subject.tables["failures"])]
    unlearned = list(filter(None, (words.unlearned_sentence(part.subject.title, part.subject.tables)
                                   for part in sections)))
    held, how = run.table("checks"), run.info["spec"]["reference"]
    explained, drawn = (run.table(name) for name in ("metrics", "randomisation"))
    looks = any(part.subject.neurons for part in sections) and not removals
    return environment.get_template("report.html").render(
        run=run.info, certified=(run.path / FOLDER / "index.html").exists(),
        sections=sections, palette=PALETTE, dark=DARK, kinds={**words.LABELS, **inside.LABELS},
        kind_of=words.KINDS, rules=run.info["spec"]["rules"], arrow=numbers.arrow, open=OPEN, failures=failures,
        coverage=error_rates.coverage_words(networks, splits), measured_on=error_rates.MEASURED,
        rates={name: error_rates.SCORERS.get(name) for name in scorers}, unlearned=unlearned, removals=removals,
        scorers=scorers, networks=networks, splits=splits,
        networks_words=words.networks_words, looks=looks,
        reference=checks.reference_sentence(held, how), unlike=checks.reference_problems(held),
        held=checks.reference_table(held), baseline=baselines.baseline_sentence(
            {name: kind for part in sections for name, kind in part.subject.baselines.items()}),
        randomised=metrics.randomisation_sentences(drawn), metrics=metrics.metrics_table(explained, drawn))
