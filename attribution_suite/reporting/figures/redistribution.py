"""Where the influence went: how the shares of every feature move with a removal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from attribution_suite.conclusions.numbers import MINUS
from attribution_suite.conclusions.summary import unit_ranks
from attribution_suite.conclusions.words import averaged
from attribution_suite.datasets.removable import Removable
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    GREY,
    WIDTH,
    Picture,
    below,
    canvas,
    label,
    picture,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

DUMBBELLS, MOST_NETWORKS, MOST_DOTS = 8, 5, 480
SPAN = 1.95  # width of a column of dumbbells, in units of the largest share: room for the number beside it


def redistribution(subject: Subject) -> list[Picture]:
    """Per removed feature and removal: shares before and after of the feature and of those that changed most.

    A picture a removed feature, the first on the page. Of hidden units one picture, a panel a network, for the first of
    the removed units: units have no identity across networks.
    """
    if subject.layer:
        panels = _unit_panels(subject)
        return [_redistribution(subject, panels, "redistribution", len(subject.removed) - 1)] if panels else []
    more = len(subject.removed) - len(_feature_panels(subject))
    return [replace(_redistribution(subject, {name: changes}, f"redistribution-{place + 1}" if place else
                                    "redistribution", more), on_page=place == 0)
            for place, (name, changes) in enumerate(_feature_panels(subject).items())]


@styled
def _redistribution(subject: Subject, panels: Mapping[str, "Changes"], name: str, more: int) -> Picture:
    most = max(1, MOST_DOTS // (2 * DUMBBELLS * len(subject.removals)))
    drawn = dict(list(panels.items())[:most])
    figure = canvas(WIDTH + 0.4, 0.6 + 2.05 * len(drawn))
    rows = figure.subplots(len(drawn), 1, squeeze=False)[:, 0]
    for axes, (title, changes) in zip(rows, drawn.items(), strict=True):
        _dumbbell_row(axes, changes)
        axes.set_ylabel(title if subject.layer else "", fontsize=8.5)
    rows[-1].set_xlabel("share, %")
    _name_columns(rows[0], subject.removals)
    what = "unit" if subject.layer else "feature"
    over = (f"each network by itself, {subject.shown[0]}" if subject.layer else
            averaged(subject.networks, subject.splits).lower())
    each = {len(changes.after) - changes.gone for changes in drawn.values()}
    others = f"the {max(each)}" if len(each) == 1 else f"at most {max(each)}"
    caption = (f"Hollow: share before; filled: after; the removed {what} in bold, then {others} {what}s "
               f"whose share changed most, with the change in points. Rust gained, teal lost. Median over scorers, "
               f"{over}."
               + (f" {more} more removed {what}s are not drawn: the tables have them." if more > 0 else "")
               + (f" {len(panels) - len(drawn)} more networks are not drawn." if len(panels) > len(drawn) else ""))
    alt = f"Shares before and after each removal of {', '.join(drawn)}, one column a removal method."
    table = pd.concat([_moved(changes).assign(**{"network" if subject.layer else "removed": title})
                       for title, changes in drawn.items()])
    title = "Where the influence went" + (f": {next(iter(drawn))} removed" if not subject.layer else "")
    return picture(figure, subject, name, title, caption, alt, table)


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


def _moved(changes: Changes) -> pd.DataFrame:
    """A row a feature: its share before (the same for all removals but for which scorers apply), and after each."""
    after = (100 * changes.after).add_suffix(", after, %")
    return after.assign(**{"before, %": 100 * changes.before.mean(axis=1)}).reset_index(names="feature")


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
    below(axes, (starts + ticks).ravel().tolist(), [f"{tick:g}" for tick in ticks] * len(removals), fontsize=7.5)
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
    hollow = axes.scatter(start + before, places, s=20, facecolors=PALETTE["paper"], edgecolors=colour, linewidths=1.2,
                          zorder=3)
    filled = axes.scatter(start + after, places, s=24, c=colour, zorder=4)
    for dots, when, values in ((hollow, "before", before), (filled, f"after {before.name}", after)):
        tell(dots, *[f"{name}, {when}: {value:.1f} %" for name, value in values.items() if np.isfinite(value)])
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
