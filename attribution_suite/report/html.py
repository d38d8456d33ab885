"""The report: summarise, draw, render, and only then write, so that a failure leaves the last report as it was."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from attribution_suite.audit.tables import ORIGINAL
from attribution_suite.files import write_atomically
from attribution_suite.report import figures, summary, verdict, verdict_neurons
from attribution_suite.report.figures_matrix import NORM, SHIFT_COLOURS, shift_matrix, shift_text
from attribution_suite.report.figures_style import PALETTE, LeftOut, Picture, ink_on
from attribution_suite.report.reading import CONTROL, Run, Subject

if TYPE_CHECKING:
    from attribution_suite.datasets.table import TabularDataset

LARGEST = 2_000_000  # characters of a page with its animations inside; of a longer one they lie beside it


@dataclass(frozen=True)
class Section:
    """All that the page says of one subject."""

    subject: Subject
    headline: str
    findings: list[verdict.Finding]
    rows: list[dict[str, Any]]
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
    """One removed feature: removals × (direct effect, scorers), `cells[removal][column]`."""

    feature: str
    columns: list[str]
    cells: dict[str, list[Cell]]


def draw_report(run_dir: Path, datasets: "Mapping[str, TabularDataset] | None" = None,
                each: "Callable[[Callable[[Subject], Section], list[Subject]], Iterable[Section]]" = map) -> Path:
    """Writes `figures/*.png`, `*.gif` and `report.html` into `run_dir` from its tables and `run.json`; its path.

    `datasets` gives the rows for the figures that show them (each feature against the target; the components); for a
    data set that is not in it the page says what was left out. Figures of an earlier report that are not drawn any
    more are removed. `each` maps a function over the sections, a pool of workers perhaps.
    Raises InputError where a file of the run is missing, damaged or of another version, and OSError
    where it cannot write.
    """
    run = Run(Path(run_dir))
    sections = list(each(section, run.subjects(datasets)))
    page = render(run, sections)
    if len(page) > LARGEST:
        page = render(run, sections, beside=True)
    pictures = {found.file: found.png for part in sections for chapter in part.chapters.values()
                for found in chapter if isinstance(found, Picture)}
    folder = run.path / "figures"
    folder.mkdir(exist_ok=True)
    for name, content in pictures.items():
        write_atomically(folder / name, content)
    for stale in (*folder.glob("*.png"), *folder.glob("*.gif")):
        if stale.name not in pictures:
            stale.unlink()
    write_atomically(run.path / "report.html", page.encode())
    return run.path / "report.html"


def section(subject: Subject) -> Section:
    """Words, table and figures of one subject."""
    table = summary.summary_table(subject.tables, [subject.name] if subject.simulated else [])
    inside = subject.neurons is not None and not subject.removals
    headline = verdict_neurons.headline(subject) if inside else verdict.headline(subject)
    findings = [*verdict.findings(subject, table), *verdict_neurons.findings(subject)]
    return Section(subject, headline, findings, _answer_rows(subject, table),
                   [feature_table(subject, feature) for feature in subject.shown], figures.draw(subject))


def _answer_rows(subject: Subject, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the answer's table: the summary, the verdict and how many scorers still see the feature."""
    if table.empty:
        return []
    kinds, votes = verdict.kinds(subject), verdict.votes(subject)
    voters = votes[votes.state != "not applicable"]
    seen = voters[voters.state == "left"].groupby("removal").scorer.nunique()
    count = voters.groupby("removal").scorer.nunique()
    rows = [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]
    return [{**row, "kind": kinds[row["removal"]], "seen": seen.get(row["removal"], 0),
             "voters": count.get(row["removal"], 0)} for row in rows]


def feature_table(subject: Subject, feature: str) -> FeatureTable:
    """The matrix of one removed feature, mean over seeds, as a heat table; 'n/a' where a method does not apply."""
    mean, _ = shift_matrix(subject, [feature])
    cells = {str(removal): [_cell(value, coloured=column != CONTROL) for column, value in row.items()]
             for removal, row in mean.iterrows()}
    return FeatureTable(feature, list(mean.columns), cells)


def _cell(value: float, coloured: bool) -> Cell:
    if np.isnan(value) or not coloured:
        return Cell(shift_text(value), PALETTE["panel"], PALETTE["muted"])
    colour = SHIFT_COLOURS(NORM(value))
    return Cell(shift_text(value), to_hex(colour), ink_on(colour))


def render(run: Run, sections: Sequence[Section], beside: bool = False) -> str:
    """The page, with figures and style inside; every name in it is escaped. `beside`: animations are linked."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attribution_suite.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        percent=summary.percent, signed_percent=summary.signed_percent, number=summary.number, seconds=summary.seconds,
        source=lambda found: f"figures/{found.file}" if found.moving and beside else data_uri(found),
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False))
    environment.tests["left_out"] = lambda found: isinstance(found, LeftOut)
    removals = list(dict.fromkeys(name for part in sections for name in part.subject.removals))
    scorers = list(dict.fromkeys(name for part in sections for name in part.subject.scorers))
    seeds = max((part.subject.originals.seed.nunique() for part in sections), default=0)
    looks = any(part.subject.neurons for part in sections) and not removals
    return environment.get_template("report.html").render(
        run=run.info, sections=sections, palette=PALETTE, kinds={**verdict.LABELS, **verdict_neurons.LABELS},
        gone=verdict.GONE, stays=verdict.STAYS,
        removals=removals, scorers=scorers, seeds=seeds, original=ORIGINAL, looks=looks)


def data_uri(found: Picture) -> str:
    """The picture inside a page."""
    return f"data:image/{'gif' if found.moving else 'png'};base64,{base64.b64encode(found.png).decode()}"
