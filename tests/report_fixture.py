"""A run directory as an audit leaves it, made up with known effects: what the tests of the report read.

`boston` is a real-file regression, `heart` a simulated classification. `retrain`, `fold_tuning`, `fold` and `constant`
take the feature out; `subset_fold` does too, but `lime` still reads it; `stochastic_tuning` leaves a part,
`inversion_tuning` most; XGBoost fitted to labels follows only what changes its training data.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.audit.tables import ORIGINAL, TABLES, tidy

SCORERS = ["weights", "gradient_weight", "lrp", "integrated_gradients", "deep_lift", "saliency", "feature_ablation",
           "permutation", "lime", "xgboost_gain", "xgboost_shap", "surrogate_shap", "random"]
LABELS_ONLY = {"xgboost_gain", "xgboost_shap"}
DATA_REMOVALS = {"retrain", "stochastic_tuning", "inversion_tuning"}
# removal → part of the share and of the direct effect left, relative change of the loss, seconds
REMOVALS = {
    "retrain": (0.0, 0.012, 1.6),
    "stochastic_tuning": (0.08, 0.016, 0.42),
    "inversion_tuning": (0.9, 0.004, 0.45),
    "fold_tuning": (0.0, 0.019, 0.51),
    "fold": (0.0, 0.055, 0.0004),
    "subset_fold": (0.0, 0.09, 0.03),
    "constant": (0.0, 0.31, 0.0002),
}
BOSTON = ["CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT", "decoy"]
HEART = ["Age", "Sex", "ChestPainType", "RestingBP", "Cholesterol", "FastingBS", "RestingECG", "MaxHR",
         "ExerciseAngina", "Oldpeak", "ST_Slope", "decoy"]
SUBJECTS = {"boston": (BOSTON, ["B", "LSTAT", "RM"]), "heart": (HEART, ["Sex", "Age", "ST_Slope"])}


def tables(seeds: int = 5, subjects: dict[str, tuple[list[str], list[str]]] | None = None) -> dict[str, pd.DataFrame]:
    """The five tables of audit/tables.py, the same for the same arguments."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for place, (name, (features, removed)) in enumerate((subjects or SUBJECTS).items()):
        rng = np.random.default_rng(place)
        base = np.sort(rng.dirichlet(np.full(len(features) - 1, 1.2)))[::-1]
        base = np.append(rng.permutation(base) * 0.985, 0.015)
        tilt = {scorer: np.exp(0.35 * rng.standard_normal(len(features))) for scorer in SCORERS}
        for seed in range(seeds):
            _seed(rows, name, seed, features, removed, base, tilt, rng)
    return {name: tidy(name, pd.DataFrame(found)) for name, found in rows.items()}


