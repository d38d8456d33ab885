"""`outcomes`: how good networks are before and after, XGBoost beside them, and whether the originals have learned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost
from sklearn import metrics

from attribution_suite import audit, from_arrays, load_dataset, remove, train
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.learned import learned
from attribution_suite.networks.network import Ensemble
from attribution_suite.results import Audit
from attribution_suite.scorers.xgboost_fit import XGBoostScorer

pytestmark = pytest.mark.usefixtures("plain")

SEEDS, BACKGROUND = 2, 60
METHODS = ["constant", "retrain"]
WORDS = {"seeds": SEEDS, "rows": 10, "background": BACKGROUND, "jobs": 1, "tuning": 0.1, "reference": "off",
         "say": lambda line: None}
MEASURES = {"regression": ["r2", "rmse"], "multiclass": ["accuracy", "auc", "log_loss", "kappa"]}
FEATURES = {"synthetic": "X1", "iris": "petal_width"}
by_name = pytest.mark.parametrize("name", FEATURES)


def brief(name: str) -> TabularDataset:
    """A data set whose networks are trained for 30 epochs, enough to learn."""
    dataset = load_dataset(name)
    return replace(dataset, preset=replace(dataset.preset, training=replace(dataset.preset.training, epochs=30)))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit([brief(name) for name in FEATURES], out=tmp_path_factory.mktemp("run"), removals=METHODS, remove="all",
                 scorers=["xgboost_shap", "saliency"], **WORDS)


def by_sklearn(outputs: np.ndarray, dataset: TabularDataset) -> dict[str, float]:
    """Of one network's raw outputs `[rows, outputs]` on the test rows."""
    truth, outputs = dataset.test.targets.numpy(), outputs.astype(float)
    if dataset.task == "regression":
        return {"r2": metrics.r2_score(truth, outputs), "rmse": metrics.root_mean_squared_error(truth, outputs)}
    chance = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    return {"accuracy": metrics.accuracy_score(truth, chance.argmax(1)),
            "auc": metrics.roc_auc_score(truth, chance, multi_class="ovr"),
            "log_loss": metrics.log_loss(truth, chance), "kappa": metrics.cohen_kappa_score(truth, chance.argmax(1))}


def training_loss(networks: Ensemble, dataset: TabularDataset, member: int) -> float:
    outputs = networks.outputs(dataset.train.inputs[:BACKGROUND])[member].double().numpy()
    truth = dataset.train.targets[:BACKGROUND].numpy()
    if dataset.task == "regression":
        return metrics.mean_squared_error(truth, outputs)
    return metrics.log_loss(truth, np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True), labels=[0, 1, 2])


@by_name
def test_performance_is_that_of_the_networks_themselves(found: Audit, name: str) -> None:
    dataset, feature = brief(name).with_decoy(), FEATURES[name]
    rows = found.table("outcomes").query("dataset == @name").set_index(["removal", "removed", "seed"])
    originals = train(dataset, seeds=SEEDS).networks
    cases = [("original", "", originals), *((method, feature, remove(originals, dataset, feature, method, tuning=0.1))
                                             for method in METHODS)]
    for removal, removed, networks in cases:
        for seed, outputs in enumerate(networks.outputs(dataset.test.inputs).numpy()):
            row = rows.loc[(removal, removed, seed)]
            expected = by_sklearn(outputs, dataset) | {"training_loss": training_loss(networks, dataset, seed)}
            for measure, value in expected.items():
                assert row[measure] == pytest.approx(value, rel=1e-4, abs=1e-6), measure
            before = rows.loc[("original", "", seed)]
            for measure in expected:
                assert np.isnan(row[f"{measure}_before"]) if removal == "original" else \
                    row[f"{measure}_before"] == before[measure]
            assert removal == "original" or row.loss_before == pytest.approx(before.loss_native, rel=1e-6)
            if dataset.task == "regression":
                assert row.loss_native == pytest.approx(row.rmse**2, rel=1e-4)
    retrained, constant = (rows.loc[(method, feature)] for method in reversed(METHODS))
    worse = "rmse" if dataset.task == "regression" else "log_loss"
    assert (constant[worse] > rows.loc[("original", "")][worse]).all()  # the feature mattered, so that it shows
    assert (retrained[worse] != constant[worse]).all()


