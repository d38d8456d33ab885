"""Permutation importance: what the loss gains when a feature no longer belongs to its row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import loss_per_row
from attribution_suite.options import check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits


@dataclass(frozen=True)
class Permutation:
    """signed_k = mean over `repeats` permutations π of L(x with x_k taken from row π(i)) − L(x); s_k = abs(signed_k).

    L is the task's loss on the evaluation rows, a group's columns move together, and all members and features see the
    same permutations: those of `sklearn.inspection.permutation_importance(random_state=seed)`. The absolute value,
    because a network whose use of x_k was *inverted* loses less when x_k is permuted: it still reads x_k, and a score
    clipped at zero would call it gone. A feature whose first-layer weights are all zero scores exactly zero.
    (Breiman 2001; Fisher, Rudin & Dominici 2019)
    """

    name: ClassVar[str] = "permutation"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        zero_on_zero_weights=True, draws=True,
        reference="attribution_suite.scorers.references.scikit_learn:permutation")
    repeats: int = 5

    def __post_init__(self) -> None:
        check_whole(self, 1, "repeats")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores; the memory held at once is bounded by pieces of members."""
        orders = [order.to(networks.device)
                  for order in _orders(evaluation.inputs.shape[-2], self.repeats, evaluation.seed)]
        members, per_member = torch.arange(len(networks)), len(orders[0]) * sum(networks.architecture.widths[1:])
        rise = torch.cat([_rises(part, evaluation.for_members(members[piece]), orders)
                          for piece, part in networks.pieces(per_member)])
        return Attribution(self.name, evaluation.features, rise.abs(), signed=rise)


def _orders(rows: int, repeats: int, seed: int) -> list[Tensor]:
    """Permutations as scikit-learn draws them: shuffles of one index, each applied to what the last one left."""
    generator = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    shuffled, order, orders = np.arange(rows), np.arange(rows), []
    for _ in range(repeats):
        generator.shuffle(shuffled)
        order = order[shuffled]
        orders.append(torch.from_numpy(order))
    return orders


def _rises(networks: Ensemble, evaluation: Evaluation, orders: Sequence[Tensor]) -> Tensor:
    """Mean rise of the loss, `[members, features]`.

    Permuting columns g changes the first pre-activation by W_g (x_g[π] − x_g) alone, so the wide first product is
    made once and each (feature, permutation) costs the narrow layers only, of the rows that get another value: of a
    one-hot or rare column few do.
    """
    first, rows = networks.first(evaluation.inputs), evaluation.inputs.shape[-2]
    base = loss_per_row(networks.finish(first), evaluation.targets, evaluation.task)
    sources, places = torch.cat(list(orders)), torch.arange(rows, device=base.device).repeat(len(orders))
    rises = base.new_zeros(len(base), len(evaluation.groups))
    for number, group in enumerate(evaluation.groups.values()):
        values = evaluation.inputs[..., list(group)]
        moved = (values[..., sources, :] != values[..., places, :]).any(-1)
        which = (moved if moved.dim() == 1 else moved.any(0)).nonzero()[:, 0]
        for start in range(0, len(which), rows):
            part = which[start:start + rows]
            to, given = places[part], values[..., sources[part], :]
            outputs = networks.finish(networks.first_with(first[:, to], evaluation.inputs, group, given, to))
            rises[:, number] += (loss_per_row(outputs, evaluation.targets[to], evaluation.task) - base[:, to]).sum(1)
        # Not left to rounding: two passes over the same numbers may differ in the last bit.
        read = (networks.first_weight[:, :, list(group)] != 0).any(2).any(1)
        rises[:, number] = torch.where(read, rises[:, number], 0.0)
    return rises / len(sources)
