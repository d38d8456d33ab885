"""Networks whose dependence on an input is known: base(x without x_j) + path(x), x_j = column 0.

The base has zero weights from x_j; the path (`planted_paths`) lies beside it, in four units of the first hidden layer
and two of the second, scaled to D = r · δ, so that it moves the output by just under or over what matters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from planted_paths import (
    COLUMNS,
    Floats,
    Plant,
    Table,
    cancelling,
    few_rows,
    interaction,
    linear,
    none,
    relu,
    saturated_gate,
    saturating,
    spike,
    stored,
)
from torch import Tensor, nn

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.measures.worst_case.measure import output_spread
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import train

DELTA = 0.01  # of the standard deviation of the base's outputs over the test rows
STRENGTHS = (0.5, 0.9, 0.99, 1.01, 1.1, 2.0, 10.0)  # D as multiples of δ


@dataclass(frozen=True)
class Planted:
    """Networks of one family. `truth` `[members]`: D; `strength`: D / δ as planned; `plant`: what was planted.

    `inputs` and `training` are the rows looked at and those that say where x_j may go, `nodes` the columns that move.
    `closed`: `truth` is D itself, else a lower bound of it.
    """

    family: str
    networks: Ensemble
    inputs: Tensor
    training: Tensor
    nodes: Nodes
    delta: Tensor
    truth: Floats
    strength: Floats
    plant: tuple[str, ...]
    closed: bool = True

    def __len__(self) -> int:
        return len(self.networks)


def bases(table: Table, members: int, seed: int, hidden: tuple[int, ...] = (12, 6),
          activation: Activation = "relu") -> Perceptrons:
    """Networks without weights from x_j: the first half at random, the others trained for a few epochs."""
    start = Perceptrons.initialise(Architecture(COLUMNS, hidden, 1, activation), range(seed, seed + members))
    start = Perceptrons(start.architecture, tuple(2.5 * w for w in start.weights), start.biases)
    nodes = Nodes(torch.zeros(members, 1, dtype=torch.int64))
    start = start.with_nodes_folded(nodes, torch.zeros(members, 1))
    half = members // 2
    rows = table.train
    target = (1.5 * rows[:, 1]).sin() + rows[:, 2] * rows[:, 3].relu() - rows[:, 4].abs()
    learned = train(start.select(slice(half, None)), Split(rows[:1500], target[:1500]),
                    Split(rows[1500:], target[1500:]), "regression", Training(6, 64, 5e-3),
                    range(seed + half, seed + members), clamp=nodes.select(torch.arange(half, members))).networks
    both = zip(start.select(slice(0, half)).tensors, learned.tensors, strict=True)
    tensors = [torch.cat(pair) for pair in both]
    layers = len(start.weights)
    return Perceptrons(start.architecture, tuple(tensors[:layers]), tuple(tensors[layers:]))


def beside(base: Perceptrons, path: Perceptrons) -> Perceptrons:
    """base(x) + path(x) as one network: units side by side, layers' weights block by block, outputs added."""
    inner = [torch.stack([torch.block_diag(*pair) for pair in zip(a, b, strict=True)])
             for a, b in zip(base.weights[1:-1], path.weights[1:-1], strict=True)]
    weights = (torch.cat([base.weights[0], path.weights[0]], 1), *inner,
               torch.cat([base.weights[-1], path.weights[-1]], 2))
    biases = (*(torch.cat(pair, 1) for pair in zip(base.biases[:-1], path.biases[:-1], strict=True)),
              base.biases[-1] + path.biases[-1])
    widths = [weight.shape[1] for weight in weights[:-1]]
    return Perceptrons(Architecture(COLUMNS, tuple(widths), 1, base.architecture.activation), weights, biases)


def planted(family: str, plant: Plant, members: int, seed: int, strengths: Sequence[float] = STRENGTHS,
            proxy: bool = False, activation: Activation = "relu") -> Planted:
    """`members` networks whose path has D = r · δ, r one of `strengths` in turn; 0 where the path reaches nothing."""
    table = Table.draw(seed, proxy)
    base = bases(table, members, 1000 * seed, activation=activation)
    path = plant(table, members, np.random.default_rng([seed, 1]))
    delta = DELTA * output_spread(base, table.test)
    wanted = np.resize(strengths, members)
    reached = path.reach > 0
    coefficient = np.where(reached, wanted * delta.numpy() / np.where(reached, path.reach, 1), 1.0)
    coefficient = stored(coefficient)
    networks = beside(base, path.networks(torch.from_numpy(coefficient), activation))
    return Planted(family, networks, table.test, table.train, Nodes(torch.zeros(members, 1, dtype=torch.int64)), delta,
                   coefficient * path.reach, np.where(reached, wanted, 0.0), (plant.__name__,) * members)


