"""What boosted trees predict of every other column from the removed ones, as curves that a network can stand behind."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution_suite.networks.residuals import Curves

ROWS = 5000  # training rows that the regressions see
ROUNDS = 100  # of boosting, at most; each column takes the tenth of them that predicts unseen rows best
STEP, RATE, LEAST = 10, 0.2, 20  # rounds between two that are compared, learning rate, rows in a leaf
KNOTS = 64  # values of a removed column between which its curves are straight
Floats = NDArray[np.float64]


def boosted_curves(training: Tensor, validation: Tensor, columns: Sequence[int], fixed: Sequence[int] = ()) -> Curves:
    """x_k ↦ x_k − g_k(x_j) + mean g_k for every column k but those `fixed`; x_j its mean.

    g_k is the linear regression on the `columns` j plus boosted stumps of what that leaves (Friedman 2001), so that it
    is a sum of a curve of each column; the number of rounds is that of the least squared error on the validation rows,
    none if that is best. `training` and `validation` `[rows, features]`.
    """
    rows, unseen = (part[:ROWS].numpy(force=True).astype(np.float64) for part in (training, validation))
    j, mean, deviation = list(columns), rows.mean(0), rows.std(0)
    others = [k for k in range(rows.shape[1]) if k not in (*j, *fixed) and deviation[k] > 0]
    slope = np.zeros((rows.shape[1], len(j)))
    slope[others] = np.linalg.lstsq(rows[:, j] - mean[j], rows[:, others] - mean[others], rcond=1e-5)[0].T
    knots = np.stack([_knots(rows[:, column]) for column in j])
    values = np.zeros((len(j), KNOTS, rows.shape[1]))
    left, left_unseen = ((part - mean - (part[:, j] - mean[j]) @ slope.T)[:, others] / deviation[others]
                         for part in (rows, unseen))
    values[:, :, others] = _boosted(rows[:, j], left, unseen[:, j], left_unseen, knots) * deviation[others]
    gap = np.diff(knots, axis=1)[..., None]
    steepness = np.divide(np.diff(values, axis=1), gap, out=np.zeros_like(values[:, 1:]), where=gap > 0)
    bends = np.diff(steepness, axis=1, prepend=0, append=0)  # where a curve is level before and behind its knots
    kept = np.eye(rows.shape[1])
    kept[:, j] -= slope
    kept[j] = 0.0
    curved = np.maximum(rows[:, j, None] - knots, 0).reshape(len(rows), -1) @ bends.reshape(-1, rows.shape[1])
    constant = slope @ mean[j] + curved.mean(0)
    constant[j] = mean[j]
    return Curves(torch.from_numpy(kept), torch.from_numpy(constant), tuple(j), torch.from_numpy(knots),
                  torch.from_numpy(bends))


def _knots(values: Floats) -> Floats:
    """The column's values, or as many of its quantiles, `[KNOTS]`; the last one again where there are fewer."""
    distinct = np.unique(values)
    if len(distinct) > KNOTS:
        distinct = np.unique(np.quantile(values, np.linspace(0, 1, KNOTS), method="closest_observation"))
        distinct = distinct[np.diff(distinct, prepend=-np.inf) > 1e-4 * np.ptp(values)]
    return np.concatenate([distinct, np.full(KNOTS - len(distinct), distinct[-1])])


def _boosted(x: Floats, wanted: Floats, unseen: Floats, wanted_unseen: Floats, knots: Floats) -> Floats:
    """What stumps add at every knot of a column, the other columns at their mean: `[columns, knots, wanted]`."""
    from xgboost import XGBRegressor

    model = XGBRegressor(n_estimators=ROUNDS, max_depth=1, learning_rate=RATE, min_child_weight=LEAST,
                         tree_method="hist", base_score=0.0, n_jobs=1, random_state=0)
    model.fit(x, wanted)
    places = np.tile(x.mean(0), (*knots.shape, 1))  # [columns, knots, columns]
    for column, line in enumerate(places):
        line[:, column] = knots[column]
    predicted, error = np.zeros((*knots.shape, wanted.shape[1])), (wanted_unseen**2).mean(0)
    for rounds in range(STEP, ROUNDS + 1, STEP):
        said, at_knots = (model.predict(each, iteration_range=(0, rounds)).reshape(len(each), -1)
                          for each in (unseen, places.reshape(-1, x.shape[1])))
        squared = ((wanted_unseen - said)**2).mean(0)
        better = squared < error
        error = np.where(better, squared, error)
        predicted[..., better] = at_knots.reshape(predicted.shape)[..., better]
    return predicted
