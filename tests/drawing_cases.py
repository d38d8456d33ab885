"""Subjects of any size for the drawing of figures: tables of made-up numbers with the columns of a run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL, SCORERS
from attribution_suite.tables import NEURON_TABLES, TABLES, VERDICTS
from attribution_suite.units.masking import FRACTIONS, RANDOM

METHODS = ["retrain", "stochastic_tuning", "fold", "subset_fold_dp", "constant"]
SEEDS = 2
EMPTY: dict[str, Any] = {"str": "", "int64": 0, "float64": np.nan, "bool": True}


def table(columns: dict[str, Any], **given: Any) -> pd.DataFrame:
    """Rows of a table of the run: what is given, and for the other columns nothing."""
    frame = pd.DataFrame(given)
    for name, column in columns.items():
        if name not in frame:
            frame[name] = EMPTY[column.dtype]
    return frame[list(columns)]


def grid(**axes: list[Any]) -> dict[str, np.ndarray]:
    """Every combination, a column an axis."""
    index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    return {name: index.get_level_values(name).to_numpy() for name in axes}


def scorer_names(count: int) -> list[str]:
    """The suite's own, then Captum's with options; the control among them."""
    own = [name for name in SCORERS.names if name != CONTROL]
    more = [f"captum:NoiseTunnel(DeepLift)?nt_samples={place}" for place in range(count)]
    return [*[*own, *more][:count - 1], CONTROL]


def sized(scorers: int, features: int, long: bool = False, removed: int = 2) -> Subject:
    """A subject with as many scorers and features; `long`: with names of 80 characters."""
    draw = np.random.default_rng(scorers * features)
    tail = " and a name that goes on, with <tags> & \"quotes\", for as long as names go" if long else ""
    names = [f"feature {place}{tail}" for place in range(features)]
    gone, said = names[:removed], scorer_names(scorers)
    key = {"dataset": "sized", "split": 0, "layer": 0}
    before = grid(seed=list(range(SEEDS)), scorer=said, feature=names)
    share = draw.dirichlet(np.full(features, 0.3), SEEDS * scorers).ravel()
    sign = draw.choice([-1, 1], len(share))
    original = table(dict(TABLES["attributions"]), **key, **before, removal="original", share=share, mean_abs=share,
                     signed_mean=share * sign, signed_share=share * sign)
    some = names[:12]
    after = grid(removed=gone, removal=METHODS, seed=list(range(SEEDS)), scorer=said, feature=some)
    edited = table(dict(TABLES["attributions"]), **key, **after, share=draw.dirichlet(
        np.ones(len(some)), len(after["seed"]) // len(some)).ravel())
    cells = grid(removed=gone, removal=METHODS, seed=list(range(SEEDS)), scorer=said)
    shifts = table(dict(TABLES["shifts"]), **key, **cells, share_before=0.1, share_after=0.05,
                   target_shift=draw.uniform(-1, 1, len(cells["seed"])))
    edits = grid(removed=gone, removal=METHODS, seed=list(range(SEEDS)))
    count = len(edits["seed"])
    outcomes = pd.concat([
        table(dict(TABLES["outcomes"]), **key, seed=list(range(SEEDS)), removal="original", loss_native=1.0),
        table(dict(TABLES["outcomes"]), **key, **edits, loss_before=1.0, loss_native=draw.uniform(0.9, 1.4, count),
              direct_effect_before=1.0, direct_effect=np.where(draw.random(count) < 0.7, 0.0, draw.random(count)))])
    pairs = [(a, b) for place, a in enumerate(said) for b in said[place + 1:]]
    agreement = pd.concat([table(
        dict(TABLES["agreement"]), **key, seed=0, removal="original", metric="rank_correlation", reading=reading,
        scorer_a=[a for a, _ in pairs], scorer_b=[b for _, b in pairs], value=draw.uniform(-1, 1, len(pairs)))
        for reading in (("row", "global") if scorers < 10 else ("row",))])  # both are drawn alike
    training = table(dict(TABLES["training"]), **key, **grid(removal=["original", "retrain"], seed=[0, 1],
                                                             epoch=list(range(1, 30))), training_loss=1.0,
                     validation_loss=1.1)
    verdicts = table(dict(VERDICTS), dataset="sized", **grid(removed=gone, removal=METHODS))
    at = grid(removed=gone, removal=["original", *METHODS], seed=list(range(SEEDS)), row=[-1, 3, 7],
              value=[0.5, 2, 9000])
    at["feature"], at["level"] = at["removed"], np.where(at["value"] > 5000, "missing", "")
    at["value"] = np.where(at["value"] > 5000, np.nan, at["value"])
    curves = table(dict(TABLES["partial_dependence"]), **key, **at, prediction=draw.uniform(0, 9, len(at["row"])))
    said_of = grid(row=list(range(8)), feature=names)
    local = table(dict(TABLES["local_attributions"]), **key, **said_of, scorer="integrated_gradients",
                  phi=draw.standard_normal(len(said_of["row"])), value=draw.standard_normal(len(said_of["row"])),
                  output=3.0, output_at_baseline=1.0)
    classes = [f"class {place}{tail}" for place in range(3)]
    met = grid(removed=["", *gone], removal=["original", *METHODS], actual=classes, predicted=classes)
    kept = (met["removed"] == "") == (met["removal"] == "original")
    met = {name: column[kept] for name, column in met.items()}
    confusion = table(dict(TABLES["confusion"]), **key, **met, rows=7)
    tables = {name: table(dict(columns), dataset=[]) for name, columns in TABLES.items()} | {
        "attributions": pd.concat([original, edited]), "shifts": shifts, "outcomes": outcomes, "agreement": agreement,
        "training": training, "partial_dependence": curves, "local_attributions": local, "confusion": confusion}
    info = {"task": "regression", "target": "y", "classes": classes, "scorers": {}, "groups": dict.fromkeys(names, 1),
            "source": "file", "features": features, "architecture": "3-4-1 relu"}
    return Subject(f"s{scorers}-f{features}", 0, info, {}, tables, None, None, verdicts)


def looked_into(one: Subject, units: int = 40, epochs: int = 12) -> Subject:
    """The same with a look inside: two hidden layers, three classes with the features' kind of names."""
    draw, names = np.random.default_rng(1), list(one.info["groups"])
    classes = [name.replace("feature", "class") for name in names[:3]]
    key = {"dataset": "sized", "split": 0, "seed": 0}

    def rows(name: str, **given: Any) -> pd.DataFrame:
        return table(dict(NEURON_TABLES[name]), **key, **given)

    def part(count: int) -> np.ndarray:
        return draw.uniform(0, 1, count)

    unit = grid(layer=[1, 2], unit=list(range(units)))
    count, driving = 2 * units, grid(predicted=classes, feature=names)
    nodes = [(0, name) for name in names] + [(layer, f"unit:{k}") for layer in (1, 2) for k in range(units)]
    importance = pd.concat([rows("layers", layer=[layer for layer, _ in nodes], node=[node for _, node in nodes],
                                 scorer=scorer, share=part(len(nodes))) for scorer in ("gradient_weight", "lrp")])
    curves = pd.concat([table(dict(NEURON_TABLES["masking"]), dataset="sized", layer=0, fill="zero", selection=name,
                              **grid(seed=[0, 1], fraction=list(FRACTIONS)), units=3,
                              accuracy=part(2 * len(FRACTIONS)), loss=part(2 * len(FRACTIONS)))
                        for name in (RANDOM, *(f"top:{scorer}" for scorer in one.scorers[:-1]))])
    weights = grid(epoch=list(range(1, epochs + 1)), unit=list(range(12)), feature=names[:20])
    look = {name: table(dict(columns), dataset=[]) for name, columns in NEURON_TABLES.items()} | {
        "units": rows("units", **unit, busiest_class=classes[0], precision=0.5, recall=0.5, f1=part(count),
                      driven_by=", ".join(names[:3])),
        "classes": rows("classes", label=classes, precision=part(3), recall=part(3), f1=part(3)),
        "drivers": rows("drivers", **driving, share=part(3 * len(names)), positive=0.5),
        "layers": importance, "masking": curves,
        "cuts": rows("cuts", **unit, kl=np.where(part(count) < 0.1, np.inf, part(count)), mean_shift=part(count)),
        "history": rows("history", **weights, weight=draw.standard_normal(len(weights["unit"])))}
    return replace(one, neurons=look, info={**one.info, "task": "multiclass", "classes": classes})
