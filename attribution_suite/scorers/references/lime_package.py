"""The `lime` package on one network, in the setting in which it and our LIME coincide."""

from collections.abc import Sequence

import numpy as np
import torch
from lime.discretize import QuartileDiscretizer
from lime.lime_tabular import LimeTabularExplainer
from torch import Tensor, nn

from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.memory import made_once

PACKAGE = "lime"


class PointsAtTheirValue(QuartileDiscretizer):  # type: ignore[misc]
    """The package's discretiser with a quarter of equal values drawn at that value instead of at its z-score."""

    def get_undiscretize_values(self, feature: int, values: np.ndarray) -> np.ndarray:
        """The values drawn for quarters `values` `[rows]` of a feature."""
        low, high = np.array(self.mins[feature])[values], np.array(self.maxs[feature])[values]
        drawn: np.ndarray = np.where(low == high, low, super().get_undiscretize_values(feature, values))
        return drawn


class Table:
    """The encoded rows as `lime` takes them, a column a feature: `rows` and `training`, `categorical` columns.

    A group of columns, a column of indices, and one of two values at most, is a category: the number of its pattern in
    training; a pattern that is not there has the number of the row that has it, behind all of these.
    """

    def __init__(self, evaluation: Evaluation, published: bool) -> None:
        self.groups = [list(columns) for columns in evaluation.groups.values()]
        training, rows = (values.double().numpy(force=True) for values in (evaluation.background, evaluation.inputs))
        self.width, self.patterns, tables = training.shape[1], {}, []
        for number, columns in enumerate(self.groups):
            patterns = np.unique(training[:, columns], axis=0)
            if len(columns) == 1 and columns[0] not in evaluation.index and (len(patterns) > 2 or published):
                tables.append([values[:, columns[0]] for values in (training, rows)])
                continue
            self.patterns[number] = np.concatenate([patterns, rows[:, columns]])
            tables.append([_numbers(values[:, columns], patterns) for values in (training, rows)])
        self.training, self.rows = (np.stack(columns, 1) for columns in zip(*tables, strict=True))

    @property
    def categorical(self) -> list[int]:
        """The numbers of the features that are categories."""
        return list(self.patterns)

    def encoded(self, table: np.ndarray) -> np.ndarray:
        """The network's columns of rows of the table."""
        inputs = np.empty((len(table), self.width))
        for number, (columns, values) in enumerate(zip(self.groups, table.T, strict=True)):
            patterns = self.patterns.get(number)
            inputs[:, columns] = values[:, None] if patterns is None else patterns[values.astype(int)]
        return inputs


def _numbers(values: np.ndarray, patterns: np.ndarray) -> np.ndarray:
    same = (values[:, None] == patterns).all(2)
    return np.where(same.any(1), same.argmax(1), len(patterns) + np.arange(len(values)))


def _explainer(evaluation: Evaluation, published: bool) -> tuple[Table, LimeTabularExplainer]:
    table, names = Table(evaluation, published), [str(number) for number in range(len(evaluation.groups))]
    discretizer = "quartile" if published else PointsAtTheirValue(table.training, table.categorical, names)
    return table, LimeTabularExplainer(table.training, mode="regression", feature_selection="none",
                                       categorical_features=table.categorical, discretizer=discretizer)


def lime(network: nn.Module, evaluation: Evaluation, rows: Sequence[int], samples: int, neighbourhoods: int,
         published: bool) -> Tensor:
    """`lime.lime_tabular.LimeTabularExplainer(mode="regression", feature_selection="none")`, its coefficients.

    Its random state is that of the row's neighbourhood. Unless `published` it is told which columns are categories,
    and its discretiser is `PointsAtTheirValue`. In float64 but the network.
    """
    table, explainer = made_once("lime package", (evaluation.background, evaluation.inputs),
                                 (dict(evaluation.groups), published, evaluation.index),
                                 lambda: _explainer(evaluation, published))
    coefficients = np.empty((len(rows), len(evaluation.groups)))
    for place, row in enumerate(rows):
        output = 0 if evaluation.explained is None else int(evaluation.explained[0, row])
        state = np.random.RandomState([evaluation.seed, row % neighbourhoods])
        explainer.random_state = explainer.discretizer.random_state = explainer.base.random_state = state

        def predict(drawn: np.ndarray, output: int = output) -> np.ndarray:
            inputs = torch.from_numpy(table.encoded(drawn)).to(evaluation.inputs)
            with torch.no_grad():
                result: np.ndarray = network(inputs)[:, output].double().numpy(force=True)
            return result

        explained = explainer.explain_instance(table.rows[row], predict, num_samples=samples,
                                               num_features=len(evaluation.groups))
        for column, coefficient in explained.local_exp[1]:
            coefficients[place, column] = coefficient
    return torch.from_numpy(coefficients)
