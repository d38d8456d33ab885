"""The partial dependence of a chunk's networks on what goes, and the curves of some rows of the first network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.information import packed
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.partial_dependence import Grid, curves
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Evaluation

PARTIAL_DEPENDENCE = "partial_dependence"  # the array: a table as the bytes of a Parquet file
Columns = dict[str, np.ndarray]
ROWS = 100  # evaluated rows that the mean is over, at most
SHOWN_ROWS = 12  # of them, those whose own curves are kept


def dependence_curves(networks: Ensemble, features: Sequence[Sequence[str]], seen: Evaluation, layer: int,
                      dataset: TabularDataset) -> Arrays:
    """The curves of each network on what it lost or will lose, by `PARTIAL_DEPENDENCE`.

    `features` `[seeds][variants]`: of several that are removed together each is moved alone. `seen`: the members'
    evaluation, at the input.
    """
    tail, rows = networks.tail(layer), seen.at_layer(networks, layer)
    inputs, removable = rows.inputs[..., :ROWS, :], Removable(rows.groups)
    asked: dict[tuple[str, int], list[int]] = {}
    for member, name in enumerate(name for names in features for name in names):
        for feature in removable.named(name).features:  # a hidden unit is its own network's
            asked.setdefault((feature, member if layer else -1), []).append(member)
    parts: list[Columns] = []
    for (feature, _), members in asked.items():
        columns = rows.groups[feature]
        grid, values = _grid(dataset, feature) if layer == 0 else _unit_grid(rows.background[members[0]], columns)
        part = curves(tail.select(members), inputs if layer == 0 else inputs[members], columns, values,
                      dataset.task).cpu()
        parts.append(_means(part, members, feature, grid, dataset))
        for member, own in zip(members, part, strict=True):
            if member < len(features[0]):
                explained = None if seen.explained is None else seen.explained[member].cpu()
                parts.append(_each_row(own, member, feature, grid, explained, dataset))
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {PARTIAL_DEPENDENCE: packed(pd.DataFrame(table))}


def _grid(dataset: TabularDataset, feature: str) -> tuple[Grid, Tensor]:
    """Where an input is put, in its own units and as networks take it."""
    columns = list(dataset.groups[feature])
    grid = Grid.of(dataset.inputs[:, columns][dataset.train_rows], feature,
                   [dataset.feature_names[column] for column in columns], dataset.levels.get(feature, ()))
    centre, scale = (part[columns] for part in dataset.scaler)
    return grid, torch.from_numpy(((grid.values - centre) / scale).astype(np.float32))


def _unit_grid(background: Tensor, columns: tuple[int, ...]) -> tuple[Grid, Tensor]:
    """Where a hidden unit is put: its activations on the training rows in use."""
    grid = Grid.of(background[:, list(columns)].numpy(force=True), "", [""])
    return grid, torch.from_numpy(grid.values)


def _means(part: Tensor, members: list[int], feature: str, grid: Grid, dataset: TabularDataset) -> Columns:
    """The partial dependence of each member and output, the mean of curves `[members, rows, points, outputs]`."""
    count, _, points, outputs = part.shape
    return _columns(
        feature, member=np.repeat(members, points * outputs), row=np.full(count * points * outputs, -1),
        output=np.tile(_names(dataset, outputs), count * points), level=np.tile(np.repeat(grid.level, outputs), count),
        value=np.tile(np.repeat(grid.number, outputs), count), prediction=part.mean(1).flatten().numpy())


def _each_row(part: Tensor, member: int, feature: str, grid: Grid, explained: Tensor | None,
              dataset: TabularDataset) -> Columns:
    """The curves of some rows of one network, `[rows, points, outputs]`, each of its explained class."""
    rows, points, outputs = part.shape
    chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(0))[:SHOWN_ROWS].sort().values
    output = torch.zeros(len(chosen), dtype=torch.int64) if explained is None else explained[chosen]
    own = part[chosen].gather(2, output[:, None, None].expand(-1, points, 1))
    return _columns(
        feature, member=np.full(own.numel(), member), row=np.repeat(chosen.numpy(), points),
        output=np.repeat(_names(dataset, outputs)[output.numpy()], points), level=np.tile(grid.level, len(chosen)),
        value=np.tile(grid.number, len(chosen)), prediction=own.flatten().numpy())


def _columns(feature: str, **columns: np.ndarray) -> Columns:
    return {**columns, "feature": np.full(len(columns["row"]), feature, dtype=object)}


def _names(dataset: TabularDataset, outputs: int) -> np.ndarray:
    """What the outputs are of: '' of a regression, of two classes the second."""
    classes = ("",) if dataset.task == "regression" else dataset.classes or ("0", "1")
    return np.array(classes[-outputs:], dtype=object)
