"""XGBoost scorers against xgboost's scikit-learn interface fitted alone, and what makes a surrogate a surrogate."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xgboost
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import memory
from attribution_suite.scorers.attribution import Evaluation, sum_groups
from attribution_suite.scorers.surrogate_rows import CONSTANT, surrogate_rows
from attribution_suite.scorers.surrogates import NOTHING, Surrogates
from attribution_suite.scorers.xgboost_fit import XGBoostScorer, quantised
from attribution_suite.scorers.xgboost_gain import XGBoostGain, XGBoostGainSurrogate
from attribution_suite.scorers.xgboost_shap import XGBoostShap, XGBoostShapSurrogate

OPTIONS = {"rounds": 12, "depth": 3, "rows": 1000}
TASKS = ["regression", "binary", "multiclass"]
GROUPS = {"a": (0,), "bc": (1, 4), "d": (2,), "e": (3,), "f": (5,)}
SURROGATES = [XGBoostGainSurrogate, XGBoostShapSurrogate]


@pytest.fixture(autouse=True)
def forget_fits() -> None:
    memory.forget()


def case(task: str, rows: int = 40) -> tuple[Perceptrons, Evaluation]:
    generator = torch.Generator().manual_seed(1)
    inputs, background = torch.randn(rows, 6, generator=generator), torch.randn(300, 6, generator=generator)
    networks = Perceptrons.initialise(Architecture(6, (8, 5), 3 if task == "multiclass" else 1), range(3))
    networks = networks.with_first_layer(4 * networks.weights[0], networks.biases[0])

    def labels(x: torch.Tensor) -> torch.Tensor:
        value = x[:, 0] + 2 * x[:, 1] * x[:, 2]
        if task == "regression":
            return value
        return (value > 0).float() if task == "binary" else (value > 0).long() + (value > 2).long()

    explained = networks.outputs(inputs).argmax(2) if task == "multiclass" else None
    return networks, Evaluation(inputs, labels(inputs), background, labels(background), torch.zeros(6), GROUPS, task,
                                explained)


def alone(inputs: torch.Tensor, labels: torch.Tensor, task: str = "regression", rounds: int = 12) -> xgboost.Booster:
    """One model by xgboost's scikit-learn interface."""
    model = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    return model(n_estimators=rounds, max_depth=3, max_bin=64, learning_rate=0.5, tree_method="hist", n_jobs=1).fit(
        inputs.numpy(), labels.numpy()).get_booster()


def drawn(evaluation: Evaluation, background: torch.Tensor, among: list[int], rows: int,
          output: int = 0, native: float = 0.75) -> torch.Tensor:
    """The rows of a surrogate: some background rows of its class, then each feature from one of its own."""
    generator = np.random.default_rng([evaluation.seed, output])
    order = generator.permutation(among)
    result = torch.empty(rows, background.shape[1])
    for row in range(round(native * rows)):
        result[row] = background[order[row % len(order)]]
    places = generator.integers(len(among), size=(len(evaluation.groups), rows - round(native * rows)))
    for columns, others in zip(evaluation.groups.values(), places, strict=True):
        for row, other in enumerate(others, round(native * rows)):
            for column in columns:
                result[row, column] = background[among[other], column]
    return result


def surrogate(rows: torch.Tensor, labels: torch.Tensor, rounds: int) -> tuple[Pipeline, xgboost.Booster]:
    """scikit-learn's ridge on standardised columns, and one model by xgboost of what it leaves."""
    line = make_pipeline(StandardScaler(), Ridge(1e-3 * len(rows))).fit(rows.double().numpy(), labels.double().numpy())
    return line, alone(rows, labels - torch.from_numpy(line.predict(rows.double().numpy())).float(), rounds=rounds)


def line_shap(line: Pipeline, rows: torch.Tensor) -> torch.Tensor:
    """Linear Shapley values for independent columns: w_k (x_k − mean_k)."""
    return torch.from_numpy(line[1].coef_ * line[0].transform(rows.double().numpy())).float()


def gain(booster: xgboost.Booster) -> torch.Tensor:
    scores = booster.get_score(importance_type="total_gain")
    return torch.tensor([scores.get(f"f{column}", 0.0) for column in range(6)])


