"""What a chunk does with the features that go: it asks the originals about them, or removes them and asks again."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.direct import WORST_CASE, absolute_delta, gone, worst_cases
from attribution_suite.auditing.work.information import INFORMATION, information, nothing_asked
from attribution_suite.auditing.work.metrics import explanation_metrics
from attribution_suite.auditing.work.nulls import NULLS, null_scores
from attribution_suite.auditing.work.outcomes import MOVES, OUTCOMES, measure, moves, require_measured
from attribution_suite.auditing.work.partial_dependence import PARTIAL_DEPENDENCE, dependence_curves
from attribution_suite.auditing.work.performance import performed
from attribution_suite.auditing.work.score import SCORED, score_all, with_replaced_background
from attribution_suite.auditing.work.train import (
    CURVES,
    curves,
    evaluation_of,
    networks_of,
    stored_originals,
    weights,
)
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.measures.information.linear import dependence
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import FRONTIER, Trained
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.proxy_residuals import ProxyResiduals
from attribution_suite.removals.removal import Removal, RemovalTraits, Setting, carried_out, removal_traits
from attribution_suite.scorers.attribution import Evaluation

Features = tuple[tuple[str, ...], ...]
EXAMINED = (*MOVES, *NULLS, WORST_CASE, *INFORMATION, PARTIAL_DEPENDENCE)
EDITED = (*SCORED, *CURVES, *OUTCOMES, *NULLS, WORST_CASE, *INFORMATION, PARTIAL_DEPENDENCE, "performance", "confusion",
          "dependence", "goal", "frontier")
DEPENDENCE_ROWS = 5000


@dataclass(frozen=True)
class Case:
    """What both begin with. Member e is a copy of `before`'s, an original, that is about to lose `nodes.index[e]`.

    `seen`: the rows to explain; `test`: all test rows; `delta` `[members]`: the moves of f that matter.
    """

    before: Ensemble
    nodes: Nodes
    seen: Evaluation
    setting: Setting
    test: Split
    delta: Tensor

    @classmethod
    def of(cls, subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays,
           features: Features) -> "Case":
        """`originals`: the arrays of the chunk that trained them; `features` `[seeds][variants]`: what each loses."""
        original = stored_originals(subject, dataset, originals, device)
        evaluation = evaluation_of(subject, dataset, original)
        removable = Removable(evaluation.at_layer(original, subject.layer).groups)
        members = torch.arange(len(original), device=device).repeat_interleave(len(features[0]))
        test = dataset.test.to(device)
        return cls(
            original.select(members),
            Nodes.of([removable.named(name).columns for names in features for name in names]).to(device),
            evaluation.for_members(members),
            Setting.of(dataset, original, subject.layer, subject.seeds, subject.preset.training, subject.tuning,
                       None if subject.given is None else subject.given.refit),
            test, absolute_delta(subject.rules, original, test)[members])


def examine_originals(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays,
                      features: Features) -> Arrays:
    """How far moving each feature that goes moves the originals' outputs, and what scorers say of its phantoms."""
    case = Case.of(subject, dataset, device, originals, features)
    rows = case.seen.at_layer(case.before, subject.layer)
    arrays = moves(case.before.tail(subject.layer), case.nodes, rows)
    require_measured(arrays, ("direct_effect", "direct_effect_max"))
    members = np.arange(len(case.before)).reshape(len(features), -1)
    members = np.broadcast_to(members[:, :1], members.shape)  # one copy of an original is asked for all its features
    arrays |= worst_cases(case.before, case.nodes, case.seen, case.setting, dataset, subject.layer, case.delta)
    arrays |= null_scores(subject.choices, originals["mean_abs"], case.before, case.seen, subject.layer, features,
                          members, gone(arrays, len(features)))
    arrays |= dependence_curves(case.before, features, case.seen, subject.layer, dataset)
    return arrays | told(subject, case.before, case.nodes, dataset, originals=True)


def remove_features(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays, removal: str,
                    features: Features, proxies: Features, residual: bool) -> Arrays:
    """Removes each of `features` `[seeds][variants]` from its original by one method; scores and measures the result.

    `originals`: the arrays of the chunk that trained the originals. `proxies` `[variants]`: the inputs that go with
    each feature, or, where they are `residual` (of one variant), stay less their regression on it: the removal is that
    of the feature from networks of such rows. What is measured is the feature.
    """
    case = Case.of(subject, dataset, device, originals, features)
    method, taken, setting, seen, residuals = undertaken(subject, dataset, device, originals, case, removal, features,
                                                         proxies, residual)
    trained, after = edited(case, method, taken, setting, residuals, subject.layer)
    good = performed(after, dataset, case.seen)  # first of all: it refuses outputs that are not finite
    labels = refitted(subject, seen, taken, method)
    arrays = score_all(subject.choices, after, case.seen, subject.layer, labels, subject.profile.lime_rows,
                       subject.seeds, subject.reference, removal)
    members = np.arange(len(after)).reshape(len(features), -1)
    arrays |= worst_cases(after, case.nodes, case.seen, case.setting, dataset, subject.layer, case.delta)
    arrays |= null_scores(subject.choices, arrays["mean_abs"], after, case.seen, subject.layer, features, members,
                          gone(arrays, len(features)))
    arrays |= good | curves(trained) | measure(case.before, after, case.nodes, case.seen, case.setting, case.test,
                                               subject.layer, method.replacement())
    arrays["dependence"] = feature_dependence(case, subject.layer)
    frontier = trained.frontier or dict.fromkeys(FRONTIER, torch.empty(len(after), 0))
    arrays["frontier"] = np.stack([frontier[name].numpy(force=True) for name in FRONTIER]).astype(np.float64)
    arrays["goal"] = np.zeros(len(after), np.int64) if trained.goal is None else trained.goal.numpy(force=True)
    arrays |= dependence_curves(after, features, case.seen, subject.layer, dataset)
    return arrays | told(subject, after, case.nodes, dataset) | weights(after)


