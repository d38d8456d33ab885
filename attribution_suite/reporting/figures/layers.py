"""Figures across layers: which nodes of every layer matter, how well units tell classes, what cutting a unit moves."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from attribution_suite.conclusions.numbers import percent, rounded, score
from attribution_suite.reporting.figures.shades import PALETTE, RATE_COLOURS
from attribution_suite.reporting.figures.style import GREY, WIDTH, LeftOut, Picture, attempt, canvas, label, styled
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.figures.tiles import tiles
from attribution_suite.reporting.reading import Subject

TOP, ACROSS = 10, 3  # nodes of a layer, layers side by side
PAIR = {"gradient_weight": PALETTE["accent"], "lrp": PALETTE["still"]}
SAID = {"gradient_weight": "gradient × weight", "lrp": "LRP"}
MOST_CLASSES, MOST_FEATURES = 20, 14  # rows and columns of tiles
SCORES = ("precision", "recall", "f1")


def layer_name(layer: int) -> str:
    """'inputs', 'hidden layer 2'."""
    return f"hidden layer {layer}" if layer else "inputs"


def layers(subject: Subject) -> list[Picture | LeftOut]:
    """Every layer's importances, what tells the classes, and what a unit's cut moves, of the first network."""
    look = subject.neurons
    if look is None:
        return []
    pictures: list[Picture | LeftOut] = []
    importances = look["layers"].query("seed == 0")
    if len(importances):  # of a module there are none
        tables = strongest(importances)
        pictures.append(attempt(
            subject, partial(layer_bars, tables), "layers", "Which nodes of every layer matter",
            "Share of the layer's importance by gradient × weight and by LRP, first network: the strongest nodes of "
            "each layer by the mean of both. ρ: Spearman's rank correlation of the two over all its nodes.", True,
            pd.concat([table[0].reset_index(names="node").assign(layer=layer_name(layer))
                       for layer, table in tables.items()]).rename(columns=SAID)))
    pictures += _classes(subject, look)
    moved = look["cuts"].query("seed == 0")
    if len(moved):
        chosen = strongest_cuts(moved, look["units"].query("seed == 0"))
        pictures.append(attempt(
            subject, partial(cut_bars, chosen), "cuts", "What cutting one unit does to the next layer",
            "Each unit alone at zero, first network, test rows. Left: the mean over the next layer's nodes of the "
            "Kullback-Leibler divergence of their values after the cut from those before, as normal distributions; "
            "right: how far their means move, in standard deviations. The units of each layer that move it most; blue: "
            "they separate the target by themselves, grey: they do not. ∞: a node that is left constant.", True,
            pd.concat(chosen.values())))
    return pictures


def strongest(importances: pd.DataFrame) -> dict[int, tuple[pd.DataFrame, float]]:
    """Layer → shares `[nodes, scorers]` of its `TOP` nodes by mean share, and the two scorers' rank correlation."""
    tables = {}
    for layer, rows in importances.groupby("layer"):
        shares = rows.pivot(index="node", columns="scorer", values="share")[list(PAIR)]
        order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index[:TOP]
        rank: Any = shares.corr("spearman").iloc[0, 1]
        tables[int(str(layer))] = shares.loc[order], float(rank)
    return tables


