"""How good networks are on the test rows, and of the originals whether they have learned anything at all."""

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.learned import learned
from attribution_suite.measures.performance import PERFORMANCE, confusion, performance
from attribution_suite.networks.gate import finite_outputs
from attribution_suite.networks.network import VALUES_AT_ONCE, Ensemble
from attribution_suite.networks.outputs import task_loss
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation

# The columns of the array `performance` `[members, …]`; of `xgboost` `[members, …]` the first six.
PERFORMED = (*PERFORMANCE, "training_loss")
ORIGINAL_OUTCOMES = ("loss_native", "validation_native", "performance", "confusion", "learned_p", "learned", "xgboost")
LABEL_BASELINES = ("xgboost_gain", "xgboost_shap")  # the scorers that fit an XGBoost to the labels, the same one


def performed(networks: Ensemble, dataset: TabularDataset, seen: Evaluation) -> Arrays:
    """`performance` `[members, len(PERFORMED)]` of whole networks: on all test rows, `training_loss` on the background.

    And `confusion` `[members, classes, classes]`: how many test rows of each class are predicted to be each; of a
    regression `[members, 0, 0]`. Raises InputError for an output that is not finite.
    """
    training = finite_outputs(networks, seen.background, "training")
    test = dataset.test.to(networks.device)
    outputs = finite_outputs(networks, test.inputs, "test")
    loss = task_loss(training, seen.background_targets, dataset.task)
    counts = np.zeros((len(networks), 0, 0), np.int64) if dataset.task == "regression" else \
        confusion(outputs, test.targets, dataset.task).numpy(force=True)
    return {"performance": np.column_stack([_measured(outputs, test.targets, dataset), loss.numpy(force=True)]),
            "confusion": counts}


def original_outcomes(subject: Subject, dataset: TabularDataset, networks: Ensemble, seen: Evaluation,
                      measured: np.ndarray) -> Arrays:
    """The arrays `ORIGINAL_OUTCOMES`, `[members]` or as `PERFORMED` says; `measured` `[scorers]`: which have values.

    The losses are on the rows that those of an edit are on: of a hidden layer the evaluated ones.
    """
    test, validation = dataset.test.to(networks.device), dataset.validation.to(networks.device)
    outputs = finite_outputs(networks, test.inputs, "test")
    rows = slice(None) if subject.layer == 0 else slice(len(seen.targets))
    held_out = finite_outputs(networks, validation.inputs, "validation")
    found = learned(outputs, test.targets, dataset.train.targets.to(networks.device), dataset.task, dataset.ordered)
    return {
        "loss_native": task_loss(outputs[:, rows], test.targets[rows], dataset.task).numpy(force=True),
        "validation_native": task_loss(held_out, validation.targets, dataset.task).numpy(force=True),
        **performed(networks, dataset, seen), "learned_p": found.p, "learned": found.learned,
        "xgboost": np.broadcast_to(baseline(subject, dataset, networks, seen, measured),
                                   (len(networks), len(PERFORMANCE)))}


def baseline(subject: Subject, dataset: TabularDataset, networks: Ensemble, seen: Evaluation,
             measured: np.ndarray) -> np.ndarray:
    """`PERFORMANCE` `[1, 6]` of the XGBoost that a scorer fitted to the labels; NaN where none did, or of activations.

    It is the scorer's own fit, not another one.
    """
    fitted = [choice for choice, has in zip(subject.choices, measured, strict=True)
              if has and choice.name in LABEL_BASELINES]
    if not fitted or subject.layer:
        return np.full((1, len(PERFORMANCE)), np.nan)
    scorer = SCORERS.make(fitted[0].name, **fitted[0].options)
    outputs = scorer.label_outputs(networks, seen, dataset.test.inputs)
    return _measured(outputs, dataset.test.targets, dataset)


def _measured(outputs: Tensor, targets: Tensor, dataset: TabularDataset) -> np.ndarray:
    """`PERFORMANCE` `[members, 6]`, some members at a time: the measures work in double precision."""
    step = max(1, VALUES_AT_ONCE // outputs[0].numel())
    parts = [performance(piece, targets, dataset.task, dataset.ordered) for piece in outputs.split(step)]
    return np.concatenate([torch.stack(list(part.values()), 1).numpy(force=True) for part in parts])
