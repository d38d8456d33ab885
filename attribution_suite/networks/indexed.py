"""Columns that hold an index (a category's number): what they may be, and the embedding that a module reads by them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.fronted import Fronted
from attribution_suite.networks.modules import PROBE_ROWS, Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import IndexColumn
from attribution_suite.networks.wrapped import Wrapped
from attribution_suite.seeding import seeded

SHARED_ROWS = 2000  # training rows whose other columns may read the same row of an embedding
LARGEST = 10_000_000  # of a range of indices


class Indexed(Wrapped):
    """Calls a module with indices that occur in training: any other is rounded and taken to the nearest of them.

    What perturbs a row (noise, an interpolation, a mean) so asks the module about a category that there is.
    """

    place: Tensor
    low: Tensor
    nearest: Tensor

    def __init__(self, module: nn.Module, columns: Sequence[IndexColumn], features: int) -> None:
        """`columns` of `features`, each with its values that occur."""
        super().__init__(module)
        sizes = [int(column.values[-1] - column.values[0]) + 1 for column in columns]
        nearest = torch.zeros(len(columns), max(sizes))
        for number, (column, size) in enumerate(zip(columns, sizes, strict=True)):
            every = torch.arange(size) + column.values[0]
            after = torch.searchsorted(column.values, every).clamp(1, max(1, len(column.values) - 1))
            pair = column.values[torch.stack([after - 1, after.clamp_max(len(column.values) - 1)])]
            nearest[number, :size] = torch.where((every - pair[0]).abs() <= (pair[1] - every).abs(), pair[0], pair[1])
            nearest[number, size:] = column.values[-1]
        place = torch.zeros(len(columns), features)
        place[torch.arange(len(columns)), [column.column for column in columns]] = 1.0
        self.register_buffer("place", place)
        self.register_buffer("low", torch.stack([column.values[0] for column in columns]))
        self.register_buffer("nearest", nearest)

    def forward(self, rows: Tensor) -> Any:
        """What the module makes of `[rows, features]`; nothing passes a gradient to an index."""
        codes = rows.detach() @ self.place.T - self.low
        codes = codes.round().clamp(0, self.nearest.shape[1] - 1).long()
        indices = self.nearest[torch.arange(len(self.low), device=codes.device), codes]
        return self.module(rows * (1 - self.place.sum(0)) + indices @ self.place)


def with_index_columns(networks: Ensemble, dataset: TabularDataset) -> Ensemble:
    """The networks, told which columns hold an index: those that the data set declares, and those found.

    Found: a column of whole numbers that an `nn.Embedding` receives, itself or plus a constant. Stacked weights take
    any number, and stay as they are.
    """
    if not isinstance(networks, Fronted):
        return networks
    declared = [column for name in dataset.index_columns for column in dataset.groups[name]]
    training = dataset.train.inputs
    if not isinstance(networks, Modules):
        kind = networks.architecture.title
        return replace(networks, index=tuple(replace(_occurring(training, column), reason=(
            f"a {kind} only predicts: it has no embedding whose mean could stand in")) for column in declared))
    received = [column for column in range(training.shape[1])
                if column not in declared and _received(networks.templates[0], training, column)]
    columns = [_occurring(training, column) for column in sorted([*declared, *received])]
    if not columns:
        return networks
    modules = [Indexed(module, columns, training.shape[1]) for module in networks.templates]
    wrapped = replace(Modules.wrap(modules, training[:PROBE_ROWS]), note=networks.note)
    return replace(wrapped, index=tuple(_placed(column, wrapped, training) for column in columns))


def told_of_index(dataset: TabularDataset, networks: Ensemble) -> TabularDataset:
    """The data set that knows the index columns that were found in the networks."""
    found = set(networks.index_columns)
    names = tuple(name for name, columns in dataset.groups.items() if found & set(columns))
    return dataset if set(names) <= set(dataset.index_columns) else dataset.with_index_columns(names)


def _occurring(training: Tensor, column: int) -> IndexColumn:
    values, counts = training[:, column].unique(return_counts=True)
    if values[-1] - values[0] > LARGEST:
        raise InputError(f"an index column has indices from {values[0]:g} to {values[-1]:g}: number its categories "
                         "from 0 on")
    return IndexColumn(column, values, counts / counts.sum())


def _varied(training: Tensor, column: int, values: Tensor) -> Tensor:
    """The first training row with every value of a column."""
    rows = training[:1].repeat(len(values), 1)
    rows[:, column] = values
    return rows


@dataclass(frozen=True)
class _Reading:
    """What an embedding's calls were given and returned for some rows: `[rows, places]` and `[rows, places, size]`."""

    indices: Tensor
    outputs: Tensor


