"""First-layer weights as an attribution: what a reader sees without running the network."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from attribution_suite.networks.network import Ensemble
from attribution_suite.options import check_one_of
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, perceptrons, sum_groups

Reading = Literal["mean_abs", "first_unit"]


@dataclass(frozen=True)
class Weights:
    """The columns of the first weight matrix W `[hidden, features]`, normalised to Σ_k abs(s_k) = 1. No data is read.

    `mean_abs`: s_k = mean over units of abs(W_hk).
    `first_unit`: s_k = W_0k, signed, the first unit alone, as Captum's tutorial 'Interpreting a regression model'
    (Boston house prices) draws it beside the attributions; scores are its absolute values.
    A group's score is the sum over its columns. A network whose weights are all zero scores zero everywhere.
    """

    name: ClassVar[str] = "weights"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.definitions:weights")
    reading: Reading = "mean_abs"

    def __post_init__(self) -> None:
        check_one_of(self, "reading", get_args(Reading))

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Scores of every member; `signed` for `first_unit` alone."""
        weight = perceptrons(self, networks).first_weight
        columns = weight.abs().mean(1) if self.reading == "mean_abs" else weight[:, 0]
        norm = columns.abs().sum(1, keepdim=True)
        shares = sum_groups(columns / torch.where(norm > 0, norm, 1.0), evaluation.groups)
        signed = None if self.reading == "mean_abs" else shares
        return Attribution(self.name, evaluation.features, shares.abs(), signed=signed)
