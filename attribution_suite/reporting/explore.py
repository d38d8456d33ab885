"""What a reader may choose from: of every removed feature the matrix method × scorer, and the answer's table.

The page holds it once, as JSON, from which its script draws what is chosen. What is chosen first is HTML as well.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.judgements import COLUMNS, NOT_APPLICABLE
from attribution_suite.conclusions.numbers import MINUS, UNMEASURED
from attribution_suite.conclusions.summary import edits, part_left, unit_ranks
from attribution_suite.conclusions.words import plain
from attribution_suite.reporting.answer import Answer, columns
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

EFFECT = "direct effect"
LOST, NEW = "?", "new"  # not measured; there was nothing before
GONE, NEARLY = -100, -99.9
LETTERS = dict(zip(("", *COLUMNS), "-fbcsqxpnm", strict=True))

Shift = int | float | str | None  # per cent; LOST, NEW, or None where a scorer does not apply


@dataclass(frozen=True)
class Matrix:
    """One removed feature: `rows` (place of the method, label), `shifts[row][column]`, `judged[row]` a letter a scorer.

    Columns are the direct effect and the scorers without the control, whose numbers say nothing of a removal.
    """

    rows: list[tuple[int, str]]
    shifts: list[list[Shift]]
    judged: list[str]


@dataclass(frozen=True)
class Explorer:
    """All matrices of one subject by removed feature; `first`: the feature that is chosen first."""

    features: list[str]
    methods: list[str]
    columns: list[str]
    matrices: list[Matrix]
    first: int

    @property
    def by_network(self) -> bool:
        """Whether what is chosen first has a row a network."""
        return len(self.matrices[self.first].rows) > len(self.methods)


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix as HTML: text, style class, and how far its colour goes (0 to 100)."""

    text: str
    kind: str
    depth: float


def explorer(subject: Subject) -> Explorer | None:
    """None where nothing was removed."""
    if not subject.removed:
        return None
    scorers = [name for name in subject.scorers if name != CONTROL]
    rows, letters = _rows(subject), _letters(subject, scorers)
    keys = [(feature, removal, seed) for feature, labels in rows.items() for removal, seed in labels]
    refused = [[False, *(letter == LETTERS[NOT_APPLICABLE] for letter in letters[feature, removal])]
               for feature, removal, _ in keys]
    shown = iter(_shown(*_shifts(subject, [EFFECT, *scorers], keys), np.array(refused)))
    place = {removal: number for number, removal in enumerate(subject.removals)}
    matrices = [Matrix([(place[removal], label) for (removal, _), label in labels.items()],
                       [next(shown) for _ in labels],
                       [letters[feature, removal] for removal, _ in labels]) for feature, labels in rows.items()]
    return Explorer(subject.removed, subject.removals, [EFFECT, *scorers], matrices,
                    subject.removed.index(subject.shown[0]))


def _rows(subject: Subject) -> dict[str, dict[tuple[str, int], str]]:
    """feature → (removal, seed) → the row's label; seed −1 is the mean over networks.

    Hidden units that each network picked for itself have a row a removal and network, with the unit's name.
    """
    rows = {feature: {(removal, -1): removal for removal in subject.removals} for feature in subject.removed}
    outcomes = subject.tables["outcomes"]
    units = edits(outcomes[(outcomes["rank"] > 0) & (outcomes.layer > 0)])
    for rank, picked in units.groupby(unit_ranks(units).removed):
        picked = picked.sort_values("seed", kind="stable")
        rows[str(rank)] = {(removal, seed): f"{removal}, network {seed} ({unit})" for removal, seed, unit in
                           zip(picked.removal, picked.seed, picked.removed, strict=True)}
    return rows


