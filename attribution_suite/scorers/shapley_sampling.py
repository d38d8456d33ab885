"""Shapley values by sampled orders of the features."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.options import check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.pieces import Piece, at_baseline, by_each_baseline, columns_of, completeness_gap, pieces


@dataclass(frozen=True)
class ShapleySampling:
    """φ_k = mean over orders π of f(k and all before it in π) − f(all before it in π).

    What is absent stands at the baseline. The columns of a group are one player. Orders come in antithetic pairs, one
    drawn at random and its reverse; all rows, and all networks of a seed, share them. Complete: Σφ = f(x) − f(b),
    whatever the orders. The pairs are independent, so the sampling error is the standard error of their mean:
    `details['standard_error']` `[members, features]`, of the scores s_k, and `details['standard_error_local']`
    `[members, rows, features]`, of φ.
    Castro, Gómez & Tejada (2009), Polynomial calculation of the Shapley value based on sampling; Štrumbelj & Kononenko
    (2010), An Efficient Explanation of Individual Classifications using Game Theory; antithetic orders: Mitchell,
    Cooper, Frank & Holmes (2022), Sampling Permutations for Shapley Value Estimation.
    """

    permutations: int = 24
    name: ClassVar[str] = "shapley_sampling"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        zero_on_zero_weights=True, draws=True, baseline="zero", default=False,
        reference="attribution_suite.scorers.references.captum_package:shapley_sampling")

    def __post_init__(self) -> None:
        check_whole(self, 4, "permutations")
        if self.permutations % 2:
            raise InputError(f"option 'permutations' of {self.name} must be even, got {self.permutations}: orders come "
                             "in pairs, each with its reverse")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local φ per feature, in the units of the explained output."""
        return by_orders(self.name, networks, evaluation,
                         drawn_orders(len(evaluation.groups), self.permutations // 2, evaluation.seed))


def drawn_orders(features: int, pairs: int, seed: int) -> Tensor:
    """One order of every antithetic pair, `[pairs, features]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(features, generator=generator) for _ in range(pairs)])


def by_orders(scorer: str, networks: Ensemble, evaluation: Evaluation, orders: Tensor) -> Attribution:
    """The attribution by orders `[pairs, features]` and the reverse of each."""
    members, rows, features = len(networks), evaluation.inputs.shape[-2], len(evaluation.groups)
    values = evaluation.inputs.new_empty(members, rows, features)
    local_error, parts = torch.empty_like(values), values.new_zeros(members, len(orders), features)
    columns, orders = Columns.of(evaluation, networks), orders.to(networks.device)
    # An order and its reverse count as one point: a step costs as much in calls as in numbers, so pieces are large.
    for piece in pieces(networks, evaluation, len(orders)):
        gains = by_each_baseline(partial(_gains, columns=columns, orders=orders))(piece)
        mean = gains.mean(2)
        values[piece.members, piece.rows] = mean
        local_error[piece.members, piece.rows] = standard_error(gains, 2)
        # s_k = mean_i abs(φ_ik) changes with φ_ik by its sign: a pair's part of the score, whose spread is the score's.
        parts[piece.members] += gains.mul_(mean.sign()[:, :, None]).sum(1) / rows
    found = Attribution.from_local(scorer, values, evaluation.features, completeness_gap(values, networks, evaluation))
    errors = {"standard_error": standard_error(parts, 1), "standard_error_local": local_error}
    return replace(found, details=errors)


def standard_error(gains: Tensor, axis: int) -> Tensor:
    """Of the mean over the pairs, which lie along `axis`."""
    count = gains.shape[axis]
    squares = (gains - gains.mean(axis, keepdim=True)).square_().sum(axis)  # var is slow along any axis but the last
    return squares.div_(count * (count - 1)).sqrt_()


@dataclass(frozen=True)
class Columns:
    """Which columns the features have. `first`: one of each, `[features]`; `more`: the others, of features `owner`.

    `whole` `[features, columns]`: which columns are the feature's. `alive` `[members, 1, 1, features]`: whether some
    first-layer weight of the feature is not zero.
    """

    first: Tensor
    more: Tensor
    owner: Tensor
    whole: Tensor
    alive: Tensor

    @classmethod
    def of(cls, evaluation: Evaluation, networks: Ensemble) -> "Columns":
        """Those of the evaluation's groups."""
        groups = list(evaluation.groups.values())
        others = [(column, feature) for feature, (_, *more) in enumerate(groups) for column in more]
        first, more, owner = (torch.tensor(numbers, dtype=torch.int64, device=networks.device) for numbers in (
            [group[0] for group in groups], [column for column, _ in others], [feature for _, feature in others]))
        weights = (networks.first_weight != 0).any(1)
        alive = torch.stack([weights[:, list(group)].any(1) for group in groups], 1)
        return cls(first, more, owner, columns_of(evaluation), alive[:, None, None])

    def steps(self, piece: Piece[Ensemble]) -> Tensor:
        """W_k (x_k − b_k), what feature k moves the first pre-activation by: `[members, rows, features, hidden]`."""
        change = (piece.inputs - piece.baseline).expand(len(piece.networks), -1, -1)[..., None]
        weight = piece.networks.first_weight.transpose(1, 2)[:, None]
        steps = change[:, :, self.first] * weight[:, :, self.first]
        return steps.index_add_(2, self.owner, change[:, :, self.more] * weight[:, :, self.more])


def _gains(piece: Piece[Ensemble], columns: Columns, orders: Tensor) -> Tensor:
    """What the explained output gains as feature k joins, mean of a pair: `[members, rows, pairs, features]`.

    All orders and rows take a step at once. The reverse order has the features S as the order has all but S, so with
    D(S) = f(S) − f(all but S) the pair's mean gain is (D(S and k) − D(S)) / 2.
    """
    networks, states = piece.networks, (_steps if piece.networks.additive else _rows)(piece, columns, orders)
    nothing = networks.explained_output(next(states)[:, :, :, 0].clone(), piece.explained)
    differences = [(nothing[..., :1] - nothing[..., 1:]).expand(-1, -1, len(orders))]
    for both in states:
        with_them, without = networks.explained_output(both.flatten(2, 3), piece.explained).chunk(2, 2)
        differences.append(with_them - without)
    differences.append(-differences[0])
    place = orders.argsort(1).expand(*differences[0].shape[:2], -1, -1)
    return torch.stack(differences, 3).diff(dim=3).gather(3, place).mul_(columns.alive[piece.members] / 2)


def _steps(piece: Piece[Ensemble], columns: Columns, orders: Tensor) -> Iterator[Tensor]:
    """The first pre-activations of S and of all but S, as S grows from nothing, `[members, rows, 2, pairs, hidden]`.

    A walk from the baseline's first pre-activation to the row's, one step a feature.
    """
    networks, steps = piece.networks, columns.steps(piece)
    start, end = (networks.first(rows)[:, :, None] for rows in (piece.baseline, piece.inputs))
    both, state = start + end, start.repeat(1, end.shape[1], len(orders), 1)
    states = torch.stack([state, both - state], 2)
    yield states
    for joining in orders.T[:-1]:
        state += steps.index_select(2, joining)
        states[:, :, 0] = state  # the network overwrites what it is asked of
        torch.sub(both, state, out=states[:, :, 1])
        yield states


def _rows(piece: Piece[Ensemble], columns: Columns, orders: Tensor) -> Iterator[Tensor]:
    """The same of whole rows, for networks in which no sum may stand for a value."""
    present = torch.zeros(len(orders), columns.whole.shape[1], dtype=torch.bool, device=orders.device)
    yield at_baseline(piece, torch.cat([~present, present])).unflatten(2, (2, -1))
    for joining in orders.T[:-1]:
        present = present | columns.whole[joining]
        yield at_baseline(piece, torch.cat([~present, present])).unflatten(2, (2, -1))
