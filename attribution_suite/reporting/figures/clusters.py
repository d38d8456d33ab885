"""Which features go together: clusters by rank correlation, the removed ones marked."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import WIDTH, LeftOut, Picture, canvas, label, picture, sample, styled
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject

TITLE = "Which features go together"
MOST_LEAVES = 40


@styled
def clusters(subject: Subject) -> Picture | LeftOut | None:
    """A dendrogram of the features by |Spearman's ρ|, average linkage; who meets the removed one early could stand in.

    Of many features those nearest to the removed ones.
    """
    if subject.layer or not subject.removed or len(subject.info["groups"]) < 3:
        return None
    if subject.data is None:
        return LeftOut(TITLE, f"left out: it needs the rows of {subject.name}, which were not found here")
    together = dependence(subject.data)
    names = Removable.places(together.index)
    gone = list(dict.fromkeys(name for removed in subject.shown for name in names.named(removed).features))
    nearest = together[gone].max(axis=1).drop(gone).nlargest(max(2, MOST_LEAVES - len(gone))).index
    shown = together.loc[[*gone, *nearest], [*gone, *nearest]]
    figure = canvas(WIDTH * 0.8, 1.0 + 0.22 * len(shown))
    _tree(figure.add_subplot(), shown, gone)
    left = len(together) - len(shown)
    apart = shown.mask(np.eye(len(shown), dtype=bool))
    table = pd.DataFrame({"feature": shown.index, "goes most with": apart.idxmax(axis=1).to_numpy(),
                          "|ρ|": apart.max(axis=1).to_numpy()}).sort_values("|ρ|", ascending=False)
    caption = ("Features that meet far to the left rise and fall together: what meets a removed one (rust) there could "
               "stand in for it. |Spearman's ρ| of the rows, of a category the largest over its columns; where two "
               "clusters meet is the mean over their pairs."
               + f" {left} features further from the removed ones are not drawn." * bool(left))
    return picture(figure, subject, "clusters", TITLE, caption,
                   f"Dendrogram of {len(shown)} features by rank correlation; removed: {', '.join(gone)}.", table)


def dependence(data: TabularDataset) -> pd.DataFrame:
    """|Spearman's ρ| `[features, features]`: of features of several columns the largest; 0 of one that is constant."""
    groups = data.groups
    columns = [column for of_feature in groups.values() for column in of_feature]
    ranks = rankdata(data.inputs[sample(len(data.inputs))][:, columns], axis=0)
    ranks -= ranks.mean(0)
    ranks /= np.maximum(np.linalg.norm(ranks, axis=0), 1e-12)
    starts = np.cumsum([0, *map(len, groups.values())])[:-1]
    largest = np.maximum.reduceat(np.maximum.reduceat(np.abs(ranks.T @ ranks), starts, axis=0), starts, axis=1)
    return pd.DataFrame(largest.clip(0, 1), index=list(groups), columns=list(groups))


def _tree(axes: Any, together: pd.DataFrame, gone: list[str]) -> None:
    apart = 1 - together.to_numpy()
    np.fill_diagonal(apart, 0)
    joins = linkage(squareform(apart, checks=False), "average")
    tree = dendrogram(joins, no_plot=True)
    order = [str(together.index[place]) for place in tree["leaves"]]
    lines = LineCollection([list(zip(across, down, strict=True)) for across, down in
                            zip(tree["dcoord"], tree["icoord"], strict=True)], colors=PALETTE["muted"], linewidths=1.4)
    tell(lines, *[f"two clusters meet: mean |ρ| {1 - across[1]:.2f}" for across in tree["dcoord"]])
    axes.add_collection(lines)
    axes.set(xlim=(-0.01, 1.01), ylim=(10 * len(order), 0))
    axes.set_yticks(5 + 10 * np.arange(len(order)), [label(name, 26) for name in order])
    for tick, name in zip(axes.get_yticklabels(), order, strict=True):
        if name in gone:
            tick.set(fontweight="bold", color=PALETTE["still"])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["1", "0.75", "0.5", "0.25", "0"])
    axes.set_xlabel("|Spearman's ρ|: 1 one order, 0 unrelated")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
