"""The picture of 'gone': the prediction over the values of a removed feature, before and after each method."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.conclusions.summary import unit_ranks
from attribution_suite.conclusions.words import averaged
from attribution_suite.errors import InputError
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
MOST_PANELS, MOST_CLASSES, MOST_NAMES = 25, 3, 6
MISSING = 0.95  # where a missing value stands
FLAT = 0.01  # a curve that moves by less of what the original's moves is flat


@dataclass(frozen=True)
class Axis:
    """The values of a feature as places in [0, 1]: `place` `[points]`, what each is `called`, the ticks.

    `line` `[points]`: which of them are amounts, that a line joins.
    """

    place: np.ndarray
    called: np.ndarray
    line: np.ndarray
    ticks: list[float]
    names: list[str]

    @classmethod
    def of(cls, points: pd.DataFrame) -> "Axis":
        """From the `level` and `value` of each point: a number, one with a level 'missing' beside it, or levels."""
        amount = (points.level == "").to_numpy()
        called = np.array([" ".join(filter(None, (level, "" if np.isnan(value) else f"{value:.4g}")))
                           for level, value in zip(points.level, points.value, strict=True)], dtype=object)
        if not amount.any() or set(points.level[~amount]) - {"missing"}:
            place = (np.arange(len(points)) + 0.5) / len(points)
            shown = np.unique(np.linspace(0, len(points) - 1, MOST_NAMES).round().astype(int))
            return cls(place, called, np.zeros(len(points), bool), place[shown].tolist(), called[shown].tolist())
        low, high = points.value.min(), points.value.max()
        scale = (1.0 if amount.all() else 0.86) / ((high - low) or 1.0)
        ticks = [tick for tick in MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
        gone = [MISSING] if not amount.all() else []
        return cls(((points.value - low) * scale).fillna(MISSING).to_numpy(), called, amount,
                   [*[(tick - low) * scale for tick in ticks], *gone], [f"{tick:g}" for tick in ticks] + [
                       "missing" for _ in gone])


@dataclass(frozen=True)
class Curves:
    """Of one feature: `mean` `[(output, level, value), removals]` over networks, its range, and rows' own curves.

    `networks`: the rows of the table that are means over rows, a network's curves. The points of each output stand in
    the order of `axis`.
    """

    mean: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    rows: pd.DataFrame
    networks: pd.DataFrame
    axis: Axis
    outputs: list[str]
    feature: str

    @classmethod
    def of(cls, rows: pd.DataFrame, classes: int = MOST_CLASSES) -> "Curves":
        """From the rows of the table that are of one feature; of several classes the `classes` that move most."""
        rows = rows.fillna({"value": np.inf})  # of a category: groupby drops what is not a number
        keys, averages = ["output", "level", "value"], rows[rows.row < 0]
        each = averages.groupby([*keys, "removal"], sort=False).prediction
        mean, low, high = (part.unstack("removal") for part in (each.mean(), each.min(), each.max()))
        before = mean.groupby("output", sort=False)[ORIGINAL]
        spread = (before.max() - before.min()).nlargest(classes).index
        outputs = [str(name) for name in mean.index.unique("output") if name in spread]
        points = mean.loc[outputs[0]].reset_index()[["level", "value"]].replace({"value": {np.inf: np.nan}})
        return cls(mean, low, high, rows[(rows.row >= 0) & rows.output.isin(outputs)], averages, Axis.of(points),
                   outputs, str(rows.feature.iloc[0]))

    def flat(self, removal: str) -> bool:
        """Whether neither any network's curve nor any of the rows' own moves: a mean alone may hide two that cancel."""
        return self.moved(removal) <= FLAT * self.moved(ORIGINAL)

    def moved(self, removal: str) -> float:
        """How far the networks' curves and the rows' own move, the most of them."""
        curves = [part[part.removal == removal].groupby(["output", "split", "seed", "row"]).prediction
                  for part in (self.networks, self.rows)]
        return float(pd.concat([curve.max() - curve.min() for curve in curves]).max())

    @property
    def limits(self) -> tuple[float, float]:
        """From below the least to above the largest prediction that is drawn."""
        drawn = [self.low.loc[self.outputs].min().min(), self.high.loc[self.outputs].max().max(),
                 self.rows.prediction.min(), self.rows.prediction.max()]
        low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
        room = 0.04 * (high - low) or 0.5
        return low - room, high + room


def dependence(subject: Subject) -> list[Picture]:
    """A picture a removed feature, the first on the page; of features removed together one each."""
    drawn = [(removed, rows) for removed in subject.shown for _, rows in _of(subject, removed)]
    return [replace(_dependence(subject, removed, Curves.of(rows), f"dependence-{place + 1}" if place else
                                "dependence"), on_page=place == 0) for place, (removed, rows) in enumerate(drawn)]


def removed_curves(subject: Subject, removed: str, classes: int) -> Curves:
    """Those of a removed feature, of several removed together the first. Raises InputError where there are none."""
    found = _of(subject, removed)
    if not found:
        raise InputError(f"the run has no partial dependence on {removed}: its table holds the features of the page")
    return Curves.of(found[0][1], classes)


def _of(subject: Subject, removed: str) -> list[tuple[str, pd.DataFrame]]:
    """Each feature that goes, with its rows, where the originals have some; of units those of the first network."""
    table = unit_ranks(subject.tables["partial_dependence"])
    if subject.layer:  # units have no identity across networks
        table = table[table.seed == table.seed.min()]
    return [(str(feature), rows) for feature, rows in table[table.removed == removed].groupby("feature", sort=False)
            if ORIGINAL in set(rows.removal)]


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
