"""Loops written from the definitions in docs/methods.md, in plain PyTorch, for scorers that no package has."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from attribution_suite.networks.outputs import task_loss
from attribution_suite.scorers.attribution import Evaluation, sum_groups

PACKAGE = "attribution-suite"
STABILISER = 1e-9


def weights(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int],
            reading: Literal["mean_abs", "first_unit"]) -> Tensor:
    """Mean magnitude and mean of a column's first-layer weights, or the first unit's weights, over Σ_k abs(s_k)."""
    weight = _linears(network)[0].weight.detach()
    columns, signed = (weight.abs().mean(0), weight.mean(0)) if reading == "mean_abs" else (weight[0].abs(), weight[0])
    total = columns.sum() if columns.any() else 1.0
    shares, signed = (sum_groups(values / total, evaluation.groups) for values in (columns, signed))
    return torch.stack([shares if reading == "mean_abs" else signed.abs(), signed])


def gradient_weight(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int], batch_size: int) -> Tensor:
    """Gradient × weight by autograd, batch by batch."""
    weight, products = _linears(network)[0].weight, []
    for start in range(0, len(evaluation.background), batch_size):
        output = network(evaluation.background[start:start + batch_size])
        loss = task_loss(output[None], evaluation.background_targets[start:start + batch_size], evaluation.task)
        gradient, = torch.autograd.grad(loss.sum(), weight)
        products.append((gradient.abs() * weight.detach().abs()).mean(0))
    return sum_groups(torch.stack(products).mean(0), evaluation.groups)[None]


def lrp(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int]) -> Tensor:
    """z⁺ relevance, layer by layer: R_i = Σ_j (h_i w_ji)⁺ / Σ_i' (h_i' w_ji')⁺ · R_j."""

    def shares(parts: Tensor) -> Tensor:
        excited = parts[..., :-1].clamp(min=0)
        return excited / (excited.sum(2, keepdim=True) + STABILISER)

    return _relevance(network, evaluation, rows, shares)


def lrp_gamma(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int], gamma: float) -> Tensor:
    """γ relevance, layer by layer: contributions of the pre-activation's sign count 1 + γ times."""

    def shares(parts: Tensor) -> Tensor:
        side = torch.where(parts.sum(2, keepdim=True) < 0, -1.0, 1.0)
        favoured = parts + gamma * side * (side * parts).clamp(min=0)
        return favoured[..., :-1] / (favoured.sum(2, keepdim=True) + STABILISER * side)

    return _relevance(network, evaluation, rows, shares)


def lrp_alpha_beta(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int], alpha: float) -> Tensor:
    """αβ relevance, layer by layer: α of what excites, α − 1 of what inhibits taken off."""

    def shares(parts: Tensor) -> Tensor:
        up, down = parts.clamp(min=0), parts.clamp(max=0)
        return (alpha * up / (up.sum(2, keepdim=True) + STABILISER)
                + (1 - alpha) * down / (down.sum(2, keepdim=True) - STABILISER))[..., :-1]

    return _relevance(network, evaluation, rows, shares)


@torch.no_grad()
def _relevance(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int],
               shares: Callable[[Tensor], Tensor]) -> Tensor:
    """R_i = Σ_j shares_ji R_j from the explained output down.

    `shares` takes the contributions to every unit j, h_i w_ji and last b_j, `[rows, out, in + 1]`; it returns what part
    of R_j goes to each i, `[rows, out, in]`.
    """
    entering, values = [], evaluation.inputs[rows]
    for layer in network:
        if isinstance(layer, nn.Linear):
            entering.append(values)
        values = layer(values)
    chosen = torch.zeros(len(values), 1, dtype=torch.int64) if evaluation.explained is None else (
        evaluation.explained[0, rows][:, None])
    relevance = torch.zeros_like(values).scatter(1, chosen, values.gather(1, chosen))
    for linear, inputs in zip(reversed(_linears(network)), reversed(entering), strict=True):
        bias = linear.bias.expand(len(inputs), -1)[..., None]
        parts = torch.cat([inputs[:, None] * linear.weight, bias], 2)
        relevance = (shares(parts) * relevance[..., None]).sum(1)
    return sum_groups(relevance, evaluation.groups)


def _linears(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]
