"""The least-squares fold with at most `nodes` compensating peers."""

import time
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_one_of, check_whole
from attribution_suite.removals.folding import fold_each, regress
from attribution_suite.removals.removal import RemovalTraits, Setting, edited

EXHAUSTIVE_LIMIT = 100_000
Search = Literal["omp", "exhaustive"]


@dataclass(frozen=True)
class SubsetFold:
    """The fold onto few peers, so that one can say who stands in for the removed node.

    `search` 'omp': orthogonal matching pursuit, each step adding the peer that explains most of what is left (Pati,
    Rezaiifar & Krishnaprasad 1993). 'exhaustive': the best of all subsets, for small layers. Nothing is trained.
    """

    nodes: int = 5
    search: Search = "omp"
    name: ClassVar[str] = "subset_fold"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="in training")

    def __post_init__(self) -> None:
        check_whole(self, 1, "nodes")
        check_one_of(self, "search", get_args(Search))

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form. Raises InputError where 'exhaustive' would try more than 100,000 subsets."""
        started = time.perf_counter()
        choose = matching_pursuit if self.search == "omp" else exhaustive

        def fit(matrix: Tensor, removed: Tensor, peers: Tensor) -> Tensor:
            return regress(matrix, removed, choose(matrix, removed, peers, self.nodes))

        return edited(fold_each(networks, nodes, setting, fit), started)

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


def explained_variance(matrix: Tensor, removed: Tensor, subset: Tensor) -> float:
    """How much of the removed nodes' variance the subset explains (not normalised)."""
    return float((matrix[:, removed] * regress(matrix, removed, subset)).sum())
