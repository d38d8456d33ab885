"""XGBoost fitted to the labels (baselines), and what a fit to the networks (surrogates) shares with it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xgboost
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.options import check_whole
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.memory import made_once

# Bins of the quantised matrix. On real Prudential 64 fit three times as fast as the default 256, as well or better.
BINS = 64
# Learning rate: at 0.5 half as many rounds follow labels or networks as well as at the default 0.3.
RATE = 0.5
# Of a column that may be split, where another may not: XGBoost takes a weight of 0 as one of 1e-6.
WEIGHT = 1e6
OBJECTIVES = {"regression": "reg:squarederror", "binary": "binary:logistic", "multiclass": "multi:softprob"}


@dataclass(frozen=True)
class XGBoostScorer:
    """The options of every XGBoost scorer: `rounds` of trees of `depth`, on at most `rows` background rows.

    The rows are drawn once from `evaluation.seed`; everything else is deterministic, and runs on one thread so that it
    stays so for any number of workers. One fit serves gain and SHAP of the same networks and rows.
    """

    rounds: int = 30
    depth: int = 3
    rows: int = 2000

    def __post_init__(self) -> None:
        check_whole(self, 1, "rounds", "depth", "rows")

    def fit_labels(self, networks: Ensemble, evaluation: Evaluation) -> list[xgboost.Booster]:
        """Fitted to the labels: one booster a background, which members share in turn (member e has number e mod n).

        Squared error, logistic loss or softmax by the task; the networks only say how many classes there are.
        """
        def fit() -> list[xgboost.Booster]:
            picked = self._picked(evaluation)
            labels = evaluation.background_targets[picked].numpy(force=True)
            rows = _each(evaluation.background[..., picked, :])
            return [self.train(quantised(one), labels, **objective) for one in rows]

        outputs = networks.architecture.outputs
        objective: dict[str, Any] = {"objective": OBJECTIVES[evaluation.task]}
        if evaluation.task == "multiclass":
            objective["num_class"] = outputs
        sources = (evaluation.background, evaluation.background_targets)
        options = (self._options, evaluation.task, evaluation.seed, outputs)
        return made_once("labels", sources, options, fit)

    def label_outputs(self, networks: Ensemble, evaluation: Evaluation, rows: Tensor) -> Tensor:
        """What the boosters of `fit_labels` make of rows `[rows, columns]`: `[boosters, rows, outputs]`.

        Raw outputs, as networks have them: the value, the logit, or one a class.
        """
        matrix = xgboost.DMatrix(rows.numpy(force=True), nthread=1)
        found = [torch.from_numpy(booster.predict(matrix, output_margin=True))
                 for booster in self.fit_labels(networks, evaluation)]
        return torch.stack(found).view(len(found), len(rows), -1)

    @property
    def _options(self) -> tuple[int, int, int]:
        return self.rounds, self.depth, self.rows

    def _picked(self, evaluation: Evaluation) -> Tensor:
        """Which background rows are fitted."""
        count = evaluation.background.shape[-2]
        order = np.random.default_rng(evaluation.seed).permutation(count)[:self.rows]
        return torch.from_numpy(np.sort(order))

    def train(self, matrix: xgboost.QuantileDMatrix, labels: np.ndarray, columns: np.ndarray | None = None,
              **objective: Any) -> xgboost.Booster:
        """One fit on a quantised matrix that all fits share: only its labels change, and which `columns` may be split.

        `columns`: bool, None for all. XGBoost draws columns without replacement, in proportion to their weights: as
        many as have any weight are always those.
        What `xgboost.train` does, without the callbacks that it asks around every round: a fourteenth of a fit.
        """
        matrix.set_info(label=labels)
        options = {"tree_method": "hist", "max_bin": BINS, "max_depth": self.depth, "eta": RATE, "nthread": 1,
                   **objective}
        if columns is not None and not columns.all():
            matrix.set_info(feature_weights=np.where(columns, WEIGHT, 0).astype(np.float32))
            options["colsample_bytree"] = (columns.sum() + 0.5) / len(columns)  # rounded down
        booster = xgboost.Booster(options, [matrix])
        for number in range(self.rounds):
            booster.update(matrix, number)
        booster.reset()  # frees what only training needs
        return booster


def _each(rows: Tensor) -> np.ndarray:
    """`[rows, columns]` or `[kinds, rows, columns]` as `[kinds, rows, columns]`."""
    return (rows if rows.dim() == 3 else rows[None]).numpy(force=True)


def quantised(rows: np.ndarray) -> xgboost.QuantileDMatrix:
    """Rows `[rows, columns]` to fit, in `BINS` quantiles a column."""
    return xgboost.QuantileDMatrix(rows, max_bin=BINS, nthread=1)


def gains(booster: xgboost.Booster, columns: int) -> Tensor:
    """XGBoost's `total_gain` of every column, `[columns]`: the loss reduction summed over the splits on it."""
    total = torch.zeros(columns)
    for name, gain in booster.get_score(importance_type="total_gain").items():
        total[int(name.removeprefix("f"))] = torch.as_tensor(gain)
    return total


def contributions(booster: xgboost.Booster, rows: xgboost.DMatrix) -> Tensor:
    """XGBoost's exact TreeSHAP, `[rows, columns]` or `[rows, classes, columns]` (the bias column left out)."""
    return torch.from_numpy(booster.predict(rows, pred_contribs=True))[..., :-1]


def matrix_of(rows: Tensor) -> xgboost.DMatrix:
    """Rows `[rows, columns]` to explain."""
    return xgboost.DMatrix(rows.numpy(force=True), nthread=1)
