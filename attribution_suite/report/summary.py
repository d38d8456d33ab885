"""The audit in one short table: per data set and method, what is left of the influence and what it cost."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from attribution_suite.audit.tables import ORIGINAL
from attribution_suite.measures.statistics import bootstrap_mean
from attribution_suite.report.reading import CONTROL

UNIT = ["dataset", "layer", "removal"]
MINUS = "\N{MINUS SIGN}"


def summary_table(tables: Mapping[str, pd.DataFrame], simulated: Collection[str] = ()) -> pd.DataFrame:
    """One row a data set, layer and removal, from the tables `shifts` and `outcomes` (audit/tables.py).

    Every figure is the mean over removed features, then over seeds; `_low` and `_high` are the 95 % bootstrap interval
    over seeds. `share_before` and `share_after` are first the median over the applicable scorers, the `random` control
    left out. `effect_left` is Σ direct_effect / Σ direct_effect_before over features; `loss_change` is
    loss_native / loss_before − 1; `seconds` is that of one network. NaN where a value does not exist (flips in
    regression), never zero. `simulated` names the data sets whose rows are a stand-in.
    """
    shifts, outcomes = tables["shifts"], tables["outcomes"]
    voters = shifts[shifts.applicable & (shifts.scorer != CONTROL)]
    shares = voters.groupby([*UNIT, "seed", "removed"], sort=False)[["share_before", "share_after"]].median()
    facts = outcomes[outcomes.removal != ORIGINAL].set_index([*UNIT, "seed", "removed"])
    facts = facts[["direct_effect_before", "direct_effect", "flip_rate", "seconds"]].assign(
        loss_change=facts.loss_native / facts.loss_before - 1)
    seeds = facts.join(shares).groupby([*UNIT, "seed"], sort=False).mean()
    seeds["effect_left"] = ratio(seeds.direct_effect, seeds.direct_effect_before)
    rows = [
        {**dict(zip(UNIT, unit, strict=True)), "simulated": unit[0] in simulated, "seeds": len(group), **_row(group)}
        for unit, group in seeds.groupby(UNIT, sort=False)
    ]
    return pd.DataFrame(rows)


def _row(seeds: pd.DataFrame) -> dict[str, float]:
    """Mean and interval over seeds of each column."""
    names = {"direct_effect_before": "effect_before", "direct_effect": "effect_after"}
    row: dict[str, float] = {}
    for column in seeds.columns:
        name = names.get(str(column), str(column))
        row[name], row[f"{name}_low"], row[f"{name}_high"] = seed_interval(seeds[column].to_numpy())
    return row


def seed_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of `[seeds]` by bootstrap; seeds that have no value (NaN) are left out.

    The ends are NaN where there are no two finite values to draw from, the mean too where there is none at all.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan, np.nan
    if len(values) == 1 or np.isinf(values).any():
        return float(values.mean()), np.nan, np.nan
    interval = bootstrap_mean(values)
    return float(interval.mean), float(interval.low), float(interval.high)


def ratio(after: pd.Series, before: pd.Series) -> pd.Series:
    """after / before; NaN where before is 0 (there was nothing to remove)."""
    return after / before.where(before != 0)


def format_summary(summary: pd.DataFrame) -> str:
    """The summary as aligned lines for a terminal: a heading, one line a data set and method, the reading rule."""
    if summary.empty:
        return "nothing was removed: no summary"
    head = ["data set", "method", "target share", "left (95 %)", "direct effect", "test loss", "flips", "seconds"]
    lines = [head, *(_line(row) for _, row in summary.iterrows())]
    for above, line in reversed(list(pairwise(lines))):
        if above[0] == line[0]:
            line[0] = ""
    note = ("target share: median over scorers, mean over features and seeds, before → after; direct effect: left of "
            "what it was;\nseconds: one network. Left: interval of the share after, over seeds")
    return f"{align(lines)}\n\n{note}"


def _line(row: pd.Series) -> list[str]:
    name = row.dataset if row.layer == 0 else f"{row.dataset}, layer {row.layer}"
    return [
        f"{name} (simulated)" if row.simulated else name,
        row.removal,
        f"{percent(row.share_before)} → {percent(row.share_after)}",
        f"{percent(row.share_after_low)} to {percent(row.share_after_high)}",
        percent(row.effect_left),
        signed_percent(row.loss_change),
        percent(row.flip_rate),
        seconds(row.seconds),
    ]


def align(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns: the first two to the left, the others to the right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = ((cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in
              enumerate(zip(line, widths, strict=True))) for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in cells)


def percent(value: float) -> str:
    """A part of one as per cent: '0 %' only for what is nothing (below 1e-6), '–' for what does not exist."""
    if np.isnan(value):
        return "–"
    if abs(value) < 1e-6:
        return "0 %"
    if abs(value) < 0.001:
        return "<0.1 %"
    digits = 1 if abs(value) < 0.0995 else 0
    return f"{100 * value:,.{digits}f} %".replace("-", MINUS)


def signed_percent(value: float) -> str:
    """A relative change as per cent, with its sign."""
    if np.isnan(value):
        return "–"
    digits = 1 if abs(value) < 0.0995 else 0
    text = f"{100 * value:+,.{digits}f} %"
    return "0 %" if float(text[:-2].replace(",", "")) == 0 else text.replace("-", MINUS)


def seconds(value: float) -> str:
    """Seconds with about two significant digits; '<0.001' below a millisecond."""
    if np.isnan(value):
        return "–"
    if value < 0.001:
        return "<0.001"
    return f"{value:.{3 if value < 0.1 else 2 if value < 1 else 1 if value < 10 else 0}f}"


def number(value: float) -> str:
    """A quantity in its own units, two significant digits."""
    if np.isnan(value):
        return "–"
    return "0" if abs(value) < 1e-9 else f"{value:.2g}".replace("-", MINUS)
