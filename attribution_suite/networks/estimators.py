"""Fitted estimators of scikit-learn's kind: what they are asked, in which order their classes are, MLPs as weights."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax

from attribution_suite.datasets.preset import Activation
from attribution_suite.datasets.table import TabularDataset, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.wrapped import LEAST

ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "tanh": "tanh", "logistic": "sigmoid", "identity": "linear"}
SAME = 1e-4  # how far probabilities, or values relative to the largest, may be from the estimator's own: float32
RANKED = 0.9  # of rows whose predicted class has the largest decision
Layers = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def is_estimator(value: object) -> bool:
    """True for an object that fits, predicts and knows its parameters, as scikit-learn's, XGBoost's and LightGBM's."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("fit", "predict", "get_params"))


@dataclass(frozen=True)
class Reading:
    """How outputs are read off an estimator: numpy calls of `method`, on rows `[rows, features]` in float64.

    `predict`: a regression's value. `predict_proba`: of two classes the log-odds log p − log(1 − p) of the second, of
    several log p, with p within [1e-7, 1 − 1e-7]. `decision_function`, where there are no probabilities: its values.
    `predict` of a classifier that has neither: the class that it names has p = 1, the others 0, as above.
    `order`: where each class of the table is among the estimator's `classes_`.
    """

    method: str
    task: Task
    order: tuple[int, ...] = ()

    @classmethod
    def of(cls, estimator: Any, dataset: TabularDataset) -> "Reading":
        """For the task of a data set. Raises InputError for another task, and for other classes."""
        title = type(estimator).__name__
        if dataset.task == "regression":
            if hasattr(estimator, "classes_"):
                raise InputError(f"{title} is a classifier, and {dataset.name} is a regression task")
            return cls("predict", dataset.task)
        method = next(name for name in ("predict_proba", "decision_function", "predict") if hasattr(estimator, name))
        if not hasattr(estimator, "classes_"):
            raise InputError(f"{title} has no classes_, so it is no classifier, or not fitted: fit one on "
                             "dataset.train.inputs")
        return cls(method, dataset.task, _order(title, estimator.classes_, dataset.classes))

    @property
    def what(self) -> str:
        """What the outputs are, in words."""
        if self.method == "predict_proba":
            return "the logarithms of predict_proba"
        if self.method == "decision_function" or self.task == "regression":
            return self.method
        return ("the classes of predict alone, each as a probability of 1: effects count rows whose class changes, log "
                "loss counts errors, and AUC is the mean share of each class that is hit")

    def __call__(self, estimator: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The outputs `[rows, outputs]`, float64."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an estimator's advice at every call is none for the reader of an audit
            said = np.asarray(getattr(estimator, self.method)(as_fitted(estimator, rows)))
        if self.task == "regression":
            return said.astype(np.float64).reshape(len(rows), -1)
        classes = np.asarray(estimator.classes_)
        values = (said.reshape(-1, 1) == classes if self.method == "predict" else said).astype(np.float64)
        if values.ndim == 1:  # a decision function of two classes
            return values[:, None] * (1 if self.order == (0, 1) else -1)
        values = values[:, list(self.order)]
        if self.method != "decision_function":
            values = values.clip(LEAST, 1 - LEAST)
            values = np.log(values) if self.task == "multiclass" else np.log(values) - np.log1p(-values)
        return values if self.task == "multiclass" else values[:, 1:]

    def misled(self, estimator: Any, rows: NDArray[np.float64], outputs: NDArray[np.float64]) -> bool:
        """Whether `outputs` put another class first than `predict` does: decisions between pairs, not one a class.

        Votes over pairs, from which an SVC's decisions come, break a few ties the other way.
        """
        if self.method != "decision_function":
            return False
        first = outputs.argmax(1) if self.task == "multiclass" else (outputs[:, 0] > 0).astype(int)
        named = np.asarray(estimator.classes_)[list(self.order)][first]
        return bool((named == np.asarray(estimator.predict(as_fitted(estimator, rows)))).mean() < RANKED)

    def labels(self, estimator: Any, targets: torch.Tensor) -> NDArray[Any]:
        """A table's targets `[rows]` as the estimator was fitted to them."""
        values: NDArray[Any] = targets.numpy(force=True)
        if self.task == "regression":
            return values
        known: NDArray[Any] = np.asarray(estimator.classes_)
        labels: NDArray[Any] = known[list(self.order)][values.astype(int)]
        return labels


def as_fitted(estimator: Any, rows: NDArray[np.float64]) -> NDArray[np.float64] | pd.DataFrame:
    """Rows with the names of the columns, if the estimator was fitted to a DataFrame."""
    names = getattr(estimator, "feature_names_in_", None)
    return rows if names is None else pd.DataFrame(rows, columns=list(names))


def _order(title: str, known: Sequence[object], wanted: Sequence[str]) -> tuple[int, ...]:
    """Where each class of the table is among `known`, by its name or, where these are numbers from 0, by its place."""
    names = [str(name) for name in known]
    if sorted(names) == sorted(wanted):
        return tuple(names.index(name) for name in wanted)
    if len(names) == len(wanted) and np.array_equal(np.asarray(known), np.arange(len(names))):
        return tuple(range(len(names)))
    raise InputError(f"{title} knows the classes {', '.join(names)}, the table has {', '.join(wanted)}: fit it "
                     "to these, or to dataset.train.targets")


def private(estimator: Any, number: int) -> Any:
    """A copy on one thread: the user's own is never called or changed."""
    try:
        duplicate = copy.deepcopy(estimator)
    except Exception as error:  # deepcopy runs the user's code
        raise InputError(f"network {number} ({type(estimator).__name__}) cannot be copied: {error}") from error
    jobs = [name for name, value in duplicate.get_params(deep=True).items()
            if name.rpartition("__")[2] == "n_jobs" and value is not None]
    return duplicate.set_params(**dict.fromkeys(jobs, 1)) if jobs else duplicate


def check_columns(estimator: Any, number: int, dataset: TabularDataset) -> None:
    """Raises InputError for one that was fitted on other columns than the table has after encoding."""
    count, title = dataset.inputs.shape[1], f"network {number} ({type(estimator).__name__})"
    fitted = getattr(estimator, "n_features_in_", count)
    if fitted != count:
        raise InputError(f"{title} was fitted on {fitted} columns, the table has {count} after encoding: fit it on "
                         "dataset.train.inputs, or behind a Pipeline that takes these")
    names = [str(name) for name in getattr(estimator, "feature_names_in_", dataset.feature_names)]
    if names != list(dataset.feature_names) and sorted(names) == sorted(dataset.feature_names):
        raise InputError(f"{title} was fitted on the table's columns in another order ({', '.join(names[:3])} …): give "
                         "both in one order")


def as_perceptrons(estimators: Sequence[Any], readings: Sequence[Reading], dataset: TabularDataset,
                   rows: torch.Tensor) -> Perceptrons | None:
    """Fitted MLPs of scikit-learn as stacked weights, with the scaler of a Pipeline in the first layer.

    Their outputs are the logits before the logistic or softmax. None for anything else, for MLPs that differ in shape,
    and where outputs on some `rows` are not the estimator's own.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    members: list[Layers] = []
    shapes = set()
    for estimator, reading in zip(estimators, readings, strict=True):
        steps = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [estimator]
        network, scaled = steps[-1], _affine(steps[:-1], rows.shape[1])
        if not isinstance(network, MLPClassifier | MLPRegressor) or scaled is None:
            return None
        layers: Layers = [(w.T.astype(np.float64), b.astype(np.float64))
                          for w, b in zip(network.coefs_, network.intercepts_, strict=True)]
        weight, bias = layers[0]
        layers[0] = weight * scaled[0], bias + weight @ scaled[1]
        layers[-1] = _ordered(*layers[-1], reading.order)
        members.append(layers)
        shapes.add((network.activation, tuple(w.shape for w, _ in layers)))
    if len(shapes) > 1:
        return None
    (activation, widths), = shapes
    architecture = Architecture(widths[0][1], tuple(shape[0] for shape in widths[:-1]), widths[-1][0],
                                ACTIVATIONS[activation])
    weights, biases = (tuple(torch.from_numpy(np.stack([member[layer][part] for member in members])).float()
                             for layer in range(len(widths))) for part in (0, 1))
    stacked = Perceptrons(architecture, weights, biases)
    outputs = stacked.outputs(rows).double().numpy()
    same = all(_same(outputs[member], reading(estimator, rows.double().numpy()), reading)
               for member, (estimator, reading) in enumerate(zip(estimators, readings, strict=True)))
    return stacked if same else None


def _affine(steps: Sequence[Any], features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Scale s and shift t of scalers one after the other, x → s x + t, `[features]`; None where a step is another."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    scale, shift = np.ones(features), np.zeros(features)
    for step in steps:
        if isinstance(step, StandardScaler):
            by = 1 / step.scale_ if step.with_std else np.ones(features)
            to = -step.mean_ * by if step.with_mean else np.zeros(features)
        elif isinstance(step, MinMaxScaler) and not step.clip:
            by, to = step.scale_, step.min_
        elif step in (None, "passthrough"):
            continue
        else:
            return None
        scale, shift = scale * by, shift * by + to
    return scale, shift


def _ordered(weight: NDArray[np.float64], bias: NDArray[np.float64],
             order: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The last layer with the classes in the table's order; of two classes, one logit, which changes its sign."""
    if len(order) == 2 and len(weight) == 1:
        sign = 1 if tuple(order) == (0, 1) else -1
        return sign * weight, sign * bias
    return (weight[list(order)], bias[list(order)]) if len(order) else (weight, bias)


def _same(outputs: NDArray[np.float64], expected: NDArray[np.float64], reading: Reading) -> bool:
    """Are the probabilities, or a regression's values, the estimator's own?"""
    if reading.task == "regression":
        return outputs.shape == expected.shape and np.allclose(outputs, expected, rtol=SAME,
                                                               atol=SAME * np.abs(expected).max())
    if reading.task == "binary":
        return bool(np.allclose(expit(outputs), expit(expected), rtol=0, atol=SAME))
    return bool(np.allclose(softmax(outputs, axis=1), np.exp(expected), rtol=0, atol=SAME))
