"""What an edit did to the networks: losses, direct effect, flips."""

import numpy as np
import torch
from torch import Tensor

from attribution_suite.audit.store import Arrays
from attribution_suite.datasets.table import Split, Task
from attribution_suite.measures.losses import direct_effect, flip_rate
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.outputs import explained_output, predicted_class, task_loss

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def losses(networks: Ensemble, nodes: Nodes, means: Tensor, data: Split, task: Task, seed: int) -> Arrays:
    """Mean loss `[members]` on `data` native, with the nodes at their training mean, and with the nodes permuted."""
    order = torch.randperm(len(data.targets), generator=torch.Generator().manual_seed(seed)).to(nodes.index)
    filled = means[:, None].expand(-1, len(order), -1)
    shuffled = own_values(data.inputs[..., order, :], nodes)
    outputs = {
        "loss_native": networks.outputs(data.inputs),
        "loss_mean_filled": networks.outputs_with(data.inputs, nodes, filled),
        "loss_shuffled": networks.outputs_with(data.inputs, nodes, shuffled),
    }
    return {name: task_loss(values, data.targets, task).numpy(force=True) for name, values in outputs.items()}


def effects(networks: Ensemble, nodes: Nodes, inputs: Tensor, training: Tensor, explained: Tensor | None,
            task: Task, seed: int) -> Arrays:
    """How the outputs move when the nodes alone do: `direct_effect`, `direct_effect_max`, `flip_rate`, `[members]`."""
    order = torch.randperm(inputs.shape[-2], generator=torch.Generator().manual_seed(seed)).to(nodes.index)
    native = networks.outputs_with(inputs, nodes, own_values(inputs, nodes))
    permuted = networks.outputs_with(inputs, nodes, own_values(inputs[..., order, :], nodes))
    before = explained_output(native, explained)
    grid = torch.stack([
        explained_output(networks.outputs_with(inputs, nodes, values[:, None].expand(-1, len(order), -1)), explained)
        for values in node_grid(training, nodes, seed)])
    flips = np.full(len(networks), np.nan) if task == "regression" else \
        flip_rate(predicted_class(native, task), predicted_class(permuted, task)).numpy(force=True)
    return {
        "direct_effect": direct_effect(before, explained_output(permuted, explained)).numpy(force=True),
        "direct_effect_max": direct_effect(before, grid).numpy(force=True),
        "flip_rate": flips,
    }


def own_values(inputs: Tensor, nodes: Nodes) -> Tensor:
    """Each member's nodes in `inputs` (`[rows, features]` or `[members, rows, features]`), `[members, rows, group]`."""
    if inputs.dim() == 2:
        return inputs[:, nodes.index].transpose(0, 1)
    return inputs.gather(2, nodes.index[:, None].expand(-1, inputs.shape[1], -1))


def node_grid(training: Tensor, nodes: Nodes, seed: int) -> Tensor:
    """Values that the nodes are moved to, `[7, members, group]`.

    A single node takes its training quantiles; a group, whose columns only make sense together, the values of seven
    training rows drawn at random.
    """
    own = own_values(training, nodes)
    quantiles = torch.quantile(own, own.new_tensor(QUANTILES), dim=1)
    drawn = torch.randint(own.shape[1], (len(QUANTILES),), generator=torch.Generator().manual_seed(seed))
    single = (nodes.repeats.sum(1) == nodes.index.shape[1] - 1)[None, :, None]
    return torch.where(single, quantiles, own[:, drawn].transpose(0, 1))
