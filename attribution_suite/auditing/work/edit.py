"""The work of a chunk that removes features: the edited networks' scores, losses and effects."""

from typing import Any

import torch

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.outcomes import OUTCOMES, measure
from attribution_suite.auditing.work.score import SCORED, score_all, with_replaced_background
from attribution_suite.auditing.work.train import CURVES, curves, evaluation_of, stored_originals
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.gate import finite_outputs
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Removal, RemovalTraits, Setting
from attribution_suite.scorers.attribution import Evaluation

EDITED = (*SCORED, *CURVES, *OUTCOMES)


def remove_features(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays, removal: str,
                    features: tuple[tuple[str, ...], ...]) -> Arrays:
    """Removes each of `features` `[seeds][variants]` from its original by one method; scores and measures the result.

    `originals`: the arrays of the chunk that trained the originals.
    """
    original = stored_originals(subject, dataset, originals, device)
    evaluation = evaluation_of(subject, dataset, original)
    groups = evaluation.at_layer(original, subject.layer).groups
    nodes = Nodes.of([groups[name] for names in features for name in names]).to(device)
    members = torch.arange(len(original), device=device).repeat_interleave(len(features[0]))
    setting = Setting.of(dataset, original, subject.layer, subject.seeds, subject.preset.training, subject.tuning)
    method: Removal = REMOVALS.load(removal)(**published_options(subject, removal))
    before = original.select(members)
    trained = method.remove(before.tail(subject.layer), nodes, setting)
    after = before.with_tail(trained.networks)
    seen = evaluation.for_members(members)
    finite_outputs(after, seen.background, "training")
    labels = refitted(subject, seen, nodes, method)
    arrays = score_all(subject.choices, after, seen, subject.layer, labels, subject.profile.lime_rows)
    return arrays | curves(trained) | measure(before, after, nodes, seen, setting, dataset.test.to(device),
                                              subject.layer, method.replacement())


def refitted(subject: Subject, seen: Evaluation, nodes: Nodes, method: Removal) -> Evaluation | None:
    """What baselines that read the labels are fitted to again; None where the method edits weights, not data."""
    replacement = method.replacement()
    if replacement is None or subject.layer:
        return None
    variants = Nodes(nodes.index[:len(nodes) // len(subject.seeds)])  # inputs: every seed loses the same
    return with_replaced_background(seen, variants, replacement, subject.seeds, subject.preset.training.batch_size)


def published_options(subject: Subject, removal: str) -> dict[str, Any]:
    """Under the published preset, the options that make a method what was published."""
    traits: RemovalTraits = REMOVALS.load(removal).traits
    return dict(traits.published) if subject.preset.name == "published" else {}