@by_name
def test_an_originals_row_has_what_applies_to_it(found: Audit, name: str) -> None:
    rows = found.table("outcomes").query("dataset == @name and removal == 'original' and removed == ''")
    assert list(rows.seed) == list(range(SEEDS)) and set(rows.removed) == {""} and (rows.steps > 0).all()
    measures = MEASURES[load_dataset(name).task]
    has = {"loss_native", "validation_native", "training_loss", "learned_p", "seconds", "test_to_training", *measures,
           *(f"xgboost_{measure}" for measure in measures)}
    numbers = rows.select_dtypes("float")
    assert {column for column in numbers if numbers[column].notna().all()} == has
    assert {column for column in numbers if numbers[column].notna().any()} == has
    dataset = brief(name).with_decoy()
    curve = found.table("training").query("dataset == @name and removal == 'original'").groupby("seed").validation_loss
    np.testing.assert_allclose(rows.validation_native, curve.min(), rtol=1e-4)  # the weights kept are the best
    outputs = train(dataset, seeds=SEEDS).networks.outputs(dataset.test.inputs)
    expected = learned(outputs, dataset.test.targets, dataset.train.targets, dataset.task)
    np.testing.assert_allclose(rows.learned_p, expected.p, rtol=1e-2)
    assert rows.learned.all()


@by_name
def test_xgboost_is_the_scorers_own_fit(found: Audit, name: str) -> None:
    """Fitted again here with the scorer's options, read by xgboost's own predict."""
    dataset = load_dataset(name).with_decoy()
    classes = {} if dataset.task == "regression" else {"objective": "multi:softprob", "num_class": 3}
    rows, targets = (getattr(dataset.train, part)[:BACKGROUND].numpy() for part in ("inputs", "targets"))
    matrix = xgboost.QuantileDMatrix(rows, label=targets, max_bin=64, nthread=1)
    booster = xgboost.train({"tree_method": "hist", "max_bin": 64, "max_depth": 3, "eta": 0.5, "nthread": 1, **classes},
                            matrix, XGBoostScorer().rounds)
    said = booster.predict(xgboost.DMatrix(dataset.test.inputs.numpy()), output_margin=True)
    expected = by_sklearn(said.reshape(len(dataset.test), -1), dataset)
    row = found.table("outcomes").query("dataset == @name and removed == ''").iloc[1]
    for measure, value in expected.items():
        assert row[f"xgboost_{measure}"] == pytest.approx(value, rel=1e-5), measure


def test_xgboost_is_fitted_once_and_absent_without_its_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    fit = XGBoostScorer.train
    monkeypatch.setattr(XGBoostScorer, "train", lambda self, *args, **more: fits.append(1) or fit(self, *args, **more))
    words = {**WORDS, "background": 50, "removals": []}  # no other test's rows, so that nothing is kept from there
    iris = brief("iris")
    with_it = audit(iris, out=tmp_path / "with", scorers=["xgboost_gain", "xgboost_shap"], **words).table("outcomes")
    assert len(fits) == 1 and with_it.xgboost_accuracy.notna().all()
    without = audit(iris, out=tmp_path / "without", scorers=["saliency"], **words).table("outcomes")
    assert len(fits) == 1 and without.filter(like="xgboost_").isna().all(axis=None)
    hidden = audit(iris, out=tmp_path / "hidden", scorers=["xgboost_gain"], layer=1, **words).table("outcomes")
    assert hidden.filter(like="xgboost_").isna().all(axis=None) and hidden.accuracy.equals(with_it.accuracy)


def test_originals_that_learned_nothing_are_marked_in_every_row_of_theirs(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(300, 4))
    shuffled = from_arrays(inputs, (generator.permutation(inputs[:, 0]) > 0).astype(int), name="shuffled")
    networks = train(shuffled, seeds=SEEDS, training=Training(1, 32, 1e-3)).networks
    rows = audit(shuffled, networks=networks, out=tmp_path, removals=["constant"], scorers=["saliency"], remove="x0",
                 **WORDS).table("outcomes")
    # The original's own row, its row for the feature that goes, and its edit's.
    assert len(rows) == 3 * SEEDS and not rows.learned.any() and (rows.learned_p > 0.05).all()
    assert (rows.groupby("seed").learned_p.nunique() == 1).all() and rows.learned_p.nunique() == SEEDS
