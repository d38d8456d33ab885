"""A look inside the originals of one data set: their units, what masking costs, paths, and how weights grew."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from attribution_suite.audit.bench import Bench
from attribution_suite.audit.collate import schema
from attribution_suite.audit.job import Job
from attribution_suite.audit.scoring import Choice, attribute
from attribution_suite.audit.store import Arrays, Store
from attribution_suite.audit.tables import NEURON_TABLES, NEURONS, tidy
from attribution_suite.datasets.table import Split, TabularDataset, Task
from attribution_suite.errors import InputError
from attribution_suite.files import write_atomically
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.forward import collect
from attribution_suite.neurons.activations import activity, class_scores, drivers
from attribution_suite.neurons.masking import Masking, by_score, by_significance
from attribution_suite.neurons.paths import quantile_path, to_frame
from attribution_suite.neurons.units import units_table
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.weight_history import density_table, weight_history_scores, weights_over_epochs

# What ranks hidden units for masking, and scores inputs beside weight_history: quick methods, one of each kind.
SCORERS = ("gradient_weight", "lrp", "integrated_gradients", "deep_lift", "input_x_gradient", "saliency",
           "layer_conductance", "feature_ablation", "permutation", "weights", "unit_significance", "random")
KEPT, OUTPUTS = 8, 8  # a path keeps the 8 strongest nodes of a layer; of many outputs the first 8 are followed
SAMPLED = 4  # the most and the least normal units of a layer whose values are kept for the figures

Frames = Iterator[tuple[str, pd.DataFrame]]


def neuron_jobs(originals: Sequence[Job], datasets: Mapping[str, TabularDataset], layer: str,
                say: Callable[[str], None]) -> list[Job]:
    """One chunk a data set; `layer`: 'all' or the number of a hidden one.

    A network that has none, or whose layers are not known, is left out and named. Raises InputError for a layer that
    a network does not have.
    """
    jobs = []
    for original in originals:
        given, bench = original.given, Bench(original, datasets[original.name])
        reason = None if given is None else given.networks.refusal("layers")
        if bench.architecture.depth == 1 and reason is None:
            reason = "its network has no hidden units"
        if reason:
            say(f"{original.name}: no look inside: {reason}")
            continue
        hidden = range(1, bench.architecture.depth)
        if layer != "all" and int(layer) not in hidden:
            raise InputError(f"--layer {layer}: the network of {original.name} has hidden layers 1 to {hidden[-1]}")
        chosen = hidden if layer == "all" else [int(layer)]
        jobs.append(replace(original, removal=NEURONS, features=tuple(f"layer {number}" for number in chosen)))
    return jobs


def neurons(bench: Bench, store: Store) -> Arrays:
    """The chunk: every table of `NEURON_TABLES`, as the bytes of a Parquet file."""
    networks, saved = bench.load_originals(store)
    evaluation = bench.evaluation(networks)
    layers = [int(name.split()[1]) for name in bench.job.features]
    history = torch.from_numpy(saved["history"]) if "history" in saved else None
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in NEURON_TABLES}
    for table, frame in (*inside(bench, networks, evaluation, layers), *grown(bench, history)):
        found[table].append(frame.rename(columns={"member": "seed"}).assign(dataset=bench.job.name))
    return {table: np.frombuffer(packed(table, frames), np.uint8) for table, frames in found.items()}


def packed(table: str, frames: Sequence[pd.DataFrame]) -> bytes:
    """One table as a Parquet file; without rows where there is no frame."""
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(NEURON_TABLES[table]))
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(tidy(table, rows), schema(table), preserve_index=False), buffer,
                   compression="zstd")
    return buffer.getvalue()


def inside(bench: Bench, networks: Ensemble, evaluation: Evaluation, layers: Sequence[int]) -> Frames:
    """Units tested on the background (training) rows, masked on the explained (test) rows, and the paths."""
    data = bench.dataset
    background = Split(evaluation.background, evaluation.background_targets)
    rows = Split(evaluation.inputs, evaluation.targets)
    seen = collect(networks, background.inputs)
    units = units_table(networks, background, data.task, data.classes)
    units, fired = (frame[frame.layer.isin(layers)] for frame in (units, activity(seen, data.task, data.classes)))
    yield "units", units
    yield "activity", fired
    yield "drivers", drivers(networks, seen, data.groups, data.task, data.classes)
    if data.task != "regression":
        yield "classes", class_scores(networks.outputs(rows.inputs), rows.targets, data.task, data.classes)
    for layer in layers:
        here = units[units.layer == layer]
        yield "masking", masked(bench, networks, evaluation, layer, here)
        yield "samples", samples(seen.leaving[layer - 1][0], background.targets, here[here.member == 0], data.task)
    for output in range(min(networks.architecture.outputs, OUTPUTS)):
        both = [quantile_path(networks, background.inputs, sign, output, KEPT) for sign in ("positive", "negative")]
        yield "paths", to_frame(both, data.feature_names).assign(output=output)


def masked(bench: Bench, networks: Ensemble, evaluation: Evaluation, layer: int, units: pd.DataFrame) -> pd.DataFrame:
    """The curves of one layer: the pools of significance, and the units ranked by every scorer of `SCORERS` in the run.

    Units are zeroed; the pools are also set to their mean.
    """
    significant = torch.from_numpy(units.significant.to_numpy().reshape(len(networks), -1).copy())
    names = [name for name in SCORERS if name in bench.job.scorers and name != "random"]
    ranked = [by_score(attribute(Choice(name, {}), networks, evaluation, layer)) for name in names]
    rows, pools = Split(evaluation.inputs, evaluation.targets), by_significance(significant)
    curves = [plan.curves(networks, rows, evaluation.background, evaluation.task, selections)
              for plan, selections in ((Masking(layer), [*pools, *ranked]), (Masking(layer, fill="mean"), pools))]
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


def grown(bench: Bench, history: Tensor | None) -> Frames:
    """How the first layer's weights moved; nothing for given networks, nor for fewer than two recorded epochs."""
    if history is None or len(history) < 2:
        return
    names = bench.dataset.feature_names
    yield "history", weights_over_epochs(history, names, bench.every)
    yield "densities", density_table(history, names)
    found = weight_history_scores(history, bench.dataset.groups).to_frame()
    yield "importances", found.rename(columns={"mean_abs": "score"})


def write_neurons(jobs: Sequence[Job], datasets: Mapping[str, TabularDataset], store: Store, out: Path) -> None:
    """Writes every table of the finished chunks to `out`; without chunks, removes those of an earlier run.

    As in the audit's tables, the metadata name the data sets that are stand-ins under 'simulated'.
    """
    stand_ins = ", ".join(name for name, dataset in datasets.items() if dataset.provenance.simulated)
    chunks = [arrays for job in jobs if (arrays := store.load(job.key)) is not None]
    for table in NEURON_TABLES:
        path = out / f"{table}.parquet"
        if not chunks:
            path.unlink(missing_ok=True)
            continue
        parts = [pq.read_table(io.BytesIO(arrays[table].tobytes())) for arrays in chunks]
        whole = pa.concat_tables(parts).cast(schema(table).with_metadata({"simulated": stand_ins}))
        buffer = io.BytesIO()
        pq.write_table(whole, buffer, compression="zstd")
        write_atomically(path, buffer.getvalue())
