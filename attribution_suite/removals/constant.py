"""A constant in the node's place."""

import time
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from attribution_suite.networks.backward import Batch
from attribution_suite.networks.batches import Replacement
from attribution_suite.networks.module_backward import backward_for
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_one_of
from attribution_suite.removals.removal import RemovalTraits, Setting, edited, member_means

GRID = 9  # quantiles of the node that 'best' tries, on at most so many training rows:
BEST_ROWS = 2000
Kind = Literal["zero", "mean", "best"]


@dataclass(frozen=True)
class Constant:
    """Replace node j by a constant and fold it into the bias: W' = W with column j zero, b' = b + c·W_:j.

    The output no longer depends on x_j; nothing is trained. `constant`: 'mean' (default), 'zero', or 'best': of the
    mean and the node's quantiles, the one with the least training loss (a group takes the values of one training row).
    """

    constant: Kind = "mean"
    name: ClassVar[str] = "constant"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training")

    def __post_init__(self) -> None:
        check_one_of(self, "constant", get_args(Kind))

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        started = time.perf_counter()
        means = member_means(setting, nodes)
        if self.constant == "zero":
            return edited(networks.with_nodes_folded(nodes, torch.zeros_like(means)), started)
        if self.constant == "mean":
            return edited(networks.with_nodes_folded(nodes, means), started)
        return edited(networks.with_nodes_folded(nodes, _best(networks, nodes, setting, means)), started)

    def replacement(self) -> Replacement | None:
        """Weights are edited, not data."""
        return None


def _best(networks: Ensemble, nodes: Nodes, setting: Setting, means: Tensor) -> Tensor:
    seeds, variants = len(setting.seeds), len(networks) // len(setting.seeds)
    inputs = setting.train.inputs[..., :BEST_ROWS, :].expand(seeds, -1, -1)
    batch = Batch(inputs, setting.train.targets[:BEST_ROWS].expand(seeds, -1))
    per_member = inputs.repeat_interleave(variants, 0) if setting.train.inputs.dim() == 3 else inputs[:1]
    order = per_member.gather(2, nodes.index[:, None, :1].expand(-1, per_member.shape[1], -1)) \
        if len(per_member) > 1 else per_member[0][:, nodes.index[:, 0]].T[..., None]
    ranks = torch.linspace(0, order.shape[1] - 1, GRID).long().to(order.device)
    rows = order[..., 0].argsort(1)[:, ranks]
    best, best_loss = means, backward_for(networks.with_nodes_folded(nodes, means), setting.task, seeds).loss(batch)
    for row in rows.T:
        table_of_member = torch.arange(len(nodes), device=row.device) if len(per_member) > 1 else 0
        source = per_member[table_of_member, row]
        constants = source.gather(1, nodes.index)
        loss = backward_for(networks.with_nodes_folded(nodes, constants), setting.task, seeds).loss(batch)
        best = torch.where((loss < best_loss)[:, None], constants, best)
        best_loss = torch.minimum(loss, best_loss)
    return best
