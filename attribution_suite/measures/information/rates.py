"""Rates per group: how often each group of a categorical x_j is given the favourable class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_suite.errors import InputError
from attribution_suite.measures.information.limits import ALPHA, ONE_SIDED, Floats

DRAWS = 1000  # of the rows, with replacement
Pair = tuple[Floats, Floats]


@dataclass(frozen=True)
class Rates:
    """`rate` and `count` `[members, groups]`, `impact_ratio` and `equalised_odds_difference` `[members]`.

    `rate`: the part of the group's rows that is given the favourable class; `count`: the rows of the group. Each of
    the others has one-sided 95 % limits over rows, low and high: `rate_limits`, `ratio_limits`, `odds_limits`.
    """

    groups: tuple[str, ...]
    rate: Floats
    count: NDArray[np.int64]
    impact_ratio: Floats
    equalised_odds_difference: Floats
    rate_limits: Pair
    ratio_limits: Pair
    odds_limits: Pair


def group_rates(predicted: ArrayLike, actual: ArrayLike, groups: ArrayLike, favourable: int, seed: int = 0) -> Rates:
    """Rates of every network: `predicted` `[members, rows]` classes, `actual` and `groups` `[rows]`.

    Impact ratio: the least rate over the largest (the 'four-fifths rule' asks for 0.8); 1 where all are 0. Equalised
    odds difference (Hardt, Price & Srebro 2016; as in fairlearn): the larger of the differences between groups' largest
    and least true-positive and false-positive rate; a rate of no rows is left out, and where fewer than two groups have
    one that rate counts as NaN. Limits of a rate: Wilson's score interval (1927). Of the other two: the 5 % and 95 %
    quantiles over 1,000 draws of the rows with replacement (Efron 1979), each network's own; a draw in which it has no
    value is left out. Raises InputError for one group only.
    """
    given, truth = np.asarray(predicted) == favourable, np.asarray(actual) == favourable
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"rates per group need at least two groups in the rows, got {names.tolist()}")
    cells = _cells(given, truth, place, len(names))
    rate, count = _favoured(cells)
    generator = np.random.default_rng(seed)
    parts = cells.reshape(len(cells), -1) / given.shape[1]
    draws = np.stack([generator.multinomial(given.shape[1], part, DRAWS) for part in parts])
    drawn = draws.reshape(len(cells), DRAWS, *cells.shape[1:]).astype(float)
    return Rates(tuple(map(str, names)), rate, count.astype(np.int64), _ratio(cells), _odds(cells),
                 wilson(rate, count), _limits(_ratio(drawn)), _limits(_odds(drawn)))


def wilson(rate: Floats, count: Floats) -> Pair:
    """One-sided 95 % limits of rates of `count` rows each (Wilson 1927), in [0, 1]; NaN of no rows.

    With z = 1.645: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
    """
    n = np.where(count > 0, count, np.nan)
    centre, spread = rate + ONE_SIDED**2 / (2 * n), np.sqrt(rate * (1 - rate) / n + (ONE_SIDED / (2 * n)) ** 2)
    scale = 1 + ONE_SIDED**2 / n
    low, high = ((centre + sign * ONE_SIDED * spread) / scale for sign in (-1, 1))
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _cells(given: NDArray[np.bool_], truth: NDArray[np.bool_], place: NDArray[np.int64], groups: int) -> Floats:
    """How many rows there are of each group, actual class (favourable or not) and prediction, `[members, g, 2, 2]`."""
    code = (place * 2 + truth) * 2 + given
    return np.stack([np.bincount(row, minlength=4 * groups) for row in code]).reshape(-1, groups, 2, 2).astype(float)


def _favoured(cells: Floats) -> Pair:
    """The favoured part of each group's rows and their number, `[…, groups]`; NaN of no rows."""
    count = cells.sum((-2, -1))
    return np.divide(cells[..., 1].sum(-1), count, out=np.full_like(count, np.nan), where=count > 0), count


def _ratio(cells: Floats) -> Floats:
    """The least rate over the largest, `[…]`; a group without rows is left out."""
    rate = _favoured(cells)[0]
    least, largest = np.fmin.reduce(rate, -1), np.fmax.reduce(rate, -1)
    return np.asarray(np.divide(least, largest, out=np.ones_like(least), where=largest > 0))


def _odds(cells: Floats) -> Floats:
    """The larger spread of the groups' true- and false-positive rates, `[…]`; NaN where fewer than two have one."""
    rows = cells.sum(-1)
    rate = np.divide(cells[..., 1], rows, out=np.full_like(rows, np.nan), where=rows > 0)
    spread = np.fmax.reduce(rate, -2) - np.fmin.reduce(rate, -2)
    return np.asarray(np.where((rows > 0).sum(-2) > 1, spread, np.nan).max(-1))


def _limits(drawn: Floats) -> Pair:
    """The one-sided 95 % limits of `[members, draws]`; NaN where no draw has a value."""
    low, high = np.full((2, len(drawn)), np.nan)
    for member, values in enumerate(drawn):
        measured = values[np.isfinite(values)]
        if len(measured):
            low[member], high[member] = np.quantile(measured, (ALPHA, 1 - ALPHA))
    return low, high
