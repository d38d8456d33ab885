"""The networks that a data set is audited on: one a seed, trained as the data set's preset says."""

from collections.abc import Sequence

import torch

from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.target_scale import cold_start
from attribution_suite.networks.training import Trained, train


def architecture_of(dataset: TabularDataset, preset: Preset) -> Architecture:
    """The preset's layers between the data set's inputs and outputs."""
    return Architecture(dataset.features, preset.hidden, dataset.outputs, preset.activation)


def train_originals(dataset: TabularDataset, preset: Preset, seeds: Sequence[int], device: torch.device,
                    training: Training | None = None) -> Trained:
    """One network a seed; `training` instead of the preset's budget."""
    untrained = Perceptrons.initialise(architecture_of(dataset, preset), seeds).to(device)
    budget, rows, validation = training or preset.training, dataset.train.to(device), dataset.validation.to(device)
    start = cold_start(untrained, rows, dataset.task, budget)
    return train(start, rows, validation, dataset.task, budget, seeds)
