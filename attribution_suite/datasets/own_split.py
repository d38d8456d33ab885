"""Which rows of a user's table train, validate and test: at random, with groups kept whole, or by a test file."""

import numpy as np
import pandas as pd

from attribution_suite.datasets.table import Seed, Task, random_split, stratified_split
from attribution_suite.errors import InputError

PARTS = (0.7, 0.15, 0.15)
MOST_HELD_OUT = 100_000  # rows of validation, and of test: they tell a loss to a part in 300 of its spread over rows
DRAWS = 100


def own_split(targets: np.ndarray, task: Task, seed: Seed, groups: pd.Series | None = None,
              is_test: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """Row numbers of training, validation and test, 70/15/15, stratified for classes, each part in random order.

    Of validation and test rows there are `MOST_HELD_OUT` each at most; of a larger table more rows train.
    `groups` `[rows]`: rows of one value stay in one part; whole groups are drawn, and drawn again until every part
    holds every class. `is_test` `[rows]`: these are the test rows, the others are split 70 to 15.
    Raises InputError where a class or a part would be left without rows.
    """
    rows = np.arange(len(targets)) if is_test is None else np.flatnonzero(~is_test)
    parts = _fractions(len(rows), is_test is not None)
    if groups is not None:
        drawn = _whole_groups(pd.factorize(groups)[0][rows], targets[rows], parts, task, seed)
    elif task == "regression":
        drawn = random_split(len(rows), parts, seed)
    else:
        drawn = stratified_split(targets[rows], parts, seed)
    split = tuple(rows[part] for part in drawn)
    if is_test is None:
        return split
    # In random order too: what is measured on some of them takes the first.
    test = np.random.default_rng([*np.atleast_1d(seed), *b"test"]).permutation(np.flatnonzero(is_test))
    if groups is not None and (both := sorted(set(groups[is_test]) & set(groups[~is_test]), key=str)):
        raise InputError(f"option 'group_by': '{both[0]}' has rows in the table and in the test file: leave those of "
                         "one out")
    if task != "regression" and set(targets[test]) - set(targets[split[0]]):
        raise InputError("option 'test': its rows hold a class that no training row has")
    return (*split, test)


def _fractions(rows: int, without_test: bool) -> tuple[float, ...]:
    parts = PARTS[:2] if without_test else PARTS
    held_out = min(PARTS[1] / sum(parts), MOST_HELD_OUT / rows)
    if held_out * rows < MOST_HELD_OUT:
        return tuple(part / sum(parts) for part in parts) if without_test else parts
    return (1 - held_out * (len(parts) - 1), *[held_out] * (len(parts) - 1))


def _whole_groups(groups: np.ndarray, targets: np.ndarray, parts: tuple[float, ...], task: Task,
                  seed: Seed) -> tuple[np.ndarray, ...]:
    """A split of rows in which no group `[rows]` is in two parts."""
    sizes = np.bincount(groups)
    sizes_seen = np.flatnonzero(sizes)
    if len(sizes_seen) < len(parts):
        raise InputError(f"option 'group_by': {len(sizes_seen)} groups cannot be in {len(parts)} parts: it needs more")
    classes = set() if task == "regression" else set(targets)
    for draw in range(DRAWS):
        order = np.random.default_rng((*np.atleast_1d(seed), draw)).permutation(sizes_seen)
        # A group lies where its middle row would: parts come as near to their size as whole groups allow.
        middle = (np.cumsum(sizes[order]) - sizes[order] / 2) / len(groups)
        part_of = np.empty(len(sizes), int)
        part_of[order] = np.searchsorted(np.cumsum(parts)[:-1], middle)
        shuffled = np.random.default_rng(np.append(np.atleast_1d(seed), draw)).permutation(len(groups))
        split = tuple(shuffled[part_of[groups][shuffled] == part] for part in range(len(parts)))
        if all(len(part) and classes <= set(targets[part]) for part in split):
            return split
    raise InputError(f"option 'group_by': in {DRAWS} draws of whole groups a class or all rows were missing from a "
                     "part of the split: the groups are too few or too large")
