"""Which numbers agreement compares: recomputed, pair by pair, from the table of attributions and from local values."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from reference import captum_alone
from test_measures_agreement import slow

from attribution_suite import attribute, audit, load_dataset, remove, train
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.agreement import METRICS, SIGN_METRICS
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation

pytestmark = [pytest.mark.usefixtures("plain"),
              pytest.mark.filterwarnings("ignore::attribution_suite.datasets.sources.StandInWarning")]

SEEDS, ROWS, LIME_ROWS = 2, 60, 7
LOCAL = ("integrated_gradients", "gradient_shap", "saliency", "random")
UNSIGNED = ("gradient_weight",)
SCORERS = (*LOCAL, *UNSIGNED, "weights", "permutation")
KEYS = ["seed", "removal", "removed"]


@dataclass(frozen=True)
class Finished:
    attributions: pd.DataFrame
    agreement: pd.DataFrame
    networks: dict[str, Perceptrons]
    dataset: TabularDataset


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Boston and one removal; the same networks by the steps."""
    found = audit("boston", out=tmp_path_factory.mktemp("agreement"), jobs=1, seeds=SEEDS, rows=ROWS, device="cpu",
                  lime_rows=LIME_ROWS, scorers=SCORERS, removals=["constant"], remove="LSTAT", say=lambda line: None)
    dataset = load_dataset("boston").with_decoy()
    originals = train(dataset, seeds=SEEDS).networks
    networks = {"original": originals, "constant": remove(originals, dataset, "LSTAT", "constant")}
    return Finished(found.table("attributions"), found.table("agreement"), networks, dataset)


def top(features: int) -> int:
    """The k of agreement, by its definition: five features, at most half of them, at least one."""
    return max(1, min(5, features // 2))


def pairs(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    return combinations([name for name in SCORERS if name in names], 2)


def in_table(agreement: pd.DataFrame, reading: str) -> dict[tuple, float]:
    rows = agreement[agreement.reading == reading]
    values = {(row.seed, row.removal, row.scorer_a, row.scorer_b, row.metric): row.value for row in rows.itertuples()}
    assert len(values) == len(rows)
    return values


def assert_close(found: dict[tuple, float], expected: dict[tuple, float]) -> None:
    assert found.keys() == expected.keys() and len(found) > 0
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=2e-6), key


def test_the_global_reading_is_of_mean_magnitudes_with_the_sign_of_the_mean(run: Finished) -> None:
    expected = {}
    for (seed, removal, _), rows in run.attributions.groupby(KEYS):
        names = list(run.dataset.groups)
        wide = rows.pivot(index="scorer", columns="feature", values=["mean_abs", "signed_mean"])
        scores = {name: [-size if mean < 0 else size for size, mean in zip(
            wide.mean_abs.loc[name, names], wide.signed_mean.loc[name, names], strict=True)] for name in SCORERS}
        for a, b in pairs(SCORERS):
            for metric, value in slow(scores[a], scores[b], top(len(names))).items():
                if metric not in SIGN_METRICS or not {a, b} & set(UNSIGNED):
                    expected[seed, removal, a, b, metric] = value
    assert_close(in_table(run.agreement, "global"), expected)


def test_the_row_reading_is_the_mean_over_the_rows_that_lime_explains(run: Finished) -> None:
    expected = {}
    for removal, networks in run.networks.items():
        local = {name: attribute(networks, run.dataset, name, rows=ROWS, background=2000,
                                 explained_by=run.networks["original"]).values for name in LOCAL}
        for seed in range(SEEDS):
            for a, b in pairs(LOCAL):
                rows = [slow(local[a][seed, row].tolist(), local[b][seed, row].tolist(), top(len(run.dataset.groups)))
                        for row in range(LIME_ROWS)]
                for metric in METRICS:
                    expected[seed, removal, a, b, metric] = np.mean([row[metric] for row in rows])
    assert_close(in_table(run.agreement, "row"), expected)


def test_the_local_values_behind_it_are_captums(run: Finished) -> None:
    """So that the row reading is known to compare what Captum says, not what this package says twice."""
    networks = run.networks["original"]
    evaluation = Evaluation.of(run.dataset, networks, LIME_ROWS, 2000)
    found = in_table(run.agreement, "row")
    for seed in range(SEEDS):
        first, second = (captum_alone(name, networks, evaluation, seed)
                         for name in ("integrated_gradients", "saliency"))
        rows = [slow(a.tolist(), b.tolist(), top(len(run.dataset.groups)))
                for a, b in zip(first, second, strict=True)]
        for metric in METRICS:
            assert found[seed, "original", "integrated_gradients", "saliency", metric] == pytest.approx(
                np.mean([row[metric] for row in rows]), abs=0.02), metric


def test_integrated_gradients_and_gradient_shap_agree_on_boston(run: Finished) -> None:
    """By |mean φ|, as tables had it, signed means that cancel around a mean baseline made them strangers."""
    found = in_table(run.agreement, "global")
    new, old = [], []
    for seed in range(SEEDS):
        rows = run.attributions.query("removal == 'original' and seed == @seed")
        means = [rows[rows.scorer == name].signed_mean.abs() for name in ("integrated_gradients", "gradient_shap")]
        old.append(slow(*(mean.tolist() for mean in means), 5)["rank_correlation"])
        new.append(found[seed, "original", "integrated_gradients", "gradient_shap", "rank_correlation"])
    print(f"rank agreement of |mean φ| {np.mean(old):.2f}, of mean |φ| {np.mean(new):.2f}")
    assert np.mean(new) > 0.7 and np.mean(new) > np.mean(old) + 0.2


def test_the_readings_and_pairs_of_the_table(run: Finished, tmp_path: Path) -> None:
    assert set(run.agreement.reading) == {"row", "global"}
    local = run.agreement[run.agreement.reading == "row"]
    assert set(local.scorer_a) | set(local.scorer_b) == set(LOCAL)  # the others have no values of rows
    few = audit("synthetic", out=tmp_path, jobs=1, seeds=1, rows=9, removals=[], device="cpu", say=lambda line: None,
                scorers=["saliency", "integrated_gradients"]).table("agreement")
    assert set(few.reading) == {"row", "global"} and few.value.between(-1, 1).all()


@pytest.mark.parametrize(("features", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4), (10, 5), (130, 5)])
def test_k(features: int, expected: int) -> None:
    from attribution_suite.auditing.work.score import Scores, agreement

    generator = torch.Generator().manual_seed(features)
    values = torch.randn(2, features, generator=generator)
    scores = Scores.empty(1, 2, features)
    for position in range(2):
        scores.arrays["mean_abs"][0, position] = values[position].abs()
        scores.arrays["signed"][0, position] = values[position]
        scores.arrays["measured"][position] = True
    assert top(features) == expected
    found = agreement(scores)[1, :, 0, 1, 0]
    assert found == pytest.approx(list(slow(values[0].tolist(), values[1].tolist(), expected).values()), abs=1e-6)
