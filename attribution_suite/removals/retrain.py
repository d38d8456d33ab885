"""Retraining without the column: the reference."""

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.predictors import Predictors
from attribution_suite.networks.training import Trained
from attribution_suite.removals.removal import RemovalTraits, Setting, edited


@dataclass(frozen=True)
class Retrain:
    """A cold start with the original's initialisation, batch order and budget, column j clamped to W_:j = 0.

    That is the network without the input, paired with the original: every other weight starts where the original's did.
    For a hidden unit the layers below are frozen as they were trained: the layers above start where the original's did
    and are trained on the other units.
    Where a user's own `fit` is given, it trains a fresh copy of their model; an estimator that only predicts is cloned
    and fitted by its own `fit`. Column j is at its training mean in every row of theirs, and always for what they made.
    """

    name: ClassVar[str] = "retrain"
    traits: ClassVar[RemovalTraits] = RemovalTraits()

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """`steps` are those of the cold training."""
        started = time.perf_counter()
        if setting.refit is not None:
            return edited(setting.refit(networks, nodes, setting.seeds), started)
        if isinstance(networks, Predictors):
            return edited(networks.refitted(nodes, setting.train, setting.seeds), started)
        variants = len(networks) // len(setting.seeds)
        members = torch.arange(len(setting.seeds)).repeat_interleave(variants)
        cold = setting.cold(networks).select(members)
        start = cold.with_nodes_folded(nodes, torch.zeros_like(nodes.index, dtype=torch.float32))
        return setting.tune(start, setting.training, clamp=nodes)

    def replacement(self) -> Replacement:
        """A baseline is refitted on a column of zeros, which no tree can split."""
        return _zero


def _zero(block: Block) -> Tensor:
    return torch.zeros_like(block.values)
