"""Concept erasure that keeps what the other nodes tell linearly of the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.erasure import LinearErasure
from attribution_suite.removals.linear_maps import Entering, directions, units_of, z_scores
from attribution_suite.removals.removal import RemovalTraits, Setting

LEAST_SINE = 1e-3  # of the angle between what tells of x_j and what tells of the target


@dataclass(frozen=True)
class Oblique:
    """P = I − `taken` `read`ᵀ of the columns that stay, `[members, features, k]`, and σ_min(VᵀU) `[members]`."""

    taken: Tensor
    read: Tensor
    sine: Tensor

    @classmethod
    def of(cls, entering: Entering, targets: Tensor, task: Task) -> "Oblique":
        """With N = I − uuᵀ the definition's U(VᵀU)⁻¹Vᵀ is U(UᵀNU)⁻¹UᵀN, since V is an orthonormal basis of N U."""
        taken, read = directions(entering.across, entering.regression, entering.within)
        wanted = (one_hot(targets.long()) if task == "multiclass" else targets[:, None])[None]
        values = z_scores(wanted, *units_of(wanted))
        cross = entering.covariance(values)
        within = (values.transpose(1, 2) @ values / values.shape[1]).expand(len(cross), -1, -1)
        _, kept = directions(cross, entering.solve(cross), within)
        shared = taken.transpose(1, 2) @ kept  # Uᵀu
        gram = torch.eye(shared.shape[1]).to(shared) - shared @ shared.transpose(1, 2)  # UᵀNU, its eigenvalues sin²
        sine = torch.linalg.eigvalsh(gram)[:, 0].clamp_min(0.0).sqrt()
        safe = gram + (sine < LEAST_SINE)[:, None, None] * torch.eye(shared.shape[1]).to(shared)
        return cls(taken, torch.linalg.solve(safe, (read - kept @ shared.transpose(1, 2)).transpose(1, 2))
                   .transpose(1, 2), sine)


def refusals(split: Split, task: Task, groups: Sequence[Sequence[int]]) -> list[str | None]:
    """Why the method does not apply to each group of columns of a split `[rows, features]`; None where it does."""
    entering = Entering.of(split.inputs, len(groups), Nodes.of(groups).to(split.inputs.device))
    return [None if sine >= LEAST_SINE else _refusal(sine)
            for sine in Oblique.of(entering, split.targets, task).sine.tolist()]


@dataclass(frozen=True)
class Splince(LinearErasure):
    """LEACE that keeps the other nodes' covariance with the target: P = I − W⁻¹ U (VᵀU)⁻¹ Vᵀ W, folded into layer 1.

    W = Σ^(−1/2) of the other nodes, U and u orthonormal bases of W Σ_xz (z: the removed nodes) and W Σ_xy (y: the
    target, of classes their indicators), V one of (I − uuᵀ) U (Holstege, Ravfogel & Wouters 2025). P Σ_xz = 0 and
    P Σ_xy = Σ_xy: no linear probe of what enters the layer finds x_j, and least squares finds the target as before; x
    changes more than by LEACE, which is V = U. x_j is folded out first and not read at inference. The layers above were
    fitted to other inputs: `then='tune'`. Where some of what tells of x_j is what tells of the target (σ_min(VᵀU) <
    0.001) it does not apply.
    """

    name: ClassVar[str] = "splince"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="in training", default=False, refusals=refusals, of_index="never")

    def mapped(self, networks: Ensemble, nodes: Nodes, entering: Entering,
               setting: Setting) -> tuple[Ensemble, Tensor]:
        """The closed form. Raises InputError where it does not apply to the nodes of some member."""
        oblique = Oblique.of(entering, setting.train.targets, setting.task)
        worst = int(oblique.sine.argmin())
        if oblique.sine[worst] < LEAST_SINE:
            raise InputError(f"splince does not apply to columns {sorted(set(nodes.index[worst].tolist()))}: "
                             f"{_refusal(float(oblique.sine[worst]))}")
        return entering.erase(networks, oblique.taken, oblique.read), oblique.taken


def _refusal(sine: float) -> str:
    return ("what the other columns tell of it and of the target lies in one direction (least sine "
            f"{sine:.1e}, below {LEAST_SINE}): one cannot go and the other stay")
