"""R² of features on each other and of a hidden unit, against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attribution_suite.errors import InputError
from attribution_suite.measures.information import linear


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def mixed_table(rng, rows=400):
    """A number, its proxy, a one-hot of three that depends on it, a constant, and a group holding a constant."""
    number = rng.standard_normal(rows)
    kind = np.digitize(number + rng.standard_normal(rows), [-0.5, 0.8])
    proxy, other = 0.6 * number + 0.8 * rng.standard_normal(rows), rng.standard_normal(rows)
    table = np.column_stack([number, proxy, np.eye(3)[kind], np.full(rows, 0.1), other, np.ones(rows)])
    return table, {"a": (0,), "b": (1,), "kind": (2, 3, 4), "constant": (5,), "half": (6, 7)}


def test_dependence_equals_scikit_learn_group_by_group(rng):
    table, groups = mixed_table(rng)
    found = linear.dependence(table.astype(np.float32), groups)
    for i, k in enumerate(groups):
        for j, source in enumerate(groups):
            own = [c for c in groups[k] if np.ptp(table[:, c]) > 0]
            inputs = table[:, groups[source]]
            scores = [r2_score(table[:, c], LinearRegression().fit(inputs, table[:, c]).predict(inputs)) for c in own]
            expected = np.mean(scores) if scores else 0.0
            assert found[i, j] == pytest.approx(expected, abs=1e-5), (k, source)
    assert found[2, 0] != pytest.approx(found[0, 2], abs=0.01)  # [k, j] is not [j, k]


def test_dependence_does_not_depend_on_units_and_finds_a_copy(rng):
    table, groups = mixed_table(rng)
    scaled = table * [1e-6, 1e6, 3, 3, 3, 1, -2, 1] + 5
    np.testing.assert_allclose(linear.dependence(scaled, groups), linear.dependence(table, groups), atol=1e-6)
    copy = linear.dependence(np.column_stack([table[:, 0], -3 * table[:, 0] + 1]), {"x": (0,), "copy": (1,)})
    np.testing.assert_allclose(copy, 1)


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_known_truth_dependence_of_the_proxy(rng, r):
    x = rng.standard_normal((100_000, 2))
    x[:, 1] = r * x[:, 0] + np.sqrt(1 - r**2) * x[:, 1]
    np.testing.assert_allclose(linear.dependence(x, {"x": (0,), "proxy": (1,)})[1, 0], r**2, atol=0.01)


def test_a_units_probe_is_cross_fitted_as_by_scikit_learn(rng):
    z = rng.standard_normal((203, 2))
    x = z[:, 0] + 0.7 * rng.standard_normal(203)
    predicted = np.empty(203)
    for fitted, held in KFold(5, shuffle=True, random_state=7).split(z):
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))).fit(z[fitted], x[fitted])
        predicted[held] = model.predict(z[held])
    assert linear.linear_r2(z, x, seed=7) == pytest.approx(r2_score(x, predicted))
    assert linear.linear_r2(z, rng.standard_normal(203)) < 0.1  # negative control
    assert np.isnan(linear.linear_r2(z, np.ones(203)))


def test_bad_input_is_named(rng):
    with pytest.raises(InputError, match="inputs must be finite"):
        linear.dependence([[1.0, np.nan]], {"x": (0,), "y": (1,)})
    with pytest.raises(InputError, match="same rows"):
        linear.linear_r2(np.zeros((20, 2)), np.zeros(19))
    with pytest.raises(InputError, match="at least 10 rows"):
        linear.linear_r2(np.zeros((5, 2)), np.zeros(5))
