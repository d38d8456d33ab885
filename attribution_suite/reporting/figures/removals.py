"""Figures of what a removal did: where the influence went, and what it cost."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from attribution_suite.conclusions.numbers import MINUS
from attribution_suite.conclusions.summary import edits, part_left, unit_ranks
from attribution_suite.conclusions.words import averaged, interval_words
from attribution_suite.datasets.removable import Removable
from attribution_suite.reporting.figures.style import (
    GREY,
    PALETTE,
    REMOVAL_COLOURS,
    WIDTH,
    Picture,
    canvas,
    colours,
    label,
    picture,
    styled,
)
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

DUMBBELLS, MOST_NETWORKS = 8, 5
SPAN = 1.95  # width of a column of dumbbells, in units of the largest share: room for the number beside it
MARKERS = "osD^vPX<>*"
LOSS_TICKS = (-1000, -100, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


@styled
def redistribution(subject: Subject) -> Picture | None:
    """Per removed feature and removal: shares before and after of the feature and of those that changed most.

    Of hidden units: a panel a network, for the first of the removed units: units have no identity across networks.
    """
    panels = _unit_panels(subject) if subject.layer else _feature_panels(subject)
    if not panels:  # nothing was removed, or none of the removals applies to any of the scorers
        return None
    figure = canvas(WIDTH + 0.4, 0.6 + 2.05 * len(panels))
    rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (name, changes) in zip(rows, panels.items(), strict=True):
        _dumbbell_row(axes, changes)
        axes.set_ylabel(name if subject.layer else "", fontsize=8.5)
    rows[-1].set_xlabel("share, %")
    _name_columns(rows[0], subject.removals)
    what = "unit" if subject.layer else "feature"
    more = len(subject.removed) - (1 if subject.layer else len(panels))
    over = (f"each network by itself, {subject.shown[0]}" if subject.layer else
            averaged(subject.networks, subject.splits).lower())
    each = {len(changes.after) - changes.gone for changes in panels.values()}
    others = f"the {max(each)}" if len(each) == 1 else f"at most {max(each)}"
    caption = (f"Hollow: share before; filled: after; the removed {what} in bold, then {others} {what}s "
               f"whose share changed most, with the change in points. Rust gained, teal lost. Median over scorers, "
               f"{over}."
               + (f" {more} more removed {what}s are not drawn: the tables have them." if more > 0 else ""))
    alt = f"Shares before and after each removal of {', '.join(panels)}, one column a removal method."
    return picture(figure, subject, "redistribution", "Where the influence went", caption, alt)


class Changes(NamedTuple):
    """Shares before and after, each `[features, removals]`: of the removed ones, then of those that changed most.

    `gone`: how many were removed together.
    """

    before: pd.DataFrame
    after: pd.DataFrame
    gone: int


def _feature_panels(subject: Subject) -> dict[str, Changes]:
    """Removed feature → its changes; those without any share after are left out."""
    shares = _median_shares(subject.tables)
    return {feature: _changes(shares.loc[[feature]], feature, subject.removals)
            for feature in subject.shown if feature in shares.index}


def _unit_panels(subject: Subject) -> dict[str, Changes]:
    """Network → the changes of its own unit, for the first of the removed units and at most `MOST_NETWORKS`."""
    panels: dict[str, Changes] = {}
    outcomes = subject.tables["outcomes"]
    first = outcomes[unit_ranks(outcomes).removed.isin(subject.shown[:1])]
    for seed, unit in first[["seed", "removed"]].drop_duplicates().itertuples(index=False, name=None):
        shares = _median_shares({name: table[table.seed == seed] for name, table in subject.tables.items()
                                 if "seed" in table})
        if unit in shares.index and len(panels) < MOST_NETWORKS:
            panels[f"network {seed}"] = _changes(shares.loc[[unit]], unit, subject.removals)
    return panels


def _median_shares(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`before` and `after` of each removed, removal and feature: median over the voters, mean over networks.

    Both are of the same scorers: those that apply to the removal and have a share before and after it.
    """
    keys = ["removed", "removal", "feature"]
    shares = tables["attributions"].query("scorer != @CONTROL", local_dict={"CONTROL": CONTROL})
    original = shares[shares.removal == ORIGINAL][["seed", "scorer", "feature", "share"]]
    edited = shares[shares.removal != ORIGINAL][[*keys, "seed", "scorer", "share"]]
    applicable = tables["shifts"].query("applicable")[["removed", "removal", "scorer"]].drop_duplicates()
    both = edited.merge(applicable).merge(original, on=["seed", "scorer", "feature"], suffixes=("_after", "_before"))
    both = both.dropna(subset=["share_before", "share_after"])
    medians = both.groupby([*keys, "seed"])[["share_before", "share_after"]].median()
    return medians.groupby(keys).mean().set_axis(["before", "after"], axis=1)


