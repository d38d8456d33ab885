"""Feature ablation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import Piece, at_baseline, attribute_in_pieces, by_each_baseline, columns_of


@dataclass(frozen=True)
class FeatureAblation:
    """φ_k = f(x) − f(x with feature k at its baseline); the columns of a group are moved together.

    Captum's FeatureAblation, feature by feature, as one pass: at the first pre-activation a feature's ablation is the
    rank-1 change −W_k (x_k − b_k), so no column is ever copied. Where a sum may not stand for a value
    (not `Ensemble.additive`) whole rows are made.
    """

    name: ClassVar[str] = "feature_ablation"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        zero_on_zero_weights=True, baseline="zero",
        reference="attribution_suite.scorers.references.captum_package:feature_ablation")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ per feature, in the units of the explained output."""
        groups = list(evaluation.groups.values())
        place = [(column, feature) for feature, (_, *more) in enumerate(groups) for column in more]
        index = [torch.tensor(numbers, dtype=torch.int64, device=networks.device) for numbers in (
            [group[0] for group in groups], [column for column, _ in place], [feature for _, feature in place])]
        weights = (networks.first_weight != 0).any(1)
        alive = torch.stack([weights[:, list(group)].any(1) for group in groups], 1)[:, None]
        whole = columns_of(evaluation)

        def local(piece: Piece[Ensemble]) -> Tensor:
            # Two ways to one sum differ in the last bit: a feature without weights falls by exactly nothing.
            first = piece.networks.first(piece.inputs)[:, :, None]
            ablated = _ablated(piece, first, *index) if piece.networks.additive else at_baseline(piece, whole)
            without = piece.networks.explained_output(ablated, piece.explained)
            return (piece.networks.explained_output(first, piece.explained) - without).mul_(alive[piece.members])

        return attribute_in_pieces(self.name, networks, evaluation, len(groups), by_each_baseline(local), summed=True)


def _ablated(piece: Piece[Ensemble], first: Tensor, columns: Tensor, more: Tensor, feature: Tensor) -> Tensor:
    """The first pre-activation without each feature, `[members, rows, features, hidden]`.

    `first`: that of the rows, `[members, rows, 1, hidden]`. `columns`: the first of every feature; `more` are the
    others, of features `feature`.
    """
    change = (piece.inputs - piece.baseline).expand(len(piece.networks), -1, -1)[..., None]
    weight = piece.networks.first_weight.transpose(1, 2)[:, None]
    ablated = torch.addcmul(first, change[:, :, columns], weight[:, :, columns], value=-1)
    if len(more):
        ablated.index_add_(2, feature, change[:, :, more] * weight[:, :, more], alpha=-1)
    return ablated
