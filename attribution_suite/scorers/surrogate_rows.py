"""The rows that surrogates are fitted to: drawn and quantised once for all networks of an original, and their line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xgboost
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.memory import made_once
from attribution_suite.scorers.xgboost_fit import quantised

# Of a surrogate's rows the part that are rows of the table as they are, for one output and for classes. More of them
# follow the network better on real rows, but say of a column what its proxies do: docs/methods.md has the numbers.
NATIVE, NATIVE_OF_CLASSES = 0.25, 0.75
LEAST = 2000  # rows of a class, however few rows it explains
FEWEST = 20  # rows of a class that are drawn from; of fewer, from all rows
RIDGE = 1e-3  # added to the diagonal of the correlations
# What varies less than this, over the largest of it, is constant up to rounding.
CONSTANT = 1e-6
KIND = "surrogate rows"


@dataclass(frozen=True)
class SurrogateRows:
    """Rows `[rows, columns]` of one output, and what every fit to them shares: quantiles and correlations.

    `mean` and `scale` `[columns]` of the rows; of a column that is constant there, the scale is infinite.
    """

    rows: Tensor
    matrix: xgboost.QuantileDMatrix
    mean: np.ndarray
    scale: np.ndarray
    correlations: np.ndarray

    @classmethod
    def of(cls, rows: Tensor) -> "SurrogateRows":
        """Quantises and correlates."""
        mean = rows.mean(0, dtype=torch.float64).numpy()
        scale = rows.std(0, correction=0).double().numpy()
        scale = np.where(scale > CONSTANT * rows.abs().amax(0).numpy(), scale, np.inf)
        centred = (rows - torch.from_numpy(mean).to(rows)) / torch.from_numpy(scale).to(rows)
        return cls(rows, quantised(rows.numpy()), mean, scale, (centred.T @ centred).double().numpy() / len(rows))

    def line(self, labels: np.ndarray, read: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ridge regression of labels `[rows, networks]` on the columns that each network reads, `[networks, columns]`.

        Weights `[columns, networks]`, exactly zero where a column is not read; the labels' means; and what is left,
        of a network that reads no column nothing: trees would split rounding, on a column that they must not.
        """
        level = labels.mean(0, dtype=np.float64)
        centred = labels - level
        constant = np.sqrt(np.square(centred).mean(0)) <= CONSTANT * np.abs(labels).max(0)
        centred[:, constant | ~read.any(1)] = 0
        rows = self.rows.numpy()
        slopes = (rows.T @ centred.astype(np.float32)).astype(np.float64) - self.mean[:, None] * centred.sum(0)
        slopes /= self.scale[:, None] * len(rows)
        weights = np.zeros_like(slopes)
        for columns in np.unique(read[read.any(1)], axis=0):
            networks = np.ix_(columns, (read == columns).all(1))
            ridge = self.correlations[np.ix_(columns, columns)] + RIDGE * np.eye(columns.sum())
            weights[networks] = cho_solve(cho_factor(ridge), slopes[networks]) / self.scale[columns, None]
        return weights, level, centred - (rows @ weights.astype(np.float32) - self.mean @ weights)

    @property
    def nbytes(self) -> int:
        """About what it holds: the rows, and XGBoost's one byte a value, by rows and by columns."""
        return 6 * self.rows.numel()


def surrogate_rows(networks: Ensemble, evaluation: Evaluation,
                   total: int) -> list[tuple[list[int], dict[int, SurrogateRows]]]:
    """Which members share rows, and these rows by the output that is fitted to them.

    `total` rows, to each class of several in proportion to the rows that it explains, at least `LEAST`. Those of a
    class are drawn from the rows that the original predicts to be of it, as are the rows that it explains. The first
    of them are such rows as they are, the others have each feature (a group's columns together) from such a row of its
    own, as LIME draws them: on the table's own rows alone a feature would be fitted as the proxy of others.
    """
    classes = pool_classes(networks, evaluation)
    shared: list[list[int]] = []
    for member in range(len(networks)):
        for others in shared:
            if same_rows(evaluation, classes, member, others[0]):
                others.append(member)
                break
        else:
            shared.append([member])
    return [(members, made_for(evaluation, classes, members[0], total)) for members in shared]


def pool_classes(networks: Ensemble, evaluation: Evaluation) -> Tensor | None:
    """`[members, pool rows]`, the class that each original predicts, or, where that is not known, the network."""
    if evaluation.explained is None or evaluation.pool_explained is not None:
        return evaluation.pool_explained
    return networks.outputs(evaluation.pool_rows).argmax(2)


def same_rows(evaluation: Evaluation, classes: Tensor | None, member: int, other: int) -> bool:
    """Do two members explain the same classes, of the same rows?"""
    if evaluation.background.dim() == 3 or evaluation.inputs.dim() == 3:
        return False
    return classes is None or evaluation.explained is None or (
        torch.equal(evaluation.explained[member], evaluation.explained[other])
        and torch.equal(classes[member], classes[other]))


def made_for(evaluation: Evaluation, classes: Tensor | None, member: int, total: int) -> dict[int, SurrogateRows]:
    """The rows of one member."""
    pool = (evaluation.pool_rows if evaluation.pool_rows.dim() == 2 else evaluation.pool_rows[member]).cpu()
    wanted, sources, native = {0: (np.arange(len(pool)), total)}, [pool], NATIVE
    if classes is not None and evaluation.explained is not None:
        of_pool, explained = classes[member].numpy(force=True), evaluation.explained[member]
        numbers, counts = explained.unique(return_counts=True)
        wanted = {number: (of_class if len(of_class := np.flatnonzero(of_pool == number)) >= FEWEST
                           else np.arange(len(pool)), max(LEAST, round(total * count / len(explained))))
                  for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)}
        sources.append(classes[member])
        native = NATIVE_OF_CLASSES
    options = (total, evaluation.seed, dict(evaluation.groups), {k: count for k, (_, count) in wanted.items()})
    columns = np.ascontiguousarray(pool.numpy().T)  # a column's draws are made together
    return made_once(KIND, sources, options, lambda: {
        output: SurrogateRows.of(drawn(columns, evaluation.groups, among, count, native, [evaluation.seed, output]))
        for output, (among, count) in wanted.items()}, lambda made: sum(each.nbytes for each in made.values()))


def drawn(pool: np.ndarray, groups: Mapping[str, Sequence[int]], among: np.ndarray, count: int,
          native: float, seed: Sequence[int]) -> Tensor:
    """`count` rows `[count, columns]` drawn from the rows `among` of a pool `[columns, rows]`, a part whole."""
    generator = np.random.default_rng(seed)
    whole = round(native * count)
    rows = np.empty((len(pool), count), np.float32)
    rows[:, :whole] = pool[:, np.resize(generator.permutation(among), whole)]
    each = among[generator.integers(len(among), size=(len(groups), count - whole))]
    for columns, places in zip(groups.values(), each, strict=True):
        for column in columns:
            rows[column, whole:] = pool[column][places]
    return torch.from_numpy(np.ascontiguousarray(rows.T))