def _changes(shares: pd.DataFrame, removed: str, removals: list[str]) -> Changes:
    """The rows `shares` of one removed feature or set, as two tables; a removal without shares is a column of NaN."""
    before, after = (shares[column].droplevel("removed").unstack("removal").reindex(columns=removals)
                     for column in ("before", "after"))
    gone = list(Removable.places(after.index).named(removed).features)
    change = (after - before).abs().max(axis=1).drop(gone)
    chosen = [*gone, *change.nlargest(max(1, DUMBBELLS - len(gone))).index]
    return Changes(before.loc[chosen], after.loc[chosen], len(gone))


def _dumbbell_row(axes: Any, changes: Changes) -> None:
    """One removed feature: a column a removal, all in one axes (a panel each would take seconds to lay out)."""
    widest = 100 * max(np.nanmax(changes.before.to_numpy()), np.nanmax(changes.after.to_numpy()))
    ticks = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(0, widest)
    ticks = ticks[ticks <= widest]
    features, removals = changes.after.index, changes.after.columns
    for column, removal in enumerate(removals):
        _dumbbells(axes, 100 * changes.before[removal], 100 * changes.after[removal], column * SPAN * widest, widest)
    starts = np.arange(len(removals))[:, None] * SPAN * widest
    axes.vlines((starts + ticks).ravel(), -0.6, len(features) - 0.4, colors=PALETTE["line"], linewidth=0.6, zorder=1)
    axes.set_xticks((starts + ticks).ravel(), [f"{tick:g}" for tick in ticks] * len(removals), fontsize=7.5)
    axes.set_xlim(-0.06 * widest, (len(removals) * SPAN - 0.04) * widest)
    axes.set_ylim(len(features) - 0.4, -0.6)
    axes.set_yticks(range(len(features)), [label(name, 18) for name in features])
    for tick in axes.get_yticklabels()[:changes.gone]:
        tick.set_fontweight("bold")
    axes.axhspan(-0.5, changes.gone - 0.5, color=PALETTE["panel"], zorder=0)
    axes.spines["left"].set_visible(False)


def _dumbbells(axes: Any, before: pd.Series, after: pd.Series, start: float, widest: float) -> None:
    change, places = (after - before).to_numpy(), np.arange(len(before))
    colour = np.select([change >= 0.05, change <= -0.05], [PALETTE["still"], PALETTE["gone"]], GREY)
    axes.hlines(places, start + before, start + after, colors=colour, linewidth=2.4)
    axes.scatter(start + before, places, s=20, facecolors=PALETTE["paper"], edgecolors=colour, linewidths=1.2, zorder=3)
    axes.scatter(start + after, places, s=24, c=colour, zorder=4)
    for place, ink, value in zip(places, colour, change, strict=True):
        if abs(value) >= 0.05:
            axes.text(start + (SPAN - 0.26) * widest, place, f"{value:+.1f}".replace("-", MINUS), ha="right",
                      va="center", fontsize=7.5, color=ink)


