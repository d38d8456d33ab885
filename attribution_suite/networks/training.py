"""One training loop for all members of an ensemble, each stopped by its own validation loss."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Backward, Batch, Penalty
from attribution_suite.networks.batches import Batches, Replacement
from attribution_suite.networks.module_backward import backward_for
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.optimisers import Optimiser, optimiser_for
from attribution_suite.networks.stopping import History, Stopping
from attribution_suite.networks.target_scale import TargetScale
from attribution_suite.presented import Presented

# Whether a goal that was set for tuning was reached on validation rows; '' where none was set.
GOALS = ("", "reached", "reached by search", "not reached")
# The columns of a frontier: λ; the squared distance correlation of output and x_j on validation rows, its upper limit
# and the margin; the task's loss there; which λ was taken.
FRONTIER = ("strength", "dependence", "dependence_high", "margin", "validation_loss", "chosen")


@dataclass(frozen=True)
class Trained(Presented):
    """Trained networks.

    `training_loss`, `validation_loss` `[epochs, members]`, NaN after a member stopped; `steps` `[members]`: optimiser
    steps until the kept weights; `seconds` of the whole ensemble; `history` `[recorded epochs, members, hidden,
    features]`: the first layer's weights after epoch k, 2k, … (`record_every` k), NaN after a member stopped; None if
    not asked for. `goal` `[members]`: of a method that tunes towards a goal, where in `GOALS` each member ended; None
    for any other. `frontier`: of a method that tries several strengths of a penalty, what each led to, a column
    `[members, strengths]` (`FRONTIER`); None for any other.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.networks:TRAINED"
    networks: Ensemble
    training_loss: Tensor
    validation_loss: Tensor
    steps: Tensor
    seconds: float = field(compare=False, default=0.0)
    history: Tensor | None = None
    goal: Tensor | None = None
    frontier: Mapping[str, Tensor] | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row a network and epoch that it was trained for: member, epoch (from 1), training and validation loss."""
        epochs, members = self.training_loss.shape
        losses = pd.DataFrame({
            "member": np.repeat(np.arange(members), epochs), "epoch": np.tile(np.arange(1, epochs + 1), members),
            "training_loss": self.training_loss.T.flatten().numpy(force=True),
            "validation_loss": self.validation_loss.T.flatten().numpy(force=True)})
        return losses[losses.training_loss.notna()].reset_index(drop=True)


def train(networks: Ensemble, train: Split, validation: Split, task: Task, training: Training, seeds: Sequence[int],
          *, clamp: Nodes | None = None, replaced: Nodes | None = None,
          replacement: Replacement | None = None, penalty: Penalty | None = None,
          held: Tensor | None = None) -> Trained:
    """Trains every member on `train`, stopping each by its own loss on `validation`.

    A regression is trained on (y − μ)/σ, μ and σ of the training targets, unless `training.standardise` is False: the
    start becomes (f − μ)/σ, what was trained σ f + μ. Networks and losses are in the target's own units all the same.

    `networks` has len(seeds) × variants members, seed-major; batch order depends on the seed alone. Inputs are
    `[rows, features]`, or `[seeds, rows, features]` where seeds differ (a hidden layer).
    `clamp`: nodes whose first-layer weights stay exactly zero (they must be zero at the start; their gradient is set to
    zero, so no momentum moves them). `replaced`: nodes that each member sees through `replacement`, in training and in
    validation: early stopping follows the objective that is trained. `penalty`: added to the loss (of standardised
    targets), in both. `held` Q `[members, features, k]`, orthonormal columns or zero ones: directions that the first
    layer must not read. After every step W becomes W (I − Q Qᵀ); at the start W Q must be zero.

    Raises InputError where networks, seeds, rows and nodes do not fit, and where a member's loss is not finite.
    """
    started = time.perf_counter()
    _check(networks, {"training": train, "validation": validation}, seeds, clamp, replaced, replacement)
    if training.record_every is not None and (reason := networks.refusal("layers")):
        raise InputError(f"record_every copies the first layer's weights: {reason}")
    scale = TargetScale.of(train, task, training)
    if scale is None or not training.epochs:  # without an epoch nothing is rounded twice
        trained = _fit(networks, train, validation, task, training, seeds, clamp, replaced, replacement, penalty, held)
    else:
        trained = _fit(scale.entering(networks), scale.standardised(train), scale.standardised(validation), task,
                       training, seeds, clamp, replaced, replacement, penalty, held)
        trained = _in_own_units(trained, scale)
    return replace(trained, seconds=time.perf_counter() - started)


def _fit(networks: Ensemble, train: Split, validation: Split, task: Task, training: Training, seeds: Sequence[int],
         clamp: Nodes | None, replaced: Nodes | None, replacement: Replacement | None,
         penalty: Penalty | None, held: Tensor | None) -> Trained:
    """The loop itself, on the targets as they are."""
    def hold_out(loop: Backward) -> Batch:  # its draws are made anew from the seeds, so the same whoever is left
        return Batches(validation, seeds, training.batch_size, loop.replaced_columns, replacement, purpose=2,
                       table=train).fixed()

    loop = backward_for(networks, task, len(seeds), clamp, replaced)
    loop.penalty, loop.held = penalty, held
    optimiser = optimiser_for(training, loop.parameters)
    batches, held_out = Batches(train, seeds, training.batch_size, loop.replaced_columns, replacement), hold_out(loop)
    stopping, history = Stopping(loop, training), History(loop, training)
    for epoch in range(training.epochs):
        loss, rows = loop.gradient.new_zeros(loop.members), 0
        for batch in batches.epoch():
            loss += loop.backward(batch)
            optimiser.step()
            loop.hold()
            rows += batch.size
            if stopping.step():
                break
        history.epoch(epoch, loop, stopping)
        if stopping.epoch(loop, loss / rows, loop.loss(held_out)):
            break
        kept = stopping.narrow(len(seeds))
        if kept is not None:
            loop, optimiser = _narrowed(loop, optimiser, kept)
            batches.narrow(loop.replaced_columns)
            held_out = hold_out(loop)
    curves = stopping.curves()
    return Trained(stopping.kept(), *curves, stopping.steps, history=history.result())


def _in_own_units(trained: Trained, scale: TargetScale) -> Trained:
    """What was trained on standardised targets, in the target's own units."""
    networks, unit, history = scale.leaving(trained.networks), scale.deviation**2, trained.history
    if history is not None and networks.architecture.depth == 1:  # the first layer is the last one too
        history = history * scale.deviation
    return replace(trained, networks=networks, training_loss=trained.training_loss * unit,
                   validation_loss=trained.validation_loss * unit, history=history)


