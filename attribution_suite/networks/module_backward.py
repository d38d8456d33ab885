"""Gradients of any modules' training loss, for the same training loop as the perceptrons'."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from attribution_suite.datasets.table import Task
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Backward, Batch, PerceptronBackward
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.predictors import Predictors
from attribution_suite.seeding import seeded


class ModuleBackward(Backward):
    """All members' trainable parameters in one flat buffer, differentiated by autograd; W and b in front stay.

    A clamped node has W_:j = 0, which no step changes. A step runs the modules in train mode, so that dropout drops and
    batch norm takes the batch's statistics and keeps a running mean of them (a batch of one row has none: eval mode);
    losses are those of eval mode. Draws are the same in every run, and leave the global generators as they were.
    """

    def __init__(self, networks: Modules, task: Task, seeds: int, clamp: Nodes | None = None,
                 replaced: Nodes | None = None) -> None:
        if not networks.trainable:
            raise InputError(f"{networks.architecture} has no parameter that requires a gradient: it cannot be trained")
        super().__init__(networks, [networks.state[name] for name in networks.trainable], task, seeds, clamp, replaced)
        self.modules, self.steps = networks, 0
        names = dict(networks.templates[0].named_buffers())
        self.buffers = {name: networks.state[name].clone() for name in names}

    @property
    def first_weight(self) -> Tensor:
        """W, which is not trained, `[members, features, features]`."""
        return self.modules.weight

    def forward(self, batch: Batch) -> list[Tensor]:
        """The output alone, `[members, outputs, rows]`."""
        return [self._outputs(self.modules, batch)]

    def backward(self, batch: Batch) -> Tensor:
        """Sets the gradient of the members' mean loss over the batch; returns the summed loss `[members]`."""
        self.steps += 1
        with training(self.modules.templates if batch.size > 1 else ()):
            output = self._step(batch)
        loss, slope = self.loss_and_slope(output.detach().clone(), batch)
        self.parameters.grad = torch.autograd.grad(output, self.parameters, slope)[0]
        return loss

    def _step(self, batch: Batch) -> Tensor:
        """The outputs in train mode. Raises InputError where the modules cannot run in it.

        What torch.vmap cannot run together there, as a batch norm without momentum, runs one at a time from then on.
        """
        before = {name: value.clone() for name, value in self.buffers.items()} if self.modules.stacked else {}
        try:
            with seeded(self.steps):
                return self._outputs(self.modules, batch)
        except Exception as error:  # the user's code, or whatever torch.vmap cannot do
            if not self.modules.stacked:
                raise InputError(f"{self.modules.architecture} cannot be trained: in train mode it says "
                                 f"{(str(error).strip() or type(error).__name__).splitlines()[0]}; give your own "
                                 "recipe, as fit=") from error
        self.buffers.update(before)
        self.modules = replace(self.modules, stacked=False)
        return self._step(batch)

    def _outputs(self, modules: Modules, batch: Batch) -> Tensor:
        """`[members, outputs, rows]`, in the mode that the modules are in; train mode changes the buffers in place."""
        inputs, names = member_inputs(self, batch), modules.trainable
        parameters = dict(zip(names, self.views(self.parameters), strict=True))
        now = modules.with_parameters({**self.buffers, **parameters})
        return now.finish(now.first(inputs)).transpose(1, 2)

    def kept(self) -> list[Tensor]:
        """The parameters and the buffers, as batch norm's running statistics."""
        return [*super().kept(), *self.buffers.values()]

    def rebuilt(self, tensors: Sequence[Tensor]) -> Modules:
        """The networks with other trained parameters, and the buffers behind them."""
        return self.modules.with_parameters(dict(zip((*self.modules.trainable, *self.buffers), tensors, strict=True)))


@contextmanager
def training(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Modules in train mode inside the block; each part back in its own mode after it, also after an error."""
    modes = {part: part.training for module in modules for part in module.modules()}
    try:
        for module in modules:
            module.train()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


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
