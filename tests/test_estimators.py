"""Estimators of scikit-learn's kind: MLPs become stacked weights, of any other the predictions are audited."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import captum.attr
import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor
from xgboost import XGBClassifier, XGBRegressor

from attribution_suite import attribute, audit, from_arrays, remove, worst_case
from attribution_suite.auditing.opened import open_run
from attribution_suite.auditing.run import prepare, run_audit
from attribution_suite.auditing.spec import make_spec
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble, count_networks
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.predictors import Predictors
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.choice import inapplicable
from attribution_suite.seeding import seeded

NOISE = np.random.default_rng(5)
ROWS = np.column_stack([NOISE.normal(size=(160, 3)), NOISE.integers(3, size=160)]) * [1, 2, 0.3, 1] + [0, 3, 0, 0]
SCORE = ROWS[:, 0] + (ROWS[:, 1] - 3) / 2 - 4 * ROWS[:, 2] * ROWS[:, 0] + 0.5 * ROWS[:, 3]
LABELS = {"regression": SCORE, "binary": np.where(SCORE > 0.5, "yes", "no"),
          "multiclass": np.digitize(SCORE, [0, 1]) + 5}
SPLIT = (range(110), range(110, 125), range(125, 160))
TABLES: dict[str, TabularDataset] = {
    task: from_arrays(ROWS, labels, task=task, split=SPLIT) for task, labels in LABELS.items()}
TEST = TABLES["binary"].test.inputs
LEAST = 1e-7


class Shouting(ClassifierMixin, BaseEstimator):
    """A user's own, with a fit and classes alone."""

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "Shouting":
        self.classes_ = np.unique(labels)
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.classes_[(rows[:, 0] > 0).astype(int)]


@dataclass(frozen=True)
class Kind:
    make: Callable[[], Any]
    task: str
    stacked: bool = False


MLP: dict[str, Any] = {"hidden_layer_sizes": (7, 5), "max_iter": 150, "learning_rate_init": 0.02, "random_state": 1}
VOTERS = [("tree", DecisionTreeClassifier(random_state=0)), ("near", KNeighborsClassifier(1)),
          ("far", KNeighborsClassifier(3))]
KINDS = {
    "mlp binary": Kind(lambda: MLPClassifier(**MLP), "binary", True),
    "mlp multiclass": Kind(lambda: MLPClassifier(activation="tanh", **MLP), "multiclass", True),
    "mlp logistic": Kind(lambda: MLPRegressor(activation="logistic", **MLP), "regression", True),
    "mlp identity": Kind(lambda: MLPRegressor(**MLP | {"activation": "identity", "hidden_layer_sizes": ()}),
                         "regression", True),
    "scaled mlp": Kind(lambda: make_pipeline(MinMaxScaler(), StandardScaler(), MLPClassifier(**MLP)), "binary", True),
    "mlp of products": Kind(lambda: make_pipeline(PolynomialFeatures(2), StandardScaler(), MLPRegressor(**MLP)),
                            "regression"),
    "forest": Kind(lambda: RandomForestClassifier(8, random_state=0, n_jobs=2), "binary"),
    "forest regressor": Kind(lambda: RandomForestRegressor(8, random_state=0), "regression"),
    "logistic regression": Kind(lambda: make_pipeline(StandardScaler(), LogisticRegression()), "multiclass"),
    "boosting": Kind(lambda: GradientBoostingClassifier(n_estimators=8), "binary"),
    "xgboost": Kind(lambda: XGBClassifier(n_estimators=8, max_depth=3), "multiclass"),
    "xgboost regressor": Kind(lambda: XGBRegressor(n_estimators=8, max_depth=3), "regression"),
    "svm": Kind(lambda: LinearSVC(), "binary"),
    "ridge": Kind(lambda: RidgeClassifier(), "binary"),
    "ridge multiclass": Kind(lambda: RidgeClassifier(), "multiclass"),
    "hard vote": Kind(lambda: VotingClassifier(VOTERS, voting="hard"), "binary"),
    "hard vote multiclass": Kind(lambda: VotingClassifier(VOTERS, voting="hard"), "multiclass"),
    "grid search": Kind(lambda: GridSearchCV(make_pipeline(FunctionTransformer(lambda rows: rows), SVC()), {
        "svc__C": [0.5, 2]}, cv=2), "multiclass"),
    "neighbours": Kind(lambda: KNeighborsRegressor(3), "regression"),
}


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    """Each fitted to the training rows as the table has them; XGBoost, which wants numbers from 0, to its codes."""
    models = {}
    for name, kind in KINDS.items():
        train = TABLES[kind.task].train
        labels = LABELS[kind.task][:110] if "xgboost" not in name else train.targets.numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sixty epochs are enough here, whatever scikit-learn advises
            models[name] = kind.make().fit(train.inputs.numpy(), labels)
    return models


