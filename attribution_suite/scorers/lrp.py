"""Layer-wise relevance propagation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.forward import collect
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.options import check_positive
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, perceptrons
from attribution_suite.scorers.pieces import Piece, pieces

STABILISER = 1e-9
# Inputs, weight, bias, pre-activation, relevance: one layer down.
Rule = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


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
        return _attribute(self.name, perceptrons(self, networks), evaluation, partial(epsilon_rule, self.epsilon))


@dataclass(frozen=True)
class LRPGamma:
    """γ rule: R_i = Σ_j (z_ij + γ z_ij⁺) / (z_j + γ z_j⁺) · R_j, z_ij = h_i w_ji; at z_j < 0 with z⁻ in z⁺'s place.

    z_j = Σ_i z_ij + b_j is the pre-activation and z_j⁺ = Σ_i z_ij⁺ + b_j⁺, so biases absorb their part; `details` as in
    `lrp_epsilon`. γ = 0 is the ε rule as ε → 0; as γ → ∞ only contributions of z_j's sign count. Montavon et al.
    (2019), Layer-Wise Relevance Propagation: An Overview, for h ≥ 0 and z_j > 0; for either sign, Andéol et al. (2021),
    Learning Domain Invariant Representations by Joint Wasserstein Distance Minimization, and zennit's Gamma.
    """

    gamma: float = 0.25
    name: ClassVar[str] = "lrp_gamma"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", zero_on_zero_weights=True, default=False,
        reference="attribution_suite.scorers.references.definitions:lrp_gamma")

    def __post_init__(self) -> None:
        check_positive(self, "gamma")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local relevance in the units of the explained output."""
        return _attribute(self.name, perceptrons(self, networks), evaluation, partial(gamma_rule, self.gamma))


@dataclass(frozen=True)
class LRPAlphaBeta:
    """αβ rule: R_i = Σ_j (α z_ij⁺ / z_j⁺ − β z_ij⁻ / z_j⁻) · R_j with β = α − 1 and z_ij = h_i w_ji.

    z_j± = Σ_i z_ij± + b_j±, so biases absorb their part; a unit that nothing excites, or nothing inhibits, passes the
    other part alone. `details` as in `lrp_epsilon`. α = 1 is z⁺ with biases. Bach et al. (2015); Montavon et al.
    (2019).
    """

    alpha: float = 2.0
    name: ClassVar[str] = "lrp_alpha_beta"
    traits: ClassVar[ScorerTraits] = ScorerTraits(
        reads="layers", zero_on_zero_weights=True, default=False,
        reference="attribution_suite.scorers.references.definitions:lrp_alpha_beta")

    def __post_init__(self) -> None:
        check_positive(self, "alpha")
        if self.alpha < 1:
            raise InputError(f"option 'alpha' of {self.name} must be at least 1, got {self.alpha}: β = α − 1")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Local relevance in the units of the explained output."""
        return _attribute(self.name, perceptrons(self, networks), evaluation, partial(alpha_beta_rule, self.alpha))


def positive_rule(inputs: Tensor, weight: Tensor, _: Tensor, __: Tensor, relevance: Tensor) -> Tensor:
    """One layer down by z⁺, which leaves the bias and so the pre-activation out.

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


def epsilon_rule(epsilon: float, inputs: Tensor, weight: Tensor, _: Tensor, pre_activation: Tensor,
                 relevance: Tensor) -> Tensor:
    """One layer down by ε; `pre_activation` `[members, rows, out]`, the other shapes as in `positive_rule`."""
    passed = relevance / (pre_activation + epsilon * _sign(pre_activation))
    return inputs * torch.bmm(passed, weight)


def gamma_rule(gamma: float, inputs: Tensor, weight: Tensor, bias: Tensor, pre_activation: Tensor,
               relevance: Tensor) -> Tensor:
    """One layer down by γ; shapes as in `epsilon_rule`, `bias` `[members, out]`."""
    sign = _sign(pre_activation)
    same = torch.where(sign > 0, *_sums(inputs, weight, bias))
    passed = relevance / (pre_activation + gamma * same + STABILISER * sign)
    more = (1 + gamma) * passed
    return _contributions(inputs, weight, torch.where(sign > 0, more, passed), torch.where(sign > 0, passed, more))


def alpha_beta_rule(alpha: float, inputs: Tensor, weight: Tensor, bias: Tensor, _: Tensor, relevance: Tensor) -> Tensor:
    """One layer down by αβ; shapes as in `gamma_rule`."""
    positive, negative = _sums(inputs, weight, bias)
    return _contributions(inputs, weight, alpha * relevance / (positive + STABILISER),
                          (1 - alpha) * relevance / (negative - STABILISER))


def _sign(values: Tensor) -> Tensor:
    return torch.where(values < 0, -1.0, 1.0)


def _sums(inputs: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """What excites and what inhibits every unit: Σ_i (h_i w_ji)± + b_j±, `[members, rows, out]` each."""
    rows = inputs.expand(len(weight), -1, -1)
    up, down = rows.relu(), rows.clamp(max=0)
    plus, minus = weight.relu().transpose(1, 2), weight.clamp(max=0).transpose(1, 2)
    return (torch.bmm(up, plus) + torch.bmm(down, minus) + bias.relu()[:, None],
            torch.bmm(up, minus) + torch.bmm(down, plus) + bias.clamp(max=0)[:, None])


def _contributions(inputs: Tensor, weight: Tensor, to_positive: Tensor, to_negative: Tensor) -> Tensor:
    """Σ_j (h_i w_ji)⁺ to_positive_j + (h_i w_ji)⁻ to_negative_j, in the shape of the layer's inputs."""
    plus, minus = weight.relu(), weight.clamp(max=0)
    up = torch.bmm(to_positive, plus) + torch.bmm(to_negative, minus)
    down = torch.bmm(to_positive, minus) + torch.bmm(to_negative, plus)
    return inputs.relu() * up + inputs.clamp(max=0) * down


def relevance(piece: Piece[Perceptrons], rule: Rule) -> list[Tensor]:
    """Relevance `[members, rows, width]` of every layer, the input first; the last is the explained output's."""
    networks = piece.networks
    collected = collect(networks, piece.inputs)
    inputs, output = [piece.inputs, *collected.entering[1:]], collected.outputs  # the inputs as the members share them
    if piece.explained is not None:
        output = output * torch.nn.functional.one_hot(piece.explained, output.shape[2])
    layers = [output]
    for values, weight, bias, leaving in zip(inputs[::-1], networks.weights[::-1], networks.biases[::-1],
                                             collected.leaving[::-1], strict=True):
        layers.insert(0, rule(values, weight, bias, leaving, layers[0]))
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
