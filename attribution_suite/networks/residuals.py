"""A fixed step in front of networks: every column less a curve of the removed ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attribution_suite.networks.fronted import Fronted
from attribution_suite.networks.modules import PROBE_ROWS, Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.wrapped import Wrapped


@dataclass(frozen=True)
class Curves:
    """x ↦ M x + c − Σ_jm s_jm relu(x_j − t_jm): the removed columns j at their mean, the others less a curve of each.

    `kept` M `[features, features]`, `constant` c `[features]`; `columns` j; `knots` t `[columns, knots]` and `bends` s
    `[columns, knots, features]`: between two knots of a column a curve is straight, beyond the last ones it goes on as
    M says.
    """

    kept: Tensor
    constant: Tensor
    columns: tuple[int, ...]
    knots: Tensor
    bends: Tensor


class Residuals(Wrapped):
    """Calls a module with what `Curves` leave of its rows. Nothing of them is trained."""

    kept: Tensor
    constant: Tensor
    read: Tensor
    knots: Tensor
    bends: Tensor

    def __init__(self, module: nn.Module, curves: Curves, width: int) -> None:
        """`width`: for how many columns there is room, so that members that lose sets of several sizes are alike."""
        super().__init__(module)
        read = torch.zeros(width, len(curves.kept))
        read[range(len(curves.columns)), curves.columns] = 1.0
        knots, bends = (torch.cat([each, each.new_zeros(width - len(each), *each.shape[1:])])
                        for each in (curves.knots, curves.bends))
        self.relu = nn.ReLU()
        for name, value in (("kept", curves.kept.T), ("constant", curves.constant), ("read", read), ("knots", knots),
                            ("bends", bends.flatten(0, 1))):
            self.register_buffer(name, value.float().contiguous())

    def forward(self, rows: Tensor) -> Tensor:
        """What the module makes of `[rows, features]`."""
        above = self.relu((rows @ self.read.T)[:, :, None] - self.knots)
        outputs: Tensor = self.module(rows @ self.kept + self.constant - above.flatten(1) @ self.bends)
        return outputs


def behind(curves: Sequence[Curves], networks: Ensemble, inputs: Tensor) -> Modules:
    """Each member behind its own curves, tried on some rows `[rows, features]`; its parameters are what may be tuned.

    The step is no part of stacked weights, which begin with an affine map: these are modules, whatever the networks.
    """
    width = max(len(each.columns) for each in curves)
    modules = []
    for member, each in enumerate(curves):
        module = networks.to_module(member).cpu()
        if isinstance(networks, Fronted):
            module.get_submodule("0").requires_grad_(False)  # W and b, which are never trained
        modules.append(Residuals(module, each, width))
    return Modules.wrap(modules, inputs[:PROBE_ROWS].cpu()).to(networks.device)
