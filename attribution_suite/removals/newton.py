"""One Newton step from the optimum with the column to that without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.removals.gauss_newton import GaussNewtonStep, Linearised
from attribution_suite.removals.removal import RemovalTraits


@dataclass(frozen=True)
class Newton(GaussNewtonStep):
    """θ − H⁻¹(∇L(Z̃) − ∇L(Z)): a damped Gauss-Newton step by what the removal changes of the gradient.

    Z̃: the training rows without x_j. Exact for a ridge regression at its optimum, with its λ; equal to `lazy` only
    where ∇L(Z) = 0. Its own sham, the same step with x_j kept, is no step. Warnecke, Pirch, Wressnegger & Rieck (2023).
    """

    name: ClassVar[str] = "newton"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training", step=True, default=False, of_index="never")

    def right_side(self, without: Linearised, native: Callable[[], Linearised]) -> Tensor:
        """∇L(Z) − ∇L(Z̃)."""
        return without.descent - native().descent
