"""What a removal is given and what it returns."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split, TabularDataset, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Penalty
from attribution_suite.networks.batches import Replacement
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import IndexColumn, Nodes
from attribution_suite.networks.refit import Refit
from attribution_suite.networks.target_scale import cold_start
from attribution_suite.networks.training import Trained, train
from attribution_suite.options import names
from attribution_suite.registry import canonical, options_in
from attribution_suite.removals import REMOVALS, SHAM


@dataclass(frozen=True)
class Setting:
    """The data and budgets of a removal. Inputs are `[rows, features]`, or `[seeds, rows, units]` for a hidden layer.

    `training` is the original's budget, `tuning` that of a warm start; `seeds` fix batch order and draws. `fresh`: the
    untrained networks of some seeds, for a hidden layer the tails of the untrained originals; None: the networks'
    own `fresh`, which is the original's initialisation at the input only. `refit`: what retrains networks like some
    without nodes, in the place of a training here; None: there is no such recipe.
    """

    train: Split
    validation: Split
    task: Task
    seeds: Sequence[int]
    training: Training
    tuning: Training
    fresh: Callable[[Sequence[int]], Ensemble] | None = None
    refit: Callable[[Ensemble, Nodes, Sequence[int]], Ensemble] | None = None

    @classmethod
    def of(cls, dataset: TabularDataset, networks: Ensemble, layer: int, seeds: Sequence[int], training: Training,
           tuning: Training, refit: Refit | None = None) -> "Setting":
        """What a removal from `networks`, one a seed, sees at a layer: the inputs, or the networks' activations.

        `refit`: a user's own recipe of retraining from the inputs.
        """
        train_split, validation = dataset.train.to(networks.device), dataset.validation.to(networks.device)
        if layer == 0:
            return cls(train_split, validation, dataset.task, seeds, training, tuning,
                       refit=None if refit is None else partial(refit.networks, dataset))
        dataset.refuse_on_disk("option 'layer'")
        hidden, hidden_validation = (Split(networks.activations(split.inputs)[layer], split.targets)
                                     for split in (train_split, validation))
        return cls(hidden, hidden_validation, dataset.task, seeds, training, tuning,
                   lambda seeds: networks.fresh(seeds).tail(layer))

    def cold(self, networks: Ensemble) -> Ensemble:
        """The untrained networks of the seeds, one each, as the originals' training started from them."""
        return cold_start((self.fresh or networks.fresh)(self.seeds), self.train, self.task, self.training)

    def tune(self, networks: Ensemble, training: Training, *, clamp: Nodes | None = None,
             replaced: Nodes | None = None, replacement: Replacement | None = None,
             penalty: Penalty | None = None, held: Tensor | None = None) -> Trained:
        """Trains `networks` (their weights the start, a fresh optimiser) within a budget."""
        return train(networks, self.train, self.validation, self.task, training, self.seeds,
                     clamp=clamp, replaced=replaced, replacement=replacement, penalty=penalty, held=held)

    @property
    def mean(self) -> Tensor:
        """The training mean of every input, `[features]` or `[seeds, features]`."""
        return self.train.inputs.mean(-2)


@dataclass(frozen=True)
class RemovalTraits:
    """What a method declares of itself.

    `aims`: 'direct' (the output stops changing with x_j) or 'marginal' (its proxies are taken out too). `reads` says
    when the edit needs values of x_j: 'never', 'in training' (its training rows; the edited network needs none), or
    'at inference' (every new row's). `exact`: after it the output does not change with x_j at all; a method
    that only trains the dependence down says False. `tuned`: it fine-tunes from the original's weights within
    `Setting.tuning`, so that its cost is read net of the sham's; one that does and does not say so is refused. `step`:
    it takes one step from them instead, and its cost is read net of the same step with x_j kept (`keep`). Both need
    gradients. `control`: it removes nothing; an audit runs it by itself, not as one of `removals`. `default`: an audit
    that names no removals does it. `published`: the options under which it is what its source published, where the
    default corrects that; an audit with the preset 'published' takes them. `layers`: it edits layers behind the first
    one, so that they must be known. `in_front`: it puts a fixed step in front of the networks: not of hidden units, nor
    of what has no gradients; what comes out is a module, of which a run keeps no weights. `refusals`: why it does not
    apply to groups of columns of a split `[rows, features]`, one answer each, None where it does; None: it applies to
    all. `of_index`: what a column that holds a category's number must offer: the 'mean' of its embedding, or a 'linear'
    layer behind it; 'never': the method reads the number as an amount.
    """

    aims: Literal["direct", "marginal"] = "direct"
    reads: Literal["never", "in training", "at inference"] = "never"
    exact: bool = True
    tuned: bool = False
    step: bool = False
    control: bool = False
    default: bool = True
    layers: bool = False
    in_front: bool = False
    refusals: Callable[[Split, Task, Sequence[Sequence[int]]], list[str | None]] | None = None
    published: Mapping[str, Any] = field(default_factory=dict)
    of_index: Literal["", "mean", "linear", "never"] = ""

    def __str__(self) -> str:
        """What the method declares, in words: for `attribution-suite list removals` and the reference."""
        if self.control:
            return "A control: it removes nothing."
        left = "No direct effect is left." if self.exact else "Some direct effect may be left."
        return f"Aims: {self.aims}. Reads x_j: {self.reads}. {left}" + ("" if self.default else " Not a default.")


