"""Loops written from the definitions in docs/methods.md, in plain PyTorch, for scorers that no package has."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from attribution_suite.networks.outputs import task_loss
from attribution_suite.scorers.attribution import Evaluation, sum_groups

PACKAGE = "attribution-suite"
STABILISER = 1e-9


def weights(network: nn.Sequential, evaluation: Evaluation, rows: Sequence[int],
            reading: Literal["mean_abs", "first_unit"]) -> Tensor:
    """The mean magnitude of a column's first-layer weights, or the first unit's weights, over Σ_k abs(s_k)."""
    weight = _linears(network)[0].weight.detach()
    columns = weight.abs().mean(0) if reading == "mean_abs" else weight[0]
    total = columns.abs().sum()
    shares = sum_groups(columns / total if total > 0 else columns, evaluation.groups)
    return shares[None] if reading == "mean_abs" else torch.stack([shares.abs(), shares])


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
    entering, values = [], evaluation.inputs[rows]
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                entering.append(values)
            values = layer(values)
        chosen = torch.zeros(len(values), 1, dtype=torch.int64) if evaluation.explained is None else (
            evaluation.explained[0, rows][:, None])
        relevance = torch.zeros_like(values).scatter(1, chosen, values.gather(1, chosen))
        for linear, inputs in zip(reversed(_linears(network)), reversed(entering), strict=True):
            plus, minus = linear.weight.clamp(min=0), linear.weight.clamp(max=0)
            up, down = inputs.clamp(min=0), inputs.clamp(max=0)  # (h w)⁺ is up · plus + down · minus
            passed = relevance / (up @ plus.T + down @ minus.T + STABILISER)
            relevance = up * (passed @ plus) + down * (passed @ minus)
    return sum_groups(relevance, evaluation.groups)


def _linears(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]
