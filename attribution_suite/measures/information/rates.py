"""Rates per group: how often each group of a categorical x_j is given the favourable class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attribution_suite.errors import InputError
from attribution_suite.measures.information.limits import Floats


@dataclass(frozen=True)
class Rates:
    """`rate` and `count` `[members, groups]`, `impact_ratio` and `equalised_odds_difference` `[members]`.

    `rate`: the part of the group's rows that is given the favourable class; `count`: the rows of the group.
    """

    groups: tuple[str, ...]
    rate: Floats
    count: NDArray[np.int64]
    impact_ratio: Floats
    equalised_odds_difference: Floats


def group_rates(predicted: ArrayLike, actual: ArrayLike, groups: ArrayLike, favourable: int) -> Rates:
    """Rates of every network: `predicted` `[members, rows]` classes, `actual` and `groups` `[rows]`.

    Impact ratio: the least rate over the largest (the 'four-fifths rule' asks for 0.8); 1 where all are 0. Equalised
    odds difference (Hardt, Price & Srebro 2016; as in fairlearn): the larger of the differences between groups' largest
    and least true-positive and false-positive rate; a rate of no rows is left out, and where fewer than two groups have
    one that rate counts as NaN. Raises InputError for one group only.
    """
    given, truth = np.asarray(predicted) == favourable, np.asarray(actual) == favourable
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"rates per group need at least two groups in the rows, got {names.tolist()}")
    member = np.eye(len(names))[place]
    rate = given @ member / member.sum(0)
    largest = rate.max(1)
    ratio = np.divide(rate.min(1), largest, out=np.ones(len(rate)), where=largest > 0)
    spreads = [_spread(given[:, rows] @ member[rows], member[rows].sum(0)) for rows in (truth, ~truth)]
    counts = np.broadcast_to(member.sum(0).astype(np.int64), rate.shape)
    return Rates(tuple(map(str, names)), rate, counts, ratio, np.max(spreads, axis=0))


def _spread(given: Floats, rows: Floats) -> Floats:
    """The largest minus the least rate over groups that have rows, `[members]`."""
    some = rows > 0
    if some.sum() < 2:
        return np.full(len(given), np.nan)
    rate = given[:, some] / rows[some]
    return np.asarray(rate.max(1) - rate.min(1))
