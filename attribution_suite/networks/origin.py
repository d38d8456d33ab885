"""Writes edited weights back into the user's modules that they were read from."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from attribution_suite.networks.wrapped import unwrapped


@dataclass(frozen=True)
class Origin:
    """Where stacked weights come from: private copies of a user's modules, one a member.

    `linears` are the names of the Linear modules, `norms` of the BatchNorms that were folded into these. `two_logits`:
    of the last Linear's two outputs the network is the difference, the second minus the first. `note`: what a reader
    of the numbers is to know. `layers`: the hidden layer that each module is, or follows on, by the user's own names.
    """

    modules: tuple[nn.Module, ...]
    linears: tuple[str, ...]
    norms: tuple[str, ...]
    two_logits: bool = False
    note: str = ""
    layers: Mapping[str, int] = field(default_factory=dict)

    def select(self, positions: Sequence[int]) -> "Origin":
        """Of the members at these positions."""
        return replace(self, modules=tuple(self.modules[position] for position in positions))

    @torch.no_grad()
    def module(self, member: int, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> nn.Module:
        """A copy of a member's module with these weights `[out, in]` and biases `[out]`.

        What was folded becomes neutral: a BatchNorm passes its values on. Of two logits f becomes −f/2 and f/2.
        """
        module = copy.deepcopy(self.modules[member])
        if self.two_logits:
            halves = torch.tensor([[-0.5], [0.5]], device=weights[-1].device)
            weights, biases = [*weights[:-1], halves * weights[-1]], [*biases[:-1], halves[:, 0] * biases[-1]]
        for name, weight, bias in zip(self.linears, weights, biases, strict=True):
            linear = module.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            linear.to(weight.device).weight.copy_(weight)
            if linear.bias is not None:
                linear.bias.copy_(bias)
            elif bool(bias.any()):
                linear.bias = nn.Parameter(bias.clone())
        for name in self.norms:
            norm = module.get_submodule(name)
            assert isinstance(norm, nn.BatchNorm1d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            if norm.affine:
                norm.weight.fill_(1)
                norm.bias.zero_()
        return unwrapped(module).to(weights[0].device)
