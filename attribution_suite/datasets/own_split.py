"""Which rows of a user's table train, validate and test: at random, with groups kept whole, or by a test file."""

import numpy as np
import pandas as pd

from attribution_suite.datasets.table import Seed, Task, random_split, stratified_split
from attribution_suite.errors import InputError

PARTS = (0.7, 0.15, 0.15)
DRAWS = 100


def own_split(targets: np.ndarray, task: Task, seed: Seed, groups: pd.Series | None = None,
              is_test: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """Row numbers of training, validation and test, 70/15/15, stratified for classes.

    `groups` `[rows]`: rows of one value stay in one part; whole groups are drawn, and drawn again until every part
    holds every class. `is_test` `[rows]`: these are the test rows, the others are split 70 to 15.
    Raises InputError where a class or a part would be left without rows.
    """
    rows = np.arange(len(targets)) if is_test is None else np.flatnonzero(~is_test)
    parts = PARTS if is_test is None else (PARTS[0] / (PARTS[0] + PARTS[1]), PARTS[1] / (PARTS[0] + PARTS[1]))
    if groups is not None:
        drawn = _whole_groups(pd.factorize(groups)[0][rows], targets[rows], parts, task, seed)
    elif task == "regression":
        drawn = random_split(len(rows), parts, seed)
    else:
        drawn = stratified_split(targets[rows], parts, seed)
    split = tuple(rows[part] for part in drawn)
    if is_test is None:
        return split
    test = np.flatnonzero(is_test)
    if groups is not None and (both := sorted(set(groups[is_test]) & set(groups[~is_test]), key=str)):
        raise InputError(f"option 'group_by': '{both[0]}' has rows in the table and in the test file: leave those of "
                         "one out")
    if task != "regression" and set(targets[test]) - set(targets[split[0]]):
        raise InputError("option 'test': its rows hold a class that no training row has")
    return (*split, test)


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
        split = tuple(np.flatnonzero(part_of[groups] == part) for part in range(len(parts)))
        if all(len(part) and classes <= set(targets[part]) for part in split):
            return split
    raise InputError(f"option 'group_by': in {DRAWS} draws of whole groups a class or all rows were missing from a "
                     "part of the split: the groups are too few or too large")
