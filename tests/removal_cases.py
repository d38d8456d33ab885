"""One table of cases for removals: trained ensembles of every task, columns and groups, input and hidden layer."""

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import Trained, train
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.concept_scrubbing import ConceptScrubbing
from attribution_suite.removals.constant import Constant
from attribution_suite.removals.fold_tuning import Fold
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.leace import Leace
from attribution_suite.removals.removal import Removal, RemovalTraits, Setting, edited
from attribution_suite.removals.residualise import Residualise
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.removals.subset_fold import SubsetFold
from attribution_suite.removals.subset_fold_dp import SubsetFoldDynamicProgramme

TASKS: tuple[Task, ...] = ("regression", "binary", "multiclass")
LOSSES = {"regression": nn.MSELoss(), "binary": nn.BCEWithLogitsLoss(), "multiclass": nn.CrossEntropyLoss()}
SEEDS = (4, 7)
FEATURES = 6
INPUTS = Removable({"first": (0,), "category": (1, 2, 3), "proxy": (4,), "last": (5,)}, InputError)  # category: one-hot
# What the members of a seed lose: a number, a one-hot group, and two features together.
GROUPS = tuple(INPUTS.named(name).columns for name in ("first", "category", "proxy+first"))
NAMES = [f"{task}, layer {layer}" for task in TASKS for layer in (0, 1)]


