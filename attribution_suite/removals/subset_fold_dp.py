"""The least-squares fold onto the peers whose correlations with the removed node sum nearest to 1."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_whole
from attribution_suite.removals.folding import fold_each, regress
from attribution_suite.removals.removal import RemovalTraits, Setting, edited

BUCKETS = 30_000  # of the sums from 0 to `nodes`: 0.0001 wide for the published three peers


@dataclass(frozen=True)
class SubsetFoldDynamicProgramme:
    """The fold onto the 1 to `nodes` peers k of node j that minimise abs(1 − Σ_k r_kj), r the signed correlations.

    The published objective (docs/methods.md). The published code loses the peers' indices (its list `append` returns
    None); here they are kept. The peers chosen, node j is regressed on them by least squares and folded, as in
    `subset_fold`; nothing is trained. The objective says nothing of how well the peers predict the node together: two
    copies of one peer with r = 0.5 fit it as well as the pair that explains all of it. The published authors found the
    regression on all peers better.

    Of several nodes removed together each has its own peers, none of them removed.
    """

    nodes: int = 3
    name: ClassVar[str] = "subset_fold_dp"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training")

    def __post_init__(self) -> None:
        check_whole(self, 1, "nodes")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        started = time.perf_counter()

        def fit(matrix: Tensor, removed: Tensor, peers: Tensor) -> Tensor:
            return torch.cat([regress(matrix, node, nearest_to_one(matrix, node, peers, self.nodes))
                              for node in removed[:, None]], 1)

        return edited(fold_each(networks, nodes, setting, fit), started)

    def replacement(self) -> None:
        """Weights are edited, not data."""


def nearest_to_one(matrix: Tensor, node: Tensor, peers: Tensor, count: int) -> Tensor:
    """The 1 to `count` of `peers` whose correlations with `node` `[1]` sum nearest to 1; none where there is no peer.

    `matrix` is the covariance `[features, features]`. Sums are rounded to buckets of count / 30,000, a correlation at a
    time, so the sum found is at most count² / 30,000 (0.0003 for three) further from 1 than the nearest one. Of equal
    ones the fewest peers, then the smaller sum, then the peers that come first.
    """
    count = min(count, len(peers))
    if count == 0:
        return peers
    deviation = matrix.diagonal().sqrt()
    correlation = matrix[peers, node] / (deviation[peers] * deviation[node])
    steps = np.rint(correlation.numpy(force=True) * BUCKETS / count).astype(int)
    zero = BUCKETS + count  # the place of the sum 0: no sum of `count` rounded correlations leaves the table
    reached = np.zeros((count + 1, 2 * zero + 1), bool)  # [peers, sum]
    reached[0, zero] = True
    last = np.zeros(reached.shape, int)  # the peer that made the sum first: those before it make what is left
    for peer, step in enumerate(steps):
        new = np.roll(reached[:-1], step, 1) & ~reached[1:]
        last[1:][new] = peer
        reached[1:] |= new
    distance = np.abs((np.arange(reached.shape[1]) - zero) * count / BUCKETS - 1)
    size, place = np.unravel_index(np.where(reached[1:], distance, np.inf).argmin(), reached[1:].shape)
    chosen, size = [], size + 1
    while size:
        chosen.append(last[size, place])
        size, place = size - 1, place - steps[chosen[-1]]
    return peers[sorted(chosen)]
