"""The wide view: an ensemble as one module of Captum's kind, so that one call attributes every member."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attribution_suite.networks.architecture import ACTIVATIONS

if TYPE_CHECKING:
    from attribution_suite.networks.ensemble import Ensemble


class View(nn.Module):
    """`[rows, members, hidden] → [rows]`: the members' explained outputs, summed.

    Members never mix, so the gradient (or the DeepLIFT multiplier) of the sum at member e is that of network e alone.
    The view starts at the *first pre-activation* z = W x + b. Linear in x, it makes every path, difference and
    multiplier of the input one of z: a method runs on the few hidden units instead of the many columns, and one product
    carries its multipliers to the columns, m_x = Wᵀ m_z (exact by the chain rule; for DeepLIFT by its linear rule).
    """

    def __init__(self, networks: "Ensemble", explained: Tensor | None) -> None:
        """`explained` `[members, rows]`: the output explained for each row; None where there is one output."""
        super().__init__()
        self.networks = networks
        self.explained = explained
        kind = ACTIVATIONS[networks.architecture.activation]
        self.activations = nn.ModuleList(kind() for _ in networks.architecture.hidden)

    def enter(self, inputs: Tensor) -> Tensor:
        """Inputs `[rows, features]` or `[members, rows, features]` in the view: `[rows, members, hidden]`."""
        return self.networks.first(inputs).transpose(0, 1).requires_grad_()

    def forward(self, first: Tensor) -> Tensor:
        """The summed explained output `[rows]`; rows may be a multiple of the explained rows (steps of a path)."""
        values = first.transpose(0, 1)  # members first, as a batched product wants it
        layers = zip(self.activations, self.networks.weights[1:], self.networks.biases[1:], strict=True)
        for activation, weight, bias in layers:
            # Rows first at the activation: DeepLIFT's hooks cut its values along the first axis. No copy is made.
            active = activation(values.transpose(0, 1)).transpose(0, 1)
            values = torch.baddbmm(bias[:, None], active, weight.transpose(1, 2))
        if self.explained is None:
            return values[..., 0].sum(0)
        explained = self.explained.repeat(1, values.shape[1] // self.explained.shape[1])
        return values.gather(2, explained[..., None])[..., 0].sum(0)
