"""What kind of thing a column of a user's table is: dates, identifiers, free text, rare categories, grades."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from attribution_suite.datasets.files import is_text
from attribution_suite.errors import InputError

RARE = "(rare)"
GROUPS_OF = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){TIME}")
YEAR_LAST = re.compile(rf"(?P<first>\d{{1,2}})([-/.])(?P<second>\d{{1,2}})\2(?P<year>\d{{4}}){TIME}")
ID_NAME = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|index|key|nr|no|number|row)$", re.IGNORECASE)
CAMEL_ID = re.compile(r"[a-z](Id|ID)$")
BIRTHDAYS = 4.6  # −ln 0.01


def looks_like_identifier(column: pd.Series) -> bool:
    """True for whole numbers, all different, that are named so or are too different to have been measured.

    n values drawn from R = max − min + 1 are all different with probability of about exp(−n(n − 1)/2R) at most, the
    birthday problem (docs/guide/tables.md): below 0.01 they were given out, one a row.
    """
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.dropna().to_numpy(np.float64)
    if len(values) < len(column) or not np.isfinite(values).all() or (values != np.round(values)).any():
        return False
    if not column.is_unique:
        return False
    pairs = len(values) * (len(values) - 1) / 2
    name = str(column.name)
    return bool(ID_NAME.search(name) or CAMEL_ID.search(name) or pairs > BIRTHDAYS * (np.ptp(values) + 1))


def free_text(column: pd.Series) -> bool:
    """True for text of three words or more in most rows."""
    return bool((column.dropna().astype(str).str.count(r"\S+") >= 3).mean() > 0.5)


def rare_enough(column: pd.Series, most: int) -> int | None:
    """The least N of a round list with at most `most` categories, if those of fewer than N rows are one; else None."""
    counts = column.value_counts()
    for rows in GROUPS_OF:
        kept = int((counts >= rows).sum())
        if kept + 1 <= most:
            return rows if kept else None
    return None


def group_rare(column: pd.Series, rows: int) -> tuple[pd.Series, int]:
    """Categories of fewer than `rows` rows as one, '(rare)', and how many these were."""
    counts = column.value_counts()
    rare = counts.index[counts < rows]
    return column.astype(object).where(~column.isin(rare), RARE), len(rare)


def written(column: pd.Series) -> pd.Series:
    """Numbers as the names of categories: 3 and 3.0 are '3'."""
    whole = pd.api.types.is_numeric_dtype(column) and (column.dropna() % 1 == 0).all()
    texts = column.dropna().map(lambda value: str(int(value)) if whole else str(value))
    return pd.Series(texts.astype(object).reindex(column.index), name=column.name)


def ordered(column: pd.Series, order: Sequence[str], where: str) -> pd.Series:
    """Numbers as they are; text as its place 0, 1, … in the order given. Raises InputError for text without one."""
    if not is_text(column):
        if order:
            raise InputError(f"{where}: option 'ordinal': '{column.name}' holds numbers, which have their order: name "
                             "the column alone")
        return column
    levels = sorted(column.dropna().astype(str).unique())
    if not order:
        example = "<".join(levels[:4])
        raise InputError(f"{where}: option 'ordinal': '{column.name}' is text: give its order from the lowest, as in "
                         f"'{column.name}={example}'")
    if lost := [level for level in levels if level not in order]:
        raise InputError(f"{where}: option 'ordinal': '{column.name}' holds '{lost[0]}', which is not in the order "
                         f"{' < '.join(order)}")
    return column.map({level: float(place) for place, level in enumerate(order)}).astype(float)


def is_dates(column: pd.Series) -> bool:
    """True if all values are written as dates, with or without a time."""
    values = column.dropna().astype(str).unique()
    return any(all(map(pattern.fullmatch, values)) for pattern in (YEAR_FIRST, YEAR_LAST))


def calendar(column: pd.Series, where: str) -> dict[str, pd.Series]:
    """Year, month (1 to 12) and weekday (0 Monday) of dates `[rows]`, those that differ between rows.

    Dates are 2024-12-31, 31.12.2024, or with / or - where a day above 12 shows which comes first.
    Raises InputError for what is no date, and where day and month may be either.
    """
    texts = column.dropna().astype(str)
    if not is_dates(column):
        patterns = YEAR_FIRST, YEAR_LAST
        stray = [text for text in texts if not any(pattern.fullmatch(text) for pattern in patterns)]
        raise InputError(f"{where}: option 'dates': column '{column.name}' holds '{(stray or list(texts))[0]}': write "
                         "dates as 2024-12-31")
    found = texts.str.extract(YEAR_FIRST.pattern)
    if found["year"].isna().any():
        found = texts.str.extract(YEAR_LAST.pattern)
        day = _day_first(found, texts, str(column.name), where)
        found["day"], found["month"] = (found["first"], found["second"]) if day else (found["second"], found["first"])
    days = pd.to_datetime(found[["year", "month", "day"]].astype(int), errors="coerce")
    if days.isna().any():
        raise InputError(f"{where}: column '{column.name}' holds '{texts[days.isna()].iloc[0]}', which is no date")
    parts = {"year": days.dt.year, "month": days.dt.month, "weekday": days.dt.day_of_week}
    series = {f"{column.name} {part}": values.reindex(column.index) for part, values in parts.items()
              if values.nunique() > 1}
    if not series:
        raise InputError(f"{where}: column '{column.name}' is one date: option 'drop' leaves it out")
    return {name: values.rename(name) for name, values in series.items()}


def _day_first(found: pd.DataFrame, texts: pd.Series, name: str, where: str) -> bool:
    first, second = found["first"].astype(int).max(), found["second"].astype(int).max()
    if first <= 12 and second <= 12 and "." not in texts.iloc[0]:
        raise InputError(f"{where}: column '{name}' holds dates such as '{texts.iloc[0]}', whose day or month may come "
                         "first: write them as 2024-12-31")
    return bool(first > 12 or second <= 12)

