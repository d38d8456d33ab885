"""The heart of the report: removal × scorer, how far the removed feature's share of influence moved."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.patches import Rectangle

from attribution_suite.audit.tables import ORIGINAL
from attribution_suite.report.figures_style import (
    PALETTE,
    SHIFT_COLOURS,
    Picture,
    canvas,
    drawn,
    ink_on,
    label,
    picture,
)
from attribution_suite.report.reading import CONTROL, Subject
from attribution_suite.report.summary import MINUS, seed_interval

NORM = TwoSlopeNorm(0.0, vmin=-1.0, vmax=1.0)
EFFECT = "direct effect"


def shift_matrix(subject: Subject, removed: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean shift and the half width of its 95 % interval over seeds, `[removals, (direct effect, scorers)]`.

    The first column is direct_effect / direct_effect_before − 1, what the output itself says; the others are
    target_shift. Means over the features in `removed` within a seed first. NaN where the method does not apply.
    """
    outcomes, shifts = subject.tables["outcomes"], subject.tables["shifts"]
    edited = outcomes[outcomes.removal != ORIGINAL]
    before = edited.direct_effect_before.where(edited.direct_effect_before > 0)
    effect = edited.assign(scorer=EFFECT, target_shift=edited.direct_effect / before - 1)
    columns = ["removal", "scorer", "seed", "target_shift"]
    both = pd.concat([frame.loc[frame.removed.isin(removed), columns] for frame in (effect, shifts[shifts.applicable])])
    seeds = both.groupby(columns[:3]).target_shift.mean()
    cells = {key: seed_interval(values.to_numpy()) for key, values in seeds.groupby(["removal", "scorer"])}
    order = [EFFECT, *subject.scorers]
    mean = pd.DataFrame(np.nan, index=subject.removals, columns=order)
    half = mean.copy()
    for (removal, scorer), (value, low, high) in cells.items():
        mean.loc[removal, scorer], half.loc[removal, scorer] = value, (high - low) / 2
    return mean, half


@drawn
def matrix(subject: Subject) -> Picture | None:
    """Removal × scorer: how far the removed features' share moved; −100 is gone, 0 unchanged."""
    if not subject.removals:
        return None
    mean, half = shift_matrix(subject, subject.removed)
    blocks = [[EFFECT], [name for name in subject.scorers if name != CONTROL]]
    if CONTROL in mean.columns:
        blocks.append([CONTROL])
    side, cell = 1.75, min(0.72, 11.0 / len(mean.columns))
    figure = canvas(side + cell * (len(mean.columns) + 0.6), 2.25 + 0.5 * len(mean))
    axes = figure.add_subplot()
    left = 0.0
    places: dict[str, float] = {}
    for block in blocks:
        _cells(axes, mean[block], half[block], left, voter=CONTROL not in block)
        places.update({name: left + i + 0.5 for i, name in enumerate(block)})
        left += len(block) + 0.3
    _matrix_axes(figure, axes, places, list(mean.index), left - 0.3)
    features = len(subject.removed)
    caption = (
        f"Change of the removed feature's share of influence, in per cent: {MINUS}100 is gone, 0 unchanged, +100 "
        f"doubled. Mean over {features} removed feature{'s' * (features > 1)} and the seeds; ± is half the 95 % "
        "interval over seeds. The first column asks the output itself, without any attribution method; the last one, "
        "set apart, is a control that scores at random. 'n/a': the method cannot change what this scorer reads.")
    alt = f"Matrix of {len(mean)} removal methods by {len(mean.columns)} readings; the table below it has the numbers."
    return picture(figure, subject, "matrix", "What each scorer says of each removal", caption, alt)


def _cells(axes: Any, mean: pd.DataFrame, half: pd.DataFrame, left: float, voter: bool) -> None:
    """One block of the matrix; the control keeps its numbers but no colour, for it says nothing of the removal."""
    for (row, column), value in np.ndenumerate(mean.to_numpy()):
        known = voter and not np.isnan(value)
        back = SHIFT_COLOURS(NORM(value)) if known else PALETTE["panel"]
        ink = ink_on(back) if known else PALETTE["muted"]
        corner, spread = (left + column, row), float(half.to_numpy()[row, column])
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=back, edgecolor=PALETTE["paper"], linewidth=2))
        x, y, noted = corner[0] + 0.5, row + 0.5, spread >= 0.005
        axes.text(x, y - 0.11 * noted, shift_text(value), ha="center", va="center", fontsize=9 if known else 8.5,
                  fontweight="bold" if known else "normal", color=ink)
        if noted:
            axes.text(x, y + 0.24, f"±{100 * spread:.0f}", ha="center", va="center", fontsize=6.8, color=ink)


def shift_text(value: float) -> str:
    """A shift in per cent; −100 only for what is gone, so that 'nearly' never reads as 'gone'; 'n/a' for NaN."""
    if np.isnan(value):
        return "n/a"
    if -1 + 1e-6 < value < -0.995:
        return f"{MINUS}{min(-100 * value, 99.9):.1f}"
    return f"{100 * value:+.0f}".replace("-", MINUS).replace("+0", "0").replace(f"{MINUS}0", "0")


def _matrix_axes(figure: Any, axes: Any, places: dict[str, float], rows: list[str], right: float) -> None:
    axes.set_xlim(0, right)
    axes.set_ylim(len(rows), 0)
    axes.spines[:].set_visible(False)
    axes.xaxis.tick_top()
    axes.set_xticks(list(places.values()), [label(name, 28) for name in places], rotation=38, ha="left",
                    rotation_mode="anchor")
    axes.set_yticks(np.arange(len(rows)) + 0.5, [label(name, 28) for name in rows])
    for tick in axes.get_xticklabels()[:1]:
        tick.set_fontweight("bold")
    bar = figure.colorbar(ScalarMappable(NORM, SHIFT_COLOURS), ax=axes, orientation="horizontal", aspect=60,
                          shrink=0.62, pad=0.03)
    bar.outline.set_visible(False)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1], labels=[f"{MINUS}100 % gone", f"{MINUS}50 %", "0 unchanged", "+50 %",
                                                 "+100 % or more"])
