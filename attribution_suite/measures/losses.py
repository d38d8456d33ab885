"""How much outputs and predictions move, and what a removal costs."""

import torch
from torch import Tensor


def direct_effect(before: Tensor, after: Tensor) -> Tensor:
    """Mean over rows of abs(f(x) − f(x with x_j replaced)), explained outputs: `[E, rows]` → `[E]`.

    With replacements in front, `after` `[replacements, E, rows]`: the mean over rows of the largest effect.
    """
    effect = (after - before).abs()
    return (effect.amax(0) if effect.dim() == 3 else effect).mean(-1)


def flip_rate(before: Tensor, after: Tensor) -> Tensor:
    """Share of rows whose predicted class differs, classes `[E, rows]` → `[E]`."""
    return (before != after).double().mean(1)


def cost_ratio(loss_before: Tensor, loss_after: Tensor, loss_retrained: Tensor) -> Tensor:
    """(L′ − L) / (L_retrain − L), each `[E]`: 1 costs what retraining costs, below 1 less.

    NaN where retraining without the feature costs nothing (L_retrain ≤ L): there is no price to compare with.
    """
    price = loss_retrained - loss_before
    return torch.where(price > 0, (loss_after - loss_before) / price, torch.nan)
