"""Phantoms: copies of what is removed that no network reads, beside the inputs in a scorer's call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.work.score import check
from attribution_suite.datasets.removable import Removable
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice

PHANTOM = "phantom\t"  # how the names of phantoms begin, and no column's
COLUMNS = 64  # of phantoms in one call, or as many as the table has; more, where one feature needs them


@dataclass(frozen=True)
class Call:
    """Networks widened by the phantoms of some features, and what is read out of their scores.

    `part`: which of the features (or sets of them); `member` `[part]`: the network that each is asked of; `places`:
    where its features are. `each`: how many phantoms of every feature, the last of the evaluation's.
    """

    networks: Ensemble
    evaluation: Evaluation
    part: np.ndarray
    member: np.ndarray
    places: Sequence[tuple[int, ...]]
    each: int

    def scores(self, choice: Choice) -> np.ndarray:
        """Of every feature, then of its phantoms, `[part, 1 + phantoms]`; a set's is the sum over its features.

        Raises InputError as `check` does.
        """
        attribution = choice.attribute(self.networks, self.evaluation)
        check(attribution, len(self.networks), self.evaluation.features, 0)
        scores = attribution.scores.numpy(force=True)
        widths = self.each * np.array([len(places) for places in self.places])
        ends = scores.shape[1] - widths.sum() + widths.cumsum()
        rows = []
        for member, places, end, width in zip(self.member, self.places, ends, widths, strict=True):
            phantoms = scores[member, end - width:end].reshape(self.each, len(places)).sum(1)
            rows.append([scores[member, list(places)].sum(), *phantoms])
        return np.array(rows)


def calls(networks: Ensemble, evaluation: Evaluation, layer: int, features: Sequence[str], place: np.ndarray,
          asked: np.ndarray, seed: int, each: int) -> Iterator[Call]:
    """The calls that ask the networks of one seed, `place` `[variants]`, for those of `features` that `asked` lists."""
    removable = Removable(at_layer(networks, evaluation, layer, torch.tensor(place[:1]).to(networks.device))[1].groups)
    most = most_columns(removable.groups)
    widths = [len(removable.named(features[variant]).columns) for variant in asked]
    for part in (asked[batch] for batch in batches(widths, each, most)):
        names = [features[variant] for variant in part]
        members, member = np.unique(place[part], return_inverse=True)
        tail, seen = at_layer(networks, evaluation, layer, torch.from_numpy(members).to(networks.device))
        wide = with_phantoms(replace(seen, seed=seed), names, each)
        places = [Removable.places(seen.features).named(name).columns for name in names]
        yield Call(tail.widened(wide.inputs.shape[-1] - seen.inputs.shape[-1]), wide, part, member, places, each)


def most_columns(groups: Mapping[str, Sequence[int]]) -> int:
    """How many columns of phantoms a call has beside these groups."""
    return max(COLUMNS, sum(map(len, groups.values())))


def at_layer(networks: Ensemble, evaluation: Evaluation, layer: int, members: Tensor) -> tuple[Ensemble, Evaluation]:
    """Some members from a layer on, and what they are evaluated on there."""
    chosen = networks.select(members)
    return chosen.tail(layer), evaluation.for_members(members).at_layer(chosen, layer)


def batches(widths: Sequence[int], each: int, most: int) -> Iterator[slice]:
    """Which features share a call, by their numbers of columns: as many as have `most` phantoms' columns, at least one.

    Most of a call's cost does not depend on how many networks are asked; too many phantoms beside the inputs would make
    another regression of LIME's than the one that is judged.
    """
    start, columns = 0, 0
    for position, width in enumerate(widths):
        if position > start and columns + each * width > most:
            yield slice(start, position)
            start, columns = position, 0
        columns += each * width
    if widths:
        yield slice(start, len(widths))


def with_phantoms(evaluation: Evaluation, features: Sequence[str], each: int) -> Evaluation:
    """The evaluation with `each` phantoms of every feature as further features, the last ones, feature by feature.

    A phantom is a copy of the feature's whole group of columns, permuted over the rows: those to explain and those of
    the background. A phantom of a set ('sex+race') is one of each of its features, all permuted alike: as many features
    as the set itself, so that scorers treat both the same. The permutations depend on the evaluation's seed and what is
    removed alone.
    """
    groups, removable = dict(evaluation.groups), Removable(evaluation.groups)
    places = Removable.places(evaluation.groups)
    inputs, background, baseline = [evaluation.inputs], [evaluation.background], [evaluation.baseline]
    index = list(evaluation.index)
    width = evaluation.inputs.shape[-1]
    for name in features:
        removed = removable.named(name)
        columns = list(removed.columns)
        generator = np.random.default_rng([evaluation.seed, *places.named(name).columns])
        copied = [(parts, parts[0][..., columns]) for parts in (inputs, background)]
        for number in range(each):
            for parts, rows in copied:
                order = torch.from_numpy(generator.permutation(rows.shape[-2])).to(rows.device)
                parts.append(rows[..., order, :])
            baseline.append(evaluation.baseline[..., columns])
            for feature in removed.features:
                last = width + len(evaluation.groups[feature])
                groups[f"{PHANTOM}{number} of {name}: {feature}"] = tuple(range(width, last))
                index += [width] if evaluation.groups[feature][0] in evaluation.index else []
                width = last
    return replace(evaluation.without_pool(), inputs=torch.cat(inputs, -1), background=torch.cat(background, -1),
                   baseline=torch.cat(baseline, -1), groups=groups, pre_activations=None,
                   index=tuple(index))
