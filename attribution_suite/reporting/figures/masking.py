"""Figures of masking: what units cost, by significance and by the rankings of scorers."""

from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from attribution_suite.conclusions.inside import measure_of
from attribution_suite.conclusions.numbers import rounded
from attribution_suite.errors import InputError
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    GREY,
    WIDTH,
    LeftOut,
    Picture,
    attempt,
    canvas,
    label,
    scorer_colour,
    spread,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.units.masking import RANDOM, TOGETHER, areas, summary

POOLS = {"significant": "#b4431f", "as many as significant": "#e8a488", "non-significant": "#1d5c8f",
         "as many as non-significant": "#93b8d6", RANDOM: GREY}
NAMED = 3  # best rankings named at their curves, beside the last one and random draws


def masking(subject: Subject) -> list[Picture | LeftOut]:
    """What masking costs: the pools of significance, and the rankings by scorers."""
    pictures: list[Picture | LeftOut] = []
    if subject.neurons is None:
        return pictures
    deepest = int(subject.neurons["units"].layer.max())
    measure = measure_of(subject.info["task"])
    over = "the draws of one network" if subject.neurons["units"].seed.nunique() == 1 else "networks"
    for layer, table in sorted(subject.by_layer("masking"), key=lambda part: (part[0] == TOGETHER, part[0])):
        curves = table[table["fill"] == "zero"].rename(columns={"seed": "member"})
        last, name = layer in (deepest, TOGETHER), layer or "together"
        pictures.append(attempt(
            subject, partial(masking_pools, curves, measure), f"masking-{name}",
            f"Do significant units of {whose(layer)} matter more than random ones?",
            f"Test {measure} with a fraction of the units of a pool at zero, ten draws a network; band: 95 % "
            f"interval over {over}. Each pool has its control: as many units, drawn from all (dashed)."
            + " Each layer loses that fraction of its own." * (layer == TOGETHER), last,
            _means(curves[curves.selection.isin(POOLS)], measure)))
        if curves.selection.str.startswith("top:").any():
            pictures.append(attempt(
                subject, partial(masking_rankings, curves, measure), f"rankings-{name}",
                f"Whose ranking of the units of {whose(layer)} finds what matters?",
                f"Units at zero, highest score first. Bars: the mean {measure} over the curve, "
                f"{'lower' if measure == 'accuracy' else 'higher'} finds what matters; bold: the interval against "
                "random draws leaves out zero.", last, _means(
                    curves[curves.selection.str.startswith("top:") | (curves.selection == RANDOM)], measure)))
    return pictures


def whose(layer: int) -> str:
    """'layer 2', 'all layers together'."""
    return "all layers together" if layer == TOGETHER else f"layer {layer}"


