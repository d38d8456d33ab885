"""The least-squares fold with at most `nodes` compensating peers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar, Literal

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals.folding import fold_each, regress
from attribution_suite.removals.removal import Setting, edited

EXHAUSTIVE_LIMIT = 100_000


@dataclass(frozen=True)
class SubsetFold:
    """The fold onto few peers, so that one can say who stands in for the removed node.

    `search` 'omp': orthogonal matching pursuit, each step adding the peer that explains most of what is left (Pati,
    Rezaiifar & Krishnaprasad 1993). 'exhaustive': the best of all subsets, for small layers. Nothing is trained.
    """

    nodes: int = 5
    search: Literal["omp", "exhaustive"] = "omp"
    name: ClassVar[str] = "subset_fold"
    aims: ClassVar[str] = "direct"

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form. Raises InputError where 'exhaustive' would try more than 100,000 subsets."""
        chosen = matching_pursuit if self.search == "omp" else exhaustive
        return _remove(networks, nodes, setting, chosen, self.nodes)

    def replacement(self) -> None:
        """Weights are edited, not data."""


@dataclass(frozen=True)
class SubsetFoldDynamicProgramme:
    """The fold onto the peers that the published dynamic programme over correlations chooses.

    It walks the peers in order and keeps, for every last peer k and count c, the chain with the largest
    Σ abs(r_kj)(1 − abs(r_kk')), k' the peer before k in the chain: correlated with j, not with each other. The
    published code loses its chains (list `append` returns None); here they are kept.
    """

    nodes: int = 5
    name: ClassVar[str] = "subset_fold_dp"
    aims: ClassVar[str] = "direct"

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        return _remove(networks, nodes, setting, dynamic_programme, self.nodes)

    def replacement(self) -> None:
        """Weights are edited, not data."""


def matching_pursuit(matrix: Tensor, removed: Tensor, peers: Tensor, count: int) -> Tensor:
    """At most `count` of `peers`, greedily by the residual variance of the removed nodes that each explains."""
    variances = matrix.diagonal()[peers]
    chosen = peers[:0]
    for _ in range(min(count, len(peers))):
        coefficients = regress(matrix, removed, chosen)
        left = matrix[peers][:, removed] - matrix[peers] @ coefficients  # covariance with the residual
        gain = left.square().sum(1) / variances
        gain[torch.isin(peers, chosen)] = -1.0
        chosen = torch.cat([chosen, peers[gain.argmax()][None]])
    return chosen


def exhaustive(matrix: Tensor, removed: Tensor, peers: Tensor, count: int) -> Tensor:
    """The `count` peers with the least residual variance."""
    count = min(count, len(peers))
    if comb(len(peers), count) > EXHAUSTIVE_LIMIT:
        raise InputError(f"search='exhaustive' would try {comb(len(peers), count):,} subsets of {count} among "
                         f"{len(peers)} nodes; use search='omp' or fewer nodes")
    return max((peers.new_tensor(subset) for subset in combinations(peers.tolist(), count)),
               key=lambda subset: explained_variance(matrix, removed, subset))


def dynamic_programme(matrix: Tensor, removed: Tensor, peers: Tensor, count: int) -> Tensor:
    """The chain of at most `count` peers with the largest Σ abs(r_kj)(1 − abs(r_kk'))."""
    count = min(count, len(peers))
    if count == 0:
        return peers[:0]
    deviation = matrix.diagonal().sqrt()
    correlation = (matrix / deviation[:, None] / deviation).abs()
    target = correlation[peers][:, removed].amax(1)
    between = correlation[peers][:, peers]
    earlier = torch.ones_like(between, dtype=torch.bool).tril(-1)
    value, before = target.clone(), []
    ends = [(float(value.max()), int(value.argmax()))]
    for _ in range(count - 1):
        gains = (value + target[:, None] * (1 - between)).masked_fill(~earlier, -torch.inf)
        value, previous = gains.max(1)
        before.append(previous)
        ends.append((float(value.max()), int(value.argmax())))
    length = max(range(len(ends)), key=lambda c: ends[c][0])
    chain = [ends[length][1]]
    for previous in reversed(before[:length]):
        chain.append(int(previous[chain[-1]]))
    return peers[sorted(chain)]


def explained_variance(matrix: Tensor, removed: Tensor, subset: Tensor) -> float:
    """How much of the removed nodes' variance the subset explains (not normalised)."""
    return float((matrix[:, removed] * regress(matrix, removed, subset)).sum())


def _remove(networks: Ensemble, nodes: Nodes, setting: Setting,
            choose: Callable[[Tensor, Tensor, Tensor, int], Tensor], count: int) -> Trained:
    if count < 1:
        raise InputError(f"a subset fold needs at least one compensating node, got {count}")
    started = time.perf_counter()

    def fit(matrix: Tensor, removed: Tensor, peers: Tensor) -> Tensor:
        return regress(matrix, removed, choose(matrix, removed, peers, count))

    return edited(fold_each(networks, nodes, setting, fit), started)
