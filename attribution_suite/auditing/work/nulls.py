"""The nulls of scorers: what they say of *phantoms*, inputs that no network reads, beside the removed feature."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.score import check
from attribution_suite.datasets.removable import Removable
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice, traits_of

NULLS = ("null_feature", "null_phantoms", "null_failures", "severed", "unseen")
LEAST = 19  # phantoms over the networks together: one in twenty of exchangeable scores is above all others
ONE_IN = 5  # networks is asked: a call costs what the scorer costs, so the nulls cost about a fifth of the scores
MOST = 5  # networks, whose choices of one score each can still be listed
PHANTOM = "phantom\t"  # how the names of phantoms begin, and no column's
COLUMNS = 64  # of phantoms in one call, or as many as the table has; more, where one feature needs them


def asked_networks(seeds: int) -> int:
    """Of how many networks a scorer is asked for its null: the first ones, one in five of all, at most five."""
    return min(MOST, ceil(seeds / ONE_IN))


def phantoms_each(seeds: int) -> int:
    """How many phantoms of a feature a network gets, so that there are `LEAST` over the networks that are asked."""
    return ceil(LEAST / asked_networks(seeds))


def needs_phantoms(scorer: str, layer: int) -> bool:
    """Is the scorer's null unknown? Not that of one that is zero on zero weights, nor of one that reads labels.

    A scorer that needs the layers below the one it scores cannot be given phantoms of a hidden layer's units.
    """
    traits = traits_of(scorer)
    return traits.reads != "labels" and not traits.zero_on_zero_weights and not (layer and traits.below)


def null_scores(choices: Sequence[Choice], mean_abs: np.ndarray, networks: Ensemble, evaluation: Evaluation,
                layer: int, features: Sequence[Sequence[str]], place: np.ndarray) -> Arrays:
    """The scores of removed features beside those of their phantoms.

    `choices`: the scorers of the tables; `mean_abs`: their scores, as `scores_of` takes them; `features`
    `[seeds][variants]`: what was, or will be, removed; `place` `[seeds, variants]`: which of `networks` is asked for
    it. Arrays: `null_feature` `[asked, scorers]` and `null_phantoms` `[asked, scorers, phantoms]`, asked = networks
    asked × variants, in the units of `mean_abs`, NaN where a scorer needs none, does not apply or failed;
    `null_failures`, as JSON, by scorer; `severed` and `unseen` `[seeds × variants]`, what the functions of these names
    say.

    A score of exactly zero exceeds no phantom's, whatever theirs are: no phantom is asked there, and all are put at 0.

    The draws of phantoms and scorers differ between networks, so that their scores are independent, as `null_p` takes
    them. A network before and after an edit has the same phantoms.
    """
    seeds, variants = place.shape
    asked, each = asked_networks(seeds), phantoms_each(seeds)
    of_feature = np.full((asked, variants, len(choices)), np.nan, np.float32)
    of_phantoms = np.full((*of_feature.shape, each), np.nan, np.float32)
    errors: dict[str, str] = {}
    members = torch.tensor(place.ravel()).to(networks.device)
    removable = Removable(_at(networks, evaluation, layer, members[:1])[1].groups)
    removed = [name for names in features for name in names]
    scores = scores_of(mean_abs, list(removable.groups), removed).reshape(seeds, variants, -1)
    for position, choice in enumerate(choices):
        if not needs_phantoms(choice.name, layer) or np.isnan(scores[..., position]).any():
            continue
        said = np.zeros((asked, variants, 1 + each))
        try:
            for seed in range(asked):
                above = np.flatnonzero(scores[seed, :, position])
                for call in calls(networks, evaluation, layer, features[seed], place[seed], above, seed, each,
                                  traits_of(choice.name).one_by_one):
                    said[seed, call.part] = call.scores(choice)
        except (Exception, SystemExit) as error:  # as in score_all: a scorer's code may raise anything
            errors[choice.name] = f"null by phantoms: {type(error).__name__}: {error}".splitlines()[0]
            continue
        of_feature[..., position], of_phantoms[..., position, :] = said[..., 0], said[..., 1:]
    nodes = Nodes.of([removable.named(name).columns for name in removed]).to(networks.device)
    chosen = networks.select(members)
    return {
        "null_feature": of_feature.reshape(-1, len(choices)),
        "null_phantoms": of_phantoms.reshape(-1, len(choices), each),
        "null_failures": np.frombuffer(json.dumps(errors).encode(), np.uint8),
        "severed": severed(chosen.tail(layer), nodes).numpy(force=True),
        "unseen": unseen(chosen, evaluation.for_members(members), nodes).numpy(force=True)}


def scores_of(mean_abs: np.ndarray, names: Sequence[str], removed: Sequence[str]) -> np.ndarray:
    """What scorers say of what each network lost, or will lose, `[removed, scorers]`; of a set the sum.

    `mean_abs` `[networks, scorers, features]`, of one network a seed or of one for each of `removed`, seed-major.
    """
    each = len(removed) // len(mean_abs)
    summed: np.ndarray = np.where(removed_from(names, removed)[:, None], mean_abs.repeat(each, 0), 0).sum(2)
    return summed


def removed_from(names: Sequence[str], removed: Sequence[str]) -> np.ndarray:
    """Which of the features `names` are in each of `removed`, `[removed, features]` bool."""
    removable, lost = Removable.places(names), np.zeros((len(removed), len(names)), bool)
    for place, name in enumerate(removed):
        lost[place, removable.named(name).columns] = True
    return lost


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
          asked: np.ndarray, seed: int, each: int, one_by_one: bool) -> Iterator[Call]:
    """The calls that ask the networks of one seed, `place` `[variants]`, for those of `features` that `asked` lists.

    `one_by_one`: each network has calls of its own.
    """
    removable = Removable(_at(networks, evaluation, layer, torch.tensor(place[:1]).to(networks.device))[1].groups)
    most = max(COLUMNS, sum(map(len, removable.groups.values())))
    together = [asked[place[asked] == member] for member in np.unique(place[asked])] if one_by_one else [asked]
    parts = [variants[batch] for variants in together for batch in batches(
        [len(removable.named(features[variant]).columns) for variant in variants], each, most)]
    for part in parts:
        names = [features[variant] for variant in part]
        members, member = np.unique(place[part], return_inverse=True)
        tail, seen = _at(networks, evaluation, layer, torch.from_numpy(members).to(networks.device))
        wide = with_phantoms(replace(seen, seed=seed), names, each)
        places = [Removable.places(seen.features).named(name).columns for name in names]
        yield Call(tail.widened(wide.inputs.shape[-1] - seen.inputs.shape[-1]), wide, part, member, places, each)


def _at(networks: Ensemble, evaluation: Evaluation, layer: int, members: Tensor) -> tuple[Ensemble, Evaluation]:
    """Some members from a layer on, and what they are evaluated on there."""
    chosen = networks.select(members)
    return chosen.tail(layer), evaluation.for_members(members).at_layer(chosen, layer)


def batches(widths: Sequence[int], each: int, most: int) -> Iterator[slice]:
    """Which features share a call, by their numbers of columns: as many as have `most` phantoms' columns, at least one.

    Most of a call's cost does not depend on how many networks are asked, but for a scorer that says so; too many
    phantoms beside the inputs would make another regression of LIME's and XGBoost's than the one that is judged.
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
        for number in range(each):
            for parts in (inputs, background):
                rows = parts[0]
                order = torch.from_numpy(generator.permutation(rows.shape[-2])).to(rows.device)
                parts.append(rows[..., columns][..., order, :])
            baseline.append(evaluation.baseline[..., columns])
            for feature in removed.features:
                last = width + len(evaluation.groups[feature])
                groups[f"{PHANTOM}{number} of {name}: {feature}"] = tuple(range(width, last))
                index += [width] if evaluation.groups[feature][0] in evaluation.index else []
                width = last
    return replace(evaluation, inputs=torch.cat(inputs, -1), background=torch.cat(background, -1),
                   baseline=torch.cat(baseline, -1), groups=groups, pre_activations=None,
                   index=tuple(index))


