"""Holds the scores of a chunk against their references: the packages' own calls, on a few rows and networks."""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.alone import Alone, reference_numbers, reference_package
from attribution_suite.scorers.attribution import Attribution, Evaluation, Scorer
from attribution_suite.scorers.choice import Choice

TOLERANCE = 1e-4  # of the row's largest |φ|: two ways to the same sum in single precision differ by 1e-6 or less
KINK = 1e-5  # by how much weights are moved to see whether a row lies at a kink
NOTHING = 1e-10  # of the largest output: a row whose values are all below it is held to it, for rounding has no size
GLOBAL_ROWS = 128  # of a method without local values, both ways: two batches of 64


@dataclass(frozen=True)
class Check:
    """One scorer of one chunk: a row of the table `checks`, but for its keys."""

    scorer: str
    package: str
    version: str
    networks: int = 0
    rows: int = 0
    passed_over: int = 0
    largest_diff: float = float("nan")
    tolerance: float = TOLERANCE
    passed: bool = False
    note: str = ""


@dataclass
class Checks:
    """Those of one chunk, scorer by scorer. `networks` are seed-major, `seeds` theirs; `chance` seeds what is drawn."""

    networks: Ensemble
    evaluation: Evaluation
    layer: int
    seeds: Sequence[int]
    chance: str = ""
    done: list[Check] = field(default_factory=list)
    _alone: dict[tuple[int, int], Alone] = field(default_factory=dict)

    def hold(self, choice: Choice, attribution: Attribution, seen: Evaluation) -> None:
        """Compares what a scorer said of the networks with its reference.

        `seen`: what it was given. Raises InputError where the difference is past the tolerance. What cannot be compared
        is noted as not checked.
        """
        scorer = choice.scorer(self.layer)
        if scorer.traits.reference is None:
            return
        check = Check(choice.name, *reference_package(scorer))
        if choice.by_reference:
            rows = seen.inputs.shape[-2] if attribution.values is None else attribution.values.shape[1]
            self.done.append(replace(check, networks=len(self.networks), rows=rows, largest_diff=0.0, passed=True,
                                     note=f"computed by {check.package} itself"))
            return
        try:
            check = self._compared(check, choice, scorer, attribution, seen)
        except (Exception, SystemExit) as error:  # another package's code may raise anything
            check = replace(check, note=f"not checked: {type(error).__name__}: {error}".splitlines()[0])
        self.done.append(check)
        if check.largest_diff > check.tolerance:
            raise InputError(f"its numbers are not those of {check.package} {check.version}: they differ by "
                             f"{check.largest_diff:.1e} of a row's largest magnitude, {check.tolerance:.0e} is allowed")

    def _compared(self, check: Check, choice: Choice, scorer: Scorer, attribution: Attribution,
                  seen: Evaluation) -> Check:
        # What explains few rows is costly: one of them. What reads labels says the same of all networks: one of these.
        costly, differences = scorer.traits.rows is not None, []
        members = self._few(len(self.networks), only=costly or scorer.traits.reads == "labels")
        for number, member in enumerate(members):
            alone = self._seen_alone(choice, scorer, member, seen)
            if attribution.values is None:
                strongest, places = int(attribution.scores[member].argmax()), self._few(len(seen.groups))
                alone = replace(alone, evaluation=part_of(alone.evaluation, strongest, places[number % len(places)]))
                rows = list(range(len(alone.evaluation.inputs)))
                fast = readings(scorer.attribute(alone.ensemble, alone.evaluation))
            else:
                rows = self._few(attribution.values.shape[1], only=costly)
                fast = attribution.values[member, rows]
            check = replace(check, networks=len(members), rows=len(rows))
            differences.append(difference(scorer, alone, rows, fast))
        every = torch.cat(differences)
        compared = every[~every.isnan()]
        check = replace(check, passed_over=len(every) - len(compared))
        if not len(compared):
            return replace(check, note="not checked: every row lies at a kink, or has no finite reference")
        largest = float(compared.max())
        return replace(check, largest_diff=largest, passed=largest <= TOLERANCE)

    def _seen_alone(self, choice: Choice, scorer: Scorer, member: int, seen: Evaluation) -> Alone:
        """A member by itself, with its seed's draws."""
        layer = 0 if scorer.traits.below else self.layer
        if seen is not self.evaluation:
            alone = Alone.of(self.networks, seen, member, layer)
        elif (member, layer) in self._alone:
            alone = self._alone[member, layer]
        else:
            alone = self._alone[member, layer] = Alone.of(self.networks, seen, member, layer)
        evaluation = alone.evaluation if choice.rows is None else alone.evaluation.with_rows(choice.rows)
        if scorer.traits.draws_of(seen):
            evaluation = replace(evaluation, seed=self.seeds[member * len(self.seeds) // len(self.networks)])
        return replace(alone, evaluation=evaluation)

    def _few(self, count: int, only: bool = False) -> list[int]:
        """Of `count` the first, the last and one drawn by chance; `only` that one."""
        drawn = crc32(f"{self.chance} {count}".encode()) % count
        return [drawn] if only else sorted({0, drawn, count - 1})

    def packed(self) -> np.ndarray:
        """The checks as JSON, for the store."""
        return np.frombuffer(json.dumps([asdict(check) for check in self.done]).encode(), np.uint8)


def part_of(evaluation: Evaluation, *features: int) -> Evaluation:
    """The same with the first `GLOBAL_ROWS` rows to explain, and of the background, for some of the features."""
    cut, hidden = evaluation.with_rows(GLOBAL_ROWS), evaluation.pre_activations
    names = [evaluation.features[place] for place in sorted(set(features))]
    return replace(cut, groups={name: evaluation.groups[name] for name in names},
                   background=cut.background[:GLOBAL_ROWS], background_targets=cut.background_targets[:GLOBAL_ROWS],
                   pre_activations=None if hidden is None else hidden[:, :GLOBAL_ROWS])


def readings(attribution: Attribution) -> Tensor:
    """What a global method says of one network: scores and, if it has them, signed means, `[1 or 2, features]`."""
    both = [attribution.scores] if attribution.signed is None else [attribution.scores, attribution.signed]
    return torch.cat(both)


def difference(scorer: Scorer, alone: Alone, rows: Sequence[int], fast: Tensor) -> Tensor:
    """How far `fast` `[rows, features]` is from the reference, over the row's largest magnitude there, `[rows]`.

    NaN for a row that is passed over: one without a finite reference, and one at a kink. There a ReLU's derivative, or
    a quotient of two differences, jumps, and which side is taken is left to rounding: the reference's own numbers move
    at least half as far when every weight moves by a normal draw of 1e-5 of itself, up or down.
    """
    reference, said = reference_numbers(scorer, alone, rows), fast.double().cpu()
    apart = relative(said, reference)
    if not bool((apart > TOLERANCE).any()):
        return apart
    with torch.no_grad():
        least = NOTHING * float(alone.network(alone.evaluation.inputs).abs().max())
    apart = relative(said, reference, least)
    moved = torch.zeros_like(apart)
    for seed in range(2):
        for sign in (KINK, -KINK):
            other = reference_numbers(scorer, replace(alone, network=nudged(alone.network, sign, seed)), rows)
            moved = torch.maximum(moved, relative(other, reference, least))
    return apart.masked_fill((apart > TOLERANCE) & (moved >= apart / 2), torch.nan)


def relative(values: Tensor, reference: Tensor, least: float = 0.0) -> Tensor:
    """max_k |values − reference| / max_k |reference|, `[rows]`: 0 of equal ones, NaN without a finite reference.

    `least`: what is divided by at least, as where a network says the same everywhere.
    """
    apart, largest = (values - reference).abs().amax(1), reference.abs().amax(1).clamp(min=least)
    return torch.where(apart == 0, 0.0, apart / largest).masked_fill(~reference.isfinite().all(1), torch.nan)


def nudged(network: nn.Module, size: float, seed: int) -> nn.Module:
    """A copy whose every weight w is w (1 + size · z), z from N(0, 1)."""
    moved, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in moved.parameters():
            weight.mul_(1 + size * torch.randn(weight.shape, generator=generator))
    return moved
