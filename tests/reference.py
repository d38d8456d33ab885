"""Slow versions: Captum called on each network alone, and loops written from docs/methods.md#scorers."""

import captum.attr
import torch
from torch import Tensor, nn

from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation, sum_groups
from attribution_suite.seeding import seeded


def captum_alone(method: str, networks: Perceptrons, evaluation: Evaluation, member: int) -> Tensor:
    """φ `[rows, columns]` of one network, by Captum itself with its own defaults."""
    net = networks.to_module(member)
    inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[member]
    background = evaluation.background if evaluation.background.dim() == 2 else evaluation.background[member]
    baseline = evaluation.baseline if evaluation.baseline.dim() == 1 else evaluation.baseline[member]
    baseline = baseline.expand_as(inputs)
    target = 0 if evaluation.explained is None else evaluation.explained[member]
    mask = torch.zeros(1, inputs.shape[1], dtype=torch.int64)
    for number, columns in enumerate(evaluation.groups.values()):
        mask[0, list(columns)] = number
    calls = {
        "integrated_gradients": lambda: captum.attr.IntegratedGradients(net).attribute(
            inputs, baseline, target=target, n_steps=50),
        "smooth_integrated_gradients": lambda: captum.attr.NoiseTunnel(captum.attr.IntegratedGradients(net)).attribute(
            inputs, nt_type="smoothgrad", nt_samples=5, stdevs=0.1, baselines=baseline[:1], target=target, n_steps=50),
        "deep_lift": lambda: captum.attr.DeepLift(net).attribute(inputs, baseline, target=target),
        "gradient_shap": lambda: captum.attr.GradientShap(net).attribute(
            inputs, background, n_samples=5, target=target),
        "saliency": lambda: captum.attr.Saliency(net).attribute(inputs, target=target),
        "input_x_gradient": lambda: captum.attr.InputXGradient(net).attribute(inputs, target=target),
        "feature_ablation": lambda: captum.attr.FeatureAblation(net).attribute(
            inputs, baseline, target=target, feature_mask=mask),
        "layer_conductance": lambda: captum.attr.LayerConductance(net, net[1]).attribute(
            inputs, baseline, target=target, n_steps=50),
    }
    with seeded(evaluation.seed):
        return calls[method]().detach()


def positive_relevance(inputs: Tensor, weight: Tensor, relevance: Tensor) -> Tensor:
    """The z⁺ rule of one layer and one row, written out: R_i = Σ_j (x_i w_ji)⁺ / Σ_i' (x_i' w_ji')⁺ R_j."""
    out = torch.zeros(len(inputs))
    for j in range(len(weight)):
        positive = [max(float(inputs[i] * weight[j, i]), 0.0) for i in range(len(inputs))]
        if sum(positive) > 0:
            for i in range(len(inputs)):
                out[i] += positive[i] / sum(positive) * relevance[j]
    return out


def gradient_weight_alone(networks: Perceptrons, evaluation: Evaluation, member: int, batch_size: int = 64) -> Tensor:
    """Gradient × weight of one network by autograd, batch by batch, `[features]`."""
    net, products = networks.to_module(member), []
    losses = {"regression": nn.MSELoss(), "binary": nn.BCEWithLogitsLoss(), "multiclass": nn.CrossEntropyLoss()}
    for start in range(0, len(evaluation.background), batch_size):
        output = net(evaluation.background[start:start + batch_size])
        output = output if evaluation.task == "multiclass" else output[:, 0]
        net.zero_grad()
        losses[evaluation.task](output, evaluation.background_targets[start:start + batch_size]).backward()
        products.append((net[0].weight.grad.abs() * net[0].weight.abs()).mean(0).detach())
    return sum_groups(torch.stack(products).mean(0), evaluation.groups)
