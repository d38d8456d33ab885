"""TreeSHAP of a boosted model: exact Shapley values of its margin (Lundberg et al. 2020)."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.surrogates import XGBoostSurrogate
from attribution_suite.scorers.xgboost_fit import XGBoostScorer, contributions, matrix_of


@dataclass(frozen=True)
class XGBoostShap(XGBoostScorer):
    """Baseline: SHAP values of an XGBoost fitted to the *labels*, for its margin (multi-class: of the explained class).

    Local; a group's φ is the sum over its columns.
    """

    name: ClassVar[str] = "xgboost_shap"
    traits: ClassVar[ScorerTraits] = ScorerTraits(reads="labels")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """φ of every member: TreeSHAP runs once for all members that share background and rows."""
        boosters = self.fit_labels(networks, evaluation)
        columns = evaluation.inputs.new_empty(len(networks), *evaluation.inputs.shape[-2:])
        each = torch.arange(len(columns[0]))
        for number, booster in enumerate(boosters):
            shap_values = None
            for member in range(number, len(networks), len(boosters)):
                if shap_values is None or evaluation.inputs.dim() == 3:
                    inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[member]
                    shap_values = contributions(booster, matrix_of(inputs))
                explained = None if evaluation.explained is None else evaluation.explained[member].cpu()
                columns[member] = (shap_values if explained is None else shap_values[each, explained]).to(columns)
        return Attribution.from_columns(self.name, columns, evaluation)


@dataclass(frozen=True)
class XGBoostShapSurrogate(XGBoostSurrogate):
    """SHAP values of a surrogate, fitted to each network's outputs: those of its line and TreeSHAP of its trees.

    Local; `details["fidelity"]` `[members]` is the surrogate's R² to its network on the evaluation rows.
    """

    name: ClassVar[str] = "xgboost_shap_surrogate"
    traits: ClassVar[ScorerTraits] = ScorerTraits(zero_on_zero_weights=True, draws=True)

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """φ of every member, in units of the explained output."""
        fitted, fidelity = self.fit_outputs(networks, evaluation)
        columns = evaluation.inputs.new_empty(len(networks), *evaluation.inputs.shape[-2:])
        for some in fitted:
            for surrogates, places, rows in some.explained(evaluation):
                columns[torch.tensor(some.members)[:, None], places] = surrogates.shap_values(rows).to(columns)
        return replace(Attribution.from_columns(self.name, columns, evaluation), details={"fidelity": fidelity})