def by_hand(model: Any, task: str, rows: Tensor) -> np.ndarray:
    """`[rows, outputs]`: the value, the log-odds of the second class, the log-probabilities; or the decisions.

    Of one that names classes alone, the probability of each class is 1 or 0.
    """
    table = rows.double().numpy()
    if task == "regression":
        return model.predict(table).reshape(-1, 1)
    if hasattr(model, "decision_function") and not hasattr(model, "predict_proba"):
        return model.decision_function(table).reshape(len(rows), -1)
    p = (model.predict_proba(table) if hasattr(model, "predict_proba")
         else np.stack([model.predict(table) == name for name in model.classes_], 1))
    p = np.clip(p.astype(float), LEAST, 1 - LEAST)
    return np.log(p) if task == "multiclass" else np.log(p[:, 1:] / (1 - p[:, 1:]))


def same(outputs: Tensor, expected: np.ndarray, task: str, stacked: bool) -> None:
    """Stacked: logits are the estimator's own up to what a softmax takes away, so that probabilities are compared."""
    found = outputs.double().numpy()
    if stacked and task != "regression":
        found, expected = (expit(v) if task == "binary" else softmax(v, 1) for v in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_effects_are_those_of_the_estimators_own_predictions(name: str, fitted: dict[str, Any]) -> None:
    kind, model = KINDS[name], fitted[name]
    table = TABLES[kind.task]
    networks = as_ensemble(model, table)
    assert isinstance(networks, Perceptrons if kind.stacked else Predictors) and count_networks(model) == 1
    native = by_hand(model, kind.task, TEST)
    same(networks.outputs(TEST)[0], native, kind.task, kind.stacked)
    for column in (0, 3):
        moved = TEST.clone()
        moved[:, column] = TEST[:, column].roll(1)
        expected = by_hand(model, kind.task, moved)
        assert np.abs(expected - native).max() > 0.01  # there is an effect to be found
        found = networks.outputs_with(TEST, Nodes.of([(column,)]), moved[None, :, [column]])
        same(found[0], expected, kind.task, kind.stacked)
    gone = TEST.clone()
    gone[:, 0] = float(table.train.inputs[:, 0].mean())
    edited = remove(model, table, "x0", "constant")
    same(edited.outputs(TEST)[0], by_hand(model, kind.task, gone), kind.task, kind.stacked)
    assert worst_case(edited, table, "x0").method == ("algebra",)
    worst = worst_case(model, table, "x0")
    assert torch.isfinite(worst.bound).all() == kind.stacked
    row = TEST[worst.row].clone()
    row[0, 0] = float(worst.value_scaled[0, 0])
    pair = networks.outputs(torch.cat([TEST[worst.row], row]))[0].double().numpy()
    pair = pair if pair.shape[1] == 1 else pair - pair.mean(1, keepdims=True)
    assert float(np.abs(pair[1] - pair[0]).max()) == pytest.approx(float(worst.effect), rel=1e-3)


@pytest.mark.parametrize("name", ["mlp binary", "mlp multiclass", "scaled mlp"])
def test_an_mlp_predicts_the_classes_that_it_predicted(name: str, fitted: dict[str, Any]) -> None:
    model, table = fitted[name], TABLES[KINDS[name].task]
    outputs = as_ensemble(model, table).outputs(TEST)[0]
    place = outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()
    assert (np.array(table.classes)[place] == model.predict(TEST.double().numpy()).astype(str)).all()


def test_classes_in_another_order_are_put_in_the_tables(fitted: dict[str, Any]) -> None:
    """As where labels were numbered by hand: the class that is explained is the table's."""
    for name in ("mlp binary", "mlp multiclass", "forest", "svm", "logistic regression"):
        model, task = copy.deepcopy(fitted[name]), KINDS[name].task
        inner = model.steps[-1][1] if hasattr(model, "steps") else model
        before = as_ensemble(model, TABLES[task]).outputs(TEST)
        inner.classes_ = inner.classes_[::-1]
        if isinstance(inner, MLPClassifier):
            inner._label_binarizer.classes_ = inner.classes_
        after = as_ensemble(model, TABLES[task]).outputs(TEST)
        torch.testing.assert_close(after, before.flip(2) if task == "multiclass" else -before)


def test_every_scorer_runs_on_an_mlp_and_those_without_gradients_on_a_forest(fitted: dict[str, Any]) -> None:
    table, wanted = TABLES["binary"], {"weights", "lrp", "integrated_gradients", "saliency", "deep_lift",
                                       "gradient_shap", "gradient_weight"}
    mlp, forest = (as_ensemble(fitted[name], table) for name in ("mlp binary", "forest"))
    assert not inapplicable(SCORERS.names, mlp)
    reasons = inapplicable(SCORERS.names, forest)
    assert wanted <= reasons.keys() and all("RandomForestClassifier only predicts" in why for why in reasons.values())
    for name in set(SCORERS.names) - {"layer_conductance"}:  # of hidden units
        words = {"samples": 100} if name == "lime" else {}
        for model in ("mlp binary", "forest"):
            if model == "forest" and name in reasons:
                with pytest.raises(InputError, match=f"{name} does not apply: it .* only predicts"):
                    attribute(fitted[model], table, name, rows=6)
            else:
                assert attribute(fitted[model], table, name, rows=35, **words).scores.sum() > 0


@pytest.mark.filterwarnings("ignore:You are providing multiple inputs")
@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValueSampling", "KernelShap", "Occlusion", "Lime",
                                  "FeaturePermutation", "ShapleyValues"])