def _name_columns(axes: Any, removals: list[str]) -> None:
    """Method names above their columns, a long one on two lines, broken after its first '_'."""
    width = axes.get_xlim()[1] / len(removals)
    for column, name in enumerate(removals):
        folded = name.replace("_", "_\n", 1) if len(name) > 12 else name
        axes.text(column * width, -0.8, label(folded, 26), ha="left", va="bottom", fontsize=8.5, fontweight="bold")


@styled
def cost(subject: Subject) -> Picture | None:
    """Test loss against the direct effect left, one point a method and removed feature."""
    if not subject.removals:
        return None
    figure = canvas(WIDTH * 0.82, 4.6)
    axes = figure.add_subplot()
    colour = colours(subject.removals, REMOVAL_COLOURS)
    marker = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(subject.shown)}
    outcomes = unit_ranks(subject.tables["outcomes"])
    edited = edits(outcomes[outcomes.removed.isin(subject.shown)])
    for (removal, feature), rows in edited.groupby(["removal", "removed"], sort=False):
        _cost_point(axes, subject, rows, colour[str(removal)], marker[str(feature)])
    _cost_axes(axes)
    _cost_legend(figure, colour, marker, subject.removals)
    caption = ("To the left the output moves less with the removed feature; low costs little. Bottom left is the aim: "
               f"gone, and free. {averaged(subject.networks, subject.splits)}"
               + interval_words(subject.networks, subject.splits, "; bars: 95 % interval")
               + ". Both axes are linear near zero, logarithmic beyond. What was not measured has no point.")
    alt = f"Scatter of test loss change against direct effect left for {len(subject.removals)} removal methods."
    return picture(figure, subject, "cost", "Cost against residual influence", caption, alt)


def _cost_point(axes: Any, subject: Subject, rows: pd.DataFrame, colour: str, marker: str) -> None:
    x = 100 * np.array(subject.interval(rows, part_left(rows.direct_effect, rows.direct_effect_before)))
    y = 100 * np.array(subject.interval(rows, rows.loss_native / rows.loss_before - 1))
    errors = [[[v[0] - v[1]], [v[2] - v[0]]] for v in (x, y)]
    axes.errorbar(x[0], y[0], xerr=np.maximum(errors[0], 0), yerr=np.maximum(errors[1], 0), fmt=marker, color=colour,
                  markersize=6.5, markeredgecolor=PALETTE["paper"], markeredgewidth=0.7, elinewidth=1, alpha=0.92)


def _cost_axes(axes: Any) -> None:
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.6)
    axes.set_yscale("symlog", linthresh=10.0, linscale=1.2)
    high = max(120.0, axes.get_xlim()[1])
    axes.set_xlim(-0.12, high)
    axes.axvspan(-0.12, 1.0, color=PALETTE["gone-soft"], zorder=0)
    axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    ticks = [0.0, 1.0, 10.0, 100.0, 1000.0]
    axes.set_xticks([t for t in ticks if t <= high], [f"{t:.0f} %" for t in ticks if t <= high])
    low, top = axes.get_ylim()
    steps = [t for t in LOSS_TICKS if low <= t <= top]
    axes.set_yticks(steps, [f"{t:+d} %".replace("-", MINUS).replace("+0 ", "0 ") for t in steps])
    axes.minorticks_off()
    axes.grid()
    axes.set_xlabel("direct effect left, of what it was (shaded: counts as gone)")
    axes.set_ylabel("change of test loss")


def _cost_legend(figure: Figure, colour: dict[str, str], marker: dict[str, str], removals: list[str]) -> None:
    empty = Line2D([], [], linestyle="")
    methods = [Line2D([], [], color=colour[name], marker="s", linestyle="", markersize=7) for name in removals]
    features = [Line2D([], [], color=PALETTE["muted"], marker=shape, linestyle="", markersize=7)
                for shape in marker.values()]
    names = ["method", *removals, "", "removed", *marker]
    legend = figure.legend([empty, *methods, empty, empty, *features], [label(name) for name in names],
                           loc="outside right center", alignment="left")
    for place in (0, len(removals) + 2):
        legend.get_texts()[place].set_fontweight("bold")
