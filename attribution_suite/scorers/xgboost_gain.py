"""XGBoost's gain: how much the splits on a feature reduce the loss of a boosted model."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, sum_groups
from attribution_suite.scorers.surrogates import XGBoostSurrogate
from attribution_suite.scorers.xgboost_fit import XGBoostScorer, gains


@dataclass(frozen=True)
class XGBoostGain(XGBoostScorer):
    """Baseline: total gain of an XGBoost fitted to the *labels*; it knows nothing of the networks.

    s_k sums the gains of the columns of a group, in units of the task's loss summed over the fitted rows
    (Chen & Guestrin 2016).
    """

    name: ClassVar[str] = "xgboost_gain"
    traits: ClassVar[ScorerTraits] = ScorerTraits(reads="labels")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores; equal for all members that share a background."""
        boosters = self.fit_labels(networks, evaluation)
        scores = torch.stack([gains(booster, evaluation.inputs.shape[-1]) for booster in boosters])
        each = scores[torch.arange(len(networks)) % len(boosters)].to(evaluation.inputs)
        return Attribution(self.name, evaluation.features, sum_groups(each, evaluation.groups))


@dataclass(frozen=True)
class XGBoostGainSurrogate(XGBoostSurrogate):
    """What each feature takes off the squared error of a surrogate, fitted to each network's outputs: line and trees.

    Multi-class: the mean over rows of those of the surrogate that explains the row's class.
    `details["fidelity"]` `[members]` is the surrogate's R² to its network on the evaluation rows.
    """

    name: ClassVar[str] = "xgboost_gain_surrogate"
    traits: ClassVar[ScorerTraits] = ScorerTraits(zero_on_zero_weights=True, draws=True)

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores, in squared units of the explained output."""
        fitted, fidelity = self.fit_outputs(networks, evaluation)
        rows, columns = evaluation.inputs.shape[-2:]
        scores = evaluation.inputs.new_zeros(len(networks), columns)
        for some in fitted:
            for surrogates, places, _ in some.explained(evaluation):
                scores[some.members] += len(places) / rows * surrogates.gains().to(scores)
        return Attribution(self.name, evaluation.features, sum_groups(scores, evaluation.groups),
                           details={"fidelity": fidelity})
