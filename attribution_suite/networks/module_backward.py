"""Gradients of any modules' training loss, for the same training loop as the perceptrons'."""

from collections.abc import Sequence

import torch
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Backward, Batch, PerceptronBackward
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.predictors import Predictors


class ModuleBackward(Backward):
    """All members' trainable parameters in one flat buffer, differentiated by autograd; W and b in front stay.

    A clamped node has W_:j = 0, which no step changes. Modules stay in eval mode: no dropout, and batch norm keeps its
    statistics.
    """

    def __init__(self, networks: Modules, task: Task, seeds: int, clamp: Nodes | None = None,
                 replaced: Nodes | None = None) -> None:
        if not networks.trainable:
            raise InputError(f"{networks.architecture} has no parameter that requires a gradient: it cannot be trained")
        super().__init__(networks, [networks.state[name] for name in networks.trainable], task, seeds, clamp, replaced)
        self.modules = networks

    @property
    def first_weight(self) -> Tensor:
        """W, which is not trained, `[members, features, features]`."""
        return self.modules.weight

    def forward(self, batch: Batch) -> list[Tensor]:
        """The output alone, `[members, outputs, rows]`."""
        inputs = member_inputs(self, batch)
        names = self.modules.trainable
        now = self.modules.with_parameters(dict(zip(names, self.views(self.parameters), strict=True)))
        return [now.finish(now.first(inputs)).transpose(1, 2)]

    def backward(self, batch: Batch) -> Tensor:
        """Sets the gradient of the members' mean loss over the batch; returns the summed loss `[members]`."""
        output = self.forward(batch)[0]
        loss, slope = self.loss_and_slope(output.detach().clone(), batch)
        self.parameters.grad = torch.autograd.grad(output, self.parameters, slope)[0]
        return loss

    def rebuilt(self, tensors: Sequence[Tensor]) -> Modules:
        """The networks with other trained parameters."""
        return self.modules.with_parameters(dict(zip(self.modules.trainable, tensors, strict=True)))


class PredictorBackward(Backward):
    """The loss of estimators that only predict, for what compares losses; nothing of them is trained."""

    def __init__(self, networks: Predictors, task: Task, seeds: int, clamp: Nodes | None = None,
                 replaced: Nodes | None = None) -> None:
        super().__init__(networks, [networks.weight], task, seeds, clamp, replaced)

    @property
    def first_weight(self) -> Tensor:
        """W, which is not trained, `[members, features, features]`."""
        return self.networks.first_weight

    def forward(self, batch: Batch) -> list[Tensor]:
        """The output alone, `[members, outputs, rows]`."""
        inputs = member_inputs(self, batch)
        return [self.networks.finish(self.networks.first(inputs)).transpose(1, 2)]

    def backward(self, batch: Batch) -> Tensor:
        """Raises InputError: there is no gradient."""
        raise InputError(f"fine-tuning does not apply: {self.networks.refusal('gradients')}")

    def rebuilt(self, tensors: Sequence[Tensor]) -> Ensemble:
        """The networks as they are."""
        return self.networks


def member_inputs(loop: Backward, batch: Batch) -> Tensor:
    """The rows of a batch as each member sees them, `[members, rows, features]`."""
    inputs = batch.inputs.repeat_interleave(loop.members // loop.seeds, 0)
    if loop.replaced is None or batch.replaced is None:
        return inputs
    values = batch.replaced.view(loop.members, -1, batch.size).transpose(1, 2)
    return inputs.scatter(2, loop.replaced.index[:, None].expand(-1, batch.size, -1), values)


def backward_for(networks: Ensemble, task: Task, seeds: int, clamp: Nodes | None = None,
                 replaced: Nodes | None = None) -> Backward:
    """The gradients of these networks: written out for perceptrons, by autograd for other modules.

    Of estimators that only predict the loss alone.
    """
    if isinstance(networks, Perceptrons):
        return PerceptronBackward(networks, task, seeds, clamp, replaced)
    if isinstance(networks, Modules):
        return ModuleBackward(networks, task, seeds, clamp, replaced)
    if isinstance(networks, Predictors):
        return PredictorBackward(networks, task, seeds, clamp, replaced)
    raise TypeError(f"{type(networks).__name__} has no gradients for training")
