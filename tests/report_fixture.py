"""A real small run, made once, and edits of its tables: what the tests of the report read.

`boston` is a regression of a real file, `iris` has three classes; three networks each, the three features with the
largest share removed. Every feature, removal, scorer and network has numbers of its own, so that a swap shows.
Student's 95 % interval of three networks is their mean ± t·s/√3; for two degrees of freedom t has a closed form.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from shared import shared

from attribution_suite import audit, load_dataset
from attribution_suite.conclusions.summary import edits
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.reporting.reading import Run, Subject
from attribution_suite.tables import ALL_TABLES, NEURON_TABLES, TABLES
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.column import tidy

Frames = dict[str, pd.DataFrame]
SEEDS = 3
REMOVALS = ["retrain", "stochastic_tuning", "inversion_tuning", "fold_tuning", "constant"]
SCORERS = ["weights", "gradient_weight", "integrated_gradients", "deep_lift", "permutation", "lime", "xgboost_gain",
           "random"]
VOTERS = SCORERS[:-1]
LOCAL = ["integrated_gradients", "deep_lift", "lime"]  # they have a value for each row
# xgboost_gain reads labels: only what changes its training data can change it.
DATA_REMOVALS = ["retrain", "stochastic_tuning", "inversion_tuning"]
SMALL = Preset("default", (12, 9), Training(epochs=15, batch_size=32, learning_rate=1e-2, patience=4), tuning_epochs=4)
BRIEF: Mapping[str, Any] = {"seeds": SEEDS, "rows": 30, "background": 120, "lime_rows": 8, "lime_samples": 60,
                            "jobs": 1, "say": lambda line: None}
# removal → what is left of the mean effect and of every scorer's share, of the first, second and third feature
LEFT = {"retrain": (0.0, 0.0, 0.0), "stochastic_tuning": (0.07, 0.13, 0.31), "inversion_tuning": (0.93, 0.71, 0.56),
        "fold_tuning": (0.0, 0.004, 0.0), "constant": (0.0, 0.0, 0.0)}
STATES = {"retrain": "proved none", "stochastic_tuning": "present", "inversion_tuning": "undecided",
          "fold_tuning": "bounded", "constant": "proved none"}
# Of what is neither proved nor present: the move found and the bound of the first network, in its δ.
MOVES = {"inversion_tuning": (0.7, np.inf), "fold_tuning": (0.2, 0.5)}


@cache
def datasets() -> dict[str, TabularDataset]:
    """Two real tables with a small network each."""
    return {name: replace(load_dataset(name), preset=SMALL) for name in ("boston", "iris")}


@cache
def whole_run() -> Path:
    """Both data sets, inputs removed, every hidden layer looked into; drawn by the tests that look at pictures."""
    return shared("whole", lambda folder: undrawn(
        list(datasets().values()), remove="top:3", removals=REMOVALS, scorers=SCORERS, inside="all", out=folder))


@cache
def units_run() -> Path:
    """Iris, the two strongest units of layer 1 of each network removed."""
    return shared("units", lambda folder: undrawn(
        [datasets()["iris"]], layer=1, remove="top:2", removals=["retrain", "stochastic_tuning"],
        scorers=["gradient_weight", "deep_lift", "permutation", "random"], out=folder))


def undrawn(tables: list[TabularDataset], **words: Any) -> None:
    """An audit without its page."""
    audit(tables, **words, **BRIEF, page=False)


def tables(path: Path, seeds: int = SEEDS, names: tuple[str, ...] = ("boston", "iris"), look: bool = False) -> Frames:
    """The tables of a run: of the first `seeds` networks, of some data sets; with `look` those of the look inside."""
    found = {name: pd.read_parquet(path / f"{name}.parquet") for name in (ALL_TABLES if look else TABLES)}
    return {name: frame[frame.dataset.isin(names) & (frame.get("seed", 0) < seeds)] for name, frame in found.items()}


def record(path: Path, names: tuple[str, ...] = ("boston", "iris"), look: bool = False) -> dict[str, Any]:
    """run.json, of some of its data sets; without `look` as if nobody had looked inside.

    Boston passes for the real file wherever the tests run.
    """
    run = json.loads((path / "run.json").read_text())
    run["datasets"].get("boston", {})["source"] = "file"
    run["datasets"] = {name: about for name, about in run["datasets"].items() if name in names}
    if not look:
        run["spec"]["inside"] = None
    return run


def write_run(path: Path, found: Frames, run: dict[str, Any]) -> Path:
    """A run directory at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    for name, frame in found.items():
        frame.to_parquet(path / f"{name}.parquet", index=False)
    (path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return path


@cache
def _subjects(path: Path) -> dict[str, Subject]:
    return {one.name: one for one in Run(path).subjects(datasets())}


def subject(name: str = "boston", path: Path | None = None, **found: pd.DataFrame) -> Subject:
    """A data set as the report reads it, some of its tables replaced."""
    one = _subjects(path or whole_run())[name]
    look = None if one.neurons is None else {**one.neurons, **{k: v for k, v in found.items() if k in NEURON_TABLES}}
    return replace(one, tables={**one.tables, **{k: v for k, v in found.items() if k in TABLES}}, neurons=look)


def removed(name: str = "boston", path: Path | None = None) -> list[str]:
    """The removed features in the order of the run."""
    return list(edits(subject(name, path).tables["outcomes"]).removed.unique())


def settled(found: Mapping[str, pd.DataFrame], names: tuple[str, ...] = ("boston",)) -> Frames:
    """The tables with the effects of `LEFT` and the worst cases of `MOVES`, so that there are all `STATES`.

    LIME sees the first feature above its null where `constant` removed it, and could not tell the third one before;
    the null of permutation failed on the second one after retraining. Each network has a tenth more or less than the
    one before.
    """
    shifts, outcomes, nulls = (found[name].copy() for name in ("shifts", "outcomes", "nulls"))
    shifts["share_before"] = shifts.share_before.clip(lower=0.01)
    for name in names:
        features = list(edits(outcomes[outcomes.dataset == name]).removed.unique())
        for removal, parts in LEFT.items():
            for feature, part in zip(features, parts, strict=True):
                for frame, column, before in ((outcomes, "direct_effect", "direct_effect_before"),
                                              (shifts, "share_after", "share_before")):
                    rows = (frame.dataset == name) & (frame.removal == removal) & (frame.removed == feature)
                    frame.loc[rows, column] = (part * (0.9 + 0.1 * frame.seed) * frame[before])[rows]
        for removal, (move, bound) in MOVES.items():
            rows = (outcomes.dataset == name) & (outcomes.removal == removal)
            scale = (0.9 + 0.1 * outcomes.seed) * outcomes.delta
            new = {"worst_case": move * scale, "worst_case_bound": bound * scale, "witness_row": 3 + outcomes.seed,
                   "witness_before": 1.0, "witness_after": 1 + move * scale, "witness_from": "2", "witness_to": "5",
                   "worst_case_method": "search" if np.isinf(bound) else "enclosure"}
            for column, values in new.items():
                outcomes.loc[rows, column] = values[rows] if isinstance(values, pd.Series) else values
        one, two, three = ((nulls.dataset == name) & (nulls.removed == feature) for feature in features)
        lime = nulls.scorer == "lime"
        nulls.loc[lime, "p"] = np.where(nulls.removal[lime].isin(["retrain", "fold_tuning", "constant"]), 0.4, 0.05)
        nulls.loc[one & lime & (nulls.removal == "constant"), "p"] = 0.02
        nulls.loc[three & lime & (nulls.removal == ORIGINAL), "p"] = 0.1
        nulls.loc[two & (nulls.scorer == "permutation") & (nulls.removal == "retrain"), ["score", "p"]] = np.nan
    shifts["target_shift"] = shifts.share_after / shifts.share_before - 1
    return {**found, "shifts": shifts, "outcomes": outcomes, "nulls": nulls}


def changed(frame: pd.DataFrame, rows: Mapping[str, object], **values: object) -> pd.DataFrame:
    """`frame` with columns of the `rows` (column → value, or a list of them) set; a callable is given these rows."""
    here = pd.Series(True, frame.index)
    for column, wanted in rows.items():
        here &= frame[column].isin(wanted if isinstance(wanted, list) else [wanted])
    assert here.any(), rows
    own = frame[here]
    new = {column: value(own) if callable(value) else value for column, value in values.items()}
    frame = frame.copy()
    for column, value in new.items():
        frame.loc[here, column] = value
    return frame


def failures(**words: object) -> pd.DataFrame:
    """One row of the table of that name."""
    row = {"dataset": "boston", "split": 0, "removal": ORIGINAL, "removed": "", "layer": 0, "rank": 0, "scorer": "",
           "error": "no room"}
    return tidy(TABLES["failures"], pd.DataFrame([{**row, **words}]))


def hand_mean(values: Any) -> tuple[float, float, float]:
    """Mean, and the ends of Student's interval of three networks."""
    values = np.asarray(values, float)
    assert len(values) == SEEDS
    half = 0.95 * (2 / (1 - 0.95**2)) ** 0.5 * values.std(ddof=1) / SEEDS**0.5
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def drawn_by(draw: Callable[[Subject], Any], one: Subject) -> tuple[list[Any], list[Any]]:
    """The matplotlib figures that a figure function of the report makes of a subject, and what it returns of each."""
    figures: list[Any] = []

    def keep(figure: Any, subject: Subject) -> tuple[bytes, str]:
        figures.append(figure)
        return b"png", "<svg></svg>"

    with patch("attribution_suite.reporting.figures.style.pixels_and_svg", keep):
        found = draw(one)
    return figures, found if isinstance(found, list) else [found]
