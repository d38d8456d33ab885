"""Estimators that only predict as an ensemble: an editable layer in front of calls of NumPy, and no gradients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cloudpickle
import joblib
import torch
from torch import Tensor, nn

from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import linear
from attribution_suite.networks.estimators import Reading, as_fitted
from attribution_suite.networks.fronted import Fronted, ModuleArchitecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.seeding import seeded


@dataclass(frozen=True)
class Predictors(Fronted):
    """E estimators x → estimator(W x + b), `weight` W `[E, features, features]` and `bias` b, identity and 0 at first.

    As in `Modules` the *first pre-activation* is the input itself, so that whatever edits the first layer of an
    `Ensemble` edits any estimator; W and b are never trained. Only predictions are known: what needs gradients, layers
    or activations is refused. Estimators are private copies on one thread, called with float64 on the CPU.

    `readings`: how outputs are read off each. `digests` `[E, 16]`: of each estimator's content.
    """

    estimators: tuple[Any, ...]
    readings: tuple[Reading, ...]
    digests: Tensor
    additive: ClassVar[bool] = False  # a tree asks on which side of a value a row is, to the last bit

    @classmethod
    def wrap(cls, estimators: Sequence[Any], readings: Sequence[Reading], rows: Tensor) -> "Predictors":
        """From fitted estimators, copies of our own, tried on some rows `[rows, features]`.

        Raises InputError, naming the estimator, where it cannot take the rows, returns something not finite, or a
        row's output depends on the other rows.
        """
        outputs = [_tried(number, estimator, reading, rows)
                   for number, (estimator, reading) in enumerate(zip(estimators, readings, strict=True))]
        if len({values.shape for values in outputs}) > 1:
            raise InputError("the networks have different numbers of outputs")
        features, members = rows.shape[1], len(estimators)
        title = type(estimators[0]).__name__
        architecture = ModuleArchitecture(features, (), outputs[0].shape[1], "linear", title=title, widest=features)
        return cls(architecture, torch.eye(features).repeat(members, 1, 1), torch.zeros(members, features),
                   tuple(estimators), tuple(readings), _digests(estimators))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What decides the outputs: W, b and the digests of the estimators."""
        return self.weight, self.bias, self.digests

    @property
    def how(self) -> str:
        """How the members run, in words."""
        return f"by predictions alone, one at a time: no gradients; outputs are {self.readings[0].what}"

    def refusal(self, reads: str) -> str | None:
        """Why a method that reads more than outputs or labels cannot be asked; None for these."""
        layers, activations = "it reads the layers of a network", "it reads a network's activations"
        needs = {"gradients": "it needs gradients", "layers": layers, "units": layers,
                 "activations": activations, "unit activations": activations}
        return f"{needs[reads]}, and a {self._title} only predicts" if reads in needs else None

    @property
    def _title(self) -> str:
        return type(self.estimators[0]).__name__

    def to(self, device: torch.device) -> "Predictors":
        """The same with W and b on another device; estimators compute on the CPU."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device), digests=self.digests.to(device))

    def select(self, members: Tensor | Sequence[int] | slice) -> "Predictors":
        """The members at these positions, in this order (repeats allowed)."""
        pick = members if isinstance(members, slice | Tensor) else torch.as_tensor(members)
        positions = torch.arange(len(self))[pick.cpu() if isinstance(pick, Tensor) else pick].tolist()
        return replace(self, weight=self.weight[pick], bias=self.bias[pick], digests=self.digests[pick],
                       estimators=tuple(self.estimators[position] for position in positions),
                       readings=tuple(self.readings[position] for position in positions))

    def fresh(self, seeds: Sequence[int]) -> "Predictors":
        """Raises InputError: an estimator is not trained step by step; `refitted` fits it anew."""
        raise InputError(f"{self._title} cannot be trained from untrained weights: {self.refusal('gradients')}")

    def refitted(self, nodes: Nodes, train: Split, seeds: Sequence[int]) -> "Predictors":
        """Each member's estimator cloned, unfitted, and fitted to `train` with its nodes at their training means.

        The means stand in W and b too, so that no value of the nodes reaches the estimator. `seeds` are those of the
        members, seed-major; they seed NumPy's generator for estimators without a `random_state` of their own.
        Raises InputError, naming the estimator, where its own `fit` fails.
        """
        from sklearn.base import clone

        variants, rows = len(self) // len(seeds), train.inputs.double().numpy(force=True)
        means = train.inputs.mean(0)[nodes.index]
        refitted = []
        for member, (estimator, reading) in enumerate(zip(self.estimators, self.readings, strict=True)):
            columns, table = nodes.index[member].tolist(), rows.copy()
            table[:, columns] = means[member].double().numpy(force=True)
            try:
                with seeded(seeds[member // variants]):
                    new = clone(estimator).fit(as_fitted(estimator, table),
                                               reading.labels(estimator, train.targets))
            except Exception as error:  # the user's code
                raise InputError(f"{type(estimator).__name__} cannot be fitted again: clone(it).fit(rows, targets) "
                                 f"says {(str(error).strip() or type(error).__name__).splitlines()[0]}") from error
            refitted.append(new)
        features, rows_tried = self.architecture.features, train.inputs[:64].cpu()
        for number, (new, reading) in enumerate(zip(refitted, self.readings, strict=True)):
            _tried(number, new, reading, rows_tried)
        identity = torch.eye(features, device=self.device).repeat(len(self), 1, 1)
        cold = replace(self, weight=identity, bias=torch.zeros_like(self.bias), estimators=tuple(refitted),
                       digests=_digests(refitted).to(self.device))
        return cold.with_nodes_folded(nodes, means)

    def with_outputs_scaled(self, scale: float, shift: float) -> "Predictors":
        """Raises InputError: it is a step of training."""
        raise InputError(f"fine-tuning does not apply: {self.refusal('gradients')}")

    def to_module(self, member: int = 0) -> nn.Sequential:
        """One member as `Sequential(Linear(W, b), its predictions)`: a module without gradients."""
        return nn.Sequential(linear(self.weight[member], self.bias[member]), self.member_module(member)).eval()

    def member_module(self, member: int) -> nn.Module:
        """A member's predictions as a module, without the layer in front; it has no gradient."""
        return Predicting(self.estimators[member], self.readings[member])

    def finish(self, first: Tensor) -> Tensor:
        """What the estimators make of rows `[E, rows, features]`: `[E, rows, outputs]`."""
        return torch.stack([_predicted(estimator, reading, rows) for estimator, reading, rows in
                            zip(self.estimators, self.readings, first, strict=True)])

    def first_with(self, first: Tensor, inputs: Tensor, columns: Sequence[int], values: Tensor,
                   rows: Tensor | None = None) -> Tensor:
        """W x + b of the rows that are meant, to the last bit."""
        moved = (inputs if rows is None else inputs[..., rows, :]).expand(len(self), -1, -1).clone()
        moved[..., list(columns)] = values
        return self.first(moved)

    def outputs_with(self, inputs: Tensor, nodes: Nodes, values: Tensor) -> Tensor:
        """The outputs when each member's own nodes take other values `[E, rows, group]`, as in `first_with`."""
        index = nodes.index[:, None].expand(-1, values.shape[1], -1)
        return self.finish(self.first(inputs.expand(len(self), -1, -1).scatter(2, index, values)))

    def gradient(self, first: Tensor, explained: Tensor | None) -> Tensor:
        """Raises InputError: there is none."""
        raise InputError(f"no gradient can be taken: {self.refusal('gradients')}")

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """Raises InputError: there are no layers."""
        raise InputError(f"the layers' activations cannot be read: {self.refusal('layers')}")


