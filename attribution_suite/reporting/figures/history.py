"""Figures of the first layer's weights over the epochs of training, of one member."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm
from torch import Tensor

from attribution_suite.conclusions.numbers import percent, rounded
from attribution_suite.reporting.figures.recorded import (
    feature_legend,
    moved_units,
    palette,
    panels,
    ranked,
    recorded_epochs,
)
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    CLASS_COLOURS,
    GREY,
    WIDTH,
    LeftOut,
    Picture,
    attempt,
    canvas,
    label,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject

PANELS, BARS = 12, 40  # the most a figure can hold and still be read


def history(subject: Subject) -> list[Picture | LeftOut]:
    """How the first layer's weights grew: of the first network, and each input's share over all networks."""
    recorded = subject.weights()
    if recorded is None or subject.neurons is None:
        return []
    weights, names, every = recorded
    shares = subject.neurons["importances"].pivot(index="seed", columns="feature", values="share")
    each = "one network" if len(shares) == 1 else "bar: mean over networks, dots: networks"
    mean = shares.mean().sort_values(ascending=False, kind="stable")
    tables = {"ranking": pd.DataFrame({"input": mean.index[:BARS], "share": mean.to_numpy()[:BARS]})}
    drawings: Sequence[tuple[str, str, str, Callable[[], Figure], bool]] = (
        ("ranking", "Whose weights moved most while training",
         "weight_history: the standard deviation over epochs of an input's weights, summed over units, as a share; "
         f"{each}.", lambda: ranking(shares.to_numpy(), list(shares.columns)), True),
        ("inputs", "Weights over epochs, by input", "Mean, middle half and range over units, first network.",
         lambda: weights_by_input(weights, names, every), True),
        ("units", "Weights over epochs, by unit", "A line an input.",
         lambda: weights_by_unit(weights, names, every), False),
        ("boxes", "Weights of each input", "Over epochs and units, with outliers and without.",
         lambda: weight_boxes(weights, names), False),
        ("spread", "How much each weight moved", "Standard deviation over epochs.",
         lambda: spread_bars(weights, names), False),
        ("densities", "Normal densities of the weights", "Drawn where the density is 1 or more.",
         lambda: densities(weights, names), False),
    )
    tables["inputs"] = _ends(weights, names, every)
    return [attempt(subject, draw, f"history-{name}", title, caption, shown, tables.get(name))
            for name, title, caption, draw, shown in drawings]


def _ends(history: Tensor, names: Sequence[str], every: int) -> pd.DataFrame:
    """Each drawn input's weights at the first and the last recorded epoch: mean, least and most over units."""
    weights = recorded_epochs(history)
    ends = {f"epoch {every}": weights[0], f"epoch {every * len(weights)}": weights[-1]}
    columns = ranked(weights)[:2 * PANELS]
    return pd.DataFrame({"input": [names[column] for column in columns], **{
        f"{what}, {when}": of(values[:, columns], axis=0) for when, values in ends.items()
        for what, of in (("mean", np.mean), ("least", np.min), ("most", np.max))}})


def _drawing_order(weights: np.ndarray) -> list[tuple[int, str]]:
    """Column and colour, the grey ones first."""
    return sorted(enumerate(palette(weights)), key=lambda column: column[1] != GREY)


