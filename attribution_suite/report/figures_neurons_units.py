"""Figures of units: which fire for which class, how they separate the classes, and what masking them costs."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from attribution_suite.errors import InputError
from attribution_suite.neurons.masking import RANDOM, areas, summary
from attribution_suite.report.figures_neurons_base import CLASS_COLOURS, number, styled
from attribution_suite.report.figures_style import GREY, PALETTE, SCORER_COLOURS, WIDTH, canvas, label

POOLS = {"significant": "#b4431f", "as many as significant": "#e8a488", "non-significant": "#1d5c8f",
         "as many as non-significant": "#93b8d6", RANDOM: GREY}
BINS = 28


@styled
def distributions(values: np.ndarray, labels: np.ndarray, classes: Sequence[str], tests: pd.DataFrame,
                  count: int = 4) -> Figure:
    """The `count` most and least normal units, each class apart: histogram, density, and what the test says.

    `values` `[rows, units]` of one member, `labels` `[rows]` class indices, `tests` that member's rows of
    `UnitTests.to_frame()`. Normal is by Shapiro's p in the class where it is smallest. Units that cannot be tested
    (constant in a class) are left out.
    """
    ranked = tests.dropna(subset="normality").sort_values("normality", ascending=False, kind="stable")
    if ranked.empty:
        raise InputError("no unit of this layer could be tested for normality: all are constant in some class")
    count = min(count, max(1, len(ranked) // 2))
    figure = canvas(WIDTH, 5.4)
    grid = figure.subplots(2, count, squeeze=False)
    for line, title, chosen in zip(grid, ("most normal", "least normal"), (ranked[:count], ranked[:-count - 1:-1]),
                                   strict=True):
        units: list[Any] = list(chosen.itertuples())
        for axes, unit in zip(line, units, strict=True):
            _distribution(axes, values[:, unit.unit], labels, len(classes))
            axes.set_title(f"unit {unit.unit}", pad=26)
            says = f"Shapiro p {_p(unit.normality)}\neffect {number(unit.effect, 2)}, Holm p {_p(unit.p_holm)}"
            axes.text(0, 1.02, says, transform=axes.transAxes, fontsize=7.5, color=PALETTE["muted"], va="bottom")
        line[0].set_ylabel(f"{title}\nrows")
    handles = [_patch(CLASS_COLOURS[place % len(CLASS_COLOURS)]) for place in range(len(classes))]
    figure.legend(handles, [label(name) for name in classes], loc="outside upper right", ncols=min(8, len(classes)))
    figure.supxlabel("pre-activation of the unit", fontsize=9)
    return figure


def _distribution(axes: Any, values: np.ndarray, labels: np.ndarray, classes: int) -> None:
    edges = np.histogram_bin_edges(values, BINS)
    for place in range(classes):
        own, colour = values[labels == place], CLASS_COLOURS[place % len(CLASS_COLOURS)]
        axes.hist(own, edges, color=colour, alpha=0.35, linewidth=0)
        if len(own) > 2 and np.ptp(own) > 0:
            along = np.linspace(edges[0], edges[-1], 200)
            axes.plot(along, gaussian_kde(own)(along) * len(own) * (edges[1] - edges[0]), color=colour, linewidth=1.6)
    axes.grid(axis="y")
    axes.tick_params(labelsize=7.5)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value, 2)


def _patch(colour: str) -> Any:
    from matplotlib.patches import Patch
    return Patch(color=colour)


@styled
def masking_pools(curves: pd.DataFrame, measure: Literal["accuracy", "loss"] = "accuracy") -> Figure:
    """The published question: a measure over the masked fraction of significant, other and random units.

    Each pool stands beside its control, as many units drawn from all; the band is the 95 % interval. `curves`: the
    table of `Masking.curves`, one layer and fill, with the selections of `by_significance`.
    """
    found = summary(_one_curve(curves), measure)
    figure = canvas(WIDTH, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    for name, colour in POOLS.items():
        rows = found[found.selection == name]
        if rows.empty:
            continue
        dashed = name.startswith("as many")
        left.fill_between(rows.fraction, rows.low, rows.high, color=colour, alpha=0.14, linewidth=0)
        left.plot(rows.fraction, rows["mean"], color=colour, linewidth=1.6 if dashed else 2.2,
                  linestyle=(0, (4, 2)) if dashed else "-", marker="o", markersize=3, label=name)
    left.set(xlabel="fraction of the pool masked", ylabel=measure)
    left.grid()
    left.legend(loc="lower left" if measure == "accuracy" else "upper left")
    left.set_title(f"layer {curves.layer.iloc[0]}, units at {curves['fill'].iloc[0]}")
    _pool_bars(right, curves, found, measure)
    return figure


def _pool_bars(axes: Any, curves: pd.DataFrame, found: pd.DataFrame, measure: str) -> None:
    """The last fraction as dots with intervals, and how many units each masks."""
    last = found[found.fraction == found.fraction.max()].set_index("selection")
    names = [name for name in POOLS if name in last.index]
    counts = curves[curves.fraction == curves.fraction.max()].groupby("selection").units.mean()
    intact = found.loc[found.fraction == found.fraction.min(), "mean"].mean()
    if found.fraction.min() == 0:
        axes.axvline(intact, color=PALETTE["muted"], linewidth=1, linestyle=(0, (2, 2)))
        axes.text(intact, -0.72, "nothing masked ", ha="right", fontsize=7.5, color=PALETTE["muted"], va="center")
    for place, name in enumerate(names):
        row = last.loc[name]
        axes.plot([row.low, row.high], [place, place], color=POOLS[name], linewidth=4, alpha=0.4, solid_capstyle="butt")
        axes.plot(row["mean"], place, "o", color=POOLS[name], markersize=7)
        axes.text(row["mean"], place - 0.24, number(row["mean"]), ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(names)), [f"{name}\n{counts[name]:.0f} units" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.95)
    axes.set_xlabel(f"{measure} at fraction {found.fraction.max():g}")
    axes.margins(x=0.12)
    axes.grid(axis="x")


@styled
def masking_rankings(curves: pd.DataFrame, measure: Literal["accuracy", "loss"] = "accuracy") -> Figure:
    """Which scorer's ranking makes a measure fall (or the loss rise) first: curves, and areas against random."""
    top = curves.selection.str.startswith("top:") & (curves.selection != f"top:{RANDOM}")  # one draw says too little
    chosen = _one_curve(curves[top | (curves.selection == RANDOM)])
    found, area = summary(chosen, measure), areas(chosen, measure)
    area = area.sort_values("mean", ascending=measure == "accuracy", kind="stable")
    ranked = [name for name in area.selection if name != RANDOM]
    palette = {name: SCORER_COLOURS[place % len(SCORER_COLOURS)] for place, name in enumerate(ranked)} | {RANDOM: GREY}
    figure = canvas(WIDTH, max(3.9, 1.4 + 0.27 * len(ranked)))
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
    for name in [RANDOM, *ranked]:
        rows = found[found.selection == name]
        left.fill_between(rows.fraction, rows.low, rows.high, color=palette[name], alpha=0.14, linewidth=0)
        left.plot(rows.fraction, rows["mean"], color=palette[name], linewidth=3 if name == RANDOM else 1.8)
    left.set(xlabel="fraction of all units masked, highest score first", ylabel=measure)
    left.set_title(f"layer {curves.layer.iloc[0]}, units at {curves['fill'].iloc[0]}")
    left.grid()
    _area_bars(right, area, palette, measure)
    return figure