class Removal(Protocol):
    """A removal method. `name` is its row in every table."""

    name: ClassVar[str]
    traits: ClassVar[RemovalTraits]

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Edited copies: member e without `nodes.index[e]`. `networks` is seed-major and stays untouched."""
        ...

    def replacement(self) -> Replacement | None:
        """How training data lose the columns, for a baseline that is refitted; None if only weights are edited."""
        ...


def asked(removals: object) -> tuple[str, ...]:
    """What an audit does: the removals that are named, the default ones for None, every one for 'all' or ['all'].

    Raises InputError for what is no list of names.
    """
    everything = removals is None or (isinstance(removals, str) and removals == "all")
    named = ("all",) if everything else names("removals", removals)
    if named != ("all",):
        return tuple(dict.fromkeys(map(canonical, named)))
    traits = {name: removal.traits for name, removal in REMOVALS.loaded().items()}
    return tuple(name for name, declared in traits.items()
                 if not declared.control and (declared.default or removals is not None))


def carried_out(method: Removal, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
    """What the method makes of the networks.

    Raises InputError where it trained them on from their own weights and its traits do not say `tuned` (or `step`): its
    cost would be read without the sham, and what any training gains would pass for its merit. A method that takes
    optimiser steps must say so, or begin from `Setting.cold`.
    """
    cold: list[Sequence[int]] = []

    def fresh(seeds: Sequence[int]) -> Ensemble:
        cold.append(seeds)
        return (setting.fresh or networks.fresh)(seeds)

    trained = method.remove(networks, nodes, replace(setting, fresh=fresh))
    declared = method.traits.tuned or method.traits.step or cold
    if not declared and (len(trained.training_loss) or bool(trained.steps.any())):
        raise InputError(f"{method.name} trained on from the original's weights ({int(trained.steps.max())} optimiser "
                         f"steps, {len(trained.training_loss)} epochs), and its traits do not say so: declare "
                         "RemovalTraits(tuned=True), so that its cost is read net of the sham's; a training from "
                         "scratch begins from setting.cold(networks)")
    return trained


def inapplicable(removals: Sequence[str], networks: Ensemble) -> dict[str, str]:
    """Which removals cannot be done to these networks, and why: tuning and a step need gradients, some the layers."""
    needs = {"gradients": networks.refusal("gradients"), "layers": networks.refusal("layers")}
    reasons = {}
    for name in removals:
        traits = removal_traits(name)
        trained = bool(sham_of(name)) or traits.in_front
        if reason := (trained and needs["gradients"]) or (traits.layers and needs["layers"]):
            reasons[name] = reason
    return reasons


def removal_traits(removal: str) -> RemovalTraits:
    """What a method declares with the options in its name: 'leace?then=tune' is tuned, 'leace' is not."""
    traits: RemovalTraits = REMOVALS.make(removal).traits
    return traits


def sham_of(removal: str) -> str:
    """The control that a method's cost is read net of: 'sham', of a step 'sham?of=lazy', '' where none applies."""
    traits = removal_traits(removal)
    return SHAM if traits.tuned else f"{SHAM}?of={removal}" if traits.step else ""


def refused_columns(names: Sequence[str], networks: Ensemble) -> dict[str, dict[int, str]]:
    """For each removal the columns of indices that it cannot remove, and why."""
    return {name: {column.column: reason for column in networks.index if (reason := refusal_of(name, column))}
            for name in names}


def refusal_of(name: str, column: IndexColumn) -> str | None:
    """Why a removal cannot be done to a column of indices; None if it can."""
    options = options_in(name)
    needs: str = "linear" if options.get("then") == "fold" else REMOVALS.load(name).traits.of_index
    if needs == "mean" and options.get("constant", "mean") == "mean" and column.reason:
        return f"it holds an index, whose mean is none: {column.reason}"
    if needs == "never":
        return "it holds an index: a category's number, which this method would read as an amount"
    if needs == "linear" and column.linear is None:
        return ("it holds an index, and what a regression on the other columns gives is none: a fold needs a Linear "
                "that takes the column's embedding beside other inputs")
    return None


def edited(networks: Ensemble, started: float) -> Trained:
    """The result of an edit in closed form: no epochs, no steps."""
    none = networks.first_bias.new_empty(0, len(networks))
    steps = none.new_zeros(len(networks), dtype=torch.int64)
    return Trained(networks, none, none, steps, time.perf_counter() - started)


def member_means(setting: Setting, nodes: Nodes) -> Tensor:
    """The training means of each member's nodes, `[members, group]`."""
    means = setting.mean
    per_member = means.expand(len(nodes), -1) if means.dim() == 1 else \
        means.repeat_interleave(len(nodes) // len(means), 0)
    return per_member.gather(1, nodes.index)
