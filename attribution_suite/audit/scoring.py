"""Every scorer on one ensemble, as dense arrays."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attribution_suite.audit.store import Arrays
from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Attribution, Evaluation


@dataclass(frozen=True)
class Choice:
    """A scorer of the catalogue with its options; `rows` limits what it explains (LIME is costly)."""

    name: str
    options: Mapping[str, Any]
    rows: int | None = None


def attribute(choice: Choice, networks: Ensemble, evaluation: Evaluation, layer: int = 0) -> Attribution:
    """One scorer at a layer: through the tail, or on the whole network for what needs the layers below."""
    kind = SCORERS.load(choice.name)
    limited = evaluation if choice.rows is None else evaluation.with_rows(choice.rows)
    if getattr(kind, "whole_network", False):
        return kind(**choice.options, layer=layer).attribute(networks, limited)
    return kind(**choice.options).attribute(networks.tail(layer), limited.at_layer(networks, layer))


def inapplicable(names: Sequence[str], networks: Ensemble) -> dict[str, str]:
    """Which scorers cannot be asked of these networks, and why, in one line each."""
    reasons = {name: networks.refusal(SCORERS.load(name).reads) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def scorers_at(names: Sequence[str], layer: int) -> list[str]:
    """Those of `names` that apply at a layer: conductance scores hidden units only."""
    return [name for name in names if layer > 0 or not getattr(SCORERS.load(name), "whole_network", False)]


def score_all(choices: Sequence[Choice], networks: Ensemble, evaluation: Evaluation, layer: int,
              labels: Evaluation | None) -> Arrays:
    """`share`, `mean_abs`, `signed` `[members, scorers, features]`; `gap`, `fidelity` `[members, scorers]`; seconds.

    `labels`: what baselines are fitted to; None if they do not apply. What does not apply, nor reads what these
    networks have, stays NaN with `applicable` False.
    """
    features = len(evaluation.at_layer(networks, layer).groups) if layer else len(evaluation.groups)
    shape = (len(networks), len(choices), features)
    arrays: Arrays = {name: np.full(shape, np.nan, np.float32) for name in ("share", "mean_abs", "signed")}
    arrays |= {name: np.full(shape[:2], np.nan, np.float32) for name in ("gap", "fidelity")}
    arrays["scorer_seconds"], arrays["applicable"] = np.zeros(len(choices)), np.ones(len(choices), bool)
    for position, choice in enumerate(choices):
        started = time.perf_counter()
        kind = SCORERS.load(choice.name)
        given = labels if kind.reads == "labels" else evaluation
        if given is None or networks.refusal(kind.reads):
            arrays["applicable"][position] = False
            continue
        attribution = attribute(choice, networks, given, layer)
        for name, values in (("share", attribution.shares), ("mean_abs", attribution.scores),
                             ("signed", attribution.signed), ("gap", attribution.completeness_gap),
                             ("fidelity", attribution.details.get("fidelity"))):
            if values is not None:
                arrays[name][:, position] = values.numpy(force=True)
        arrays["scorer_seconds"][position] = time.perf_counter() - started
    return arrays


def with_replaced_background(evaluation: Evaluation, nodes: Nodes, replacement: Replacement, seeds: Sequence[int],
                             batch_size: int) -> Evaluation:
    """The evaluation whose background lost the nodes of each variant, drawn anew for each seed: baselines refit on it.

    `[seeds × variants, rows, features]`; only `[variants, …]` where all seeds see the same (a column of zeros): members
    then share a fit.
    """
    columns, place = nodes.index.unique(return_inverse=True)
    table, drawn = evaluation.background, []
    for seed in seeds:
        generator = torch.Generator().manual_seed(1_000_003 * seed + 21)
        drawn.append(replacement(Block(table[:, columns], table[:, columns], table, columns, batch_size, generator)))
    if all(torch.equal(other, drawn[0]) for other in drawn):
        drawn = drawn[:1]
    return replace(evaluation, background=torch.stack([
        table.index_copy(1, *_own(index, replaced, where))
        for replaced in drawn for index, where in zip(nodes.index, place, strict=True)]))


def _own(index: Tensor, replaced: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    unique = torch.unique(index)
    first = torch.stack([(index == column).nonzero()[0, 0] for column in unique])
    return unique, replaced[:, place[first]]