def _area_bars(axes: Any, area: pd.DataFrame, palette: dict[str, str], measure: str) -> None:
    rows: list[Any] = list(area.itertuples())
    for place, row in enumerate(rows):
        axes.barh(place, row.mean, color=palette[row.selection], height=0.72)
        if np.isfinite(row.low):
            axes.plot([row.low, row.high], [place, place], color=PALETTE["ink"], linewidth=1.2)
        interval = f"  {row.against_random:+.3f} against random".replace("-", "\N{MINUS SIGN}")
        clear = row.against_low > 0 or row.against_high < 0
        text = "" if row.selection == RANDOM else interval
        axes.text(np.nanmax([row.mean, row.high]), place, text, va="center", fontsize=7.5,
                  fontweight="bold" if clear else "normal", color=PALETTE["ink"] if clear else PALETTE["muted"])
    axes.set_yticks(range(len(area)), ["random draws" if name == RANDOM else label(name.removeprefix("top:"), 30)
                                       for name in area.selection])
    axes.set_ylim(len(area) - 0.4, -0.6)
    axes.set_xlim(0, 1.5 * area["mean"].max())
    axes.set_xlabel(f"mean {measure} over the curve")
    axes.grid(axis="x")


def _one_curve(curves: pd.DataFrame) -> pd.DataFrame:
    if curves.empty or len(curves[["layer", "fill"]].drop_duplicates()) != 1:
        raise InputError("a masking figure shows one layer and one fill: choose the rows of the table first")
    return curves


@styled
def activity_map(activity: pd.DataFrame, most: int = 60) -> Figure:
    """How often each unit is active in each predicted class: the `most` units of a layer that differ most by class.

    `activity`: rows of one member and layer of `neurons.activations.activity`.
    """
    rate = activity[activity.rows > 0].pivot(index="predicted", columns="unit", values="rate")
    states = activity.drop_duplicates("unit").state.value_counts()
    order = (rate.max() - rate.min()).sort_values(ascending=False, kind="stable").index[:most]
    rate = rate.reindex(activity.predicted.unique()).dropna(how="all")[order]
    busiest = rate.to_numpy().argmax(0)  # units of a class side by side
    rate = rate.iloc[:, np.argsort(busiest, kind="stable")]
    figure = canvas(WIDTH, 1.5 + 0.36 * len(rate))
    axes = figure.subplots()
    image = axes.imshow(rate, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_yticks(range(len(rate)), [label(str(name)) for name in rate.index])
    axes.set_xticks(range(len(rate.columns)), rate.columns, rotation=90 if len(rate.columns) > 30 else 0, fontsize=7)
    axes.set_xlabel("unit" if rate.shape[1] == activity.unit.nunique() else
                    f"unit ({rate.shape[1]} of {activity.unit.nunique()}, those that differ most by class)")
    axes.set_ylabel("predicted class")
    axes.spines[:].set_visible(False)
    axes.set_title(" · ".join(f"{count} {state}" for state, count in states.items()), fontweight="normal", fontsize=8.5)
    figure.colorbar(image, ax=axes, label="rate of activity", fraction=0.025, pad=0.01).outline.set_visible(False)
    return figure
