"""One network of an ensemble by itself, as a package takes it, and what a scorer's reference says of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import version

import torch
from torch import Tensor, nn

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Attribution, Evaluation, Scorer
from attribution_suite.scorers.pieces import completeness_gap

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Alone:
    """`network`: a plain module to `[rows, outputs]`, on the CPU; `ensemble`: the same as an ensemble of one.

    `evaluation` is where the ensemble is.
    """

    network: nn.Module
    ensemble: Ensemble
    evaluation: Evaluation

    @classmethod
    def of(cls, networks: Ensemble, evaluation: Evaluation, member: int, layer: int = 0) -> "Alone":
        """One member seen from layer `layer` on. Raises InputError for a layer that it does not have."""
        one, seen = networks.select([member]), evaluation.alone(member)
        tail = one.tail(layer)
        moved = tail.to(CPU)
        network = moved.to_sequential() if isinstance(moved, Perceptrons) else nn.Sequential(
            moved.to_module(), _Outputs())
        return cls(network.eval(), tail, seen.at_layer(one, layer).alone(0))

class _Outputs(nn.Module):
    """`[rows]` to `[rows, 1]`, as packages that are given the number of an output need it."""

    def forward(self, values: Tensor) -> Tensor:
        """`[rows, outputs]`."""
        return values.reshape(len(values), -1)


def reference_numbers(scorer: Scorer, alone: Alone, rows: Sequence[int]) -> Tensor:
    """What a scorer's reference says of one network, in float64; shapes and rows as in `scorers.references`.

    On the CPU, whatever computes: there the draws are those of the scorers. By a distribution of baselines the mean
    over them, called by one after the other.
    """
    module, _, function = str(scorer.traits.reference).partition(":")
    reference: Callable[..., Tensor] = getattr(import_module(module), function)
    evaluation = alone.evaluation.to(CPU)
    each = evaluation.each_baseline() if scorer.traits.baseline == "zero" else [evaluation]
    return torch.stack([reference(alone.network, by_one, rows, **vars(scorer)).detach().double()
                        for by_one in each]).mean(0)


def reference_package(scorer: Scorer) -> tuple[str, str]:
    """The package of a scorer's reference and its version."""
    package: str = import_module(str(scorer.traits.reference).partition(":")[0]).PACKAGE
    return package, _version(package)


_version = cache(version)  # it reads a file


def by_reference(scorer: Scorer, attribution: Attribution, networks: Ensemble, evaluation: Evaluation,
                 layer: int) -> Attribution:
    """`attribution` with the numbers of the scorer's reference, called on one network after the other.

    `layer`: what it sees the networks from; 0 for one that is given them whole.
    """
    rows = list(range(evaluation.inputs.shape[-2]))
    each = [reference_numbers(scorer, Alone.of(networks, evaluation, member, layer), rows)
            for member in range(len(networks))]
    numbers = torch.stack(each).to(attribution.scores)
    if attribution.values is None:
        return replace(attribution, scores=numbers[:, 0], signed=numbers[:, 1] if numbers.shape[1] == 2 else None)
    gap = None if attribution.completeness_gap is None else completeness_gap(
        numbers, networks.tail(layer), evaluation.at_layer(networks, layer))
    return replace(attribution, values=numbers, scores=numbers.abs().mean(1), signed=numbers.mean(1),
                   completeness_gap=gap)
