"""The work of a chunk that trains originals: the networks, what scorers say of them, how they trained."""

import time
from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.local import LOCAL, local_attributions
from attribution_suite.auditing.work.metrics import explanation_metrics, randomised
from attribution_suite.auditing.work.outcomes import each_effect
from attribution_suite.auditing.work.performance import ORIGINAL_OUTCOMES, original_outcomes, performed
from attribution_suite.auditing.work.score import SCORED, score_all
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.gate import finite_outputs
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.originals import architecture_of, train_originals
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import Trained
from attribution_suite.removals.removal import edited
from attribution_suite.scorers.attribution import Evaluation

CURVES = ("training_loss", "validation_loss", "steps", "seconds")
TRAINED = (*SCORED, *CURVES, *ORIGINAL_OUTCOMES, LOCAL, "each_effect")
HISTORY_VALUES = 8_000_000  # numbers of a weight history in the store (32 MB)


def original_networks(subject: Subject, dataset: TabularDataset, device: torch.device,
                      record_every: int | None) -> Trained:
    """One network a seed: trained here, or those given."""
    if subject.given is not None:
        return edited(subject.given.networks.to(device), time.perf_counter())
    training = replace(subject.preset.training, record_every=record_every)
    return train_originals(dataset, subject.preset, subject.seeds, device, training)


def score_originals(subject: Subject, dataset: TabularDataset, device: torch.device,
                    record_every: int | None) -> Arrays:
    """Trains one network a seed, unless they are given, checks their outputs on every row in use, and scores them."""
    trained = original_networks(subject, dataset, device, record_every)
    networks = trained.networks
    evaluation = evaluation_of(subject, dataset, networks)
    for rows, inputs in (("training", evaluation.background), ("validation", dataset.validation.inputs.to(device)),
                         ("test", dataset.test.inputs.to(device)), ("baseline", evaluation.baselines)):
        finite_outputs(networks, inputs, rows)
    arrays = score_all(subject.choices, networks, evaluation, subject.layer, evaluation, subject.profile.lime_rows,
                       subject.seeds, subject.reference)
    arrays |= original_outcomes(subject, dataset, networks, evaluation, arrays["measured"])
    arrays |= local_attributions(subject.choices, arrays["measured"] & np.isfinite(arrays["gap"]).all(0), networks,
                                 evaluation, subject.layer, dataset, subject.seeds)
    arrays |= curves(trained) | {"each_effect": each_effect(
        networks.tail(subject.layer), evaluation.at_layer(networks, subject.layer))}
    if trained.history is not None:
        arrays["history"] = trained.history.numpy(force=True)
    return arrays | weights(networks)


def explain_originals(subject: Subject, dataset: TabularDataset, device: torch.device, stored: Arrays) -> Arrays:
    """How true and steady explanations of the originals in a finished chunk are, and what random weights change."""
    networks = stored_originals(subject, dataset, stored, device)
    asked = (subject.choices, networks, evaluation_of(subject, dataset, networks), subject.layer, subject.seeds,
             stored["measured"])
    return explanation_metrics(*asked) | randomised(*asked)


def originals_scored(subject: Subject, dataset: TabularDataset, device: torch.device, stored: Arrays) -> Arrays:
    """What scorers say of the originals in a finished chunk, and how good they are, asked again."""
    networks = stored_originals(subject, dataset, stored, device)
    evaluation = evaluation_of(subject, dataset, networks)
    return performed(networks, dataset, evaluation) | score_all(
        subject.choices, networks, evaluation, subject.layer, evaluation, subject.profile.lime_rows, subject.seeds)


def stored_names(subject: Subject, record_every: int | None) -> Iterator[str]:
    """The arrays of `score_originals`: the training of given networks is not recorded."""
    yield from (*TRAINED, *weight_names(subject))
    if subject.given is None and record_every is not None:
        yield "history"


def weight_names(subject: Subject) -> Iterator[str]:
    """The arrays of `weights`, of the originals and of what is made of them."""
    if subject.given is None:
        depth = len(subject.preset.hidden) + 1
    elif isinstance(subject.given.networks, Perceptrons):
        depth = subject.given.networks.architecture.depth
    else:
        return
    yield from (f"{kind} {layer}" for kind in ("weight", "bias") for layer in range(depth))


def evaluation_of(subject: Subject, dataset: TabularDataset, networks: Ensemble) -> Evaluation:
    """The rows to explain, with the class that each original predicts."""
    return Evaluation.of(dataset, networks, subject.profile.rows, subject.profile.background, subject.baseline)


def stored_originals(subject: Subject, dataset: TabularDataset, arrays: Arrays, device: torch.device) -> Ensemble:
    """The originals of a finished chunk."""
    if subject.given is not None:
        return subject.given.networks.to(device)
    return networks_of(arrays, architecture_of(dataset, subject.preset)).to(device)


def curves(trained: Trained) -> Arrays:
    """Losses `[epochs, members]`, steps and seconds `[members]`."""
    return {
        "training_loss": trained.training_loss.numpy(force=True),
        "validation_loss": trained.validation_loss.numpy(force=True),
        "steps": trained.steps.numpy(force=True),
        "seconds": np.full(len(trained.networks), trained.seconds / len(trained.networks)),
    }


def record_every(epochs: int, seeds: int, architecture: Architecture) -> int:
    """Epochs from one record of the first layer's weights to the next: a record holds `HISTORY_VALUES` at most."""
    return max(1, ceil(epochs * seeds * architecture.widths[0] * architecture.widths[1] / HISTORY_VALUES))


def weights(networks: Ensemble) -> Arrays:
    """The stacked weights and biases, by layer; of modules that are not stacked nothing is kept."""
    if not isinstance(networks, Perceptrons):
        return {}
    return {f"weight {layer}": w.numpy(force=True) for layer, w in enumerate(networks.weights)} | {
        f"bias {layer}": b.numpy(force=True) for layer, b in enumerate(networks.biases)}


def networks_of(arrays: Arrays, architecture: Architecture) -> Perceptrons:
    """The networks that `weights` stored."""

    def stack(kind: str) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(arrays[f"{kind} {layer}"]) for layer in range(architecture.depth))

    return Perceptrons(architecture, stack("weight"), stack("bias"))
