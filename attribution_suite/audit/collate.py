"""From the chunks of a run to its tidy tables, chunk by chunk: memory holds one chunk's rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from attribution_suite.audit.bench import Bench
from attribution_suite.audit.job import Job
from attribution_suite.audit.scoring import scorers_at
from attribution_suite.audit.store import Arrays, Store
from attribution_suite.audit.tables import DTYPES, NEURON_TABLES, TABLES, tidy
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.files import TEMPORARY
from attribution_suite.measures.agreement import METRICS
from attribution_suite.measures.leakage import dependence
from attribution_suite.measures.losses import cost_ratio
from attribution_suite.measures.shift import shift

Datasets = Mapping[str, TabularDataset]
Dependence = dict[str, np.ndarray]
OUTCOMES = ("loss_before", "loss_native", "loss_mean_filled", "loss_shuffled", "direct_effect_before", "direct_effect",
            "direct_effect_max", "flip_rate", "recoverability_before", "recoverability", "seconds", "steps")


def collate(jobs: Sequence[Job], datasets: Datasets, store: Store, out: Path) -> None:
    """Writes every table of the finished chunks of `jobs` to `out`, each whole or not at all.

    The files' metadata names, under 'simulated', the data sets that are stand-ins.
    """
    stand_ins = ", ".join(name for name, dataset in datasets.items() if dataset.provenance.simulated)
    schemas = {table: schema(table).with_metadata({"simulated": stand_ins}) for table in TABLES}
    names = {table: out / f".{table}.parquet{TEMPORARY}" for table in TABLES}
    known: Dependence = {}
    try:
        with ExitStack() as stack:
            writers = {table: stack.enter_context(pq.ParquetWriter(path, schemas[table], compression="zstd"))
                       for table, path in names.items()}
            for job in jobs:
                for table, frame in frames(job, jobs, datasets[job.name], store, known):
                    rows = pa.Table.from_pandas(tidy(table, frame), schemas[table], preserve_index=False)
                    writers[table].write_table(rows)
        for table, path in names.items():
            path.replace(out / f"{table}.parquet")
    except BaseException as error:
        for path in names.values():
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(out)  # Parquet's own errors name no file
        raise


def schema(table: str) -> pa.Schema:
    """The Parquet types of a table, each column with its meaning as metadata."""
    kinds = {"str": pa.string(), "int64": pa.int64(), "bool": pa.bool_(), "float64": pa.float64()}
    return pa.schema([
        pa.field(column, kinds[DTYPES[meaning.split(":")[0].split()[0]]], metadata={"meaning": meaning})
        for column, meaning in {**TABLES, **NEURON_TABLES}[table].items()])


def frames(job: Job, jobs: Sequence[Job], dataset: TabularDataset, store: Store,
           known: Dependence) -> Iterator[tuple[str, pd.DataFrame]]:
    """The tables' rows of one finished chunk; nothing for one that failed. `known` keeps what its data set shares."""
    arrays = store.load(job.key)
    if arrays is None:
        return
    members = keys(job)
    yield "attributions", attributions(job, dataset, arrays, members)
    yield "agreement", agreements(job, arrays, members)
    yield "training", training(arrays, members)
    if job.features:
        original, retrained = store.load(job.original.key), retrain_of(job, jobs, store)
        if original is None:
            return
        if job.name not in known:
            known[job.name] = feature_dependence(job, dataset, original)
        yield "shifts", shifts(job, dataset, arrays, original, retrained, members, known[job.name])
        yield "outcomes", outcomes(arrays, retrained, members)


def keys(job: Job) -> pd.DataFrame:
    """The key columns, one row a member."""
    seeds, removed = range(job.profile.seeds), job.features or ("",)
    return pd.DataFrame({
        "dataset": job.name, "seed": np.repeat(seeds, len(removed)), "removal": job.removal,
        "removed": list(removed) * len(seeds), "layer": job.layer})


