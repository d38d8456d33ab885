"""What a scorer is given and what it returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from sys import maxsize
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.datasets.table import TabularDataset, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.forward import collect
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.outputs import explained_output
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.presented import Presented
from attribution_suite.scorers.baselines import DISTRIBUTION, baseline_row, drawn_rows

Reads = Literal["network", "gradients", "layers", "activations", "units", "unit activations", "labels"]

POOL = 20_000  # training rows, the background's among them, for what needs many


@dataclass(frozen=True)
class Evaluation:
    """Everything a scorer may know but the networks: the rows to explain and the data they come from.

    Shapes: `inputs` `[rows, features]`, or `[members, rows, features]` where members differ (a hidden layer);
    likewise `background` (training rows, for what needs a distribution) and `baseline` `[features]` or
    `[members, features]`, the row that methods compare with; `baseline_kind`, as in `scorers.baselines`, says which it
    is, and methods read it by `baselines` and `distribution`. The background of what is fitted to labels may have lost
    columns: `[n, rows, features]`, one a member, or one
    a variant where the seeds share them; member e (they are seed-major) reads number e mod n. `targets` `[rows]` and
    `background_targets` `[background rows]` are the labels.
    `pre_activations` `[members, background rows, units]`: of a hidden layer, what its units' activations on the
    background rows are made of; None at the input.
    `explained` `[members, rows]` is the class whose logit is explained, None where there is one output.
    `pool` `[pool rows, features]`: training rows for what needs many (surrogates), None: the background is all;
    `pool_explained` `[members, pool rows]`: the class that each original predicts for them, None likewise.
    `groups` maps a feature's name to its columns; `seed` fixes every random draw. `index`: the columns that hold a
    category's number.
    """

    inputs: Tensor
    targets: Tensor
    background: Tensor
    background_targets: Tensor
    baseline: Tensor
    groups: Mapping[str, tuple[int, ...]]
    task: Task
    explained: Tensor | None = None
    seed: int = 0
    pre_activations: Tensor | None = None
    baseline_kind: str | None = None
    index: tuple[int, ...] = ()
    pool: Tensor | None = None
    pool_explained: Tensor | None = None

    @classmethod
    def of(cls, dataset: TabularDataset, networks: Ensemble, rows: int, background: int,
           baseline: str | None = None) -> "Evaluation":
        """The first `rows` test rows, the first `background` training rows, the class that each network predicts.

        `baseline`: its kind, as in `scorers.baselines`. Raises InputError for one that there is not.
        """
        test, training = dataset.test.to(networks.device), dataset.train.to(networks.device)
        inputs, pool = test.inputs[:rows], training.inputs[:max(background, POOL)]
        explained, of_pool = (networks.outputs(each).argmax(2) if dataset.task == "multiclass" else None
                              for each in (inputs, pool))
        return cls(inputs, test.targets[:rows], training.inputs[:background], training.targets[:background],
                   baseline_row(dataset, baseline).to(inputs), dataset.groups, dataset.task, explained,
                   baseline_kind=baseline, index=dataset.index, pool=pool, pool_explained=of_pool)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in the order of every `[…, features]` result."""
        return tuple(self.groups)

    @property
    def pool_rows(self) -> Tensor:
        """What is drawn from where many rows are needed, `[rows, features]` or `[members, rows, features]`."""
        return self.background if self.pool is None else self.pool

    @property
    def baselines(self) -> Tensor:
        """What a method explains a row by, one after the other: `[baselines, features]`, or `[members, …]` of these.

        One, or of a distribution the background rows that the seed draws: φ is then the mean over them.
        """
        if self.baseline_kind != DISTRIBUTION:
            return self.baseline[..., None, :]
        return self.background[..., drawn_rows(self.background.shape[-2], self.seed).to(self.background.device), :]

    @property
    def distribution(self) -> Tensor:
        """What a method that is defined by a distribution draws its baselines from, in the shapes of `baselines`.

        The background rows, unless the run names one row to compare with.
        """
        return self.background if self.baseline_kind in (None, DISTRIBUTION) else self.baseline[..., None, :]

    def each_baseline(self) -> list["Evaluation"]:
        """The same by each of the baselines alone."""
        if self.baseline_kind != DISTRIBUTION:
            return [self]
        return [replace(self, baseline=baseline, baseline_kind="one of a distribution")
                for baseline in self.baselines.unbind(-2)]

    def to(self, device: torch.device) -> "Evaluation":
        """The same on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: value.to(device) for name, value in tensors.items()}
        return replace(self, **moved)

    def with_rows(self, count: int) -> "Evaluation":
        """The same with the first `count` rows."""
        explained = None if self.explained is None else self.explained[:, :count]
        return replace(self, inputs=self.inputs[..., :count, :], targets=self.targets[:count], explained=explained)

    def for_members(self, members: Tensor) -> "Evaluation":
        """The same for an ensemble whose member e is a variant of today's member `members[e]`."""
        per_member = {name: getattr(self, name)[members] for name in ("inputs", "background") if
                      getattr(self, name).dim() == 3}
        if self.baseline.dim() == 2:
            per_member["baseline"] = self.baseline[members]
        per_member |= {name: value[members] for name in ("explained", "pre_activations", "pool_explained")
                       if (value := getattr(self, name)) is not None}
        return replace(self, **per_member)

    def alone(self, member: int) -> "Evaluation":
        """What one member is evaluated on, as the evaluation of an ensemble of one: `[rows, features]` throughout."""
        tensors = {name: value[member % len(value)] for name in ("inputs", "background")
               if (value := getattr(self, name)).dim() == 3}
        tensors |= {name: value[member:member + 1] for name in ("explained", "pre_activations", "pool_explained")
                    if (value := getattr(self, name)) is not None}
        baseline = self.baseline if self.baseline.dim() == 1 else self.baseline[member]
        return replace(self, **tensors, baseline=baseline)

    def at_layer(self, networks: Ensemble, layer: int) -> "Evaluation":
        """The same seen from layer `layer`: its activations as inputs, its units as features (`unit:0` …)."""
        if layer == 0:
            return self
        baseline = self.baseline if self.baseline.dim() == 2 else self.baseline.expand(len(networks), -1)
        background = collect(networks, self.background)
        return replace(
            self,
            inputs=networks.activations(self.inputs)[layer],
            background=background.entering[layer],
            pre_activations=background.leaving[layer - 1],
            baseline=networks.activations(baseline[:, None])[layer][:, 0],
            groups={f"unit:{unit}": (unit,) for unit in range(networks.architecture.widths[layer])},
            index=(),
        ).without_pool()

    def without_pool(self) -> "Evaluation":
        """The same with the background as all there is to draw from: the pool's first rows, in other columns."""
        explained = None if self.pool_explained is None else self.pool_explained[:, :self.background.shape[-2]]
        return replace(self, pool=None, pool_explained=explained)


