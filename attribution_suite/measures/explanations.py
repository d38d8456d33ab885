"""Is an explanation true to the network, and steady? Does it depend on the network at all?

Infidelity and maximum sensitivity: Yeh, Hsieh, Suggala, Inouye & Ravikumar (2019), On the (In)fidelity and Sensitivity
of Explanations, arXiv:1901.09392; the numbers are those of `captum.metrics`. Randomised weights: Adebayo, Gilmer,
Muelly, Goodfellow, Hardt & Kim (2018), Sanity Checks for Saliency Maps, arXiv:1810.03292.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from attribution_suite.measures.statistics import student_mean

UNCHANGED = 0.9  # below it are scorers that share the data alone with those of the trained network: docs/methods.md
ONE_SIDED = 0.9  # the level of a two-sided interval whose ends are one-sided 95 % limits


def infidelity(said: Tensor, moved: Tensor) -> Tensor:
    """Σ (said − moved)² / Σ moved², both over rows and draws: `[..., rows, draws]` → `[...]`, ≥ 0.

    `said`: I·φ(x), what φ says of a perturbation I; `moved`: f(x) − f(x − I), what it does. The numerator is Yeh et
    al.'s infidelity, summed; over that of φ = 0 it has no unit: 0 is faithful, 1 no better than saying nothing, and
    more is worse. NaN where nothing moves the output.
    """
    return _over(((said - moved) ** 2).sum((-2, -1)), moved)


def infidelity_normalised(said: Tensor, moved: Tensor) -> Tensor:
    """The same after the best factor for each row, β_i = Σ said·moved / Σ said² over draws, `[...]` in [0, 1].

    For what is in other units than the output (`captum.metrics.infidelity(..., normalize=True)`). The factor may be
    negative: a sign that is wrong throughout does not show here.
    """
    squares, products = (said**2).sum(-1), (said * moved).sum(-1)
    explained = torch.where(squares > 0, products**2 / squares, 0.0)
    return _over(((moved**2).sum(-1) - explained).clamp(min=0).sum(-1), moved)


def _over(left: Tensor, moved: Tensor) -> Tensor:
    total = (moved**2).sum((-2, -1))
    return torch.where(total > 0, left / total, torch.nan)


def sensitivity_max(values: Tensor, perturbed: Tensor) -> Tensor:
    """Mean over rows of max_d ‖φ(x + ε_d) − φ(x)‖₂ / ‖φ(x)‖₂, `[...]` ≥ 0: 0 is steady.

    `values` `[..., rows, features]`: φ(x); `perturbed` `[draws, ..., rows, features]`: φ(x + ε_d). A norm of zero
    counts as 1, as in Captum.
    """
    norm = values.norm(dim=-1)
    largest = (perturbed - values).norm(dim=-1).amax(0)
    relative: Tensor = largest / torch.where(norm > 0, norm, 1.0)
    return relative.mean(-1)


def lower_limit(correlations: ArrayLike) -> NDArray[np.float64]:
    """The one-sided 95 % lower limit (Student's t) of the mean over networks, `[..., networks]` → `[...]`."""
    return student_mean(correlations, ONE_SIDED).low


def unchanged(correlations: ArrayLike) -> NDArray[np.bool_]:
    """Does a scorer rank the features alike when every weight is another? `[..., networks]` → `[...]`.

    `correlations`: Spearman's of its scores of a network with all weights drawn anew with those of the trained one.
    True where their `lower_limit` is above 0.9: what it says cannot come from what was learned.
    """
    above: NDArray[np.bool_] = lower_limit(correlations) > UNCHANGED
    return above
