"""Partial dependence and rows' own curves: scikit-learn's, a slow loop's, and those of the run's table."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cases import CASES, Case
from report_fixture import SEEDS, datasets, subject, units_run, whole_run
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.inspection import partial_dependence
from torch import Tensor

from attribution_suite import from_arrays, train
from attribution_suite.auditing.work.information import unpacked
from attribution_suite.auditing.work.partial_dependence import PARTIAL_DEPENDENCE, ROWS, SHOWN_ROWS, dependence_curves
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.partial_dependence import MOST_VALUES, Grid, curves
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.tables.audit import ORIGINAL

PLAIN = [case for case in CASES if case.name in ("regression", "binary", "multiclass")]


class Wrapped(BaseEstimator):
    """One network as scikit-learn calls an estimator."""

    def __init__(self, module: Any, task: str) -> None:
        self.module, self.task, self.fitted_ = module, task, True

    def fit(self, X: Any, y: Any) -> "Wrapped":
        return self

    def raw(self, X: Any) -> Tensor:
        with torch.no_grad():
            outputs: Tensor = self.module(torch.as_tensor(np.asarray(X), dtype=torch.float32))
        return outputs


class Regressor(RegressorMixin, Wrapped):
    def predict(self, X: Any) -> np.ndarray:
        return self.raw(X)[:, 0].numpy()


class Classifier(ClassifierMixin, Wrapped):
    @property
    def classes_(self) -> np.ndarray:
        return np.arange(2 if self.task == "binary" else 4)

    def predict_proba(self, X: Any) -> np.ndarray:
        outputs = self.raw(X)
        if self.task == "binary":
            outputs = torch.cat([torch.zeros_like(outputs), outputs], 1)
        return torch.softmax(outputs, 1).numpy()


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_curves_are_scikit_learns_of_each_network(case: Case) -> None:
    """Both the mean and every row's own; of another column they are others."""
    task, inputs = case.evaluation.task, case.evaluation.inputs
    grid = torch.linspace(-2, 2, 7)
    ours = curves(case.networks, inputs, (2,), grid[:, None], task)
    other = curves(case.networks, inputs, (3,), grid[:, None], task)
    for member, part in enumerate(ours):
        kind = Regressor if task == "regression" else Classifier
        theirs = partial_dependence(kind(case.networks.to_module(member), task), inputs.double().numpy(), [2],
                                    kind="both", method="brute", custom_values={2: grid.double().numpy()})
        rows_first = part.permute(2, 0, 1).numpy()  # [outputs, rows, points], as theirs
        np.testing.assert_allclose(rows_first, theirs["individual"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rows_first.mean(1), theirs["average"], rtol=1e-4, atol=1e-5)
        assert np.abs(other[member].permute(2, 0, 1).numpy() - theirs["individual"]).max() > 0.01


def test_a_group_and_the_rows_of_each_network_are_moved_as_a_slow_loop_moves_them() -> None:
    case = next(case for case in CASES if case.name == "multiclass groups")
    inputs = torch.randn(len(case.networks), 5, 6)  # as behind a hidden layer
    values = torch.randn(4, 3)
    found = curves(case.networks, inputs, (1, 2, 3), values, "multiclass")
    for member in range(len(case.networks)):
        for row in range(5):
            for point, value in enumerate(values):
                moved = inputs[member, row].clone()
                moved[1:4] = value
                expected = case.networks.select([member]).outputs(moved[None])[0, 0].softmax(0)
                np.testing.assert_allclose(found[member, row, point], expected, rtol=1e-4, atol=1e-6)


def test_a_curve_is_level_where_the_feature_is_folded_out() -> None:
    case = PLAIN[0]
    members, grid = len(case.networks), torch.linspace(-3, 3, 9)[:, None]
    folded = case.networks.with_nodes_folded(Nodes.of([(2,)] * members), torch.zeros(members, 1))
    after, before = (np.ptp(curves(networks, case.evaluation.inputs, (2,), grid, "regression").numpy(), 2)
                     for networks in (folded, case.networks))
    assert after.max() < 1e-6 and before.min() > 1e-3


def test_a_number_is_put_at_all_its_values_or_at_its_quantiles() -> None:
    few = np.array([3.0, 1, 1, 2])[:, None]
    assert Grid.of(few, "x", ["x"]).number.tolist() == [1, 2, 3]
    many = np.random.default_rng(0).exponential(size=(1000, 1)).astype(np.float32)
    grid = Grid.of(many, "x", ["x"])
    assert len(grid.number) == MOST_VALUES and set(grid.number) <= set(many[:, 0]) and set(grid.level) == {""}
    np.testing.assert_allclose(grid.number, np.quantile(many, np.linspace(0, 1, MOST_VALUES)), rtol=0.02, atol=0.01)


def test_a_category_is_put_at_its_levels_by_their_names() -> None:
    levels = np.eye(3)[[2, 0, 1, 1]]
    grid = Grid.of(levels, "slope", ["slope=down", "slope=flat", "slope missing"])
    assert grid.level.tolist() == ["down", "flat", "missing"] and np.isnan(grid.number).all()
    assert grid.values.tolist() == np.eye(3).tolist()
    two = Grid.of(np.array([[1.0], [0], [1]]), "sex", ["sex=M"], ("F", "M"))
    assert (two.level.tolist(), two.values.tolist()) == (["F", "M"], [[0], [1]])
    unknown = Grid.of(np.array([[1.0], [0]]), "sex", ["sex=M"])
    assert unknown.level.tolist() == ["not M", "M"]


def test_a_number_with_gaps_is_put_at_its_values_and_at_missing() -> None:
    rows = np.array([[1.0, 0], [4, 0], [2.5, 1], [2, 0]])
    grid = Grid.of(rows, "age", ["age", "age missing"])
    assert grid.level.tolist() == ["", "", "", "missing"]
    np.testing.assert_array_equal(grid.number, [1, 2, 4, np.nan])
    np.testing.assert_array_equal(grid.values[-1], [2.5, 1])  # what a missing value is to a network
    part = Grid.of(np.array([[1.0, 0, 1], [0, 1, 5], [0, 1, 6]]), "info", ["info_letter=A", "info_letter=B", "info_n"])
    assert list(zip(part.level, part.number, strict=True)) == [("A", 1), ("B", 5), ("B", 6)]


def planted() -> TabularDataset:
    """y = 3 x0 + x1, in units of their own."""
    inputs = np.random.default_rng(1).normal(50, 10, (300, 3)).astype(np.float32)
    return from_arrays(inputs, 3 * inputs[:, 0] + inputs[:, 1], feature_names=["x0", "x1", "x2"], name="planted")


def test_the_table_has_each_network_its_rows_and_own_units() -> None:
    """y = 3 x0 + x1 by an exact linear network: slopes in own units, whatever the scaling; each of a set alone."""
    table = planted()
    centre, scale = (torch.from_numpy(part).float() for part in table.scaler)
    slope = torch.tensor([3.0, 1.0, 0.0])
    weight = (slope * scale)[None, None].repeat(4, 1, 1)
    bias = (slope * centre).sum().repeat(4, 1)
    exact = Perceptrons.initialise(train(table, seeds=1).networks.architecture, [0])
    linear = Perceptrons(type(exact.architecture)(3, (), 1, "relu"), (weight,), (bias,))
    seen = Evaluation.of(table, linear, 200, 100)
    arrays = dependence_curves(linear, (("x0", "x0+x1"), ("x0", "x0+x1")), seen, 0, table)
    rows = unpacked(arrays[PARTIAL_DEPENDENCE])
    assert set(zip(rows.member, rows.feature, strict=True)) == {
        (0, "x0"), (2, "x0"), (1, "x0"), (1, "x1"), (3, "x0"), (3, "x1")}
    means = rows[rows.row < 0]
    others = {"x0": "x1", "x1": "x0"}
    test = pd.DataFrame(table.inputs[table.test_rows][:ROWS], columns=["x0", "x1", "x2"]).mean()
    for feature, factor in (("x0", 3.0), ("x1", 1.0)):
        part = means[means.feature == feature]
        rest = (4.0 - factor) * test[others[feature]]
        np.testing.assert_allclose(part.prediction, factor * part.value + rest, rtol=1e-4)
    own = rows[rows.row >= 0]
    assert set(own.member) == {0, 1} and own.groupby(["member", "feature"]).row.nunique().eq(SHOWN_ROWS).all()
    one = own[(own.feature == "x1") & (own.member == 1)]
    np.testing.assert_allclose(one.prediction, one.value + 3 * table.inputs[table.test_rows, 0][one.row], rtol=1e-4)


def test_a_run_has_curves_of_every_network_before_and_after() -> None:
    """Retraining and a constant leave level lines, the original's move; of iris the probabilities sum to 1."""
    table = subject("iris").tables["partial_dependence"]
    keys = ["removal", "removed", "seed"]
    means = table[table.row < 0]
    moved = means.groupby([*keys, "output"]).prediction.agg(lambda values: values.max() - values.min())
    assert moved[ORIGINAL].groupby(["removed", "seed"]).max().min() > 0.01
    for removal in ("retrain", "constant"):
        assert moved[removal].max() < 1e-6, removal
    assert len(moved) == 6 * 3 * SEEDS * 3
    sums = means.groupby([*keys, "value"]).prediction.sum()
    np.testing.assert_allclose(sums, 1, rtol=1e-5)
    of_rows = table[table.row >= 0]
    assert (of_rows.seed == 0).all() and of_rows.groupby(keys).row.nunique().eq(SHOWN_ROWS).all()
    values = datasets()["iris"].inputs
    assert means.value.min() >= values.min() and means.value.max() <= values.max()


def test_a_hidden_unit_is_moved_in_its_own_network() -> None:
    found = subject("iris", units_run()).tables["partial_dependence"]
    units = subject("iris", units_run()).tables["outcomes"]
    picked = units[units["rank"] == 1].drop_duplicates("seed").set_index("seed").removed
    first = found[(found["rank"] == 1) & (found.removal == ORIGINAL) & (found.row < 0)]
    assert first.groupby("seed").feature.unique().map(list).to_dict() == {seed: [name] for seed, name in picked.items()}
    assert first.value.min() >= 0  # activations of ReLU


def test_confusion_counts_every_test_row_of_every_network() -> None:
    counts = pd.read_parquet(whole_run() / "confusion.parquet")
    iris = datasets()["iris"]
    assert set(counts.dataset) == {"iris"}  # a regression has none
    totals = counts.groupby(["removal", "removed", "seed"]).rows.sum()
    assert (totals == len(iris.test_rows)).all() and len(totals) == SEEDS * (1 + 5 * 3)
    outcomes = pd.read_parquet(whole_run() / "outcomes.parquet").query("dataset == 'iris'")
    right = counts[counts.actual == counts.predicted].groupby(["removal", "removed", "seed"]).rows.sum()
    accuracy = outcomes.dropna(subset="accuracy").set_index(["removal", "removed", "seed"]).accuracy
    np.testing.assert_allclose(right.reindex(totals.index, fill_value=0) / totals, accuracy.reindex(totals.index))
    actual = counts.groupby(["removal", "removed", "seed", "actual"]).rows.sum().unstack()
    expected = pd.Series(iris.targets[iris.test_rows]).map(dict(enumerate(iris.classes))).value_counts()
    assert (actual == expected.reindex(actual.columns)).all(axis=None)


@pytest.mark.parametrize("name", ["boston", "iris"])
def test_local_values_share_out_what_the_network_says_of_the_row(name: str) -> None:
    """Σφ = f(x) − f(baseline) by a complete scorer; values are the test rows' own."""
    rows = subject(name).tables["local_attributions"]
    assert set(rows.scorer) == {"integrated_gradients"} and set(rows.seed) == {0}
    each = rows.groupby("row")
    gap = each.phi.sum() - (each.output.first() - each.output_at_baseline.first())
    assert gap.abs().mean() < 0.05 * (each.output.first() - each.output_at_baseline.first()).abs().mean()
    data = datasets()[name]
    feature = next(iter(data.groups))
    np.testing.assert_allclose(rows[rows.feature == feature].value, data.inputs[data.test_rows, 0][:each.ngroups])
    assert set(rows.explained_class) <= ({""} if name == "boston" else set(data.classes))
