"""What becomes of each column of a user's table, and all that cannot be inputs, with the words that mend it."""

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from attribution_suite.datasets.files import is_text, numbers
from attribution_suite.datasets.own_kinds import (
    calendar,
    free_text,
    group_rare,
    is_dates,
    looks_like_identifier,
    ordered,
    rare_enough,
    written,
)
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.errors import InputError, unknown_name

if TYPE_CHECKING:
    from attribution_suite.datasets.parquet import ParquetFrame

Frame: TypeAlias = "pd.DataFrame | ParquetFrame"
MAX_CATEGORIES = 50
SHOWN = 20
SHOWN_ROWS = 1000  # that tell of a column of numbers that it has more than two values
ROLES = ("drop", "id", "categorical", "ordinal", "dates", "group_by")


@dataclass(frozen=True)
class Treatment:
    """One column: what it becomes, or why it cannot be an input and the option and value that mend it."""

    column: str
    becomes: str
    problem: str = ""
    mend: tuple[str, str] | None = None


class Columns:
    """What becomes of every column but the target, as the request says, then as it is; known once all are `ready`.

    `treatments`: one a column. `parts`: of the columns made of another, that one. `gaps`: of those with missing values,
    how many. `frame` is a DataFrame, or has columns like one.
    """

    def __init__(self, frame: Frame, target: str | None, request: DatasetRequest, where: str) -> None:
        """Raises InputError for a request that is wrong."""
        self.frame, self.target, self.request, self.where = frame, target, request, where
        self.role_of = _roles(frame, target, request, where)
        self.treatments, self.parts, self.gaps = list[Treatment](), dict[str, str](), dict[str, int]()
        self._grouped = list[str]()

    def ready(self) -> Iterator[pd.Series]:
        """The columns that are inputs, one after the other, ready to be encoded."""
        orders = dict(_ordinal(word) for word in self.request.ordinal)
        seen: dict[bytes, str] = {}
        for name in map(str, self.frame):
            if name != self.target:
                for column in self._ready(self.frame[name], self.role_of.get(name), orders, seen):
                    if missing := int(column.isna().sum()):
                        self.gaps[str(column.name)] = missing
                    yield column

    def _ready(self, column: pd.Series, role: str | None, orders: Mapping[str, tuple[str, ...]],
               seen: dict[bytes, str]) -> Iterable[pd.Series]:
        """What one column becomes: itself, its parts, or nothing."""
        name, request, where = str(column.name), self.request, self.where
        if role in ("drop", "id", "group_by"):
            _check_rows_named(column, role, where)
            self.treatments.append(Treatment(name, _LEFT_OUT[role]))
            return ()
        if role == "dates":
            expanded = calendar(column, where)
            self.parts |= dict.fromkeys(expanded, name)
            self.treatments.append(Treatment(name, f"{', '.join(expanded)}: {len(expanded)} numbers"))
            return expanded.values()
        column = written(column) if role == "categorical" else ordered(column, orders[name], where) if (
            role == "ordinal") else column
        if request.group_rare is not None and is_text(column):
            column, rare = group_rare(column, request.group_rare)
            self._grouped += [f"{name} ({rare})"] if rare else []
        treatment = _treatment(column, role, seen, request, where)
        self.treatments.append(treatment)
        return () if treatment.problem else (column,)

    @property
    def group_of(self) -> pd.Series | None:
        """Whose rows stay together in one part of the split."""
        if self.request.group_by is None:
            return None
        column = self.frame[self.request.group_by]
        _check_rows_named(column, "group_by", self.where)
        return column

    @property
    def notes(self) -> list[str]:
        """What the user is told."""
        out = [name for name, role in self.role_of.items() if role in ("drop", "id", "group_by")]
        notes = [f"not inputs, as asked for: {', '.join(out)}"] if out else []
        notes += [f"dates as year, month and weekday: {', '.join(self.request.dates)}"] if self.request.dates else []
        return notes + ([f"categories of fewer than {self.request.group_rare} rows are one, '(rare)', in "
                         f"{', '.join(self._grouped)}"] if self._grouped else [])


