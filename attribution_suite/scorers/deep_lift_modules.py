"""DeepLIFT's multipliers of modules that are no plain perceptrons: one call of Captum's for all members."""

import warnings

import torch
from captum.attr import DeepLift
from torch import Tensor, nn

from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble


def module_multipliers(networks: Ensemble, first: Tensor, baseline: Tensor, explained: Tensor | None) -> Tensor:
    """The multipliers of the explained output by what enters the modules, `[members, rows, features]`.

    By Captum, through hooks on the modules' own activations, between the rows `first` `[members, rows, features]` and
    `baseline` `[members, 1, features]`; `explained` `[members, rows]` as in `View`.
    """
    if not isinstance(networks, Modules):
        raise TypeError(f"{type(networks).__name__} has multipliers of its own")
    view = View(networks, explained)
    rows, reference = (values.detach().transpose(0, 1).requires_grad_() for values in (first, baseline))
    with warnings.catch_warnings():  # Captum announces the hooks that it sets and removes
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
        method = DeepLift(view, multiply_by_inputs=False)
        multipliers: Tensor = method.attribute(rows, reference.expand_as(rows))
    return multipliers.detach().transpose(0, 1)


class View(nn.Module):
    """`[rows, members, features] → [rows]`: the members' explained outputs, summed; one copy of the modules a member.

    Members never mix, so the DeepLIFT multiplier of the sum at member e is that of network e alone.
    Rows come first, as DeepLIFT's hooks on the modules' own activations need them, and each of these is called once.
    """

    def __init__(self, networks: Modules, explained: Tensor | None) -> None:
        """`explained` `[members, rows]`: the output explained for each row; None where there is one output."""
        super().__init__()
        self.explained = explained
        self.members = nn.ModuleList(networks.member_module(member) for member in range(len(networks)))
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor) -> Tensor:
        """The summed explained output `[rows]`; rows may be a multiple of the explained rows."""
        copies = (rows.clone(memory_format=torch.contiguous_format) for rows in first.unbind(1))
        outputs = [member(rows).reshape(len(first), -1) for member, rows in zip(self.members, copies, strict=True)]
        return total(torch.stack(outputs), self.explained)


def total(values: Tensor, explained: Tensor | None) -> Tensor:
    """Outputs `[members, rows, outputs]` to the members' explained outputs, summed: `[rows]`."""
    if explained is None:
        return values[..., 0].sum(0)
    repeated = explained.repeat(1, values.shape[1] // explained.shape[1])
    return values.gather(2, repeated[..., None])[..., 0].sum(0)