@pytest.mark.parametrize("kind", ["forest", "xgboost"])
def test_captums_perturbation_methods_are_captums_own(name: str, kind: str, fitted: dict[str, Any]) -> None:
    """Against Captum called on the estimator's predictions, as a user would."""
    model, table = fitted[kind], TABLES[KINDS[kind].task]
    options = {"Occlusion": {"sliding_window_shapes": 1}}.get(name, {})
    found = attribute(model, table, f"captum:{name}", rows=4, **options)
    rows, task = TEST[:4], KINDS[kind].task

    def predictions(inputs: Tensor) -> Tensor:
        return torch.from_numpy(by_hand(model, task, inputs)).float()

    target = 0 if task == "binary" else predictions(rows).argmax(1)
    words: dict[str, Any] = {} if name == "FeaturePermutation" else {"baselines": 0}
    if name == "Occlusion":
        words["sliding_window_shapes"] = (1,)
    with seeded(0):
        expected = getattr(captum.attr, name)(predictions).attribute(rows, target=target, **words)
    torch.testing.assert_close(found.values[0], expected.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["IntegratedGradients", "Saliency", "DeepLift", "NoiseTunnel(Saliency)", "LRP"])
def test_captums_gradient_methods_do_not_apply(name: str, fitted: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"does not apply: it .* only predicts"):
        attribute(fitted["forest"], TABLES["binary"], f"captum:{name}", rows=4)


def test_permutation_is_scikit_learns(fitted: dict[str, Any]) -> None:
    """An XGBoost model splits at values of the table, so that a rounded value would be on the wrong side."""
    model, table = fitted["xgboost regressor"], TABLES["regression"]
    found = attribute(model, table, "permutation", rows=35)
    expected = permutation_importance(model, TEST.numpy(), table.test.targets.numpy(), n_repeats=5, random_state=0,
                                      scoring="neg_mean_squared_error").importances_mean
    np.testing.assert_allclose(found.signed[0].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["forest", "xgboost", "logistic regression"])
def test_retraining_is_the_estimators_own_fit_with_the_column_at_its_mean(name: str, fitted: dict[str, Any]) -> None:
    kind, model = KINDS[name], fitted[name]
    table = TABLES[kind.task]
    rows, labels = table.train.inputs.double().numpy(), table.train.targets.numpy().astype(int)
    rows[:, 1] = table.train.inputs[:, 1].mean()
    other = clone(model).fit(rows, labels if name == "xgboost" else np.array(model.classes_)[labels])
    test = TEST.clone()
    test[:, 1] = float(rows[0, 1])
    edited = remove(model, table, "x1", "retrain")
    same(edited.outputs(TEST)[0], by_hand(other, kind.task, test), kind.task, False)
    assert (edited.outputs(TEST) - as_ensemble(model, table).outputs(TEST)).abs().max() > 0.1
    assert worst_case(edited, table, "x1").method == ("algebra",)


