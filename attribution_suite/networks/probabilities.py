"""Networks that return probabilities: recognised, refused, or turned into the logits that every method explains."""

from collections.abc import Sequence

import torch
from torch import nn

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.wrapped import Logits
from attribution_suite.options import word

OUTPUTS = ("logit", "probability")
ROWS = 2000  # training rows on which outputs are looked at
SUM = 1e-3  # how far the probabilities of a row may be from 1 together


def as_logits(modules: Sequence[nn.Module], outputs: str | None) -> list[nn.Module]:
    """The modules, behind `Logits` if `outputs` is 'probability'. Raises InputError for a word that is neither."""
    if outputs is None or word("outputs", outputs, OUTPUTS) == "logit":
        return list(modules)
    return [Logits(module) for module in modules]


def refuse_probabilities(networks: Ensemble, dataset: TabularDataset) -> None:
    """Raises InputError for classifiers whose outputs look like probabilities and are declared as nothing.

    All lie in [0, 1] on training rows, those of several classes with sum 1: taken as logits they would be explained,
    compared and scored as what they are not.
    """
    if dataset.task == "regression":
        return
    outputs = networks.outputs(dataset.train.inputs[:ROWS])
    sums = outputs.sum(2) if outputs.shape[2] > 1 else torch.ones(1)
    if float(outputs.min()) >= 0 and float(outputs.max()) <= 1 and float((sums - 1).abs().max()) < SUM:
        raise InputError("the networks' outputs all lie in [0, 1], as probabilities do: give outputs='probability', "
                         "and their logits are explained; or outputs='logit', if that is what they are")