@styled
def layer_bars(tables: Mapping[int, tuple[pd.DataFrame, float]]) -> Figure:
    """Two bars a node, a panel a layer; `tables` as `strongest` makes them."""
    across = min(ACROSS, len(tables))
    down = -(-len(tables) // across)
    tall = max(len(shares) for shares, _ in tables.values())
    figure = canvas(WIDTH, 0.6 + down * (0.75 + 0.3 * tall))
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in grid[len(tables):]:
        axes.set_visible(False)
    for axes, (layer, (shares, rank)) in zip(grid, tables.items(), strict=False):
        for place, (scorer, column) in enumerate(shares.items()):
            bars = axes.barh(np.arange(len(column)) + (place - 0.5) * 0.38, 100 * column.fillna(0), 0.36,
                             color=PAIR[str(scorer)])
            for bar, (node, share) in zip(bars, column.items(), strict=True):
                tell(bar, f"{node}, {SAID[str(scorer)]}: {percent(share)}")
        axes.set_yticks(range(len(shares)), [label(str(node), 20) for node in shares.index])
        axes.set_ylim(tall - 0.4, -0.6)
        axes.set_title(f"{layer_name(layer)}, ρ = {rounded(rank, 2)}")
        axes.set_xlabel("share of the layer, %")
        axes.grid(axis="x")
    figure.legend([Patch(color=shade) for shade in PAIR.values()], list(SAID.values()), loc="outside lower center",
                  ncols=2)
    return figure


def _classes(subject: Subject, look: Mapping[str, pd.DataFrame]) -> list[Picture | LeftOut]:
    """How well classes are found, what drives the units that fire for them, and how well units tell them."""
    pictures: list[Picture | LeftOut] = []
    scores = look["classes"].groupby("label", sort=False)[[*SCORES, "rows"]].mean()
    driving = look["drivers"].groupby(["predicted", "feature"], sort=False)[["share", "positive"]].mean()
    if len(scores) or len(driving):
        table = driving.reset_index() if scores.empty else driving.reset_index().merge(
            scores.rename_axis("predicted").reset_index(), on="predicted", how="outer")
        of_whom = "each class" if len(scores) else "the output"
        pictures.append(attempt(
            subject, partial(class_tiles, scores, driving.share.unstack("predicted").T), "classes",
            f"What is found of {of_whom}, and what drives the units that fire for it" if len(scores) else
            "What drives the units of the first layer",
            ("Left: precision, recall and F1 on the test rows. Right: of" if len(scores) else "Of")
            + " what the active units of the first hidden layer are given, the part that comes from each feature"
            + (", over the rows predicted as the class" if len(scores) else "")
            + f". Mean over networks; at most {MOST_FEATURES} features, those with the largest part.", True,
            _first(table)))
    telling = look["units"].query("seed == 0 and f1 > 0")
    if len(telling):
        best = {int(str(layer)): rows.nlargest(TOP, "f1") for layer, rows in telling.groupby("layer")}
        pictures.append(attempt(
            subject, partial(unit_bars, best), "detectors", "How well a unit alone tells a class",
            "F1 of 'the unit is active' as a test for the class on whose rows it is active most, first network, "
            "training rows: the best units of each layer, with what pushes those of the first layer on most. A unit "
            "that is always on tells nothing: its F1 is that of naming the class on every row.", True,
            pd.concat(best.values())[["layer", "unit", "busiest_class", *SCORES, "driven_by", "effect"]]))
    return pictures


def _first(table: pd.DataFrame) -> pd.DataFrame:
    """The strongest features of each class."""
    ranked = table.sort_values("share", ascending=False, kind="stable").groupby("predicted", sort=False)
    return ranked.head(MOST_FEATURES).sort_values(["predicted", "share"], ascending=[True, False], kind="stable")


@styled
def class_tiles(scores: pd.DataFrame, driving: pd.DataFrame) -> Figure:
    """Tiles: classes by precision, recall and F1, and classes by the features that drive their units.

    `scores` `[classes, (precision, recall, f1, rows)]`, empty for a regression; `driving` `[classes, features]`, empty
    for a module.
    """
    parts = {}
    if len(scores):
        parts["found"] = scores.loc[scores.index[:MOST_CLASSES], list(SCORES)].rename(columns={"f1": "F1"})
    if len(driving):
        chosen = driving.max().sort_values(ascending=False, kind="stable").index[:MOST_FEATURES]
        rows = driving.loc[[name for name in (scores.index if len(scores) else driving.index) if name in driving.index]]
        parts["driven by"] = rows.loc[rows.index[:MOST_CLASSES], chosen].rename(index={"all": "all rows"})
    count = max(map(len, parts.values()))
    figure = canvas(WIDTH if len(driving) else WIDTH / 2, 1.75 + 0.36 * count)
    grid = figure.subplots(1, len(parts), squeeze=False, width_ratios=[max(4, part.shape[1])
                                                                       for part in parts.values()])[0]
    for axes, (title, part) in zip(grid, parts.items(), strict=True):
        most = 1.0 if title == "found" else float(np.nanmax([part.max().max(), 1e-9]))
        tiles(axes, part, RATE_COLOURS, (0.0, most), score)
        if part.shape[1] > 3:
            axes.set_xticks(axes.get_xticks(), [label(str(name), 22) for name in part.columns], rotation=38, ha="right",
                            rotation_mode="anchor")
        axes.set_title(title)
    if len(parts) > 1:
        grid[1].set_yticklabels([])
    return figure


@styled
def unit_bars(best: Mapping[int, pd.DataFrame]) -> Figure:
    """F1 of units as tests of a class, a panel a layer, with what drives them; `best`: layer → rows of `units`."""
    figure = canvas(WIDTH, 0.5 + sum(0.6 + 0.27 * len(rows) for rows in best.values()))
    grid = figure.subplots(len(best), 1, squeeze=False, sharex=True, height_ratios=list(map(len, best.values())))[:, 0]
    for axes, (layer, rows) in zip(grid, best.items(), strict=True):
        bars = axes.barh(range(len(rows)), rows.f1, color="#9cc1df", height=0.72)
        for bar, row in zip(bars, _rows(rows), strict=True):
            tell(bar, f"unit {row.unit} for {row.busiest_class}: F1 {rounded(row.f1)}, precision "
                      f"{rounded(row.precision)}, recall {rounded(row.recall)}")
            driven = f"   driven by {label(row.driven_by, 46)}" * bool(row.driven_by)
            axes.text(row.f1 + 0.01, bar.get_y() + 0.36, f"{row.f1:.2f}{driven}", va="center", fontsize=7.5)
        axes.set_yticks(range(len(rows)), [f"unit {row.unit}: {label(row.busiest_class, 18)}" for row in _rows(rows)])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 2)
        axes.set_xticks(np.arange(0, 1.01, 0.2))
        axes.set_title(layer_name(layer))
        axes.grid(axis="x")
    grid[-1].set_xlabel("F1")
    return figure


