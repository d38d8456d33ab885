"""The view of a result: a headline, a table and kinds of plots; how they become HTML and a figure."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.reporting.figures.style import DPI, label, styled
from attribution_suite.reporting.figures.style import WIDTH as PAGE

WIDTH, LINE, FRAME, LEAST = 7.4, 0.3, 1.3, 2.6  # of a figure, in inches; a line is one bar or row of it
MOST_ROWS = 12  # of a table in a notebook; `to_frame` has them all
LONGEST = 44  # letters of a cell; the whole of a longer one is its tooltip

# Draws a result into axes; returns how many lines tall it is.
Draw = Callable[..., int]


class Drawing(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()


@dataclass(frozen=True)
class View:
    """`headline` says a result in a sentence, `table` is what stands below it; `kinds`: its plots, the default first.

    `facts`: further sentences; `wide`: the kinds that need the width of a page.
    """

    headline: Callable[[Any], str]
    table: Callable[[Any], pd.DataFrame]
    kinds: Mapping[str, Draw]
    facts: Callable[[Any], Sequence[str]] = lambda result: ()
    wide: Sequence[str] = ()

    def html(self, result: Any, kinds: bool = True) -> Markup:
        """The result as a piece of a page; every name is escaped. `kinds`: whether it says what can be plotted."""
        table = self.table(result)
        return Markup(environment().get_template("result.html").render(
            headline=self.headline(result), facts=self.facts(result), columns=list(map(str, table.columns)),
            rows=[[(isinstance(value, str), label(cell(value), LONGEST), cell(value)) for value in row]
                  for row in table.head(MOST_ROWS).itertuples(index=False)],
            left=max(0, len(table) - MOST_ROWS), kinds=list(self.kinds) if kinds else []))

    def plot(self, result: Any, kind: str | None, ax: Axes | None, options: Mapping[str, Any]) -> Figure:
        """The result drawn as one of its kinds, into `ax` or a figure of its own."""
        name = next(iter(self.kinds)) if kind is None else kind
        if name not in self.kinds:
            raise InputError(f"unknown kind of plot {name!r}: {type(result).__name__} has {', '.join(self.kinds)}")
        draw = self.kinds[name]
        taken = signature(draw).parameters.values()
        known = [parameter.name for parameter in taken if parameter.kind is Parameter.KEYWORD_ONLY]
        for option in options:
            if option not in known:
                raise unknown_name(f"option of the plot '{name}'", option, known or ["none"])
        if ax is not None and not isinstance(ax, Axes):
            raise InputError(f"option 'ax' is an Axes of matplotlib, got {type(ax).__name__}")
        return drawn(draw, result, ax, options, PAGE if name in self.wide else WIDTH)


@styled
def drawn(draw: Draw, result: Any, ax: Axes | None, options: Mapping[str, Any], width: float) -> Figure:
    """Draws under the report's style alone. A figure of its own is as tall as what is drawn."""
    if ax is not None:
        draw(ax, result, **options)
        return ax.figure.get_figure(root=True)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    figure = Drawing(figsize=(width, LEAST), dpi=DPI, layout=layout)
    figure.set_figheight(max(LEAST, FRAME + LINE * draw(figure.subplots(), result, **options)))
    return figure


@cache
def environment() -> jinja2.Environment:
    """The page's templates, every value escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("attribution_suite.reporting"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)


def cell(value: Any) -> str:
    """A value of a table as text: numbers with three digits, '–' where there is none."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return "no bound" if np.isposinf(value) else rounded(float(value) + 0.0)
    return "–" if value is None or value is pd.NA else str(value)
