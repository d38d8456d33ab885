"""Figures of what a removal did: where the influence went, and what it cost."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from attribution_suite.audit.tables import ORIGINAL
from attribution_suite.report.figures_style import (
    GREY,
    PALETTE,
    REMOVAL_COLOURS,
    WIDTH,
    Picture,
    canvas,
    colours,
    drawn,
    label,
    picture,
)
from attribution_suite.report.reading import CONTROL, Subject
from attribution_suite.report.summary import MINUS, seed_interval

DUMBBELLS = 8
SPAN = 1.95 # width of a column of dumbbells, in units of the largest share: room for the number beside it
MARKERS = "osD^vPX<>*"
LOSS_TICKS = (-1000, -100, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


@drawn
def redistribution(subject: Subject) -> Picture | None:
    """Per removed feature and removal: shares before and after of the feature and of those that changed most."""
    if not subject.removals:
        return None
    before, after = _median_shares(subject)
    if after.empty:  # none of the removals applies to any of the scorers
        return None
    panels = subject.shown
    figure = canvas(WIDTH + 0.4, 0.6 + 2.05 * len(panels))
    rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, feature in zip(rows, panels, strict=True):
        _dumbbell_row(axes, _changes(before, after, feature, subject.removals))
    rows[-1].set_xlabel("share, %")
    _name_columns(rows[0], subject.removals)
    more = len(subject.removed) - len(panels)
    caption = (f"Hollow: share before; filled: after; the removed feature in bold, then the {DUMBBELLS - 1} features "
               "whose share changed most, with the change in points. Rust gained, teal lost. Median over scorers, "
               "mean over seeds."
               + (f" {more} more removed features are not drawn: the tables have them." if more > 0 else ""))
    alt = f"Shares before and after each removal of {', '.join(panels)}, one panel a removal method."
    return picture(figure, subject, "redistribution", "Where the influence went", caption, alt)


def _median_shares(subject: Subject) -> tuple[pd.Series, pd.Series]:
    """Median over the voters, mean over seeds: before `[feature]`, after `[removed, removal, feature]`."""
    rows = subject.tables["attributions"]
    keys = ["removed", "removal", "feature"]
    applicable = subject.tables["shifts"].query("applicable")[["removed", "removal", "scorer"]].drop_duplicates()
    voters = rows[rows.scorer != CONTROL]
    edited = voters[voters.removal != ORIGINAL].merge(applicable, on=["removed", "removal", "scorer"])
    original = voters[voters.removal == ORIGINAL]
    before = original.groupby(["feature", "seed"]).share.median().groupby("feature").mean()
    after = edited.groupby([*keys, "seed"]).share.median().groupby(keys).mean()
    return before, after


def _changes(before: pd.Series, after: pd.Series, feature: str, removals: list[str]) -> pd.DataFrame:
    """`[features, (before, removals…)]`: the removed feature, then those that changed most."""
    table = pd.DataFrame({"before": before, **{name: after[feature].get(name, pd.Series(dtype=float))
                                               for name in removals}})
    change = table[removals].sub(table.before, axis=0).abs().max(axis=1).drop(feature)
    return table.loc[[feature, *change.nlargest(DUMBBELLS - 1).index]]


def _dumbbell_row(axes: Any, table: pd.DataFrame) -> None:
    """One removed feature: a column a removal, all in one axes (a panel each would take seconds to lay out)."""
    widest = 100 * np.nanmax(table.to_numpy())
    ticks = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(0, widest)
    ticks = ticks[ticks <= widest]
    removals = table.columns[1:]
    for column, removal in enumerate(removals):
        _dumbbells(axes, 100 * table["before"], 100 * table[removal], column * SPAN * widest, widest)
    starts = np.arange(len(removals))[:, None] * SPAN * widest
    axes.vlines((starts + ticks).ravel(), -0.6, len(table) - 0.4, colors=PALETTE["line"], linewidth=0.6, zorder=1)
    axes.set_xticks((starts + ticks).ravel(), [f"{tick:g}" for tick in ticks] * len(removals), fontsize=7.5)
    axes.set_xlim(-0.06 * widest, (len(removals) * SPAN - 0.04) * widest)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_yticks(range(len(table)), [label(name, 18) for name in table.index])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.axhspan(-0.5, 0.5, color=PALETTE["panel"], zorder=0)
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


@drawn
def cost(subject: Subject) -> Picture | None:
    """Test loss against the direct effect left, one point a method and removed feature."""
    if not subject.removals:
        return None
    figure = canvas(WIDTH * 0.82, 4.6)
    axes = figure.add_subplot()
    colour = colours(subject.removals, REMOVAL_COLOURS)
    marker = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(subject.shown)}
    outcomes = subject.tables["outcomes"]
    edited = outcomes[(outcomes.removal != ORIGINAL) & outcomes.removed.isin(subject.shown)]
    for (removal, feature), rows in edited.groupby(["removal", "removed"], sort=False):
        _cost_point(axes, rows, colour[str(removal)], marker[str(feature)])
    _cost_axes(axes)
    _cost_legend(figure, colour, marker, subject.removals)
    caption = ("To the left the output moves less with the removed feature; low costs little. Bottom left is the aim: "
               "gone, and free. Bars: 95 % interval over seeds. Both axes are linear near zero, logarithmic beyond.")
    alt = f"Scatter of test loss change against direct effect left for {len(subject.removals)} removal methods."
    return picture(figure, subject, "cost", "Cost against residual influence", caption, alt)


def _cost_point(axes: Any, rows: pd.DataFrame, colour: str, marker: str) -> None:
    before = rows.direct_effect_before.where(rows.direct_effect_before > 0)
    x = 100 * np.array(seed_interval((rows.direct_effect / before).to_numpy()))
    y = 100 * np.array(seed_interval((rows.loss_native / rows.loss_before - 1).to_numpy()))
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


def _cost_legend(figure: Any, colour: dict[str, str], marker: dict[str, str], removals: list[str]) -> None:
    empty = Line2D([], [], linestyle="")
    methods = [Line2D([], [], color=colour[name], marker="s", linestyle="", markersize=7) for name in removals]
    features = [Line2D([], [], color=PALETTE["muted"], marker=shape, linestyle="", markersize=7)
                for shape in marker.values()]
    names = ["method", *removals, "", "removed", *marker]
    legend = figure.legend([empty, *methods, empty, empty, *features], [label(name) for name in names],
                           loc="outside right center", alignment="left")
    for place in (0, len(removals) + 2):
        legend.get_texts()[place].set_fontweight("bold")
