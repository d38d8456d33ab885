"""How the distribution of the next layer moves when one hidden unit is cut."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.measures.divergence import gaussian_kl
from attribution_suite.networks.forward import collect
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.units import VALUES_AT_ONCE

STILL = 1e-6  # of the largest value: a standard deviation of less is rounding, the node is constant


def cuts(networks: Ensemble, inputs: Tensor, layers: Sequence[int]) -> pd.DataFrame:
    """One row a member, hidden layer and unit: what setting the unit to 0 on `inputs` `[rows, features]` moves.

    With a_v the pre-activation of node v of the next layer (behind the last hidden layer the outputs) and h_u the
    unit's activation, the cut leaves a_v − W_vu h_u. Over the rows, each node's values before and after are compared
    as normal distributions: `kl`, the mean over v of KL(before ‖ after) in nats, `kl_most` the largest and `moved_most`
    the node that has it; `mean_shift`, the mean over v of abs(mean after − mean before) in standard deviations of a_v
    before, and `mean_shift_most`. Nodes that are constant before are left out; NaN (and −1) where all are.
    Raises InputError for a layer that the networks do not have, or whose weights are not known.
    """
    if not isinstance(networks, Perceptrons):
        raise InputError(f"units cannot be cut: {networks.refusal('layers')}")
    depth, collected = networks.architecture.depth, collect(networks, inputs)
    if unknown := [layer for layer in layers if not 1 <= layer < depth]:
        raise InputError(f"units are cut in the hidden layers 1 to {depth - 1}, not in layer {unknown[0]}")
    frames = []
    for layer in layers:
        values, after, weight = (part.double().numpy() for part in (
            collected.entering[layer], collected.leaving[layer], networks.weights[layer]))
        for member in range(len(networks)):
            moved = _moved(values[member], after[member], weight[member])
            frames.append(pd.DataFrame({"member": member, "layer": layer, "unit": range(values.shape[2]), **moved}))
    return pd.concat(frames, ignore_index=True)


def _moved(units: np.ndarray, nodes: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of one member: activations `[rows, units]`, the next layer's `[rows, nodes]`, W `[nodes, units]`.

    Means and variances of a_v − W_vu h_u follow from those of a and h and their covariances: no row is run again.
    """
    node_mean, unit_mean = nodes.mean(0), units.mean(0)
    centred_nodes, centred_units = nodes - node_mean, units - unit_mean
    node_spread, unit_spread = (centred_nodes**2).mean(0), (centred_units**2).mean(0)
    live = node_spread > (STILL * np.abs(nodes).max(0)) ** 2
    if not live.any():
        nothing = np.full(units.shape[1], np.nan)
        return {**dict.fromkeys(COLUMNS, nothing), "moved_most": np.full(units.shape[1], -1)}
    shift, divergence = np.empty((2, units.shape[1], int(live.sum())))
    covariance, names = centred_units.T @ centred_nodes[:, live] / len(units), np.flatnonzero(live)
    step = max(1, VALUES_AT_ONCE // len(names))
    for start in range(0, units.shape[1], step):
        part = slice(start, start + step)
        lost = weight[live, part].T  # [units, nodes]
        shift[part] = lost * unit_mean[part, None]
        spread = node_spread[live] - 2 * lost * covariance[part] + lost**2 * unit_spread[part, None]
        spread = np.where(lost == 0, node_spread[live], np.where(
            spread > (STILL * np.abs(nodes).max(0)[live]) ** 2, spread, 0.0))
        divergence[part] = gaussian_kl(0.0, node_spread[live], shift[part], spread)
    scaled = np.abs(shift) / np.sqrt(node_spread[live])
    return {"kl": divergence.mean(1), "kl_most": divergence.max(1), "mean_shift": scaled.mean(1),
            "mean_shift_most": scaled.max(1), "moved_most": names[divergence.argmax(1)]}


COLUMNS = ("kl", "kl_most", "mean_shift", "mean_shift_most")
