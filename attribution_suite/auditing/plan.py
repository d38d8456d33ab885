"""From a spec to its chunks: what is known before anything runs, and what follows from the trained originals."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from attribution_suite.auditing.chunk import (
    Chunk,
    ExamineOriginals,
    LookInside,
    RemoveFeatures,
    TrainOriginals,
    TuneSham,
    finished,
)
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.rules import Rules
from attribution_suite.auditing.spec import Spec
from attribution_suite.auditing.store import Store
from attribution_suite.auditing.subject import Subject, fingerprint
from attribution_suite.auditing.work.train import record_every
from attribution_suite.datasets.preset import GENERIC
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import DECOY, TabularDataset
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.originals import architecture_of
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import inapplicable
from attribution_suite.scorers.choice import traits_of

# What a chunk removes: with five seeds 130 members, wide enough for the machine, small enough to resume.
FEATURES_AT_ONCE = 26


@dataclass(frozen=True)
class Plan:
    """What is known before anything runs: the chunks that train originals and those that look inside them."""

    originals: Sequence[TrainOriginals]
    looks: Sequence[LookInside]


def make_plan(spec: Spec, datasets: Collection[TabularDataset], given: Given | None, device: torch.device,
              say: Callable[[str], None]) -> Plan:
    """Checks all that can be checked. Raises InputError for what cannot be run.

    `datasets`: every one on each of its splits. A look inside is of the networks of the first one. `given`: the
    user's networks in the place of originals trained here; `say` is told what is left out, and why.
    """
    originals = [plan_originals(spec, dataset, given, device) for dataset in datasets]
    check_questions(spec.rules, datasets)
    for original, dataset in zip(originals, datasets, strict=True):
        named_nodes(spec, original.subject, dataset)
        check_scorers(original.subject, dataset)
    if spec.removals and not removals_for(spec, given):
        raise InputError(f"option 'removals': none of {', '.join(spec.removals)} can be done to the given networks: "
                         "name others, as fold or constant")
    looks = [] if spec.inside is None else [
        look for original, dataset in zip(originals, datasets, strict=True) if not dataset.split
        and (look := plan_look(original, dataset, spec.inside, say)) is not None]
    if spec.inside and not looks and not spec.removals:
        raise InputError("there is nothing to look into: name a data set whose network has hidden layers")
    return Plan(originals, looks)


def check_scorers(subject: Subject, dataset: TabularDataset) -> None:
    """Raises InputError where none applies, and for one that takes fewer features, or whose unit is not there."""
    if not subject.scorers:
        raise InputError(f"{', '.join(subject.asked)}: scores hidden units only: add layer 1, or other scorers")
    for name in subject.scorers:
        unit, most = traits_of(name).unit, traits_of(name).most_features
        architecture = architecture_for(subject, dataset)
        if unit is not None and (subject.given is None or subject.given.networks.refusal("layers") is None):
            Removable.units(architecture.tail(unit[0]).features, f"{name}: unit of {dataset.name} at layer {unit[0]}"
                            ).named(f"unit:{unit[1]}")
        if most is not None and (count := len(nodes_of(subject, dataset).groups)) > most:
            raise InputError(f"{name} takes at most {most} features, and {dataset.name} has {count}: leave it out, or "
                             "take captum:ShapleyValueSampling")


def check_questions(rules: Rules, datasets: Collection[TabularDataset]) -> None:
    """Raises InputError for a column to be given that a data set lacks, and for a class that none has."""
    for dataset in datasets:
        for name in rules.conditional_on:
            dataset.columns(name)
    classes = [name for dataset in datasets for name in dataset.classes]
    if rules.favourable is not None and rules.favourable not in classes:
        raise unknown_name("favourable class", rules.favourable, classes)


def plan_originals(spec: Spec, dataset: TabularDataset, given: Given | None, device: torch.device) -> TrainOriginals:
    """The chunk that trains a data set's originals; their weights are recorded where the run looks inside."""
    preset = dataset.preset if given is None else replace(
        GENERIC, name=dataset.preset.name, training=given.training)
    subject = Subject(dataset.name, fingerprint(dataset), preset, spec.profile, spec.scorers, spec.layer, device.type,
                      spec.rules, given, dataset.split, spec.reference, spec.baseline, spec.metrics)
    if spec.inside is None or given is not None or dataset.split:
        return TrainOriginals(subject)
    return TrainOriginals(subject, record_every(preset.training.epochs, spec.profile.seeds,
                                                architecture_of(dataset, preset)))


