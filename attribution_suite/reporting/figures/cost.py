"""What a removal cost, against what it left of the influence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import MINUS, percent, signed_percent
from attribution_suite.conclusions.summary import edits, part_left, unit_ranks
from attribution_suite.conclusions.words import averaged, interval_words
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    WIDTH,
    Picture,
    canvas,
    label,
    picture,
    spread,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject

GONE, STRIP = 1.0, 1.6  # per cent of the effect that count as gone; how wide their strip is, in powers of ten
LABEL = 0.185  # inches from a label to the next
LOSS_TICKS = (-1000, -100, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)


@styled
def cost(subject: Subject) -> Picture | None:
    """Test loss against the direct effect left: a panel a removed feature, a point a method, a strip for 'gone'."""
    if not subject.removals:
        return None
    points = _cost_points(subject)
    known = points.dropna(subset=["left", "cost"])
    panels = list(known.groupby("removed", sort=False))
    if not panels:
        return None
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    height = max(2.3, 0.75 + LABEL * max(len(rows) for _, rows in panels))
    figure = canvas(WIDTH * (0.62 if across == 1 else 1), 0.3 + height * down)
    grid = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
    for axes in grid[len(panels):]:
        axes.set_visible(False)
    for axes, (name, rows) in zip(grid, panels, strict=False):
        _cost_dots(axes, rows)
        axes.set_title(f"{label(str(name), 40)} removed")
    _cost_axes(grid[:len(panels)], known)
    for axes, (_, rows) in zip(grid, panels, strict=False):
        _cost_labels(axes, rows, LABEL / (height - 0.75))
    for axes in grid[::across]:
        axes.set_ylabel("change of test loss")
    for axes in grid[max(0, len(panels) - across):len(panels)]:
        axes.set_xlabel("direct effect left, of what it was")
        axes.tick_params(labelbottom=True)
    caption = (f"The strip at the left holds what is gone: less than {GONE:g} % of the direct effect left; low costs "
               "little. Bold: no other method leaves less and costs less. "
               f"{averaged(subject.networks, subject.splits)}"
               + interval_words(subject.networks, subject.splits, "; bars: 95 % interval")
               + f". The loss is linear up to 10 % and logarithmic beyond, the effect logarithmic from {GONE:g} %. "
               "What was not measured has no point.")
    alt = f"Scatter of test loss change against direct effect left for {len(subject.removals)} removal methods."
    return picture(figure, subject, "cost", "Cost against residual influence", caption, alt, points)


def _cost_points(subject: Subject) -> pd.DataFrame:
    """A row a method and removed feature, in %: what is left of the effect, the loss's change, each with interval."""
    outcomes = unit_ranks(subject.tables["outcomes"])
    edited = edits(outcomes[outcomes.removed.isin(subject.shown)])
    rows = []
    for (removal, feature), own in edited.groupby(["removal", "removed"], sort=False):
        left = 100 * np.array(subject.interval(own, part_left(own.direct_effect, own.direct_effect_before)))
        loss = 100 * np.array(subject.interval(own, own.loss_native / own.loss_before - 1))
        rows.append([removal, feature, *left, *loss])
    return pd.DataFrame(rows, columns=["method", "removed", "left", "left_low", "left_high", "cost", "cost_low",
                                       "cost_high"])


def _across(left: Any) -> Any:
    """Where a part left, in %, stands: 0 in the strip, from `STRIP` on by its logarithm."""
    return np.where(np.asarray(left) < GONE, 0.0, STRIP + np.log10(np.maximum(left, GONE) / GONE))


