"""How much the first layer's weights moved while the network was trained."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.scorers.attribution import Attribution, sum_groups

NAME = "weight_history"


def weight_history_scores(history: Tensor, groups: Mapping[str, tuple[int, ...]]) -> Attribution:
    """s_k = Σ over units u of the standard deviation over epochs (population) of weight W_uk. Global, unsigned.

    `history` `[epochs, members, hidden, features]` is `Trained.history`; NaN after a member stopped is left out. A
    group's score is the sum over its columns. It reads the training, not the network: it cannot be asked of a network
    that was not recorded, nor does it change when one is edited. Raises InputError for fewer than two epochs.
    """
    columns = torch.from_numpy(_spread(history).sum(1)).float()
    return Attribution(NAME, tuple(groups), sum_groups(columns, groups))


def weights_over_epochs(history: Tensor, feature_names: Sequence[str], every: int = 1) -> pd.DataFrame:
    """The record as a table, one row a member, epoch, unit and feature: `weight`. `every` is `record_every`."""
    values = _checked(history, feature_names)
    epochs, members, hidden, _ = values.shape
    index = pd.MultiIndex.from_product([range(members), range(every, every * epochs + 1, every), range(hidden),
                                        feature_names], names=["member", "epoch", "unit", "feature"])
    frame = index.to_frame(index=False).assign(weight=values.swapaxes(0, 1).ravel())
    return frame.dropna(ignore_index=True)


def density_table(history: Tensor, feature_names: Sequence[str]) -> pd.DataFrame:
    """One row a member, unit and feature: how densely the weight stayed where it stayed most.

    With the normal density φ of the weight's mean and standard deviation over epochs, taken at the weight of every
    epoch, over the epochs at which φ ≥ 1: `len` (how many), `max`, `sum`, `mean` and `stdev` (n − 1) of φ, in 1 / units
    of the weight. `std` is the weight's own (n). NaN for max and mean of none and for stdev of fewer than two; a weight
    that never moved has no density: len 0.
    """
    values = _checked(history, feature_names).astype(np.float64)
    spread, mean = _spread(history), np.nanmean(values, 0)
    scale = np.where(spread > 0, spread, np.nan)
    density = np.exp(-0.5 * ((values - mean) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))
    dense = np.where(density >= 1, density, 0.0)
    count, total = (dense > 0).sum(0), dense.sum(0)
    average = _divided(total, count, count > 0)
    squares = np.where(dense > 0, (dense - average) ** 2, 0.0).sum(0)
    members, hidden, _ = spread.shape
    index = pd.MultiIndex.from_product([range(members), range(hidden), feature_names],
                                       names=["member", "unit", "feature"])
    columns = {"std": spread, "len": count, "max": np.where(count > 0, dense.max(0), np.nan), "sum": total,
               "mean": average, "stdev": np.sqrt(_divided(squares, count - 1, count > 1))}
    return index.to_frame(index=False).assign(**{name: column.ravel() for name, column in columns.items()})


def _divided(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(a, b, out=np.full(a.shape, np.nan), where=where)
    return ratio


def _checked(history: Tensor, feature_names: Sequence[str] | None = None) -> np.ndarray:
    if history.dim() != 4 or len(history) < 2:
        raise InputError(f"a weight history is [epochs, members, hidden, features] with two epochs or more, got "
                         f"{list(history.shape)}: train longer, or record more often (record_every)")
    if feature_names is not None and len(feature_names) != history.shape[3]:
        raise InputError(f"a history of {history.shape[3]} inputs needs as many names, got {len(feature_names)}")
    values = history.numpy()
    if not np.isfinite(values[:2]).all() or np.isinf(values).any():
        raise InputError("a weight history holds infinite weights, or a member that stopped before its second record: "
                         "lower the learning rate or record more often (record_every)")
    return values


def _spread(history: Tensor) -> np.ndarray:
    """Standard deviation over epochs, float64 `[members, hidden, features]`; exactly 0 if it never moved."""
    values = _checked(history).astype(np.float64)
    still = np.nanmax(values, 0) == np.nanmin(values, 0)
    return np.where(still, 0.0, np.nanstd(values, 0))
