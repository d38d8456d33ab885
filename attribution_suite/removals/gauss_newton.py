"""One damped Gauss-Newton step of every member of an ensemble, without the matrix: what `lazy` and `newton` share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.networks.backward import Backward
from attribution_suite.networks.batches import Replacement
from attribution_suite.networks.module_backward import backward_for
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.outputs import task_loss
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.target_scale import TargetScale
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_positive
from attribution_suite.removals.removal import RemovalTraits, Setting, edited, member_means

ROWS, KRYLOV = 2000, 50  # the training (and validation) rows that a step sees; steps of conjugate gradient
# Tried, as parts of the largest curvature; with less than the last, single precision decides the step.
DAMPINGS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
LENGTHS = (1.0, 0.5, 0.25, 0.125)  # tried, as parts of the step


@dataclass(frozen=True)
class GaussNewtonStep(ABC):
    """θ + Δ, (GᵀHG + λI) Δ = b, at x_j mean-filled; then x_j is folded out at its mean. Nothing else is trained.

    G = ∂f/∂θ `[rows · outputs, parameters]`; H: the loss's second derivative by the outputs, 1 for a regression (of
    half the squared error), diag(p) − ppᵀ for classes. At most 2,000 rows, evenly spread, and 50 steps of conjugate
    gradient, whose iterates for every λ come from one Krylov space (Lanczos). `damping`: λ; None: of five parts of the
    largest curvature, and of four lengths of the step, what has the least validation loss, with x_j mean-filled; no
    step where none lowers it. Raises InputError where the network's code cannot be differentiated twice.
    """

    damping: float | None = None
    name: ClassVar[str]
    traits: ClassVar[RemovalTraits]

    def __post_init__(self) -> None:
        if self.damping is not None:
            check_positive(self, "damping")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The step, and the fold. `steps` is 1."""
        started, means = time.perf_counter(), member_means(setting, nodes)
        stepped = self.stepped(networks, setting, lambda inputs, members: inputs.scatter(
            2, nodes.index[members, None].expand(-1, inputs.shape[1], -1),
            means[members, None].expand(-1, inputs.shape[1], -1)))
        return one_step(stepped.with_nodes_folded(nodes, means), started)

    def keep(self, networks: Ensemble, setting: Setting) -> Trained:
        """The control: the same step with nothing removed."""
        started = time.perf_counter()
        return one_step(self.stepped(networks, setting, lambda inputs, members: inputs), started)

    def replacement(self) -> Replacement | None:
        """None: the data are linearised, not trained on."""
        return None

    @abstractmethod
    def right_side(self, without: "Linearised", native: "Callable[[], Linearised]") -> Tensor:
        """b `[members, parameters]`, from the networks linearised without x_j, and on the data as they are."""

    def stepped(self, networks: Ensemble, setting: Setting, fill: "Fill") -> Ensemble:
        """Every member after its step on the rows that `fill` gives; a regression on standardised targets."""
        scale = TargetScale.of(setting.train, setting.task, setting.tuning)
        train, validation = (_few(split if scale is None else scale.standardised(split))
                             for split in (setting.train, setting.validation))
        start = networks if scale is None else scale.entering(networks)
        loop = backward_for(start, setting.task, len(setting.seeds))
        kept, variants = [tensor.clone() for tensor in loop.kept()], len(networks) // len(setting.seeds)
        widest = max(networks.architecture.widths)
        for piece, part in start.pieces(len(train.targets) * widest):
            members = torch.arange(len(networks), device=networks.device)[piece]
            rows, held_out = (_of_members(split, members // variants) for split in (train, validation))
            step = self._step(part, setting.task, (rows, fill(rows, members), train.targets),
                              (fill(held_out, members), validation.targets))
            for whole, tensor in zip(kept, step, strict=False):  # what follows are buffers, which stay
                whole[piece] = tensor
        stepped = loop.rebuilt(kept)
        return stepped if scale is None else scale.leaving(stepped)

    def _step(self, networks: Ensemble, task: Task, train: tuple[Tensor, Tensor, Tensor],
              validation: tuple[Tensor, Tensor]) -> list[Tensor]:
        """The parameters of some members after their step, `[members, …]` each."""
        native, filled, targets = train
        without = Linearised.at(networks, filled, targets, task)
        b = self.right_side(without, lambda: Linearised.at(networks, native, targets, task))
        solved = Krylov.of(without.curve, b)
        lengths = LENGTHS if self.damping is None else (1.0,)
        best, best_loss = without.parameters, None
        if self.damping is None:
            best_loss = task_loss(without.outputs_at(best, validation[0]), validation[1], task)
        for part in DAMPINGS if self.damping is None else (self.damping,):
            damping = part * (solved.largest if self.damping is None else torch.ones_like(solved.largest))
            change = without.parts(solved.solve(damping))
            for length in lengths:
                moved = [old + length * new for old, new in zip(without.parameters, change, strict=True)]
                if best_loss is None:
                    return moved
                loss = task_loss(without.outputs_at(moved, validation[0]), validation[1], task)
                better = loss < best_loss  # never where it is NaN
                best = [torch.where(better.view(-1, *[1] * (new.dim() - 1)), new, old)
                        for new, old in zip(moved, best, strict=True)]
                best_loss = torch.where(better, loss, best_loss)
        return best


Fill = Callable[[Tensor, Tensor], Tensor]
"""Rows `[members, rows, features]` of the members at these positions, without x_j."""


@dataclass(frozen=True)
class Linearised:
    """f(θ + Δ) ≈ f(θ) + GΔ of every member on its rows.

    `parameters` θ `[members, …]` each; `residual` −∂loss/∂f `[members, rows, outputs]`; `curvature`: H times such a
    tensor. `pull`, `push`: Gᵀ and G, by differentiating Gᵀv once more by v.
    """

    loop: Backward
    parameters: list[Tensor]
    residual: Tensor
    curvature: Callable[[Tensor], Tensor]
    pull: Callable[[Tensor], Tensor]
    push: Callable[[Tensor], Tensor]

    @classmethod
    def at(cls, networks: Ensemble, inputs: Tensor, targets: Tensor, task: Task) -> "Linearised":
        """`inputs` `[members, rows, features]`, `targets` `[rows]`."""
        loop = backward_for(networks, task, 1)
        parameters = [tensor.clone().requires_grad_() for tensor in loop.kept()[:len(loop.shapes)]]
        with torch.enable_grad():
            outputs = _outputs(loop, parameters, inputs)
            probe = torch.zeros_like(outputs, requires_grad=True)
            try:
                pulled = torch.autograd.grad(outputs, parameters, probe, create_graph=True, materialize_grads=True)
                summed = torch.cat([part.flatten(1) for part in pulled], 1)
            except RuntimeError as error:
                raise InputError(f"{networks.architecture} cannot be linearised: "
                                 f"{str(error).strip().splitlines()[0]}") from error

        def pull(values: Tensor) -> Tensor:
            parts = torch.autograd.grad(outputs, parameters, values, retain_graph=True, materialize_grads=True)
            return torch.cat([part.flatten(1) for part in parts], 1)

        def push(change: Tensor) -> Tensor:
            return torch.autograd.grad(summed, probe, change, retain_graph=True, materialize_grads=True)[0]

        residual, curvature = _loss_parts(outputs.detach(), targets, task)
        return cls(loop, [tensor.detach() for tensor in parameters], residual, curvature, pull, push)

    @property
    def descent(self) -> Tensor:
        """−∇L, `[members, parameters]`: Gᵀ times the residual."""
        return self.pull(self.residual)

    def curve(self, change: Tensor) -> Tensor:
        """GᵀHG times Δ, `[members, parameters]`."""
        return self.pull(self.curvature(self.push(change)))

    def parts(self, flat: Tensor) -> list[Tensor]:
        """`[members, parameters]` in the shapes of the parameters."""
        pieces = flat.split([tensor[0].numel() for tensor in self.parameters], 1)
        return [piece.view_as(tensor) for piece, tensor in zip(pieces, self.parameters, strict=True)]

    def outputs_at(self, parameters: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """`[members, rows, outputs]` with other parameters."""
        with torch.no_grad():
            return _outputs(self.loop, parameters, inputs)


@dataclass(frozen=True)
class Krylov:
    """Of every member a basis of what A = GᵀHG makes of b: A ≈ V T Vᵀ.

    `basis` V `[members, k, parameters]`, `small` T `[members, k, k]` float64, `size` ‖b‖, `largest`: T's largest
    eigenvalue, which is that of A nearly.
    """

    basis: Tensor
    small: Tensor
    size: Tensor
    largest: Tensor

    @classmethod
    def of(cls, product: Callable[[Tensor], Tensor], b: Tensor) -> "Krylov":
        """Lanczos with full reorthogonalisation; a member whose space is exhausted gets no more vectors (zeros)."""
        size = b.norm(dim=1)
        steps = min(KRYLOV, b.shape[1])
        vector = b / size.clamp_min(torch.finfo(b.dtype).tiny)[:, None]
        basis = b.new_zeros(len(b), steps, b.shape[1])
        small = b.new_zeros(len(b), steps, steps, dtype=torch.float64)
        for step in range(steps):
            basis[:, step] = vector
            image = product(vector)
            small[:, step, step] = (vector * image).sum(1)
            for _ in range(2):
                image = image - torch.einsum("ekp,ek->ep", basis, torch.einsum("ekp,ep->ek", basis, image))
            rest = image.norm(dim=1)
            lost = rest <= 100 * torch.finfo(b.dtype).eps * small.abs().amax((1, 2)).to(rest)
            if step + 1 == steps or bool(lost.all()):
                break
            rest = rest.masked_fill(lost, 0.0)
            small[:, step, step + 1] = small[:, step + 1, step] = rest
            vector = image / rest.masked_fill(lost, torch.inf)[:, None]
        return cls(basis, small, size, torch.linalg.eigvalsh(small)[:, -1])

    def solve(self, damping: Tensor) -> Tensor:
        """(A + λI)⁻¹ b, `[members, parameters]`; `damping` λ `[members]`. 0 where b is."""
        eye = torch.eye(self.small.shape[1], dtype=torch.float64, device=self.small.device)
        first = eye[0] * self.size[:, None].double()
        weights = torch.linalg.solve(self.small + damping.clamp_min(1e-300)[:, None, None] * eye, first)
        return torch.einsum("ekp,ek->ep", self.basis, weights.to(self.basis))


def one_step(networks: Ensemble, started: float) -> Trained:
    """The result of a step."""
    result = edited(networks, started)
    return replace(result, steps=torch.ones_like(result.steps))


def _few(split: Split) -> Split:
    every = -(-len(split.targets) // ROWS)
    return Split(split.inputs[..., ::every, :], split.targets[::every])


def _of_members(split: Split, seeds: Tensor) -> Tensor:
    """`[members, rows, features]`, of members of these seeds."""
    return split.inputs[seeds] if split.inputs.dim() == 3 else split.inputs.expand(len(seeds), -1, -1)


def _outputs(loop: Backward, parameters: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """`[members, rows, outputs]`, differentiable by the parameters."""
    networks = loop.rebuilt([*parameters, *loop.kept()[len(parameters):]])
    if isinstance(networks, Perceptrons):
        return networks.activations(inputs)[-1]  # `finish` reuses memory that a gradient needs
    return networks.finish(networks.first(inputs))


def _loss_parts(outputs: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """−∂loss/∂f, and H times a tensor of its shape: of half the squared error, or the log loss."""
    if task == "regression":
        return targets.to(outputs)[:, None] - outputs, lambda values: values
    if task == "binary":
        chance = outputs.sigmoid()
        return targets.to(outputs)[:, None] - chance, lambda values: chance * (1 - chance) * values
    chance = outputs.softmax(2)
    wanted = torch.nn.functional.one_hot(targets, outputs.shape[2]).to(outputs)
    return wanted - chance, lambda values: chance * (values - (chance * values).sum(2, keepdim=True))