def refuse_problems(treatments: Iterable[Treatment], where: str) -> None:
    """Raises InputError that names all columns which cannot be inputs, and the words that mend them."""
    wrong = [treatment for treatment in treatments if treatment.problem]
    if not wrong:
        return
    more = f"; and {len(wrong) - SHOWN} more columns" if len(wrong) > SHOWN else ""
    sentences = "; ".join(treatment.problem for treatment in wrong[:SHOWN]) + more
    words, arguments = mending(wrong)
    mend = f". What mends it: {words} (in Python: {arguments})" if words else ""
    raise InputError(f"{where}: {sentences}{mend}")


def mending(treatments: Iterable[Treatment]) -> tuple[str, str]:
    """The options that mend all, as words of the command line and as Python's arguments; '' if there are none."""
    values: dict[str, list[str]] = {}
    for treatment in treatments:
        if treatment.mend:
            values.setdefault(treatment.mend[0], []).append(treatment.mend[1])
    if len(identifiers := values.get("id", [])) > 1:  # one column names the rows
        values["id"] = identifiers[:1]
        values["drop"] = [*identifiers[1:], *values.get("drop", [])]
    if "group_rare" in values:  # one number for all columns: the largest that any needs
        values["group_rare"] = [str(max(map(int, values["group_rare"])))]
    words = " ".join(f"--{option.replace('_', '-')}{'=' if said[0].startswith('-') else ' '}"
                     f"{shlex.quote(','.join(dict.fromkeys(said)))}"
                     for option, said in values.items())
    arguments = ", ".join(f"{option}={said[0] if option == 'group_rare' else repr(said[0]) if option == 'id' else said}"
                          for option, said in values.items())
    return words, arguments


_LEFT_OUT = {"drop": "dropped, as asked for", "id": "names the rows: no input",
             "group_by": "keeps rows of one value in one part of the split: no input"}


def _roles(frame: Frame, target: str | None, request: DatasetRequest, where: str) -> Mapping[str, str]:
    """What the request says of columns. Raises InputError for a name that is not there, and for two roles of one."""
    roles: dict[str, str] = {}
    for option in ROLES:
        value = getattr(request, option)
        for word in [value] if isinstance(value, str) else value or ():
            name = _ordinal(word)[0] if option == "ordinal" else word
            if name not in frame:
                raise unknown_name(f"column of {where} in option '{option}'", name, map(str, frame))
            if name == target:
                raise InputError(f"option '{option}': '{name}' is the target")
            if name in roles:
                raise InputError(f"column '{name}' is in option '{roles[name]}' and in '{option}': name it once")
            roles[name] = option
    return roles


def _ordinal(word: str) -> tuple[str, tuple[str, ...]]:
    """'size=S<M<L' as the column and its categories from the lowest; none for a column of numbers."""
    name, given, order = word.partition("=")
    return (name, tuple(level.strip() for level in order.split("<"))) if given and "<" in order else (word, ())


def _check_rows_named(column: pd.Series, role: str, where: str) -> None:
    if role == "id" and column.nunique(dropna=False) < len(column):
        raise InputError(f"{where}: option 'id': '{column.name}' is the same in several rows, so it names no row: "
                         "option 'group_by' keeps rows of one value together, 'drop' leaves the column out")
    if role == "group_by" and (gaps := int(column.isna().sum())):
        raise InputError(f"{where}: option 'group_by': '{column.name}' is missing in {gaps} rows: fill it")


