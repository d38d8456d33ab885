"""A regression trains on (y − μ)/σ, and every reader sees the target's own units: the affine step between the two."""

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split, Task
from attribution_suite.networks.network import Ensemble

AnyEnsemble = TypeVar("AnyEnsemble", bound=Ensemble)

# Untrained outputs this many times larger or smaller than 1 were not made for standardised targets.
FAR = 100.0
ROWS = 100_000  # training rows, at most, whose untrained outputs tell that


class OutputScale(nn.Module):
    """outputs → scale · outputs + shift, fixed: the last step of a module that was trained on standardised targets."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("shift", torch.tensor(shift))

    def forward(self, outputs: Tensor) -> Tensor:
        """The outputs in the target's own units."""
        return self.scale * outputs + self.shift


@dataclass(frozen=True)
class TargetScale:
    """`mean` μ and `deviation` σ of the training targets, in their own units; a constant target keeps σ = 1."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, train: Split, task: Task, training: Training) -> "TargetScale | None":
        """Of these training rows; None where targets are trained as they are: classes, or `standardise` False."""
        if task != "regression" or not training.standardise:
            return None
        targets = train.targets.double()
        varies = bool((targets != targets[0]).any())
        return cls(float(targets.mean()), float(targets.std(correction=0)) if varies else 1.0)

    def standardised(self, split: Split) -> Split:
        """The rows with the targets (y − μ)/σ."""
        targets = (split.targets.double() - self.mean) / self.deviation
        return replace(split, targets=targets.to(split.targets.dtype))

    def entering(self, networks: AnyEnsemble) -> AnyEnsemble:
        """Networks in the target's units as networks of the standardised target: (f − μ)/σ."""
        return networks.with_outputs_scaled(1 / self.deviation, -self.mean / self.deviation)

    def leaving(self, networks: AnyEnsemble) -> AnyEnsemble:
        """Networks of the standardised target in the target's own units: σ f + μ."""
        return networks.with_outputs_scaled(self.deviation, self.mean)


def cold_start(untrained: AnyEnsemble, train: Split, task: Task, training: Training) -> AnyEnsemble:
    """Untrained networks f as σ f + μ, so that a training that standardises starts with f itself.

    A module may bring an output scale of its own, as a user needs who trained a salary before: where the untrained
    outputs (of at most `ROWS` rows) are `FAR` from 1 and nearer to the targets (root mean squares, as ratios), f
    starts as it is.
    """
    scale = TargetScale.of(train, task, training)
    if scale is None:
        return untrained
    size, wanted = (float(values.double().square().mean().sqrt().clamp_min(1e-30).log10())
                    for values in (untrained.outputs(train.inputs[..., :ROWS, :]), train.targets))
    brings_its_own = abs(size) > torch.tensor(FAR).log10() and abs(size - wanted) < abs(size)
    return untrained if brings_its_own else scale.leaving(untrained)
