"""XGBoost fitted to the labels (baselines) or to the networks (surrogates): what its gain and SHAP scorers share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xgboost
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.options import check_whole
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.memory import SURROGATES, made_once

# Bins of the quantised matrix. On real Prudential 64 fit three times as fast as the default 256, as well or better.
BINS = 64
# Learning rate. 30 rounds at 0.5 follow a network as well as 50 at the default 0.3, in two thirds of the time (R² on
# test rows: Prudential 0.23 and 0.26, Boston 0.95 and 0.94, heart 0.98 and 0.99).
RATE = 0.5
OBJECTIVES = {"regression": "reg:squarederror", "binary": "binary:logistic", "multiclass": "multi:softprob"}
# A network's outputs whose spread, over the largest of them, is below this are constant up to rounding.
CONSTANT = 1e-6
# Share of a surrogate's rows that are background rows as they are. More of them follow the network better on real
# rows, but let it read a feature's proxies (share of Boston's LSTAT after retraining without it; R² on test rows):
# 0: 0.1 %, 0.90;  0.25: 0.1 %, 0.95;  0.5: 0.2 %, 0.95;  0.75: 4 %, 0.95.
NATIVE = 0.25


@dataclass(frozen=True)
class XGBoostScorer:
    """The options of every XGBoost scorer: `rounds` of trees of `depth`, on at most `rows` background rows.

    The rows are drawn once from `evaluation.seed`; everything else is deterministic, and runs on one thread so that it
    stays so for any number of workers. One fit serves gain and SHAP of the same networks and background.
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
            return [self._train(_quantised(one), labels, **objective) for one in rows]

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

    def fit_outputs(self, networks: Ensemble, evaluation: Evaluation) -> list[dict[int, xgboost.Booster]]:
        """Fitted to each member's outputs on drawn rows: a booster for every output it is explained by.

        Of most drawn rows each feature comes from a background row of its own (a group's columns together), as LIME
        draws them; the rest are background rows. On background rows alone a feature that the network ignores would
        still be split on, as a proxy of those it reads.

        Multi-class: one regression for the logit of each class that explains a row, since φ is that of a logit held
        fixed per row. (One regression on the logit of the predicted class, the largest one, costs less, but is
        another function; on real Prudential it also follows the network less well.)
        """
        def fit() -> list[dict[int, xgboost.Booster]]:
            rows = self._drawn(evaluation)
            matrices = [_quantised(one) for one in _each(rows)]
            outputs = networks.outputs(rows).numpy(force=True)
            return [{output: self._train(matrices[member % len(matrices)], outputs[member, :, output])
                     for output in explained} for member, explained in enumerate(classes)]

        classes = [(0,)] * len(networks) if evaluation.explained is None else [
            tuple(row.unique().tolist()) for row in evaluation.explained]
        sources = (*networks.tensors, evaluation.background)
        options = (self._options, evaluation.seed, tuple(classes), networks.architecture, dict(evaluation.groups))
        return made_once(SURROGATES, sources, options, fit)

    @property
    def _options(self) -> tuple[int, int, int]:
        return self.rounds, self.depth, self.rows

    def _picked(self, evaluation: Evaluation) -> Tensor:
        """Which background rows are fitted."""
        count = evaluation.background.shape[-2]
        order = np.random.default_rng(evaluation.seed).permutation(count)[:self.rows]
        return torch.from_numpy(np.sort(order))

    def _drawn(self, evaluation: Evaluation) -> Tensor:
        """`rows` rows, most with features drawn independently, `[rows, columns]` or `[members, rows, columns]`."""
        generator = np.random.default_rng(evaluation.seed)
        *kinds, count, features = evaluation.background.shape
        rows = evaluation.background.new_empty(*kinds, self.rows, features)
        native = generator.integers(count, size=self.rows)
        for columns in evaluation.groups.values():
            others = generator.integers(count, size=self.rows)
            drawn = torch.from_numpy(np.where(np.arange(self.rows) < NATIVE * self.rows, native, others))
            rows[..., list(columns)] = evaluation.background[..., drawn, :][..., list(columns)]
        return rows

    def _train(self, matrix: xgboost.QuantileDMatrix, labels: np.ndarray, **objective: Any) -> xgboost.Booster:
        """One fit on a quantised matrix that all fits share: only its labels change.

        What `xgboost.train` does, without the callbacks that it asks around every round: a fourteenth of a fit.
        """
        matrix.set_info(label=labels)
        options = {"tree_method": "hist", "max_bin": BINS, "max_depth": self.depth, "eta": RATE, "nthread": 1,
                   **objective}
        booster = xgboost.Booster(options, [matrix])
        for number in range(self.rounds):
            booster.update(matrix, number)
        booster.reset()  # frees what only training needs
        return booster


def _each(rows: Tensor) -> np.ndarray:
    """`[rows, columns]` or `[kinds, rows, columns]` as `[kinds, rows, columns]`."""
    return (rows if rows.dim() == 3 else rows[None]).numpy(force=True)


def _quantised(rows: np.ndarray) -> xgboost.QuantileDMatrix:
    return xgboost.QuantileDMatrix(rows, max_bin=BINS, nthread=1)


def member_inputs(evaluation: Evaluation, member: int) -> np.ndarray:
    """The rows that member is explained on, `[rows, columns]`."""
    return (evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[member]).numpy(force=True)


def gains(booster: xgboost.Booster, columns: int) -> Tensor:
    """XGBoost's `total_gain` of every column, `[columns]`: the loss reduction summed over the splits on it."""
    total = torch.zeros(columns)
    for name, gain in booster.get_score(importance_type="total_gain").items():
        total[int(name.removeprefix("f"))] = torch.as_tensor(gain)
    return total


def contributions(booster: xgboost.Booster, rows: np.ndarray) -> Tensor:
    """XGBoost's exact TreeSHAP, `[rows, columns]` or `[rows, classes, columns]` (the bias column left out)."""
    with_bias = booster.predict(xgboost.DMatrix(rows, nthread=1), pred_contribs=True)
    return torch.from_numpy(with_bias[..., :-1])


def rows_by_output(evaluation: Evaluation, member: int,
                   boosters: Mapping[int, xgboost.Booster]) -> dict[int, np.ndarray]:
    """Which rows of a member each of its surrogate's boosters explains."""
    rows = evaluation.inputs.shape[-2]
    if evaluation.explained is None:
        return {0: np.arange(rows)}
    explained = evaluation.explained[member].numpy(force=True)
    return {output: np.flatnonzero(explained == output) for output in boosters}


def fidelity(networks: Ensemble, evaluation: Evaluation, surrogates: list[dict[int, xgboost.Booster]]) -> Tensor:
    """R² of each surrogate to its network's explained output on the evaluation rows (not fitted), `[members]`.

    1 follows the network exactly, 0 no better than a constant. NaN where the explained output is constant.
    """
    truth = explained_output(networks.outputs(evaluation.inputs), evaluation.explained)
    fitted = torch.empty_like(truth)
    for member, boosters in enumerate(surrogates):
        inputs = member_inputs(evaluation, member)
        for output, rows in rows_by_output(evaluation, member, boosters).items():
            fitted[member, rows] = torch.from_numpy(boosters[output].inplace_predict(inputs[rows])).to(fitted)
    spread = (truth - truth.mean(1, keepdim=True)).square().mean(1)
    varies = spread.sqrt() > CONSTANT * truth.abs().amax(1)
    return torch.where(varies, 1 - (truth - fitted).square().mean(1) / spread, torch.nan)
