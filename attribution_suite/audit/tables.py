"""The columns of every table an audit writes, with units and direction: the contract of run, report and reader.

One row is one fact. `removal` is 'original' and `removed` '' for the networks before any edit. `layer` 0 is the input.
A method that cannot be applied to a scorer (weight edits on an XGBoost fitted to labels) has `applicable` False and
NaN values, never zero.
"""

from collections.abc import Mapping
from typing import Literal

import pandas as pd

ORIGINAL = "original"
NEURONS = "neurons"  # the chunk that looks inside the originals
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
        "proxy_mass": "float in [0, 1]: Σ[Δs_k]₊R²_kj / Σ[Δs_k]₊ (k ≠ j): the gain's part at proxies, NaN if none",
        "dependence_correlation": "float in [−1, 1]: Spearman of Δs_k (k ≠ j) with R²_kj; NaN if either is constant",
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
        "recoverability_before": "float ≤ 1: R² of a cross-fitted ridge probe for the removed unit's activation (the "
                                 "original's, background rows) from what leaves the next Linear; NaN at layer 0",
        "recoverability": "float ≤ 1: the same from the edited network: what the layers above can still know of the "
                          "unit through its peers; 0 is nothing. NaN at layer 0 and for a unit that is constant",
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

UNIT = {"dataset": KEYS["dataset"], "seed": KEYS["seed"], "layer": "int: 1 is the first hidden layer",
        "unit": "int: from 0"}
# What a look inside the networks writes beside them (`attribution-suite neurons`; `run` with the full profile).
NEURON_TABLES: Mapping[str, Mapping[str, str]] = {
    "units": {
        **UNIT,
        "state": "str: 'dead', 'always on', 'never on' (≤ 0 without being dead) or 'mixed', on the background rows",
        "rate": "float in [0, 1]: the part of the rows on which the unit is active (> 0)",
        "busiest_class": "str: the predicted class with the highest rate ('all' for regression)",
        "rate_range": "float in [0, 1]: the highest rate of a class minus the lowest",
        "test": "str: what the pre-activations were put to: welch, mann_whitney, anova, kruskal, spearman, or constant "
                "(nothing to test)",
        "normality": "float: the smallest Shapiro p over classes, of the pre-activations; regression: over all rows",
        "p": "float: two-sided, uncorrected", "p_holm": "float: over the layer's units",
        "p_bh": "float: Benjamini and Hochberg, over the layer's units",
        "effect": "float in [−1, 1]: Cliff's delta, or Spearman's ρ for a regression, of the pre-activations",
        "effect_class": "int: the class that the effect is of, −1 for regression",
        "cohens_d": "float: class 1 against 0; NaN unless binary",
        "bimodality": "float in (0, 1]: Sarle's coefficient of the pre-activations; above 5/9 hints at two modes",
        "significant": "bool: p < 0.05, what masking follows", "significant_holm": "bool", "significant_bh": "bool",
    },
    "activity": {
        **UNIT, "predicted": "str: the class that the network predicts, 'all' for regression",
        "rate": "float in [0, 1]: the part of the class's rows on which the unit is active; NaN without rows",
        "mean": "float: its mean activation there", "rows": "int: how many are predicted so",
        "state": "str: as in `units`",
    },
    "drivers": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "predicted": "str: the predicted class",
        "feature": "str: an original column",
        "positive": "float in [0, 1]: of the first layer's active units, those with a positive weight of the feature",
        "share": "float in [0, 1]: the feature's part of what these units are given",
    },
    "classes": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "label": "str", "precision": "float in [0, 1], test rows",
        "recall": "float in [0, 1]", "f1": "float in [0, 1]", "rows": "int: test rows with the label",
    },
    "masking": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "layer": UNIT["layer"],
        "fill": "str: what masked units stand at, 'zero' or 'mean'",
        "selection": "str: a pool drawn at random (significant, non-significant, their controls, random) or top:SCORER",
        "repeat": "int: of the draw", "fraction": "float in [0, 1]: of the pool that is masked",
        "units": "int: how many that are", "accuracy": "float in [0, 1]: test rows; NaN for regression",
        "loss": "float: the task's, test rows",
    },
    "paths": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "output": "int: where the path ends",
        "sign": "str: positive or negative", "layer": "int: of the unit, 0 the inputs", "unit": "int",
        "unit_name": "str", "target": "int: the node of the layer above", "target_name": "str", "weight": "float",
        "variation": "float: the target at the unit's highest quantile minus at its lowest, the other units at zero",
        "output_variation": "float: the output's, when the unit alone of its layer moves",
        **{f"response_{level}": f"float: the target with the unit at its {level} % quantile"
           for level in (0, 5, 25, 50, 75, 95, 100)},
    },
    "history": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "epoch": "int from 1",
        "unit": "int: of the first hidden layer", "feature": "str: an encoded column",
        "weight": "float: after the epoch",
    },
    "densities": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "unit": "int: of the first hidden layer",
        "feature": "str: an encoded column", "std": "float ≥ 0: of the weight over epochs",
        "len": "int: epochs at which the normal density of the weight is 1 or more",
        "max": "float: the largest such density", "sum": "float", "mean": "float", "stdev": "float",
    },
    "importances": {
        "dataset": KEYS["dataset"], "seed": KEYS["seed"], "feature": "str: an original column",
        "score": "float ≥ 0: weight_history, Σ over units of the standard deviation of the weight over epochs",
        "share": "float in [0, 1]: of all features",
    },
    "samples": {
        **UNIT, "label": "int: the row's class",
        "value": "float: the unit's pre-activation on one background row, as it is tested",
    },
}


def tidy(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with exactly the documented columns of `table`, in their order and types."""
    columns = {**TABLES, **NEURON_TABLES}[table]
    frame = rows.reindex(columns=list(columns))
    for column, meaning in columns.items():
        kind = meaning.split(":")[0].split()[0]
        frame[column] = frame[column].astype(DTYPES[kind])
    return frame