def in_hidden_units(members: int, seed: int, strengths: Sequence[float] = STRENGTHS) -> Planted:
    """The tails of layer 1 of networks 6-16-8-1, moved by unit 0: nothing reads it, two units that cancel, or one does.

    h ≥ 0 is the unit's activation: c · relu(w h), w > 0, has D = c w · the longest way from a test row's h to an end.
    """
    table, generator = Table.draw(seed), np.random.default_rng([seed, 1])
    base = bases(table, members, 1000 * seed, (16, 6))
    base.weights[0][:, 0] = torch.from_numpy(generator.normal(size=(members, COLUMNS))).float()
    base.weights[1][:, :, 0] = 0
    delta = DELTA * output_spread(base, table.test)
    unit, bias = (values.double().numpy()[:, 0] for values in (base.weights[0], base.biases[0]))
    test, training = (relu(rows.double().numpy() @ unit.T + bias).T for rows in (table.test, table.train))
    ends = np.stack([training.min(1), training.max(1)], 1)
    way = np.abs(test[:, :, None] - ends[:, None]).max((1, 2))
    kind = np.arange(members) % 4  # of four one reads nothing, one cancels, two have a path
    weight = stored(generator.uniform(0.5, 2, members)) * (kind > 0)
    wanted = np.zeros(members)
    wanted[kind > 1] = np.resize(strengths, (kind > 1).sum())
    coefficient = stored(np.where(kind > 1, wanted * delta.numpy() / np.maximum(weight * way, 1e-9), 1.0))
    reader, out = torch.zeros(members, 2, 16), torch.zeros(members, 1, 2)
    reader[:, 0, 0] = torch.from_numpy(weight).float()
    reader[:, 1, 0] = torch.from_numpy(np.where(kind == 1, weight, 0)).float()
    out[:, 0, 0] = torch.from_numpy(coefficient).float()
    out[:, 0, 1] = torch.from_numpy(np.where(kind == 1, -coefficient, 0)).float()
    networks = Perceptrons(
        Architecture(COLUMNS, (16, 8), 1), (base.weights[0], torch.cat([base.weights[1], reader], 1),
                                            torch.cat([base.weights[2], out], 2)),
        (base.biases[0], torch.cat([base.biases[1], torch.zeros(members, 2)], 1), base.biases[2]))
    names = np.array(["none", "cancelling", "linear", "linear"])[kind]
    return Planted("hidden units", networks.tail(1), networks.activations(table.test)[1],
                   networks.activations(table.train)[1], Nodes(torch.zeros(members, 1, dtype=torch.int64)), delta,
                   np.where(kind > 1, coefficient * weight * way, 0.0), wanted, tuple(names.tolist()))


class Wrapped(nn.Module):
    """A network as a module whose layers nobody can see."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.network(rows)
        return outputs


def as_modules(members: int, seed: int, strengths: Sequence[float] = STRENGTHS) -> Planted:
    """The same functions as any module: of five two linear, one a gate, one a spike, one linear and then folded."""
    parts = [planted("module", plant, members, seed, strengths) for plant in (
        linear, linear, saturated_gate, spike, linear)]
    kind = np.arange(members) % 5
    ensembles = [part.networks for part in parts]
    modules = [Wrapped(ensembles[kind[member]].to_module(member)) for member in range(members)]
    networks = Modules.wrap(modules, parts[0].training)
    folded = networks.with_nodes_folded(parts[0].nodes, torch.zeros(members, 1))
    gone = torch.from_numpy(kind == 4)
    networks = networks.with_first_layer(torch.where(gone[:, None, None], folded.weight, networks.weight),
                                         torch.where(gone[:, None], folded.bias, networks.bias))

    def chosen(values: list[Floats]) -> Floats:
        return np.where(kind == 4, 0.0, np.stack(values)[kind, np.arange(members)])

    names = np.array([*(part.plant[0] for part in parts[:4]), "folded"])[kind]
    return Planted("any module", networks, parts[0].inputs, parts[0].training, parts[0].nodes, parts[0].delta,
                   chosen([part.truth for part in parts]), chosen([part.strength for part in parts]),
                   tuple(names.tolist()))


# Each makes that many networks from a seed, with D of these multiples of δ in turn.
FAMILIES: dict[str, Callable[..., Planted]] = {
    "algebra": partial(planted, "algebra", none),
    "cancellation": partial(planted, "cancellation", cancelling),
    "linear": partial(planted, "linear", linear),
    "1 % of the rows": partial(planted, "1 % of the rows", few_rows),
    "saturated gate": partial(planted, "saturated gate", saturated_gate),
    "interaction": partial(planted, "interaction", interaction),
    "spike": partial(planted, "spike", spike),
    "proxies only": partial(planted, "proxies only", none, proxy=True),
    "tanh": partial(planted, "tanh", saturating, activation="tanh"),
    "hidden units": in_hidden_units,
    "any module": as_modules,
}
