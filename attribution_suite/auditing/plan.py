"""From a spec to its chunks: what is known before anything runs, and what follows from the trained originals."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from attribution_suite.auditing.chunks import (
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
from attribution_suite.auditing.work.information import proxies_of
from attribution_suite.auditing.work.train import record_every, stored_originals
from attribution_suite.datasets.preset import GENERIC
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import DECOY, Split, TabularDataset
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.measures.information.targets import Target
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.originals import architecture_of
from attribution_suite.removals.proxy_residuals import ProxyResiduals
from attribution_suite.removals.removal import inapplicable, refused_columns, removal_traits, sham_of
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
        names = named_nodes(spec, original.subject, dataset)
        if spec.top is None and spec.removals:
            proxies_gone(spec, dataset, names)
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
        if unit is not None and (subject.given is None or subject.given.networks.refusal("units") is None):
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
    assert isinstance(spec.layer, int)  # a name has become a number where networks are given
    subject = Subject(dataset.name, fingerprint(dataset), preset, spec.profile, spec.scorers, spec.layer, device.type,
                      spec.rules, given, dataset.split, spec.reference, spec.baseline)
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
    reason = None if given is None or given.networks.refusal("units") is None else given.networks.refusal("layers")
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
               store: Store, say: Callable[[str], None]) -> list[Chunk]:
    """The chunks that examine and edit one data set's originals, whose own chunk is finished.

    `splits`: the finished originals of all its splits, that one among them; `say` is told of the features that a
    method does not apply to, which are left out for it.
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
    removals, gone = removals_for(spec, subject.given), proxies_gone(spec, dataset, features[0])
    for name, proxies in gone.items():
        what = "go its proxies" if spec.proxies == "drop" else "its proxies become residuals"
        say(f"{dataset.name}: with {name} {what}: {', '.join(proxies) or 'it has none'}")
    kept: dict[str, list[int]] = {}
    for removal in removals:
        refused = refusals(removal, original, dataset, features, gone, spec, store)
        for place, reason in refused.items():
            say(f"{dataset.name}: not applicable: {removal} to {called(features, place)}: {reason}")
        out = left_out(removal, features, subject, dataset)
        kept[removal] = [place for place, name in enumerate(features[0]) if place not in refused and name not in out]
    # Piece by piece: what its chunks share (phantoms, neighbourhoods, proxies) is made once and still at hand.
    # Proxies that become residuals make of each removed feature rows of its own: one a chunk.
    chunks: list[Chunk] = []
    residual, done = spec.proxies == "residualise", 0
    for piece in in_pieces(features, ranks):
        chunks.append(ExamineOriginals(original, *piece))
        for removal in removals:
            chunks += [RemoveFeatures(original, removal, *part, tuple(gone.get(name, ()) for name in part[0][0]),
                                      residual)
                       for part in in_pieces(*piece, [place - done for place in kept[removal] if place >= done],
                                             1 if residual else FEATURES_AT_ONCE)]
        done += len(piece[1])
    shams = [TuneSham(original, sham) for sham in dict.fromkeys(map(sham_of, removals)) if sham]
    return [*chunks[:1], *shams, *chunks[1:]]


def in_pieces(features: Sequence[tuple[str, ...]], ranks: Sequence[int], kept: Sequence[int] | None = None,
              most: int = FEATURES_AT_ONCE) -> list[tuple[tuple[tuple[str, ...], ...], tuple[int, ...]]]:
    """`features` `[seeds][variants]` and `ranks` `[variants]` in chunks' worths; only the places `kept`, if given."""
    places = [place for place in (range(len(ranks)) if kept is None else kept) if place < len(ranks)]
    return [(tuple(tuple(names[place] for place in part) for names in features), tuple(ranks[place] for place in part))
            for start in range(0, len(places), most) if (part := places[start:start + most])]


def proxies_gone(spec: Spec, dataset: TabularDataset, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The proxies that go with each of the features `names`, or become residuals: the ledger's, but for the decoy.

    Empty where proxies stay. Raises InputError where nothing would be left, and for an index that has no residual.
    """
    if spec.proxies == "keep":
        return {}
    removable, gone = Removable.of(dataset), {}
    for name in names:
        lost = removable.named(name)
        target = Target.of(dataset.test.inputs[:, list(lost.columns)].numpy())
        chosen = proxies_of(dataset, lost.columns, target, spec.rules).names
        gone[name] = tuple(proxy for proxy in chosen if proxy != DECOY)
        if spec.proxies == "drop":
            removable.together([*lost.features, *gone[name]])
        elif index := [each for each in (*lost.features, *gone[name]) if each in dataset.index_columns]:
            raise InputError(f"option 'proxies': {index[0]} holds an index, a category's number, which no regression "
                             "may read as an amount: name 'drop'")
    return gone


def refusals(removal: str, original: TrainOriginals, dataset: TabularDataset, features: Sequence[Sequence[str]],
             gone: Mapping[str, tuple[str, ...]], spec: Spec, store: Store) -> dict[int, str]:
    """Which of the variants `features` `[seeds][variants]` a method does not apply to, by their place, and why.

    With the proxies that go with each. Hidden units, which are each network's own, are asked of the activations of
    every original: one that a single network refuses is left out for all.
    """
    ask, subject, removable = removal_traits(removal).refusals, original.subject, nodes_of(original.subject, dataset)
    if subject.layer and removal_traits(removal).in_front:
        return dict.fromkeys(range(len(features[0])), "it puts a step in front of the network, not between its layers")
    if ask is None:
        return {}
    groups = [[removable.named(name).columns for name in names] for names in features]
    if subject.layer:
        networks = stored_originals(subject, dataset, finished(original, store).arrays, torch.device("cpu"))
        hidden = networks.activations(dataset.train.inputs)[subject.layer]
        reasons: dict[int, str] = {}
        for seed, rows, units in zip(subject.seeds, hidden, groups, strict=True):
            for place, reason in enumerate(ask(Split(rows, dataset.train.targets), dataset.task, units)):
                if reason is not None:
                    reasons.setdefault(place, f"in network {seed} {reason}")
        return reasons
    proxies = [[column for proxy in gone.get(name, ()) for column in dataset.columns(proxy)] for name in features[0]]
    if spec.proxies == "residualise":
        asked = [ask(ProxyResiduals.of(dataset, lost, others).dataset(dataset).train, dataset.task, [lost])[0]
                 for lost, others in zip(groups[0], proxies, strict=True)]
    else:
        asked = ask(dataset.train, dataset.task, [(*lost, *others) for lost, others in
                                                  zip(groups[0], proxies, strict=True)])
    return {place: reason for place, reason in enumerate(asked) if reason is not None}


def called(features: Sequence[Sequence[str]], place: int) -> str:
    """What a variant is called: hidden units that each network picked by their names in turn."""
    return " / ".join(dict.fromkeys(names[place] for names in features))


def left_out(removal: str, features: Sequence[Sequence[str]], subject: Subject, dataset: TabularDataset) -> set[str]:
    """The features that a removal cannot take out of given networks: columns of indices that it has no mean for."""
    if subject.given is None or subject.layer:
        return set()
    refused, removable = refused_columns([removal], subject.given.networks)[removal], Removable.of(dataset)
    return {name for names in features for name in names if refused.keys() & set(removable.named(name).columns)}


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
