"""One chunk of an audit: train the originals of a data set, or remove some features by one method; then score."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from math import ceil
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from attribution_suite.audit.given import Given
from attribution_suite.audit.outcomes import effects, losses
from attribution_suite.audit.scoring import Choice, score_all, scorers_at, with_replaced_background
from attribution_suite.audit.spec import Profile, Source
from attribution_suite.audit.store import Arrays, Store, content_key
from attribution_suite.audit.tables import NEURONS, ORIGINAL
from attribution_suite.datasets import is_file_name
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.measures.agreement import agreement_matrix
from attribution_suite.measures.leakage import linear_r2
from attribution_suite.memory import keep_freed_memory
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.ensemble import Ensemble, Nodes
from attribution_suite.networks.presets import GENERIC, Preset, preset_for
from attribution_suite.networks.training import Trained, Training, train
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Setting, edited, member_means
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation

HISTORY_VALUES = 8_000_000  # numbers of a weight history in the store (32 MB)
VERSIONS = {package: version(package) for package in (
    "attribution-suite", "torch", "captum", "lime", "xgboost", "scikit-learn", "numpy", "scipy")}


@dataclass(frozen=True)
class Job:
    """One chunk. `removal` is 'original' for the training of the originals; `features` are those removed, one a member.

    `removal` 'neurons' looks inside the originals, `features` are then the hidden layers ('layer 1'); `record`: the
    originals keep their first layer's weights of every epoch for it. `name` and `data` are the data set's name and the
    fingerprint of its content.
    Its key is the content of everything that decides its numbers; where the data lie and who computes is not in it.
    """

    source: Source
    name: str
    data: str
    profile: Profile
    scorers: tuple[str, ...]
    removal: str = ORIGINAL
    features: tuple[str, ...] = ()
    layer: int = 0
    record: bool = False
    given: Given | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """The chunk's name in the store."""
        content = asdict(replace(self, given=None))
        if self.given is not None:
            content["given"] = [self.given.digest, asdict(self.given.training)]
        for place in ("name", "data_dir", "real_only"):
            del content["source"][place]
        del content["profile"]["remove"]
        removal = None if self.removal == NEURONS else REMOVALS.version(self.removal)
        added = [removal, *map(SCORERS.version, self.scorers)]
        return content_key([content, VERSIONS, added])

    @property
    def original(self) -> "Job":
        """The chunk that trains the networks this one edits."""
        return replace(self, removal=ORIGINAL, features=())

    @property
    def title(self) -> str:
        """For progress and errors: data set, removal and features."""
        few = ", ".join(self.features[:3]) + (" …" if len(self.features) > 3 else "")
        return f"{self.name} {self.removal}" + (f" ({few})" if few else "")


def run_job(job: Job, dataset: TabularDataset, store: Store) -> None:
    """Runs a chunk on one thread, whatever the number of jobs: its numbers must not depend on that."""
    from attribution_suite.audit.inside import neurons  # it needs the bench below

    keep_freed_memory()
    bench = Bench(job, dataset)
    with one_thread():
        if job.removal == ORIGINAL:
            arrays = originals(bench)
        else:
            arrays = (neurons if job.removal == NEURONS else removal)(bench, store)
    store.save(job.key, arrays)


