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
        inputs = batch.inputs.repeat_interleave(self.members // self.seeds, 0)
        if self.replaced is not None and batch.replaced is not None:
            values = batch.replaced.view(self.members, -1, batch.size).transpose(1, 2)
            inputs = inputs.scatter(2, self.replaced.index[:, None].expand(-1, batch.size, -1), values)
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


def backward_for(networks: Ensemble, task: Task, seeds: int, clamp: Nodes | None = None,
                 replaced: Nodes | None = None) -> Backward:
    """The gradients of these networks: written out for perceptrons, by autograd for other modules."""
    if isinstance(networks, Perceptrons):
        return PerceptronBackward(networks, task, seeds, clamp, replaced)
    if isinstance(networks, Modules):
        return ModuleBackward(networks, task, seeds, clamp, replaced)
    raise TypeError(f"{type(networks).__name__} has no gradients for training")
