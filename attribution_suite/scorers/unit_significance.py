"""How well each unit alone separates the classes, as a score."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.neurons.significance import unit_tests
from attribution_suite.scorers.attribution import Attribution, Evaluation, sum_groups


@dataclass(frozen=True)
class UnitSignificance:
    """s_k = abs(effect) of node k on the evaluation rows: Cliff's delta, or Spearman's ρ for a regression.

    The effect, not −log₁₀ p: it does not grow with the number of rows, does not run out of digits (p = 0 at a few
    thousand rows), and is one scale for all units, while their p-values come from different tests. For one test and
    no ties both give the same ranking. p-values and Holm's are in `details['p']`, `details['p_holm']`
    `[members, columns]`.

    A group's score is the sum over its columns. It reads the activations and the labels, not the weights above them:
    at layer 0 it is the same for every network, and no edit of a tail can change it.
    """

    name: ClassVar[str] = "unit_significance"
    reads: ClassVar[Literal["network", "labels"]] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores; `signed` (up with class 1, or with the target) for binary and regression."""
        shared = evaluation.inputs.dim() == 2
        values = evaluation.inputs[None] if shared else evaluation.inputs
        tests = unit_tests(values.numpy(), evaluation.targets.numpy(), evaluation.task)
        effect, p, p_holm = (torch.from_numpy(array).float().expand(len(networks), -1)
                             for array in (tests.effect, tests.p, tests.p_holm))
        signed = None if evaluation.task == "multiclass" else sum_groups(effect, evaluation.groups)
        return Attribution(self.name, evaluation.features, sum_groups(effect.abs(), evaluation.groups), signed=signed,
                           details={"p": p, "p_holm": p_holm})