def severed(networks: Ensemble, nodes: Nodes) -> Tensor:
    """Which members' first-layer weights from their node are all exactly zero, `[members]` bool."""
    weights = (networks.first_weight != 0).any(1)
    return ~(weights & nodes.mask(weights.shape[1])).any(1)


def unseen(networks: Ensemble, evaluation: Evaluation, nodes: Nodes) -> Tensor:
    """Which members' gradient by their node is zero on every row, though the output moves with it; bool.

    Of an embedding's index column, and of what a module rounds, cuts off or compares, the derivative is zero wherever
    it exists: what is made of gradients alone cannot see such a column, and its zero is none. Asked of modules only;
    a perceptron has no such column, and there a scorer that misses an input is blind.
    """
    if not isinstance(networks, Modules):
        return torch.zeros(len(networks), dtype=torch.bool, device=networks.device)
    rows = evaluation.inputs.shape[-2]
    order = torch.from_numpy(np.random.default_rng(0).permutation(rows)).to(networks.device)
    unseen_members = []
    for piece, part in networks.pieces(rows * max(networks.architecture.widths)):
        explained = None if evaluation.explained is None else evaluation.explained[piece]
        inputs, lost = evaluation.inputs, Nodes(nodes.index[piece])
        gradient = torch.bmm(part.gradient(part.first(inputs), explained), part.first_weight)
        flat = ~((gradient != 0).any(1) & lost.mask(gradient.shape[2])).any(1)
        native = inputs.expand(len(part), -1, -1).gather(2, lost.index[:, None].expand(-1, rows, -1))
        moved = part.outputs_with(inputs, lost, native[:, order]) != part.outputs_with(inputs, lost, native)
        unseen_members.append(flat & moved.flatten(1).any(1))
    return torch.cat(unseen_members)
