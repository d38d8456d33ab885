"""Networks that return probabilities: recognised, refused, or turned into the logits that every method explains."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.options import word

OUTPUTS = ("logit", "probability")
ROWS = 2000  # training rows on which outputs are looked at
LEAST = 1e-7  # of a probability: float32 holds nothing nearer to 1
SUM = 1e-3  # how far the probabilities of a row may be from 1 together


class Logits(nn.Module):
    """The logits of a module's probabilities: log p − log(1 − p) of one, log p of several, p within [1e-7, 1 − 1e-7].

    A network that saturates at exactly 0 or 1 has lost its logit: it comes out as ± 16.1.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: Tensor) -> Tensor:
        """`[rows, outputs]`, or `[rows]` where the module returns that."""
        p: Tensor = self.module(rows).clamp(LEAST, 1 - LEAST)
        return p.log() if p.dim() == 2 and p.shape[1] > 1 else p.logit()


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
    sums = outputs.sum(2) if dataset.outputs > 1 else torch.ones(1)
    if float(outputs.min()) >= 0 and float(outputs.max()) <= 1 and float((sums - 1).abs().max()) < SUM:
        raise InputError("the networks' outputs all lie in [0, 1], as probabilities do: give outputs='probability', "
                         "and their logits are explained; or outputs='logit', if that is what they are")
