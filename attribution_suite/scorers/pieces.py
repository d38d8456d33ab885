"""Cuts members × rows into pieces that stay in the cache, and puts their attributions together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.scorers.attribution import Attribution, Evaluation, membership, sum_groups

QUADRATURES = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid")
N = TypeVar("N", bound=Ensemble)
# Numbers in the widest layer of one piece (4 bytes each): measured fastest between 200,000 and 800,000 on a core with
# 1 MB of cache; at 50,000 calls cost as much as arithmetic.
PIECE_VALUES = 400_000


@dataclass(frozen=True)
class Piece(Generic[N]):
    """Some members and rows: `inputs` `[rows, columns]` or `[members, rows, columns]`; `baseline` likewise.

    A baseline is one row; of several, `by_each_baseline` takes one after the other.
    `explained` `[members, rows × samples]`; `rows` and `members` say where the piece lies in the whole.
    """

    networks: N
    explained: Tensor | None
    inputs: Tensor
    baseline: Tensor
    rows: slice
    members: slice

    def pull_back(self, gradient: Tensor) -> Tensor:
        """From the first pre-activation `[members, rows, hidden]` to the inputs, `[members, rows, columns]`."""
        return torch.bmm(gradient, self.networks.first_weight)


def pieces(networks: N, evaluation: Evaluation, points: int, samples: int = 1) -> Iterator[Piece[N]]:
    """Pieces of bounded size. `points`: how many network inputs the method makes of one row.

    `samples` > 1: the explained class of each row is repeated that many times in a row (a noisy row's copies).
    """
    (rows, columns), baselines = evaluation.inputs.shape[-2:], evaluation.baselines
    values = max(points * max(networks.architecture.widths[1:]), samples * columns)  # of one row, in its widest step
    rows_at_once = max(1, min(rows, PIECE_VALUES // values))
    members_at_once = max(1, PIECE_VALUES // (rows_at_once * values))
    for first in range(0, len(networks), members_at_once):
        members = slice(first, min(first + members_at_once, len(networks)))
        chosen = networks.select(members)
        baseline = baselines if baselines.dim() == 2 else baselines[members]
        inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[members]
        for start in range(0, rows, rows_at_once):
            part = slice(start, min(start + rows_at_once, rows))
            explained = None if evaluation.explained is None else evaluation.explained[members, part]
            if explained is not None and samples > 1:
                explained = explained.repeat_interleave(samples, 1)
            yield Piece(chosen, explained, inputs[..., part, :], baseline, part, members)


def by_each_baseline(local: Callable[[Piece[N]], Tensor]) -> Callable[[Piece[N]], Tensor]:
    """The mean of `local` over the baselines of a piece, each as if it were the only one."""

    def mean(piece: Piece[N]) -> Tensor:
        first, *others = piece.baseline.split(1, -2)
        total = local(replace(piece, baseline=first))
        for baseline in others:  # each fills a piece by itself
            total += local(replace(piece, baseline=baseline))
        return total.div_(len(others) + 1) if others else total

    return mean


def at_baseline(piece: Piece[N], absent: Tensor) -> Tensor:
    """The first pre-activation of rows whose `absent` `[variants, columns]` stand at the baseline.

    `[members, rows, variants, hidden]`. Of whole rows, for networks in which no sum may stand for a value.
    """
    rows = torch.where(absent, piece.baseline[..., None, :], piece.inputs[..., :, None, :])
    first: Tensor = piece.networks.first(rows.flatten(-3, -2)).unflatten(1, rows.shape[-3:-1])
    return first


def columns_of(evaluation: Evaluation) -> Tensor:
    """Which columns each feature has, `[features, columns]` bool."""
    return membership(evaluation.groups, evaluation.inputs.shape[-1]).T.bool().to(evaluation.inputs.device)


def attribute_in_pieces(scorer: str, networks: N, evaluation: Evaluation, points: int,
                        local: Callable[[Piece[N]], Tensor], *, samples: int = 1, complete: bool = False,
                        summed: bool = False) -> Attribution:
    """The attribution whose φ `[members, rows, columns]` of each piece is `local(piece)`.

    `complete`: the method promises Σφ = f(x) − f(baseline); the relative gap is measured. `summed`: `local` gives φ per
    feature, `[members, rows, features]`.
    """
    members, rows = len(networks), evaluation.inputs.shape[-2]
    values = evaluation.inputs.new_empty(members, rows, len(evaluation.groups))
    scores, signed = (values.new_zeros(members, len(evaluation.groups)) for _ in range(2))
    for piece in pieces(networks, evaluation, points, samples):
        part = local(piece) if summed else sum_groups(local(piece), evaluation.groups)
        values[piece.members, piece.rows] = part
        signed[piece.members] += part.sum(1)  # while the piece is in the cache
        scores[piece.members] += part.abs_().sum(1)
    gap = completeness_gap(values, networks, evaluation) if complete else None
    return Attribution(scorer, evaluation.features, scores / rows, values, signed / rows, gap)


def completeness_gap(values: Tensor, networks: Ensemble, evaluation: Evaluation) -> Tensor:
    """Mean abs(Σ_k φ − (f(x) − f(baseline))) over mean abs(f(x) − f(baseline)), `[members]`.

    Of several baselines f(baseline) is the mean.
    """
    change = networks.outputs(evaluation.inputs) - networks.outputs(evaluation.baselines).mean(1, keepdim=True)
    difference = explained_output(change, evaluation.explained)
    return (values.sum(2) - difference).abs().mean(1) / difference.abs().mean(1)


def straight_path(piece: Piece[N], inputs: Tensor, points: int, method: str = QUADRATURES[0]) -> Tensor:
    """The first pre-activation at the points of a quadrature between baseline and `inputs`.

    `[members, points, rows, hidden]`: a straight path of the input is one of z = Wx + b.
    """
    last, first = piece.networks.first(inputs), piece.networks.first(piece.baseline)
    return first[:, None] + quadrature(points, method)[1].to(first)[:, None, None] * (last - first)[:, None]


@lru_cache
def quadrature(steps: int, method: str = QUADRATURES[0]) -> tuple[Tensor, Tensor]:
    """Weights and nodes on [0, 1], `[steps]` each, of Captum's quadratures.

    'gausslegendre': numpy's of [−1, 1] scaled. 'riemann_…': equally spaced nodes of weight 1 / steps, at the left, the
    right or the middle of each step; 'riemann_trapezoid' from 0 to 1, the ends of half the weight, so that its weights
    sum to 1 − 1 / steps.
    """
    if method == "gausslegendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return torch.from_numpy(weights / 2).float(), torch.from_numpy((1 + nodes) / 2).float()
    ends = {"riemann_left": (0, 1 - 1 / steps), "riemann_right": (1 / steps, 1),
            "riemann_middle": (1 / (2 * steps), 1 - 1 / (2 * steps)), "riemann_trapezoid": (0, 1)}
    equal = torch.full((steps,), 1 / steps)
    if method == "riemann_trapezoid":
        equal[[0, -1]] /= 2
    return equal, torch.linspace(*ends[method], steps)
