"""Two runs side by side, what differs first: verdicts, worst cases, performance, cost; then what is in one alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attribution_suite.conclusions import numbers, words
from attribution_suite.conclusions.summary import summary_table
from attribution_suite.files import write_atomically
from attribution_suite.reporting.page import environment
from attribution_suite.reporting.reading import Run
from attribution_suite.reporting.summary import align
from attribution_suite.tables.audit import ORIGINAL

KEYS = ["dataset", "layer", "removed", "removal"]
HEAD = ["direct influence", "worst case", "performance", "net cost, %"]
NONE = "–"
# What run.json says that decides numbers, beside the spec.
ABOUT = ("versions", "code", "machine")


@dataclass(frozen=True)
class Change:
    """One removed feature and method in both runs: `values` (in A, in B) a column of HEAD; `kind` of its verdict in B.

    `simulated` data sets are named so in `subject`.
    """

    subject: str
    removed: str
    removal: str
    kind: str
    values: list[tuple[str, str]]

    @property
    def differs(self) -> list[bool]:
        """Which columns read otherwise in B, to the digits that are shown."""
        return [a != b for a, b in self.values]

    @property
    def texts(self) -> list[str]:
        """A column each: 'A → B' where they differ."""
        return [f"{a} → {b.removeprefix('RMSE ')}" if a != b else a for a, b in self.values]


@dataclass(frozen=True)
class Comparison:
    """`changes`: what differs, verdicts first; `same`: how many rows do not; `only`: what one of them lacks."""

    names: tuple[str, str]
    changes: list[Change]
    same: int
    only: tuple[list[str], list[str]]
    spec: list[tuple[str, str, str]]

    @property
    def tally(self) -> str:
        """How many verdicts, worst cases and so on differ, in words."""
        counts = np.array([change.differs for change in self.changes]).reshape(-1, len(HEAD)).sum(0)
        places = ("in the verdict", "in the worst case", "in performance", "in net cost")
        parts = [f"{count} {place}" for count, place in zip(counts, places, strict=True) if count]
        total = len(self.changes) + self.same
        if not self.changes:
            return f"None of {total} results differs."
        return f"{len(self.changes)} of {total} results differ: {numbers.listed(parts, 'and')}."


def compare(a: Path, b: Path) -> Comparison:
    """What differs between two finished runs. Raises InputError where a folder holds none."""
    runs = Run(a), Run(b)
    about = [_about(run) for run in runs]
    rows = [_rows(run) for run in runs]
    both = [key for key in rows[0] if key in rows[1]]
    changes = [Change(_subject(runs[0], key), key[2], key[3], words.KINDS[rows[1][key]["direct"]],
                      [_values(rows[0][key], rows[1][key], column) for column in HEAD]) for key in both]
    differing = sorted((change for change in changes if any(change.differs)), key=lambda change: not change.differs[0])
    only = [[f"{_subject(runs[place], key)}: {key[3]} of {key[2]}" for key in rows[place] if key not in rows[1 - place]]
            for place in range(2)]
    names = (str(a), str(b)) if a.name == b.name else (a.name, b.name)
    return Comparison(names, differing, len(changes) - len(differing), (only[0], only[1]),
                      list(_differences(about[0], about[1])))


def _rows(run: Run) -> dict[tuple[str, int, str, str], dict[str, Any]]:
    """(data set, layer, removed, removal) → verdict and summary."""
    verdicts = run.table("verdicts").drop(columns="splits")
    summary = summary_table({name: run.table(name) for name in ("outcomes", "failures")})
    both = verdicts if summary.empty else verdicts.merge(summary, on=KEYS, how="left")
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in both.to_dict("records")]
    return {(row["dataset"], row["layer"], row["removed"], row["removal"]): row for row in rows}


def _subject(run: Run, key: tuple[str, int, str, str]) -> str:
    name = key[0] if key[1] == 0 else f"{key[0]}, layer {key[1]}"
    return f"{name} (simulated)" if run.info["datasets"][key[0]].get("source") == "simulated" else name


def _values(a: Mapping[str, Any], b: Mapping[str, Any], column: str) -> tuple[str, str]:
    """What a column says in A and in B."""
    first, second = (_value(row, column) for row in (a, b))
    return first, second


def _value(row: Mapping[str, Any], column: str) -> str:
    if column == "direct influence":
        return str(row["direct"])
    if column == "worst case":
        return numbers.measured(numbers.rounded(row["worst_case"]))
    if row["removal"] == ORIGINAL:
        return NONE
    if column == "net cost, %":
        more = f" ({numbers.in_loss(row['cost_net_loss'])})" if abs(row["cost_net"]) > numbers.BASELESS else ""
        return numbers.measured(numbers.cost(row["cost_net"])) + more
    if np.isnan(row["rmse"]) and np.isnan(row["accuracy"]):
        return numbers.UNMEASURED
    return f"RMSE {numbers.precise(row['rmse'])}" if np.isnan(row["accuracy"]) else numbers.precise_percent(
        row["accuracy"])


def _about(run: Run) -> dict[str, Any]:
    """What decides numbers: the spec, the data, the versions."""
    data = {name: {key: about.get(key) for key in ("source", "sha256", "architecture", "fingerprint")}
            for name, about in run.info["datasets"].items()}
    spec = {**run.info["spec"], "requests": {request["name"]: request for request in run.info["spec"]["requests"]}}
    return {"spec": spec, "data": data, **{name: run.info.get(name) for name in ABOUT}}


def _differences(a: Any, b: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """(what, in A, in B) of plain values, however deep."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            yield from _differences(a.get(key), b.get(key), f"{name} {key}".strip())
    elif a != b:
        yield name, _plain(a), _plain(b)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else "there" if isinstance(value, dict) else str(value)


def lines(found: Comparison) -> str:
    """The comparison for a terminal: the differing rows, what one run lacks, what was asked otherwise."""
    parts = [f"{found.names[0]} → {found.names[1]}: {found.tally}"]
    if found.changes:
        parts.append(align([["data set", "removed", "method", *HEAD], *(
            [change.subject, change.removed, change.removal, *change.texts] for change in found.changes)]))
    for name, missing in zip(found.names, found.only, strict=True):
        parts += [f"only in {name}: {words.few(missing)}"] if missing else []
    parts += [f"{what}: {a} → {b}" for what, a, b in found.spec]
    return "\n".join(parts)


def write(found: Comparison, to: Path) -> Path:
    """The comparison as a page; its path."""
    template = environment().get_template("compare.html")
    page = template.render(found=found, head=HEAD, names=found.names, plain=words.plain)
    write_atomically(to, page.encode())
    return to