def _shifts(subject: Subject, names: list[str], keys: list[tuple[str, str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Shifts `[keys, names]`, the mean over networks or that of one, and which have no number in some network."""
    outcomes, shifts = (unit_ranks(subject.tables[name]) for name in ("outcomes", "shifts"))
    edited = edits(outcomes)
    effect = edited.assign(
        scorer=EFFECT, target_shift=part_left(edited.direct_effect, edited.direct_effect_before) - 1,
        known=edited.direct_effect_before.notna() & edited.direct_effect.notna())
    shares = shifts.assign(known=shifts.share_before.notna() & shifts.share_after.notna())[shifts.applicable]
    columns_read = ["removed", "removal", "seed", "split", "scorer", "target_shift", "known"]
    of_network = pd.concat([effect[columns_read], shares[columns_read]])
    wanted = pd.MultiIndex.from_tuples(keys)
    alone = set(wanted.droplevel(2)[wanted.get_level_values(2) >= 0])
    if not alone:
        of_network["seed"] = -1
    index = ["removed", "removal", "seed", "scorer"]
    by_split = of_network.groupby([*index, "split"], sort=False).agg(shift=("target_shift", "mean"),
                                                                     known=("known", "sum"))
    of_all = by_split.groupby(index, sort=False).agg({"shift": "mean", "known": "sum"})
    mean, known = (of_all[name].unstack("scorer").reindex(index=wanted, columns=names).to_numpy(float)
                   for name in ("shift", "known"))
    return mean, np.nan_to_num(known) < (1 if alone else subject.networks)


def _shown(shifts: np.ndarray, lost: np.ndarray, refused: np.ndarray) -> list[list[Shift]]:
    """Shifts in per cent as they are shown: −100 only for what is gone, never for 'nearly'."""
    nearly = (shifts > -1 + 1e-6) & (shifts < -0.995)
    percent = np.where(nearly, np.maximum(np.round(100 * shifts, 1), NEARLY), np.round(100 * shifts) + 0.0)
    shown = percent.astype(object)
    shown[np.isnan(shifts) | refused] = None
    shown[np.isinf(shifts)] = NEW
    shown[lost & ~refused] = LOST
    return [[int(value) if isinstance(value, float) and value.is_integer() else value for value in row]
            for row in shown.tolist()]


def _letters(subject: Subject, scorers: Sequence[str]) -> dict[tuple[str, str], str]:
    """(feature, removal) → what each scorer's word is worth there, a letter each."""
    states = {column: LETTERS[state] for state, column in COLUMNS.items()}
    verdicts = subject.verdicts[subject.verdicts.removal != ORIGINAL]
    letters = {}
    for row in verdicts[["removed", "removal", *states]].to_dict("records"):
        known = {scorer: letter for column, letter in states.items() for scorer in str(row[column]).split(", ")}
        letters[str(row["removed"]), str(row["removal"])] = "".join(known.get(name, LETTERS[""]) for name in scorers)
    return letters


def cell(shift: Shift) -> Cell:
    """How the page shows a shift; its script does the same."""
    if shift is None:
        return Cell("n/a", "none", 0)
    if isinstance(shift, str):
        return Cell(UNMEASURED if shift == LOST else NEW, "none", 0)
    sign = MINUS if shift < 0 else "+" if shift > 0 else ""
    kind = "gone" if shift == GONE else "down" if shift < 0 else "up" if shift > 0 else ""
    return Cell(f"{sign}{abs(shift)}", kind, min(abs(shift), 100))


def heat(found: Explorer) -> list[tuple[str, list[Cell]]]:
    """The rows of the matrix that is chosen first: label and cells."""
    first = found.matrices[found.first]
    return [(label, [cell(shift) for shift in shifts])
            for (_, label), shifts in zip(first.rows, first.shifts, strict=True)]


def part(subject: Subject, found: Explorer, answered: Sequence[Answer], folded: bool) -> dict[str, Any]:
    """One subject for the page's JSON. `folded`: the answers' tables too, of which the page shows one at a time."""
    judged = {letter: state for state, letter in LETTERS.items()}
    about: dict[str, Any] = {
        "name": subject.title, "features": found.features, "columns": found.columns, "first": found.first,
        "judgements": judged,
        "methods": [[name, plain(name), next((line.note for one in answered for line in one.lines
                                               if line.removal == name), "")] for name in found.methods],
        "rows": [None if all(label == found.methods[place] for place, label in one.rows) else one.rows
                 for one in found.matrices],
        "shifts": [one.shifts for one in found.matrices], "judged": [one.judged for one in found.matrices]}
    if folded:
        about["answers"] = {
            "columns": columns(subject),
            "words": [[one.headline, one.cheapest, one.before, one.proxies] for one in answered],
            "kinds": [[line.kind for line in one.lines] for one in answered],
            "values": [[[_short(field) for field in zip(*column, strict=True)]
                        for column in zip(*(line.values for line in one.lines), strict=True)] for one in answered]}
    return about


def _short(values: Sequence[object]) -> object:
    """The values, or the one that all of them are."""
    return values[0] if len(set(values)) == 1 else list(values)


def block(parts: dict[str, dict[str, Any]]) -> str:
    """JSON for a script element: nothing in it can end the element, or be read as a comment."""
    text = json.dumps(parts, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=list)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
