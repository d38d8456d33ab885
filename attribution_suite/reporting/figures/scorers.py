"""Figures of what the scorers say of the original networks: shares, agreement, XGBoost's own ranking."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from attribution_suite.conclusions.baselines import baseline_sentence
from attribution_suite.conclusions.numbers import MINUS, percent
from attribution_suite.conclusions.words import averaged, interval_words
from attribution_suite.reporting.figures.bars import (
    MOST_FEATURES,
    MOST_NETWORKS,
    PER_ROW,
    bars,
    in_rows,
    mean_shares,
)
from attribution_suite.reporting.figures.style import (
    AGREEMENT_COLOURS,
    PALETTE,
    SCORER_COLOURS,
    WIDTH,
    LeftOut,
    Picture,
    canvas,
    colours,
    ink_on,
    inside,
    label,
    picture,
    styled,
)
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

TOP = 10


@styled
def shares(subject: Subject) -> Picture | None:
    """All scorers side by side, one group of bars a feature; of hidden units, the strongest of each network."""
    if subject.originals.empty:
        return None
    panels, rest = _network_panels(subject) if subject.layer else _feature_panels(subject)
    figure = canvas(WIDTH, 0.85 + 1.75 * len(panels))
    rows = figure.subplots(len(panels), 1, sharey=True, squeeze=False)[:, 0]
    colour = colours(subject.scorers, SCORER_COLOURS)
    width = max(map(len, panels.values()))
    for axes, (title, mean) in zip(rows, panels.items(), strict=True):
        bars(axes, mean, colour, width, "share, %")
        axes.set_title(title if subject.layer else "")
    names = list(next(iter(panels.values())).columns)
    figure.legend([Patch(color=colour[name]) for name in names], [label(name, 30) for name in names],
                  loc="outside lower center", ncols=min(6, len(names)), columnspacing=1.4, handlelength=1.2)
    how = ("each network by itself, its units by mean share: units have no identity across networks" if subject.layer
           else f"features by mean share; {averaged(subject.networks, subject.splits).lower()}")
    caption = (f"Share of the influence that each scorer gives each {'unit' if subject.layer else 'feature'} in the "
               f"original networks, {how}. Bars stand in the order of the legend.{rest} "
               f"{baseline_sentence(subject.baselines)}")
    first = next(iter(panels.values()))
    alt = f"Bars of {len(names)} scorers; the largest is {first.index[0]}."
    return picture(figure, subject, "shares", "What the original networks use", caption, alt)


def _feature_panels(subject: Subject) -> tuple[dict[str, pd.DataFrame], str]:
    """The features by mean share, in rows of equal length; and what the others have together."""
    mean = mean_shares(subject, subject.originals)
    rest = mean[MOST_FEATURES:]
    note = (f" The other {len(rest)} features have {percent(rest.sum().median())} together (median over scorers)."
            if len(rest) else "")
    return in_rows(mean[:MOST_FEATURES]), note


def _network_panels(subject: Subject) -> tuple[dict[str, pd.DataFrame], str]:
    """The strongest units of each network."""
    panels = {f"network {seed}": mean_shares(subject, rows)[:PER_ROW]
              for seed, rows in subject.originals.groupby("seed")}
    more = len(panels) - MOST_NETWORKS
    note = f" {more} more networks are not drawn: the tables have them." if more > 0 else ""
    return dict(list(panels.items())[:MOST_NETWORKS]), note


# reading → heading, what exactly is computed
READINGS = {
    "row": ("Do the scorers agree, row by row?",
            "Spearman's rank correlation of |φ| over features between every two scorers, per row, then averaged over "
            "the rows that every scorer explains. Scorers without a value for each row have none."),
    "global": ("Do the scorers agree on the whole?",
               "Spearman's rank correlation over features of global magnitudes mean |φ| between every two scorers."),
}


def agreement(subject: Subject) -> list[Picture | LeftOut | None]:
    """Rank correlation between every two scorers on the original networks, a picture a reading."""
    return [_reading(subject, reading) for reading in READINGS]


@styled
def _reading(subject: Subject, reading: str) -> Picture | None:
    matrix = _agreement(subject, reading)
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
        inside(axes, column + 0.5, row + 0.5, text, fontsize=7.5, color=ink)
    axes.set_xticks(np.arange(count) + 0.5, names, rotation=38, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(count) + 0.5, names)
    axes.xaxis.tick_top()
    axes.set_ylim(count, 0)
    axes.spines[:].set_visible(False)
    _agreement_scale(figure, axes, image)
    title, computed = READINGS[reading]
    over = averaged(subject.networks, subject.splits).lower()
    caption = (f"{computed} Original networks, {over}: 1 the same order, 0 unrelated. The random "
               "control agrees with nobody, by design.")
    alt = f"Heat map of rank correlation between {count} scorers, {reading} reading."
    return picture(figure, subject, f"agreement-{reading}", title, caption, alt)


def _agreement_scale(figure: Figure, axes: Any, image: Any) -> None:
    bar = figure.colorbar(image, ax=axes, aspect=40, shrink=0.7, pad=0.015)
    bar.outline.set_visible(False)
    bar.set_ticks([-1, 0, 1], labels=[f"{MINUS}1 reversed", "0 unrelated", "1 same order"])


def _agreement(subject: Subject, reading: str) -> pd.DataFrame:
    """`[scorers, scorers]`, symmetric, 1 on the diagonal."""
    rows = subject.tables["agreement"]
    rows = rows[(rows.removal == ORIGINAL) & (rows.metric == "rank_correlation") & (rows.reading == reading)]
    if rows.empty:
        return pd.DataFrame()
    mirrored = rows.rename(columns={"scorer_a": "scorer_b", "scorer_b": "scorer_a"})
    pairs = pd.concat([rows, mirrored]).groupby(["scorer_a", "scorer_b"]).value.mean().unstack()
    names = [name for name in subject.scorers if name in pairs.index]
    matrix = pairs.reindex(index=names, columns=names)
    return matrix.mask(np.eye(len(names), dtype=bool), 1.0)


@styled
def xgboost(subject: Subject) -> Picture | None:
    """The features that XGBoost's importances put first, one panel an importance."""
    rows = _by_rank(subject.originals) if subject.layer else subject.originals
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
        _ranked(axes, subject, rows[rows.scorer == name], colour[name], top)
        axes.set_title(label(name, 36))
    for axes in list(grid)[len(names):]:
        axes.set_visible(False)
    what = "units" if subject.layer else "features"
    caption = (f"The {top} {what} that XGBoost puts first. Fitted to the labels it is a baseline beside the "
               "networks; a surrogate is fitted to a network's outputs."
               + (" Units by their rank in each network, which has units of its own." if subject.layer else "")
               + f" {averaged(subject.networks, subject.splits)}"
               + interval_words(subject.networks, subject.splits, "; lines: 95 % interval") + ".")
    alt = f"Bars of the {top} largest shares for {', '.join(names)}."
    return picture(figure, subject, "xgboost", "XGBoost's top features", caption, alt)


def _by_rank(rows: pd.DataFrame) -> pd.DataFrame:
    """Each network's units under their rank by share, by each scorer, in the place of their names."""
    rank = rows.groupby(["seed", "scorer"]).share.rank(ascending=False, method="first")
    return rows.assign(feature=rank.fillna(len(rows)).astype(int).map(rank_name))


def _ranked(axes: Any, subject: Subject, rows: pd.DataFrame, colour: str, top: int) -> None:
    best = [str(name) for name in rows.groupby("feature", sort=False).share.mean().nlargest(top).index]
    bars = [rows[rows.feature == name] for name in best]
    values = np.array([subject.interval(bar, 100 * bar.share) for bar in bars]).T
    error = np.maximum([values[0] - values[1], values[2] - values[0]], 0)
    axes.barh(range(len(best)), values[0], color=colour, height=0.68)
    axes.errorbar(values[0], range(len(best)), xerr=error, fmt="none", ecolor=PALETTE["ink"], elinewidth=1)
    axes.set_yticks(range(len(best)), [label(name, 20) for name in best])
    axes.set_ylim(len(best) - 0.4, -0.6)
    axes.set_xlabel("share, %")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
