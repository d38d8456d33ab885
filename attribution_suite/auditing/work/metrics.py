"""What is asked of explanations where a run asks for it: infidelity, sensitivity, and networks with random weights."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.score import check
from attribution_suite.errors import InputError, in_one_line
from attribution_suite.measures.agreement import rank_correlation
from attribution_suite.measures.explanations import infidelity, infidelity_normalised, sensitivity_max
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, membership
from attribution_suite.scorers.baselines import DISTRIBUTION
from attribution_suite.scorers.choice import Choice, baseline_of, traits_of

MEASURED = ("infidelity", "infidelity_normalised", "sensitivity_max")
METRICS = ("metrics", "metric_failures")  # the arrays of every chunk that measures explanations
RANDOMISED = ("randomised", "randomised_failures")  # beside them, of the originals
NETWORKS = 3  # of the first seeds
ROWS = 20  # of the rows to explain, the first
SUBSETS = 50  # of the features, for each row
COPIES = 10  # of each row: captum.metrics' own number
RADIUS = 0.1  # how far a copy's columns go, in their standard deviations
RANDOM_NETWORKS = 10  # at least so many are drawn, over the networks together
SEED = 11


@dataclass(frozen=True)
class Few:
    """The first `NETWORKS` seeds' networks (seed-major) on the first `ROWS` rows, and who is asked about them."""

    choices: Sequence[Choice]
    networks: Ensemble
    evaluation: Evaluation
    layer: int
    seeds: Sequence[int]
    measured: np.ndarray
    features: tuple[str, ...]

    @classmethod
    def of(cls, choices: Sequence[Choice], networks: Ensemble, evaluation: Evaluation, layer: int,
           seeds: Sequence[int], measured: np.ndarray) -> "Few":
        """`networks` are seed-major; `measured` bool `[scorers]`: which scorers gave numbers for them."""
        few = seeds[:NETWORKS]
        members = torch.arange(len(networks) // len(seeds) * len(few), device=networks.device)
        chosen, seen = networks.select(members), evaluation.for_members(members).with_rows(ROWS)
        return cls(choices, chosen, seen, layer, few, measured, seen.at_layer(chosen, layer).features)

    def attribution(self, choice: Choice, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """What a scorer says. Raises InputError as `check` does."""
        said = choice.attribute_seeds(networks, evaluation, self.layer, self.seeds)
        check(said, len(networks), self.features, 0 if said.values is None else said.values.shape[1])
        return said

    def local(self, choice: Choice, evaluation: Evaluation) -> Tensor | None:
        """φ of the networks, float64 `[members, rows, features]`; None of a scorer without a value for each row."""
        values = self.attribution(choice, self.networks, evaluation).values
        return None if values is None else values.double()


def explanation_metrics(choices: Sequence[Choice], networks: Ensemble, evaluation: Evaluation, layer: int,
                        seeds: Sequence[int], measured: np.ndarray) -> Arrays:
    """`metrics` `[members, scorers, measures]` in the order of `MEASURED`; `metric_failures`, as JSON, by scorer.

    NaN for networks beyond those of the first `NETWORKS` seeds, for scorers without a value for each row, and for those
    that read labels, which explain no network. Perturbations are the same for every scorer and network, before and
    after an edit; what a scorer draws is the same for a row and its copies.
    """
    few = Few.of(choices, networks, evaluation, layer, seeds, measured)
    subsets = drawn_subsets(few.evaluation.inputs.shape[-2], len(few.features))
    copies, moved_by = list(perturbed(few.evaluation)), {}
    values, errors = np.full((len(networks), len(choices), len(MEASURED)), np.nan), {}
    for position, choice in enumerate(choices):
        if not measured[position] or traits_of(choice.name).reads == "labels":
            continue
        try:
            local = few.local(choice, few.evaluation)
            if local is None:
                continue
            rows, kind = local.shape[1], baseline_of(choice.name, few.evaluation.baseline_kind)
            if (kind == DISTRIBUTION) not in moved_by:
                moved_by[kind == DISTRIBUTION] = mean_moved(few, kind, subsets)
            moves = moved_by[kind == DISTRIBUTION]
            said = torch.einsum("erk,rdk->erd", local, subsets[:rows].to(local))
            known = [infidelity(said, moves[:, :rows]), infidelity_normalised(said, moves[:, :rows])]
            again = [other for copy in copies if (other := few.local(choice, copy)) is not None]
            if again:
                known.append(sensitivity_max(local, torch.stack(again)))
            values[:len(local), position, :len(known)] = torch.stack(known, -1).numpy(force=True)
        except (Exception, SystemExit) as error:  # as in score_all: a scorer's code may raise anything
            errors[choice.name] = f"metrics: {in_one_line(error)}"
    return {"metrics": values, "metric_failures": np.frombuffer(json.dumps(errors).encode(), np.uint8)}


def drawn_subsets(rows: int, features: int) -> Tensor:
    """Which features each draw perturbs, `[rows, SUBSETS, features]` of 0 and 1, each with probability ½."""
    return torch.randint(2, (rows, SUBSETS, features), generator=torch.Generator().manual_seed(SEED))


def mean_moved(few: Few, kind: str, subsets: Tensor) -> Tensor:
    """`moved` by what a scorer compares a row with, the mean over the rows of a distribution."""
    compared = replace(few.evaluation, baseline_kind=DISTRIBUTION) if kind == DISTRIBUTION else few.evaluation
    each = [moved(few.networks, one, few.layer, subsets) for one in compared.each_baseline()]
    return torch.stack(each).mean(0)


def moved(networks: Ensemble, evaluation: Evaluation, layer: int, subsets: Tensor) -> Tensor:
    """f(x) − f(x with the features of each subset at the baseline), float64 `[members, rows, draws]`."""
    seen, tail = evaluation.at_layer(networks, layer), networks.tail(layer)
    inputs, rows = seen.inputs, seen.inputs.shape[-2]
    columns = (subsets @ membership(seen.groups, inputs.shape[-1]).T.to(subsets)).bool().to(inputs.device)
    baseline = seen.baseline[..., None, None, :]
    away = torch.where(columns, baseline, inputs[..., None, :]).flatten(-3, -2)
    outputs = torch.cat([tail.outputs(inputs), tail.outputs(away)], 1).double()
    if seen.explained is None:
        explained = outputs[..., 0]
    else:
        classes = torch.cat([seen.explained, seen.explained.repeat_interleave(subsets.shape[1], 1)], 1)
        explained = outputs.gather(2, classes[..., None])[..., 0]
    moves: Tensor = explained[:, :rows, None] - explained[:, rows:].unflatten(1, (rows, -1))
    return moves


def perturbed(evaluation: Evaluation) -> Iterator[Evaluation]:
    """The evaluation `COPIES` times, each column x of the inputs at x + U(−1, 1) · RADIUS · its standard deviation.

    Over the background rows. Columns of at most two values or of whole numbers alone (categories, indices, counts) stay
    as they are, for between their values there are none; no copies where all are.
    """
    rows, inputs = evaluation.background, evaluation.inputs
    few = torch.tensor([len(column.unique()) <= 2 or bool((column == column.round()).all()) for column in rows.T])
    radius = (RADIUS * rows.std(0)).masked_fill(few.to(rows.device), 0.0)
    if not radius.any():
        return
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(COPIES):
        noise = 2 * torch.rand(inputs.shape, generator=generator) - 1
        yield replace(evaluation, inputs=inputs + noise.to(inputs) * radius)


def randomised(choices: Sequence[Choice], networks: Ensemble, evaluation: Evaluation, layer: int,
               seeds: Sequence[int], measured: np.ndarray) -> Arrays:
    """`randomised` `[networks, draws, stages, scorers]`: rank correlation of scores, of random weights and trained.

    Spearman's over the features' mean magnitudes. Stage s has the last s + 1 of the Linears that follow `layer` at new
    initial values, the last stage all of them; of a module, whose layers are not known, there is that one stage. NaN
    for a scorer that was not measured or failed (`randomised_failures`, as JSON, by scorer); no stage where networks
    cannot be initialised (an estimator). The originals repeat for every draw, so that a scorer that looks at nothing
    says the same of both.
    """
    few = Few.of(choices, networks, evaluation, layer, seeds, measured)
    each = ceil(RANDOM_NETWORKS / len(few.networks))
    members = torch.arange(len(few.networks), device=networks.device).repeat_interleave(each)
    trained, seen = few.networks.select(members), few.evaluation.for_members(members)
    try:  # seeds that no original was initialised with
        fresh = trained.fresh([1_000_003 * (1 + seed) + draw for seed in few.seeds for draw in range(each)])
        stages = [trained.with_tail(fresh.tail(first))
                  for first in range(trained.architecture.depth - 1, layer - 1, -1)]
    except InputError:
        stages = []
    values, errors = np.full((len(trained), len(stages), len(choices)), np.nan), {}
    for position, choice in enumerate(choices):
        if not measured[position] or not stages:
            continue
        try:
            before = few.attribution(choice, trained, seen).scores
            after = torch.stack([few.attribution(choice, stage, seen).scores for stage in stages], 1)
            values[:, :, position] = rank_correlation(before[:, None], after).numpy(force=True)
        except (Exception, SystemExit) as error:
            errors[choice.name] = f"random weights: {in_one_line(error)}"
    return {"randomised": values.reshape(len(few.networks), each, len(stages), len(choices)),
            "randomised_failures": np.frombuffer(json.dumps(errors).encode(), np.uint8)}