def _seed(rows: dict[str, list[dict[str, Any]]], name: str, seed: int, features: list[str], removed: list[str],
          base: np.ndarray, tilt: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    before = {}
    for scorer in SCORERS:
        scores = base * tilt[scorer] * np.exp(0.12 * rng.standard_normal(len(features)))
        before[scorer] = rng.dirichlet(np.full(len(features), 3.0)) if scorer == "random" else scores / scores.sum()
    key = {"dataset": name, "seed": seed, "removal": ORIGINAL, "removed": "", "layer": 0}
    rows["attributions"] += _shares(key, before, features)
    rows["training"] += _curve(key, rng)
    for i, a in enumerate(SCORERS):
        for b in SCORERS[i + 1:]:
            value = np.corrcoef(before[a].argsort().argsort(), before[b].argsort().argsort())[0, 1]
            pair = {"scorer_a": a, "scorer_b": b, "metric": "rank_correlation", "value": value}
            rows["agreement"].append({**key, **pair})
    loss = 0.3 + 0.02 * rng.random()
    for removal, (left, cost, seconds) in REMOVALS.items():
        for feature in removed:
            here = {**key, "removal": removal, "removed": feature}
            _edited(rows, here, before, features, feature, left, rng)
            effect = base[features.index(feature)] * 9
            flips = np.nan if name == "boston" else 0.2 * left
            rise = 1 + cost * (0.7 + 0.6 * rng.random())
            rows["outcomes"].append({
                **here, "loss_before": loss, "loss_native": loss * rise, "loss_mean_filled": loss * rise,
                "loss_shuffled": loss * rise, "direct_effect_before": effect,
                "direct_effect": effect * left * (0.8 + 0.4 * rng.random()), "direct_effect_max": 2 * effect * left,
                "flip_rate": flips, "cost_ratio": cost / 0.012, "seconds": seconds, "steps": 200})
            if removal == "retrain":
                rows["training"] += _curve(here, rng)


def _edited(rows: dict[str, list[dict[str, Any]]], key: dict[str, Any], before: dict[str, np.ndarray],
            features: list[str], feature: str, left: float, rng: np.random.Generator) -> None:
    j = features.index(feature)
    after = {}
    for scorer, shares in before.items():
        applicable = scorer not in LABELS_ONLY or key["removal"] in DATA_REMOVALS
        if not applicable:
            rows["shifts"].append({**key, "scorer": scorer, "applicable": False, "share_before": np.nan,
                                   "share_after": np.nan, "target_shift": np.nan, "largest_gainer": ""})
            continue
        kept = 0.15 if (scorer, key["removal"]) == ("lime", "subset_fold") else 0.0
        part = max(left * (0.7 + 0.6 * rng.random()), kept)
        new = shares * np.exp(0.5 * (np.arange(len(features)) == (j + 1) % (len(features) - 1)))
        new[j] = 0
        new *= (1 - part * shares[j]) / new.sum()
        new[j] = part * shares[j]
        after[scorer] = rng.dirichlet(np.full(len(features), 3.0)) if scorer == "random" else new
        gain = np.where(np.arange(len(features)) == j, -np.inf, after[scorer] - shares)
        rows["shifts"].append({
            **key, "scorer": scorer, "applicable": True, "share_before": shares[j], "share_after": after[scorer][j],
            "target_shift": after[scorer][j] / shares[j] - 1, "proxy_mass": 0.4, "dependence_correlation": 0.5,
            "total_variation": 0.02, "largest_gainer": features[int(gain.argmax())], "largest_gain": gain.max()})
    rows["attributions"] += _shares(key, after, features)


def _shares(key: dict[str, Any], shares: dict[str, np.ndarray], features: list[str]) -> list[dict[str, Any]]:
    return [{**key, "scorer": scorer, "feature": feature, "share": share, "mean_abs": 3 * share, "signed_mean": np.nan}
            for scorer, values in shares.items() for feature, share in zip(features, values, strict=True)]


def _curve(key: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    epochs = np.arange(1, rng.integers(30, 45))
    training = 0.25 + 0.9 * np.exp(-epochs / 8) + 0.01 * rng.standard_normal(len(epochs))
    validation = training + 0.05 + 0.001 * epochs
    return [{**key, "epoch": epoch, "training_loss": a, "validation_loss": b}
            for epoch, a, b in zip(epochs, training, validation, strict=True)]


def info(subjects: dict[str, tuple[list[str], list[str]]] | None = None) -> dict[str, Any]:
    """run.json."""
    datasets = {}
    for name, (features, removed) in (subjects or SUBJECTS).items():
        regression = name == "boston"
        datasets[name] = {
            "source": "file" if regression else "simulated", "location": f"/data/{name}.csv", "sha256": "59f7ce87" * 8,
            "note": "" if regression else "Made with seed 0.", "rows": {"train": 354, "validation": 51, "test": 101},
            "features": len(features), "groups": dict.fromkeys(features, 1),
            "task": "regression" if regression else "binary", "target": "MEDV" if regression else "HeartDisease",
            "classes": [] if regression else ["0", "1"], "notes": ["zeros of Cholesterol read as missing"],
            "architecture": f"{len(features)}-64-32-1 relu", "removals": removed}
    return {
        "spec": {"datasets": list(datasets), "removals": list(REMOVALS), "scorers": SCORERS, "profile": "quick"},
        "versions": {"attribution-suite": "0.1.0", "torch": "2.13.0"}, "machine": {"cpu": "test", "cores": 2},
        "datasets": datasets, "timings": {"total": 100.0}, "failed": [], "started": "2025-01-01T10:00:00",
        "finished": "2025-01-01T10:02:00"}


def write_run(path: Path, found: dict[str, pd.DataFrame] | None = None, run: dict[str, Any] | None = None) -> Path:
    """A run directory at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    for name, frame in (found or tables()).items():
        frame.to_parquet(path / f"{name}.parquet", index=False)
    (path / "run.json").write_text(json.dumps(run or info()), encoding="utf-8")
    return path


def rows_of(name: str, features: list[str], task: str = "regression") -> Any:
    """What the figures read of a TabularDataset, with made-up rows."""
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((300, len(features))) * np.arange(1, len(features) + 1)
    targets = inputs[:, 0] * 2 + rng.standard_normal(300) if task == "regression" else rng.integers(0, 2, 300)
    return SimpleNamespace(name=name, feature_names=tuple(features), inputs=inputs, targets=targets, task=task,
                           target_name="MEDV", classes=())