def plan_look(original: TrainOriginals, dataset: TabularDataset, layer: str,
              say: Callable[[str], None]) -> LookInside | None:
    """The chunk that looks into a hidden layer, 'all' or its number.

    None, and `say` is told why, for a network that has none or whose layers are not known. Raises InputError for a
    layer that the network does not have.
    """
    given, architecture = original.subject.given, architecture_for(original.subject, dataset)
    reason = None if given is None else given.networks.refusal("layers")
    if architecture.depth == 1 and reason is None:
        reason = "its network has no hidden units"
    if reason:
        say(f"{dataset.name}: no look inside: {reason}")
        return None
    hidden = range(1, architecture.depth)
    if layer != "all" and int(layer) not in hidden:
        raise InputError(f"layer {layer}: the network of {dataset.name} has hidden layers 1 to {hidden[-1]}")
    return LookInside(original, tuple(hidden) if layer == "all" else (int(layer),))


def plan_edits(spec: Spec, original: TrainOriginals, splits: Sequence[TrainOriginals], dataset: TabularDataset,
               store: Store) -> list[Chunk]:
    """The chunks that examine and edit one data set's originals, whose own chunk is finished.

    `splits`: the finished originals of all its splits, that one among them.
    """
    subject = original.subject
    if spec.top is None:
        names = named_nodes(spec, subject, dataset)
        features, ranks = [names] * len(subject.seeds), [0] * len(names)
    else:
        features = top_nodes(original, splits, dataset, store, spec.top)
        ranks = list(range(1, len(features[0]) + 1))
    if not spec.removals:
        return []
    pieces = [(tuple(names[start:start + FEATURES_AT_ONCE] for names in features),
               tuple(ranks[start:start + FEATURES_AT_ONCE])) for start in range(0, len(ranks), FEATURES_AT_ONCE)]
    removals = removals_for(spec, subject.given)
    # Piece by piece: what its chunks share (phantoms, neighbourhoods, proxies) is made once and still at hand.
    chunks: list[Chunk] = []
    for piece in pieces:
        chunks.append(ExamineOriginals(original, *piece))
        chunks += [RemoveFeatures(original, removal, *piece) for removal in removals]
    if any(REMOVALS.load(removal).traits.tuned for removal in removals):
        chunks.insert(1, TuneSham(original))
    return chunks


def removals_for(spec: Spec, given: Given | None) -> list[str]:
    """The removals of the spec that can be done to the networks."""
    left_out = {} if given is None else inapplicable(spec.removals, given.networks)
    return [removal for removal in spec.removals if removal not in left_out]


def named_nodes(spec: Spec, subject: Subject, dataset: TabularDataset) -> tuple[str, ...]:
    """What `remove` names for this data set, unless 'top:K': nodes, or sets of them ('sex+race').

    Of two sets of the same nodes the first. Raises InputError for a node that it does not have, and for the decoy.
    """
    removable = nodes_of(subject, dataset)
    names = [name for name in removable.groups if name != DECOY]
    if spec.profile.remove == ("default",) and spec.layer == 0 and dataset.default_removals:
        return dataset.default_removals
    if spec.top or spec.profile.remove in (("default",), ("all",)):
        return tuple(names)
    named: dict[frozenset[str], str] = {}
    for words in spec.profile.remove:
        for removed in removable.several(words) if isinstance(words, str) else [removable.together(words)]:
            if DECOY in removed.features:
                raise InputError(f"option 'remove': the {DECOY} is a column of noise that the audit adds: it stays")
            named.setdefault(frozenset(removed.features), removed.name)
    return tuple(named.values())


def nodes_of(subject: Subject, dataset: TabularDataset) -> Removable:
    """The features, or the units of the hidden layer that is audited. Raises InputError if there is no such layer."""
    if subject.layer == 0:
        return Removable.of(dataset)
    units = architecture_for(subject, dataset).tail(subject.layer).features
    return Removable.units(units, f"unit of {dataset.name} at layer {subject.layer}")


def architecture_for(subject: Subject, dataset: TabularDataset) -> Architecture:
    """The originals'."""
    return architecture_of(dataset, subject.preset) if subject.given is None else subject.given.networks.architecture


def top_nodes(original: TrainOriginals, splits: Sequence[TrainOriginals], dataset: TabularDataset, store: Store,
              count: int) -> list[tuple[str, ...]]:
    """The `count` nodes with the largest mean direct effect, the strongest first, `[seeds][count]`.

    Inputs are ranked by the mean over the networks of all `splits`, so that each loses the same; hidden units, which
    have no identity across networks, in each network on its own.
    """
    subject, effects = original.subject, finished(original, store).arrays["each_effect"]
    if subject.layer == 0:
        every = np.concatenate([finished(split, store).arrays["each_effect"] for split in splits])
        effects = np.broadcast_to(every.mean(0), effects.shape)
    names = list(nodes_of(subject, dataset).groups)
    ranking = np.argsort(-effects, axis=1, kind="stable")
    return [tuple(names[node] for node in order if names[node] != DECOY)[:count] for order in ranking]