@dataclass(frozen=True)
class RemovalCase:
    """`networks` (or their tails) and the `groups` that the members lose, with the data they enter."""

    networks: Perceptrons
    groups: tuple[tuple[int, ...], ...]
    setting: Setting

    @property
    def nodes(self) -> Nodes:
        return Nodes.of(self.groups)

    def inputs(self, member: int) -> Tensor:
        """One member's training inputs, `[rows, features]`."""
        inputs = self.setting.train.inputs
        # Contiguous: a product of the same numbers in another layout may differ in its last bit.
        return inputs if inputs.dim() == 2 else inputs[member // self.variants].contiguous()

    @property
    def variants(self) -> int:
        """How many members a seed has."""
        return len(self.groups) // len(SEEDS)

    def for_method(self, method: Removal) -> "RemovalCase":
        """Without the groups that the method does not apply to in some seed."""
        if method.traits.refusals is None:
            return self
        refused = [reason for member, group in enumerate(self.groups) for reason in method.traits.refusals(
            Split(self.inputs(member), self.setting.train.targets), self.setting.task, [group])]
        kept = [member for member in range(len(self.groups)) if not any(refused[member % self.variants::self.variants])]
        return replace(self, networks=self.networks.select(kept), groups=tuple(self.groups[member] for member in kept))

    def briefly(self) -> "RemovalCase":
        """With 60 steps of training, for what holds of any budget."""
        budgets = {name: replace(getattr(self.setting, name), epochs=6) for name in ("training", "tuning")}
        return replace(self, setting=replace(self.setting, **budgets))


def make_split(task: Task, rows: int, seed: int) -> Split:
    """y = 2x₀ + (−1.5, 0, 1.5)[category] + x₄ + x₀x₅/2 + noise; x₄ is a proxy of x₀, means are not zero."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, 4, generator=generator)
    category = torch.randint(3, (rows,), generator=generator)
    first = noise[:, 0]
    inputs = torch.column_stack([first + 0.3, *(2.0 * (category == c) - 0.5 for c in range(3)),
                                 0.6 * first + 0.8 * noise[:, 1], noise[:, 2] - 0.2])
    value = 2 * first + 1.5 * (category - 1) + inputs[:, 4] + first * noise[:, 2] / 2 + 0.3 * noise[:, 3]
    if task == "regression":
        return Split(inputs, value)
    return Split(inputs, (value > 0).float() if task == "binary" else (value > -1.5).long() + (value > 1.5).long())


@cache
def removal_case(name: str) -> RemovalCase:
    """One of NAMES, trained once a session. Three members a seed, seed-major."""
    task: Task = next(task for task in TASKS if name.startswith(task))
    training, validation = make_split(task, 320, 0), make_split(task, 120, 1)
    budget, tuning = Training(30, 32, 5e-3), Training(40, 32, 1e-2)
    architecture = Architecture(FEATURES, (10, 8), 3 if task == "multiclass" else 1)
    originals = train(Perceptrons.initialise(architecture, SEEDS), training, validation, task, budget, SEEDS).networks
    members = originals.select(torch.arange(len(SEEDS)).repeat_interleave(len(GROUPS)))
    if name.endswith("0"):
        return RemovalCase(members, GROUPS * len(SEEDS), Setting(training, validation, task, SEEDS, budget, tuning))
    hidden = [Split(originals.activations(split.inputs)[1], split.targets) for split in (training, validation)]
    influence = originals.weights[1].norm(dim=1) * hidden[0].inputs.std(1)  # [seeds, units]
    strong = influence.argsort(1, descending=True).tolist()
    units = Removable.units(len(strong[0]))
    groups = tuple(units.named(name).columns for a, b, c, d, *_ in strong
                   for name in (f"unit:{a}", f"unit:{b}+unit:{c}+unit:{d}", f"unit:{c}+unit:{a}"))
    return RemovalCase(members.tail(1), groups, Setting(*hidden, task, SEEDS, budget, tuning))


@dataclass(frozen=True)
class Untouched:
    """A removal that removes nothing, and says so: what the suite asks of every method holds for it too."""

    name: ClassVar[str] = "untouched"
    traits: ClassVar[RemovalTraits] = RemovalTraits(exact=False)

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        return edited(networks, time.perf_counter())

    def replacement(self) -> None:
        """Nothing is replaced."""


# Every method of the catalogue as it comes (one that tunes a network a price: of two), then other options of some.
LIGHT: dict[str, dict[str, Any]] = {"independence_tuning": {"strengths": (0.0, 8.0)}}
METHODS: list[Removal] = [
    *(REMOVALS.load(name)(**LIGHT.get(name, {})) for name in REMOVALS.names), SubsetFold(2),
    SubsetFold(2, "exhaustive"), SubsetFoldDynamicProgramme(2), Constant("zero"), Constant("best"),
    StochasticTuning(published=True), InversionTuning(published=True), ShuffleTuning(then="fold"), Fold(0),
    Fold("validation"), ConceptScrubbing("last"), Leace(then="tune"),
    Residualise(then="tune"), Untouched()]
EXACT = [method for method in METHODS if method.traits.exact]
REPLACING = [method for method in METHODS if method.replacement() is not None]
by_case = pytest.mark.parametrize("case", NAMES)


def by_method(methods: list[Removal]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", methods, ids=str)


def remove(method: Removal, case: RemovalCase) -> Perceptrons:
    return method.remove(case.networks, case.nodes, case.setting).networks


def loss_of(case: RemovalCase, networks: Perceptrons, member: int) -> float:
    """The mean training loss of one member, by PyTorch's own loss."""
    output = networks.to_module(member)(case.inputs(member)).detach()
    output = output if case.setting.task == "multiclass" else output[:, 0]
    return float(LOSSES[case.setting.task](output, case.setting.train.targets))


def direct_effects(case: RemovalCase, networks: Perceptrons) -> Tensor:
    """Mean abs change of the outputs, `[members]`, when each member's nodes are permuted together."""
    order = torch.randperm(len(case.setting.train.targets), generator=torch.Generator().manual_seed(0))
    effects = []
    for member, group in enumerate(case.groups):
        net, native = networks.to_module(member), case.inputs(member)
        permuted = native.clone()
        permuted[:, group] = native[order][:, group]
        effects.append((net(native) - net(permuted)).detach().abs().mean())
    return torch.stack(effects)