def shap(booster: xgboost.Booster, rows: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(booster.predict(xgboost.DMatrix(rows.numpy()), pred_contribs=True))[..., :-1]


@pytest.mark.parametrize("task", TASKS)
def test_baselines_are_xgboosts_own(task: str) -> None:
    networks, evaluation = case(task)
    booster = alone(evaluation.background, evaluation.background_targets, task)
    found = XGBoostGain(**OPTIONS).attribute(networks, evaluation)
    torch.testing.assert_close(found.scores, sum_groups(gain(booster), GROUPS).expand(3, -1))
    values, expected = XGBoostShap(**OPTIONS).attribute(networks, evaluation).values, shap(booster, evaluation.inputs)
    for member in range(3):
        one = expected
        if evaluation.explained is not None:
            one = torch.stack([expected[row, output] for row, output in enumerate(evaluation.explained[member])])
        torch.testing.assert_close(values[member], sum_groups(one, GROUPS))


@pytest.mark.parametrize("task", TASKS)
def test_surrogates_are_ridge_and_xgboosts_own_of_every_network(task: str) -> None:
    networks, evaluation = case(task)
    gains, shaps = (scorer(**OPTIONS).attribute(networks, evaluation) for scorer in SURROGATES)
    truth = networks.outputs(evaluation.inputs)
    of_background = networks.outputs(evaluation.background).argmax(2)
    for member in range(3):
        expected, values, predicted, explained = torch.zeros(6), torch.empty(40, 6), np.empty(40), np.empty(40)
        classes = torch.zeros(40).long() if evaluation.explained is None else evaluation.explained[member]
        for output in classes.unique().tolist():
            among, rows = list(range(300)), classes == output
            if task == "multiclass" and int((of_background[member] == output).sum()) >= 20:
                among = [row for row in among if of_background[member, row] == output]
            count, rounds, native = OPTIONS["rows"], OPTIONS["rounds"], 0.25
            if task == "multiclass":
                count, rounds, native = max(2000, round(12 * count * float(rows.float().mean()))), 5, 0.75
            inputs = drawn(evaluation, evaluation.background, among, count, output, native)
            line, booster = surrogate(inputs, networks.outputs(inputs)[member, :, output], rounds)
            weights = torch.from_numpy(line[1].coef_).float()  # of standardised columns: their variance is 1
            expected += (weights.square() + gain(booster) / count) * rows.sum() / 40
            values[rows] = (line_shap(line, evaluation.inputs) + shap(booster, evaluation.inputs))[rows]
            fitted = line.predict(evaluation.inputs.double().numpy())
            fitted = fitted + booster.predict(xgboost.DMatrix(evaluation.inputs.numpy()))
            predicted[rows], explained[rows] = fitted[rows], truth[member, rows, output]
        torch.testing.assert_close(gains.scores[member], sum_groups(expected, GROUPS), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(shaps.values[member], sum_groups(values, GROUPS), rtol=1e-3, atol=1e-4)
        for found in (gains, shaps):
            assert float(found.details["fidelity"][member]) == pytest.approx(r2_score(explained, predicted), abs=1e-4)


def test_the_line_and_the_rows_of_the_class_make_a_surrogate_faithful() -> None:
    """Negative control: the trees alone, on as many rows of all classes, hardly follow a network of many inputs."""
    generator = torch.Generator().manual_seed(3)
    inputs, background = (torch.randn(rows, 60, generator=generator) for rows in (150, 2000))
    networks = Perceptrons.initialise(Architecture(60, (16,), 3), range(2))
    outputs = networks.outputs(inputs)
    evaluation = Evaluation(inputs, torch.zeros(150), background, torch.zeros(2000), torch.zeros(60),
                            {f"x{column}": (column,) for column in range(60)}, "multiclass", outputs.argmax(2))
    found = XGBoostShapSurrogate().attribute(networks, evaluation).details["fidelity"]
    rows = drawn(evaluation, background, list(range(2000)), 1000)
    for member, classes in enumerate(evaluation.explained):
        trees, truth = (torch.zeros(150) for _ in range(2))
        for output in classes.unique().tolist():
            booster = alone(rows, networks.outputs(rows)[member, :, output])
            said = torch.from_numpy(booster.predict(xgboost.DMatrix(inputs.numpy())))
            trees, truth = (torch.where(classes == output, new, old) for new, old in (
                (said, trees), (outputs[member, :, output], truth)))
        assert found[member] > r2_score(truth, trees) + 0.2, (found, r2_score(truth, trees))


def test_a_pool_and_the_originals_classes_are_what_is_drawn_from() -> None:
    networks, evaluation = case("multiclass")
    pool = torch.randn(600, 6, generator=torch.Generator().manual_seed(7))
    wide = replace(evaluation, pool=pool, pool_explained=networks.outputs(pool).argmax(2))
    edited = networks.with_first_layer(0.5 * networks.weights[0], networks.biases[0])
    rows_of = dict(surrogate_rows(edited.select([1]), wide.for_members(torch.tensor([1])), 1000)[0][1])
    assert sorted(rows_of) == sorted(evaluation.explained[1].unique().tolist())
    for output, rows in rows_of.items():
        among = (wide.pool_explained[1] == output).nonzero()[:, 0].tolist()
        if len(among) >= 20:
            torch.testing.assert_close(rows.rows, drawn(wide, pool, among, len(rows.rows), output))
    together = surrogate_rows(edited.select([1, 1, 2]), wide.for_members(torch.tensor([1, 1, 2])), 1000)
    assert [members for members, _ in together] == [[0, 1], [2]]


def test_only_a_surrogate_shifts_when_a_network_is_edited() -> None:
    networks, evaluation = case("regression")
    blind = networks.with_nodes_folded(Nodes.of([GROUPS["bc"]] * 3), torch.zeros(3, 2))
    for scorer in SURROGATES:
        before, after = (scorer(**OPTIONS).attribute(each, evaluation).shares[:, 1] for each in (networks, blind))
        assert (before > 0.15).all() and (after == 0).all()
    for scorer in (XGBoostGain, XGBoostShap):
        before, after = (scorer(**OPTIONS).attribute(each, evaluation).shares for each in (networks, blind))
        assert torch.equal(before, after) and scorer.traits.reads == "labels"


def test_gain_and_shap_share_a_fit_but_networks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    networks, evaluation = case("multiclass")
    train, calls = XGBoostScorer.train, []
    monkeypatch.setattr(XGBoostScorer, "train", lambda *given, **words: calls.append(1) or train(*given, **words))

    def fits(scorer: type, networks: Perceptrons, evaluation: Evaluation, **options: int) -> int:
        calls.clear()
        scorer(**{**OPTIONS, **options}).attribute(networks, evaluation)
        return len(calls)

    classes = sum(len(row.unique()) for row in evaluation.explained)
    assert fits(XGBoostGainSurrogate, networks, evaluation) == classes
    assert fits(XGBoostShapSurrogate, networks, evaluation) == 0
    assert fits(XGBoostShap, networks, evaluation) == 1 and fits(XGBoostGain, networks, evaluation) == 0
    assert fits(XGBoostShapSurrogate, networks.tail(0), evaluation) == 0
    assert fits(XGBoostShapSurrogate, networks, replace(evaluation, background=evaluation.background.clone())) == 0
    networks.biases[-1].mul_(2)
    assert fits(XGBoostShapSurrogate, networks, evaluation) == classes
    edited = networks.with_first_layer(networks.weights[0] * 2, networks.biases[0])
    for changed, options in (((edited, evaluation), {}), ((networks, replace(evaluation, seed=1)), {}),
                             ((networks, replace(evaluation, background=evaluation.background * 1.01)), {}),
                             ((networks, replace(evaluation, groups={"all": tuple(range(6))})), {}),
                             ((networks, evaluation), {"rounds": 5}), ((networks, evaluation), {"rows": 200})):
        assert fits(XGBoostShapSurrogate, *changed, **options) == classes
        assert fits(XGBoostShapSurrogate, networks, evaluation) == 0
    one_class = replace(evaluation, explained=torch.zeros_like(evaluation.explained))
    assert fits(XGBoostShapSurrogate, networks, one_class) == len(networks)
    other = replace(evaluation, background_targets=evaluation.background_targets.roll(1))
    assert fits(XGBoostShap, networks, other) == 1
    one_of_one = one_class.for_members(torch.tensor([0]))
    for seed in range(memory.KEPT):  # the memory is bounded: what was asked first is forgotten first
        fits(XGBoostShapSurrogate, networks.select([0]), replace(one_of_one, seed=100 + seed), rounds=1)
    assert fits(XGBoostShapSurrogate, networks, evaluation) == classes


def test_fidelity_is_measured_once_and_of_the_rows_that_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gain and SHAP share it as they share the fit; rows that only the last ones differ from are others."""
    networks, evaluation = case("regression", rows=60)
    outputs, calls = Surrogates.outputs, []
    monkeypatch.setattr(Surrogates, "outputs", lambda *given: calls.append(1) or outputs(*given))
    gain_says, shap_says = (kind(**OPTIONS).attribute(networks, evaluation).details["fidelity"] for kind in SURROGATES)
    assert len(calls) == 1 and torch.equal(gain_says, shap_says)
    far = replace(evaluation, inputs=torch.cat([evaluation.inputs[:-3], 9 * evaluation.inputs[-3:]]))
    after = XGBoostGainSurrogate(**OPTIONS).attribute(networks, far).details["fidelity"]
    memory.forget()
    assert torch.equal(after, XGBoostGainSurrogate(**OPTIONS).attribute(networks, far).details["fidelity"])
    assert ((after - gain_says).abs() > 0.05).all()


def test_hidden_layers_are_fitted_member_by_member() -> None:
    networks, evaluation = case("regression")
    tail, seen = networks.tail(1), evaluation.at_layer(networks, 1)
    baseline, fitted = (scorer(**OPTIONS).attribute(tail, seen) for scorer in (XGBoostShap, XGBoostShapSurrogate))
    for member in range(3):
        expected = shap(alone(seen.background[member], evaluation.background_targets), seen.inputs[member])
        torch.testing.assert_close(baseline.values[member], expected)
        rows = drawn(seen, seen.background[member], list(range(300)), OPTIONS["rows"], native=0.25)
        line, trees = surrogate(rows, tail.select([member]).outputs(rows)[0, :, 0], OPTIONS["rounds"])
        expected = shap(trees, seen.inputs[member]) + line_shap(line, seen.inputs[member])
        torch.testing.assert_close(fitted.values[member], expected, rtol=1e-3, atol=1e-4)


def test_rows_are_drawn_from_the_seed() -> None:
    networks, evaluation = case("regression")

    def scores(kind: type, seed: int, rows: int) -> torch.Tensor:
        memory.forget()
        return kind(**{**OPTIONS, "rows": rows}).attribute(networks, replace(evaluation, seed=seed)).scores

    for kind in (XGBoostGain, XGBoostGainSurrogate):
        assert torch.equal(scores(kind, 0, 50), scores(kind, 0, 50))
        assert not torch.equal(scores(kind, 0, 50), scores(kind, 1, 50))
    assert torch.equal(scores(XGBoostGain, 0, 300), scores(XGBoostGain, 1, 300))  # all rows: no draw


@pytest.mark.parametrize("task", TASKS)
def test_a_baseline_on_some_rows_has_their_own_labels(task: str) -> None:
    """Fewer rows than the background has: those drawn, each with its own label."""
    networks, evaluation = case(task)
    picked = np.sort(np.random.default_rng(evaluation.seed).permutation(300)[:90])
    assert picked.tolist() != list(range(90))
    found = XGBoostGain(**{**OPTIONS, "rows": 90}).attribute(networks, evaluation)
    booster = alone(evaluation.background[picked], evaluation.background_targets[picked], task)
    torch.testing.assert_close(found.scores, sum_groups(gain(booster), GROUPS).expand(3, -1))
    shaps = XGBoostShap(**{**OPTIONS, "rows": 90}).attribute(networks, evaluation).values
    expected = shap(booster, evaluation.inputs)
    if evaluation.explained is not None:
        expected = expected[torch.arange(40), evaluation.explained[0]]
    torch.testing.assert_close(shaps[0], sum_groups(expected, GROUPS))


@pytest.mark.parametrize("kind", SURROGATES)
def test_a_surrogate_does_not_read_the_proxy_that_its_network_ignores(kind: type) -> None:
    """Feature f is nearly the sum of those that the network adds up: fitted on background rows, trees split on it.

    Three networks: without weights from f, with weights that cancel, and, the negative control, with small ones.
    """
    evaluation = replace(case("regression")[1], explained=None)
    first = torch.ones(3, 3, 6)
    first[:, 0, 5], first[:, 1:, :5] = 0, 0  # one unit adds up the others, two are copies of f
    first[0, 1:, 5] = 0
    last = torch.tensor([[[1.0, 1, 1]], [[1, 1, -1]], [[1, 0.01, 0.01]]])
    networks = Perceptrons(Architecture(6, (3,), 1, "linear"), (first, last), (torch.zeros(3, 3), torch.zeros(3, 1)))

    def with_proxy(rows: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(rows), generator=torch.Generator().manual_seed(2))
        return torch.cat([rows[:, :5], rows[:, :5].sum(1, keepdim=True) / 5**0.5 + 0.1 * noise[:, None]], 1)

    evaluation = replace(evaluation, inputs=with_proxy(evaluation.inputs), background=with_proxy(evaluation.background))
    native = alone(evaluation.background, networks.outputs(evaluation.background)[0, :, 0])
    control = gain(native) if kind is XGBoostGainSurrogate else shap(native, evaluation.inputs).abs().mean(0)
    shares = kind(**OPTIONS).attribute(networks, evaluation).shares
    assert control[-1] > 0.6 * control.sum()
    assert (shares[:2, -1] == 0).all() and 0 < shares[2, -1] < 0.06
    assert (shares[:, :-1] > 0.05).all()


def test_trees_split_on_the_columns_that_they_are_given_alone() -> None:
    """Many columns and rounds: that XGBoost draws just those is its weights' doing, and a draw could go wrong."""
    rows = np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)
    given, matrix, labels = np.arange(200) % 3 > 0, quantised(rows), rows.sum(1)
    split, everywhere = (set(XGBoostScorer(rounds=60).train(matrix, labels, columns).get_score())
                         for columns in (given, None))
    assert len(split) > 50 and all(given[int(name[1:])] for name in split)
    assert not all(given[int(name[1:])] for name in everywhere)


def test_a_constant_network_has_no_fidelity() -> None:
    networks, evaluation = case("regression")
    constant = networks.with_first_layer(torch.zeros_like(networks.weights[0]), networks.biases[0])
    found = XGBoostShapSurrogate(**OPTIONS).attribute(constant, evaluation)
    assert (found.scores == 0).all() and found.details["fidelity"].isnan().all()


@pytest.mark.parametrize("kind", SURROGATES)
def test_of_a_network_that_reads_no_column_nothing_is_said(kind: type) -> None:
    """Its output of about 1000 moves by less than 1e-5 of it, and by more than rounding; ten times as much is read."""
    evaluation = case("regression")[1]
    first = torch.tensor([2e-6, 2e-5]).view(2, 1, 1) * torch.eye(6)[:1]
    networks = Perceptrons(Architecture(6, (1,), 1, "linear"), (first, torch.full((2, 1, 1), 1000.0)),
                           (torch.ones(2, 1), torch.zeros(2, 1)))
    said = networks.outputs(evaluation.background)[0, :, 0]
    assert CONSTANT < said.std() / said.abs().max() < NOTHING
    found, unread = (kind(**OPTIONS).attribute(each, evaluation).scores for each in (networks, networks.select([0])))
    assert (found[0] == 0).all() and found[1, 0] > 0 and (found[1, 1:] == 0).all()
    assert (unread == 0).all()


def test_refuses_options_without_sense() -> None:
    for option in OPTIONS:
        with pytest.raises(InputError, match=option):
            XGBoostGain(**{option: 0})
