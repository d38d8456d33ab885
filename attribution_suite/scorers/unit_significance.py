"""How well each unit alone separates the classes, as a score."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from attribution_suite.measures.statistics import holm
from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, sum_groups


@dataclass(frozen=True)
class UnitSignificance:
    """s_k = abs(effect) of node k on the background rows: Cliff's delta, or Spearman's ρ for a regression.

    Of a hidden unit the pre-activations are tested, as the published runs do and the `units` table does; of an input
    its values.

    The effect, not −log₁₀ p: it does not grow with the number of rows, does not run out of digits (p = 0 at a few
    thousand rows), and is one scale for all units, while their p-values come from different tests. For one test and
    no ties both give the same ranking. p-values and Holm's are in `details['p']`, `details['p_holm']`
    `[members, columns]`.

    A group's score is the sum over its columns. It reads the training rows' values and labels, not the weights above
    them: like a baseline fitted to the labels it is the same for every network at layer 0, and no edit of a tail
    can change it ('not applicable'); where training rows lose a column, it is asked again on those.
    """

    name: ClassVar[str] = "unit_significance"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="labels", reference="attribution_suite.scorers.references.scipy_tests:unit_significance")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores; `signed` (up with class 1, or with the target) for binary and regression."""
        rows = evaluation.background if evaluation.pre_activations is None else evaluation.pre_activations
        different, place = _different(rows if rows.dim() == 3 else rows[None])
        targets = evaluation.background_targets.numpy(force=True)
        tests = unit_tests(different[None], targets, evaluation.task)
        p = tests.p[0][place]
        each = torch.arange(len(networks)) % len(place)
        effect, p_values, p_holm = (torch.from_numpy(array).to(rows)[each]
                                    for array in (tests.effect[0][place], p, holm(p)))
        signed = None if evaluation.task == "multiclass" else sum_groups(effect, evaluation.groups)
        return Attribution(self.name, evaluation.features, sum_groups(effect.abs(), evaluation.groups), signed=signed,
                           details={"p": p_values, "p_holm": p_holm})


def _different(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The different columns of `[members, rows, columns]`, `[rows, different]`, and where each `[members, columns]` is.

    Members that lost one column each share all others: a test of thousands of columns becomes one of a few.
    """
    columns = rows.transpose(1, 2).contiguous().numpy(force=True)
    known: dict[bytes, int] = {}
    place = [[known.setdefault(column.tobytes(), len(known)) for column in member] for member in columns]
    stacked = np.stack([np.frombuffer(content, columns.dtype) for content in known], 1)
    return stacked, np.array(place)
