"""Figures of units: which fire for which class, and how they separate the classes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.errors import InputError
from attribution_suite.reporting.figures.shades import PALETTE, RATE_COLOURS
from attribution_suite.reporting.figures.style import WIDTH, LeftOut, Picture, attempt, canvas, label, styled
from attribution_suite.reporting.figures.tiles import MOST_TILES, tiles
from attribution_suite.reporting.reading import Subject

CLASS_COLOURS = (PALETTE["accent"], PALETTE["still"], "#2f9e76", "#b89b00", "#9259b8", "#0b4f6c", "#c2557a", "#7a6a00")
BINS = 28


def units(subject: Subject) -> list[Picture | LeftOut]:
    """Which units fire for which class, and the distributions of the most and least normal ones, of the first seed."""
    pictures: list[Picture | LeftOut] = []
    if subject.neurons is None:
        return pictures
    deepest = int(subject.neurons["units"].layer.max())
    for layer, table in subject.by_layer("units"):
        last = layer == deepest
        fired = subject.neurons["activity"].query("layer == @layer and seed == 0", local_dict={"layer": layer})
        if subject.info["task"] != "regression":
            pictures.append(attempt(
                subject, partial(activity_map, fired), f"activity-{layer}",
                f"Which units of layer {layer} are active for which class",
                "The part of a predicted class's rows on which a unit is active (above 0), first seed. "
                "Units that differ most by class, those of a class side by side.", last,
                rates(fired).rename(columns=lambda unit: f"unit {unit}").reset_index(names="predicted")))
        values, labels, classes = _sampled(subject, layer)
        tests = table[(table.seed == 0) & table.unit.isin(np.flatnonzero(~np.isnan(values[0])))]
        pictures.append(attempt(
            subject, partial(distributions, values, labels, classes, tests),
            f"normality-{layer}", f"The most and the least normal units of layer {layer}",
            "Pre-activations on training rows, each class apart, first network: above the units with the largest "
            "Shapiro p, below those with the smallest.", last,
            tests[["unit", "normality", "p_holm", "effect"]].sort_values("normality", ascending=False)))
    return pictures


def _sampled(subject: Subject, layer: int) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """Values `[rows, units]` (NaN for units that were not sampled), labels `[rows]` and the classes' names."""
    table = (subject.neurons or {})["samples"]
    rows = table[table.layer == layer]
    by_unit: list[Any] = list(rows.groupby("unit"))
    values = np.full((len(rows) // max(1, len(by_unit)), rows.unit.max() + 1 if len(rows) else 0), np.nan)
    for unit, samples in by_unit:
        values[:, unit] = samples.value
    labels = by_unit[0][1].label.to_numpy() if by_unit else np.empty(0, int)
    if subject.info["task"] == "regression":
        return values, np.zeros(len(labels), int), ("all rows",)
    return values, labels, subject.info["classes"] or ("0", "1")


@styled
def distributions(values: np.ndarray, labels: np.ndarray, classes: Sequence[str], tests: pd.DataFrame,
                  count: int = 4) -> Figure:
    """The `count` most and least normal units, each class apart: histogram, density, and what the test says.

    `values` `[rows, units]` of one member, `labels` `[rows]` class indices, `tests` that member's rows of
    `UnitTests.to_frame()`. Normal is by Shapiro's p in the class where it is smallest. Units that cannot be tested
    (constant in a class) are left out.
    """
    ranked = tests.dropna(subset="normality").sort_values("normality", ascending=False, kind="stable")
    if ranked.empty:
        raise InputError("no unit of this layer could be tested for normality: all are constant in some class")
    count = min(count, max(1, len(ranked) // 2))
    figure = canvas(WIDTH, 5.4)
    grid = figure.subplots(2, count, squeeze=False)
    for line, title, chosen in zip(grid, ("most normal", "least normal"), (ranked[:count], ranked[:-count - 1:-1]),
                                   strict=True):
        units: list[Any] = list(chosen.itertuples())
        for axes, unit in zip(line, units, strict=True):
            _distribution(axes, values[:, unit.unit], labels, len(classes))
            axes.set_title(f"unit {unit.unit}", pad=26)
            says = f"Shapiro p {_p(unit.normality)}\neffect {rounded(unit.effect, 2)}, Holm p {_p(unit.p_holm)}"
            axes.text(0, 1.02, says, transform=axes.transAxes, fontsize=7.5, color=PALETTE["muted"], va="bottom")
        line[0].set_ylabel(f"{title}\nrows")
    handles = [Patch(color=CLASS_COLOURS[place % len(CLASS_COLOURS)]) for place in range(len(classes))]
    figure.legend(handles, [label(name) for name in classes], loc="outside upper right", ncols=min(8, len(classes)))
    figure.supxlabel("pre-activation of the unit", fontsize=9)
    return figure


def _distribution(axes: Any, values: np.ndarray, labels: np.ndarray, classes: int) -> None:
    edges = np.histogram_bin_edges(values, BINS)
    for place in range(classes):
        of_class, colour = values[labels == place], CLASS_COLOURS[place % len(CLASS_COLOURS)]
        axes.hist(of_class, edges, color=colour, alpha=0.35, linewidth=0, histtype="stepfilled")
        if len(of_class) > 2 and np.ptp(of_class) > 0:
            along = np.linspace(edges[0], edges[-1], 80)
            density = gaussian_kde(of_class)(along) * len(of_class) * (edges[1] - edges[0])
            axes.plot(along, density, color=colour, linewidth=1.6)
    axes.grid(axis="y")
    axes.tick_params(labelsize=7.5)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else rounded(value, 2)


@styled
def activity_map(activity: pd.DataFrame, most: int = 60) -> Figure:
    """How often each unit is active in each predicted class: the `most` units of a layer that differ most by class.

    `activity`: rows of one member and layer of `neurons.activations.activity`. At most `MOST_TILES` tiles.
    """
    rate, of = rates(activity, most), activity.unit.nunique()
    states = activity.drop_duplicates("unit").state.value_counts()
    figure = canvas(WIDTH, 1.5 + 0.36 * len(rate))
    axes = figure.subplots()
    tiles(axes, rate, RATE_COLOURS, (0.0, 1.0), lambda value: rounded(value, 2), False)
    axes.tick_params(axis="x", labelsize=7, labelrotation=90 if len(rate.columns) > 30 else 0)
    axes.set_xlabel("unit" if rate.shape[1] == of else
                    f"unit ({rate.shape[1]} of {of}, those that differ most by class)")
    axes.set_ylabel("predicted class")
    axes.set_title(" · ".join(f"{count} {state}" for state, count in states.items()), fontweight="normal", fontsize=8.5)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), RATE_COLOURS), ax=axes, fraction=0.025, pad=0.01)
    bar.set_ticks([0, 1], labels=["never", "always"])
    bar.outline.set_visible(False)
    return figure


def rates(activity: pd.DataFrame, most: int = 60) -> pd.DataFrame:
    """`[predicted classes, units]`: the part of a class's rows on which a unit is active, units of a class together."""
    rate = activity[activity.rows > 0].pivot(index="predicted", columns="unit", values="rate")
    most = max(1, min(most, MOST_TILES // len(rate)))
    order = (rate.max() - rate.min()).sort_values(ascending=False, kind="stable").index[:most]
    rate = rate.reindex(activity.predicted.unique()).dropna(how="all")[order]
    return rate.iloc[:, np.argsort(rate.to_numpy().argmax(0), kind="stable")]