def test_names_of_columns_are_the_estimators(fitted: dict[str, Any]) -> None:
    names = [f"x{k}" for k in range(4)]
    frame = pd.DataFrame(ROWS[:110], columns=names)
    model = LinearRegression().fit(frame, LABELS["regression"][:110])
    outputs = as_ensemble(model, TABLES["regression"]).outputs(TEST)[0, :, 0]
    np.testing.assert_allclose(outputs, model.predict(pd.DataFrame(TEST.numpy(), columns=names)), rtol=1e-4)
    assert remove(model, TABLES["regression"], "x1", "retrain").outputs(TEST).std() > 0
    with pytest.raises(InputError, match=r"columns in another order \(x1, x0, x2"):
        as_ensemble(LinearRegression().fit(frame[["x1", "x0", "x2", "x3"]], SCORE[:110]), TABLES["regression"])


def refused(model: Any, task: str, message: str, **words: Any) -> None:
    with pytest.raises(InputError, match=message) as error:
        as_ensemble(model, TABLES[task], **words)
    assert "\n" not in str(error.value)


def test_a_booster_read_by_load_model_predicts_what_it_predicted(fitted: dict[str, Any]) -> None:
    loaded = XGBClassifier()
    loaded.load_model(bytearray(fitted["xgboost"].get_booster().save_raw()))
    same, native = (as_ensemble(it, TABLES["multiclass"]).outputs(TEST) for it in (loaded, fitted["xgboost"]))
    assert torch.equal(same, native) and native.std() > 0


def test_what_cannot_be_taken_is_named(fitted: dict[str, Any]) -> None:
    few = LinearRegression().fit(ROWS[:, :3], SCORE)
    refused(few, "regression", "fitted on 3 columns, the table has 4 after encoding: fit it on dataset.train.inputs")
    pairs = SVC(decision_function_shape="ovo").fit(ROWS[:110], LABELS["multiclass"][:110])
    refused(pairs, "multiclass", r"\(SVC\): its decision_function does not put the class first that it pred")
    refused(fitted["forest"], "regression", "RandomForestClassifier is a classifier, and table is a regression")
    refused(fitted["forest regressor"], "binary", "RandomForestRegressor has no classes_, so it is no classifier")
    refused(fitted["forest"], "multiclass", "knows the classes no, yes, the table has 5, 6, 7")
    refused(RandomForestRegressor(), "regression", "cannot take rows of 4 inputs: This RandomForestRegressor instance")
    refused(RandomForestClassifier(), "binary", "has no classes_, .* or not fitted: fit one")
    refused([fitted["forest"], torch.nn.Linear(4, 1)], "binary", "some networks are modules, some estimators")
    refused(fitted["forest"], "binary", "options 'outputs' and 'output' are for modules", outputs="probability")
    booster = fitted["xgboost"].get_booster()
    refused(booster, "binary", "Booster only predicts, .* load_model of an XGBClassifier or XGBRegressor")
    two = LinearRegression().fit(ROWS, np.column_stack([SCORE, SCORE]))
    refused(two, "regression", "the networks have 2")
    for method in ("shuffle_tuning", "stochastic_tuning", "fold_tuning"):
        for name in ("forest", "forest regressor"):
            with pytest.raises(InputError, match="fine-tuning does not apply: it needs gradients, and a RandomForest"):
                remove(fitted[name], TABLES[KINDS[name].task], "x0", method)
    with pytest.raises(InputError, match="layer 1 cannot be audited: it reads the layers"):
        attribute(fitted["forest"], TABLES["binary"], "permutation", layer=1)


@pytest.mark.parametrize("name", ["forest", "xgboost", "mlp binary"])
def test_an_estimator_is_left_as_it_was(name: str, fitted: dict[str, Any]) -> None:
    model, table = fitted[name], TABLES[KINDS[name].task]
    before, jobs = joblib.hash(model), model.get_params().get("n_jobs")
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator, which must stay as it was
    for method in ("constant", "fold", "subset_fold"):
        remove(model, table, "x2", method)
    if name != "mlp binary":
        remove(model, table, "x2", "retrain")
    attribute(model, table, "permutation", rows=5)
    assert joblib.hash(model) == before and model.get_params().get("n_jobs") == jobs
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_an_ensemble_of_estimators_keeps_its_members_apart() -> None:
    table = TABLES["binary"]
    models = [RandomForestClassifier(4, random_state=k).fit(table.train.inputs, LABELS["binary"][:110])
              for k in range(3)]
    networks = as_ensemble(models, table)
    for member, model in enumerate(models):
        np.testing.assert_allclose(networks.outputs(TEST)[member], by_hand(model, "binary", TEST), rtol=1e-5)
    turned = networks.select([2, 0])
    assert torch.equal(turned.outputs(TEST), networks.outputs(TEST)[[2, 0]])
    assert not torch.equal(turned.digests[0], turned.digests[1])
    wide = networks.widened(2)
    assert torch.equal(wide.outputs(torch.cat([TEST, TEST[:, :2]], 1)), networks.outputs(TEST))
    torch.testing.assert_close(networks.to_module(1)(TEST), networks.outputs(TEST)[1])


