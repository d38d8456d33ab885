"""The columns of every table an audit writes, with units and direction: the contract of run, report and reader.

One row is one fact. `removal` is 'original' and `removed` '' for the networks before any edit. `layer` 0 is the input.
A method that cannot be applied to a scorer (weight edits on an XGBoost fitted to labels) has `applicable` False and
NaN values, never zero.
"""

from collections.abc import Mapping
from typing import Literal

import pandas as pd

ORIGINAL = "original"
DTYPES: Mapping[str, Literal["str", "int64", "bool", "float64"]] = {
    "str": "str", "int": "int64", "bool": "bool", "float": "float64"}

KEYS = {
    "dataset": "str: the data set's name",
    "seed": "int: initialisation and batch order; everything is paired by it",
    "removal": "str: the removal method, or 'original'",
    "removed": "str: the feature (or unit) removed, '' for 'original'",
    "layer": "int: 0 is the input, l is what enters Linear l + 1",
}

TABLES: Mapping[str, Mapping[str, str]] = {
    "attributions": {
        **KEYS,
        "scorer": "str: the attribution method",
        "feature": "str: an original column, or 'unit:u'",
        "share": "float in [0, 1]: s_k / Σ s",
        "mean_abs": "float ≥ 0: s_k, in the units of the explained output (or the method's own)",
        "signed_mean": "float: mean over rows of φ_k; NaN where the method has no sign",
    },
    "shifts": {
        **KEYS,
        "scorer": "str: the attribution method",
        "applicable": "bool: False where this removal cannot change what the scorer reads",
        "share_before": "float in [0, 1]: the removed feature's share in the original network",
        "share_after": "float in [0, 1]: its share after the removal; 0 is gone",
        "target_shift": "float ≥ −1: share_after / share_before − 1; −1 is gone, 0 unchanged; NaN if share_before is 0",
        "proxy_mass": "float in [0, 1]: Σ[Δs_k]₊R²_kj / Σ[Δs_k]₊ over k ≠ j; how much of the gain went to proxies of j",
        "dependence_correlation": "float in [−1, 1]: Spearman of Δs_k (k ≠ j) with the dependence of x_k on x_j",
        "total_variation": "float in [0, 1]: ½‖s′ − s_retrain‖₁; 0 is where retraining without the feature ends",
        "largest_gainer": "str: the feature whose share grew most",
        "largest_gain": "float: by how much (difference of shares)",
    },
    "outcomes": {
        **KEYS,
        "loss_before": "float: test loss of the original network on native data (the task's loss)",
        "loss_native": "float: test loss after, native data",
        "loss_mean_filled": "float: test loss after, the removed feature at its training mean",
        "loss_shuffled": "float: test loss after, the removed feature permuted",
        "direct_effect_before": "float ≥ 0: direct_effect of the original network",
        "direct_effect": "float ≥ 0: mean abs(f(x) − f(x with x_j permuted)), explained output; 0 is gone",
        "direct_effect_max": "float ≥ 0: maximum over a grid of training quantiles of x_j, mean over rows",
        "flip_rate": "float in [0, 1]: rows whose predicted class changes when x_j is permuted; NaN for regression",
        "cost_ratio": "float: (L′ − L) / (L_retrain − L) on native test data; NaN if retraining costs nothing",
        "seconds": "float: of the removal, this member's share of its ensemble's time",
        "steps": "int: optimiser steps until the member's best weights",
    },
    "agreement": {
        **KEYS,
        "scorer_a": "str", "scorer_b": "str",
        "metric": "str: one of the six of Krishna et al. (2022)",
        "value": "float: 1 is full agreement",
    },
    "training": {
        **KEYS,
        "epoch": "int from 1",
        "training_loss": "float: mean over the epoch's batches",
        "validation_loss": "float: after the epoch, on what the removal trains on",
    },
}


def tidy(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with exactly the documented columns of `table`, in their order and types."""
    frame = rows.reindex(columns=list(TABLES[table]))
    for column, meaning in TABLES[table].items():
        kind = meaning.split(":")[0].split()[0]
        frame[column] = frame[column].astype(DTYPES[kind])
    return frame
