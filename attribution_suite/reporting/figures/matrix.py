"""The heart of the report: removal × scorer, how far the removed feature's share of influence moved."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attribution_suite.conclusions.numbers import MINUS
from attribution_suite.conclusions.summary import edits, part_left, unit_ranks
from attribution_suite.conclusions.words import averaged, interval_words
from attribution_suite.reporting.figures.shades import PALETTE, SHIFT_COLOURS, ink_on
from attribution_suite.reporting.figures.style import (
    Picture,
    canvas,
    inside,
    label,
    picture,
    styled,
)
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL

NORM = TwoSlopeNorm(0.0, vmin=-1.0, vmax=1.0)
EFFECT = "direct effect"
GAP = 1.0  # rows between two removed features, for the name of the second


class Matrix(NamedTuple):
    """`[removals, (direct effect, scorers)]`: mean shift, half the width of its interval, what was not measured."""

    mean: pd.DataFrame
    half: pd.DataFrame
    missing: pd.DataFrame


def shift_matrix(subject: Subject, removed: str, seed: int | None = None) -> Matrix:
    """How far the influence of one removed feature moved: mean over networks, 95 % interval over them.

    The first column is direct_effect / direct_effect_before − 1, what the output itself says; the others are
    target_shift. NaN where the method does not apply, and where `missing` says that it was not measured. `seed`: that
    network alone.
    """
    outcomes, shifts = (unit_ranks(subject.tables[name]) for name in ("outcomes", "shifts"))
    edited = edits(outcomes)
    effect = edited.assign(scorer=EFFECT,
                           target_shift=part_left(edited.direct_effect, edited.direct_effect_before) - 1)
    both = pd.concat([frame.loc[frame.removed == removed, ["removal", "scorer", "split", "seed", "target_shift"]]
                      for frame in (effect, shifts[shifts.applicable])])
    both = both if seed is None else both[both.seed == seed]
    mean = pd.DataFrame(np.nan, index=subject.removals, columns=[EFFECT, *subject.scorers])
    half = mean.copy()
    for (removal, scorer), rows in both.groupby(["removal", "scorer"]):
        mean.loc[removal, scorer], low, high = subject.interval(rows, rows.target_shift)
        half.loc[removal, scorer] = (high - low) / 2
    missing = _missing(subject, removed, mean, seed)
    return Matrix(mean.mask(missing), half.mask(missing), missing)


def _missing(subject: Subject, removed: str, mean: pd.DataFrame, seed: int | None) -> pd.DataFrame:
    """What applies, and has no number before or after the removal in some network; of one network, in that one."""
    outcomes, shifts = (unit_ranks(subject.tables[name]) for name in ("outcomes", "shifts"))
    both = pd.concat([
        outcomes[outcomes[["direct_effect_before", "direct_effect"]].notna().all(axis=1)].assign(scorer=EFFECT),
        shifts[shifts[["share_before", "share_after"]].notna().all(axis=1)]])
    known = both[(both.removed == removed) & (both.seed.eq(seed) if seed is not None else True)]
    counts = known.groupby(["removal", "scorer"]).size().unstack().reindex(mean.index, columns=mean.columns)
    missing = counts.fillna(0) < (subject.networks if seed is None else 1)
    refused = subject.verdicts[(subject.verdicts.removed == removed) & (subject.verdicts.not_applicable != "")]
    for removal, scorers in zip(refused.removal, refused.not_applicable, strict=True):
        missing.loc[removal, scorers.split(", ")] = False
    return missing


@styled
def matrix(subject: Subject) -> Picture | None:
    """Removal × scorer, a block a removed feature: how far its share moved; −100 is gone, 0 unchanged."""
    if not subject.removals:
        return None
    found = {feature: shift_matrix(subject, feature) for feature in subject.shown}
    columns = [EFFECT, *[name for name in subject.scorers if name != CONTROL]]
    blocks, count = [columns[:1], columns[1:]], len(subject.removals)
    side, cell, height = 2.4, min(0.72, 11.0 / len(columns)), len(found) * (count + GAP)
    figure = canvas(side + cell * (len(columns) + 0.6), 2.25 + 0.46 * height)
    axes = figure.add_subplot()
    places: dict[str, float] = {}
    left = 0.0
    for block in blocks:
        places.update({name: left + i + 0.5 for i, name in enumerate(block)})
        for place, values in enumerate(found.values()):
            _cells(axes, Matrix(*(part[block] for part in values)), left, place * (count + GAP) + GAP,
                   written=cell > 0.4)
        left += len(block) + 0.3
    rows: dict[float, str] = {}
    for place, feature in enumerate(found):
        top = place * (count + GAP)
        axes.text(0, top + 0.72 * GAP, f"{label(feature, 40)} removed", fontsize=9.5, fontweight="bold", va="center")
        rows |= {top + GAP + i + 0.5: name for i, name in enumerate(subject.removals)}
    _matrix_axes(figure, axes, places, rows, (left - 0.3, height))
    more = len(subject.removed) - len(found)
    caption = (
        f"Change of the removed feature's share of influence, in per cent: {MINUS}100 is gone, 0 unchanged, +100 "
        f"doubled; each removed feature by itself. {averaged(subject.networks, subject.splits)}"
        + interval_words(subject.networks, subject.splits, "; ± is half the 95 % interval") + ". The first column asks "
        "the output itself, without any attribution method. The random control is left out: its share moves by "
        "chance. 'n/a': the method cannot change what this scorer reads; '?': it was not measured, which is not gone."
        + (f" {more} more removed features are not drawn: the table above has them." if more > 0 else ""))
    alt = (f"Matrix of {count} removal methods by {len(columns)} readings for {', '.join(found)}; the tables below it "
           "have the numbers.")
    table = pd.concat([each.mean[columns].reset_index(names="method").assign(removed=feature)
                       for feature, each in found.items()])
    return replace(picture(figure, subject, "matrix", "What each scorer says of each removal", caption, alt, table),
                   on_page=False)


def _cells(axes: Any, block: Matrix, left: float, top: float, written: bool) -> None:
    """One block of the matrix."""
    cells, backs = [], []
    for (row, column), value in np.ndenumerate(block.mean.to_numpy()):
        known = not np.isnan(value)
        back = SHIFT_COLOURS(NORM(value)) if known else PALETTE["panel"]
        ink = ink_on(back) if known else PALETTE["muted"]
        corner, spread = (left + column, top + row), float(block.half.to_numpy()[row, column])
        cells.append(Rectangle(corner, 1, 1))
        backs.append(back)
        x, y, noted = corner[0] + 0.5, corner[1] + 0.5, spread >= 0.005
        if not written:
            continue
        text = "?" if block.missing.to_numpy()[row, column] else shift_text(value)
        inside(axes, x, y - 0.11 * noted, text, fontsize=9 if known else 8.5,
               fontweight="bold" if known else "normal", color=ink)
        if noted:
            inside(axes, x, y + 0.24, f"±{100 * spread:.0f}", fontsize=6.8, color=ink)
    axes.add_collection(PatchCollection(cells, facecolors=backs, edgecolors=PALETTE["paper"], linewidths=2))


def shift_text(value: float) -> str:
    """A shift in per cent; −100 only for what is gone, never for 'nearly'; 'n/a' for NaN, 'new' from nothing."""
    if np.isnan(value):
        return "n/a"
    if np.isinf(value):
        return "new"
    if -1 + 1e-6 < value < -0.995:
        return f"{MINUS}{min(-100 * value, 99.9):.1f}"
    return f"{100 * value:+.0f}".replace("-", MINUS).replace("+0", "0").replace(f"{MINUS}0", "0")


def _matrix_axes(figure: Figure, axes: Any, places: dict[str, float], rows: dict[float, str],
                 size: tuple[float, float]) -> None:
    axes.set_xlim(0, size[0])
    axes.set_ylim(size[1], 0)
    axes.spines[:].set_visible(False)
    axes.xaxis.tick_top()
    axes.set_xticks(list(places.values()), [label(name, 28) for name in places], rotation=38, ha="left",
                    rotation_mode="anchor")
    axes.set_yticks(list(rows), [label(name, 28) for name in rows.values()])
    for tick in axes.get_xticklabels()[:1]:
        tick.set_fontweight("bold")
    narrow = len(places) < 8  # the words of a wide bar would run into each other
    bar = figure.colorbar(ScalarMappable(NORM, SHIFT_COLOURS), ax=axes, orientation="horizontal",
                          aspect=20 if narrow else 60, shrink=1 if narrow else 0.62, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_ticks([-1, 0, 1] if narrow else [-1, -0.5, 0, 0.5, 1], labels=(
        [f"{MINUS}100", "0", "+100 %"] if narrow else
        [f"{MINUS}100 % gone", f"{MINUS}50 %", "0 unchanged", "+50 %", "+100 % or more"]))
