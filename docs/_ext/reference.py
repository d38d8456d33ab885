"""Pages that are made from the package: the API, the columns of every table, and what each catalogue holds.

They are written before Sphinx reads the pages, so that a new public name, column, scorer or removal appears by itself.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attribution_suite
from attribution_suite.datasets import DATASETS
from attribution_suite.measures import MEASURES
from attribution_suite.registry import Registry
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import RemovalTraits
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import ScorerTraits
from attribution_suite.tables import NEURON_TABLES, TABLES

# What a reader meets behind the public names: results, and the protocols that one implements to extend the package.
RESULTS = ("attribution_suite.networks.training.Trained", "attribution_suite.auditing.explain.Explanation",
           "attribution_suite.auditing.check.Checked", "attribution_suite.presented.Presented")
EXTENDING = ("attribution_suite.scorers.attribution.Scorer", "attribution_suite.scorers.attribution.ScorerTraits",
             "attribution_suite.scorers.attribution.Evaluation",
             "attribution_suite.removals.removal.Removal", "attribution_suite.removals.removal.RemovalTraits",
             "attribution_suite.removals.removal.Setting",
             "attribution_suite.networks.nodes.Nodes", "attribution_suite.networks.batches.Block",
             "attribution_suite.datasets.table.Split", "attribution_suite.datasets.table.Provenance",
             "attribution_suite.datasets.request.DatasetRequest",
             "attribution_suite.datasets.preset.Preset", "attribution_suite.tables.column.Column")
FAMILIES = {"Data sets": DATASETS, "Scorers": SCORERS, "Removals": REMOVALS}
METHODS = Path(__file__).parents[1] / "methods.md"


def api_page() -> Iterator[str]:
    """Every public name, then the results and what extensions are written against."""
    yield "# API\n\nEvery name can be imported from `attribution_suite`, which loads it on first use.\n"
    public = {name: getattr(attribution_suite, name) for name in attribution_suite.__all__}
    functions = [name for name, value in public.items() if callable(value) and not isinstance(value, type)]
    classes = [name for name, value in public.items() if isinstance(value, type)]
    yield "## Functions\n"
    yield from (_directive("function", f"attribution_suite.{name}") for name in functions)
    yield "## Classes\n"
    yield from (_directive("class", f"attribution_suite.{name}") for name in classes)
    yield "## Results\n"
    yield from (_directive("class", place) for place in RESULTS)
    yield "## For extensions\n\nWhat scorers, removals and loaders are given: see [Extending](../extending/index.md).\n"
    yield from (_directive("class", place) for place in EXTENDING)


def catalogue_page() -> Iterator[str]:
    """What every catalogue holds, in one line each, linked to its definition."""
    anchors = set(re.findall(r"^\(([a-z0-9-]+)\)=$", METHODS.read_text(encoding="utf-8"), re.MULTILINE))
    yield "# Catalogues\n\nWhat `attribution-suite list` shows, and `attribution_suite.SCORERS`, `REMOVALS`, "
    yield "`DATASETS` and `MEASURES` hold.\n"
    for title, family in FAMILIES.items():
        yield f"## {title}\n"
        yield from _terms(_described(family), family.kind.replace(" ", "-"), anchors)
    yield "## Measures\n"
    yield from _terms(((name, str(measure)) for name, measure in MEASURES.items()), "measure", anchors)


def tables_page() -> Iterator[str]:
    """The columns of every table."""
    yield "# Tables\n\nA run writes them as Parquet; `Audit.table(name)` reads one. One row is one fact. `removal` is "
    yield "`original` and `removed` is empty for the networks before any edit; `layer` 0 is the input.\n"
    for title, tables in (("Every run", TABLES), ("A look inside (`neurons`)", NEURON_TABLES)):
        yield f"## {title}\n"
        for name, columns in tables.items():
            yield f"### {name}\n\n| column | type | range or unit | meaning |\n| --- | --- | --- | --- |"
            for column, about in columns.items():
                yield f"| `{column}` | {about.dtype} | {_cell(about.unit)} | {_cell(about.meaning)} |"
            yield ""


def _described(family: Registry) -> Iterable[tuple[str, str]]:
    for name in family.builtin:
        declared = _declared(getattr(family.load(name), "traits", None))
        yield name, f"{family.describe(name)} {declared}".strip()
    for pattern in family.patterns:
        yield pattern, family.describe(pattern)


def _declared(traits: object) -> str:
    """What a scorer or removal declares of itself, in words."""
    if isinstance(traits, RemovalTraits):
        return str(traits)
    if isinstance(traits, ScorerTraits):
        baseline = f" Baseline: {traits.baseline}." if traits.baseline else ""
        return f"Reads: {traits.reads}.{baseline}" + (" Hidden units only." if traits.below else "")
    return ""


def _terms(entries: Iterable[tuple[str, str]], kind: str, anchors: set[str]) -> Iterator[str]:
    for name, meaning in entries:
        anchor = f"{kind}-{name.replace('_', '-')}"
        title = f"[`{name}`](#{anchor})" if anchor in anchors else f"`{name}`"
        yield f"{title}\n: {_cell(meaning)}\n"


def _directive(kind: str, place: str) -> str:
    members = "   :members:\n" if kind == "class" else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {place}\n{members}```\n"


def _cell(text: str) -> str:
    """Plain text with code between backticks as a cell of a Markdown table."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(re.sub(r"\|" if part.startswith("`") else r"([\\|*_<\[\]])", r"\\\g<0>", part) for part in parts)


def plain_docstring(_app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Docstrings are plain text with code between single backticks: what reStructuredText would mark up is escaped."""
    parts = re.split(r"(`[^`]+`)", "\n".join(lines))
    for position, part in enumerate(parts):
        if part.startswith("`"):
            joined = "\\ " if parts[position + 1][:1].isalnum() else ""  # `nn.Linear`s
            parts[position] = f"``{' '.join(part[1:-1].split())}``{joined}"
        else:
            parts[position] = re.sub(r"([\\*|]|_(?!\w))", r"\\\1", part)
    lines[:] = "".join(parts).splitlines()


def write_pages(app: Any) -> None:
    """Writes the pages into `generated/`, only where they changed, so that a second build is quick."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    for name, page in (("api", api_page), ("catalogues", catalogue_page), ("tables", tables_page)):
        text, path = "\n".join(page()) + "\n", folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Connects both to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", plain_docstring)
    return {"parallel_read_safe": True}
