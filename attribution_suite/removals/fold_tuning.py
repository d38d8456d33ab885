"""The least-squares fold ('amplitude-correlation adjustment'), alone and with fine-tuning."""

import time
from dataclasses import dataclass
from typing import ClassVar

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals.folding import fold_each, regress
from attribution_suite.removals.removal import RemovalTraits, Setting, edited


@dataclass(frozen=True)
class Fold:
    """Regress node j on all its layer peers (intercept, training rows, damped) and fold the fit into weights and bias.

    W′ = W − W_:j (G⁻¹)_j: / (G⁻¹)_jj with G the Gram matrix of [h, 1]: column j becomes zero. The layer's mean squared
    error is ‖W_:j‖² times the mean squared residual. Nothing is trained.
    """

    name: ClassVar[str] = "fold"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        started = time.perf_counter()
        return edited(fold_each(networks, nodes, setting, regress), started)

    def replacement(self) -> None:
        """Weights are edited, not data."""


@dataclass(frozen=True)
class FoldTuning:
    """The fold, then fine-tuning with column j clamped to zero at every step, within `setting.tuning`.

    Its gradient is set to zero before the optimiser sees it; clamping the weight alone lets Adam's momentum move it.
    """

    name: ClassVar[str] = "fold_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training", tuned=True)

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes from the closed form."""
        return setting.tune(fold_each(networks, nodes, setting, regress), setting.tuning, clamp=nodes)

    def replacement(self) -> None:
        """Weights are edited, not data."""
