"""XGBoost's gain: how much the splits on a feature reduce the loss of a boosted model."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, sum_groups
from attribution_suite.scorers.xgboost_fit import XGBoostScorer, fidelity, gains, rows_by_output


@dataclass(frozen=True)
class XGBoostGain(XGBoostScorer):
    """Baseline: total gain of an XGBoost fitted to the *labels*. It knows nothing of the networks (Chen & Guestrin 2016).

    s_k sums the gains of the columns of a group; in units of the task's loss summed over the fitted rows.
    """

    name: ClassVar[str] = "xgboost_gain"
    reads: ClassVar[Literal["network", "labels"]] = "labels"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores; equal for all members that share a background."""
        boosters = self.fit_labels(networks, evaluation)
        columns = evaluation.inputs.shape[-1]
        found = {id(booster): gains(booster, columns) for booster in set(boosters)}
        scores = torch.stack([found[id(booster)] for booster in boosters])
        return Attribution(self.name, evaluation.features, sum_groups(scores, evaluation.groups))


@dataclass(frozen=True)
class XGBoostGainSurrogate(XGBoostScorer):
    """Total gain of an XGBoost fitted to each network's outputs on the background rows: it shifts with the network.

    Multi-class: the mean over rows of the gains of the booster that explains the row's class.
    `details["fidelity"]` `[members]` is the surrogate's R² to its network on the evaluation rows.
    """

    name: ClassVar[str] = "xgboost_gain_surrogate"
    reads: ClassVar[Literal["network", "labels"]] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores, in squared units of the explained output summed over the fitted rows."""
        surrogates = self.fit_outputs(networks, evaluation)
        rows, columns = evaluation.inputs.shape[-2:]
        scores = torch.stack([
            sum(len(chosen) / rows * gains(boosters[output], columns)
                for output, chosen in rows_by_output(evaluation, member, boosters).items())
            for member, boosters in enumerate(surrogates)])
        return Attribution(self.name, evaluation.features, sum_groups(scores, evaluation.groups),
                           details={"fidelity": fidelity(networks, evaluation, surrogates)})
