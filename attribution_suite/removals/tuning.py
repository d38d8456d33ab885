"""Fine-tuning on replaced columns: what every method of this kind may be asked beside its own options."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from attribution_suite.measures.worst_case.measure import output_spread, worst_case
from attribution_suite.networks.batches import Replacement
from attribution_suite.networks.module_backward import backward_for
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import GOALS, Trained
from attribution_suite.options import check_one_of, check_positive
from attribution_suite.removals.folding import fold_each, regress
from attribution_suite.removals.removal import RemovalTraits, Setting

UNTIL_BUDGETS, UNTIL_ROWS = 8, 500  # the most tuning budgets that `until` spends; the validation rows that it looks at


@dataclass(frozen=True, kw_only=True)
class ReplacingTuning(ABC):
    """Warm start on `replacement`, within `setting.tuning`.

    `then='fold'`: what is left of the node's weights after tuning is folded onto its peers (least squares, as `fold`
    does), so that a short budget too ends with nothing left. `until=δ`: the whole budget again and again, at most 8
    times, until no move of x_j alone moves the output of any of (at most 500) validation rows by more than δ standard
    deviations of the original's output; `Trained.goal` says whether that was reached. Raises InputError for others.
    """

    then: Literal["fold"] | None = None
    until: float | None = None
    name: ClassVar[str]
    traits: ClassVar[RemovalTraits]

    def __post_init__(self) -> None:
        if self.until is not None:
            check_positive(self, "until")
        if self.then is not None:
            check_one_of(self, "then", ("fold",))
            object.__setattr__(self, "traits", replace(self.traits, exact=True))  # this object's, not the class's

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes, and does what the options ask."""
        if self.until is None:
            tuned = setting.tune(networks, setting.tuning, replaced=nodes, replacement=self.replacement())
        else:
            tuned = tuned_until(networks, nodes, setting, self.replacement(), self.until)
        if self.then is None:
            return tuned
        return replace(tuned, networks=fold_each(tuned.networks, nodes, setting, regress))

    @abstractmethod
    def replacement(self) -> Replacement:
        """What the network sees in the place of the columns."""


def tuned_until(networks: Ensemble, nodes: Nodes, setting: Setting, replacement: Replacement,
                until: float) -> Trained:
    """Whole tuning budgets, the last weights kept, until every member's worst case is at most `until` deviations.

    A member that is there stays as it is, in its curves too (NaN).
    """
    started, budget = time.perf_counter(), replace(setting.tuning, keep="last", patience=None)
    variants = len(networks) // len(setting.seeds)
    rows, training = (split.inputs[..., :most, :] for split, most in (
        (setting.validation, UNTIL_ROWS), (setting.train, len(setting.train.targets))))
    if rows.dim() == 3:
        rows, training = rows.repeat_interleave(variants, 0), training.repeat_interleave(variants, 0)
    limit = until * output_spread(networks, rows)
    goal = reached(networks, rows, training, nodes, setting, limit)
    now, rounds = networks, []
    for _ in range(UNTIL_BUDGETS):
        waiting = goal == GOALS.index("not reached")
        if not bool(waiting.any()):
            break
        tuned = setting.tune(now, budget, replaced=nodes, replacement=replacement)
        rounds.append(replace(tuned, steps=tuned.steps * waiting,
                              training_loss=tuned.training_loss.masked_fill(~waiting, torch.nan),
                              validation_loss=tuned.validation_loss.masked_fill(~waiting, torch.nan)))
        now = taken(now, tuned.networks, waiting, setting)
        goal = torch.where(waiting, reached(now, rows, training, nodes, setting, limit), goal)
    none = limit.new_empty(0, len(networks))
    return Trained(
        now, torch.cat([none, *(each.training_loss for each in rounds)]),
        torch.cat([none, *(each.validation_loss for each in rounds)]),
        sum((each.steps for each in rounds), torch.zeros_like(goal)), time.perf_counter() - started, goal=goal)


def taken(before: Ensemble, after: Ensemble, new: Tensor, setting: Setting) -> Ensemble:
    """The members of `after` where `new` `[members]`, those of `before`, which was trained to it, elsewhere."""
    loops = [backward_for(networks, setting.task, len(setting.seeds)) for networks in (before, after)]
    return loops[1].rebuilt([torch.where(new.view(-1, *[1] * (now.dim() - 1)), now, old)
                             for old, now in zip(*(loop.kept() for loop in loops), strict=True)])


def reached(networks: Ensemble, rows: Tensor, training: Tensor, nodes: Nodes, setting: Setting,
            limit: Tensor) -> Tensor:
    """Whether each member's worst case is at most `limit` `[members]`: places in `GOALS`."""
    worst = worst_case(networks, rows, training, nodes, setting.task, limit, flags=setting.train.inputs.dim() == 2)
    below = limit.double().cpu()
    states = torch.where(worst.bound <= below, GOALS.index("reached"),
                         torch.where((worst.effect <= below) & worst.bound.isinf(),
                                     GOALS.index("reached by search"), GOALS.index("not reached")))
    return states.to(limit.device)
