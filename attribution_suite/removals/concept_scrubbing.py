"""Concept erasure at the input and at every hidden layer."""

import time
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_one_of
from attribution_suite.removals.linear_maps import Entering, directions
from attribution_suite.removals.removal import RemovalTraits, Setting, edited

Layers = Literal["all", "last"]


@dataclass(frozen=True)
class ConceptScrubbing:
    """LEACE of x_j from what enters each layer in turn, the input first, each map folded into the layer that it enters.

    The layers before are edited when the next one is asked: h becomes μ + P(h − μ), P = I − W⁺ U Uᵀ W, W = Σ_hh^(−1/2),
    U an orthonormal basis of W Σ_hz (Belrose et al. 2023). On the training rows no linear probe finds x_j in any of
    these places, and the output, linear in what enters the last layer, does not covary with it. `layers` 'last': only
    there, with x_j folded onto its peers at the input: as much for the output, at less change. A nonlinear probe may
    still find x_j. Column j is exactly zero; nothing is trained.
    """

    layers: Layers = "all"
    name: ClassVar[str] = "concept_scrubbing"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="in training", layers=True, default=False, of_index="never")

    def __post_init__(self) -> None:
        check_one_of(self, "layers", get_args(Layers))

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form. Raises InputError where the layers are not known."""
        started = time.perf_counter()
        if reason := networks.refusal("layers"):
            raise InputError(f"{self.name} does not apply: {reason}")
        inputs, depth = setting.train.inputs, networks.architecture.depth
        entering = Entering.of(inputs, len(networks), nodes, networks.index_columns)
        taken, read = directions(entering.across, entering.regression, entering.within)
        if self.layers == "last" and depth > 1:
            taken, read = taken * 0, read * 0
        scrubbed = entering.erase(networks, taken, read)
        for layer in range(1 if self.layers == "all" else max(1, depth - 1), depth):
            scrubbed = _erased(scrubbed, layer, inputs, entering)
        return edited(scrubbed, started)

    def replacement(self) -> None:
        """Weights are edited, not data."""


def _erased(networks: Ensemble, layer: int, inputs: Tensor, entering: Entering) -> Ensemble:
    """The networks on what LEACE leaves of a hidden layer; `entering`: what enters the first one, and loses nodes."""
    weights, biases = [], []
    for piece, members in networks.pieces(inputs.shape[-2] * max(networks.architecture.widths)):
        if inputs.dim() == 2:
            seen, concept = inputs, entering.scores(entering.removed[piece])
        else:  # at a hidden layer each seed's networks have rows of their own
            seed = torch.arange(len(networks), device=networks.device)[piece] * len(inputs) // len(networks)
            seen, concept = inputs[seed], entering.scores(entering.removed[piece], seed)
        hidden = Entering.of(members.activations(seen)[layer], len(members))
        cross = hidden.covariance(concept)
        tail = hidden.fold(members.tail(layer), *directions(cross, hidden.solve(cross), entering.within[piece]))
        weights.append(tail.first_weight)
        biases.append(tail.first_bias)
    return networks.with_tail(networks.tail(layer).with_first_layer(torch.cat(weights), torch.cat(biases)))
