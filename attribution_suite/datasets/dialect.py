"""How a table was written as text: its encoding, separator, header and decimal mark, found and said, or given."""

import csv
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import pandas as pd

from attribution_suite.errors import InputError

SEPARATORS = ("\t", ";", "|", ",")  # of two that fit equally well, the one that stands in fewer texts
SPACES = r"\s+"
WORDS = {"tab": "\t", "\\t": "\t", "space": SPACES, " ": SPACES}
SAID = {"\t": "tabs", SPACES: "spaces"}
MISSING = ("?", " ?")  # beside what pandas reads so: nothing, NA, N/A, NULL, NaN, None and the like
# So that a number is read as the one that was written; since pandas 3.1 it always is.
EXACT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
SAMPLE_ROWS, SAMPLE_CHARACTERS = 20, 1 << 16
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def _number(decimal: str, thousands: str) -> re.Pattern[str]:
    """A number with this decimal mark, its whole part plain or in groups of three behind one kind of mark."""
    groups = rf"[1-9]\d{{0,2}}([{thousands} '\u2019\u00a0\u202f])\d{{3}}(?:\1\d{{3}})*"
    return re.compile(rf"\s*[+-]?(?=[^\d]?\d)(?:{groups}|\d*)(?:[{decimal}]\d*)?(?:[eE][+-]?\d+)?\s*")


NUMBERS = {".": _number(".", ","), ",": _number(",", ".")}


@dataclass(frozen=True)
class Reading:
    """What the user says of a text table; None and () leave it to be found. `na`: what is missing besides."""

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    na: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise InputError(f"option 'decimal' is . or , (the mark before the fraction), got '{self.decimal}'")
        if self.sep is not None and len(self.separator) != 1 and self.separator != SPACES:
            raise InputError(f"option 'sep' is one character, tab or space, got '{self.sep}'")

    @property
    def separator(self) -> str:
        """The given one, as pandas takes it."""
        return WORDS.get(self.sep or "", self.sep or "")


def parse(packed: bytes, where: str, reading: Reading) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table in a text, its first row the names of the columns, and a note on whatever is not UTF-8 with commas.

    Without `reading`: UTF-8, else cp1252; the separator that splits the first rows into equally many values; no header
    if every value of the first row is a number; a decimal comma where columns are numbers with it and not without it,
    thousands by what groups of three digits show. Raises InputError, naming `where`, for what is no such table.
    """
    text, encoding = _decode(packed, where, reading.encoding)
    told = re.match(r'"?sep=(.)"?\r?\n', text)  # as Excel writes it
    text = text[told.end():] if told else text
    separator = reading.separator or (told[1] if told else _separator(text))
    try:
        header = pd.read_csv(io.StringIO(text), sep=separator, header=None, nrows=1, dtype=str,
                             keep_default_na=False).iloc[0].tolist()
        names = _names(header, where)
        frame = _read(text, separator, names is not None, reading.na)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{where}: the file is empty") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{where}: not a CSV table: some rows have more values than the header has names") from error
    except pd.errors.ParserError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{where}: not a table of values separated by '{SAID.get(separator, separator)}': {reason}; "
                         "option 'sep' names another separator") from error
    frame.columns = pd.Index(names or _numbered(len(header)))
    raw = _Raw(text, separator, names is not None, reading.na)
    decimal, changed = _numbers(frame, raw, where, reading.decimal)
    said = [
        "" if separator == "," else f"values are separated by {SAID.get(separator, repr(separator))} (option 'sep')",
        "" if encoding.startswith("utf-8") else f"the text is {encoding} (option 'encoding')",
        f"no header row: the columns are called {frame.columns[0]} to {frame.columns[-1]}" if names is None else
        _unnamed(header),
        f"decimal commas in {_listed(changed)} (option 'decimal')" if decimal == "," and changed else
        f"thousands are grouped in {_listed(changed)} (option 'decimal')" if changed else "",
        f"read as missing too: {', '.join(reading.na)}" if reading.na else ""]
    return frame, tuple(sentence for sentence in said if sentence)


def _decode(packed: bytes, where: str, encoding: str | None) -> tuple[str, str]:
    """The text and its encoding."""
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if packed.startswith(mark)), None)
    if encoding is None and marked is None and b"\0" in packed[:SAMPLE_CHARACTERS]:
        raise InputError(f"{where}: not a table in text, for it holds zero bytes")
    for name in (encoding,) if encoding else (marked,) if marked else ("utf-8", "cp1252", "latin-1"):
        try:
            return packed.decode(name), name
        except LookupError as error:
            raise InputError(f"option 'encoding': '{name}' is none that Python knows (utf-8, cp1252, …)") from error
        except UnicodeDecodeError as error:
            reason = f"byte {error.object[error.start]:#x} at {error.start}"
    raise InputError(f"{where}: is not text in {encoding or marked} ({reason}): option 'encoding' names another")


def _separator(text: str) -> str:
    """The separator that splits the first rows into equally many values, the most; else the most names."""
    sample = text[:SAMPLE_CHARACTERS]
    whole = len(sample) == len(text)
    widths = {}
    for mark in SEPARATORS:
        try:
            rows = [row for row in islice(csv.reader(io.StringIO(sample), delimiter=mark), SAMPLE_ROWS) if row]
        except csv.Error:
            continue
        widths[mark] = [len(row) for row in (rows if whole or len(rows) == SAMPLE_ROWS else rows[:-1])] or [1]
    even = {mark: counts[0] for mark, counts in widths.items() if len(set(counts)) == 1 and counts[0] > 1}
    if not even:
        words = {len(line.split()) for line in sample.splitlines()[:SAMPLE_ROWS] if line.strip()}
        if len(words) == 1 and min(words) > 1 and all(counts[0] == 1 for counts in widths.values()):
            return SPACES
    most = even or {mark: counts[0] for mark, counts in widths.items() if counts[0] > 1}
    return max(most, key=lambda mark: most[mark]) if most else ","


def _names(header: Sequence[str], where: str) -> list[str] | None:
    """The columns' names; None where the first row is one of numbers, and no count 0, 1, 2, … of columns."""
    counted = any(header == [str(first + k) for k in range(len(header))] for first in (0, 1))
    filled = [cell for cell in header if cell.strip() not in ("", *MISSING)]
    if filled and len(header) > 1 and not counted and len(filled) > len(header) / 2 and all(
            any(pattern.fullmatch(cell) for pattern in NUMBERS.values()) for cell in filled):
        return None
    names = [name or numbered for name, numbered in zip(header, _numbered(len(header)), strict=True)]
    if twice := [name for k, name in enumerate(names) if name in names[:k]]:
        raise InputError(f"{where}: two columns are named '{twice[0]}': rename or drop one")
    return names


