"""Surrogates of networks: a line and XGBoost's trees of what it leaves, fitted to each explained output."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xgboost
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.feature_ablation import FeatureAblation
from attribution_suite.scorers.memory import SURROGATES, made_once
from attribution_suite.scorers.pieces import columns_of
from attribution_suite.scorers.surrogate_rows import CONSTANT, SurrogateRows, surrogate_rows
from attribution_suite.scorers.xgboost_fit import XGBoostScorer, contributions, gains, matrix_of

# Of classes: the part of the rounds that each has, and how many times the rows all have.
PART_OF_ROUNDS, ROWS_OF_CLASSES = 0.4, 12
MOVED_ROWS = 50  # rows in which a feature is moved, to see whether a network reads it
NOTHING = 1e-5  # of the largest output: a mean move that is smaller is rounding


@dataclass(frozen=True)
class Surrogates:
    """f̂_e(x) = `level`_e + Σ_k `weights`_ek (x_k − `mean`_k) + trees_e(x) of networks e that share rows.

    Fitted to `count` rows, whose columns have the `variance` `[columns]`; `trees` holds a booster for each network.
    """

    level: Tensor
    weights: Tensor
    mean: Tensor
    variance: Tensor
    trees: Sequence[xgboost.Booster]
    count: int

    def outputs(self, rows: Tensor) -> Tensor:
        """f̂ of rows `[rows, columns]`, `[networks, rows]`."""
        matrix = matrix_of(rows)
        trees = torch.stack([torch.from_numpy(booster.predict(matrix)) for booster in self.trees])
        return self.level[:, None] + self.weights @ (rows - self.mean).T + trees

    def shap_values(self, rows: Tensor) -> Tensor:
        """φ `[networks, rows, columns]`: the line's own w_k (x_k − mean_k), and TreeSHAP of the trees."""
        matrix = matrix_of(rows)
        trees = torch.stack([contributions(booster, matrix) for booster in self.trees])
        return trees.addcmul_(rows - self.mean, self.weights[:, None])

    def gains(self) -> Tensor:
        """The squared error a row that each column takes off, `[networks, columns]`: w_k² var(x_k), the trees' gain."""
        trees = torch.stack([gains(booster, self.weights.shape[1]) for booster in self.trees])
        return self.weights.square() * self.variance + trees / self.count


@dataclass(frozen=True)
class Fitted:
    """The surrogates of some members, by output, and the rows that each explains: which they are, and themselves."""

    members: list[int]
    surrogates: Mapping[int, Surrogates]

    def explained(self, evaluation: Evaluation) -> Iterator[tuple[Surrogates, Tensor, Tensor]]:
        """For each output: its surrogates, the places of its rows, and the rows."""
        member = self.members[0]
        inputs = (evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[member]).cpu()
        for output, surrogates in self.surrogates.items():
            places = torch.arange(len(inputs)) if evaluation.explained is None else (
                evaluation.explained[member].cpu() == output).nonzero()[:, 0]
            yield surrogates, places, inputs[places]


@dataclass(frozen=True)
class XGBoostSurrogate(XGBoostScorer):
    """Of one output `rounds` of trees on `rows` rows; of classes two fifths of the rounds each, on 12 times the rows.

    A line goes first: a logit is nearly linear in the rows of its class, and trees alone need hundreds of rounds to
    say so. It takes hardly any time, for all networks of a seed have the same rows.

    A feature that the network does not read (`read_columns`) is given to neither line nor trees: what a fit would say
    of it is what its proxies do.
    """

    def fit_outputs(self, networks: Ensemble, evaluation: Evaluation) -> tuple[list[Fitted], Tensor]:
        """A surrogate of every output that a member is explained by, on the rows of `surrogate_rows`; their `fidelity`.

        Multi-class: one for the logit of each class that explains a row, since φ is that of a logit held fixed per row.
        """
        def fit() -> tuple[list[Fitted], Tensor]:
            fitted, total = [], self.rows if evaluation.explained is None else ROWS_OF_CLASSES * self.rows
            read = read_columns(networks, evaluation)
            for members, rows_of in surrogate_rows(networks, evaluation, total):
                chosen = networks.select(members)
                fitted.append(Fitted(members, {output: scorer.fit_rows(rows, chosen.outputs(
                    rows.rows.to(networks.device))[..., output].T.numpy(force=True), read[members])
                    for output, rows in rows_of.items()}))
            return fitted, fidelity(networks, evaluation, fitted)

        rounds = self.rounds if evaluation.explained is None else max(1, round(PART_OF_ROUNDS * self.rounds))
        scorer = replace(self, rounds=rounds)
        kinds = [tensor for tensor in (evaluation.explained, evaluation.pool_explained) if tensor is not None]
        sources = (*networks.tensors, evaluation.pool_rows, *kinds, evaluation.inputs)
        options = (self._options, evaluation.seed, networks.architecture, dict(evaluation.groups))
        return made_once(SURROGATES, sources, options, fit)

    def fit_rows(self, rows: SurrogateRows, labels: np.ndarray, read: np.ndarray) -> Surrogates:
        """Of the labels `[rows, networks]`, by the columns that each network reads, `[networks, columns]` bool."""
        weights, level, left = rows.line(labels, read)
        variance = np.where(np.isfinite(rows.scale), rows.scale, 0)**2
        parts = {"level": level, "weights": weights.T, "mean": rows.mean, "variance": variance}
        trees = [self.train(rows.matrix, one, columns) for one, columns in zip(left.T, read, strict=True)]
        return Surrogates(**{name: torch.from_numpy(part).float() for name, part in parts.items()},
                          trees=trees, count=len(labels))


def read_columns(networks: Ensemble, evaluation: Evaluation) -> np.ndarray:
    """Which columns each network reads, bool `[members, columns]`: those of a feature that moves its explained output.

    The feature is put at the least and at the largest values of the rows that are drawn from, in a few of the rows to
    explain. One whose first-layer weights are all exactly zero moves nothing, exactly.
    """
    few, pool = evaluation.with_rows(MOVED_ROWS), evaluation.pool_rows
    moves = torch.stack([FeatureAblation().attribute(networks, replace(few, baseline=row, baseline_kind=None)).scores
                         for row in (pool.amin(-2), pool.amax(-2))])
    largest = explained_output(networks.outputs(few.inputs), few.explained).abs().amax(1, keepdim=True)
    read = moves.amax(0) > NOTHING * largest
    return (read[:, :, None] & columns_of(evaluation)).any(1).numpy(force=True)


def fidelity(networks: Ensemble, evaluation: Evaluation, fitted: Sequence[Fitted]) -> Tensor:
    """R² of each surrogate to its network's explained output on the evaluation rows (not fitted), `[members]`.

    1 follows the network exactly, 0 no better than a constant. NaN where the explained output is constant.
    """
    truth = explained_output(networks.outputs(evaluation.inputs), evaluation.explained)
    said = torch.empty_like(truth)
    for some in fitted:
        for surrogates, places, rows in some.explained(evaluation):
            said[torch.tensor(some.members)[:, None], places] = surrogates.outputs(rows).to(said)
    spread = (truth - truth.mean(1, keepdim=True)).square().mean(1)
    varies = spread.sqrt() > CONSTANT * truth.abs().amax(1)
    return torch.where(varies, 1 - (truth - said).square().mean(1) / spread, torch.nan).cpu()
