"""The tables that a look inside the networks writes (`attribution-suite neurons`; `run` with the full profile)."""

from collections.abc import Mapping

from attribution_suite.tables.audit import KEYS
from attribution_suite.tables.column import Column, flag, number, text, whole

MEMBER: Mapping[str, Column] = {name: KEYS[name] for name in ("dataset", "split", "seed")}
UNIT: Mapping[str, Column] = {**MEMBER, "layer": whole("1 is the first hidden layer"), "unit": whole("from 0")}

NEURON_TABLES: Mapping[str, Mapping[str, Column]] = {
    "units": {
        **UNIT,
        "state": text("'dead', 'always on', 'never on' (≤ 0 without being dead) or 'mixed', on the background rows"),
        "rate": number("the part of the rows on which the unit is active (> 0)", "in [0, 1]"),
        "busiest_class": text("the predicted class with the highest rate ('all' for regression)"),
        "rate_range": number("the highest rate of a class minus the lowest", "in [0, 1]"),
        "precision": number("of the rows on which it is active, those labelled with its busiest class; NaN for "
                            "regression", "in [0, 1]"),
        "recall": number("of the rows labelled with its busiest class, those on which it is active", "in [0, 1]"),
        "f1": number("harmonic mean of both: how well 'it is active' tells the class", "in [0, 1]"),
        "driven_by": text("the at most three features that push it on most, of the first hidden layer; '' above"),
        "test": text("what the pre-activations were put to: welch, mann_whitney, anova, kruskal, spearman, or constant "
                     "(nothing to test)"),
        "normality": number("the smallest Shapiro p over classes, of the pre-activations; regression: over all rows"),
        "p": number("two-sided, uncorrected"),
        "p_holm": number("over the layer's units"),
        "p_bh": number("Benjamini and Hochberg, over the layer's units"),
        "effect": number("Cliff's delta, or Spearman's ρ for a regression, of the pre-activations", "in [−1, 1]"),
        "effect_class": whole("the class that the effect is of, −1 for regression"),
        "cohens_d": number("class 1 against 0; NaN unless binary"),
        "bimodality": number(
            "Sarle's coefficient of the pre-activations; above 5/9 hints at two modes", "in (0, 1]"),
        "significant": flag("p < 0.05, what masking follows"),
        "significant_holm": flag("p_holm < 0.05"),
        "significant_bh": flag("p_bh < 0.05"),
    },
    "activity": {
        **UNIT,
        "predicted": text("the class that the network predicts, 'all' for regression"),
        "rate": number("the part of the class's rows on which the unit is active; NaN without rows", "in [0, 1]"),
        "mean": number("its mean activation there"),
        "rows": whole("how many are predicted so"),
        "state": text("as in `units`"),
    },
    "drivers": {
        **MEMBER,
        "predicted": text("the predicted class"),
        "feature": text("an original column"),
        "positive": number(
            "of the first layer's active units, those with a positive weight of the feature", "in [0, 1]"),
        "share": number("the feature's part of what these units are given", "in [0, 1]"),
    },
    "classes": {
        **MEMBER,
        "label": text("the class"),
        "precision": number("of the rows predicted so, those of the class", "in [0, 1]"),
        "recall": number("of the class's rows, those predicted so", "in [0, 1]"),
        "f1": number("harmonic mean of both", "in [0, 1]"),
        "rows": whole("test rows with the label"),
    },
    "masking": {
        **MEMBER,
        "layer": whole("1 is the first hidden layer, 0 all hidden layers together"),
        "fill": text("what masked units stand at, 'zero' or 'mean'"),
        "selection": text(
            "a pool drawn at random (significant, non-significant, their controls, random) or top:SCORER"),
        "repeat": whole("of the draw"),
        "fraction": number("of the pool that is masked", "in [0, 1]"),
        "units": whole("how many that are"),
        "accuracy": number("test rows; NaN for regression", "in [0, 1]"),
        "loss": number("the task's, test rows"),
    },
    "layers": {
        **MEMBER,
        "layer": whole("0 the inputs, 1 the first hidden layer"),
        "node": text("an original column, or unit:K"),
        "scorer": text("gradient_weight or lrp"),
        "score": number("in the scorer's own units, test rows (gradient_weight: background rows)", "≥ 0"),
        "share": number("of all nodes of the layer", "in [0, 1]"),
    },
    "cuts": {
        **UNIT,
        "kl": number("mean over the next layer's nodes of KL(before ‖ after) of their values as normal distributions, "
                     "the unit at zero; test rows", "nats, ≥ 0"),
        "kl_most": number("the largest of them", "nats, ≥ 0"),
        "mean_shift": number("mean over the nodes of abs(mean after − mean before), in standard deviations before",
                             "≥ 0"),
        "mean_shift_most": number("the largest of them", "≥ 0"),
        "moved_most": whole("the node of the next layer with the largest KL, −1 where all are constant"),
    },
    "paths": {
        **MEMBER,
        "output": whole("where the path ends"),
        "sign": text("positive or negative"),
        "layer": whole("of the unit, 0 the inputs"),
        "unit": whole("from 0"),
        "unit_name": text("its name"),
        "target": whole("the node of the layer above"),
        "target_name": text("its name"),
        "weight": number("of the link from the unit to the target"),
        "variation": number("the target at the unit's highest quantile minus at its lowest, the other units at zero"),
        "output_variation": number("the output's, when the unit alone of its layer moves"),
        "response_0": number("the target with the unit at its 0 % quantile"),
        "response_5": number("the target with the unit at its 5 % quantile"),
        "response_25": number("the target with the unit at its 25 % quantile"),
        "response_50": number("the target with the unit at its 50 % quantile"),
        "response_75": number("the target with the unit at its 75 % quantile"),
        "response_95": number("the target with the unit at its 95 % quantile"),
        "response_100": number("the target with the unit at its 100 % quantile"),
    },
    "history": {
        **MEMBER,
        "epoch": whole("after which it was recorded", "from 1"),
        "unit": whole("of the first hidden layer"),
        "feature": text("an encoded column"),
        "weight": number("after the epoch"),
    },
    "densities": {
        **MEMBER,
        "unit": whole("of the first hidden layer"),
        "feature": text("an encoded column"),
        "std": number("of the weight over epochs", "≥ 0"),
        "len": whole("epochs at which the normal density of the weight is 1 or more"),
        "max": number("the largest such density"),
        "sum": number("of the densities that are 1 or more"),
        "mean": number("their mean"),
        "stdev": number("their standard deviation (n − 1)"),
    },
    "importances": {
        **MEMBER,
        "feature": text("an original column"),
        "score": number("weight_history, Σ over units of the standard deviation of the weight over epochs", "≥ 0"),
        "share": number("of all features", "in [0, 1]"),
    },
    "samples": {
        **UNIT,
        "label": whole("the row's class"),
        "value": number("the unit's pre-activation on one background row, as it is tested"),
    },
}
