"""What an edit did to the networks: losses, direct effect, flips, and what a hidden unit's peers still know of it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.measures.information.linear import linear_r2
from attribution_suite.measures.losses import direct_effect, flip_rate
from attribution_suite.networks.batches import Replacement
from attribution_suite.networks.gate import finite_outputs, require_finite
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.outputs import explained_output, predicted_class, task_loss
from attribution_suite.networks.training import held_out_loss
from attribution_suite.removals.removal import Setting, member_means
from attribution_suite.scorers.attribution import Evaluation

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
LOSSES = ("loss_before", "loss_native", "loss_mean_filled", "loss_shuffled", "validation_before", "validation_native",
          "validation_perturbed")
MOVES = ("direct_effect", "direct_effect_max", "flip_rate")
EFFECTS = ("direct_effect_before", "direct_effect", "direct_effect_max")
OUTCOMES = (*LOSSES, "direct_effect_before", *MOVES, "recoverability_before", "recoverability")


def measure(before: Ensemble, after: Ensemble, nodes: Nodes, seen: Evaluation, setting: Setting, test: Split,
            layer: int, replacement: Replacement | None) -> Arrays:
    """Every array of `OUTCOMES`, `[members]`: losses on the test rows, effects on the evaluated ones.

    At a hidden layer both are on the evaluated rows. Raises InputError for a loss or effect that is not finite.
    """
    layer_rows, task, data = seen.at_layer(before, layer), seen.task, judged_rows(before, seen, test, layer)
    old, new, means = before.tail(layer), after.tail(layer), member_means(setting, nodes)
    arrays = losses(new, nodes, means, data, task, seen.seed)
    arrays |= moves(new, nodes, layer_rows)
    arrays["loss_before"] = loss_of_copies(old, len(setting.seeds), data, task, "test").numpy(force=True)
    arrays["direct_effect_before"] = moves(old, nodes, layer_rows)["direct_effect"]
    arrays |= validation_losses(old, new, nodes, setting, replacement)
    require_measured(arrays, (*LOSSES, *EFFECTS))
    return arrays | recoverability(before, after, layer, nodes, seen)


def judged_rows(before: Ensemble, seen: Evaluation, test: Split, layer: int) -> Split:
    """The rows that losses are measured on: all test rows, at a hidden layer what enters it of the evaluated ones."""
    return test if layer == 0 else Split(seen.at_layer(before, layer).inputs, seen.targets)


def require_measured(arrays: Arrays, names: Sequence[str]) -> None:
    """Raises InputError, naming the network, for a value that is not finite."""
    for name in names:
        if not np.isfinite(arrays[name]).all():
            member = int((~np.isfinite(arrays[name])).argmax())
            raise InputError(f"{name} of network {member} is {arrays[name][member]}: it could not be measured")


def validation_losses(before: Ensemble, after: Ensemble, nodes: Nodes, setting: Setting,
                      replacement: Replacement | None) -> Arrays:
    """Mean validation loss `[members]` before and after on native rows, and after on rows as the method trains them."""
    rows, variants = setting.validation, len(after) // len(setting.seeds)
    inputs = rows.inputs if rows.inputs.dim() == 2 else rows.inputs.repeat_interleave(variants, 0)
    old = loss_of_copies(before, len(setting.seeds), rows, setting.task, "validation")
    native = task_loss(finite_outputs(after, inputs, "validation"), rows.targets, setting.task)
    perturbed = native if replacement is None else held_out_loss(
        after, setting.train, rows, setting.task, setting.tuning.batch_size, setting.seeds, nodes, replacement)
    return {name: loss.numpy(force=True) for name, loss in (
        ("validation_before", old), ("validation_native", native), ("validation_perturbed", perturbed))}


def loss_of_copies(copies: Ensemble, originals: int, rows: Split, task: Task, name: str) -> Tensor:
    """Mean loss `[copies]` of an ensemble that holds each original several times in a row: each is asked once.

    Inputs `[rows, features]`, or of each original or each copy its own.
    """
    times = len(copies) // originals
    inputs = rows.inputs[::times] if len(rows.inputs) == len(copies) and rows.inputs.dim() == 3 else rows.inputs
    outputs = finite_outputs(copies.select(slice(None, None, times)), inputs, name)
    return task_loss(outputs, rows.targets, task).repeat_interleave(times)


def recoverability(before: Ensemble, after: Ensemble, layer: int, nodes: Nodes, seen: Evaluation) -> Arrays:
    """What a ridge probe reads of each member's hidden unit (of several: the mean) from what leaves the next Linear.

    The unit's peers are the same before and after (the layers below are frozen): what the rest of the network can know
    of the unit is in the next pre-activations. NaN at layer 0.
    """
    names = ("recoverability_before", "recoverability")
    if layer == 0:
        return {name: np.full(len(after), np.nan) for name in names}
    entering = before.activations(seen.background)[layer]
    known: Arrays = {}
    for name, networks in zip(names, (before, after), strict=True):
        leaving = networks.tail(layer).first(entering).numpy(force=True)
        known[name] = np.array([
            linear_r2(leaving[member], entering[member][:, list(dict.fromkeys(units))].numpy(force=True))
            for member, units in enumerate(nodes.index.tolist())])
    return known


def losses(networks: Ensemble, nodes: Nodes, means: Tensor, data: Split, task: Task, seed: int) -> Arrays:
    """Mean loss `[members]` on `data` native, with the nodes at their training mean, and with the nodes permuted."""
    order = torch.randperm(len(data.targets), generator=torch.Generator().manual_seed(seed)).to(nodes.index)
    filled = means[:, None].expand(-1, len(order), -1)
    shuffled = node_values(data.inputs, nodes)[:, order]
    outputs = {
        "loss_native": finite_outputs(networks, data.inputs, "test"),
        "loss_mean_filled": networks.outputs_with(data.inputs, nodes, filled),
        "loss_shuffled": networks.outputs_with(data.inputs, nodes, shuffled),
    }
    return {name: task_loss(values, data.targets, task).numpy(force=True) for name, values in outputs.items()}


def each_effect(networks: Ensemble, rows: Evaluation) -> NDArray[np.float32]:
    """The direct effect of every feature of `rows` on every network, `[members, features]`, as `moves` has it.

    Permuting a feature changes the first pre-activation by its columns alone: the wide first product is made once.
    """
    order, every = _permutation(rows).to(networks.device), torch.arange(len(networks), device=networks.device)
    effects = []
    for piece, part in networks.pieces(len(order) * sum(networks.architecture.widths[1:])):
        seen = rows.for_members(every[piece])
        first = part.first(seen.inputs)
        native = explained_output(require_finite(part.finish(first), "test"), seen.explained)
        each = []
        for group in rows.groups.values():
            moved = part.first_with(first, seen.inputs, group, seen.inputs[..., list(group)][..., order, :])
            effect = direct_effect(native, explained_output(part.finish(moved), seen.explained))
            # Not left to rounding: two passes over the same numbers may differ in the last bit.
            each.append(torch.where((part.first_weight[:, :, list(group)] != 0).any(2).any(1), effect, 0.0))
        effects.append(torch.stack(each, 1))
    return torch.cat(effects).numpy(force=True)


def _permutation(rows: Evaluation) -> Tensor:
    return torch.randperm(rows.inputs.shape[-2], generator=torch.Generator().manual_seed(rows.seed))


def permuted(networks: Ensemble, nodes: Nodes, rows: Evaluation) -> tuple[Tensor, Tensor]:
    """The outputs `[members, rows, outputs]` of `rows`, and with each member's nodes permuted over them."""
    inputs = rows.inputs
    order, values = _permutation(rows).to(nodes.index), node_values(inputs, nodes)
    native = require_finite(networks.outputs_with(inputs, nodes, values), "test")
    return native, networks.outputs_with(inputs, nodes, values[:, order])


