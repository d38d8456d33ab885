"""Least-squares concept erasure: the least change of the other nodes after which none of them covaries with x_j."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.erasure import LinearErasure
from attribution_suite.removals.linear_maps import Entering, directions
from attribution_suite.removals.removal import RemovalTraits, Setting


@dataclass(frozen=True)
class Leace(LinearErasure):
    """The fold of x_j, then the other nodes x through μ + P(x − μ), P = I − W⁺ U Uᵀ W, folded into layer 1.

    W = Σ^(−1/2) of the other nodes, U an orthonormal basis of W Σ_xz, z the removed nodes (Belrose et al. 2023).
    P Σ_xz = 0: on the training rows no linear probe of what enters the layer finds x_j, and no P that achieves it
    changes x less. A nonlinear probe, or the next layer, may still find it. Directions of canonical correlation below
    1e-5 with x_j are left; nothing is trained, unless `then='tune'`. Column j is exactly zero: the edited network does
    not read x_j.
    """

    name: ClassVar[str] = "leace"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="in training", default=False, of_index="never")

    def mapped(self, networks: Ensemble, nodes: Nodes, entering: Entering,
               setting: Setting) -> tuple[Ensemble, Tensor]:
        """The closed form."""
        taken, read = directions(entering.across, entering.regression, entering.within)
        return entering.erase(networks, taken, read), taken
