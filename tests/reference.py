"""Slow versions: Captum called on each network alone, and loops written from docs/methods.md#scorers."""

import captum.attr
import numpy as np
import torch
from lime.lime_tabular import LimeTabularExplainer
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


def lrp_alone(networks: Perceptrons, evaluation: Evaluation, member: int) -> Tensor:
    """z⁺ relevance of one network in plain PyTorch, layer by layer, `[rows, features]`."""
    linears = [layer for layer in networks.to_module(member) if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        values = [evaluation.inputs]
        for linear in linears[:-1]:
            values.append(linear(values[-1]).relu())
        output = linears[-1](values[-1])
        explained = 0 if evaluation.explained is None else evaluation.explained[member]
        chosen = torch.zeros_like(output)
        chosen[torch.arange(len(output)), explained] = 1.0
        relevance = output * chosen
        for linear, entering in zip(reversed(linears), reversed(values), strict=True):
            plus, minus = linear.weight.clamp(min=0), linear.weight.clamp(max=0)
            up, down = entering.clamp(min=0), entering.clamp(max=0)
            passed = relevance / (up @ plus.T + down @ minus.T + 1e-9)
            relevance = up * (passed @ plus) + down * (passed @ minus)
    return sum_groups(relevance, evaluation.groups)


class LimeAlone:
    """The `lime` package on one network and one row, with the suite's seed of that row.

    Its explainer is built once, as one would; only the random state is set for each row.
    """

    def __init__(self, networks: Perceptrons, evaluation: Evaluation, samples: int, neighbourhoods: int) -> None:
        self.networks, self.evaluation, self.samples = networks, evaluation, samples
        self.neighbourhoods = neighbourhoods
        self.explainer = LimeTabularExplainer(evaluation.background.double().numpy(), mode="regression",
                                              feature_selection="none", random_state=0)

    def coefficients(self, member: int, row: int) -> np.ndarray:
        """In the order of the columns."""
        net, evaluation = self.networks.to_module(member), self.evaluation
        output = 0 if evaluation.explained is None else int(evaluation.explained[member, row])
        state = np.random.RandomState([evaluation.seed, row % self.neighbourhoods])
        self.explainer.random_state = self.explainer.discretizer.random_state = self.explainer.base.random_state = state

        def predict(drawn: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return net(torch.from_numpy(drawn).float())[:, output].double().numpy()

        values = evaluation.inputs[row].double().numpy()
        found = dict(self.explainer.explain_instance(values, predict, num_samples=self.samples).local_exp[1])
        return np.array([found[column] for column in range(len(values))])
