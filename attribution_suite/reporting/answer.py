"""The answer for one removed feature: a sentence, what stands behind it, and a table with a line a method."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from attribution_suite.conclusions import numbers, words
from attribution_suite.conclusions.direct import ORDER
from attribution_suite.conclusions.summary import summary_table, unit_ranks
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL

DETAILED = ("shifts", "outcomes", "nulls")  # the tables that sentences on one removed feature read


class Value(NamedTuple):
    """A cell of the answer: its text, small print under it, and the number that it is sorted by (None: last)."""

    text: str
    small: str = ""
    order: float | None = None


@dataclass(frozen=True)
class Line:
    """One method: code name, plain name, the style of its verdict, what is to be noted of it, a value a column."""

    removal: str
    plain: str
    kind: str
    note: str
    values: list[Value]


@dataclass(frozen=True)
class Answer:
    """What is said of one removed feature. `best`: the line to look at first, None where nothing was measured.

    `cheapest`: the sentence on it; `before`: on the original networks; `proxies`: what predicts the feature.
    """

    removed: str
    headline: str
    cheapest: str
    before: str
    proxies: str
    lines: list[Line]
    best: Line | None


def columns(subject: Subject) -> list[str]:
    """The headings of the answer's table behind that of the method."""
    performance = f"RMSE of {subject.info['target']}" if subject.info["task"] == "regression" else "accuracy"
    return ["direct influence", "worst case", "effect left", performance, "net cost, %", "information left", "seen by",
            "seconds"]


def answers(subject: Subject) -> list[Answer]:
    """One a removed feature, in the order of the run; none where nothing was removed."""
    summary = summary_table(subject.tables)
    if summary.empty:
        return []
    both = summary.merge(subject.verdicts.drop(columns=["dataset", "layer", "splits"]), on=["removed", "removal"])
    edited: dict[str, list[Any]] = {}
    for row in both.itertuples():
        edited.setdefault(str(row.removed), []).append(row)
    originals = subject.verdicts[subject.verdicts.removal == ORIGINAL]
    return [_answer(subject, before, edited[str(before.removed)]) for before in originals.itertuples()]


def findings(subject: Subject, removed: str) -> list[words.Finding]:
    """The sentences behind the answer for one removed feature."""
    tables = {**subject.tables, **{name: _of(unit_ranks(subject.tables[name]), removed) for name in DETAILED}}
    verdicts = subject.verdicts[subject.verdicts.removed == removed]
    own_summary = summary_table({**tables, "outcomes": _with_originals(subject, removed)})
    return words.findings(tables, verdicts, _of(own_summary, removed))


def _of(table: pd.DataFrame, removed: str) -> pd.DataFrame:
    return table[table.removed == removed]


def _with_originals(subject: Subject, removed: str) -> pd.DataFrame:
    """The outcomes of one removed feature, with those of originals and shams, which are of none."""
    outcomes = unit_ranks(subject.tables["outcomes"])
    return outcomes[outcomes.removed.isin([removed, ""])]


def _answer(subject: Subject, before: Any, rows: list[Any]) -> Answer:
    """`before`: the originals' row of the table of verdicts; `rows`: those of its methods with their summary."""
    removed = str(before.removed)
    lines = [_line(subject, row, before) for row in rows]
    name = words.best(rows)
    place = next((place for place, line in enumerate(lines) if line.removal == name), None)
    return Answer(
        removed, words.headline(removed, [row.direct for row in rows]),
        "" if place is None else numbers.unbroken(_cheapest(subject, rows[place])),
        _sentence(words.before_text(before, words.called(removed))), before.proxies, lines,
        None if place is None else lines[place])


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _cheapest(subject: Subject, row: Any) -> str:
    """The sentence on the method to look at first."""
    performance = columns(subject)[3]
    plain = words.plain(row.removal)
    method = row.removal if plain == row.removal else f"{plain} ({row.removal})"
    after = f"{performance} {_performance(subject, row).text}"
    if row.direct in words.OUT:
        return f"At the least cost: {method}, {after}."
    return f"Nearest: {method}, which leaves moves of up to {numbers.number(row.worst_case)}; {after}."