def strongest_cuts(moved: pd.DataFrame, units: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Layer → its `TOP` units by KL, with whether they are significant; those that were not measured left out."""
    both = moved.merge(units[["layer", "unit", "significant"]], on=["layer", "unit"], how="left").dropna(subset="kl")
    columns = ["layer", "unit", "kl", "kl_most", "moved_most", "mean_shift", "mean_shift_most", "significant"]
    return {int(str(layer)): rows.nlargest(TOP, ["kl", "mean_shift"])[columns] for layer, rows in both.groupby("layer")}


@styled
def cut_bars(chosen: Mapping[int, pd.DataFrame]) -> Figure:
    """KL at the left, mean shift at the right, a row of panels a layer; `chosen` as `strongest_cuts` makes it."""
    figure = canvas(WIDTH, 0.3 + sum(0.7 + 0.26 * len(rows) for rows in chosen.values()))
    grid = figure.subplots(len(chosen), 2, squeeze=False, height_ratios=list(map(len, chosen.values())))
    for line, (layer, rows) in zip(grid, chosen.items(), strict=True):
        colours = [PALETTE["accent"] if flag else GREY for flag in rows.significant]
        for axes, column, name in zip(line, ("kl", "mean_shift"), ("KL, nats", "mean shift, standard deviations"),
                                      strict=True):
            _cut_panel(axes, rows, column, colours)
            axes.set_xlabel(name)
        line[0].set_title(f"units of {layer_name(layer)}")
        line[0].set_yticks(range(len(rows)), [f"unit {unit}" for unit in rows.unit])
        line[1].set_yticks([])
    return figure


def _cut_panel(axes: Any, rows: pd.DataFrame, column: str, colours: Sequence[str]) -> None:
    values = rows[column].to_numpy()
    known = values[np.isfinite(values)]
    most = float(known.max()) if len(known) and known.max() > 0 else 1.0
    bars = axes.barh(range(len(rows)), np.where(np.isfinite(values), values, 1.1 * most), color=colours, height=0.72)
    for bar, row, value in zip(bars, _rows(rows), values, strict=True):
        text, largest = (rounded(size) if np.isfinite(size) else "∞" for size in (
            value, row.kl_most if column == "kl" else row.mean_shift_most))
        node = f" (node {row.moved_most})" if column == "kl" else ""
        tell(bar, f"unit {row.unit}: {text} on the mean, {largest} at most{node}")
        axes.text(bar.get_width() + 0.01 * most, bar.get_y() + 0.36, text, va="center", fontsize=7.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.3 * most)
    axes.grid(axis="x")


def _rows(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())
