"""Groups of bars, one group a feature: what figures of shares have in common."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection

from attribution_suite.reporting.figures.style import label
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL

MOST_FEATURES, PER_ROW, MOST_NETWORKS = 20, 7, 5


def mean_shares(subject: Subject, rows: pd.DataFrame) -> pd.DataFrame:
    """`[features, scorers]`, mean over networks, features by falling mean over the scorers but the control."""
    table = rows.groupby(["feature", "scorer"], sort=False).share.mean().unstack("scorer")
    order = table.drop(columns=CONTROL, errors="ignore").mean(axis=1).sort_values(ascending=False, kind="stable")
    return table.loc[order.index, [name for name in subject.scorers if name in table]]


def in_rows(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The features of a table in rows of equal length, a panel each."""
    count = -(-len(table) // PER_ROW)
    width = -(-len(table) // count)
    return {str(row): table[row * width:(row + 1) * width] for row in range(count)}


def bars(axes: Any, mean: pd.DataFrame, colour: dict[str, str], width: int, unit: str) -> None:
    """One group of bars a feature, in %, of `mean` `[features, scorers]`; room for `width` groups."""
    bar = 0.84 / len(mean.columns)
    for i, name in enumerate(mean.columns):
        middles, heights = np.arange(len(mean)) - 0.42 + bar * (i + 0.5), 100 * mean[name].to_numpy()
        left, right, zero = middles - 0.46 * bar, middles + 0.46 * bar, np.zeros(len(mean))
        corners = np.array([[left, zero], [left, heights], [right, heights], [right, zero]]).transpose(2, 0, 1)
        drawn = PolyCollection(list(corners), facecolors=colour[name], linewidths=0)  # cheaper than `axes.bar`
        drawn.sticky_edges.y[:] = [0]
        axes.add_collection(drawn)
    axes.autoscale_view(scalex=False)
    axes.set_xticks(range(len(mean)), [label(name, 18) for name in mean.index], fontweight="bold")
    axes.set_xlim(-0.55, width - 0.45)
    axes.set_ylabel(unit)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
