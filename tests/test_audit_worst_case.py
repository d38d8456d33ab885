"""The worst case as an audit records it: of originals and edits, inputs and hidden units, against moving columns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from attribution_suite import audit, from_arrays, remove, train
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError

pytestmark = pytest.mark.usefixtures("plain")

SMALL = Preset("default", (6, 5), Training(5, 16, 0.02), tuning_epochs=2)
ROWS, SEEDS = 12, 2
ASKED = "removed != ''"  # an original's own row is of no feature


@pytest.fixture(scope="module")
def dataset() -> TabularDataset:
    generator = np.random.default_rng(3)
    inputs = generator.standard_normal((160, 3)) * [1.0, 20.0, 3.0] + [0.0, 50.0, 1.0]
    table = from_arrays(inputs, inputs[:, 0] + inputs[:, 1] / 20 + generator.standard_normal(160) / 5, name="three",
                        feature_names=["a", "age", "c"])
    return replace(table, preset=SMALL)


@pytest.fixture(scope="module")
def outcomes(dataset: TabularDataset, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return audit(dataset, remove=["age", "c"], removals=["constant", "shuffle_tuning"], scorers=["saliency"],
                 seeds=SEEDS, rows=ROWS, out=tmp_path_factory.mktemp("run"), jobs=1).table("outcomes").query(ASKED)


def moved(outputs: object, rows: torch.Tensor, column: int, values: torch.Tensor) -> torch.Tensor:
    """|f(x with the column at each value) − f(x)|, `[values, rows]`, by writing the value into the column."""
    changed = rows.expand(len(values), -1, -1).clone()
    changed[:, :, column] = values[:, None]
    return (outputs(changed) - outputs(rows)).abs()[..., 0]


@pytest.mark.parametrize(("removal", "feature"), [("original", "age"), ("original", "c"), ("shuffle_tuning", "age")])
def test_it_is_the_largest_move_of_the_column(dataset: TabularDataset, outcomes: pd.DataFrame, removal: str,
                                              feature: str) -> None:
    column = dataset.feature_names.index(feature)
    originals = train(dataset.with_decoy(), seeds=SEEDS)
    networks = originals.networks if removal == "original" else remove(
        originals.networks, dataset.with_decoy(), feature, removal, tuning=0.25)
    table = dataset.with_decoy()
    rows, training = table.test.inputs[:ROWS].double(), table.train.inputs[:, column].double()
    values = torch.linspace(float(training.min()), float(training.max()), 4001)
    for seed in range(SEEDS):
        module = networks.to_module(seed).double()
        effects = moved(module, rows, column, values).detach()
        row = outcomes[(outcomes.removal == removal) & (outcomes.removed == feature) & (outcomes.seed == seed)].iloc[0]
        assert row.worst_case == pytest.approx(float(effects.max()), rel=1e-3)
        assert row.worst_case >= float(effects.max()) - 1e-6 and row.worst_case_method == "exact"
        assert row.worst_case_bound == row.worst_case and row.rows == ROWS
        witness = int(row.witness_row)
        assert float(effects[:, witness].max()) == pytest.approx(row.worst_case, rel=1e-3)
        name, value = row.witness_to.split()
        moves = moved(module, rows[[witness]], column, torch.tensor(
            [(float(value) - table.scaler[0][column]) / table.scaler[1][column]]).double())
        assert name == feature and moves.item() == pytest.approx(row.worst_case, rel=1e-3)
        assert abs(row.witness_after - row.witness_before) == pytest.approx(row.worst_case)
        spread = originals.networks.to_module(seed)(table.test.inputs).std(correction=0)
        assert row.delta == pytest.approx(0.01 * float(spread), rel=1e-4)


def test_a_folded_column_is_proved_none(outcomes: pd.DataFrame) -> None:
    folded = outcomes[outcomes.removal == "constant"]
    assert (folded.worst_case_bound == 0).all() and (folded.worst_case_method == "algebra").all()
    assert (folded.witness_row == -1).all() and (folded.witness_from == "").all()
    assert (outcomes[outcomes.removal != "constant"].worst_case > 0.01).all()  # the control: it is not always so


def test_hidden_units_are_moved_within_their_own_networks_activations(dataset: TabularDataset, tmp_path: Path) -> None:
    outcomes = audit(dataset, remove="unit:2", layer=1, removals=["shuffle_tuning"], scorers=["saliency"], seeds=SEEDS,
                     rows=ROWS, out=tmp_path, jobs=1).table("outcomes").query(ASKED)
    table = dataset.with_decoy()
    networks = train(table, seeds=SEEDS).networks
    rows, training = (networks.activations(inputs)[1].double() for inputs in (table.test.inputs, table.train.inputs))
    for seed in range(SEEDS):
        values = torch.linspace(float(training[seed, :, 2].min()), float(training[seed, :, 2].max()), 2001)
        effects = moved(networks.tail(1).to_module(seed).double(), rows[seed, :ROWS], 2, values.double()).detach()
        row = outcomes[(outcomes.removal == "original") & (outcomes.seed == seed)].iloc[0]
        assert row.worst_case == pytest.approx(float(effects.max()), rel=1e-3) and row.worst_case > 0
        assert "unit:2" in row.witness_to


def test_delta_in_the_outputs_own_units(dataset: TabularDataset, tmp_path: Path) -> None:
    words = {"remove": "c", "removals": ["constant"], "scorers": ["saliency"], "seeds": 1, "rows": ROWS, "jobs": 1}
    outcomes = audit(dataset, delta_absolute=0.3, out=tmp_path, **words).table("outcomes").query(ASKED)
    np.testing.assert_allclose(outcomes.delta, 0.3, rtol=1e-6)
    for wrong in ({"delta": 0.0}, {"delta": float("nan")}, {"delta_absolute": -1.0}, {"delta": "much"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            audit(dataset, out=tmp_path, **words, **wrong)


def test_rows_that_stopping_has_seen_speak_for_no_others(dataset: TabularDataset, tmp_path: Path) -> None:
    """As in published splits whose validation rows are the test rows: half of these are."""
    words = {"remove": "c", "removals": ["constant"], "scorers": ["saliency"], "seeds": 1, "rows": ROWS, "jobs": 1}
    overlapping = replace(dataset, validation_rows=dataset.test_rows[:ROWS // 2])
    outcomes = audit(overlapping, out=tmp_path, **words).table("outcomes").query(ASKED)
    assert (outcomes["rows"] == ROWS).all() and (outcomes.rows_unseen == ROWS // 2).all()
    assert (audit(dataset, out=tmp_path, **words).table("outcomes").query(ASKED).rows_unseen == ROWS).all()


def test_weights_that_cancel_are_bounded_and_no_scorer_alarms(dataset: TabularDataset, tmp_path: Path) -> None:
    """Two units that read c alike with opposite outgoing weights: rounding is no score above a null of zero."""
    network = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
    with torch.no_grad():
        first, last = network[0], network[2]
        first.weight[:4], first.bias[:4] = torch.tensor([[1, 0.05, 0], [-1, -0.05, 0], [0, 0, 0], [0, 0, 0]]), 0.0
        first.weight[4:], first.bias[4:] = torch.tensor([0.3, -0.4, 0.9]), 0.1
        last.weight[0], last.bias[0] = torch.tensor([1.0, -1, 0, 0, 0.7, -0.7]), 0.0  # it has learned a + age / 20
    run = audit(dataset, networks=network, training=Training(1, 16, 1e-9), remove="c", removals=["retrain"],
                scorers=["feature_ablation", "permutation", "integrated_gradients"], out=tmp_path, jobs=1)
    row = run.verdicts.set_index("removal").loc["original"]
    scores = run.table("attributions").query("removal == 'original' and feature == 'c'").share
    assert scores.max() < 1e-5 and row.false_alarm == ""
    assert row.direct == "bounded" and row.worst_case < 1e-5 and row.by_construction == ""
