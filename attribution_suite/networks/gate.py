"""The one gate for what networks return: finite outputs on every row in use, or a named failure."""

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble


def finite_outputs(networks: Ensemble, inputs: Tensor, rows: str) -> Tensor:
    """The outputs `[members, rows, outputs]`; `rows` names the rows in an error ('test').

    Raises InputError, naming network and row, for an output that is NaN or infinite: what cannot be measured must
    never be read as an influence that is gone.
    """
    return require_finite(networks.outputs(inputs), rows)


def require_finite(outputs: Tensor, rows: str) -> Tensor:
    """`outputs` `[members, rows, outputs]` as they are. Raises InputError if one is not finite."""
    wrong = ~torch.isfinite(outputs)
    if bool(wrong.any()):
        member, row, output = wrong.nonzero()[0].tolist()
        raise InputError(f"network {member} returns {float(outputs[member, row, output])} for {rows} row {row}: its "
                         "outputs must be finite on every row")
    return outputs