def held_out_loss(networks: Ensemble, train: Split, validation: Split, task: Task, batch_size: int,
                  seeds: Sequence[int], replaced: Nodes, replacement: Replacement) -> Tensor:
    """Mean loss `[members]` on `validation` as a training that replaces the nodes `replaced` sees it."""
    loop = backward_for(networks, task, len(seeds), replaced=replaced)
    batches = Batches(validation, seeds, batch_size, loop.replaced_columns, replacement, purpose=2, table=train)
    return loop.loss(batches.fixed())


def _narrowed(loop: Backward, optimiser: Optimiser, kept: Tensor) -> tuple[Backward, Optimiser]:
    """The loop and the optimiser's state for the members at `kept` alone, as they are now."""
    networks = loop.rebuilt(loop.kept()).select(kept)
    clamp, replaced = (None if nodes is None else nodes.select(kept) for nodes in (loop.clamped, loop.replaced))
    narrow = backward_for(networks, loop.task, loop.seeds, clamp, replaced)
    narrow.penalty = None if loop.penalty is None else loop.penalty.select(kept)
    narrow.held = None if loop.held is None else loop.held[kept]
    return narrow, optimiser.carried_to(narrow.parameters, lambda buffer: loop.narrowed(buffer, kept))


def _check(networks: Ensemble, splits: Mapping[str, Split], seeds: Sequence[int], clamp: Nodes | None,
           replaced: Nodes | None, replacement: Replacement | None) -> None:
    features = networks.architecture.features
    if not len(seeds) or len(networks) % len(seeds):
        raise InputError(f"{len(networks)} networks cannot share {len(seeds)} seeds evenly")
    for name, split in splits.items():
        if not len(split.targets):
            raise InputError(f"there are no {name} rows: give the split at least one")
        if split.inputs.shape[-1] != features or split.inputs.shape[:-2] not in ((), (len(seeds),)):
            raise InputError(f"{name} inputs must be [rows, {features}] or [{len(seeds)} seeds, rows, {features}], "
                             f"got {list(split.inputs.shape)}")
    for kind, nodes in (("clamped", clamp), ("replaced", replaced)):
        if nodes is not None and len(nodes) != len(networks):
            raise InputError(f"{len(nodes)} rows of {kind} nodes do not fit {len(networks)} networks: give one each")
    if (replaced is None) != (replacement is None):
        raise InputError("replaced nodes and their replacement go together: give both or neither")
    if clamp is not None and bool((networks.first_weight * clamp.mask(features)[:, None]).any()):
        raise InputError("clamped nodes must start with zero weights: fold them first (Ensemble.with_nodes_folded)")
