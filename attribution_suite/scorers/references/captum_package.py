"""Captum called as its users call it: on one network; a feature's φ is the sum over its columns."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import captum.attr
import torch
from captum.attr._utils.lrp_rules import EpsilonRule
from captum.log import log_usage
from torch import Tensor, nn

from attribution_suite.scorers.attribution import Evaluation, sum_groups
from attribution_suite.seeding import seeded

PACKAGE = "captum"
AT_ONCE = 16  # features that one pass ablates
Rows = Sequence[int]


def integrated_gradients(network: nn.Module, evaluation: Evaluation, rows: Rows, steps: int, method: str,
                         multiply_by_inputs: bool) -> Tensor:
    """`captum.attr.IntegratedGradients`."""
    values = captum.attr.IntegratedGradients(_summed(network), multiply_by_inputs).attribute(
        evaluation.inputs[rows], evaluation.baseline[None], additional_forward_args=_classes(evaluation, rows),
        n_steps=steps, method=method)
    return sum_groups(values, evaluation.groups)


def smooth_integrated_gradients(network: nn.Module, evaluation: Evaluation, rows: Rows, samples: int,
                                deviation: float, steps: int, method: str, multiply_by_inputs: bool) -> Tensor:
    """`captum.attr.NoiseTunnel` around `IntegratedGradients`; it draws the noise of all rows, a few are explained."""
    tunnel = captum.attr.NoiseTunnel(_OfRows(network, rows, len(evaluation.inputs), multiply_by_inputs))
    with seeded(evaluation.seed):
        values = tunnel.attribute(
            evaluation.inputs, nt_type="smoothgrad", nt_samples=samples, stdevs=float(deviation), n_steps=steps,
            method=method, baselines=evaluation.baseline[None], additional_forward_args=_classes(evaluation))
    return sum_groups(values[rows], evaluation.groups)


class _OfRows(captum.attr.IntegratedGradients):  # type: ignore[misc]
    """Integrated gradients of all noisy copies of some of `count` rows; zero for the copies of the others."""

    def __init__(self, network: nn.Module, rows: Rows, count: int, multiply_by_inputs: bool) -> None:
        super().__init__(_summed(network), multiply_by_inputs)
        self.rows, self.count = torch.tensor(list(rows)), count

    @log_usage()  # type: ignore[untyped-decorator]  # NoiseTunnel looks below this decorator
    def attribute(self, inputs: Any, additional_forward_args: Any, **options: Any) -> Any:
        """In the shape of `inputs`, which NoiseTunnel hands on in a tuple: the copies of a row follow one another."""
        noisy, classes = (value[0] if isinstance(value, tuple) else value
                          for value in (inputs, additional_forward_args))
        copies = torch.arange(len(noisy)).view(self.count, -1)[self.rows].flatten()
        values = torch.zeros_like(noisy)
        values[copies] = captum.attr.IntegratedGradients.attribute.__wrapped__(
            self, noisy[copies], additional_forward_args=classes[copies], **options)
        return (values,) if isinstance(inputs, tuple) else values


def deep_lift(network: nn.Module, evaluation: Evaluation, rows: Rows, multiply_by_inputs: bool) -> Tensor:
    """`captum.attr.DeepLift`."""
    inputs = evaluation.inputs[rows].clone().requires_grad_()
    with _no_word_of_hooks():
        values = captum.attr.DeepLift(network, multiply_by_inputs).attribute(
            inputs, evaluation.baseline.repeat(len(inputs), 1).requires_grad_(), target=_target(evaluation, rows))
    return sum_groups(values.detach(), evaluation.groups)


def gradient_shap(network: nn.Module, evaluation: Evaluation, rows: Rows, samples: int,
                  multiply_by_inputs: bool) -> Tensor:
    """`captum.attr.GradientShap`, asked for all rows: its draws depend on how many there are."""
    with seeded(evaluation.seed):
        values = captum.attr.GradientShap(_summed(network), multiply_by_inputs).attribute(
            evaluation.inputs, evaluation.distribution, n_samples=samples, additional_forward_args=_classes(evaluation))
    return sum_groups(values[rows].detach(), evaluation.groups)


def saliency(network: nn.Module, evaluation: Evaluation, rows: Rows) -> Tensor:
    """`captum.attr.Saliency`."""
    values = captum.attr.Saliency(network).attribute(evaluation.inputs[rows].clone().requires_grad_(),
                                                     target=_target(evaluation, rows))
    return sum_groups(values, evaluation.groups)


def input_x_gradient(network: nn.Module, evaluation: Evaluation, rows: Rows) -> Tensor:
    """`captum.attr.InputXGradient`."""
    values = captum.attr.InputXGradient(network).attribute(evaluation.inputs[rows].clone().requires_grad_(),
                                                           target=_target(evaluation, rows))
    return sum_groups(values.detach(), evaluation.groups)


def feature_ablation(network: nn.Module, evaluation: Evaluation, rows: Rows) -> Tensor:
    """`captum.attr.FeatureAblation` with a feature's columns as one mask, each of which has the feature's φ."""
    groups, mask = list(evaluation.groups.values()), torch.zeros(1, evaluation.inputs.shape[1], dtype=torch.int64)
    for number, columns in enumerate(groups):
        mask[0, list(columns)] = number
    with torch.no_grad():
        values = captum.attr.FeatureAblation(network).attribute(
            evaluation.inputs[rows], evaluation.baseline[None], target=_target(evaluation, rows), feature_mask=mask,
            perturbations_per_eval=AT_ONCE)
    result: Tensor = values[:, [columns[0] for columns in groups]]
    return result


def shapley_sampling(network: nn.Module, evaluation: Evaluation, rows: Rows, permutations: int) -> Tensor:
    """`captum.attr.ShapleyValueSampling` for the orders that the scorer draws: half of them, then their reverses."""
    groups, mask = list(evaluation.groups.values()), torch.zeros(1, evaluation.inputs.shape[1], dtype=torch.int64)
    for number, columns in enumerate(groups):
        mask[0, list(columns)] = number
    generator = torch.Generator().manual_seed(evaluation.seed)
    drawn = [torch.randperm(len(groups), generator=generator).tolist() for _ in range(permutations // 2)]
    method = captum.attr.ShapleyValueSampling(network)
    method.permutation_generator = lambda *_: iter(drawn + [order[::-1] for order in drawn])
    values = method.attribute(evaluation.inputs[rows], evaluation.baseline[None], target=_target(evaluation, rows),
                              feature_mask=mask, n_samples=permutations, perturbations_per_eval=AT_ONCE)
    result: Tensor = values.detach()[:, [columns[0] for columns in groups]]
    return result


def lrp_epsilon(network: nn.Sequential, evaluation: Evaluation, rows: Rows, epsilon: float) -> Tensor:
    """`captum.attr.LRP`, whose rule for a Linear is the ε rule, with its `EpsilonRule(epsilon)`."""
    for layer in network:
        if isinstance(layer, nn.Linear):
            layer.rule = EpsilonRule(epsilon)
    values = captum.attr.LRP(network).attribute(evaluation.inputs[rows].clone().requires_grad_(),
                                                target=_target(evaluation, rows))
    return sum_groups(values.detach(), evaluation.groups)


def layer_conductance(network: nn.Sequential, evaluation: Evaluation, rows: Rows, layer: int, steps: int,
                      method: str) -> Tensor:
    """`captum.attr.LayerConductance` of the activations of hidden layer `layer`; `[rows, units]`."""
    values: Tensor = captum.attr.LayerConductance(network, network[2 * layer - 1]).attribute(
        evaluation.inputs[rows], evaluation.baseline[None], target=_target(evaluation, rows), n_steps=steps,
        method=method)
    return values.detach()


def _target(evaluation: Evaluation, rows: Rows) -> int | Tensor:
    return 0 if evaluation.explained is None else evaluation.explained[0, rows]


def _summed(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """What Captum calls a forward function: inputs and their classes to the sum of the explained outputs, `[1]`.

    The gradient of the sum by a row is that of the row's output. Captum differentiates output by output what it selects
    itself (`target`), which takes most of the time of a path of hundreds of points.
    """
    return lambda inputs, classes: network(inputs).gather(1, classes[:, None]).sum(0)


def _classes(evaluation: Evaluation, rows: Rows | slice = slice(None)) -> Tensor:
    """The class explained of each row, 0 where there is one output; Captum repeats them as it repeats the rows."""
    if evaluation.explained is None:
        return evaluation.inputs.new_zeros(len(evaluation.inputs), dtype=torch.int64)[rows]
    return evaluation.explained[0, rows]


@contextmanager
def _no_word_of_hooks() -> Iterator[None]:
    with warnings.catch_warnings():  # Captum announces the hooks that it sets and removes
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
        yield
