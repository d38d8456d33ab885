"""The worst case of every network of an ensemble, by the method that fits it."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attribution_suite.datasets.table import Task
from attribution_suite.measures.worst_case.domain import Domain
from attribution_suite.measures.worst_case.enclosure import enclose
from attribution_suite.measures.worst_case.exact import visit_kinks
from attribution_suite.measures.worst_case.lines import Lines, Moves, effect_output
from attribution_suite.measures.worst_case.result import Method, WorstCase
from attribution_suite.measures.worst_case.search import visit_values
from attribution_suite.networks.gate import finite_outputs
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons

VALUES_AT_ONCE = 4_000_000  # of rows that are in float64 at once: 32 MB, which the process keeps when they are freed
ZERO = 1e-4  # D up to this part of δ is zero to rounding


@dataclass(frozen=True)
class Worst:
    """One network's part of a `WorstCase`: `native` and `value` `[columns]`."""

    effect: float
    bound: float
    method: Method
    row: int
    native: Tensor
    value: Tensor
    output: int
    before: float
    after: float
    flips: float


def worst_case(networks: Ensemble, inputs: Tensor, training: Tensor, nodes: Nodes, task: Task, delta: Tensor,
               flags: bool = True, index: Collection[int] = ()) -> WorstCase:
    """The most that moving each member's own `nodes`, and nothing else, moves its outputs on `inputs`.

    `inputs` `[rows, features]` are the rows looked at, `training` `[training rows, features]` says where the nodes may
    go (`Domain.of`, which reads `flags`; columns in `index` hold a category's number); either may be
    `[members, rows, features]` (a hidden layer's units, of the networks' tail). `delta` `[members]`: moves of f above
    it matter; only an 'enclosure' reads it, and is refined for it. Computed on the CPU, a perceptron in float64 on its
    stored weights.

    Raises InputError, naming network and row, for outputs that are not finite.
    """
    cpu = torch.device("cpu")
    networks, nodes = networks.to(cpu), nodes.to(cpu)
    inputs, training = inputs.to(cpu), training.to(cpu)
    finite_outputs(networks, inputs, "test")
    domains: dict[tuple[int, ...], Domain] = {}
    results, width = [], nodes.index.shape[1]
    for member, group in enumerate(nodes.index.tolist()):
        columns = tuple(dict.fromkeys(group))
        key = columns if training.dim() == 2 else (member, *columns)
        if key not in domains:
            seen = training if training.dim() == 2 else training[member]
            domains[key] = Domain.of(seen[:, list(columns)], flags, [column in index for column in columns])
        rows = inputs if inputs.dim() == 2 else inputs[member]
        worst = _of_one(networks.select([member]), rows, torch.tensor(columns), domains[key], task,
                        float(delta[member]), member)
        fill = [*range(len(columns)), *[0] * (width - len(columns))]
        results.append(replace(worst, native=worst.native[fill], value=worst.value[fill]))

    def floats(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)

    features = inputs.shape[-1]
    return WorstCase(
        effect=floats([worst.effect for worst in results]), bound=floats([worst.bound for worst in results]),
        method=tuple(worst.method for worst in results), row=torch.tensor([worst.row for worst in results]),
        native_scaled=torch.stack([worst.native for worst in results]),
        value_scaled=torch.stack([worst.value for worst in results]),
        output=torch.tensor([worst.output for worst in results]), before=floats([worst.before for worst in results]),
        after=floats([worst.after for worst in results]), flips=floats([worst.flips for worst in results]),
        rows=inputs.shape[-2], delta=delta.to(cpu).double(), nodes=nodes,
        names=tuple(f"column {column}" for column in range(features)),
        centre=torch.zeros(features, dtype=torch.float64), scale=torch.ones(features, dtype=torch.float64))


def output_spread(networks: Ensemble, inputs: Tensor) -> Tensor:
    """The standard deviation of f over rows, the largest over outputs, `[members]`: what delta is a part of."""
    return effect_output(networks.outputs(inputs)).std(1, correction=0).amax(1)


def _of_one(network: Ensemble, inputs: Tensor, columns: Tensor, domain: Domain, task: Task, delta: float,
            member: int) -> Worst:
    """`network` is an ensemble of one, member number `member`."""
    if not bool(network.first_weight[..., columns].any()):
        none = torch.full((len(columns),), torch.nan, dtype=torch.float64)
        nan = float("nan")
        return Worst(0.0, 0.0, "algebra", -1, none, none, -1, nan, nan, nan if task == "regression" else 0.0)
    if isinstance(network, Perceptrons):
        network = Perceptrons(network.architecture, tuple(w.double() for w in network.weights),
                              tuple(b.double() for b in network.biases))
    else:
        domain = domain.sampled()
    at_once = max(1, VALUES_AT_ONCE // inputs.shape[1])
    pieces = [_of_rows(network, inputs[start:start + at_once], start, columns, domain, task, delta, member)
              for start in range(0, len(inputs), at_once)]
    worst = max(pieces, key=lambda piece: piece.effect)  # of equal ones the first
    return replace(worst, bound=max(piece.bound for piece in pieces), flips=sum(piece.flips for piece in pieces))


def _of_rows(network: Ensemble, inputs: Tensor, start: int, columns: Tensor, domain: Domain, task: Task, delta: float,
             member: int) -> Worst:
    """Of some of the rows, the first of which is row number `start`."""
    lines = Lines.of(network, inputs, columns, domain)
    before = lines.outputs(network.first(inputs.to(network.first_weight))[0])
    moves = Moves(before, lines.patterns, task, member, start)
    method, bound = _move(lines, moves, domain, delta)
    row = moves.line // lines.patterns
    return Worst(
        moves.effect, bound, method, start + row, inputs[row, columns].double(),
        domain.value(moves.line % lines.patterns, moves.t), moves.output,
        float(before[row, moves.output]), moves.after,
        float("nan") if task == "regression" else float(moves.flipped.sum()))


def _move(lines: Lines, moves: Moves, domain: Domain, delta: float) -> tuple[Method, float]:
    """Moves every row along its lines; returns the method that fits, and the bound."""
    if domain.number is None:
        visit_values(lines, moves)
        return ("exact", moves.effect) if domain.complete else ("search", float("inf"))
    if lines.network.architecture.nonlinearity.shape == "smooth":
        return "enclosure", enclose(lines, moves, delta)
    visit_kinks(lines, moves)
    return "exact", moves.effect
