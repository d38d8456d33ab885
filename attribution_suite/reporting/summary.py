"""The answer in one table for the terminal: per data set, removed feature and method, what may be concluded."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import cost, measured, number, percent, rounded, score, seconds
from attribution_suite.conclusions.words import averaged
from attribution_suite.tables.audit import ORIGINAL

HEAD = ["data set", "removed", "method", "direct influence", "worst case", "mean effect", "R² or AUC", "net cost, %",
        "seconds"]
LEFT = 4  # columns of words


def format_summary(summary: pd.DataFrame, verdicts: pd.DataFrame, rules: Mapping[str, Any]) -> str:
    """`summary_table` and `verdicts` as aligned lines: a heading, a line a data set, removed feature and method.

    The originals have a line too: what there was to remove. `rules`: those of the run, printed below.
    """
    if summary.empty:
        return "nothing was removed: no summary"
    keys = ["dataset", "layer", "removed", "removal"]
    both = verdicts.drop(columns="splits").merge(summary, on=keys, how="left", sort=False)
    simulated = set(summary.dataset[summary.simulated])
    lines = [HEAD, *(_line(row, row.dataset in simulated) for _, row in both.iterrows())]
    for above, line in reversed(list(pairwise(lines))):
        if above[:2] == line[:2]:
            line[1] = ""
        if above[0] == line[0]:
            line[0] = ""
    delta = (f"{rounded(rules['delta_absolute'])} in the output's units" if rules["delta_absolute"] else
             f"{rounded(rules['delta'])} of the standard deviation of each original's output")
    return (f"{align(lines)}\n\ndirect influence: the worst of the networks; present where some test row moves by "
            f"more than δ = {delta}, fixed before the run;\n  not measured where anything is missing, or an original "
            "has not learned.\nworst case: the largest move found, in the output's units; mean effect: left of what it "
            "was; net cost: change of the test\n  loss, of a tuned method net of its sham (as much training with "
            f"nothing removed); seconds: one network.\n{_noted(summary)}{_over(summary, verdicts)}")


def _noted(summary: pd.DataFrame) -> str:
    """What the asterisks mean: a shortened tuning budget, a goal; a line each, with the methods."""
    noted = summary[summary.note != ""].groupby("note", sort=False).removal.unique()
    return "".join(f"* {note}: {', '.join(methods)}\n" for note, methods in noted.items())


def _over(summary: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """What numbers are means over: networks, and the splits that they are on."""
    if not summary.seeds.any():
        return "No edited network was measured."
    networks, splits = verdicts.filter(like="networks_").sum(axis=1).max(), int(verdicts.splits.max())
    return averaged(int(networks), splits) + ("; one split of the rows." if splits == 1 else ".")


def _line(row: pd.Series, simulated: bool) -> list[str]:
    name = row.dataset if row.layer == 0 else f"{row.dataset}, layer {row.layer}"
    bound = "" if row.worst_case_bound == row.worst_case or np.isnan(row.worst_case) else (
        " or more" if np.isinf(row.worst_case_bound) else f" to {number(row.worst_case_bound)}")
    method = f"{row.removal}*" if row.removal != ORIGINAL and row.note else row.removal
    words = [f"{name} (simulated)" if simulated else name, row.removed, method, row.direct,
             measured(number(row.worst_case)) + bound]
    if row.removal == ORIGINAL:
        return [*words, "", "", "", ""]
    return [*words, measured(percent(row.effect_left)),
            f"{measured(score(row.performance_before))} → {measured(score(row.performance))}",
            measured(cost(row.cost_net)), seconds(row.seconds)]


def align(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns: words to the left, numbers to the right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = ((cell.ljust(width) if i < LEFT else cell.rjust(width) for i, (cell, width) in
              enumerate(zip(line, widths, strict=True))) for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in cells)
