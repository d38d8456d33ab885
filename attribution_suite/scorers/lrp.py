"""Layer-wise relevance propagation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.forward import collect
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.options import check_positive
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, perceptrons
from attribution_suite.scorers.pieces import Piece, pieces

STABILISER = 1e-9
Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # inputs, weight, pre-activation, relevance: one layer down


@dataclass(frozen=True)
class LRP:
    """z⁺ rule: R_i = Σ_j (h_i w_ji)⁺ / Σ_i' (h_i' w_ji')⁺ · R_j, from the explained output down.

    h enters the layer; activations pass relevance through. Biases get none, so Σ R is the same at every layer, up to
    the stabiliser (a unit whose inputs are all inhibiting has nothing to pass to). Every layer's mean abs relevance is
    in `details['layer l']`, `[members, units]`; `details['absorbed']` `[members]` is the mean over rows of
    abs(explained output − Σ φ), what does not arrive at the inputs.
    Bach et al. (2015); Montavon et al. (2017), deep Taylor decomposition.
    """

    name: ClassVar[str] = "lrp"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.definitions:lrp")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local relevance in the units of the explained output."""
        return _attribute(self.name, perceptrons(self, networks), evaluation, positive_rule)


@dataclass(frozen=True)
class LRPEpsilon:
    """ε rule: R_i = Σ_j h_i w_ji R_j / (z_j + ε·sign z_j), z_j = Σ_i h_i w_ji + b_j the pre-activation (sign 0 = 1).

    As the bias stands in z_j, a unit passes on no more than its inputs' part of it; the bias' part, and a little to ε,
    is absorbed. `details['absorbed']` `[members]` is the mean over rows of abs(explained output − Σ φ), in the units
    of the explained output; `details['layer l']` as in `lrp`. For ReLU networks φ tends to input × gradient as ε → 0.
    Bach et al. (2015), On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance
    Propagation, with the bias as in Captum's LRP and zennit.
    """

    epsilon: float = 1e-6
    name: ClassVar[str] = "lrp_epsilon"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", zero_on_zero_weights=True,
        reference="attribution_suite.scorers.references.captum_package:lrp_epsilon")

    def __post_init__(self) -> None:
        check_positive(self, "epsilon")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local relevance in the units of the explained output."""
        def rule(inputs: Tensor, weight: Tensor, pre_activation: Tensor, relevance: Tensor) -> Tensor:
            return epsilon_rule(inputs, weight, pre_activation, relevance, self.epsilon)

        return _attribute(self.name, perceptrons(self, networks), evaluation, rule)


def positive_rule(inputs: Tensor, weight: Tensor, _: Tensor, relevance: Tensor) -> Tensor:
    """One layer down by z⁺, which leaves the bias out and so the pre-activation.

    `inputs` `[rows, in]` or `[members, rows, in]`, `weight` `[members, out, in]`, `relevance` `[members, rows, out]`.
    """
    plus, members = weight.relu(), (len(weight), -1, -1)
    if bool(inputs.min() >= 0):  # ReLU activations: the negative half is empty
        passed = relevance / (torch.bmm(inputs.expand(members), plus.transpose(1, 2)) + STABILISER)
        return torch.bmm(passed, plus).mul_(inputs)
    up, minus = inputs.relu(), weight - plus
    down = inputs - up
    z = torch.bmm(up.expand(members), plus.transpose(1, 2)).baddbmm_(down.expand(members), minus.transpose(1, 2))
    passed = relevance / (z + STABILISER)
    return torch.bmm(passed, plus).mul_(up).addcmul_(torch.bmm(passed, minus), down)


def epsilon_rule(inputs: Tensor, weight: Tensor, pre_activation: Tensor, relevance: Tensor, epsilon: float) -> Tensor:
    """One layer down by ε; `pre_activation` `[members, rows, out]`, the other shapes as in `positive_rule`."""
    passed = relevance / (pre_activation + epsilon * torch.where(pre_activation < 0, -1.0, 1.0))
    return inputs * torch.bmm(passed, weight)


def relevance(piece: Piece[Perceptrons], rule: Rule) -> list[Tensor]:
    """Relevance `[members, rows, width]` of every layer, the input first; the last is the explained output's."""
    networks = piece.networks
    collected = collect(networks, piece.inputs)
    inputs, output = [piece.inputs, *collected.entering[1:]], collected.outputs  # the inputs as the members share them
    if piece.explained is not None:
        output = output * torch.nn.functional.one_hot(piece.explained, output.shape[2])
    layers = [output]
    for values, weight, leaving in zip(inputs[::-1], networks.weights[::-1], collected.leaving[::-1], strict=True):
        layers.insert(0, rule(values, weight, leaving, layers[0]))
    return layers


def _attribute(name: str, networks: Perceptrons, evaluation: Evaluation, rule: Rule) -> Attribution:
    rows, widths = evaluation.inputs.shape[-2], networks.architecture.widths[:-1]
    columns = evaluation.inputs.new_empty(len(networks), rows, widths[0])
    absorbed = columns.new_zeros(len(networks))
    means = {f"layer {layer}": columns.new_zeros(len(networks), width) for layer, width in enumerate(widths)}
    for piece in pieces(networks, evaluation, 2):
        layers = relevance(piece, rule)
        columns[piece.members, piece.rows] = layers[0]
        for layer, mean in enumerate(means.values()):
            mean[piece.members] += layers[layer].abs().sum(1) / rows
        absorbed[piece.members] += (layers[-1].sum(2) - layers[0].sum(2)).abs().sum(1) / rows
    attribution = Attribution.from_columns(name, columns, evaluation)
    return Attribution(name, attribution.features, attribution.scores, attribution.values, attribution.signed,
                       details=means | {"absorbed": absorbed})