@dataclass(frozen=True)
class Explained:
    """The rows that an attribution explains, for who draws or reads one of them.

    `numbers` `[rows]`: which rows of the data set (`TabularDataset.place`). `values` `[rows, features]`: each feature's
    value in its own units, NaN where it is several columns; None at a hidden layer. `outputs` `[members, rows]`: the
    explained output f(x); `at_baseline` likewise f(baseline), the mean over several; of a method that promises no
    completeness None. `classes` `[members, rows]`: the class whose logit f is; None where there is one output.
    """

    numbers: tuple[int, ...]
    values: Tensor | None
    outputs: Tensor
    at_baseline: Tensor | None
    classes: Tensor | None

    @classmethod
    def of(cls, attribution: "Attribution", networks: Ensemble, evaluation: Evaluation, dataset: TabularDataset,
           rows: np.ndarray, seeds: Sequence[int]) -> "Explained":
        """`rows`: the places of the evaluated rows in the data set; `seeds`: whose draws the baselines are."""
        outputs, values = explained_output(networks.outputs(evaluation.inputs), evaluation.explained), None
        at_baseline = None
        if attribution.completeness_gap is not None:
            means = [networks.select([member]).outputs(replace(evaluation.alone(member), seed=seed).baselines).mean(
                1, keepdim=True).expand(-1, outputs.shape[1], -1) for member, seed in enumerate(seeds)]
            at_baseline = explained_output(torch.cat(means), evaluation.explained).cpu()
        if tuple(attribution.features) == tuple(dataset.groups):
            values = torch.from_numpy(np.stack([
                dataset.inputs[rows, columns[0]] if len(columns) == 1 else np.full(len(rows), np.nan)
                for columns in dataset.groups.values()], 1).astype(np.float64))
        return cls(tuple(dataset.numbers[rows].tolist()), values, outputs.cpu(), at_baseline,
                   None if evaluation.explained is None else evaluation.explained.cpu())


