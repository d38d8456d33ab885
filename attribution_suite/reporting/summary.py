"""The audit in one table for the terminal: per data set, removed feature and method, what is left and its cost."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from attribution_suite.conclusions.numbers import arrow, measured, percent, seconds, signed_percent
from attribution_suite.conclusions.words import averaged

INTERVAL = "left (95 %)"


def format_summary(summary: pd.DataFrame) -> str:
    """`summary_table` as aligned lines: a heading, a line a data set, removed feature and method, the reading rule."""
    if summary.empty:
        return "nothing was removed: no summary"
    several = bool(summary.seeds.max() > 1)
    head = ["data set", "removed", "method", "target share", INTERVAL, "direct effect", "test loss", "flips", "seconds"]
    lines = [head, *(_line(row) for _, row in summary.iterrows())]
    for above, line in reversed(list(pairwise(lines))):
        if above[:2] == line[:2]:
            line[1] = ""
        if above[0] == line[0]:
            line[0] = ""
    if not several:
        lines = [line[:4] + line[5:] for line in lines]
    note = (f"target share: median over scorers, before → after; direct effect: left of what it was; seconds: one "
            f"network.\n{averaged(int(summary.seeds.max()))}.")
    return f"{align(lines)}\n\n{note}" + (" Left: interval of the share after, over networks." if several else "")


def _line(row: pd.Series) -> list[str]:
    name = row.dataset if row.layer == 0 else f"{row.dataset}, layer {row.layer}"
    left = "–" if pd.isna(row.share_after_low) else f"{percent(row.share_after_low)} to {percent(row.share_after_high)}"
    return [
        f"{name} (simulated)" if row.simulated else name,
        row.removed,
        row.removal,
        arrow(row.share_before, row.share_after),
        left,
        measured(percent(row.effect_left)),
        measured(signed_percent(row.loss_change)),
        percent(row.flip_rate),
        seconds(row.seconds),
    ]


def align(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns: the first three to the left, the others to the right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = ((cell.ljust(width) if i < 3 else cell.rjust(width) for i, (cell, width) in
              enumerate(zip(line, widths, strict=True))) for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in cells)
