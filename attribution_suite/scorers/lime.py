"""LIME for tables, for all members of an ensemble at once (Ribeiro, Singh & Guestrin 2016)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.options import check_flags, check_whole
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits
from attribution_suite.scorers.memory import made_once

KERNEL_WIDTH = 0.75  # times √features, as in the package
RIDGE = 1.0
# Outputs held at once, in an ensemble's pieces: few numbers a member, and the more members share a factorisation the
# less each pays for it.
PIECES_AT_ONCE = 8
INDICATORS_AT_ONCE = 2**20  # of rows together: small tables then cost their arithmetic and not its calls


@dataclass(frozen=True)
class Lime:
    """φ_ik: the coefficient of 'x_k is in the quarter (or category) of row i' in a ridge on row i's neighbourhood.

    Around row i, `samples` rows z (the first is x_i itself) are drawn, each feature on its own: a quarter of its
    training values and then a normal truncated to it, or a category with its training frequency (all columns of a
    group together). With D(z) the number of features whose quarter or category differs from x_i's, the explained
    output is regressed (ridge 1, intercept) on the indicators with weights exp(−D / (2 · 0.75² · features)).

    Equal, coefficient by coefficient, to `lime.lime_tabular.LimeTabularExplainer(mode="regression",
    feature_selection="none")` built for row i with `random_state=RandomState([seed, i mod neighbourhoods])`, so that a
    row's result does not depend on call order (lime #486). Neither the network nor the row decides what is drawn: the
    networks predict each of the few neighbourhoods once, whatever the number of rows, and one factorisation per row,
    made with the neighbourhood, solves the ridges of all networks. Rows that share a neighbourhood share its sampling
    error too, which then does not average out in s_k: over draws the shares of 50 rows varied 3 to 5 times as much with
    one as with 50.

    Two corrections, both left out by `published=True`. The package puts a quarter whose values are all equal at 0
    instead of at its value (it returns the z-score); harmless only for unscaled zeros. And a column of two values is
    a category, as the package's user would have to say: cut into quartiles, a flag that is set in three rows of four
    is one single bin, and its coefficient always zero.
    """

    name: ClassVar[str] = "lime"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        draws=True, rows="lime_rows", from_profile={"samples": "lime_samples"},
        reference="attribution_suite.scorers.references.lime_package:lime")
    samples: int = 5000
    neighbourhoods: int = 10
    published: bool = False

    def __post_init__(self) -> None:
        check_whole(self, 2, "samples")  # the row and one neighbour
        check_whole(self, 1, "neighbourhoods")
        check_flags(self, "published")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """φ `[members, rows, features]`, in units of the explained output; all in float64 but the networks."""
        if evaluation.inputs.dim() == 2 and evaluation.background.dim() == 2:
            values = self._explain(networks, evaluation)
        else:  # a hidden layer: each member has its own distribution, so its own neighbourhood
            members = torch.arange(len(networks)).split(1)
            values = torch.cat([self._explain(networks.select(one), evaluation.alone(int(one))) for one in members])
        return Attribution.from_local(self.name, values.to(networks.first_weight), evaluation.features)

    def _explain(self, networks: Ensemble, evaluation: Evaluation) -> Tensor:
        groups = [list(columns) for columns in evaluation.groups.values()]
        if sorted(chain.from_iterable(groups)) != list(range(evaluation.inputs.shape[1])):
            raise InputError("lime needs every column in exactly one feature: check the groups")
        tables, count = (evaluation.background, evaluation.inputs), min(self.neighbourhoods, len(evaluation.inputs))
        known, neighbours = made_once(
            "lime", tables, (groups, self.published, self.samples, count, evaluation.seed, evaluation.index),
            lambda: self._draw(*tables, groups, evaluation.index, count, evaluation.seed), size=_size)
        row_places = torch.from_numpy(known).to(networks.device)
        values = torch.empty(len(networks), *row_places.shape, dtype=torch.float64, device=row_places.device)
        for number, around in enumerate(neighbours):
            chosen = slice(number, None, self.neighbourhoods)
            explained = None if evaluation.explained is None else evaluation.explained[:, chosen]
            values[:, chosen] = _coefficients(
                networks, around, evaluation.inputs[chosen], row_places[chosen], explained)
        return values

    def _draw(self, training: Tensor, explained: Tensor, groups: Sequence[list[int]], index: Collection[int],
              count: int, seed: int) -> tuple[np.ndarray, list["Neighbourhood"]]:
        """The places of the explained rows `[rows, features]`, and `count` neighbourhoods."""
        background, rows = (part.double().numpy(force=True) for part in (training, explained))
        marginals = [_marginal(background[:, columns], rows[:, columns], self.published, columns[0] in index)
                     for columns in groups]
        row_places = np.stack([marginal.row_places for marginal in marginals], 1).astype(np.int16)
        generators = [np.random.RandomState([seed, number]) for number in range(count)]
        return row_places, [
            Neighbourhood.of(*_neighbours(marginals, groups, self.samples, generator), explained.dtype,
                             row_places[number::self.neighbourhoods])
            for number, generator in enumerate(generators)]


@dataclass(frozen=True)
class Neighbourhood:
    """What rows share whose neighbours are drawn alike, and what their ridges share whatever the networks.

    `inputs` `[samples − 1, columns]` are the neighbours, `places` `[features, samples − 1]` int16 those of their
    features. Of each row, in float64 (see `_ridge`): `weights` `[rows, 1, samples − 1]`, `means` `[rows, features, 1]`
    of its indicators, `factors` `[rows, features, features]`, the Cholesky factor of A Zᵀ + I.
    """

    inputs: Tensor
    places: Tensor
    weights: Tensor
    means: Tensor
    factors: Tensor

    @classmethod
    def of(cls, inputs: Tensor, places: Tensor, dtype: torch.dtype, row_places: np.ndarray) -> "Neighbourhood":
        """`inputs` as networks take them, `row_places` `[rows, features]` of the rows that share it."""
        at_rows = torch.from_numpy(row_places)
        of_rows = [_ridge_of(places != at_rows[part, :, None]) for part in _parts(len(row_places), places)]
        return cls(inputs.to(dtype), places.short(), *map(torch.cat, zip(*of_rows, strict=True)))

    def to(self, device: torch.device) -> "Neighbourhood":
        """The same, there."""
        return Neighbourhood(*(part.to(device) for part in vars(self).values()))

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.nbytes for part in vars(self).values())


@dataclass(frozen=True)
class Marginal:
    """How one feature is drawn: one of P places with its frequency, then a normal truncated to the place.

    A *place* is a quarter or a category that occurs in training. `frequencies` `[P]`; `mean`, `std` and, as standard
    normal probabilities, `lower` and `mass` of the truncation `[columns, P]`, mass 0 where the value is `mean`.
    `row_places` `[rows]` is the place of each explained row, −1 if it occurs nowhere in training.
    """

    frequencies: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    lower: np.ndarray
    mass: np.ndarray
    row_places: np.ndarray


def _size(made: tuple[np.ndarray, list[Neighbourhood]]) -> int:
    """Bytes of what `Lime._draw` returns."""
    known, neighbours = made
    return known.nbytes + sum(around.size for around in neighbours)


def _marginal(background: np.ndarray, rows: np.ndarray, published: bool, index: bool) -> Marginal:
    """A group, a column of indices or one of at most two values is a category; any other column is in quarters."""
    low, high = background.min(0), background.max(0)
    few = bool(((background == low) | (background == high)).all())
    if background.shape[1] > 1 or index or (few and not published):
        return _categories(background, rows)
    return _quarters(background[:, 0], rows[:, 0], published)


def _categories(background: np.ndarray, rows: np.ndarray) -> Marginal:
    if background.shape[1] == 1:  # sorting numbers is ten times as fast as sorting rows
        one, counts = np.unique(background[:, 0], return_counts=True)
        patterns = one[:, None]
    else:
        patterns, counts = np.unique(background, axis=0, return_counts=True)
    same = (rows[:, None] == patterns).all(2)
    values, zero = patterns.T, np.zeros_like(patterns.T)
    return Marginal(counts / counts.sum(), values, zero, zero + 0.5, zero, np.where(same.any(1), same.argmax(1), -1))


def _quarters(background: np.ndarray, rows: np.ndarray, published: bool) -> Marginal:
    edges = np.unique(np.percentile(background, [25, 50, 75]))
    bins = np.searchsorted(edges, background)
    occupied, counts = np.unique(bins, return_counts=True)
    inside = [background[bins == place] for place in occupied]
    mean = np.array([values.mean() for values in inside])
    std = np.array([values.std() for values in inside]) + 1e-11  # the package's guard
    low, high = np.append(background.min(), edges)[occupied], np.append(edges, background.max())[occupied]
    lower, upper = ndtr((low - mean) / std), ndtr((high - mean) / std)
    point = (low - mean) / std == (high - mean) / std
    mean = np.where(point, (low - mean) / std if published else low, mean)
    lower, mass = np.where(point, 0.5, lower), np.where(point, 0.0, upper - lower)
    place_of_bin = np.full(len(edges) + 1, -1)
    place_of_bin[occupied] = np.arange(len(occupied))
    row_places = place_of_bin[np.searchsorted(edges, rows)]
    return Marginal(counts / counts.sum(), mean[None], std[None], lower[None], mass[None], row_places)


def _neighbours(marginals: Sequence[Marginal], groups: Sequence[list[int]], samples: int,
                generator: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """The drawn rows `[samples − 1, columns]` and the places of their features `[features, samples − 1]`.

    Drawn in the package's order: all places, feature by feature, then all truncated normals. The explained row's own
    draws are made and dropped, as the package overwrites them.
    """
    places = []
    for marginal in marginals:
        cumulative = marginal.frequencies.cumsum()
        uniform = generator.random_sample(samples)[1:]
        places.append(np.searchsorted(cumulative / cumulative[-1], uniform, side="right"))
    inputs = np.empty((samples - 1, sum(map(len, groups))))
    for marginal, columns, place in zip(marginals, groups, places, strict=True):
        if not marginal.mass.any():  # a category: nothing is drawn within it
            inputs[:, columns] = marginal.mean.take(place, 1).T
            continue
        mean, std, lower, mass = (part.take(place, 1) for part in
                                  (marginal.mean, marginal.std, marginal.lower, marginal.mass))
        uniform, spread = np.zeros_like(mean), mass > 0
        uniform[spread] = generator.random_sample(int(spread.sum()))
        inputs[:, columns] = (mean + std * ndtri(lower + uniform * mass)).T
    return torch.from_numpy(inputs), torch.from_numpy(np.stack(places).astype(np.int32))


def _coefficients(networks: Ensemble, around: Neighbourhood, rows: Tensor, row_places: Tensor,
                  explained: Tensor | None) -> Tensor:
    """φ of rows that share a neighbourhood, `[members, rows, features]`; the networks predict it once."""
    values = torch.empty(len(networks), *row_places.shape, dtype=torch.float64, device=row_places.device)
    around = around.to(row_places.device)
    held = len(around.inputs) * networks.architecture.outputs
    for piece, part in networks.pieces(held // PIECES_AT_ONCE):
        classes = None if explained is None else explained[piece]
        at_rows = explained_output(part.outputs(rows), classes).double()
        at_neighbours = part.outputs(around.inputs).transpose(1, 2).contiguous()
        everyone = torch.arange(len(part), device=row_places.device)[:, None]
        for chosen in _parts(len(row_places), around.places):
            said = at_neighbours if classes is None else at_neighbours[everyone, classes[:, chosen]]
            moved = said.double() - at_rows[:, chosen, None]
            values[piece, chosen] = _ridge(around.places != row_places[chosen, :, None], moved, around.weights[chosen],
                                           around.means[chosen], around.factors[chosen])
    return values


def _parts(rows: int, places: Tensor) -> list[slice]:
    """`rows` in parts, of which the indicators of `places` are held at once."""
    step = max(1, INDICATORS_AT_ONCE // places.numel())
    return [slice(start, start + step) for start in range(0, rows, step)]


def _ridge(differs: Tensor, moved: Tensor, weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """The coefficients of some rows for all members, `[members, rows, features]`.

    `differs` `[rows, features, samples − 1]` bool: where a neighbour is in another place than the row; `moved`
    `[members, rows, samples − 1]`: the outputs at the neighbours less that at the row itself, a sample of weight 1 that
    differs nowhere. The intercept takes what is subtracted, and a network that says the same everywhere gets exactly
    zero. Regressing on 'differs' instead of 'is the same' only flips the sign, and a feature that never differs gets
    exactly zero. With Z the indicators, w the weights and A = w (Z − Z̄): (A Zᵀ + I) β = A y; `means` is Z̄, over the
    samples and the row itself, `factors` the Cholesky factors of the left sides.
    """
    centred = differs.double().sub_(means).mul_(weights)
    return -torch.cholesky_solve(centred @ moved.permute(1, 2, 0), factors).permute(2, 0, 1)


def _ridge_of(differs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weights, means and factors of some rows (see `_ridge`), whatever the networks."""
    indicator = differs.double()
    weights = torch.exp(indicator.sum(1, keepdim=True) / (-2 * KERNEL_WIDTH**2 * differs.shape[1]))
    means = (indicator @ weights.mT) / (weights.sum(-1, keepdim=True) + 1)
    ridge = RIDGE * torch.eye(differs.shape[1]).to(indicator)
    return weights, means, torch.linalg.cholesky(((indicator - means) * weights) @ indicator.mT + ridge)