def _treatment(column: pd.Series, role: str | None, seen: dict[bytes, str], request: DatasetRequest,
               where: str) -> Treatment:
    """One column that the request does not leave out; `seen`: the columns before it, by what is in them."""
    name, distinct = str(column.name), _different(column)

    def cannot(problem: str, option: str = "drop") -> Treatment:
        return Treatment(name, "", problem, (option, name))

    if column.isna().all():
        return cannot(f"column '{name}' has no value in any row: drop it")
    if distinct == 1 and column.notna().all():
        return cannot(f"column '{name}' is always {column.iloc[0]}: drop it, for it says nothing")
    content = hashlib.sha256(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes()).digest()
    if content in seen:
        return cannot(f"columns '{seen[content]}' and '{name}' are the same in every row: drop one")
    seen[content] = name
    identifier = "drop" if request.id else "id"
    if is_text(column):
        return _text_treatment(column, role, distinct, identifier, where)
    try:
        check_precision(column, where)
    except InputError as error:
        return Treatment(name, "", str(error).removeprefix(f"{where}: "))
    if role is None and looks_like_identifier(column):
        return cannot(f"column '{name}' is an identifier (whole numbers, all different), from which a network learns "
                      f"rows by heart (a count of something? option 'ordinal' keeps it)", identifier)
    gaps = ", and a feature that says 'missing'" if column.isna().any() else ""
    return Treatment(name, ("an ordered number" if role == "ordinal" else "yes or no" if distinct == 2 else
                            "a number") + gaps)


def _different(column: pd.Series) -> int:
    """How many different values a column has; of numbers no more are counted than the first rows show, if over 2."""
    first = int(column.iloc[:SHOWN_ROWS].nunique())
    return first if first > 2 and not is_text(column) else int(column.nunique())


def _text_treatment(column: pd.Series, role: str | None, distinct: int, identifier: str, where: str) -> Treatment:
    name = str(column.name)
    if role is None:
        try:
            refuse_stray_text(column, where)
        except InputError as error:
            return Treatment(name, "", str(error).removeprefix(f"{where}: "), ("na", stray_text(column)))
        if is_dates(column):
            return Treatment(name, "", f"column '{name}' holds dates: expand them to year, month and weekday",
                             ("dates", name))
        if distinct == len(column):
            return Treatment(name, "", f"column '{name}' is an identifier (text, all different)", (identifier, name))
    if distinct > MAX_CATEGORIES:
        counted = (f"text column '{name}' has {distinct} different values, at most {MAX_CATEGORIES} are possible")
        if role is None and free_text(column):
            return Treatment(name, "", f"{counted}: it is free text", ("drop", name))
        rows = rare_enough(column, MAX_CATEGORIES)
        if rows is None:
            return Treatment(name, "", f"{counted}: drop it (a name, an id?)", ("drop", name))
        return Treatment(name, "", f"{counted}: group those of few rows, or drop it", ("group_rare", str(rows)))
    return Treatment(name, f"{distinct} categories" + (", missing one more" if column.isna().any() else ""))


def stray_text(column: pd.Series) -> str:
    """The first text in a column of numbers."""
    present = column.dropna()
    return str(present[pd.to_numeric(present, errors="coerce").isna()].iloc[0])


def refuse_stray_text(column: pd.Series, where: str) -> None:
    """A column of numbers with a few stray texts is read as text; that is a mistake in the file, not a category."""
    if pd.to_numeric(column, errors="coerce").notna().sum() > 0.5 * column.notna().sum():
        numbers(column, where)


def check_precision(column: pd.Series, where: str) -> None:
    """Raises InputError for numbers that single precision cannot hold, or not tell apart."""
    values = numbers(column, where)
    rounded = values[~np.isnan(values)].astype(np.float32)
    if np.ptp(rounded) == 0 and column.nunique() > 1:
        raise InputError(f"{where}: column '{column.name}' varies by less than single precision shows at "
                         f"{rounded[0]:g}: subtract its minimum")


def check_same_columns(frame: Frame, other: pd.DataFrame, where: str) -> None:
    """Raises InputError, naming all, for columns that `frame` has and `other` lacks."""
    lacking: Sequence[str] = [str(name) for name in frame if name not in other]
    if lacking:
        raise InputError(f"option 'test': {where} has no column {', '.join(map(repr, lacking))}")
