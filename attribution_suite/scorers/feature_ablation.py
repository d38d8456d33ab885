"""Feature ablation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.chunks import Chunk, chunks


@dataclass(frozen=True)
class FeatureAblation:
    """φ_k = f(x) − f(x with feature k at its baseline); the columns of a group are moved together.

    Captum's FeatureAblation, feature by feature, as one pass: at the first pre-activation a feature's ablation is the
    rank-1 change −W_k (x_k − b_k), so no column is ever copied.
    """

    name: ClassVar[str] = "feature_ablation"
    reads: ClassVar[str] = "network"

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ per feature, in the units of the explained output."""
        groups = list(evaluation.groups.values())
        values = torch.empty(len(networks), evaluation.inputs.shape[-2], len(groups))
        for chunk in chunks(networks, evaluation, len(groups)):
            values[chunk.members, chunk.rows] = _ablate(chunk, groups)
        return Attribution.from_local(self.name, values, evaluation.features)


def _ablate(chunk: Chunk, groups: list[tuple[int, ...]]) -> Tensor:
    """`[members, rows, features]`."""
    networks = chunk.networks
    change = (chunk.inputs - chunk.baseline).expand(len(networks), -1, -1)
    first = networks.first(chunk.inputs)
    single = all(len(group) == 1 for group in groups)
    if single:  # [members, rows, features, hidden]
        order = [group[0] for group in groups]
        moved = change[..., order, None] * networks.weights[0].transpose(1, 2)[:, None, order]
    else:
        moved = torch.stack([
            torch.bmm(change[..., list(group)], networks.weights[0][..., list(group)].transpose(1, 2))
            for group in groups], 2)
    ablated = first[:, :, None] - moved
    outputs = networks.finish(ablated.flatten(1, 2)).unflatten(1, ablated.shape[1:3])
    native = networks.finish(first)[:, :, None]
    if chunk.explained is None:
        return (native - outputs)[..., 0]
    explained = chunk.explained[:, :, None, None].expand(-1, -1, len(groups), 1)
    return (native - outputs).gather(3, explained)[..., 0]
