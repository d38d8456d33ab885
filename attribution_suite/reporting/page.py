"""The report: summarise, draw, render, and only then write, so that a failure leaves the last report as it was."""

import base64
import hashlib
import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import pandas as pd
from markupsafe import Markup

from attribution_suite.conclusions import baselines, checks, error_rates, inside, judgements, metrics, numbers, words
from attribution_suite.evidence.write import FOLDER
from attribution_suite.files import write_atomically
from attribution_suite.reporting import evidence, figures
from attribution_suite.reporting.answer import Answer, answers, columns, findings, overview
from attribution_suite.reporting.explore import Explorer, block, explorer, heat
from attribution_suite.reporting.explore import part as explored_part
from attribution_suite.reporting.figures.shades import DARK, PALETTE
from attribution_suite.reporting.figures.style import LeftOut, Picture, cell_text
from attribution_suite.reporting.figures.svg import inline
from attribution_suite.reporting.reading import Run, Subject

if TYPE_CHECKING:
    from attribution_suite.datasets.table import TabularDataset

OPEN = 3  # removed features whose answers are all open; of more there is a line each, and one is shown at a time
SCRIPTS = ("report.js", "figures.js")
# The browser itself then runs no script but the page's own, and asks no other place for anything.
POLICY = ("default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; img-src data: 'self' file:; "
          "base-uri 'none'; form-action 'none'")


@dataclass(frozen=True)
class Section:
    """All that the page says of one subject.

    `headline`: where nothing was removed, '' elsewhere. `sentences`: removed feature → what stands behind its answer,
    of those that are open. `folded`: of its many answers one is shown at a time.
    """

    subject: Subject
    headline: str
    answers: list[Answer]
    findings: list[words.Finding]
    sentences: Mapping[str, list[words.Finding]]
    explorer: Explorer | None
    chapters: Mapping[str, Sequence[Picture | LeftOut]]

    @property
    def folded(self) -> bool:
        """Whether there are more answers than stand open."""
        return len(self.answers) > OPEN

    @property
    def head(self) -> list[str]:
        """The headings of the answers' tables."""
        return columns(self.subject)


