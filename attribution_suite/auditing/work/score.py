"""Every scorer on one ensemble, as dense arrays; one that fails costs its own rows and no other's."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.checks import Checks
from attribution_suite.errors import InputError, in_one_line
from attribution_suite.measures.agreement import METRICS, READINGS, agreement_matrix
from attribution_suite.networks.backward import ReplacedColumns
from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.scorers.attribution import Attribution, Evaluation
from attribution_suite.scorers.choice import Choice, traits_of

# What `score_all` returns, besides the failures.
SCORED = ("share", "mean_abs", "signed", "gap", "fidelity", "scorer_seconds", "applicable", "measured", "agreement",
          "failures", "checks")
TOP = 5  # the features that agreement compares, at most half of them
MEMBERS_AT_ONCE = 25  # whose rows agreement compares at once: bounds memory


@dataclass
class Scores:
    """What is filled in, scorer by scorer: `share`, `mean_abs`, `signed` `[members, scorers, features]` and more.

    `local`: the φ `[members, rows, features]` of the rows that every scorer explains, by the scorer's position.
    """

    arrays: Arrays
    local: dict[int, Tensor] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, members: int, scorers: int, features: int) -> "Scores":
        """Nothing measured yet: NaN."""
        shape = (members, scorers, features)
        arrays: Arrays = {name: np.full(shape, np.nan, np.float32) for name in ("share", "mean_abs", "signed")}
        arrays |= {name: np.full(shape[:2], np.nan, np.float32) for name in ("gap", "fidelity")}
        arrays |= {"scorer_seconds": np.zeros(scorers), "applicable": np.ones(scorers, bool),
                   "measured": np.zeros(scorers, bool)}
        return cls(arrays)

    def put(self, position: int, attribution: Attribution, rows: int) -> None:
        """Keeps what one scorer says, of local values those of the first `rows` rows."""
        for name, values in (("share", attribution.shares), ("mean_abs", attribution.scores),
                             ("signed", attribution.signed), ("gap", attribution.completeness_gap),
                             ("fidelity", attribution.details.get("fidelity"))):
            if values is not None:
                self.arrays[name][:, position] = values.numpy(force=True)
        if attribution.values is not None:
            self.local[position] = attribution.values[:, :rows].float().cpu()
        self.arrays["measured"][position] = True

    def fail(self, position: int, scorer: str, error: BaseException) -> None:
        """Keeps why a scorer has no values, and nothing of what it said before that showed."""
        for name in ("share", "mean_abs", "signed", "gap", "fidelity"):
            self.arrays[name][:, position] = np.nan
        self.local.pop(position, None)
        self.failures[scorer] = in_one_line(error)


def score_all(choices: Sequence[Choice], networks: Ensemble, evaluation: Evaluation, layer: int,
              labels: Evaluation | None, rows: int, seeds: Sequence[int], reference: str = "off",
              chance: str = "") -> Arrays:
    """`share`, `mean_abs`, `signed` `[members, scorers, features]`; `gap`, `fidelity` `[members, scorers]`; seconds.

    `labels`: what baselines are fitted to; None if they do not apply. What does not apply, because of that or because
    the networks lack what it reads, stays NaN with `applicable` False. A scorer that fails stays NaN with `measured`
    False, and its error is among the `failures`, as JSON. `rows`: how many rows the row reading of agreement compares.
    `seeds`: those of the networks, which are seed-major. `reference`: unless 'off', every scorer that has a reference
    is held against it, on rows and networks of which some are drawn by `chance`, and one that differs fails; the
    `checks`, as JSON, say how far apart they are.
    """
    features = evaluation.at_layer(networks, layer).features
    scores = Scores.empty(len(networks), len(choices), len(features))
    compared = min(rows, evaluation.inputs.shape[-2])
    checks = Checks(networks, evaluation, layer, seeds, chance)
    for position, choice in enumerate(choices):
        started = time.perf_counter()
        reads = traits_of(choice.name).reads
        seen = labels if reads == "labels" else evaluation
        if seen is None or networks.refusal(reads):
            scores.arrays["applicable"][position] = False
            continue
        try:
            attribution = choice.attribute_seeds(networks, seen, layer, seeds)
            check(attribution, len(networks), features, compared)
            scores.arrays["scorer_seconds"][position] = time.perf_counter() - started
            if reference != "off":
                checks.hold(choice, attribution, seen)
            scores.put(position, attribution, compared)
        except (Exception, SystemExit) as error:  # a plug-in's code may raise anything: it costs its own rows
            scores.fail(position, choice.name, error)
    failed = np.frombuffer(json.dumps(scores.failures).encode(), np.uint8)
    return {**scores.arrays, "agreement": agreement(scores), "failures": failed, "checks": checks.packed()}


def check(attribution: Attribution, members: int, features: Sequence[str], rows: int) -> None:
    """The gate for what scorers return.

    Raises InputError unless the scores are one finite magnitude ≥ 0 a member and feature, in single precision, and the
    signed means and the local values of the first `rows` rows are finite numbers that fit them.
    """
    scores, signed, values = attribution.scores, attribution.signed, attribution.values
    if tuple(attribution.features) != tuple(features):
        raise InputError(f"its features are {list(attribution.features)[:5]}, not {list(features)[:5]}, in this order")
    if tuple(scores.shape) != (members, len(features)):
        raise InputError(f"its scores are {list(scores.shape)}, not [{members} networks, {len(features)} features]")
    if not scores.is_floating_point():
        raise InputError(f"its scores are {scores.dtype}, not floating-point numbers")
    finite = torch.isfinite(scores.float())
    if not bool(finite.all()):
        member, feature = (~finite).nonzero()[0].tolist()
        raise InputError(f"its score of {features[feature]} in network {member} is {float(scores[member, feature])}")
    if bool((scores < 0).any()):
        raise InputError("its scores are magnitudes, and some are below zero: give the sign in `signed`")
    if signed is not None and (signed.shape != scores.shape or not bool(torch.isfinite(signed.float()).all())):
        raise InputError(f"its signed means are not finite numbers of the shape {list(scores.shape)}")
    if values is None:
        return
    if values.dim() != 3 or (len(values), values.shape[2]) != scores.shape or values.shape[1] < rows:
        raise InputError(f"its local values are {list(values.shape)}, not [{members} networks, at least {rows} rows, "
                         f"{len(features)} features]")
    if not bool(torch.isfinite(values[:, :rows].float()).all()):
        raise InputError("its local values are not all finite")


def agreement(scores: Scores) -> np.ndarray:
    """`[readings, metrics, scorers, scorers, members]` in the order of `READINGS`; NaN where a reading has no value.

    'row': of the local φ of each row, then averaged over the rows (Krishna et al. 2022). 'global': of the magnitudes
    mean_i abs(φ_ik), each with the sign of its signed mean. Never of abs(mean_i φ_ik): signed means cancel.
    """
    arrays = scores.arrays
    members, scorers, features = arrays["mean_abs"].shape
    k = max(1, min(TOP, features // 2))
    agreements = np.full((len(READINGS), len(METRICS), scorers, scorers, members), np.nan, np.float32)
    measured = arrays["measured"].nonzero()[0]
    if len(measured):
        signed = np.isfinite(arrays["signed"][:, measured]).all((0, 2))
        sign = np.where(np.nan_to_num(arrays["signed"]) < 0, -1, 1)
        magnitudes = torch.from_numpy((arrays["mean_abs"] * sign)[:, measured].transpose(1, 0, 2))
        pairs = agreement_matrix(magnitudes, k, torch.from_numpy(signed))
        agreements[READINGS.index("global"), :, measured[:, None], measured] = pairs.numpy().transpose(1, 2, 0, 3)
    if scores.local:
        rowwise, local = np.array(list(scores.local)), torch.stack(list(scores.local.values()))
        pairs = torch.cat([agreement_matrix(piece, k).mean(-1) for piece in local.split(MEMBERS_AT_ONCE, 1)], -1)
        agreements[READINGS.index("row"), :, rowwise[:, None], rowwise] = pairs.numpy().transpose(1, 2, 0, 3)
    return agreements


def with_replaced_background(evaluation: Evaluation, nodes: Nodes, replacement: Replacement, seed: int,
                             batch_size: int) -> Evaluation:
    """The evaluation whose background lost the nodes of each variant, `[variants, rows, features]`: baselines refit.

    What is put in their place is drawn once, by one seed, and all seeds share it: a baseline knows no network, so that
    it is fitted once a variant as it is once to the table that has the column.
    """
    replaced, table = ReplacedColumns.of(nodes, 1), evaluation.background
    native, groups = table[:, replaced.columns], replaced.groups[0]
    generator = torch.Generator().manual_seed(1_000_003 * seed + 21)
    drawn = replacement(Block(native, native, table, table, replaced.columns, groups, batch_size, seed, generator))
    return replace(evaluation, background=torch.stack([
        table.index_copy(1, index[unrepeated], drawn[:, group[unrepeated]])
        for index, group, unrepeated in zip(nodes.index, groups, ~nodes.repeats, strict=True)]))