def spread(members: pd.DataFrame, columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Repeats each member's keys to the length of `columns` (member-major)."""
    length = len(next(iter(columns.values())))
    return members.loc[members.index.repeat(length // len(members))].reset_index(drop=True).assign(**columns)


def attributions(job: Job, dataset: TabularDataset, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member, applicable scorer and feature."""
    scorers, names = np.array(scorers_at(job.scorers, job.layer)), np.array(feature_names(job, dataset, arrays))
    keep = arrays["applicable"]
    count, features = len(members), len(names)
    return spread(members, {
        "scorer": np.tile(np.repeat(scorers[keep], features), count),
        "feature": np.tile(names, count * keep.sum()),
        **{column: arrays[name][:, keep].ravel() for column, name in
           (("share", "share"), ("mean_abs", "mean_abs"), ("signed_mean", "signed"))},
    })


def feature_names(job: Job, dataset: TabularDataset, arrays: Arrays) -> list[str]:
    """The features of the job's layer."""
    if job.layer:
        return [f"unit:{unit}" for unit in range(arrays["share"].shape[2])]
    return list(dataset.groups)


def agreements(job: Job, arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member, pair of applicable scorers and metric that applies to the pair."""
    scorers = np.array(scorers_at(job.scorers, job.layer))
    first, second = np.triu_indices(len(scorers), 1)
    values = arrays["agreement"][:, first, second].transpose(2, 1, 0)  # [members, pairs, metrics]
    rows = spread(members, {
        "scorer_a": np.tile(np.repeat(scorers[first], len(METRICS)), len(members)),
        "scorer_b": np.tile(np.repeat(scorers[second], len(METRICS)), len(members)),
        "metric": np.tile(np.array(METRICS), len(members) * len(first)),
        "value": values.ravel(),
    })
    return rows[rows["value"].notna()]


def training(arrays: Arrays, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member and epoch it trained."""
    epochs = len(arrays["training_loss"])
    if not epochs:
        return members.iloc[:0].assign(epoch=0, training_loss=0.0, validation_loss=0.0)
    rows = spread(members, {
        "epoch": np.tile(np.arange(1, epochs + 1), len(members)),
        "training_loss": arrays["training_loss"].T.ravel(), "validation_loss": arrays["validation_loss"].T.ravel()})
    return rows[rows["training_loss"].notna()]


def retrain_of(job: Job, jobs: Sequence[Job], store: Store) -> Arrays | None:
    """The finished chunk that retrained without the same features."""
    twins = [other for other in jobs if other.removal == "retrain" and other.features == job.features
             and other.source == job.source and other.layer == job.layer]
    return store.load(twins[0].key) if twins else None


def shifts(job: Job, dataset: TabularDataset, arrays: Arrays, original: Arrays, retrained: Arrays | None,
           members: pd.DataFrame, matrix: np.ndarray) -> pd.DataFrame:
    """One row a member and scorer; `matrix` `[features, features]`: the R² of every feature on every other.

    Total variation is NaN where no retrained network is in the run.
    """
    names = feature_names(job, dataset, arrays)
    removed = np.tile([names.index(feature) for feature in job.features], job.profile.seeds)
    before = original["share"].repeat(len(job.features), 0)
    reference = np.full_like(before, np.nan) if retrained is None else retrained["share"]
    pieces = []
    for position, scorer in enumerate(scorers_at(job.scorers, job.layer)):
        found = shift(before[:, position], arrays["share"][:, position], reference[:, position], removed, matrix)
        gainer = np.array([*names, ""], dtype=object)[found["largest_gainer"]]
        pieces.append(members.assign(scorer=scorer, applicable=bool(arrays["applicable"][position]),
                                     **{**found, "largest_gainer": gainer}))
    return pd.concat(pieces, ignore_index=True)


def feature_dependence(job: Job, dataset: TabularDataset, original: Arrays) -> np.ndarray:
    """R² of every feature on every other, on training rows; for hidden units on the first original's activations."""
    rows = dataset.train.inputs[:5000]
    if job.layer == 0:
        return dependence(rows, dataset.groups)
    networks = Bench(job, dataset).stored(original)
    units = networks.activations(rows)[job.layer][0]
    return dependence(units, {str(unit): (unit,) for unit in range(units.shape[1])})


def outcomes(arrays: Arrays, retrained: Arrays | None, members: pd.DataFrame) -> pd.DataFrame:
    """One row a member."""
    found = {name: arrays[name] for name in OUTCOMES}
    if retrained is None:
        return members.assign(**found, cost_ratio=np.nan)
    ratio = cost_ratio(*(torch.from_numpy(values) for values in
                         (arrays["loss_before"], arrays["loss_native"], retrained["loss_native"])))
    return members.assign(**found, cost_ratio=ratio.numpy())
