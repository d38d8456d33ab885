"""One step of the linearised network towards what retraining without the column would fit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.removals.gauss_newton import GaussNewtonStep, Linearised
from attribution_suite.removals.removal import RemovalTraits


@dataclass(frozen=True)
class Lazy(GaussNewtonStep):
    """Ridge regression of what the network without x_j leaves, on its gradients: Δ = Gᵀ(GGᵀ + λI)⁻¹ r.

    r = y − f(X without x_j), G = ∂f/∂θ there; of classes Gauss-Newton. The step also trains on wherever ∇L ≠ 0, as in
    a network that was stopped early, so its cost is read net of a sham of its own: the same step with x_j kept. LazyVI:
    Gao, Stevens, Raskutti & Willett (2022).
    """

    name: ClassVar[str] = "lazy"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training", step=True, default=False, of_index="never")

    def right_side(self, without: Linearised, native: Callable[[], Linearised]) -> Tensor:
        """−∇L without x_j."""
        return without.descent
