"""Which classes are taken for which, before and after each method."""

from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.summary import unit_ranks
from attribution_suite.conclusions.words import averaged
from attribution_suite.reporting.figures.shades import RATE_COLOURS
from attribution_suite.reporting.figures.style import WIDTH, Picture, canvas, label, picture, styled
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.figures.tiles import tiles
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL

MOST_MARKS, MOST_COLUMNS, ACROSS = 480, 38, 5


@styled
def confusion(subject: Subject) -> Picture | None:
    """The originals and each method for the first removed feature: the table has the others."""
    table, removed = unit_ranks(subject.tables["confusion"]), (subject.shown or [""])[0]
    return _confusion(subject, removed, table[table.removed.isin(["", removed])]) if len(table) else None


def matrices(rows: pd.DataFrame, classes: list[str]) -> dict[str, pd.DataFrame]:
    """Method → how many rows of each class `[actual, predicted]`, mean over its networks."""
    networks = rows.groupby("removal")[["split", "seed"]].apply(lambda each: len(each.drop_duplicates()))
    counts = rows.groupby(["removal", "actual", "predicted"]).rows.sum().unstack("predicted").reindex(
        columns=classes, fill_value=0).fillna(0)
    return {str(removal): (counts.loc[removal].reindex(classes, fill_value=0) / networks[removal]).astype(float)
            for removal in networks.index}


def _confusion(subject: Subject, removed: str, rows: pd.DataFrame) -> Picture:
    classes = subject.info["classes"] or ["0", "1"]
    found = matrices(rows, classes)
    methods = [method for method in (ORIGINAL, *subject.removals) if method in found]
    drawn = methods[:max(1, MOST_MARKS // len(classes) ** 2)]
    across = max(1, min(ACROSS, len(drawn), MOST_COLUMNS // (len(classes) + 1)))
    down = -(-len(drawn) // across)
    figure = canvas(WIDTH, 0.3 + down * (0.8 + 0.26 * len(classes)))
    for place, axes in enumerate(figure.subplots(down, 1, squeeze=False)[:, 0]):
        _panels(axes, {method: found[method] for method in drawn[place * across:(place + 1) * across]}, classes, across)
    caption = (f"Of the test rows of each class (down) the part that is predicted to be each class (across), in per "
               f"cent; {averaged(subject.networks, subject.splits).lower()}. The diagonal is right."
               + f" {len(methods) - len(drawn)} more methods are in the table." * (len(methods) > len(drawn))
               + " Other removed features: confusion.parquet." * (len(subject.removed) > 1))
    title = "Which classes are taken for which" + f" ({label(removed, 40)} removed)" * bool(removed)
    after = f" before and after {len(drawn) - 1} removal methods" if len(drawn) > 1 else ""
    alt = f"Confusion matrices of {len(classes)} classes{after}."
    table = pd.concat([found[method].reset_index(names="actual").assign(method=method) for method in methods])
    return picture(figure, subject, "confusion", title, caption, alt, table[["method", "actual", *classes]].rename(
        columns={known: f"predicted {known}" for known in classes}))


def _panels(axes: Any, found: dict[str, pd.DataFrame], classes: list[str], across: int) -> None:
    """Matrices beside each other in one axes, a column of nothing between two."""
    step, count = len(classes) + 1, len(classes)
    columns = pd.concat([(100 * matrix.div(matrix.sum(axis=1), axis=0)).reindex(columns=[*classes, ""]).set_axis(
        [*[f"predicted {known}, {method}" for known in classes], method], axis=1)
        for method, matrix in found.items()], axis=1)
    shown = np.tile(np.arange(step) < count, (count, len(found)))
    tiles(axes, columns.iloc[:, :-1], RATE_COLOURS, (0.0, 100.0), lambda value: "–" if np.isnan(value) else
          f"{value:.0f}", True, shown[:, :-1])
    axes.set_xlim(0, across * step - 1)
    letters = max(3, round(0.62 * MOST_COLUMNS / 3.4 * 5 / (across * step) * 3.4))
    places = [place * step + known + 0.5 for place in range(len(found)) for known in range(count)]
    axes.set_xticks(places, [label(known, letters) for known in classes] * len(found), fontsize=7.5)
    axes.set_yticks(np.arange(count) + 0.5, [label(known, 18) for known in classes])
    for place, method in enumerate(found):
        tell(axes.text(place * step, -0.25, label(method, 26), fontsize=8.5, fontweight="bold", ha="left",
                       va="bottom"), method)
