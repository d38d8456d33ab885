"""What the chunks of one data set share: its network, budgets, scorers and rows, on the device that computes."""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import torch
from torch import Tensor

from attribution_suite.audit.job import Job
from attribution_suite.audit.scoring import Choice, scorers_at
from attribution_suite.audit.store import Arrays, Store
from attribution_suite.datasets.preset import GENERIC, Preset, Training
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.devices import CPU
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.training import Trained, train
from attribution_suite.removals.removal import edited
from attribution_suite.scorers.attribution import Evaluation

HISTORY_VALUES = 8_000_000  # numbers of a weight history in the store (32 MB)


@dataclass(frozen=True)
class Bench:
    """What the chunks of one data set share. Networks and rows are on `device`; draws are made on the CPU."""

    job: Job
    dataset: TabularDataset
    device: torch.device = CPU

    @cached_property
    def train(self) -> Split:
        """The training rows, scaled."""
        return self.dataset.train.to(self.device)

    @cached_property
    def validation(self) -> Split:
        """The rows that early stopping reads, scaled."""
        return self.dataset.validation.to(self.device)

    @cached_property
    def test(self) -> Split:
        """The rows that losses and attributions are reported on, scaled."""
        return self.dataset.test.to(self.device)

    @property
    def preset(self) -> Preset:
        """The data set's network and training; of given networks, the budget given with them."""
        if self.job.given is not None:
            return replace(GENERIC, training=self.job.given.training)
        return self.dataset.preset

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
            return edited(self.job.given.networks.to(self.device), time.perf_counter())
        start = Ensemble.initialise(self.architecture, self.seeds).to(self.device)
        training = replace(self.preset.training, record_every=self.every if self.job.record else None)
        return train(start, self.train, self.validation, self.dataset.task, training, self.seeds)

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
        given = self.job.given
        return (networks_of(arrays, self.architecture) if given is None else given.networks).to(self.device)

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
        test, background = self.test, self.train
        rows, few = slice(self.job.profile.rows), slice(self.job.profile.background)
        explained = networks.outputs(test.inputs[rows]).argmax(2) if self.dataset.task == "multiclass" else None
        return Evaluation(test.inputs[rows], test.targets[rows], background.inputs[few], background.targets[few],
                          torch.zeros_like(test.inputs[0]), self.dataset.groups, self.dataset.task, explained)


def weights(networks: Ensemble) -> Arrays:
    """The stacked weights and biases, by layer."""
    return {f"weight {layer}": w.numpy(force=True) for layer, w in enumerate(networks.weights)} | {
        f"bias {layer}": b.numpy(force=True) for layer, b in enumerate(networks.biases)}


def networks_of(arrays: Arrays, architecture: Architecture) -> Ensemble:
    """The networks that `weights` stored."""

    def stack(kind: str) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(arrays[f"{kind} {layer}"]) for layer in range(architecture.depth))

    return Ensemble(architecture, stack("weight"), stack("bias"))
