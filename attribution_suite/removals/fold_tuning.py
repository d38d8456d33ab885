"""The least-squares fold ('amplitude-correlation adjustment'), alone and with fine-tuning."""

import time
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from attribution_suite.networks.backward import Batch
from attribution_suite.networks.module_backward import backward_for
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_number_or_word
from attribution_suite.removals.folding import DAMPING, covariance, fold, fold_each, least_squares, regress
from attribution_suite.removals.linear_maps import per_member, solve_without, unit_columns
from attribution_suite.removals.removal import RemovalTraits, Setting, edited

GRID = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # what 'validation' tries: from least squares nearly to the mean


@dataclass(frozen=True)
class Fold:
    """Regress node j on all its layer peers (intercept, training rows, damped) and fold the fit into weights and bias.

    W′ = W − W_:j (G⁻¹)_j: / (G⁻¹)_jj with G the Gram matrix of [h, 1]: column j becomes zero. The layer's mean squared
    error is ‖W_:j‖² times the mean squared residual. Nothing is trained.

    `damping`: what is added to the variances, as a part of their mean; 0 is least squares, much more goes towards the
    mean in the node's place. 'validation': for each network, of seven from 1e-6 to 10, the one with the least loss on
    the validation rows.
    """

    damping: float | Literal["validation"] = DAMPING
    name: ClassVar[str] = "fold"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training", of_index="linear")

    def __post_init__(self) -> None:
        check_number_or_word(self, "damping", "validation")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        started = time.perf_counter()
        if self.damping == "validation":
            return edited(_validated(networks, nodes, setting), started)
        fit = regress if self.damping else least_squares
        return edited(fold_each(networks, nodes, setting, fit, self.damping), started)

    def replacement(self) -> None:
        """Weights are edited, not data."""


def _validated(networks: Ensemble, nodes: Nodes, setting: Setting) -> Ensemble:
    """Each member folded with the damping of least validation loss; one inverse a damping serves all members."""
    seeds, validation = len(setting.seeds), setting.validation
    batch = Batch(validation.inputs.expand(seeds, -1, -1), validation.targets.expand(seeds, -1))
    best, least = networks, torch.full((len(networks),), torch.inf, device=networks.device)
    for damping in GRID:
        mean, matrix = (per_member(values if setting.train.inputs.dim() == 3 else values[None], len(networks))
                        for values in covariance(setting.train.inputs, damping))
        folded = fold(networks, nodes, mean, by_inverse(matrix, nodes))
        loss = backward_for(folded, setting.task, seeds).loss(batch)
        better = ~(loss >= least)  # of losses that are not finite too: the original is never handed back
        best = best.with_first_layer(torch.where(better[:, None, None], folded.first_weight, best.first_weight),
                                     torch.where(better[:, None], folded.first_bias, best.first_bias))
        least = torch.where(better, loss, least)
    return best


def by_inverse(matrix: Tensor, nodes: Nodes) -> Tensor:
    """The coefficients of `regress` `[members, features, group]`, each member's nodes on all others: −Θ_:J (Θ_JJ)⁻¹.

    `matrix` `[members, features, features]`, the damped covariance; Θ is its inverse.
    """
    removed = unit_columns(nodes, matrix[:, 0])
    across = (matrix @ removed) * (1 - removed.sum(2, keepdim=True))
    return solve_without(torch.linalg.inv(matrix), removed, across)


@dataclass(frozen=True)
class FoldTuning:
    """The fold, then fine-tuning with column j clamped to zero at every step, within `setting.tuning`.

    Its gradient is set to zero before the optimiser sees it; clamping the weight alone lets Adam's momentum move it.
    """

    name: ClassVar[str] = "fold_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training", tuned=True, of_index="linear")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes from the closed form."""
        return setting.tune(fold_each(networks, nodes, setting, regress), setting.tuning, clamp=nodes)

    def replacement(self) -> None:
        """Weights are edited, not data."""
