"""What the metrics of explanations say, in words and as a table for the page: true, steady, learned?"""

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import UNMEASURED, listed, rounded
from attribution_suite.measures.explanations import UNCHANGED
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

COLUMNS = ("infidelity", "infidelity_normalised", "sensitivity_max")


def randomisation_sentences(randomisation: pd.DataFrame) -> list[str]:
    """One sentence a data set and layer: which scorers say the same whatever the weights are."""
    return [f"{title}: {_unchanged(rows)}" for title, rows in _subjects(randomisation)]


def _unchanged(rows: pd.DataFrame) -> str:
    """In one split is enough; the control, which looks at nothing, shows that the check finds such a scorer."""
    same = list(pd.unique(rows.scorer[rows.unchanged & (rows.scorer != CONTROL)]))
    control = rows[rows.scorer == CONTROL]
    shown = "" if control.empty else (
        f" The {CONTROL} control, which looks at nothing, is found out." if control.unchanged.all() else
        f" The {CONTROL} control, which looks at nothing, is not found out: do not rely on this check.")
    if not same:
        return f"every scorer that was asked ranks the features another way when all weights are random.{shown}"
    verb, they = ("ranks", "it says") if len(same) == 1 else ("rank", "they say")
    return (f"{listed(same, 'and', len(same))} {verb} the features alike when all weights are random (rank correlation "
            f"above {UNCHANGED}): what {they} does not come from what the networks learned.{shown}")


def metrics_table(metrics: pd.DataFrame, randomisation: pd.DataFrame) -> list[dict[str, str | bool]]:
    """One row a data set, layer and scorer: measures of the originals and of the edited networks, means, as text.

    'not measured' where a scorer has none (no value for each row, or no column that could move), and for edits where
    nothing was removed.
    """
    measured, drawn = dict(_subjects(metrics)), dict(_subjects(randomisation))
    result: list[dict[str, str | bool]] = []
    for title in dict.fromkeys([*drawn, *measured]):
        rows, last = measured.get(title, metrics[:0]), drawn.get(title, randomisation[:0])
        last = last[last.stage == last.layers]
        for scorer in dict.fromkeys([*last.scorer, *rows.scorer]):
            of_scorer, random = rows[rows.scorer == scorer], last[last.scorer == scorer]
            before = of_scorer.removal == ORIGINAL
            result.append({
                "subject": title, "scorer": scorer, "unchanged": bool(random.unchanged.any()),
                "correlation": _text(random.correlation), "limit": _text(random.limit),
                **{name: _text(of_scorer.value[before & (of_scorer.measure == name)]) for name in COLUMNS},
                **{f"{name}_after": _text(of_scorer.value[~before & (of_scorer.measure == name)]) for name in COLUMNS}})
    return result


def _subjects(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each data set and layer, by their title."""
    return [(str(dataset) if layer == 0 else f"{dataset}, layer {layer}", part)
            for (dataset, layer), part in rows.groupby(["dataset", "layer"], sort=False)]


def _text(values: pd.Series) -> str:
    return rounded(float(values.mean()), 2) if len(values) and np.isfinite(values).all() else UNMEASURED
