"""The nulls of scorers: what they say of *phantoms*, inputs that no network reads, beside the removed feature."""

import json
from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.phantoms import at_layer, calls, most_columns
from attribution_suite.auditing.work.staged import staged
from attribution_suite.datasets.removable import Removable
from attribution_suite.errors import in_one_line
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice, traits_of

NULLS = ("null_feature", "null_max", "null_mean", "null_phantoms", "null_p", "null_failures", "severed", "unseen")
LEAST = 19  # phantoms over the networks together: one in twenty of exchangeable scores is above all others
ONE_IN = 5  # networks is asked: a call costs what the scorer costs, so the nulls cost about a fifth of the scores
MOST = 5  # networks, whose choices of one score each can still be listed


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
                layer: int, features: Sequence[Sequence[str]], place: np.ndarray, gone: np.ndarray) -> Arrays:
    """The scores of removed features beside those of their phantoms.

    `choices`: the scorers of the tables; `mean_abs`: their scores, as `scores_of` takes them; `features`
    `[seeds][variants]`: what was, or will be, removed; `place` `[seeds, variants]`: which of `networks` is asked for
    it; `gone` `[variants]` bool: is no direct influence left in any network, so that an alarm would be a false one?
    Arrays: `null_feature`, `null_max` and `null_mean` `[asked, scorers]`, the feature's score, its phantoms' largest
    and mean, asked = networks asked × variants, in the units of `mean_abs`; `null_phantoms` `[scorers, variants]`, how
    many each network had, and `null_p` `[scorers, variants]`, of `measures.nulls.null_p`; NaN (no phantom) where a
    scorer needs none, does not apply or failed; `null_failures`, as JSON, by scorer; `severed` and `unseen`
    `[seeds × variants]`, what the functions of these names say.

    A score of exactly zero exceeds no phantom's, whatever theirs are: no phantom is asked there, and all are put at 0.

    The draws of phantoms and scorers differ between networks, so that their scores are independent, as `null_p` takes
    them. A network before and after an edit has the same phantoms.
    """
    seeds, variants = place.shape
    asked = asked_networks(seeds)
    told = np.full((3, asked, variants, len(choices)), np.nan)
    counts, p = np.zeros((len(choices), variants), np.int64), np.full((len(choices), variants), np.nan)
    errors: dict[str, str] = {}
    members = torch.tensor(place.ravel()).to(networks.device)
    removable = Removable(at_layer(networks, evaluation, layer, members[:1])[1].groups)
    removed = [name for names in features for name in names]
    scores = scores_of(mean_abs, list(removable.groups), removed).reshape(seeds, variants, -1)
    widths = np.array([len(removable.named(name).columns) for name in features[0]])
    at_once = np.maximum(most_columns(removable.groups) // widths, 1)
    for position, choice in enumerate(choices):
        if not needs_phantoms(choice.name, layer) or np.isnan(scores[..., position]).any():
            continue

        def ask(variant: np.ndarray, each: int, time: int, choice: Choice = choice,
                score: np.ndarray = scores[..., position]) -> np.ndarray:
            """`[asked, variant, 1 + each]`: one call's scores of the features, then of their phantoms."""
            said = np.zeros((asked, variants, 1 + each))
            for seed in range(asked):
                above = variant[score[seed, variant] != 0]
                for call in calls(networks, evaluation, layer, features[seed], place[seed], above, seed + MOST * time,
                                  each):
                    said[seed, call.part] = call.scores(choice)
            return said[:, variant]

        try:
            nulls = staged(ask, phantoms_each(seeds), gone, at_once)
        except (Exception, SystemExit) as error:  # as in score_all: a scorer's code may raise anything
            errors[choice.name] = f"null by phantoms: {in_one_line(error)}"
            continue
        for variant, null in enumerate(nulls):
            told[:, :, variant, position] = null.feature, null.phantoms.max(1), null.phantoms.mean(1)
            counts[position, variant], p[position, variant] = null.phantoms.shape[1], null.p
    nodes = Nodes.of([removable.named(name).columns for name in removed]).to(networks.device)
    chosen = networks.select(members)
    return {
        **dict(zip(NULLS, told.reshape(3, -1, len(choices)).astype(np.float32), strict=False)),
        "null_phantoms": counts, "null_p": p,
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
