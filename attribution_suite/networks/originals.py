"""The networks that a data set is audited on: one a seed, trained as the data set's preset says."""

from collections.abc import Sequence

import torch

from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import Trained, train


def architecture_of(dataset: TabularDataset, preset: Preset) -> Architecture:
    """The preset's layers between the data set's inputs and outputs."""
    return Architecture(dataset.features, preset.hidden, dataset.outputs, preset.activation)


def train_originals(dataset: TabularDataset, preset: Preset, seeds: Sequence[int], device: torch.device,
                    training: Training | None = None) -> Trained:
    """One network a seed; `training` instead of the preset's budget."""
    start = Perceptrons.initialise(architecture_of(dataset, preset), seeds).to(device)
    budget = training or preset.training
    return train(start, dataset.train.to(device), dataset.validation.to(device), dataset.task, budget, seeds)