def _readings(module: nn.Module, rows: Tensor) -> dict[str, _Reading]:
    """Of every `nn.Embedding` of a module that is called, by name. Empty where a call is not of these rows."""
    given: dict[str, list[tuple[Tensor, Tensor]]] = {}
    handles = [part.register_forward_hook(
        lambda part, arguments, output, name=name: given.setdefault(name, []).append((arguments[0], output)))
        for name, part in module.named_modules() if isinstance(part, nn.Embedding)]
    if not handles:
        return {}
    try:
        with seeded(0), torch.no_grad():
            module(rows.clone())
    finally:
        for handle in handles:
            handle.remove()
    return {name: _Reading(torch.cat([indices.reshape(len(rows), -1) for indices, _ in calls], 1),
                           torch.cat([out.reshape(len(rows), -1, out.shape[-1]) for _, out in calls], 1))
            for name, calls in given.items()
            if all(isinstance(indices, Tensor) and len(indices) == len(rows) for indices, _ in calls)}


def _received(module: nn.Module, training: Tensor, column: int) -> bool:
    """Does an embedding receive the column, of whole numbers, itself or plus a constant?"""
    values = training[:, column].unique()
    if len(values) < 2 or not torch.equal(values, values.round()) or not any(
            isinstance(part, nn.Embedding) for part in module.modules()):
        return False
    step = (values - values[0])[:, None]
    for reading in _readings(module, _varied(training, column, values)).values():
        if bool((reading.indices - reading.indices[:1] == step).all(0).any()):
            return True
    return False


def _placed(column: IndexColumn, networks: Modules, training: Tensor) -> IndexColumn:
    """The column with the rows of the embedding that its values read, and the Linear behind it, if there is one."""
    module = networks.templates[0]
    rows = _varied(training, column.column, column.values)
    moved = {name: (reading, places) for name, reading in _readings(module, rows).items()
             if (places := (reading.indices != reading.indices[:1]).any(0).nonzero()[:, 0].tolist())}
    if len(moved) != 1:
        count = "no nn.Embedding reads" if not moved else f"{len(moved)} embeddings read"
        return replace(column, reason=f"{count} it, and the mean of one is what could stand in")
    (name, (reading, places)), = moved.items()
    embedding = module.get_submodule(name)
    assert isinstance(embedding, nn.Embedding)
    if len(places) > 1 or embedding.max_norm is not None or f"{name}.weight" not in networks.state:
        return replace(column, reason=f"the embedding '{name}' reads it in several places, or changes what it holds")
    place, read = places[0], reading.indices[:, places[0]].long()
    others = _readings(module, training[:SHARED_ROWS])[name].indices
    others = torch.cat([others[:, :place], others[:, place + 1:]], 1).unique()
    free = (~torch.isin(read, others)).nonzero()[:, 0].tolist()
    if not free:
        return replace(column, reason=f"other columns read the same rows of the embedding '{name}'")
    stands = max(free, key=lambda number: float(column.shares[number]))
    column = replace(column, embedding=f"{name}.weight", read=read, stands=stands)
    return replace(column, linear=_linear_behind(module, rows, reading.outputs[:, place], column))


def _linear_behind(module: nn.Module, rows: Tensor, embedded: Tensor, column: IndexColumn) -> tuple[str, int] | None:
    """The Linear that takes the embedding beside other inputs, and where it begins among these; None if there is none.

    All that the column tells the network passes there: with that part of the Linear's weights at zero the outputs of
    all `rows`, which differ in the column alone, are the same.
    """
    entered: dict[str, list[Tensor]] = {}
    handles = [part.register_forward_hook(
        lambda part, arguments, output, name=name: entered.setdefault(name, []).append(arguments[0].clone()))
        for name, part in module.named_modules() if type(part) is nn.Linear]
    try:
        with seeded(0), torch.no_grad():
            module(rows.clone())
    finally:
        for handle in handles:
            handle.remove()
    size = embedded.shape[1]
    for name, calls in entered.items():
        inputs = calls[0]
        if len(calls) > 1 or inputs.dim() != 2 or len(inputs) != len(rows):
            continue
        for start in range(inputs.shape[1] - size + 1):
            if torch.equal(inputs[:, start:start + size], embedded) and _decided(module, name, start, size, rows):
                return name, start
    return None


def _decided(module: nn.Module, name: str, start: int, size: int, rows: Tensor) -> bool:
    """Are the outputs of all rows the same once the Linear's weights from a part of its inputs are zero?"""
    linear = module.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    if linear.bias is None:
        return False
    kept = linear.weight.detach().clone()
    try:
        with seeded(0), torch.no_grad():
            linear.weight[:, start:start + size] = 0.0
            outputs = module(rows.clone())
    finally:
        with torch.no_grad():
            linear.weight.copy_(kept)
    return torch.equal(outputs, outputs[:1].expand_as(outputs))
