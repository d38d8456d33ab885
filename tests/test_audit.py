"""One small real audit by the command line: what its tables hold, against torch modules and loops of this file."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from command import BRIEF, NO_DATA, SMALL, assert_same_tables, call_main, leftovers, tables
from shared import shared
from torch import nn

from attribution_suite import audit, load_dataset
from attribution_suite.auditing.store import Store
from attribution_suite.cli import main
from attribution_suite.conclusions.summary import edits
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.measures.agreement import METRICS
from attribution_suite.tables import TABLES

pytestmark = pytest.mark.usefixtures("plain")
ROWS, SEEDS = 12, 3
FEATURES = {"iris": ["sepal_length", "sepal_width", "petal_length", "petal_width", "decoy"],
            "synthetic": ["X1", "X2", "X3", "decoy"]}
REMOVALS = ["retrain", "stochastic_tuning", "fold", "constant"]
EXACT = ["gradient_weight", "lrp", "integrated_gradients", "feature_ablation", "permutation"]
SAMPLED = ["lime", "xgboost_shap_surrogate"]
SIGNED = {"lrp", "integrated_gradients", "feature_ablation", "permutation", "lime", "xgboost_shap_surrogate",
          "weights", "random"}
SCORERS = [*EXACT, *SAMPLED, "xgboost_gain", "weights", "random"]
KEYS = ["dataset", "seed", "removal", "removed", "layer"]
WORDS = ("run", "iris", "synthetic", *SMALL, *BRIEF, "--seeds", SEEDS, "--lime-rows", 6, "--lime-samples", 300,
         "--remove", "all", "--removals", ",".join(REMOVALS), "--scorers", ",".join(SCORERS))


@dataclass(frozen=True)
class Finished:
    path: Path
    out: str

    def __getitem__(self, table: str) -> pd.DataFrame:
        return tables(self.path)[table]


@pytest.fixture(scope="module")
def run() -> Finished:
    folder = shared("audit", run_one)
    return Finished(folder / "one", (folder / "stdout").read_text())


def run_one(folder: Path) -> None:
    status, out, err = call_main(*WORDS, "--jobs", 1, "--out", "one", cwd=folder)
    assert (status, err) == (0, "")
    (folder / "stdout").write_text(out)


def networks(run: Path, features: int) -> list[nn.Sequential]:
    """The originals of the data set with so many inputs, as plain modules built from the stored weights."""
    store = Store(run / "chunks")
    chunks = [stored.arrays for path in store.folder.glob("*.safetensors") if (stored := store.load(path.stem))]
    stacks = next(arrays for arrays in chunks if "each_effect" in arrays and arrays["weight 0"].shape[2] == features)
    depth = sum(name.startswith("weight") for name in stacks)
    modules = []
    for member in range(len(stacks["weight 0"])):
        layers: list[nn.Module] = []
        for layer in range(depth):
            weight, bias = (torch.from_numpy(stacks[f"{kind} {layer}"][member]) for kind in ("weight", "bias"))
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight.data, linear.bias.data = weight, bias
            layers += [linear, nn.ReLU()]
        modules.append(nn.Sequential(*layers[:-1]))
    return modules


def loss(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, dataset: TabularDataset) -> float:
    with torch.no_grad():
        outputs = module(inputs)
    if dataset.task == "multiclass":
        return float(F.cross_entropy(outputs, targets))
    return float(F.mse_loss(outputs[:, 0], targets))


def explained(module: nn.Module, row: torch.Tensor, output: int) -> float:
    with torch.no_grad():
        return float(module(row[None])[0, output])


def same_keys(*frames: pd.DataFrame) -> None:
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame[KEYS].drop_duplicates(), frames[0][KEYS].drop_duplicates())


def test_tables_have_the_documented_columns_and_types(run: Finished) -> None:
    kinds = {"str": "string", "int64": "int64", "float64": "double", "bool": "bool"}
    for table, columns in TABLES.items():
        schema = pq.read_schema(run.path / f"{table}.parquet")
        assert schema.names == list(columns)
        for name, column in columns.items():
            assert str(schema.field(name).type) == kinds[column.dtype], (table, name)
            assert schema.field(name).metadata == {b"unit": column.unit.encode(), b"meaning": column.meaning.encode()}
    assert leftovers(run.path) == []


def test_tables_hold_every_fact_once(run: Finished) -> None:
    asked = SEEDS * (4 + 3)  # every feature but the decoy
    edited = len(REMOVALS) * asked
    shifts, outcomes, attributions = run["shifts"], run["outcomes"], run["attributions"]
    assert len(edits(outcomes)) == edited and len(shifts) == edited * len(SCORERS)
    before, sham = (outcomes[outcomes.removal == name] for name in ("original", "sham"))
    assert len(before) == 2 * SEEDS + asked and (before.removed == "").sum() == 2 * SEEDS
    assert len(sham) == 2 * SEEDS and set(sham.removed) == {""}
    assert set(outcomes.layer) == set(outcomes["rank"]) == {0} and len(outcomes) == edited + len(before) + len(sham)
    assert not shifts.duplicated([*KEYS, "scorer"]).any() and not outcomes.duplicated(KEYS).any()
    assert not attributions.duplicated([*KEYS, "scorer", "feature"]).any()
    for dataset, features in FEATURES.items():
        original = attributions[(attributions.dataset == dataset) & (attributions.removal == "original")]
        assert len(original) == SEEDS * len(SCORERS) * len(features)
        assert list(pd.unique(original.feature)) == features and set(original.removed) == {""}
        here = edits(outcomes[outcomes.dataset == dataset])
        assert sorted(set(here.removed)) == sorted(set(features) - {"decoy"}) and set(here.seed) == set(range(SEEDS))
    assert set(attributions.layer) == {0} and set(shifts.scorer) == set(SCORERS)


def test_no_value_is_missing_where_a_method_applies(run: Finished) -> None:
    attributions, shifts = run["attributions"], run["shifts"]
    outcomes = edits(run["outcomes"])
    assert attributions[["share", "mean_abs"]].notna().all(axis=None)
    for column in ("signed_mean", "signed_share"):
        assert (attributions[column].notna() == attributions.scorer.isin(SIGNED)).all()
    signed = attributions[attributions.scorer.isin(SIGNED)].groupby([*KEYS, "scorer"])
    np.testing.assert_allclose(signed.signed_share.agg(lambda shares: shares.abs().sum()), 1, atol=1e-6)
    np.testing.assert_allclose(attributions.groupby([*KEYS, "scorer"]).share.sum(), 1, atol=1e-5)
    does = shifts[shifts.applicable]
    columns = ["share_before", "share_after", "total_variation", "largest_gain"]
    assert does[columns].notna().all(axis=None) and (does.largest_gainer != "").all()
    assert (does.target_shift.isna() == (does.share_before == 0)).all()
    assert (does.largest_gainer != does.removed).all()
    assert run["agreement"].value.notna().all() and run["agreement"].value.between(-1, 1).all()
    assert set(run["agreement"].metric) == set(METRICS)
    conditional = ["flip_rate", "cost_ratio", "recoverability_before", "recoverability"]  # the last two: hidden units
    regression = outcomes.dataset == "synthetic"
    conditional += ["worst_case_flips", "witness_before", "witness_after"]  # the last two: where something moves
    assert (outcomes.worst_case_flips.isna() == regression).all()
    for name in ("r2", "rmse", "accuracy", "auc", "log_loss", "kappa"):  # some are of regressions, some of classes
        for column in (name, f"{name}_before"):
            assert (outcomes[column].notna() == (regression == (name in ("r2", "rmse")))).all(), column
            conditional.append(column)
        conditional.append(f"xgboost_{name}")  # in the originals' rows
    conditional.append("test_to_training")  # likewise
    assert (outcomes.budget.notna() == outcomes.tuned).all()
    conditional.append("budget")
    assert outcomes.drop(columns=conditional, errors="ignore").notna().all(axis=None)
    for column in ("witness_before", "witness_after"):  # no row moves where the weights are zero
        assert (outcomes[column].isna() == (outcomes.worst_case_method == "algebra")).all()
    for column in ("flip_rate", "worst_case_flips"):
        assert (outcomes[column].isna() == regression).all()
    retrained = outcomes[outcomes.removal == "retrain"].set_index(["dataset", "seed", "removed"]).loss_native
    price = retrained.loc[list(zip(outcomes.dataset, outcomes.seed, outcomes.removed, strict=True))].to_numpy()
    costs = price > outcomes.loss_before
    assert (outcomes.cost_ratio.notna() == costs).all() and costs.any()
    np.testing.assert_allclose(outcomes.cost_ratio[costs], (
        (outcomes.loss_native - outcomes.loss_before) / (price - outcomes.loss_before))[costs], rtol=1e-3, atol=1e-4)
    assert run["training"][["training_loss", "validation_loss"]].notna().all(axis=None)


def test_after_retraining_the_share_is_gone(run: Finished) -> None:
    after = run["shifts"].query("removal == 'retrain'")
    gone = after[after.scorer.isin([*EXACT, "weights", "xgboost_gain"])]
    assert (gone.share_after == 0).all() and (gone.share_before > 0).mean() > 0.9
    floor = after[after.scorer == "random"].share_after.mean()
    assert floor > 0.1
    sampled = after[after.scorer.isin(SAMPLED)].groupby(["dataset", "removed", "scorer"]).share_after.mean()
    assert (sampled <= floor).all()
    outcomes = run["outcomes"].query("removal == 'retrain'")
    assert (outcomes[["direct_effect", "direct_effect_max"]] == 0).all(axis=None)
    assert (outcomes.loss_native == outcomes.loss_shuffled).all() and (outcomes.direct_effect_before > 0).all()
    tuned = run["shifts"].query("removal == 'stochastic_tuning' and scorer in @EXACT")  # a control: it is not there
    assert (tuned.share_after > 0).mean() > 0.9


def test_a_baseline_does_not_apply_to_edited_weights(run: Finished) -> None:
    shifts = run["shifts"]
    assert (shifts.applicable == ~((shifts.scorer == "xgboost_gain") & shifts.removal.isin(["fold", "constant"]))).all()
    not_applicable = shifts[~shifts.applicable]
    columns = ["share_after", "target_shift", "proxy_mass", "dependence_correlation", "total_variation", "largest_gain"]
    assert len(not_applicable) and not_applicable[columns].isna().all(axis=None)
    assert (not_applicable.largest_gainer == "").all()
    rows = run["attributions"].query("scorer == 'xgboost_gain'")
    assert set(rows.removal) == {"original", "retrain", "stochastic_tuning"}


def test_shifts_follow_from_the_attributions(run: Finished) -> None:
    attributions, shifts = run["attributions"], run["shifts"]
    shares = {key: rows.set_index("feature").share for key, rows in attributions.groupby([*KEYS[:4], "scorer"])}
    for row in shifts[shifts.applicable].itertuples():
        before = shares[row.dataset, row.seed, "original", "", row.scorer]
        after = shares[row.dataset, row.seed, row.removal, row.removed, row.scorer]
        reference = shares[row.dataset, row.seed, "retrain", row.removed, row.scorer]
        np.testing.assert_allclose([row.share_before, row.share_after], [before[row.removed], after[row.removed]])
        if row.share_before:
            np.testing.assert_allclose(row.target_shift, after[row.removed] / before[row.removed] - 1, atol=1e-6)
        gains = (after - before).drop(row.removed)
        assert row.largest_gainer == gains.idxmax()
        np.testing.assert_allclose(row.largest_gain, gains.max(), atol=1e-7)
        np.testing.assert_allclose(row.total_variation, sum(abs(after - reference)) / 2, atol=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_losses_and_effects_are_those_of_plain_modules(run: Finished, name: str) -> None:
    dataset = load_dataset(name).with_decoy()
    outcomes = run["outcomes"].query("dataset == @name and removal == 'constant'").set_index(["seed", "removed"])
    test, means = dataset.test, dataset.train.inputs.mean(0)
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
    for seed, module in enumerate(networks(run.path, dataset.features)):
        for column, feature in enumerate(FEATURES[name][:-1]):
            row = outcomes.loc[(seed, feature)]
            filled = test.inputs.clone()
            filled[:, column] = means[column]
            native = loss(module, test.inputs, test.targets, dataset)
            assert row.loss_before == pytest.approx(native, rel=1e-4)
            for measure in ("loss_native", "loss_mean_filled", "loss_shuffled"):  # the constant is the training mean
                assert row[measure] == pytest.approx(loss(module, filled, test.targets, dataset), rel=1e-4)
            effects = []
            for i in range(ROWS):
                moved = test.inputs[i].clone()
                moved[column] = test.inputs[order[i], column]
                output = int(module(test.inputs[i][None]).argmax())  # of the class that the network predicts
                effects.append(abs(explained(module, moved, output) - explained(module, test.inputs[i], output)))
            assert row.direct_effect_before == pytest.approx(np.mean(effects), rel=1e-3, abs=1e-6)
            assert row.direct_effect == row.direct_effect_max == 0


@pytest.mark.long
@pytest.mark.no_cover
def test_any_folder_and_any_number_of_jobs_give_the_same_tables(run: Finished, tmp_path: Path) -> None:
    status, _, err = call_main(*WORDS, "--jobs", 2, "--out", "two", cwd=tmp_path)
    assert (status, err) == (0, "")
    assert_same_tables(run.path, tmp_path / "two")
    names = [sorted(path.name for path in (folder / "chunks").iterdir()) for folder in (run.path, tmp_path / "two")]
    assert names[0] == names[1]


def test_another_seed_count_gives_the_same_networks_of_the_first_seeds(run: Finished, tmp_path: Path) -> None:
    result = audit("synthetic", out=tmp_path, jobs=1, seeds=2, rows=ROWS, removals=[], scorers=["saliency"],
                   say=lambda line: None)
    assert all(set(result.table(name).removal) == {"original"} for name in ("outcomes", "attributions"))
    for mine, theirs in zip(networks(tmp_path, 4), networks(run.path, 4), strict=False):
        torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=1e-4, atol=1e-5)


def test_the_record_says_what_was_run(run: Finished) -> None:
    record = json.loads((run.path / "run.json").read_text())
    assert record["spec"]["removals"] == REMOVALS and record["spec"]["profile"]["seeds"] == SEEDS
    assert record["failed"] == [] and record["timings"]["chunks_run"] == 2 * (3 + len(REMOVALS))
    assert record["datasets"]["iris"]["source"] == "package" and not record["datasets"]["iris"]["simulated"]
    assert record["datasets"]["synthetic"]["removals"] == ["X1", "X2", "X3"]
    assert (run.path / "report.html").stat().st_size > 50_000 and list((run.path / "figures").glob("*.png"))


def test_the_most_important_features_are_removed(tmp_path: Path) -> None:
    words = {"jobs": 1, "seeds": 2, "rows": ROWS, "removals": ["constant"], "scorers": ["permutation", "saliency",
             "random"], "say": lambda line: None}
    found = audit("synthetic", out=tmp_path, remove="top:2", **words).table("outcomes").query("removal == 'constant'")
    assert list(pd.unique(found.removed)) == ["X1", "X3"]  # Y = 2 X1 + X3: X2 is a proxy, the decoy is never removed
    everything = audit("synthetic", out=tmp_path, remove="top:9", **words).table("outcomes")
    assert sorted({*everything.removed} - {""}) == ["X1", "X2", "X3"]


def test_hidden_units_are_audited_like_inputs(tmp_path: Path) -> None:
    words = {"jobs": 1, "seeds": 2, "rows": ROWS, "layer": 1, "say": lambda line: None, "tuning": 0.02,
             "scorers": ["saliency", "layer_conductance", "permutation", "random"]}
    result = audit("iris", out=tmp_path, remove="unit:7, unit:0", removals=["constant", "fold", "stochastic_tuning"],
                   **words)
    outcomes, shifts = result.table("outcomes"), result.table("shifts")
    assert set(outcomes.removed) == {"", "unit:7", "unit:0"} and set(outcomes.layer) == {1}
    names = [f"unit:{unit}" for unit in range(12)]
    assert list(pd.unique(result.table("attributions").feature)) == names
    gone = shifts.query("scorer != 'random' and removal != 'stochastic_tuning'")
    assert (gone.share_after == 0).all() and (gone.share_before > 0).any()
    dataset = load_dataset("iris").with_decoy()
    inputs, targets = dataset.test.inputs[:ROWS], dataset.test.targets[:ROWS]
    rows = outcomes[outcomes.removal == "constant"].set_index(["seed", "removed"])
    for seed, module in enumerate(networks(tmp_path, 5)):
        for unit in (7, 0):
            hidden, mean = module[:2](inputs).detach(), module[:2](dataset.train.inputs)[:, unit].mean()
            row = rows.loc[(seed, f"unit:{unit}")]
            assert row.loss_before == pytest.approx(loss(module, inputs, targets, dataset), rel=1e-4)
            hidden[:, unit] = mean.detach()
            assert row.loss_native == pytest.approx(loss(module[2:], hidden, targets, dataset), rel=1e-4)


@pytest.mark.no_cover
def test_a_feature_named_with_a_comma(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.standard_normal((60, 3)), columns=["income, net", "age", "height"])
    frame["y"] = frame.sum(axis=1)
    frame.to_csv(tmp_path / "people.csv", index=False)
    words = {"target": "y", "jobs": 1, "seeds": 1, "rows": 5, "removals": ["constant"], "scorers": ["saliency"],
             "page": False, "say": lambda line: None}
    table = tmp_path / "people.csv"
    for remove, expected in (("income, net", ["income, net"]), (["income, net", "age,height"],
                             ["income, net", "age", "height"]), ("age, height,age", ["age", "height"]),
                             ("income, net,age", ["income, net", "age"])):
        found = audit(str(table), out=tmp_path / "out", remove=remove, **words).table("outcomes")
        found = edits(found)
        assert list(pd.unique(found.removed)) == expected
    with pytest.raises(InputError, match="unknown feature of people 'income'"):
        audit(str(table), out=tmp_path / "out", remove="income,age", **words)


@pytest.mark.no_cover
def test_a_stand_in_is_marked_everywhere_and_refused_on_demand(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("boston", *SMALL, *BRIEF, "--seeds", 1, "--remove", "LSTAT", "--removals", "constant", "--scorers",
             "saliency,random", "--jobs", 1, "--out", "out", "--data-dir", tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    status, out, err = call_main("run", *words, cwd=tmp_path, **NO_DATA)
    assert status == 0 and err.count("SIMULATED") == 1 and len(err.splitlines()) == 1 and "boston.csv" in err
    assert "simulated" in out
    record = json.loads((tmp_path / "out" / "run.json").read_text())["datasets"]["boston"]
    assert record["simulated"] and record["source"] == "simulated" and "MEDV = 22.5" in record["note"]
    assert "simulated" in (tmp_path / "out" / "report.html").read_text().lower()
    for table in TABLES:
        assert pq.read_schema(tmp_path / "out" / f"{table}.parquet").metadata[b"simulated"] == b"boston"
    for name, value in NO_DATA.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["run", *map(str, words), "--real-only", "--out", str(tmp_path / "none")]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "no real file" in err and "option 'data_dir'" in err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("table", [load_dataset("synthetic"), load_dataset("synthetic", seed=3)])
def test_the_decoy_is_a_stranger_to_a_table_drawn_from_its_seed(table: TabularDataset) -> None:
    for seed in range(4):
        correlations = np.corrcoef(table.with_decoy(seed).inputs.T)[-1, :-1]
        assert abs(correlations).max() < 0.1