class Predicting(nn.Module):
    """Calls an estimator: `[rows, features]` → `[rows, outputs]`, without a gradient."""

    def __init__(self, estimator: Any, reading: Reading) -> None:
        super().__init__()
        self.estimator, self.reading = estimator, reading

    def forward(self, rows: Tensor) -> Tensor:
        """Its outputs, as `Reading` has them."""
        return _predicted(self.estimator, self.reading, rows)


def _predicted(estimator: Any, reading: Reading, rows: Tensor) -> Tensor:
    return torch.from_numpy(reading(estimator, rows.double().numpy(force=True))).to(rows)


def _tried(number: int, estimator: Any, reading: Reading, rows: Tensor) -> Tensor:
    """The outputs `[rows, outputs]`, if they can be audited."""
    name = f"network {number} ({type(estimator).__name__})"
    try:
        outputs, few = (_predicted(estimator, reading, part) for part in (rows, rows[:len(rows) // 2]))
    except Exception as error:  # the user's code: any error is theirs, told in one line
        raise InputError(f"{name} cannot take rows of {rows.shape[1]} inputs: "
                         f"{(str(error).strip() or type(error).__name__).splitlines()[0]}") from error
    if len(outputs) != len(rows) or not bool(torch.isfinite(outputs).all()):
        raise InputError(f"{name} returns NaN or infinite outputs" if len(outputs) == len(rows) else
                         f"{name} returns {len(outputs)} outputs for {len(rows)} rows")
    if not torch.allclose(outputs[:len(few)], few, rtol=1e-4, atol=1e-5):
        raise InputError(f"{name}: a row's output depends on the other rows of its batch, so it cannot be attributed")
    if reading.misled(estimator, rows.double().numpy(), outputs.double().numpy()):
        raise InputError(f"{name}: its decision_function does not put the class first that it predicts: give it one "
                         "decision a class, as SVC(decision_function_shape='ovr')")
    return outputs


def _digests(estimators: Sequence[Any]) -> Tensor:
    """`[E, 16]` bytes of each estimator's content."""
    return torch.tensor([list(bytes.fromhex(_hash(estimator))) for estimator in estimators], dtype=torch.uint8)


def _hash(estimator: Any) -> str:
    try:
        return str(joblib.hash(estimator))
    except Exception:  # it knows no masked arrays, which a grid search keeps, and no function without a name
        return str(joblib.hash(cloudpickle.dumps(estimator)))