def moves(networks: Ensemble, nodes: Nodes, rows: Evaluation) -> Arrays:
    """How the outputs move when the nodes alone do: `direct_effect`, `direct_effect_max`, `flip_rate`, `[members]`.

    `rows`: those to explain, at the layer that `networks` begin with.
    """
    inputs, explained, task, count = rows.inputs, rows.explained, rows.task, rows.inputs.shape[-2]
    native, shuffled = permuted(networks, nodes, rows)
    before = explained_output(native, explained)
    grid = torch.stack([
        explained_output(networks.outputs_with(inputs, nodes, values[:, None].expand(-1, count, -1)), explained)
        for values in node_grid(rows.background, nodes, rows.seed, rows.index)])
    flips = np.full(len(networks), np.nan) if task == "regression" else \
        flip_rate(predicted_class(native, task), predicted_class(shuffled, task)).numpy(force=True)
    return {
        "direct_effect": direct_effect(before, explained_output(shuffled, explained)).numpy(force=True),
        "direct_effect_max": direct_effect(before, grid).numpy(force=True),
        "flip_rate": flips,
    }


def node_values(inputs: Tensor, nodes: Nodes) -> Tensor:
    """Each member's nodes in `inputs` (`[rows, features]` or `[members, rows, features]`), `[members, rows, group]`."""
    if inputs.dim() == 2:
        return inputs[:, nodes.index].transpose(0, 1)
    return inputs.gather(2, nodes.index[:, None].expand(-1, inputs.shape[1], -1))


def node_grid(training: Tensor, nodes: Nodes, seed: int, index: Sequence[int] = ()) -> Tensor:
    """Values that the nodes are moved to, `[7, members, group]`.

    A single node takes its training quantiles, one of the columns `index` the nearest value that occurs; a group, whose
    columns only make sense together, the values of seven training rows drawn at random.
    """
    values = node_values(training, nodes)
    quantiles = torch.quantile(values, values.new_tensor(QUANTILES), dim=1)
    if index:
        occurring = torch.quantile(values, values.new_tensor(QUANTILES), dim=1, interpolation="nearest")
        quantiles = torch.where(torch.isin(nodes.index, nodes.index.new_tensor(index)), occurring, quantiles)
    rows = torch.randint(values.shape[1], (len(QUANTILES),), generator=torch.Generator().manual_seed(seed))
    single = (nodes.repeats.sum(1) == nodes.index.shape[1] - 1)[None, :, None]
    return torch.where(single, quantiles, values[:, rows].transpose(0, 1))
