"""All members of an ensemble as one module, for code that attributes one network at a time."""

import torch
from torch import Tensor, nn

from attribution_suite.networks.layered import Layered
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons


class Wide(nn.Module):
    """`[rows, members, features] → [rows]`: the members' explained outputs, summed.

    Members never mix, so the sum's gradient (DeepLIFT multiplier, layer activation) at member e is that of network e
    alone. Rows come first, as hooks on activations need them, and every activation is a module that is called once.
    """

    def __init__(self, body: nn.Module) -> None:
        """`body`: from `[rows, members, features]` to `[rows, members, outputs]`."""
        super().__init__()
        self.body = body
        self.eval().requires_grad_(False)

    def forward(self, rows: Tensor, explained: Tensor | None = None) -> Tensor:
        """`explained` `[rows, members]`: the output explained for each row; None where there is one output."""
        outputs: Tensor = self.body(rows)
        chosen = outputs[..., :1] if explained is None else outputs.gather(2, explained[..., None])
        return chosen[..., 0].sum(1)


class StackedLinear(nn.Module):
    """A Linear of every member: `[rows, members, in] → [rows, members, out]`."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight` `[members, out, in]`, `bias` `[members, out]`."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, rows: Tensor) -> Tensor:
        """x → W x + b, each member its own."""
        product: Tensor = torch.baddbmm(self.bias[:, None], rows.transpose(0, 1), self.weight.transpose(1, 2))
        return product.transpose(0, 1)


class Copies(nn.Module):
    """The members' own modules, called one after the other: `[rows, members, features] → [rows, members, outputs]`."""

    def __init__(self, networks: Modules) -> None:
        """Copies, without the editable layer in front of them."""
        super().__init__()
        self.members = nn.ModuleList(networks.member_module(member) for member in range(len(networks)))

    def forward(self, rows: Tensor) -> Tensor:
        """What each member makes of its rows; a module may change its input in place, so it gets a copy."""
        copies = (member.clone(memory_format=torch.contiguous_format) for member in rows.unbind(1))
        return torch.stack([member(inputs).reshape(len(rows), -1)
                            for member, inputs in zip(self.members, copies, strict=True)], 1)


def wide_view(networks: Ensemble) -> Wide:
    """From the inputs. Where layers are known `body[2l − 1]` returns those of layer l, `[rows, members, units]`."""
    if isinstance(networks, Perceptrons):
        steps: list[nn.Module] = []
        for weight, bias in zip(networks.weights, networks.biases, strict=True):
            steps += [StackedLinear(weight, bias), networks.architecture.nonlinearity.module()]
        return Wide(nn.Sequential(*steps[:-1]))
    if isinstance(networks, Layered):
        parts = (networks.head, networks.tail(1))
        return Wide(nn.Sequential(*(step for part in parts for step in (
            StackedLinear(part.weight, part.bias), Copies(part)))))
    if isinstance(networks, Modules):
        return Wide(nn.Sequential(StackedLinear(networks.first_weight, networks.first_bias), Copies(networks)))
    raise TypeError(f"{type(networks).__name__} has no wide view")
