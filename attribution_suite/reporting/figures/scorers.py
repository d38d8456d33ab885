"""Figures of what the scorers say of the original networks: shares, agreement, XGBoost's own ranking."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from attribution_suite.conclusions.baselines import baseline_sentence
from attribution_suite.conclusions.judgements import FAITHFUL
from attribution_suite.conclusions.numbers import MINUS, listed, percent, precise
from attribution_suite.conclusions.words import averaged, interval_words, poor_words
from attribution_suite.reporting.figures.bars import (
    MOST_NETWORKS,
    OF_NETWORK,
    bar_tables,
    mean_shares,
    most_rows,
    percent_text,
)
from attribution_suite.reporting.figures.shades import AGREEMENT_COLOURS, PALETTE
from attribution_suite.reporting.figures.style import (
    WIDTH,
    LeftOut,
    Picture,
    canvas,
    family_words,
    label,
    picture,
    scorer_colour,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.figures.tiles import tiles
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

TOP = 10
MOST_SCORERS = 30  # a triangle of 435 tiles, and the scale


@styled
def shares(subject: Subject) -> Picture | None:
    """All scorers side by side, a row a feature, a column a scorer; of hidden units, the strongest of each network."""
    if subject.originals.empty:
        return None
    panels, rest = _network_panels(subject) if subject.layer else _feature_panels(subject)
    first = next(iter(panels.values()))
    names = list(first.columns)
    how = ("each network by itself, its units by mean share: units have no identity across networks" if subject.layer
           else f"features by mean share; {averaged(subject.networks, subject.splits).lower()}")
    caption = (f"Share of the influence that each scorer gives each {'unit' if subject.layer else 'feature'} in the "
               f"original networks, {how}. {family_words(names)}{rest} {baseline_sentence(subject.baselines)}")
    alt = f"Bars of {len(names)} scorers; the largest is {first.index[0]}."
    table = pd.concat([panel.reset_index(names="feature").assign(**{"network": name} if subject.layer else {})
                       for name, panel in panels.items()])
    return picture(bar_tables({name: 100 * panel for name, panel in panels.items()}, "share"), subject, "shares",
                   "What the original networks use", caption, alt, table)


def _feature_panels(subject: Subject) -> tuple[dict[str, pd.DataFrame], str]:
    """The features by mean share; and what the others have together."""
    mean = mean_shares(subject, subject.originals)
    most = most_rows(mean.shape[1])
    rest = mean[most:]
    note = (f" The other {len(rest)} features have {percent(rest.sum().median())} together (median over scorers)."
            if len(rest) else "")
    return {"": mean[:most]}, note


def _network_panels(subject: Subject) -> tuple[dict[str, pd.DataFrame], str]:
    """The strongest units of each network."""
    networks = list(subject.originals.groupby("seed"))
    drawn = networks[:MOST_NETWORKS]
    most = most_rows(len(subject.scorers) * len(drawn), OF_NETWORK)
    more = len(networks) - len(drawn)
    note = f" The {most} strongest units of each." + (f" {more} more networks are not drawn: the tables have them."
                                                      if more > 0 else "")
    return {f"network {seed}": mean_shares(subject, rows)[:most] for seed, rows in drawn}, note


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
    if len(matrix) < 2:
        return None
    chosen = matrix.mean().nsmallest(MOST_SCORERS).index
    shown = matrix.loc[matrix.index.isin(chosen), matrix.index.isin(chosen)]
    below, left = shown.iloc[1:], len(matrix) - len(shown)  # a triangle: the matrix is symmetric, 1 on the diagonal
    below = below[below.columns[:-1]]
    cell = min(0.52, 8.2 / len(shown))
    figure = canvas(3.6 + cell * len(shown), 1.9 + 0.7 * cell * len(shown))
    axes = figure.add_subplot()
    tiles(axes, below, AGREEMENT_COLOURS, (-1.0, 1.0), _correlation, cell >= 0.3, np.tri(*below.shape, dtype=bool))
    axes.tick_params(axis="x", labelrotation=38)
    for name in axes.get_xticklabels():
        name.set(ha="right", rotation_mode="anchor")
    _agreement_scale(figure, axes)
    title, computed = READINGS[reading]
    over = averaged(subject.networks, subject.splits).lower()
    caption = (f"{computed} Original networks, {over}: 1 the same order, 0 unrelated. The random "
               "control agrees with nobody, by design."
               + poor_words([name for name in subject.poor_surrogates if name in matrix.index])
               + f" The {len(shown)} that agree least with the others; {left} more are in the tables." * bool(left))
    alt = f"Heat map of rank correlation between {len(shown)} scorers, {reading} reading."
    return picture(figure, subject, f"agreement-{reading}", title, caption, alt,
                   matrix.reset_index(names="scorer"))


def _correlation(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}".replace("-", MINUS).replace("0.", ".")


def _agreement_scale(figure: Figure, axes: Any) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), AGREEMENT_COLOURS), ax=axes, aspect=30, shrink=0.8, pad=0.02)
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
    top = min(TOP, rows.feature.nunique())
    across = min(len(names), 3)
    down = -(-len(names) // across)
    figure = canvas(max(5.0, WIDTH * across / 3), down * (0.75 + 0.24 * top))
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    best = {}
    for axes, name in zip(grid, names, strict=False):
        best[name] = _ranked(axes, subject, rows[rows.scorer == name], name, top)
        axes.set_title(label(name, 36))
    for axes in grid[len(names):]:
        axes.set_visible(False)
    what = "units" if subject.layer else "features"
    caption = (f"The {top} {what} that XGBoost puts first. Fitted to the labels it is a baseline beside the "
               f"networks{_beside(subject)}; a surrogate is fitted to a network's outputs, and is "
               f"too poor to speak for or against anything where its R² to them is below {FAITHFUL}."
               + (" Units by their rank in each network, which has units of its own." if subject.layer else "")
               + f" {averaged(subject.networks, subject.splits)}"
               + interval_words(subject.networks, subject.splits, "; lines: 95 % interval") + ".")
    alt = f"Bars of the {top} largest shares for {', '.join(names)}."
    return picture(figure, subject, "xgboost", "XGBoost's top features", caption, alt,
                   pd.concat(best, names=["scorer"]).reset_index("scorer"))


def _beside(subject: Subject) -> str:
    """How good the XGBoost that was fitted to the labels is, and the networks are; '' where none was."""
    rows = subject.tables["outcomes"]
    rows = rows[(rows.removal == ORIGINAL) & (rows.removed == "")]
    shown = {"r2": "R²", "rmse": f"RMSE of {subject.info['target']}"} if subject.info["task"] == "regression" else {
        "accuracy": "accuracy", "auc": "AUC", "kappa": "kappa"}
    means = rows[[f"{who}{name}" for name in shown for who in ("xgboost_", "")]].mean()
    parts = [f"{words} {precise(means[f'xgboost_{name}'])} (theirs {precise(means[name])})"
             for name, words in shown.items() if np.isfinite(means[f"xgboost_{name}"])]
    return f", with {listed(parts, 'and')} on the test rows" * bool(parts)


def _by_rank(rows: pd.DataFrame) -> pd.DataFrame:
    """Each network's units under their rank by share, by each scorer, in the place of their names."""
    rank = rows.groupby(["seed", "scorer"]).share.rank(ascending=False, method="first")
    return rows.assign(feature=rank.fillna(len(rows)).astype(int).map(rank_name))


def _ranked(axes: Any, subject: Subject, rows: pd.DataFrame, scorer: str, top: int) -> pd.DataFrame:
    """The bars of one importance, drawn; as a table."""
    best = [str(name) for name in rows.groupby("feature", sort=False).share.mean().nlargest(top).index]
    bars = [rows[rows.feature == name] for name in best]
    values = np.array([subject.interval(bar, 100 * bar.share) for bar in bars]).reshape(-1, 3).T
    drawn = axes.barh(range(len(best)), values[0], color=scorer_colour(scorer), height=0.68)
    for bar, name, mean, low, high in zip(drawn, best, *values, strict=True):
        tell(bar, f"{name}: {percent_text(mean)}" + (f" ({percent_text(low)} to {percent_text(high)})"
                                                     if np.isfinite(low) else ""))
    axes.hlines(range(len(best)), values[1], values[2], colors=PALETTE["ink"], linewidth=1)
    axes.set_yticks(range(len(best)), [label(name, 20) for name in best])
    axes.set_ylim(len(best) - 0.4, -0.6)
    axes.set_xlabel("share, %")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    return pd.DataFrame({"feature": best, "share, %": values[0], "low": values[1], "high": values[2]})