def draw_report(run_dir: Path, datasets: "Mapping[str, TabularDataset] | None" = None,
                each: "Callable[[Callable[[Subject], Section], list[Subject]], Iterable[Section]]" = map,
                judged: pd.DataFrame | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """Writes `figures/` (PNG, SVG, GIF) and `report.html` into `run_dir` from its tables and `run.json`; its path.

    `datasets` gives the rows for the figures that show them (each feature against the target; the components); for a
    data set that is not in it the page says what was left out. Figures of an earlier report that are not drawn any
    more are removed. `each` maps a function over the sections, a pool of workers perhaps. `judged`: the table of
    verdicts, where that was just made. `say` is told what is drawn, which may take minutes.
    Raises InputError where a file of the run is missing, damaged or of another version, and OSError
    where it cannot write.
    """
    run = Run(Path(run_dir))
    subjects = run.subjects(datasets, judged)
    say(f"drawing the report: {', '.join(subject.title for subject in subjects)}")
    sections = list(each(section, subjects))
    page = render(run, sections)
    pictures = {name: content for part in sections for chapter in part.chapters.values()
                for picture in chapter if isinstance(picture, Picture) for name, content in picture.files.items()}
    folder = run.path / "figures"
    folder.mkdir(exist_ok=True)
    for name, content in pictures.items():
        write_atomically(folder / name, content)
    _keep_figures(folder, pictures)
    write_atomically(run.path / "report.html", page.encode())
    return run.path / "report.html"


def remove_report(run_dir: Path) -> None:
    """Takes the page and the figures of an earlier report out of a folder whose tables are other ones by now."""
    (run_dir / "report.html").unlink(missing_ok=True)
    _keep_figures(run_dir / "figures", ())


def _keep_figures(folder: Path, names: Container[str]) -> None:
    for stale in folder.glob("*"):
        if stale.suffix in {".png", ".svg", ".gif"} and stale.name not in names:
            stale.unlink()


def section(subject: Subject) -> Section:
    """Words, tables and figures of one subject."""
    answered, explored = answers(subject), explorer(subject)
    task, look = subject.info["task"], subject.neurons
    headline = "" if answered else inside.headline(look, task) if look else _without_answers(subject)
    about_units = [] if look is None else inside.findings(look, subject.originals, task, subject.poor_surrogates)
    shown = [] if explored is None else (
        explored.features if len(answered) <= OPEN else [explored.features[explored.first]])
    return Section(subject, headline, answered, about_units, {name: findings(subject, name) for name in shown},
                   explored, figures.draw(subject))


def _without_answers(subject: Subject) -> str:
    return "Nothing was removed here: below is what the networks use." if len(subject.originals) else "No results."


def render(run: Run, sections: Sequence[Section]) -> str:
    """The page, with figures and style inside; every name in it is escaped."""
    removals = list(dict.fromkeys(name for part in sections for name in part.subject.removals))
    scorers = list(dict.fromkeys(name for part in sections for name in part.subject.scorers))
    networks = max((part.subject.networks for part in sections), default=0)
    splits = max((part.subject.splits for part in sections), default=1)
    failures = [sentence for part in sections for sentence in words.failure_sentences(part.subject.tables["failures"])]
    unlearned = list(filter(None, (words.unlearned_sentence(part.subject.title, part.subject.tables)
                                   for part in sections)))
    held, how = run.table("checks"), run.info["spec"]["reference"]
    explained, drawn = (run.table(name) for name in ("metrics", "randomisation"))
    kept, more = evidence.networks(run)
    looks = any(part.subject.neurons for part in sections) and not removals
    return environment().get_template("report.html").render(
        run=run.info, certified=(run.path / FOLDER / "index.html").exists(), sections=sections,
        kinds={**words.LABELS, **inside.LABELS},
        data=Markup(block({part.subject.slug: explored_part(part.subject, part.explorer, part.answers, part.folded)
                           for part in sections if part.explorer})),
        fixed=evidence.fixed(run.info["spec"]), command=evidence.command(run.info["spec"]),
        table_hashes=evidence.hashes(run), kept_networks=kept, more_networks=more,
        limits=evidence.limits(run, splits, networks), rules=run.info["spec"]["rules"],
        failures=failures,
        coverage=error_rates.coverage_words(networks, splits), measured_on=error_rates.MEASURED,
        rates={name: error_rates.SCORERS.get(name) for name in scorers}, unlearned=unlearned, removals=removals,
        scorers=scorers, networks=networks, splits=splits, faithful=judgements.FAITHFUL,
        networks_words=words.networks_words, looks=looks,
        reference=checks.reference_sentence(held, how), unlike=checks.reference_problems(held),
        held=checks.reference_table(held), baseline=baselines.baseline_sentence(
            {name: kind for part in sections for name, kind in part.subject.baselines.items()}),
        randomised=metrics.randomisation_sentences(drawn), metrics=metrics.metrics_table(explained, drawn))


def environment() -> jinja2.Environment:
    """What templates are drawn with: every name in them is escaped."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("attribution_suite.reporting"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    found.filters.update(
        overview=overview, heat=heat, cell=cell_text,
        unbroken=numbers.unbroken,
        foldable=lambda name: Markup("_<wbr>").join(name.split("_")),
        inline=lambda figure: Markup(inline(figure.svg, f"figure-{figure.name}", figure.alt)),
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False))
    found.filters["extract"] = lambda place, names: names[place]
    templates = files("attribution_suite.reporting") / "templates"
    script = "\n".join((templates / name).read_text(encoding="utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    found.globals.update(palette=PALETTE, dark=DARK, script=Markup(script), policy=POLICY.format(digest))
    found.tests["left_out"] = lambda figure: isinstance(figure, LeftOut)
    return found
