"""Figures of single weights of the first layer over the epochs of training: a box each, and the five 'barrage' bars."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.reporting.figures.recorded import (
    feature_legend,
    moved_units,
    palette,
    panels,
    ranked,
    recorded_epochs,
)
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import WIDTH, LeftOut, Picture, attempt, canvas, styled
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers.weight_history import density_table

UNITS, INPUTS = 8, 8  # of many those whose weights moved most
# The densities of 1 or more of a weight over its epochs, as the source calls them: its five bars.
BARRAGE = {"len": "epochs at which the density is 1 or more", "max": "the largest density", "sum": "their sum",
           "mean": "their mean", "stdev": "their standard deviation"}


def single_weights(subject: Subject) -> list[Picture | LeftOut]:
    """Every single weight of the first network's first layer: boxes, and the five bars of its densities."""
    kept = subject.weights()
    if kept is None or subject.neurons is None:
        return []
    weights, names, _ = kept
    (_, hidden, features), (units, columns) = weights.shape, grid_of(recorded_epochs(weights))
    most = "" if len(units) == hidden and len(columns) == features else (
        f" Of {hidden} units and {features} inputs the {len(units)} and the {len(columns)} whose weights moved most; "
        "the table densities has all.")
    return [attempt(
        subject, lambda: single_boxes(weights, names), "history-single", "Each single weight over the epochs",
        "A box a weight of the first layer, a panel a unit, first network: middle half, median, and the range within "
        f"1.5 times the box.{most}", True, medians(weights, names)), attempt(
        subject, lambda: barrage(weights, names), "history-barrage", "How long each weight stayed where it was",
        "With the normal density of a weight's mean and standard deviation over the epochs, at the weight of every "
        "epoch: how many epochs have a density of 1 or more (the source's 'barrage'), and the largest, the sum, mean "
        f"and standard deviation of these densities. First network.{most}", True, barrage_table(weights, names))]


def medians(history: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """A row a drawn weight: unit, input, and least, quartiles and most over the epochs."""
    weights = recorded_epochs(history)
    units, columns = grid_of(weights)
    index = pd.MultiIndex.from_product([units, [names[column] for column in columns]], names=["unit", "feature"])
    levels = np.percentile(weights[:, units][:, :, columns], [0, 25, 50, 75, 100], axis=0)
    return index.to_frame(index=False).assign(**dict(zip(
        ("least", "lower quartile", "median", "upper quartile", "most"), levels.reshape(5, -1), strict=True)))


def grid_of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which units and which inputs are drawn: all, or those whose weights moved most."""
    return moved_units(weights, UNITS), ranked(weights)[:INPUTS]


def barrage_table(history: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """A row a drawn weight of `[epochs, hidden, features]`: unit, input, and the five numbers of its densities."""
    weights = recorded_epochs(history)
    units, columns = grid_of(weights)
    table = density_table(history[:len(weights), None], names)
    chosen = table[table.unit.isin(units) & table.feature.isin([names[column] for column in columns])]
    return chosen[["unit", "feature", "std", *BARRAGE]].reset_index(drop=True)


@styled
def single_boxes(history: Tensor, names: Sequence[str]) -> Figure:
    """A box a weight over its epochs, a panel a unit: middle half, median, and the range within 1.5 × the box."""
    weights = recorded_epochs(history)
    units, columns = grid_of(weights)
    across = min(4, len(units))
    figure = canvas(WIDTH, 0.9 + 2.0 * -(-len(units) // across))
    colours = palette(weights)
    for axes, unit in zip(panels(figure, len(units), across, sharey=True), units, strict=True):
        axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
        _boxes(axes, weights[:, unit][:, columns], [names[column] for column in columns],
               [colours[column] for column in columns])
        axes.set_title(f"unit {unit}")
        axes.set_xticks([])
        axes.grid(axis="y")
    figure.supylabel("weight over the epochs", fontsize=9)
    feature_legend(figure, [names[column] for column in columns], weights[:, :, columns])
    return figure


def _boxes(axes: Any, values: np.ndarray, names: Sequence[str], colours: Sequence[str]) -> None:
    """Boxes of `[epochs, weights]`; one collection a part, as `axes.boxplot` draws seven artists a box."""
    low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
    reach = 1.5 * (high - low)
    inside = np.where((values >= low - reach) & (values <= high + reach), values, np.nan)
    least, most, places = np.nanmin(inside, 0), np.nanmax(inside, 0), np.arange(len(names))
    axes.vlines(places, least, most, colors=colours, linewidth=1.2)
    corners = np.array([[places - 0.32, low], [places + 0.32, low], [places + 0.32, high], [places - 0.32, high]])
    drawn = PolyCollection(list(corners.transpose(2, 0, 1)), facecolors=colours, edgecolors=PALETTE["paper"],
                           linewidths=0.6, zorder=2)
    tell(drawn, *[f"{name}: median {rounded(at)}, middle half {rounded(start)} to {rounded(end)}, range "
                  f"{rounded(first)} to {rounded(last)}" for name, at, start, end, first, last in zip(
                      names, middle, low, high, values.min(0), values.max(0), strict=True)])
    axes.add_collection(drawn)
    axes.hlines(middle, places - 0.32, places + 0.32, colors=PALETTE["paper"], linewidth=1.4, zorder=3)
    axes.set_xlim(-0.6, len(names) - 0.4)


@styled
def barrage(history: Tensor, names: Sequence[str]) -> Figure:
    """The five numbers of each weight's densities as bars: a panel a number, a group a unit, a bar an input."""
    weights, table = recorded_epochs(history), barrage_table(history, names)
    units, columns = grid_of(weights)
    colours, width = palette(weights), 0.8 / len(columns)
    figure = canvas(WIDTH, 7.6)
    for axes, (column, meaning) in zip(figure.subplots(len(BARRAGE), 1, sharex=True), BARRAGE.items(), strict=True):
        values = table.pivot(index="unit", columns="feature", values=column).loc[units]
        for place, feature in enumerate(columns):
            heights = values[names[feature]].to_numpy(float)
            left = np.arange(len(units)) + (place - (len(columns) - 1) / 2) * width
            bars = axes.bar(left, np.nan_to_num(heights), 0.92 * width, color=colours[feature])
            for bar, unit, height in zip(bars, units, heights, strict=True):
                tell(bar, f"unit {unit}, {names[feature]}: {column} {rounded(height)}")
        axes.set_title(f"{column}: {meaning}")
        axes.grid(axis="y")
    axes.set_xticks(range(len(units)), [f"unit {unit}" for unit in units])
    axes.set_xlim(-0.55, len(units) - 0.45)
    feature_legend(figure, [names[column] for column in columns], weights[:, :, columns])
    return figure


