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
        values = evaluation.inputs.new_empty(len(networks), evaluation.inputs.shape[-2], len(groups))
        for chunk in chunks(networks, evaluation, len(groups)):
            values[chunk.members, chunk.rows] = _ablate(chunk, groups)
        # Two ways to one sum differ in the last bit: a feature without weights falls by exactly nothing.
        weights = (networks.weights[0] != 0).any(1)
        values *= torch.stack([weights[:, list(group)].any(1) for group in groups], 1)[:, None]
        return Attribution.from_local(self.name, values, evaluation.features)


def _ablate(chunk: Chunk, groups: list[tuple[int, ...]]) -> Tensor:
    """`[members, rows, features]`."""
    networks, weight = chunk.networks, chunk.networks.weights[0]
    change = (chunk.inputs - chunk.baseline).expand(len(networks), -1, -1)
    first, columns = networks.first(chunk.inputs), [group[0] for group in groups]
    by_column = weight.transpose(1, 2)
    ablated = torch.addcmul(first[:, :, None], change[..., columns, None], by_column[:, None, columns], value=-1)
    for feature, group in enumerate(groups):  # [members, rows, features, hidden]
        for column in group[1:]:
            ablated[:, :, feature].addcmul_(change[..., column, None], by_column[:, None, column], value=-1)
    native = networks.explained_output(first[:, :, None], chunk.explained)
    return native - networks.explained_output(ablated, chunk.explained)