@styled
def weights_by_unit(history: Tensor, names: Sequence[str], every: int = 1) -> Figure:
    """Each unit's weights over the epochs, a line an input; of many units the `PANELS` whose weights moved most.

    `history` `[epochs, hidden, features]`: one member of `Trained.history`; `every`: its `record_every`.
    """
    weights = recorded_epochs(history)
    chosen = moved_units(weights, PANELS)
    across = min(4, len(chosen))
    figure = canvas(WIDTH, 1.0 + 1.9 * -(-len(chosen) // across))
    epochs = every * np.arange(1, len(weights) + 1)
    for axes, unit in zip(panels(figure, len(chosen), across, sharex=True), chosen, strict=True):
        for column, colour in _drawing_order(weights):
            axes.plot(epochs, weights[:, unit, column], color=colour, linewidth=1.3)
        axes.set_title(f"unit {unit}")
        axes.grid()
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("weight", fontsize=9)
    feature_legend(figure, names, weights)
    return figure


@styled
def weights_by_input(history: Tensor, names: Sequence[str], every: int = 1) -> Figure:
    """Each input's weights over the epochs: mean, middle half and range over the units; single lines for a few units.

    Inputs beyond the first 24 by movement are left out.
    """
    weights = recorded_epochs(history)
    columns = ranked(weights)[:2 * PANELS]
    across = min(6, len(columns))
    figure = canvas(WIDTH, 0.6 + 1.6 * -(-len(columns) // across))
    epochs = every * np.arange(1, len(weights) + 1)
    for axes, column in zip(panels(figure, len(columns), across, sharex=True, sharey=True), columns, strict=True):
        of_input = weights[:, :, column]
        if of_input.shape[1] <= 8:
            axes.plot(epochs, of_input, color=PALETTE["accent"], linewidth=1.2)
        else:
            for low, high, alpha in ((0, 100, 0.14), (25, 75, 0.3)):
                axes.fill_between(epochs, *np.percentile(of_input, [low, high], axis=1), color=PALETTE["accent"],
                                  alpha=alpha, linewidth=0)
            (line,) = axes.plot(epochs, of_input.mean(1), color=PALETTE["accent"], linewidth=1.6)
            tell(line, f"{names[column]}: mean weight {rounded(of_input[-1].mean())} at the end")
        axes.set_title(label(names[column], 20))
        axes.grid()
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("weight", fontsize=9)
    return figure


@styled
def weight_boxes(history: Tensor, names: Sequence[str]) -> Figure:
    """Box plots of each input's weights over epochs and units, with outliers above and without below."""
    weights = recorded_epochs(history)
    columns = ranked(weights)[:BARS]
    values = [weights[:, :, column].ravel() for column in columns]
    figure = canvas(WIDTH, 6.2)
    for axes, outliers in zip(figure.subplots(2, 1, sharex=True), (True, False), strict=True):
        axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
        axes.boxplot(values, showfliers=outliers, widths=0.62, patch_artist=True,
                     boxprops={"facecolor": "#cfe0ee", "edgecolor": PALETTE["accent"]},
                     whiskerprops={"color": PALETTE["accent"]}, capprops={"color": PALETTE["accent"]},
                     medianprops={"color": PALETTE["still"], "linewidth": 1.8},
                     flierprops={"marker": ".", "markersize": 2.5, "markerfacecolor": PALETTE["muted"],
                                 "markeredgecolor": "none", "alpha": 0.25})
        axes.set_title("with outliers (beyond 1.5 × the box)" if outliers else "without outliers")
        axes.set_ylabel("weight, all units and epochs")
        axes.grid(axis="y")
    _name_bars(axes, [names[column] for column in columns])
    return figure


def _name_bars(axes: Any, names: Sequence[str], first: int = 1) -> None:
    slanted = len(names) > 8
    axes.set_xticks(range(first, first + len(names)), [label(name, 18) for name in names],
                    rotation=40 if slanted else 0, ha="right" if slanted else "center", rotation_mode="anchor")


@styled
def spread_bars(history: Tensor, names: Sequence[str]) -> Figure:
    """The standard deviation over epochs of each weight: bars grouped by unit, and summed to each input's score.

    Of many units the groups are those whose weights moved most; the sum is over all, stacked where they are few.
    """
    weights = recorded_epochs(history)
    spread, columns = weights.std(0), ranked(weights)[:BARS]
    units = moved_units(weights, max(1, min(8, 90 // len(columns))))
    figure = canvas(WIDTH, 6.0)
    above, below = figure.subplots(2, 1)
    _grouped(above, spread, units, columns, palette(weights))
    feature_legend(figure, names, weights)
    bottom = np.zeros(len(columns))
    parts = spread[:, columns] if len(spread) <= 8 else spread[:, columns].sum(0, keepdims=True)
    for unit, part in enumerate(parts):
        below.bar(range(len(columns)), part, bottom=bottom, width=0.7, label=f"unit {unit}",
                  color=CLASS_COLOURS[unit] if len(parts) > 1 else PALETTE["accent"])
        bottom += part
    if len(parts) > 1:
        below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5, reverse=True)
    below.set_title("summed over units: the score")
    below.set_ylabel("Σ std over epochs")
    below.grid(axis="y")
    _name_bars(below, [names[column] for column in columns], 0)
    return figure


def _grouped(axes: Any, spread: np.ndarray, units: np.ndarray, columns: np.ndarray, colours: Sequence[str]) -> None:
    width = 0.8 / len(columns)
    for place, column in enumerate(columns):
        left = np.arange(len(units)) + (place - (len(columns) - 1) / 2) * width
        axes.bar(left, spread[units, column], width=0.92 * width, color=colours[column])
    axes.set_xticks(range(len(units)), [f"unit {unit}" for unit in units])
    axes.set_title("by unit" if len(units) == len(spread) else
                   f"by unit: the {len(units)} of {len(spread)} whose weights moved most")
    axes.set_ylabel("std over epochs")
    axes.grid(axis="y")


@styled
def densities(history: Tensor, names: Sequence[str]) -> Figure:
    """Normal densities of each weight over its epochs, a panel a unit; drawn where the density is 1 or more.

    A tall, narrow bell is a weight that stayed where it was. Of many units the `PANELS` that moved most.
    """
    weights = recorded_epochs(history)
    chosen = moved_units(weights, PANELS)
    across = min(4, len(chosen))
    figure = canvas(WIDTH, 1.0 + 1.9 * -(-len(chosen) // across))
    for axes, unit in zip(panels(figure, len(chosen), across), chosen, strict=True):
        for column, colour in _drawing_order(weights):
            mean, spread = weights[:, unit, column].mean(), weights[:, unit, column].std()
            if spread == 0 or norm.pdf(0, 0, spread) < 1:
                continue
            reach = spread * np.sqrt(2 * np.log(norm.pdf(0, 0, spread)))  # where the density falls to 1
            along = np.linspace(mean - reach, mean + reach, 120)
            axes.fill_between(along, 1, norm.pdf(along, mean, spread), color=colour, alpha=0.18, linewidth=0)
            axes.plot(along, norm.pdf(along, mean, spread), color=colour, linewidth=1.3)
        axes.set_yscale("log")
        axes.set_ylim(bottom=1)
        axes.set_title(f"unit {unit}")
        axes.grid()
    figure.supxlabel("weight", fontsize=9)
    figure.supylabel("normal density, from 1", fontsize=9)
    feature_legend(figure, names, weights)
    return figure


@styled
def ranking(shares: np.ndarray, names: Sequence[str]) -> Figure:
    """Every input's share of the `weight_history` score, largest first: bar the mean over members, dots the members.

    `shares` `[members, features]` of `weight_history_scores(…).shares`.
    """
    order = np.argsort(-shares.mean(0), kind="stable")[:BARS]
    figure = canvas(WIDTH * 0.7, 0.9 + 0.27 * len(order))
    axes = figure.subplots()
    bars = axes.barh(range(len(order)), shares[:, order].mean(0), color="#9cc1df", height=0.72)
    for bar, column in zip(bars, order, strict=True):
        tell(bar, f"{names[column]}: {percent(shares[:, column].mean())} of the movement")
    if len(shares) > 1:
        for member in shares:
            axes.plot(member[order], range(len(order)), "o", color=PALETTE["accent"], markersize=4, alpha=0.7,
                      markeredgewidth=0)
    axes.axvline(1 / shares.shape[1], color=PALETTE["muted"], linewidth=1, linestyle=(0, (2, 2)))
    axes.text(1 / shares.shape[1], len(order) - 0.35, " all alike", fontsize=7.5, color=PALETTE["muted"], va="top")
    axes.set_yticks(range(len(order)), [label(names[column]) for column in order])
    axes.set_ylim(len(order) + 0.1, -0.6)
    axes.set_xlabel("share of the movement of all first-layer weights")
    axes.grid(axis="x")
    return figure
