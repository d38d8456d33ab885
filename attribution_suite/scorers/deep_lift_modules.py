"""DeepLIFT's multipliers of modules that are no plain perceptrons: one call of Captum's for all members."""

import warnings

from captum.attr import DeepLift
from torch import Tensor

from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.wide import Copies, Wide


def module_multipliers(networks: Ensemble, first: Tensor, baseline: Tensor, explained: Tensor | None) -> Tensor:
    """The multipliers of the explained output by what enters the modules, `[members, rows, features]`.

    By Captum, through hooks on the modules' own activations, between the rows `first` `[members, rows, features]` and
    `baseline` `[members, 1, features]`; `explained` `[members, rows]`: the output explained, None where there is one.
    """
    if not isinstance(networks, Modules):
        raise TypeError(f"{type(networks).__name__} has multipliers of its own")
    rows, reference = (values.detach().transpose(0, 1).requires_grad_() for values in (first, baseline))
    chosen = None if explained is None else explained.T
    with warnings.catch_warnings():  # Captum announces the hooks that it sets and removes
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
        method = DeepLift(Wide(Copies(networks)), multiply_by_inputs=False)
        multipliers: Tensor = method.attribute(rows, reference.expand_as(rows), additional_forward_args=chosen)
    return multipliers.detach().transpose(0, 1)