@contextmanager
def one_thread() -> Iterator[None]:
    """Every library on one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Bench:
    """What the chunks of one data set share."""

    job: Job
    dataset: TabularDataset

    @property
    def preset(self) -> Preset:
        """The data set's network and training; of given networks, the budget given with them."""
        if self.job.given is not None:
            return replace(GENERIC, training=self.job.given.training)
        # A file is a table of one's own, also when it is called boston.csv.
        name = "" if is_file_name(self.job.source.name) else self.dataset.name
        return preset_for(name, self.job.source.preset)

    @property
    def architecture(self) -> Architecture:
        """The data set's network."""
        if self.job.given is not None:
            return self.job.given.networks.architecture
        return Architecture(self.dataset.features, self.preset.hidden, self.dataset.outputs, self.preset.activation)

    @property
    def seeds(self) -> range:
        """One original a seed."""
        return range(self.job.profile.seeds)

    def originals(self) -> Trained:
        """One network a seed: trained here, or those given."""
        if self.job.given is not None:
            return edited(self.job.given.networks, time.perf_counter())
        start, dataset = Ensemble.initialise(self.architecture, self.seeds), self.dataset
        training = replace(self.preset.training, record_every=self.every if self.job.record else None)
        return train(start, dataset.train, dataset.validation, dataset.task, training, self.seeds)

    @property
    def every(self) -> int:
        """Epochs from one record of the first layer's weights to the next: a record holds `HISTORY_VALUES` at most."""
        widths = self.architecture.widths
        return max(1, ceil(self.preset.training.epochs * len(self.seeds) * widths[0] * widths[1] / HISTORY_VALUES))

    def load_originals(self, store: Store) -> tuple[Ensemble, Arrays]:
        """The originals of the finished chunk, and that chunk."""
        saved = store.load(self.job.original.key)
        if saved is None:
            raise RuntimeError(f"the originals of {self.job.name} are missing: their chunk must run first")
        return self.stored(saved), saved

    def stored(self, arrays: Arrays) -> Ensemble:
        """The originals of a finished chunk."""
        return networks_of(arrays, self.architecture) if self.job.given is None else self.job.given.networks

    @property
    def tuning(self) -> Training:
        """The budget of a warm start: a fraction of the full one, at least one epoch."""
        epochs = max(1, round(self.preset.tuning_epochs * self.job.profile.tuning))
        return replace(self.preset.training, epochs=epochs)

    @cached_property
    def choices(self) -> list[Choice]:
        """The scorers with the profile's numbers."""
        lime = Choice("lime", {"samples": self.job.profile.lime_samples}, self.job.profile.lime_rows)
        return [lime if name == "lime" else Choice(name, {}) for name in scorers_at(self.job.scorers, self.job.layer)]

    def evaluation(self, networks: Ensemble) -> Evaluation:
        """The rows to explain, with the class that each original predicts."""
        test, background = self.dataset.test, self.dataset.train
        rows, few = slice(self.job.profile.rows), slice(self.job.profile.background)
        explained = networks.outputs(test.inputs[rows]).argmax(2) if self.dataset.task == "multiclass" else None
        return Evaluation(test.inputs[rows], test.targets[rows], background.inputs[few], background.targets[few],
                          torch.zeros(self.dataset.features), self.dataset.groups, self.dataset.task, explained)


def originals(bench: Bench) -> Arrays:
    """Trains one network a seed, unless they are given, and scores them."""
    trained = bench.originals()
    evaluation = bench.evaluation(trained.networks)
    arrays = score_all(bench.choices, trained.networks, evaluation, bench.job.layer, evaluation)
    arrays |= curves(trained) | {"agreement": agreement(arrays)}
    if trained.history is not None:
        arrays["history"] = trained.history.numpy()
    return arrays if bench.job.given is not None else arrays | weights(trained.networks)


def removal(bench: Bench, store: Store) -> Arrays:
    """Removes each feature from each original by one method, scores and measures the edited networks."""
    job = bench.job
    original, _ = bench.load_originals(store)
    evaluation = bench.evaluation(original)
    members = torch.arange(len(original)).repeat_interleave(len(job.features))
    groups = evaluation.at_layer(original, job.layer).groups
    nodes = Nodes.of([groups[feature] for feature in job.features]).repeat(len(original))
    setting = bench_setting(bench, original)
    method = REMOVALS.load(job.removal)(**variant(job))
    before = original.select(members)
    trained: Trained = method.remove(before.tail(job.layer), nodes, setting)
    after = before.with_tail(trained.networks)
    seen = evaluation.for_members(members)
    replacement = method.replacement()
    labels = None if replacement is None or job.layer else with_replaced_background(
        seen, nodes, replacement, bench.seeds, bench.preset.training.batch_size)
    arrays = score_all(bench.choices, after, seen, job.layer, labels)
    arrays |= curves(trained) | {"agreement": agreement(arrays)}
    arrays |= measured(bench, before, trained.networks, nodes, member_means(setting, nodes), seen)
    arrays |= recoverability(before, after, job.layer, nodes, seen)
    return arrays


