"""Every attribution class of Captum that takes a table, called on one network as Captum's documentation calls it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import captum.attr as attr
import torch
from cases import GROUPS, make_case
from module_cases import Layers, Residual, members
from torch import Tensor, nn

from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class Alone:
    """One network as a user has it. `place`: the activation module of its first hidden layer, `after` the next Linear.

    `x` `[rows, features]`, `b` `[1, features]`, `many` `[background rows, features]`, `t` the target, `mask` groups.
    """

    net: nn.Module
    x: Tensor
    b: Tensor
    many: Tensor
    t: Any
    mask: Tensor

    @property
    def place(self) -> nn.Module:
        return self.net[1]

    @property
    def after(self) -> nn.Module:
        return self.net[2]

    def chosen(self, rows: Tensor) -> Tensor:
        copies = self.t if isinstance(self.t, int) else self.t.repeat_interleave(
            len(rows) // len(self.t))
        return self.net(rows)[torch.arange(len(rows)), copies]


DIRECT: dict[str, Callable[[Alone], Tensor]] = {
    "IntegratedGradients?n_steps=7": lambda a: attr.IntegratedGradients(a.net).attribute(
        a.x, a.b, target=a.t, n_steps=7),
    "IntegratedGradients?multiply_by_inputs=False": lambda a: attr.IntegratedGradients(
        a.net, multiply_by_inputs=False).attribute(a.x, a.b, target=a.t),
    "Saliency?abs=False": lambda a: attr.Saliency(a.net).attribute(a.x, target=a.t, abs=False),
    "InputXGradient": lambda a: attr.InputXGradient(a.net).attribute(a.x, target=a.t),
    "DeepLift": lambda a: attr.DeepLift(a.net).attribute(a.x, a.b, target=a.t),
    "DeepLiftShap": lambda a: attr.DeepLiftShap(a.net).attribute(a.x, a.many, target=a.t),
    "GradientShap": lambda a: attr.GradientShap(a.net).attribute(a.x, a.many, target=a.t),
    "GradientShap?stdevs=0.2": lambda a: attr.GradientShap(a.net).attribute(a.x, a.many, target=a.t, stdevs=0.2),
    "GuidedBackprop": lambda a: attr.GuidedBackprop(a.net).attribute(a.x, target=a.t),
    "Deconvolution": lambda a: attr.Deconvolution(a.net).attribute(a.x, target=a.t),
    "LRP": lambda a: attr.LRP(a.net).attribute(a.x, target=a.t),
    "FeatureAblation": lambda a: attr.FeatureAblation(a.net).attribute(a.x, a.b, target=a.t, feature_mask=a.mask),
    "FeatureAblation?perturbations_per_eval=2": lambda a: attr.FeatureAblation(a.net).attribute(
        a.x, a.b, target=a.t, feature_mask=a.mask, perturbations_per_eval=2),
    "FeaturePermutation": lambda a: attr.FeaturePermutation(a.net).attribute(a.x, target=a.t, feature_mask=a.mask),
    "Occlusion?sliding_window_shapes=2&strides=2": lambda a: attr.Occlusion(a.net).attribute(
        a.x, (2,), strides=(2,), baselines=a.b, target=a.t),
    "ShapleyValueSampling?n_samples=3": lambda a: attr.ShapleyValueSampling(a.net).attribute(
        a.x, a.b, target=a.t, feature_mask=a.mask, n_samples=3),
    "ShapleyValues": lambda a: attr.ShapleyValues(a.net).attribute(a.x, a.b, target=a.t, feature_mask=a.mask),
    "Lime?n_samples=9": lambda a: attr.Lime(a.net).attribute(
        a.x, a.b, target=a.t, feature_mask=a.mask, n_samples=9),
    "KernelShap?n_samples=9": lambda a: attr.KernelShap(a.net).attribute(
        a.x, a.b, target=a.t, feature_mask=a.mask, n_samples=9),
    "NoiseTunnel(Saliency)?nt_samples=3&nt_type=smoothgrad_sq": lambda a: attr.NoiseTunnel(
        attr.Saliency(a.net)).attribute(a.x, target=a.t, nt_type="smoothgrad_sq", nt_samples=3),
    "NoiseTunnel(IntegratedGradients)?n_steps=5&stdevs=0.5": lambda a: attr.NoiseTunnel(
        attr.IntegratedGradients(a.net)).attribute(a.x, baselines=a.b, target=a.t, n_steps=5, stdevs=0.5),
    "NoiseTunnel(GradientShap)?nt_samples=2": lambda a: attr.NoiseTunnel(attr.GradientShap(a.net)).attribute(
        a.x, baselines=a.many, target=a.t, nt_samples=2, draw_baseline_from_distrib=True),
    "NoiseTunnel(DeepLiftShap)?nt_samples=2": lambda a: attr.NoiseTunnel(attr.DeepLiftShap(a.net)).attribute(
        a.x, baselines=a.many, target=a.t, nt_samples=2, draw_baseline_from_distrib=True),
    "NoiseTunnel(FeatureAblation)?nt_samples=2": lambda a: attr.NoiseTunnel(attr.FeatureAblation(a.net)).attribute(
        a.x, baselines=a.b, target=a.t, feature_mask=a.mask, nt_samples=2),
}
LAYERS: dict[str, Callable[[Alone], Tensor]] = {
    "LayerActivation": lambda a: attr.LayerActivation(a.net, a.place).attribute(a.x),
    "LayerGradientXActivation": lambda a: attr.LayerGradientXActivation(a.net, a.place).attribute(a.x, target=a.t),
    "LayerConductance": lambda a: attr.LayerConductance(a.net, a.place).attribute(a.x, a.b, target=a.t),
    "LayerIntegratedGradients?n_steps=5": lambda a: attr.LayerIntegratedGradients(a.net, a.place).attribute(
        a.x, a.b, target=a.t, n_steps=5),
    "InternalInfluence": lambda a: attr.InternalInfluence(a.net, a.place).attribute(a.x, a.b, target=a.t),
    "LayerDeepLift": lambda a: attr.LayerDeepLift(a.net, a.place).attribute(a.x, a.b, target=a.t),
    "LayerDeepLiftShap": lambda a: attr.LayerDeepLiftShap(a.net, a.place).attribute(a.x, a.many, target=a.t),
    "LayerGradientShap": lambda a: attr.LayerGradientShap(a.net, a.place).attribute(a.x, a.many, target=a.t),
    "LayerLRP": lambda a: attr.LayerLRP(a.net, a.after).attribute(a.x, target=a.t, attribute_to_layer_input=True),
    "LayerFeatureAblation": lambda a: attr.LayerFeatureAblation(a.net, a.place).attribute(
        a.x, a.net[:2](a.b).detach(), target=a.t),
    "LayerFeaturePermutation": lambda a: attr.LayerFeaturePermutation(a.chosen, a.place).attribute(a.x),
    "NoiseTunnel(LayerFeaturePermutation)?nt_samples=2": lambda a: attr.NoiseTunnel(
        attr.LayerFeaturePermutation(a.chosen, a.place)).attribute(a.x, nt_samples=2),
    "NoiseTunnel(LayerConductance)?nt_samples=2": lambda a: attr.NoiseTunnel(
        attr.LayerConductance(a.net, a.place)).attribute(a.x, baselines=a.b, target=a.t, nt_samples=2),
}
UNIT = 2
NEURONS: dict[str, Callable[[Alone], Tensor]] = {
    "NeuronGradient": lambda a: attr.NeuronGradient(a.net, a.place).attribute(a.x, UNIT),
    "NeuronConductance": lambda a: attr.NeuronConductance(a.net, a.place).attribute(a.x, UNIT, a.b, target=a.t),
    "NeuronIntegratedGradients": lambda a: attr.NeuronIntegratedGradients(a.net, a.place).attribute(a.x, UNIT, a.b),
    "NeuronDeepLift": lambda a: attr.NeuronDeepLift(a.net, a.place).attribute(a.x, UNIT, a.b),
    "NeuronDeepLiftShap": lambda a: attr.NeuronDeepLiftShap(a.net, a.place).attribute(a.x, UNIT, a.many),
    "NeuronGradientShap": lambda a: attr.NeuronGradientShap(a.net, a.place).attribute(a.x, UNIT, a.many),
    "NeuronGuidedBackprop": lambda a: attr.NeuronGuidedBackprop(a.net, a.place).attribute(a.x, UNIT),
    "NeuronDeconvolution": lambda a: attr.NeuronDeconvolution(a.net, a.place).attribute(a.x, UNIT),
    "NeuronFeatureAblation": lambda a: attr.NeuronFeatureAblation(a.net, a.place).attribute(
        a.x, UNIT, a.b, feature_mask=a.mask),
}


def neuron(name: str) -> str:
    """The name with the unit behind the class."""
    kind, mark, options = name.partition("?")
    return f"{kind}@1:{UNIT}{mark}{options}"


# How every class is asked, and whether at the inputs (0) or at the units of a layer.
ASKED: dict[str, tuple[Callable[[Alone], Tensor], int]] = {
    **{f"captum:{name}": (call, 0) for name, call in DIRECT.items()},
    **{f"captum:{name}": (call, 1) for name, call in LAYERS.items()},
    **{f"captum:{neuron(name)}": (call, 0) for name, call in NEURONS.items()},
}
MASKED = ("FeatureAblation", "FeaturePermutation", "Shapley", "Lime", "KernelShap")


def few(networks: Ensemble, evaluation: Evaluation) -> tuple[Ensemble, Evaluation]:
    """Two networks and four rows."""
    members = torch.tensor([0, 2])
    return networks.select(members), evaluation.for_members(members).with_rows(4)


def perceptrons() -> dict[str, tuple[Ensemble, Evaluation]]:
    """One of every task, with a group of three columns."""
    cases = {name: make_case(name, task, activation, GROUPS) for name, task, activation in (
        ("regression", "regression", "relu"), ("binary tanh", "binary", "tanh"), ("classes", "multiclass", "relu"))}
    return {name: few(case.networks, case.evaluation) for name, case in cases.items()}


def modules() -> dict[str, tuple[Ensemble, Evaluation]]:
    """Modules of several outputs, and of one that returns `[rows]`."""
    found = {}
    for name, kind, outputs, task in (
            ("module classes", Layers, 4, "multiclass"), ("module", Residual, 1, "regression")):
        evaluation = make_case(name, task, groups=GROUPS).evaluation
        networks = Modules.wrap(members(kind, 3, outputs), evaluation.background)
        explained = networks.outputs(evaluation.inputs).argmax(2) if outputs > 1 else None
        given = {**vars(evaluation), "explained": explained}
        found[name] = few(networks, Evaluation(**given))
    return found


def alone(networks: Ensemble, evaluation: Evaluation, member: int) -> Alone:
    """What a user would have in hand of one network."""
    x, many = (values if values.dim() == 2 else values[member] for values in (evaluation.inputs, evaluation.background))
    b = evaluation.baseline if evaluation.baseline.dim() == 1 else evaluation.baseline[member]
    net = copy.deepcopy(networks.to_module(member)).eval()
    target = evaluation.explained[member] if evaluation.explained is not None else 0 if net(x).dim() > 1 else None
    mask = torch.zeros(1, x.shape[1], dtype=torch.int64)
    for number, columns in enumerate(evaluation.groups.values()):
        mask[0, list(columns)] = number
    return Alone(net, x, b[None], many, target, mask)


def directly(name: str, networks: Ensemble, evaluation: Evaluation, member: int, seed: int | None = None) -> Tensor:
    """φ `[rows, features or units]`: a feature's is that of its columns together, or the sum over them."""
    call, layer = ASKED[name]
    network = alone(networks, evaluation, member)
    with seeded(evaluation.seed if seed is None else seed):
        values = call(network).detach()
    if layer:
        return values
    groups = evaluation.groups.values()
    if any(kind in name for kind in MASKED):
        return values[:, [columns[0] for columns in groups]]
    return torch.stack([values[:, list(columns)].sum(1) for columns in groups], 1)
