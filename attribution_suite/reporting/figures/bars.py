"""Bars in a table, a row a feature and a column a scorer, each named where it stands; and bars in groups."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from attribution_suite.conclusions.numbers import MINUS
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import WIDTH, below, canvas, family_place, label, scorer_colour
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL

MOST_FEATURES, MOST_MARKS, MOST_NETWORKS, OF_NETWORK = 20, 480, 5, 7
ROOM = 9.4  # inches for the columns
ROW, NARROWEST, WIDEST = 0.21, 0.24, 1.3


def mean_shares(subject: Subject, rows: pd.DataFrame) -> pd.DataFrame:
    """`[features, scorers]`, mean over networks, features by falling mean over the scorers but the control."""
    table = rows.groupby(["feature", "scorer"], sort=False).share.mean().unstack("scorer")
    order = table.drop(columns=CONTROL, errors="ignore").mean(axis=1).sort_values(ascending=False, kind="stable")
    return table.loc[order.index, [name for name in subject.scorers if name in table]]


def most_rows(columns: int, most: int = MOST_FEATURES) -> int:
    """How many rows of a table of bars can be drawn and told apart."""
    return max(3, min(most, MOST_MARKS // max(1, columns)))


def percent_text(value: float) -> str:
    """A value in per cent as a mark tells it."""
    return "not measured" if np.isnan(value) else f"{value:.1f} %".replace("-", MINUS)


def bar_tables(panels: Mapping[str, pd.DataFrame], quantity: str) -> Figure:
    """One table of bars a panel, `[features, scorers]` in %, on one scale; a panel's name above it where it has one.

    Bars of values below zero go to the left.
    """
    panels = {name: panel[sorted(panel, key=lambda scorer: family_place(str(scorer)))]
              for name, panel in panels.items()}
    columns = len(next(iter(panels.values())).columns)
    cell = float(np.clip(ROOM / columns, NARROWEST, WIDEST))
    rows = [len(panel) for panel in panels.values()]
    figure = canvas(min(WIDTH, 2.4 + cell * (columns + 1)), 1.75 + ROW * sum(rows) + 0.45 * (len(rows) - 1))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=rows)[:, 0]
    values = pd.concat(list(panels.values())).to_numpy()
    low, high = float(np.nanmin(values, initial=0.0)), float(np.nanmax(values, initial=0.0))
    for place, (axes, (name, panel)) in enumerate(zip(grid, panels.items(), strict=True)):
        _bar_table(axes, panel, (low, high))
        if place == 0:
            _name_columns(axes, list(panel.columns))
        if name:
            axes.set_ylabel(name, fontweight="bold")
    grid[-1].set_xlabel(f"{quantity}, %; every column on the same scale")
    return figure


def _bar_table(axes: Any, table: pd.DataFrame, scale: tuple[float, float]) -> None:
    rows, columns = table.shape
    low, high = scale
    spread = (high - low) or 1.0
    zero = np.arange(columns) + 0.06 - 0.88 * low / spread  # where each column's bars begin
    ends = zero + 0.88 * table.to_numpy() / spread
    top = np.arange(rows)[:, None] - 0.36 + 0 * ends
    corners = np.stack([np.stack([zero + 0 * ends, top], -1), np.stack([ends, top], -1),
                        np.stack([ends, top + 0.72], -1), np.stack([zero + 0 * ends, top + 0.72], -1)], -2)
    known = np.isfinite(ends).T  # column by column: bars of one colour follow each other
    drawn = PolyCollection(list(corners.transpose(1, 0, 2, 3)[known]), linewidths=0,
                           facecolors=np.repeat([scorer_colour(str(name)) for name in table], known.sum(1)).tolist())
    tell(drawn, *[f"{label(str(feature), 40)}, {scorer}: {percent_text(value)}" for scorer, column in table.items()
                  for feature, value in column.items() if np.isfinite(value)])
    axes.add_collection(drawn)
    axes.vlines(zero, -0.5, rows - 0.5, colors=PALETTE["line"], linewidth=0.8, zorder=0)
    axes.set(xlim=(0, columns), ylim=(rows - 0.5, -0.5))
    axes.set_yticks(range(rows), [label(name, 22) for name in table.index])
    ticks = [tick for tick in MaxNLocator(2, steps=[1, 2, 5, 10]).tick_values(low, high) if tick > 0.35 * high
             and tick <= high]
    for tick in ticks[-1:]:
        places = zero + 0.88 * tick / spread
        below(axes, places.tolist(), [f"{tick:g}"] * columns, fontsize=7)
        axes.vlines(places, -0.5, rows - 0.5, colors=PALETTE["panel"], linewidth=0.8, zorder=-1)
    axes.spines[:].set_visible(False)


def _name_columns(axes: Any, names: list[str]) -> None:
    for place, name in enumerate(names):
        axes.text(place + 0.3, -0.7, label(name, 28), rotation=38, ha="left", va="bottom", rotation_mode="anchor",
                  fontsize=8.5, color=scorer_colour(name))


def grouped(axes: Any, mean: pd.DataFrame, colour: Mapping[str, str], quantity: str) -> None:
    """One group of bars a row, in %, of `mean` `[rows, columns]`."""
    bar = 0.84 / len(mean.columns)
    for place, name in enumerate(mean.columns):
        middles, heights = np.arange(len(mean)) - 0.42 + bar * (place + 0.5), 100 * mean[name].to_numpy()
        left, right, zero = middles - 0.46 * bar, middles + 0.46 * bar, np.zeros(len(mean))
        corners = np.array([[left, zero], [left, heights], [right, heights], [right, zero]]).transpose(2, 0, 1)
        drawn = PolyCollection(list(corners), facecolors=colour[name], linewidths=0)  # cheaper than `axes.bar`
        drawn.sticky_edges.y[:] = [0]
        tell(drawn, *[f"{row}, {name}: {percent_text(height)}"
                      for row, height in zip(mean.index, heights, strict=True)])
        axes.add_collection(drawn)
    axes.autoscale_view(scalex=False)
    axes.set_xticks(range(len(mean)), [label(name, 18) for name in mean.index], fontweight="bold")
    axes.set_xlim(-0.55, len(mean) - 0.45)
    axes.set_ylabel(quantity)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
