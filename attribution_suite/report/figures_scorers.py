"""Figures of what the scorers say of the original networks: shares, agreement, XGBoost's own ranking."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from attribution_suite.audit.tables import ORIGINAL
from attribution_suite.report.figures_style import (
    AGREEMENT_COLOURS,
    PALETTE,
    SCORER_COLOURS,
    WIDTH,
    Picture,
    canvas,
    colours,
    drawn,
    ink_on,
    label,
    picture,
)
from attribution_suite.report.reading import CONTROL, Subject
from attribution_suite.report.summary import MINUS, percent, seed_interval

MOST_FEATURES, PER_ROW = 20, 7
TOP = 10


@drawn
def shares(subject: Subject) -> Picture | None:
    """All scorers side by side, one group of bars a feature, as in Captum's Boston tutorial."""
    mean = _mean_shares(subject)
    if mean.empty:
        return None
    rest, mean = mean[MOST_FEATURES:], mean[:MOST_FEATURES]
    count = -(-len(mean) // PER_ROW)
    width = -(-len(mean) // count)
    figure = canvas(WIDTH, 0.85 + 1.75 * count)
    rows = figure.subplots(count, 1, sharey=True, squeeze=False)[:, 0]
    colour = colours(subject.scorers, SCORER_COLOURS)
    for row, axes in enumerate(rows):
        _bars(axes, mean[row * width:(row + 1) * width], colour, width)
    handles = [Patch(color=colour[name]) for name in mean.columns]
    figure.legend(handles, [label(name, 30) for name in mean.columns], loc="outside lower center",
                  ncols=min(6, len(handles)), columnspacing=1.4, handlelength=1.2)
    note = (f" The other {len(rest)} features have {percent(rest.sum().median())} together (median over scorers)."
            if len(rest) else "")
    caption = ("Share of the influence that each scorer gives each feature in the original networks, features by mean "
               f"share; mean over seeds. Bars stand in the order of the legend.{note}")
    alt = f"Bars of {len(mean.columns)} scorers for {len(mean)} features; the largest is {mean.index[0]}."
    return picture(figure, subject, "shares", "What the original networks use", caption, alt)


def _mean_shares(subject: Subject) -> pd.DataFrame:
    """`[features, scorers]`, mean over seeds, features by falling mean over the scorers but the control."""
    table = subject.originals.groupby(["feature", "scorer"], sort=False).share.mean().unstack("scorer")
    if table.empty:
        return table
    order = table.drop(columns=CONTROL, errors="ignore").mean(axis=1).sort_values(ascending=False, kind="stable")
    return table.loc[order.index, [name for name in subject.scorers if name in table]]


def _bars(axes: Any, mean: pd.DataFrame, colour: dict[str, str], width: int) -> None:
    bar = 0.84 / len(mean.columns)
    for i, name in enumerate(mean.columns):
        places = np.arange(len(mean)) - 0.42 + bar * (i + 0.5)
        axes.bar(places, 100 * mean[name].to_numpy(), width=bar * 0.92, color=colour[name])
    axes.set_xticks(range(len(mean)), [label(name, 18) for name in mean.index], fontweight="bold")
    axes.set_xlim(-0.55, width - 0.45)
    axes.set_ylabel("share, %")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


@drawn
def agreement(subject: Subject) -> Picture | None:
    """Rank correlation between every two scorers on the original networks."""
    matrix = _agreement(subject)
    if matrix.empty:
        return None
    names, count = [label(name, 28) for name in matrix.index], len(matrix)
    cell = min(0.52, 8.2 / count)
    figure = canvas(2.5 + cell * count, 1.9 + 0.8 * cell * count)
    axes = figure.add_subplot()
    image = axes.pcolormesh(matrix.to_numpy(), cmap=AGREEMENT_COLOURS, vmin=-1, vmax=1,
                            edgecolors=PALETTE["paper"], linewidth=1.2)
    for (row, column), value in np.ndenumerate(matrix.to_numpy()):
        text = "–" if np.isnan(value) else f"{value:.2f}".replace("-", MINUS).replace("0.", ".")
        ink = PALETTE["muted"] if np.isnan(value) else ink_on(AGREEMENT_COLOURS((value + 1) / 2))
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xticks(np.arange(count) + 0.5, names, rotation=38, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(count) + 0.5, names)
    axes.xaxis.tick_top()
    axes.set_ylim(count, 0)
    axes.spines[:].set_visible(False)
    _agreement_scale(figure, axes, image)
    caption = ("Spearman's rank correlation of the features' shares between every two scorers, original networks, mean "
               "over seeds: 1 the same order, 0 unrelated. The random control agrees with nobody, by design.")
    alt = f"Heat map of rank correlation between {count} scorers."
    return picture(figure, subject, "agreement", "Do the scorers agree?", caption, alt)


def _agreement_scale(figure: Any, axes: Any, image: Any) -> None:
    bar = figure.colorbar(image, ax=axes, aspect=40, shrink=0.7, pad=0.015)
    bar.outline.set_visible(False)
    bar.set_ticks([-1, 0, 1], labels=[f"{MINUS}1 reversed", "0 unrelated", "1 same order"])


def _agreement(subject: Subject) -> pd.DataFrame:
    """`[scorers, scorers]`, symmetric, 1 on the diagonal."""
    rows = subject.tables["agreement"]
    rows = rows[(rows.removal == ORIGINAL) & (rows.metric == "rank_correlation")]
    if rows.empty:
        return pd.DataFrame()
    mirrored = rows.rename(columns={"scorer_a": "scorer_b", "scorer_b": "scorer_a"})
    pairs = pd.concat([rows, mirrored]).groupby(["scorer_a", "scorer_b"]).value.mean().unstack()
    names = [name for name in subject.scorers if name in pairs.index]
    matrix = pairs.reindex(index=names, columns=names)
    return matrix.mask(np.eye(len(names), dtype=bool), 1.0)


@drawn
def xgboost(subject: Subject) -> Picture | None:
    """The features that XGBoost's importances put first, one panel an importance."""
    rows = subject.originals
    names = [name for name in subject.scorers if name.startswith("xgboost") and name in set(rows.scorer)]
    if not names:
        return None
    colour = colours(subject.scorers, SCORER_COLOURS)
    top = min(TOP, rows.feature.nunique())
    across = min(len(names), 3)
    down = -(-len(names) // across)
    figure = canvas(WIDTH, down * (0.75 + 0.24 * top))
    grid = figure.subplots(down, across, squeeze=False).flat
    for axes, name in zip(grid, names, strict=False):
        _ranked(axes, rows[rows.scorer == name], colour[name], top)
        axes.set_title(label(name, 36))
    for axes in list(grid)[len(names):]:
        axes.set_visible(False)
    caption = (f"The {top} features that XGBoost puts first. Fitted to the labels it is a baseline beside the "
               "networks; a surrogate is fitted to a network's outputs. Bars: 95 % interval over seeds.")
    alt = f"Bars of the {top} largest shares for {', '.join(names)}."
    return picture(figure, subject, "xgboost", "XGBoost's top features", caption, alt)


def _ranked(axes: Any, rows: pd.DataFrame, colour: str, top: int) -> None:
    best = [str(name) for name in rows.groupby("feature", sort=False).share.mean().nlargest(top).index]
    values = np.array([seed_interval(100 * rows[rows.feature == name].share.to_numpy()) for name in best]).T
    error = np.maximum([values[0] - values[1], values[2] - values[0]], 0)
    axes.barh(range(len(best)), values[0], color=colour, height=0.68)
    axes.errorbar(values[0], range(len(best)), xerr=error, fmt="none", ecolor=PALETTE["ink"], elinewidth=1)
    axes.set_yticks(range(len(best)), [label(name, 20) for name in best])
    axes.set_ylim(len(best) - 0.4, -0.6)
    axes.set_xlabel("share, %")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