@styled
def masking_pools(curves: pd.DataFrame, measure: Literal["accuracy", "loss"] = "accuracy") -> Figure:
    """The published question: a measure over the masked fraction of significant, other and random units.

    Each pool stands beside its control, as many units drawn from all; the band is the 95 % interval. `curves`: the
    table of `Masking.curves`, one layer and fill, with the selections of `by_significance`.
    """
    means = summary(_one_curve(curves), measure)
    figure = canvas(WIDTH, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    for name, colour in POOLS.items():
        rows = means[means.selection == name]
        if rows.empty:
            continue
        dashed = name.startswith("as many")
        left.fill_between(rows.fraction, rows.low, rows.high, color=colour, alpha=0.14, linewidth=0)
        (line,) = left.plot(rows.fraction, rows["mean"], color=colour, linewidth=1.6 if dashed else 2.2,
                            linestyle=(0, (4, 2)) if dashed else "-", marker="o", markersize=3, label=name)
        tell(line, *[f"{name}, {fraction:g} masked: {measure} {rounded(mean)}"
                     for fraction, mean in zip(rows.fraction, rows["mean"], strict=True)])
    left.set(xlabel="fraction of the pool masked", ylabel=measure)
    left.grid()
    left.legend(loc="lower left" if measure == "accuracy" else "upper left")
    left.set_title(f"{whose(curves.layer.iloc[0])}, units at {curves['fill'].iloc[0]}")
    _pool_bars(right, curves, means, measure)
    return figure


def _pool_bars(axes: Any, curves: pd.DataFrame, means: pd.DataFrame, measure: str) -> None:
    """The last fraction as dots with intervals, and how many units each masks."""
    last = means[means.fraction == means.fraction.max()].set_index("selection")
    names = [name for name in POOLS if name in last.index]
    counts = curves[curves.fraction == curves.fraction.max()].groupby("selection").units.mean()
    intact = means.loc[means.fraction == means.fraction.min(), "mean"].mean()
    if means.fraction.min() == 0:
        axes.axvline(intact, color=PALETTE["muted"], linewidth=1, linestyle=(0, (2, 2)))
        axes.text(intact, -0.72, "nothing masked ", ha="right", fontsize=7.5, color=PALETTE["muted"], va="center")
    for place, name in enumerate(names):
        row = last.loc[name]
        axes.plot([row.low, row.high], [place, place], color=POOLS[name], linewidth=4, alpha=0.4, solid_capstyle="butt")
        (dot,) = axes.plot(row["mean"], place, "o", color=POOLS[name], markersize=7)
        tell(dot, f"{name}: {rounded(row['mean'])} ({rounded(row.low)} to {rounded(row.high)})")
        axes.text(row["mean"], place - 0.24, rounded(row["mean"]), ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(names)), [f"{name}\n{counts[name]:.0f} units" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.95)
    axes.set_xlabel(f"{measure} at fraction {means.fraction.max():g}")
    axes.margins(x=0.12)
    axes.grid(axis="x")


@styled
def masking_rankings(curves: pd.DataFrame, measure: Literal["accuracy", "loss"] = "accuracy") -> Figure:
    """Which scorer's ranking makes a measure fall (or the loss rise) first: curves, and areas against random."""
    top = curves.selection.str.startswith("top:") & (curves.selection != f"top:{RANDOM}")  # one draw says too little
    chosen = _one_curve(curves[top | (curves.selection == RANDOM)])
    means, area = summary(chosen, measure), areas(chosen, measure)
    area = area.sort_values("mean", ascending=measure == "accuracy", kind="stable")
    ranked = [name for name in area.selection if name != RANDOM]
    palette = {name: scorer_colour(name.removeprefix("top:")) for name in ranked} | {RANDOM: GREY}
    figure = canvas(WIDTH, max(3.9, 1.4 + 0.27 * len(ranked)))
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    named = [RANDOM, *dict.fromkeys([*ranked[:NAMED], *ranked[-1:]])]
    for name in [*ranked[::-1], RANDOM]:
        rows = means[means.selection == name]
        if name in named:
            left.fill_between(rows.fraction, rows.low, rows.high, color=palette[name], alpha=0.14, linewidth=0)
        (line,) = left.plot(rows.fraction, rows["mean"], color=palette[name], alpha=1 if name in named else 0.45,
                            linewidth=3 if name == RANDOM else 2 if name in named else 1)
        tell(line, said(name))
    _name_ends(left, means, named, palette)
    left.set(xlabel="fraction of all units masked, highest score first", ylabel=measure)
    left.set_title(f"{whose(curves.layer.iloc[0])}, units at {curves['fill'].iloc[0]}")
    left.grid()
    _area_bars(right, area, palette, measure)
    return figure


def said(selection: str) -> str:
    """A selection's name in a figure."""
    return "random draws" if selection == RANDOM else selection.removeprefix("top:")


def _name_ends(axes: Any, means: pd.DataFrame, named: list[str], palette: dict[str, str]) -> None:
    """Names at the right ends of curves, apart."""
    last = means[means.fraction == means.fraction.max()].set_index("selection")["mean"]
    low, high = axes.get_ylim()
    places = spread([(last[name] - low) / (high - low) for name in named], 0.055)
    for name, place in zip(named, places, strict=True):
        axes.text(1.01, place, label(said(name), 26), transform=axes.transAxes, fontsize=8, va="center",
                  color=PALETTE["muted"] if name == RANDOM else palette[name])


def _area_bars(axes: Any, area: pd.DataFrame, palette: dict[str, str], measure: str) -> None:
    rows: list[Any] = list(area.itertuples())
    for place, row in enumerate(rows):
        (bar,) = axes.barh(place, row.mean, color=palette[row.selection], height=0.72)
        tell(bar, f"{said(row.selection)}: {rounded(row.mean)}")
        if np.isfinite(row.low):
            axes.plot([row.low, row.high], [place, place], color=PALETTE["ink"], linewidth=1.2)
        interval = f"{row.against_random:+.3f} against random".replace("-", "\N{MINUS SIGN}")
        clear = row.against_low > 0 or row.against_high < 0
        text = "" if row.selection == RANDOM else interval
        axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5,
                  fontweight="bold" if clear else "normal", color=PALETTE["ink"] if clear else PALETTE["muted"])
    axes.set_yticks(range(len(area)), [label(said(name), 30) for name in area.selection])
    axes.set_ylim(len(area) - 0.4, -0.6)
    axes.set_xlim(0, 1.15 * area["mean"].max())  # an interval of two networks may reach anywhere
    axes.set_xlabel(f"mean {measure} over the curve")
    axes.grid(axis="x")


def _means(curves: pd.DataFrame, measure: Literal["accuracy", "loss"]) -> pd.DataFrame | None:
    """`[selections, fractions]`, mean over networks: the table behind a figure."""
    if curves.empty:
        return None
    means = summary(curves, measure).pivot(index="selection", columns="fraction", values="mean")
    return means.rename(columns=lambda fraction: f"{fraction:.2g} masked").reset_index()


def _one_curve(curves: pd.DataFrame) -> pd.DataFrame:
    if curves.empty or len(curves[["layer", "fill"]].drop_duplicates()) != 1:
        raise InputError("a masking figure shows one layer and one fill: choose the rows of the table first")
    return curves
