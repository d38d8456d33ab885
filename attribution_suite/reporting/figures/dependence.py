"""The picture of 'gone': the prediction over the values of a removed feature, before and after each method."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.conclusions.words import averaged
from attribution_suite.reporting.figures.curves import Curves, curves_of
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    CLASS_COLOURS,
    WIDTH,
    Picture,
    canvas,
    label,
    picture,
    spread,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL

ACROSS, GAP = 5, 0.14  # panels beside each other; between them, of a panel's width
MOST_PANELS = 25


def dependence(subject: Subject) -> list[Picture]:
    """A picture a removed feature, the first on the page; of features removed together one each."""
    drawn = [(removed, rows) for removed in subject.shown for _, rows in curves_of(subject, removed)]
    return [replace(_dependence(subject, removed, Curves.of(rows), f"dependence-{place + 1}" if place else
                                "dependence"), on_page=place == 0) for place, (removed, rows) in enumerate(drawn)]


@styled
def _dependence(subject: Subject, removed: str, curves: Curves, name: str) -> Picture:
    feature = curves.feature
    methods = [method for method in subject.removals if method in curves.mean]
    panels = [ORIGINAL, *methods][:MOST_PANELS]
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = canvas(WIDTH, 0.6 + 1.75 * down)
    grid = figure.subplots(down, 1, squeeze=False, sharey=True)[:, 0]
    for place, axes in enumerate(grid):
        _row(axes, curves, panels[place * across:(place + 1) * across], across)
        axes.set_ylabel(quantity(subject, curves), fontsize=8.5)
    grid[-1].set_xlabel(f"{label(feature, 60)}, in its own units")
    if len(curves.outputs) > 1:
        figure.legend([Line2D([], [], color=colour, linewidth=1.8) for colour in CLASS_COLOURS[:len(curves.outputs)]],
                      [f"probability of {label(output)}" for output in curves.outputs], loc="outside upper right",
                      ncols=len(curves.outputs))
    one = " of network 0 alone, for units have no identity across networks" if subject.layer else ""
    thin = curves.rows[curves.rows.removal == ORIGINAL].row.nunique()
    caption = (f"The prediction when {label(feature, 60)} alone is put at each value, mean over test rows (partial "
               f"dependence). Dashed: before; line: after, {averaged(subject.networks, subject.splits).lower()}{one}, "
               f"band their range; thin: {thin} rows of the first network, each by itself. "
               + ("Teal: level in every network; rust: it still moves. " if len(curves.outputs) == 1 else
                  f"The {len(curves.outputs)} classes whose line moves most; the others are in the table. ")
               + "It says what moving the feature does, not what its proxies carry."
               + f" {len(methods) + 1 - len(panels)} more methods are not drawn." * (len(methods) >= len(panels)))
    title = f"What moving {label(feature, 40)} still does" + f" ({label(removed, 40)} removed)" * (removed != feature)
    alt = f"Partial dependence of the prediction on {feature} before and after {len(methods)} removal methods."
    return picture(figure, subject, name, title, caption, alt, _table(curves, methods))


def quantity(subject: Subject, curves: Curves) -> str:
    """What is predicted, as an axis says it."""
    if len(curves.outputs) > 1:
        return "probability"
    return f"P({label(curves.outputs[0], 20)})" if curves.outputs[0] else label(subject.info["target"], 26)


def _table(curves: Curves, methods: Sequence[str]) -> pd.DataFrame:
    """The lines that are drawn: a row an output and value, a column a method."""
    table = curves.mean.loc[curves.outputs, [ORIGINAL, *methods]].reset_index()
    table["value"] = table.value.replace(np.inf, np.nan)
    return table.drop(columns=[name for name in ("output", "level") if (table[name] == "").all()])


def _row(axes: Any, curves: Curves, panels: Sequence[str], across: int) -> None:
    """Panels beside each other in one axes: a panel each would take seconds to lay out."""
    step, ticks, names = 1 + GAP, [], []
    scale_axes(axes, curves)
    draw_panels(axes, curves, panels)
    for column, method in enumerate(panels):
        axes.text(column * step, 1.03, label(method, 26), transform=axes.get_xaxis_transform(), fontsize=8.5,
                  fontweight="bold", ha="left", va="bottom")
        ticks += [column * step + tick for tick in curves.axis.ticks]
        names += [label(name, 12) for name in curves.axis.names]
    starts = np.arange(len(panels)) * step
    axes.vlines(starts - GAP / 2, 0, 1, transform=axes.get_xaxis_transform(), colors=PALETTE["line"], linewidth=0.8)
    crowded = max(map(len, names)) * len(curves.axis.names) > 26
    axes.set_xticks(ticks, names, fontsize=7.5, rotation=90 if crowded else 0)
    axes.set_xlim(-GAP / 2, across * step - GAP / 2)


def scale_axes(axes: Any, curves: Curves) -> None:
    """Limits and ticks for one panel."""
    axes.set_autoscale_on(False)
    axes.set_ylim(*curves.limits)
    axes.set_xlim(-GAP / 2, 1 + GAP / 2)
    axes.set_xticks(curves.axis.ticks, [label(name, 16) for name in curves.axis.names])
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


def draw_methods(axes: Any, curves: Curves, methods: Sequence[str]) -> None:
    """The mean of each method beside the one before (dashed), named at its end."""
    (output,), places = curves.outputs, curves.axis.place
    ends = []
    for method in (ORIGINAL, *methods):
        before = method == ORIGINAL
        mean = curves.mean.loc[output][method].to_numpy()
        colour = PALETTE["muted" if before else "gone" if curves.flat(method) else "still"]
        axes.plot(places, mean, "o--" if before else "o-", color=colour, markersize=3, linewidth=1.4)
        ends.append((method, float(mean[-1]), colour))
    drawn = curves.mean.loc[output].to_numpy()
    low, high = np.nanmin(drawn) - 0.1 * np.ptp(drawn), np.nanmax(drawn) + 0.1 * np.ptp(drawn)
    axes.set_ylim(low, high)
    axes.set_xlim(-GAP / 2, 1.45)
    heights = spread([(end - low) / (high - low) for _, end, _ in ends], 0.045, 0.02, 0.98)
    for (method, end, colour), height in zip(ends, heights, strict=True):
        y = low + height * (high - low)
        axes.plot([places[-1] + 0.01, 1.07], [end, y], color=PALETTE["line"], linewidth=0.8, zorder=1)
        axes.text(1.08, y, label(method, 24), color=colour, fontsize=8, va="center")


def draw_panels(axes: Any, curves: Curves, panels: Sequence[str]) -> None:
    """Methods beside each other: rows' own curves, the mean before and after with its range over networks.

    Lines of one kind are one artist, whatever their colours: each costs milliseconds.
    """
    single, axis = len(curves.outputs) == 1, curves.axis
    line, thin_points = axis.line, axis.line if axis.line.any() else ~axis.line
    thin, bands, befores, afters = (list[Line]() for _ in range(4))
    dots: list[tuple[np.ndarray, np.ndarray, str, list[str]]] = []
    for column, method in enumerate(panels):
        places = column * (1 + GAP) + axis.place
        for output, hue in zip(curves.outputs, CLASS_COLOURS, strict=False):
            colour = hue if not single else PALETTE["muted"] if method == ORIGINAL else PALETTE[
                "gone" if curves.flat(method) else "still"]
            own = curves.rows[(curves.rows.output == output) & (curves.rows.removal == method)].prediction.to_numpy()
            thin += [Line(np.column_stack([places, row])[thin_points], colour)
                     for row in own.reshape(-1, len(places))]
            mean, low, high, before = (part.loc[output][name].to_numpy() for part, name in (
                (curves.mean, method), (curves.low, method), (curves.high, method), (curves.mean, ORIGINAL)))
            who = f"{method}{f', {output}' if output else ''}"
            there, back = places[line], places[line][::-1]
            bands.append(Line(np.column_stack([[*there, *back], [*low[line], *high[line][::-1]]]), colour))
            afters.append(Line(np.column_stack([places, mean])[line], colour,
                               f"{who}: {rounded(float(mean.min()))} to {rounded(float(mean.max()))}"))
            if method != ORIGINAL:
                befores.append(Line(np.column_stack([places, before])[line], PALETTE["muted"] if single else colour))
            dots.append((np.column_stack([places, before])[~line], np.column_stack([places, mean])[~line], colour, [
                f"{who}; {name}: {rounded(float(value))}" for name, value in
                zip(axis.called[~line], mean[~line], strict=True)]))
    _add(axes, thin, linewidths=0.7, alpha=0.4, zorder=2)
    if line.any():
        axes.add_collection(PolyCollection([band.points for band in bands], alpha=0.16, linewidths=0, zorder=1,
                                           facecolors=[band.colour for band in bands]), autolim=False)
        _add(axes, befores, linewidths=1.1, linestyles=[(0, (3, 2))], zorder=3)
        _add(axes, afters, linewidths=1.8, zorder=4)
    if not line.all():
        _add_dots(axes, dots, [PALETTE["muted"] if single else colour for *_, colour, _ in dots])


@dataclass(frozen=True)
class Line:
    """A line by its `points` `[points, 2]`; `told`: what it says of itself."""

    points: np.ndarray
    colour: str
    told: str = ""


def _add(axes: Any, lines: Sequence[Line], **how: Any) -> None:
    """Lines as one artist, those of one colour one after the other."""
    ordered = sorted(lines, key=lambda line: line.colour) if lines and not lines[0].told else lines
    drawn = LineCollection([line.points for line in ordered], colors=[line.colour for line in ordered], **how)
    if ordered and ordered[0].told:
        tell(drawn, *[line.told for line in ordered])
    axes.add_collection(drawn, autolim=False)


def _add_dots(axes: Any, dots: Sequence[tuple[np.ndarray, np.ndarray, str, list[str]]], edges: Sequence[str]) -> None:
    """The mean at levels: hollow before, filled after."""
    each = [len(after) for _, after, *_ in dots]
    axes.scatter(*np.concatenate([before for before, *_ in dots]).T, s=16, facecolors=PALETTE["paper"],
                 edgecolors=np.repeat(edges, each), linewidths=1, zorder=3)
    filled = axes.scatter(*np.concatenate([after for _, after, *_ in dots]).T, s=18, zorder=5,
                          c=np.repeat([colour for *_, colour, _ in dots], each))
    tell(filled, *[words for *_, told in dots for words in told])
