"""The worst case of every network of a chunk: the most that moving a feature alone moves the output."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.auditing.rules import Rules
from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.information import packed, unpacked
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.measures.worst_case.measure import ZERO, output_spread, worst_case
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.removal import Setting
from attribution_suite.scorers.attribution import Evaluation

WORST_CASE = "worst_case"  # the array that holds the table, as the bytes of a Parquet file
# What `WorstCase.to_frame` calls its columns, and `outcomes`.
COLUMNS = {
    "effect": "worst_case", "bound": "worst_case_bound", "method": "worst_case_method", "flips": "worst_case_flips",
    "row": "witness_row", "native": "witness_from", "value": "witness_to", "before": "witness_before",
    "after": "witness_after", "rows": "rows", "delta": "delta"}


def absolute_delta(rules: Rules, originals: Ensemble, test: Split) -> Tensor:
    """The moves of f that matter, `[members]`, in f's units: `originals` holds each member's own original."""
    if rules.delta_absolute is not None:
        return torch.full((len(originals),), rules.delta_absolute)
    return rules.delta * output_spread(originals, test.inputs)


def worst_cases(networks: Ensemble, nodes: Nodes, seen: Evaluation, setting: Setting, dataset: TabularDataset,
                layer: int, delta: Tensor) -> Arrays:
    """The worst case of each member's `nodes` on the evaluated rows, over what the training rows say they may be.

    `seen` is the evaluation of the members, at the input; `delta` `[members]` as `absolute_delta` says.
    """
    tail, inputs = networks.tail(layer), seen.at_layer(networks, layer).inputs
    variants = len(networks) // len(setting.seeds)
    frames = []
    # At a hidden layer a seed's networks see activations of their own.
    for seed in range(1) if layer == 0 else range(len(setting.seeds)):
        members = slice(None) if layer == 0 else slice(seed * variants, (seed + 1) * variants)
        rows, training = (inputs, setting.train.inputs) if layer == 0 else (
            inputs[members.start], setting.train.inputs[seed])
        worst = worst_case(tail.select(members), rows, training, Nodes(nodes.index[members]), dataset.task,
                           delta[members], flags=layer == 0, index=dataset.index if layer == 0 else ())
        frames.append((worst.named_units() if layer else worst.named(dataset.feature_names, *dataset.scaler))
                      .to_frame())
    table = pd.concat(frames, ignore_index=True)[list(COLUMNS)].rename(columns=COLUMNS)
    table["rows_unseen"] = rows_unseen(dataset, inputs.shape[-2])
    return {WORST_CASE: packed(table)}


def rows_unseen(dataset: TabularDataset, rows: int) -> int:
    """How many of the first test rows no training or stopping has seen: some published splits stop on the test rows."""
    return len(np.setdiff1d(dataset.test_rows[:rows], np.concatenate([dataset.train_rows, dataset.validation_rows])))


def worst_case_table(arrays: Arrays) -> pd.DataFrame:
    """The columns of `outcomes` that `worst_cases` kept, one row a member."""
    return unpacked(arrays[WORST_CASE])


def gone(arrays: Arrays, seeds: int) -> np.ndarray:
    """Of which removed features no network has any direct influence left, but for rounding, `[variants]` bool."""
    table = worst_case_table(arrays)
    left = (table.worst_case_bound > ZERO * table.delta) | table.worst_case_bound.isna()
    none: np.ndarray = ~np.any(left.to_numpy().reshape(seeds, -1), axis=0)
    return none