BRIEF: dict[str, Any] = {
    "removals": ["retrain", "stochastic_tuning", "fold", "constant"], "rows": 12, "lime_rows": 3, "lime_samples": 50,
    "scorers": ["permutation", "feature_ablation", "lime", "xgboost_shap_surrogate", "xgboost_gain", "saliency",
                "integrated_gradients", "weights", "random"]}


def check_run(attributions: pd.DataFrame, outcomes: pd.DataFrame) -> None:
    """What can be asked of predictions was, and nothing else; each method took the column out."""
    assert set(outcomes.removal) == {"original", "retrain", "fold", "constant"}
    assert (outcomes[outcomes.removal != "original"].worst_case_method == "algebra").all()
    measured = set(attributions.dropna(subset="share").scorer)
    assert measured == set(BRIEF["scorers"]) - {"saliency", "integrated_gradients", "weights"}


def test_an_audit_of_a_classifier_has_no_dead_chunk(fitted: dict[str, Any], tmp_path: Path) -> None:
    said: list[str] = []
    result = audit(TABLES["binary"], networks=fitted["forest"], remove=["x0"], jobs=1, out=tmp_path, say=said.append,
                   **BRIEF)
    assert not result.failed
    check_run(result.table("attributions"), result.table("outcomes"))
    verdicts = result.verdicts.set_index("removal").direct
    assert (verdicts.drop("original") == "proved none").all() and verdicts["original"] == "present"
    told = [line for line in said if "not applicable" in line]
    assert any("stochastic_tuning" in line and "saliency" in line and "needs gradients" in line for line in told)
    page = (tmp_path / "report.html").read_text()
    assert "only predicts" in page and "by predictions alone" in page


def tables_of(model: Any, task: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An audit's attributions and outcomes, without the page."""
    spec = make_spec(["table"], in_memory=["table"], decoy=False, remove=["x0"], seeds=1, **BRIEF)
    prepared = prepare(spec, device="cpu", tables={"table": TABLES[task]}, networks=model, say=lambda line: None)
    with open_run(prepared, folder, jobs=1, say=lambda line: None) as context:
        assert run_audit(prepared, context, folder) == []
    attributions, outcomes = (pd.read_parquet(folder / f"{name}.parquet") for name in ("attributions", "outcomes"))
    return attributions, outcomes


def test_an_audit_of_a_regressor_has_no_dead_chunk(fitted: dict[str, Any], tmp_path: Path) -> None:
    check_run(*tables_of(fitted["xgboost regressor"], "regression", tmp_path))


def test_an_audit_of_one_that_names_classes_alone_counts_flips(tmp_path: Path) -> None:
    """It reads x0 alone: every scorer that can be asked says so, and a row's output moves where its class does."""
    model = Shouting().fit(ROWS[:110], LABELS["binary"][:110])
    assert "the classes of predict alone" in as_ensemble(model, TABLES["binary"]).how
    attributions, outcomes = tables_of(model, "binary", tmp_path)
    check_run(attributions, outcomes)
    said = attributions[(attributions.removal == "original") & ~attributions.scorer.isin(["random", "xgboost_gain"])]
    top = said.loc[said.groupby("scorer").share.idxmax()]
    assert len(top) > 1 and set(top.feature) == {"x0"}
    rows = outcomes[(outcomes.removal == "constant")].iloc[0]
    assert rows.direct_effect == 0 and rows.accuracy_before == pytest.approx(
        (model.predict(TEST.numpy()) == LABELS["binary"][125:]).mean())
    original = outcomes[(outcomes.removal == "original") & (outcomes.removed == "x0")].iloc[0]
    odds = np.log(LEAST / (1 - LEAST))
    assert original.direct_effect_max == pytest.approx(-2 * odds, rel=1e-4) == original.worst_case
    assert rows.log_loss_before == pytest.approx(-np.log(LEAST) * (1 - rows.accuracy_before), rel=1e-3)


def test_removals_that_all_need_gradients_are_refused(fitted: dict[str, Any]) -> None:
    spec = make_spec(["table"], in_memory=["table"], decoy=False, removals=["shuffle_tuning"], seeds=1)
    with pytest.raises(InputError, match="none of shuffle_tuning can be done to the given networks"):
        prepare(spec, device="cpu", tables={"table": TABLES["binary"]}, networks=fitted["forest"],
                say=lambda line: None)