@dataclass(frozen=True)
class Attribution(Presented):
    """What one scorer says of every member of an ensemble.

    `scores` `[members, features]` ≥ 0: the global score s_k (mean over rows of abs φ where the method is local).
    `values` `[members, rows, features]`: the local φ, None for a global method.
    `signed` `[members, features]`: the mean of φ over rows, None likewise.
    `completeness_gap` `[members]`: mean abs(Σ_k φ − (f(x) − f(baseline))) over mean abs(f(x) − f(baseline)),
    for the methods that promise completeness.
    `explained`: the rows of `values`; None where nobody asked for them, as in a run.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.attribution:VIEW"
    scorer: str
    features: tuple[str, ...]
    scores: Tensor
    values: Tensor | None = None
    signed: Tensor | None = None
    completeness_gap: Tensor | None = None
    details: Mapping[str, Tensor] = field(default_factory=dict)
    explained: Explained | None = None

    @classmethod
    def from_columns(cls, scorer: str, columns: Tensor, evaluation: Evaluation) -> "Attribution":
        """From φ per encoded column, `[members, rows, columns]`: a group's φ is the sum over its columns."""
        values = sum_groups(columns, evaluation.groups)
        return cls.from_local(scorer, values, evaluation.features)

    @classmethod
    def from_local(cls, scorer: str, values: Tensor, features: tuple[str, ...],
                   completeness_gap: Tensor | None = None) -> "Attribution":
        """From φ per feature, `[members, rows, features]`."""
        return cls(scorer, features, values.abs().mean(1), values, values.mean(1), completeness_gap)

    @classmethod
    def joined(cls, parts: Sequence["Attribution"]) -> "Attribution":
        """Of one ensemble from those of its consecutive parts."""
        first = parts[0]
        tensors: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts])
                                   for name, value in vars(first).items() if isinstance(value, Tensor)}
        details = {name: torch.cat([part.details[name] for part in parts]) for name in first.details}
        return replace(first, **tensors, details=details)

    @property
    def shares(self) -> Tensor:
        """s_k / Σ s, `[members, features]`; NaN for a member whose scores are all zero (it has no shares)."""
        return self.scores / self.scores.sum(1, keepdim=True)

    def to_frame(self) -> pd.DataFrame:
        """One row a member and feature: member, scorer, feature, share, mean_abs, signed_mean (NaN if unsigned)."""
        members, features = self.scores.shape
        signed = torch.full_like(self.scores, torch.nan) if self.signed is None else self.signed
        return pd.DataFrame({
            "member": np.arange(members).repeat(features),
            "scorer": self.scorer,
            "feature": list(self.features) * members,
            "share": self.shares.flatten().numpy(force=True),
            "mean_abs": self.scores.flatten().numpy(force=True),
            "signed_mean": signed.flatten().numpy(force=True),
        })