def bench_setting(bench: Bench, original: Ensemble) -> Setting:
    """The data that a removal sees: the inputs, or the originals' activations of the layer."""
    train_split, validation = (
        split if bench.job.layer == 0 else Split(original.activations(split.inputs)[bench.job.layer], split.targets)
        for split in (bench.dataset.train, bench.dataset.validation))
    fresh = None if bench.job.layer == 0 else lambda seeds: original.fresh(seeds).tail(bench.job.layer)
    return Setting(train_split, validation, bench.dataset.task, bench.seeds, bench.preset.training, bench.tuning,
                   fresh)


def variant(job: Job) -> dict[str, Any]:
    """Under the published preset, the published variant of a method that has one."""
    fields = getattr(REMOVALS.load(job.removal), "__dataclass_fields__", {})
    return {"published": True} if job.source.preset == "published" and "published" in fields else {}


def measured(bench: Bench, before: Ensemble, after: Ensemble, nodes: Nodes, means: Tensor, seen: Evaluation) -> Arrays:
    """Losses on the test rows and effects on the evaluated ones; at a hidden layer both on the evaluated ones."""
    layer, dataset = bench.job.layer, bench.dataset
    here = seen.at_layer(before, layer)
    data = dataset.test if layer == 0 else Split(here.inputs, seen.targets)
    arrays = losses(after, nodes, means, data, dataset.task, seen.seed)
    arrays |= effects(after, nodes, here.inputs, here.background, seen.explained, dataset.task, seen.seed)
    untouched = before.tail(layer)
    arrays["loss_before"] = losses(untouched, nodes, means, data, dataset.task, seen.seed)["loss_native"]
    arrays["direct_effect_before"] = effects(
        untouched, nodes, here.inputs, here.background, seen.explained, dataset.task, seen.seed)["direct_effect"]
    return arrays


def recoverability(before: Ensemble, after: Ensemble, layer: int, nodes: Nodes, seen: Evaluation) -> Arrays:
    """What a ridge probe reads of each member's hidden unit from what leaves the next Linear, before and after.

    The unit's peers are the same before and after (the layers below are frozen): what the rest of the network can know
    of the unit is in the next pre-activations. NaN at layer 0.
    """
    names = ("recoverability_before", "recoverability")
    if layer == 0:
        return {name: np.full(len(after), np.nan) for name in names}
    entering = before.activations(seen.background)[layer]
    found: Arrays = {}
    for name, networks in zip(names, (before, after), strict=True):
        leaving = networks.tail(layer).first(entering).numpy()
        found[name] = np.array([linear_r2(leaving[member], entering[member][:, unit].numpy())
                                for member, unit in enumerate(nodes.index[:, 0].tolist())])
    return found


def agreement(arrays: Arrays) -> np.ndarray:
    """`[metrics, scorers, scorers, members]` between the applicable scorers; NaN for the others."""
    signed = ~np.all(np.isnan(arrays["signed"]), (0, 2))
    values = np.where(signed[None, :, None], arrays["signed"], arrays["mean_abs"]).transpose(1, 0, 2)
    keep = arrays["applicable"].nonzero()[0]
    top = max(1, min(5, values.shape[2] // 2))
    found = agreement_matrix(torch.from_numpy(values[keep]), top, torch.from_numpy(signed[keep])).numpy()
    whole = np.full((len(found), len(values), len(values), values.shape[1]), np.nan, np.float32)
    whole[:, keep[:, None], keep] = found
    return whole


def curves(trained: Trained) -> Arrays:
    """Losses `[epochs, members]`, steps and seconds `[members]`."""
    return {
        "training_loss": trained.training_loss.numpy(),
        "validation_loss": trained.validation_loss.numpy(),
        "steps": trained.steps.numpy(),
        "seconds": np.full(len(trained.networks), trained.seconds / len(trained.networks)),
    }


def weights(networks: Ensemble) -> Arrays:
    """The stacked weights and biases, by layer."""
    return {f"weight {layer}": w.numpy() for layer, w in enumerate(networks.weights)} | {
        f"bias {layer}": b.numpy() for layer, b in enumerate(networks.biases)}


def networks_of(arrays: Arrays, architecture: Architecture) -> Ensemble:
    """The networks that `weights` stored."""

    def stack(kind: str) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(arrays[f"{kind} {layer}"]) for layer in range(architecture.depth))

    return Ensemble(architecture, stack("weight"), stack("bias"))


def blocks(features: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """The features in pieces of at most `size`."""
    return [tuple(features[start:start + size]) for start in range(0, len(features), size)]
