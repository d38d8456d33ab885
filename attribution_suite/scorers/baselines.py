"""What a row is compared with: the baseline of a run, by its name.

None leaves every scorer its own: zero, or the training rows where the method takes a distribution.
"""

import re

import numpy as np
import torch
from torch import Tensor

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError

DISTRIBUTION = "distribution"
KINDS = "zero, mean, median, row:N or distribution"
DRAWN = 20  # training rows that stand for the distribution where a method explains by one baseline at a time


def check_kind(kind: object) -> None:
    """Raises InputError for what names no baseline."""
    if kind is not None and not re.fullmatch(r"zero|mean|median|distribution|row:\d+", str(kind)):
        raise InputError(f"option 'baseline' must be {KINDS}, got {kind!r}")


def baseline_row(dataset: TabularDataset, kind: str | None) -> Tensor:
    """The row `[features]`, scaled as the networks' inputs are; zero for None, and where the rows are yet to be drawn.

    'mean' and 'median' are those of the training rows, column by column; 'row:N' is row N of the whole table as its
    file has it, 0 the first below the header, whichever part of the split it is in. A column that holds a category's
    number has no zero, mean or median: it takes the number that is most frequent in training. Raises InputError for a
    row that the table does not have.
    """
    check_kind(kind)
    training = dataset.train.inputs
    if kind is not None and kind.startswith("row:"):
        try:
            place = dataset.place(int(kind.removeprefix("row:")))
        except InputError as error:
            raise InputError(f"option 'baseline': {error}") from error
        return dataset.rows(np.array([place])).inputs[0]
    row = torch.zeros(dataset.features)
    if kind == "mean":
        row = training.mean(0)
    elif kind == "median":
        row = torch.from_numpy(np.median(training.numpy(force=True), axis=0))
    for column in dataset.index:
        row[column] = training[:, column].mode().values
    return row


def drawn_rows(rows: int, seed: int) -> Tensor:
    """The numbers of `DRAWN` of so many rows, without repeats; of all of them where there are fewer."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(seed))[:DRAWN]
