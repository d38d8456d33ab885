"""Figures of training and of the rows themselves."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from attribution_suite.conclusions.numbers import MINUS, rounded
from attribution_suite.datasets.table import DECOY
from attribution_suite.removals import REFERENCE
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    MOST_ROWS,
    WIDTH,
    LeftOut,
    Picture,
    canvas,
    label,
    picture,
    sample,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL

MOST_EPOCHS = 60  # of the table behind the curves
MOST_PANELS = 20
MOST_DOTS, LEAST_DOTS = 1500, 100  # of all panels together, of one: a cloud says as much with fewer
FITS = "Each feature against the target"


@styled
def training(subject: Subject) -> Picture | None:
    """Training and validation loss over epochs, of the originals and of the networks retrained without a feature."""
    table = subject.tables["training"]
    panels = [name for name in (ORIGINAL, REFERENCE) if name in set(table.removal)]
    if not panels:
        return None
    figure = canvas(WIDTH * 0.5 * max(len(panels), 1.2), 3.1)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    drawn = []
    for axes, removal in zip(grid, panels, strict=True):
        rows = table[table.removal == removal]
        curves = {name: _curve(axes, rows, f"{name}_loss", PALETTE[colour])
                  for name, colour in (("training", "accent"), ("validation", "still"))}
        drawn.append(pd.concat(curves, axis=1).set_axis(
            [f"{name}, {what}" for name in curves for what in ("mean", "least", "most")], axis=1).assign(of=removal))
        axes.set_title("original networks" if removal == ORIGINAL else "retrained without the feature")
        axes.set_xlabel("epoch")
        axes.grid()
    grid[0].set_ylabel("loss")
    grid[0].legend([Line2D([], [], color=PALETTE[name], linewidth=1.8) for name in ("accent", "still")],
                   ["training", "validation"], loc="upper right")
    over = "the networks, and over removed features on the right" if subject.networks > 1 else \
        "removed features on the right; one network on the left"
    caption = (f"Mean (line) and range (band) over {over}. A network stops early on its own; a curve goes on while at "
               "least half of the networks train.")
    alt = "Training and validation loss over epochs."
    every = max(1, -(-sum(map(len, drawn)) // MOST_EPOCHS))
    return picture(figure, subject, "training", "How the networks trained", caption, alt,
                   pd.concat([part[::every].reset_index(names="epoch") for part in drawn]))


def _curve(axes: Any, rows: pd.DataFrame, column: str, colour: str) -> pd.DataFrame:
    """Mean and range by epoch, drawn."""
    stats = rows.groupby("epoch")[column].agg(["mean", "min", "max", "count"])
    stats = stats[stats["count"] >= stats["count"].max() / 2]
    axes.fill_between(stats.index, stats["min"], stats["max"], color=colour, alpha=0.16, linewidth=0)
    (line,) = axes.plot(stats.index, stats["mean"], color=colour, linewidth=1.8)
    tell(line, f"{column.replace('_', ' ')}: {rounded(stats['mean'].iloc[0])} in the first epoch, "
               f"{rounded(stats['mean'].min())} at its least")
    return pd.DataFrame(stats[["mean", "min", "max"]])


@styled
def fits(subject: Subject) -> Picture | LeftOut | None:
    """Each feature against the target with its least-squares line; regression with few features, at the input."""
    if subject.layer or subject.info["task"] != "regression" or subject.info["features"] > MOST_PANELS:
        return None
    if subject.data is None:
        return LeftOut(FITS, f"left out: it needs the rows of {subject.name}, which were not found here")
    names = [name for name in subject.data.feature_names if name != DECOY]  # the decoy is the last column
    inputs, targets = subject.data.inputs, subject.data.targets
    across = 5 if len(names) > 4 else max(len(names), 2)
    down = -(-len(names) // across)
    figure = canvas(WIDTH, 0.3 + 2.0 * down)
    grid = list(figure.subplots(down, across, sharey=True, squeeze=False).flat)
    rows, lines = sample(len(inputs), max(LEAST_DOTS, MOST_DOTS // len(names))), []
    for axes, name, column in zip(grid, names, inputs.T.astype(np.float64), strict=False):
        lines.append([name, *_fit(axes, column, targets.astype(np.float64), rows)])
        axes.set_title(label(name, 20), fontsize=9)
    grid[0].set_ylim(targets.min() - 0.05 * np.ptp(targets), targets.max() + 0.05 * np.ptp(targets))
    for axes in grid[::across]:
        axes.set_ylabel(label(subject.data.target_name, 18))
    for axes in grid[len(names):]:
        axes.set_visible(False)
    caption = "All rows, features in their own units, with the least-squares line and Pearson's r."
    caption += f" Points: a sample of {len(rows):,} of {len(inputs):,} rows." * (len(rows) < len(inputs))
    alt = f"Scatter plots of {len(names)} features against {subject.data.target_name}, each with its fitted line."
    return picture(figure, subject, "fits", FITS, caption, alt,
                   pd.DataFrame(lines, columns=["feature", "Pearson's r", "slope", "intercept"]))


def _fit(axes: Any, values: np.ndarray, targets: np.ndarray, rows: np.ndarray) -> tuple[float, float, float]:
    """Pearson's r, slope and intercept, drawn over the points; NaN where the feature is constant."""
    axes.scatter(values[rows], targets[rows], s=7, color=PALETTE["accent"], alpha=0.35, linewidths=0)
    axes.grid()
    axes.tick_params(labelsize=7.5)
    if np.ptp(values) == 0:
        return np.nan, np.nan, np.nan
    slope, intercept = np.polyfit(values, targets, 1)
    ends = np.array([values.min(), values.max()])
    (line,) = axes.plot(ends, intercept + slope * ends, color=PALETTE["still"], linewidth=1.8)
    r = np.corrcoef(values, targets)[0, 1] if np.ptp(targets) else 0.0
    tell(line, f"r = {rounded(r, 2)}, slope {rounded(slope)}")
    axes.set_title(f"r = {r:.2f}".replace("-", MINUS), loc="right", fontsize=8, fontweight="normal",
                   color=PALETTE["muted"])
    return r, slope, intercept


def _sampled(inputs: np.ndarray) -> str:
    return f" Points: a sample of {MOST_ROWS:,} rows." if len(inputs) > MOST_ROWS else ""