def edits_scored(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays, stored: Arrays,
                 removal: str, features: Features, proxies: Features, residual: bool) -> Arrays:
    """What scorers say of the edited networks in a finished chunk, `stored`, and how good they are, asked again."""
    case = Case.of(subject, dataset, device, originals, features)
    method, taken, _, seen, _ = undertaken(subject, dataset, device, originals, case, removal, features, proxies,
                                           residual)
    after = networks_of(stored, case.before.architecture).to(device)
    labels = refitted(subject, seen, taken, method)
    return performed(after, dataset, case.seen) | score_all(
        subject.choices, after, case.seen, subject.layer, labels, subject.profile.lime_rows, subject.seeds)


def explain_edits(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays, stored: Arrays,
                  removal: str, features: Features, proxies: Features, residual: bool) -> Arrays:
    """How true and steady explanations of the edited networks in a finished chunk, `stored`, are.

    What is no stacked weights is not kept: it is edited again, as it was.
    """
    case = Case.of(subject, dataset, device, originals, features)
    if isinstance(case.before, Perceptrons) and not removal_traits(removal).in_front:
        after: Ensemble = networks_of(stored, case.before.architecture).to(device)
    else:
        method, taken, setting, _, residuals = undertaken(subject, dataset, device, originals, case, removal, features,
                                                          proxies, residual)
        after = edited(case, method, taken, setting, residuals, subject.layer)[1]
    return explanation_metrics(subject.choices, after, case.seen, subject.layer, subject.seeds, stored["measured"])


def edited(case: Case, method: Removal, taken: Nodes, setting: Setting, residuals: ProxyResiduals | None,
           layer: int) -> tuple[Trained, Ensemble]:
    """What a method made of the networks above the layer, and the whole edited networks."""
    trained = carried_out(method, case.before.tail(layer), taken, setting)
    after = trained.networks if method.traits.in_front else case.before.with_tail(trained.networks)
    return trained, after if residuals is None else residuals.folded(after)


def undertaken(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays, case: Case,
               removal: str, features: Features, proxies: Features, residual: bool
               ) -> tuple[Removal, Nodes, Setting, Evaluation, ProxyResiduals | None]:
    """The method, the columns that it takes out, on which rows it trains and explains, and what proxies are less."""
    lost = [tuple(dict.fromkeys(group)) for group in case.nodes.index.tolist()]
    with_each = [[column for name in names for column in dataset.columns(name)] for names in proxies * len(features)]
    taken, setting, seen = case.nodes, case.setting, case.seen
    residuals = ProxyResiduals.of(dataset, lost[0], with_each[0]) if residual and with_each[0] else None
    if residuals is not None:
        mapped = Case.of(subject, residuals.dataset(dataset), device, originals, features)
        setting, seen = mapped.setting, replace(mapped.seen, explained=case.seen.explained)
    elif any(proxies) and not residual:
        taken = Nodes.of([(*group, *others) for group, others in zip(lost, with_each, strict=True)]).to(device)
    return REMOVALS.make(removal, **published_options(subject, removal)), taken, setting, seen, residuals


def told(subject: Subject, networks: Ensemble, nodes: Nodes, dataset: TabularDataset,
         originals: bool = False) -> Arrays:
    """What the networks tell of the inputs that go; of hidden units nothing is asked here."""
    if subject.layer:
        return nothing_asked()
    return information(networks, nodes, dataset, subject.rules, originals)


def feature_dependence(case: Case, layer: int) -> np.ndarray:
    """R² of every feature on all that the member loses, on training rows, `[members, features]`.

    Units have no identity across networks: theirs is each network's own.
    """
    inputs = case.setting.train.inputs[..., :DEPENDENCE_ROWS, :].numpy(force=True)
    lost = [tuple(dict.fromkeys(index)) for index in case.nodes.index.tolist()]
    if layer == 0:
        columns = list(dict.fromkeys(lost))
        on = dependence(inputs, case.seen.groups, columns)
        return np.stack([on[:, columns.index(each)] for each in lost])
    variants = len(lost) // len(inputs)
    units = Removable.units(inputs.shape[2]).groups
    return np.concatenate([dependence(rows, units, lost[seed * variants:(seed + 1) * variants]).T
                           for seed, rows in enumerate(inputs)])


def refitted(subject: Subject, seen: Evaluation, nodes: Nodes, method: Removal) -> Evaluation | None:
    """What baselines that read the labels are fitted to again; None where the method edits weights, not data."""
    replacement = method.replacement()
    if replacement is None or subject.layer:
        return None
    variants = Nodes(nodes.index[:len(nodes) // len(subject.seeds)])  # inputs: every seed loses the same
    return with_replaced_background(seen, variants, replacement, subject.seeds[0], subject.preset.training.batch_size)


def published_options(subject: Subject, removal: str) -> dict[str, Any]:
    """Under the published preset, the options that make a method what was published."""
    traits: RemovalTraits = REMOVALS.load(removal).traits
    return dict(traits.published) if subject.preset.name == "published" else {}
