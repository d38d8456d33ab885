"""Surrogates of networks: a line and XGBoost's trees of what it leaves, fitted to each explained output."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xgboost
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.memory import SURROGATES, made_once
from attribution_suite.scorers.surrogate_rows import CONSTANT, SurrogateRows, surrogate_rows
from attribution_suite.scorers.xgboost_fit import XGBoostScorer, contributions, matrix_of

# Of classes: the part of the rounds that each has, and how many times the rows all have.
ROUNDS_OVER_CLASSES, ROWS_OF_CLASSES = 5, 8


@dataclass(frozen=True)
class Surrogates:
    """f̂_e(x) = `level`_e + Σ_k `weights`_ek (x_k − `mean`_k) + trees_e(x) of networks e that share rows.

    Fitted to `count` rows, whose columns have the `variance` `[columns]`. All trees are in one booster, each of one
    network alone (XGBoost's 'one output per tree'): the same trees as of a booster for each, in less time.
    """

    level: Tensor
    weights: Tensor
    mean: Tensor
    variance: Tensor
    trees: xgboost.Booster
    count: int

    def outputs(self, rows: Tensor, matrix: xgboost.DMatrix) -> Tensor:
        """f̂ of rows `[rows, columns]`, `[networks, rows]`."""
        trees = torch.from_numpy(self.trees.predict(matrix)).view(len(rows), -1).T
        return self.level[:, None] + self.weights @ (rows - self.mean).T + trees

    def shap_values(self, rows: Tensor, matrix: xgboost.DMatrix) -> Tensor:
        """φ `[networks, rows, columns]`: the line's own w_k (x_k − mean_k), and TreeSHAP of the trees."""
        trees = contributions(self.trees, matrix).reshape(len(rows), -1, rows.shape[1]).transpose(0, 1)
        return (rows - self.mean) * self.weights[:, None] + trees

    def gains(self) -> Tensor:
        """The squared error a row that each column takes off, `[networks, columns]`: w_k² var(x_k), the trees' gain."""
        return self.weights.square() * self.variance + gains_by_output(self.trees, self.weights.shape) / self.count


def gains_by_output(booster: xgboost.Booster, shape: Sequence[int]) -> Tensor:
    """XGBoost's `total_gain` for each output's own trees, `[outputs, columns]`; its own adds all outputs up."""
    model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    total = np.zeros(shape, np.float32)
    for tree, output in zip(model["trees"], model["tree_info"], strict=True):
        split = np.array(tree["left_children"]) >= 0
        np.add.at(total[output], np.array(tree["split_indices"])[split], np.array(tree["loss_changes"])[split])
    return torch.from_numpy(total)


@dataclass(frozen=True)
class Fitted:
    """The surrogates of some members, by output, and the rows that each explains: which they are, and themselves."""

    members: list[int]
    surrogates: Mapping[int, Surrogates]

    def explained(self, evaluation: Evaluation) -> Iterator[tuple[Surrogates, Tensor, Tensor, xgboost.DMatrix]]:
        """For each output: its surrogates, the places of its rows, and the rows."""
        member = self.members[0]
        inputs = (evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[member]).cpu()
        for output, surrogates in self.surrogates.items():
            places = torch.arange(len(inputs)) if evaluation.explained is None else (
                evaluation.explained[member].cpu() == output).nonzero()[:, 0]
            yield surrogates, places, inputs[places], matrix_of(inputs[places])


@dataclass(frozen=True)
class XGBoostSurrogate(XGBoostScorer):
    """Of one output `rounds` of trees on `rows` rows; of classes a fifth of the rounds each, on eight times the rows.

    Classes have a line beside the trees: a logit is nearly linear in the rows of its class, and trees alone need
    hundreds of rounds to say so. The line takes no time, for all networks of a seed have the same rows. One output has
    none: trees follow it as well, and a line would read proxies, for it is fitted to rows of all kinds.
    """

    def fit_outputs(self, networks: Ensemble, evaluation: Evaluation) -> list[Fitted]:
        """A surrogate of every output that a member is explained by, on the rows of `surrogate_rows`.

        Multi-class: one for the logit of each class that explains a row, since φ is that of a logit held fixed per row.
        """
        def fit() -> list[Fitted]:
            fitted, total = [], self.rows if evaluation.explained is None else ROWS_OF_CLASSES * self.rows
            for members, rows_of in surrogate_rows(networks, evaluation, total):
                chosen = networks.select(members)
                fitted.append(Fitted(members, {output: self._fitted(rows, chosen.outputs(
                    rows.rows.to(networks.device))[..., output].T.numpy(force=True), evaluation.explained is not None)
                    for output, rows in rows_of.items()}))
            return fitted

        kinds = [tensor for tensor in (evaluation.explained, evaluation.pool_explained) if tensor is not None]
        sources = (*networks.tensors, evaluation.pool_rows, *kinds)
        options = (self._options, evaluation.seed, networks.architecture, dict(evaluation.groups))
        return made_once(SURROGATES, sources, options, fit)

    def _fitted(self, rows: SurrogateRows, labels: np.ndarray, classes: bool) -> Surrogates:
        """For each network whose labels `[rows, networks]` has; of classes with a line."""
        weights, level, left = rows.line(labels) if classes else rows.level(labels)
        variance = np.where(np.isfinite(rows.scale), rows.scale, 0)**2
        parts = {"level": level, "weights": weights.T, "mean": rows.mean, "variance": variance}
        scorer = replace(self, rounds=max(1, self.rounds // ROUNDS_OVER_CLASSES)) if classes else self
        return Surrogates(**{name: torch.from_numpy(part).float() for name, part in parts.items()},
                          trees=scorer.train(rows.matrix, left), count=len(labels))


def fidelity(networks: Ensemble, evaluation: Evaluation, fitted: Sequence[Fitted]) -> Tensor:
    """R² of each surrogate to its network's explained output on the evaluation rows (not fitted), `[members]`.

    1 follows the network exactly, 0 no better than a constant. NaN where the explained output is constant.
    """
    truth = explained_output(networks.outputs(evaluation.inputs), evaluation.explained)
    said = torch.empty_like(truth)
    for some in fitted:
        for surrogates, places, rows, matrix in some.explained(evaluation):
            said[torch.tensor(some.members)[:, None], places] = surrogates.outputs(rows, matrix).to(said)
    spread = (truth - truth.mean(1, keepdim=True)).square().mean(1)
    varies = spread.sqrt() > CONSTANT * truth.abs().amax(1)
    return torch.where(varies, 1 - (truth - said).square().mean(1) / spread, torch.nan)