def _cost_dots(axes: Any, rows: pd.DataFrame) -> None:
    every: list[Any] = list(rows.itertuples())
    for row in every:
        x, colour = float(_across(row.left)), PALETTE["gone" if row.left < GONE else "still"]
        if np.isfinite(row.cost_low):
            axes.plot([x, x], [row.cost_low, row.cost_high], color=colour, linewidth=1, alpha=0.35)
            if row.left >= GONE:
                ends = np.maximum(_across([row.left_low, row.left_high]), STRIP)
                axes.plot(ends, [row.cost, row.cost], color=colour, linewidth=1, alpha=0.35)
        (dot,) = axes.plot(x, row.cost, "o", color=colour, markersize=6, markeredgecolor=PALETTE["paper"],
                           markeredgewidth=0.7, zorder=4)
        tell(dot, f"{row.method}, {row.removed} removed: {percent(row.left / 100)} of the direct effect left, test "
                  f"loss {signed_percent(row.cost / 100)}")


def _cost_axes(grid: Sequence[Any], points: pd.DataFrame) -> None:
    """Scales and ticks, the same for all panels."""
    first = grid[0]
    first.set_yscale("symlog", linthresh=10.0, linscale=1.2)
    known = points[["cost", "cost_low", "cost_high"]].to_numpy()
    low, high = min(0.0, float(np.nanmin(known))), max(0.0, float(np.nanmax(known)))
    ends = [first.transScale.transform((0, value))[1] for value in (low, high)]
    room = 0.08 * (ends[1] - ends[0]) + 0.1
    first.set_ylim(*[first.transScale.inverted().transform((0, end))[1] for end in (ends[0] - room, ends[1] + room)])
    most = max(120.0, float(np.nanmax(points[["left", "left_high"]].to_numpy())))
    first.set_xlim(-0.12, float(_across(most)) + 0.05)
    ticks = [tick for tick in (1.0, 10.0, 100.0, 1000.0) if tick <= most]
    first.set_xticks([0.0, *_across(ticks)], [f"gone (< {GONE:g} %)", *[f"{tick:.0f} %" for tick in ticks]])
    steps = [tick for tick in LOSS_TICKS if first.get_ylim()[0] <= tick <= first.get_ylim()[1]]
    first.set_yticks(steps, [f"{tick:+,d} %".replace("-", MINUS).replace("+0 ", "0 ") for tick in steps])
    first.minorticks_off()
    for axes in grid:
        axes.axvspan(-0.12, STRIP - 0.12, color=PALETTE["gone-soft"], zorder=0)
        axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
        axes.grid(axis="y")


def _cost_labels(axes: Any, rows: pd.DataFrame, gap: float) -> None:
    """Every point's method beside it, moved up or down where labels would meet; the undominated ones in bold."""
    scale, (low, high) = axes.transScale, axes.get_ylim()
    bottom, top = (scale.transform((0, value))[1] for value in (low, high))
    left, price = rows.left.where(rows.left >= GONE, 0.0).to_numpy(), rows.cost.to_numpy()
    beaten: Any = ((left[:, None] >= left) & (price[:, None] >= price) & (
        (left[:, None] > left) | (price[:, None] > price))).any(1)
    x = _across(rows.left)
    for strip in (True, False):
        group = np.flatnonzero((rows.left.to_numpy() < GONE) == strip)
        heights = np.array([(scale.transform((0, price[place]))[1] - bottom) / (top - bottom) for place in group])
        for place, height, moved in zip(group, heights, spread(list(heights), gap, gap / 2, 1 - gap / 2), strict=True):
            to_left = not strip and x[place] > STRIP + 1.1
            end = x[place] + (-0.1 if to_left else 0.1)
            y = scale.inverted().transform((0, bottom + moved * (top - bottom)))[1]
            if abs(moved - height) > gap / 3:
                axes.plot([x[place], end], [price[place], y], color=PALETTE["muted"], linewidth=0.6, zorder=1)
            name = axes.text(end + (-0.02 if to_left else 0.02), y, label(str(rows.method.iloc[place]), 24),
                             ha="right" if to_left else "left", va="center", fontsize=8,
                             fontweight="normal" if beaten[place] else "bold", zorder=5, bbox={
                                 "facecolor": PALETTE["gone-soft" if strip else "paper"], "edgecolor": "none",
                                 "alpha": 0.8, "pad": 0.4})
            name.set_in_layout(False)