def _line(subject: Subject, row: Any, before: Any) -> Line:
    values = [Value(row.direct, "", _rank(row.direct)), _worst_case(row), _effect(subject, row),
              _performance(subject, row), _cost(row), _information(row, before), _seen(row),
              Value(numbers.seconds(row.seconds), "", _order(row.seconds))]
    return Line(row.removal, words.plain(row.removal), words.KINDS[row.direct], numbers.unbroken(row.note),
                [Value(numbers.unbroken(text), numbers.unbroken(small), order) for text, small, order in values])


def _rank(state: str) -> float:
    return float(ORDER.index(state)) if state in ORDER else -1.0


def _order(value: float) -> float | None:
    """To four digits; infinity above everything, None for what is not there."""
    if np.isnan(value):
        return None
    return 1e300 if np.isinf(value) else float(f"{value:.4g}")


def _worst_case(row: Any) -> Value:
    parts = []
    if row.worst_case_bound > row.worst_case:
        bound = row.worst_case_bound
        parts.append("no bound" if np.isinf(bound) else f"at most {numbers.number(bound)}")
    parts.append(f"δ {numbers.number(row.delta)}")
    if row.witness_row >= 0 and row.direct not in words.OUT:
        split = f"split {row.witness_split}, " if row.splits > 1 else ""
        start, end = (value.removeprefix(f"{row.removed} ") for value in (row.witness_from, row.witness_to))
        parts.append(f"network {row.witness_seed}, {split}test row {row.witness_row}: {start} → "
                     f"{end} takes {numbers.rounded(row.witness_before)} to "
                     f"{numbers.rounded(row.witness_after)}")
    return Value(numbers.measured(numbers.number(row.worst_case)), "; ".join(parts), _order(row.worst_case))


def _effect(subject: Subject, row: Any) -> Value:
    flips = "" if subject.info["task"] == "regression" else f"{numbers.measured(numbers.percent(row.flip_rate))} flips"
    return Value(numbers.measured(numbers.percent(row.effect_left)), flips, _order(row.effect_left))


def _performance(subject: Subject, row: Any) -> Value:
    regression = subject.info["task"] == "regression"
    before, after = (row.rmse_before, row.rmse) if regression else (row.accuracy_before, row.accuracy)
    write = numbers.precise if regression else numbers.precise_percent
    return Value(f"{numbers.measured(write(before))}\N{NO-BREAK SPACE}→ {numbers.measured(write(after))}",
                 f"{'R²' if regression else 'AUC'} {numbers.measured(numbers.score(row.performance_before))} → "
                 f"{numbers.measured(numbers.score(row.performance))}", _order(after))


def _cost(row: Any) -> Value:
    small = " ".join(filter(None, (words.cost_interval(row), "no difference" if row.cost_equivalent else "")))
    return Value(numbers.measured(numbers.cost(row.cost_net)), small, _order(row.cost_net))


def _information(row: Any, before: Any) -> Value:
    if not row.information_output:
        return Value("not asked")
    metric = {"r2": "R²", "auc": "AUC"}.get(row.recovered_metric, "")
    return Value(row.information_output, f"{metric} {numbers.score(row.recovered_output)}, "
                 f"{numbers.score(before.recovered_output)} before", _order(row.recovered_output))


def _seen(row: Any) -> Value:
    sees, alarms, lost = (_count(row.sees), _count(row.false_alarm), _count(row.scorers_not_measured))
    notes = [f"{alarms} false alarm{'s' if alarms != 1 else ''}"] if alarms else []
    notes += [f"{lost} not measured"] if lost else []
    return Value(str(sees + alarms), ", ".join(notes), sees + alarms)


def _count(names: str) -> int:
    return len([name for name in names.split(", ") if name])


def overview(answered: Sequence[Answer]) -> list[tuple[Answer, str]]:
    """Each answer with how many of its methods work, for a table with a line a feature."""
    works = {words.KINDS[state] for state in words.OUT}
    return [(one, f"{sum(line.kind in works for line in one.lines)} of {len(one.lines)}") for one in answered]
