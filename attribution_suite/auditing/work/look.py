"""A look inside the originals of one data set: their units, what masking costs, paths, and how weights grew."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.train import evaluation_of, stored_originals
from attribution_suite.datasets.table import Split, TabularDataset, Task
from attribution_suite.devices import CPU
from attribution_suite.networks.forward import collect
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice, inapplicable, traits_of
from attribution_suite.scorers.weight_history import density_table, weight_history_scores, weights_over_epochs
from attribution_suite.tables import NEURON_TABLES
from attribution_suite.tables.column import schema, tidy
from attribution_suite.units.activations import activity, class_scores, driven_by, drivers
from attribution_suite.units.cuts import cuts
from attribution_suite.units.importances import layer_importances
from attribution_suite.units.masking import Masking, Selection, by_score, by_significance, curves_together
from attribution_suite.units.paths import quantile_path, to_frame
from attribution_suite.units.table import units_table

# What ranks hidden units for masking, and scores inputs beside weight_history: quick methods, one of each kind.
SCORERS = ("gradient_weight", "lrp", "integrated_gradients", "deep_lift", "input_x_gradient", "saliency",
           "layer_conductance", "feature_ablation", "permutation", "weights", "unit_significance", "random")
KEPT, OUTPUTS = 8, 8  # a path keeps the 8 strongest nodes of a layer; of many outputs the first 8 are followed
SAMPLED = 4  # the most and the least normal units of a layer whose values are kept for the figures

Frames = Iterator[tuple[str, pd.DataFrame]]


def look_inside(subject: Subject, dataset: TabularDataset, originals: Arrays, layers: Sequence[int],
                every: int | None) -> Arrays:
    """Every table of `NEURON_TABLES`, as the bytes of a Parquet file.

    `originals`: the arrays of the chunk that trained the originals; `every`: how often it recorded their weights.
    """
    networks = stored_originals(subject, dataset, originals, CPU)
    evaluation = evaluation_of(subject, dataset, networks)
    rows: dict[str, list[pd.DataFrame]] = {name: [] for name in NEURON_TABLES}
    history = torch.from_numpy(originals["history"]) if "history" in originals else None
    for table, frame in (*inside(subject, dataset, networks, evaluation, layers), *grown(dataset, history, every)):
        rows[table].append(frame.rename(columns={"member": "seed"}).assign(dataset=subject.name, split=subject.split))
    return {table: np.frombuffer(packed(table, frames), np.uint8) for table, frames in rows.items()}


def packed(table: str, frames: Sequence[pd.DataFrame]) -> bytes:
    """One table as a Parquet file; without rows where there is no frame."""
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(NEURON_TABLES[table]))
    buffer = io.BytesIO()
    columns = NEURON_TABLES[table]
    pq.write_table(pa.Table.from_pandas(tidy(columns, rows), schema(columns, {}), preserve_index=False), buffer,
                   compression="zstd")
    return buffer.getvalue()


def inside(subject: Subject, data: TabularDataset, networks: Ensemble, evaluation: Evaluation,
           layers: Sequence[int]) -> Frames:
    """Units tested on the background (training) rows, masked on the explained (test) rows; of a chain the paths too."""
    background = Split(evaluation.background, evaluation.background_targets)
    rows = Split(evaluation.inputs, evaluation.targets)
    seen = collect(networks, background.inputs)
    units = units_table(networks, background, data.task, data.classes)
    stacked = not networks.refusal("layers")  # of a module one layer is known, and no weights that lead to it
    if stacked:
        units = units.merge(driven_by(networks, seen, data.groups), on=["member", "layer", "unit"], how="left")
    units, fired = (frame[frame.layer.isin(layers)] for frame in (units, activity(seen, data.task, data.classes)))
    yield "units", units.assign(driven_by=units.get("driven_by", pd.Series("", units.index)).fillna(""))
    yield "activity", fired
    if data.task != "regression":
        yield "classes", class_scores(networks.outputs(rows.inputs), rows.targets, data.task, data.classes)
    chosen = {layer: selections(subject, networks, evaluation, layer, units[units.layer == layer]) for layer in layers}
    for layer in layers:
        of_layer = units[units.layer == layer]
        yield "masking", masked(networks, evaluation, layer, *chosen[layer])
        first = of_layer[of_layer.member == 0]
        yield "samples", samples(seen.leaving[layer - 1][0], background.targets, first, data.task)
    if not stacked:
        return
    yield "drivers", drivers(networks, seen, data.groups, data.task, data.classes)
    yield "layers", layer_importances(networks, evaluation)
    yield "cuts", cuts(networks, rows.inputs, layers)
    if len(chosen) > 1 and len(chosen) == networks.architecture.depth - 1:
        yield "masking", curves_together(networks, rows, data.task, [[*pools, *ranked] for pools, ranked
                                                                     in chosen.values()])
    for output in range(min(networks.architecture.outputs, OUTPUTS)):
        both = [quantile_path(networks, background.inputs, sign, output, KEPT) for sign in ("positive", "negative")]
        yield "paths", to_frame(both, data.feature_names).assign(output=output)


def selections(subject: Subject, networks: Ensemble, evaluation: Evaluation, layer: int,
               units: pd.DataFrame) -> tuple[list[Selection], list[Selection]]:
    """Of one layer the pools of significance, and the units ranked by every scorer of `SCORERS` in the run."""
    significant = torch.from_numpy(units.significant.to_numpy().reshape(len(networks), -1).copy())
    missing = inapplicable(SCORERS, networks, layer)
    names = [name for name in SCORERS if name in subject.asked and not traits_of(name).control and name not in missing]
    return by_significance(significant), [by_score(Choice(name).attribute(networks, evaluation, layer))
                                          for name in names]


def masked(networks: Ensemble, evaluation: Evaluation, layer: int, pools: Sequence[Selection],
           ranked: Sequence[Selection]) -> pd.DataFrame:
    """The curves of one layer: units are zeroed; the pools are also set to their mean."""
    rows = Split(evaluation.inputs, evaluation.targets)
    curves = [plan.curves(networks, rows, evaluation.background, evaluation.task, chosen)
              for plan, chosen in ((Masking(layer), [*pools, *ranked]), (Masking(layer, fill="mean"), pools))]
    return pd.concat(curves, ignore_index=True)


def samples(values: Tensor, targets: Tensor, units: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The pre-activations `[rows, units]` of one member's most and least normal units, one row a unit and row."""
    ranked = units.dropna(subset="normality").sort_values("normality", ascending=False, kind="stable").unit
    chosen = list(dict.fromkeys([*ranked[:SAMPLED], *ranked[-SAMPLED:]]))
    labels = torch.full_like(targets, -1) if task == "regression" else targets
    return pd.DataFrame({
        "member": 0, "layer": int(units.layer.iloc[0]), "unit": np.repeat(chosen, len(values)),
        "label": np.tile(labels.long().numpy(), len(chosen)),
        "value": values[:, chosen].T.flatten().numpy()})


def grown(dataset: TabularDataset, history: Tensor | None, every: int | None) -> Frames:
    """How the first layer's weights moved; nothing for given networks, nor for fewer than two recorded epochs."""
    if history is None or every is None or len(history) < 2:
        return
    names = dataset.feature_names
    yield "history", weights_over_epochs(history, names, every)
    yield "densities", density_table(history, names)
    scores = weight_history_scores(history, dataset.groups).to_frame()
    yield "importances", scores.rename(columns={"mean_abs": "score"})