def _numbered(count: int) -> list[str]:
    return [f"column_{k + 1}" for k in range(count)]


def _unnamed(header: Sequence[str]) -> str:
    called = [name for cell, name in zip(header, _numbered(len(header)), strict=True) if not cell]
    return f"without a name in the header: called {_listed(called)}" if called else ""


def _read(text: str, separator: str, header: bool, na: Iterable[str], **options: object) -> pd.DataFrame:
    with warnings.catch_warnings():
        # index_col=False: else a row longer than the header silently shifts all columns by one.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(  # type: ignore[call-overload,no-any-return]
            io.StringIO(text), sep=separator, header=0 if header else None, index_col=False, low_memory=False,
            na_values=[*MISSING, *na], **EXACT, **options)


@dataclass(frozen=True)
class _Raw:
    """A text and how its columns are cut, to look at their values as they are written."""

    text: str
    separator: str
    header: bool
    na: tuple[str, ...]

    def columns(self, names: pd.Index) -> pd.DataFrame:
        frame = _read(self.text, self.separator, self.header, self.na, dtype=str)
        frame.columns = names
        return frame


def _numbers(frame: pd.DataFrame, raw: _Raw, where: str, decimal: str | None) -> tuple[str, list[str]]:
    """Turns text that is numbers with a decimal comma or grouped thousands into numbers, in place.

    The decimal mark, and the columns that it changed. One mark holds for the whole table. Raises InputError where
    columns contradict each other, and where '1,234' may be either.
    """
    written = {str(name): frame[name].dropna().tolist() for name in frame
               if not pd.api.types.is_numeric_dtype(frame[name])}
    fits = {mark: {name for name, values in written.items() if values and all(
        isinstance(value, str) and pattern.fullmatch(value) for value in values)} for mark, pattern in NUMBERS.items()}
    commas, points = sorted(fits[","] - fits["."]), sorted(fits["."] - fits[","])
    open_ones = [name for name in sorted(fits["."] & fits[","]) if any("," in value for value in written[name])]
    if decimal is None:
        if commas and points:
            raise _contradiction(where, commas[0], points[0])
        if open_ones and not commas and not points and raw.separator != ",":
            raise InputError(f"{where}: column '{open_ones[0]}' holds '{written[open_ones[0]][0]}', a decimal comma or "
                             "grouped thousands: name option 'decimal', , or .")
        decimal = "," if commas else "."
    if decimal == ".":
        texts, changed = frame, sorted(fits["."])
    else:
        texts = raw.columns(frame.columns)
        changed = sorted(fits[","] | _grouped(frame, texts, commas, where))
    for name in changed:
        frame[name] = _converted(texts[name], decimal)
    return decimal, changed


def _grouped(frame: pd.DataFrame, texts: pd.DataFrame, commas: Sequence[str], where: str) -> set[str]:
    """Columns where 1.234 was read with a point, but is a thousand and more. Raises InputError for a 3.14."""
    points = {str(name): texts[name].dropna() for name in frame if pd.api.types.is_float_dtype(frame[name])}
    points = {name: values[values.str.contains(".", regex=False)] for name, values in points.items()}
    for name, values in points.items():
        if stray := [value for value in values if not NUMBERS[","].fullmatch(value)]:
            raise _contradiction(where, commas[0] if commas else "", name, stray[0])
    return {name for name, values in points.items() if len(values)}


def _converted(column: pd.Series, decimal: str) -> pd.Series:
    """Written numbers as numbers: whole ones as integers where none is missing."""
    keep = re.compile(rf"[^\d+\-eE{decimal}]")
    plain = [keep.sub("", value).replace(",", ".") if isinstance(value, str) else "nan" for value in column]
    whole = all(value.lstrip("+-").isdigit() for value in plain)
    return pd.Series([int(value) if whole else float(value) for value in plain],
                     index=column.index, name=column.name, dtype="int64" if whole else "float64")


def _contradiction(where: str, comma: str, point: str, value: str = "") -> InputError:
    said = f" ('{value}')" if value else ""
    other = f"column '{comma}' has decimal commas, " if comma else "option 'decimal' is a comma, "
    return InputError(f"{where}: {other}column '{point}' decimal points{said}: make them alike, or name option "
                      "'decimal', by which a column that it does not fit is text")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:5])} and {len(names) - 5} more"
