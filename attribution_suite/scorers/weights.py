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

    `mean_abs`: s_k = mean over units of abs(W_hk), signed_k = mean over units of W_hk, in the same unit. Of the last
    hidden layer before one output both are the weights of that output themselves.
    `first_unit`: signed_k = W_0k, the first unit alone, as Captum's tutorial 'Interpreting a regression model' (Boston
    house prices) draws it beside the attributions; scores are its absolute values.
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
        """Scores of every member, and their signs."""
        weight = perceptrons(self, networks).first_weight
        if self.reading == "first_unit":
            weight = weight[:, :1]
        columns = weight.abs().mean(1)
        norm = columns.sum(1, keepdim=True)
        shares, signed = (sum_groups(values / torch.where(norm > 0, norm, 1.0), evaluation.groups)
                          for values in (columns, weight.mean(1)))
        return Attribution(self.name, evaluation.features, shares if self.reading == "mean_abs" else signed.abs(),
                           signed=signed)