@dataclass(frozen=True)
class ScorerTraits:
    """What a scorer declares of itself.

    `reads`: 'network', the outputs alone; 'gradients', these and their gradients; 'layers', a perceptron's weights;
    'activations', its activation modules, through hooks; 'units', those of a known hidden layer, a module's too, and
    'unit activations' these and activation modules, through hooks; 'labels', the training rows (of a hidden layer their
    activations) and their labels, never the network that is explained: a baseline, which no edit of weights changes.
    What a model does not have (an estimator's gradients) makes a scorer that reads it 'not applicable'.
    `below`: it needs the layers below the one it scores (conductance), so it takes whole networks and an option
    `layer`, and scores hidden units only; all others see a hidden layer through the tail.
    `at`: the layers whose nodes it scores, 0 the inputs; of what scores hidden units only, from 1.
    `control`: it looks at nothing; a floor to read the others against, without a vote.
    `zero_on_zero_weights`: a feature whose first-layer weights are all exactly zero scores exactly zero, so that the
    null of the scorer is 0; of any other the null is measured, by phantoms. A scorer that reads labels is none.
    `draws`: its numbers depend on `Evaluation.seed`, noise or samples that it draws. In an audit a seed's networks, the
    original and its edits, share the draws, and seeds have their own: a change is the network's, and the spread over
    networks holds the draws' noise. Not of a control, which draws anew for every network.
    `baseline`: what it compares a row with where the run names no baseline: 'zero', one at a time, so that its φ by a
    distribution are the mean over drawn rows; 'distribution', which it draws from itself; '' where it has none.
    `reference`: where the call lies that it is held against in every run, as 'module:function' (what that is given:
    `scorers.references`); None for a control and for what calls its package anyway.
    `rows`: the number of an audit's profile that limits how many rows a costly method explains; `from_profile`: which
    of its options take which number of the profile. `most_features`: above so many it is refused, None: it never is.
    `unit`: the hidden layer and the unit that is explained in the place of the output, None for the output itself.
    `named`: the name of the layer that it is about, until the networks have said which number that is; '' for none.
    `default`: an audit that names no scorers asks it.
    """

    reads: Reads = "network"
    below: bool = False
    at: range = range(maxsize)
    control: bool = False
    zero_on_zero_weights: bool = False
    draws: bool = False
    baseline: Literal["", "zero", "distribution"] = ""
    reference: str | None = None
    rows: str | None = None
    from_profile: Mapping[str, str] = field(default_factory=dict)
    most_features: int | None = None
    unit: tuple[int, int] | None = None
    named: str = ""
    default: bool = True

    def draws_of(self, evaluation: Evaluation) -> bool:
        """Do its numbers depend on the evaluation's seed? Drawn baselines are a draw too."""
        return self.draws or (self.baseline == "zero" and evaluation.baseline_kind == DISTRIBUTION)


class Scorer(Protocol):
    """An attribution method. `name` is its column in every table."""

    name: ClassVar[str]
    traits: ClassVar[ScorerTraits]

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Scores of every member of `networks`, whose inputs are `evaluation.inputs`."""
        ...


def check_applies(scorer: Scorer | type[Scorer], networks: Ensemble) -> None:
    """Raises InputError where the networks do not have what the scorer reads."""
    if reason := networks.refusal(scorer.traits.reads):
        raise InputError(f"{scorer.name} does not apply: {reason}")


def perceptrons(scorer: Scorer, networks: Ensemble) -> Perceptrons:
    """The networks, for a scorer that reads their layers. Raises InputError where these are not known."""
    check_applies(scorer, networks)
    if not isinstance(networks, Perceptrons):
        raise InputError(f"{scorer.name} reads the layers of stacked perceptrons, not {type(networks).__name__}")
    return networks


def sum_groups(columns: Tensor, groups: Mapping[str, tuple[int, ...]]) -> Tensor:
    """Sums `[…, columns]` over each group: `[…, features]`."""
    if all(len(group) == 1 for group in groups.values()):
        order = [group[0] for group in groups.values()]
        return columns if order == list(range(columns.shape[-1])) else columns[..., order]
    return columns @ membership(groups, columns.shape[-1]).to(columns)


def membership(groups: Mapping[str, tuple[int, ...]], columns: int) -> Tensor:
    """`[columns, features]`: 1 where the column belongs to the feature."""
    matrix = torch.zeros(columns, len(groups))
    pairs = [(column, feature) for feature, group in enumerate(groups.values()) for column in group]
    matrix[tuple(torch.tensor(pairs).T)] = 1.0  # one write: a write a feature took as long as the sum itself
    return matrix
