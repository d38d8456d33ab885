"""Dependence against scikit-learn and loops from the papers; error rates under independence; probes."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from attribution_suite.errors import InputError
from attribution_suite.measures import leakage


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
    found = leakage.dependence(table.astype(np.float32), groups)
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
    np.testing.assert_allclose(leakage.dependence(scaled, groups), leakage.dependence(table, groups), atol=1e-6)
    copy = leakage.dependence(np.column_stack([table[:, 0], -3 * table[:, 0] + 1]), {"x": (0,), "copy": (1,)})
    np.testing.assert_allclose(copy, 1)


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_known_truth_dependence_of_the_proxy(rng, r):
    x = rng.standard_normal((100_000, 2))
    x[:, 1] = r * x[:, 0] + np.sqrt(1 - r**2) * x[:, 1]
    np.testing.assert_allclose(leakage.dependence(x, {"x": (0,), "proxy": (1,)})[1, 0], r**2, atol=0.01)


def double_centred(matrix):
    n = len(matrix)
    return [[matrix[i][j] - sum(matrix[i]) / n - sum(row[j] for row in matrix) / n + sum(map(sum, matrix)) / n**2
             for j in range(n)] for i in range(n)]


def product(a, b):
    return sum(x * y for row_a, row_b in zip(a, b, strict=True) for x, y in zip(row_a, row_b, strict=True))


def test_statistics_equal_the_papers_formulas(rng):
    x, y = rng.standard_normal((2, 14))
    y += x**2
    distances = [[[abs(p - q) for q in values] for p in values] for values in (x.tolist(), y.tolist())]
    a, b = map(double_centred, distances)
    expected = np.sqrt(product(a, b) / np.sqrt(product(a, a) * product(b, b)))
    assert leakage.distance_correlation([y], x).statistic[0] == pytest.approx(expected, rel=1e-10)

    kernels = []
    for matrix in distances:
        above = np.median([d for row in matrix for d in row if d > 0])
        kernels.append([[np.exp(-(d**2) / (2 * above**2)) for d in row] for row in matrix])
    k, h, l = np.array(kernels[0]), np.eye(14) - 1 / 14, np.array(kernels[1])  # noqa: E741
    assert leakage.hsic([y], x).statistic[0] == pytest.approx(np.trace(k @ h @ l @ h) / 13**2, rel=1e-10)


@pytest.mark.parametrize("test", [leakage.distance_correlation, leakage.hsic])
def test_independent_outputs_are_rejected_at_the_nominal_rate_and_dependent_ones_found(rng, test, monkeypatch):
    monkeypatch.setattr(leakage, "VALUES_AT_ONCE", 70 * 60**2)  # several chunks of members
    feature, outputs = rng.standard_normal(60), rng.standard_normal((200, 60))
    independent = test(outputs, feature, permutations=99)
    assert 2 <= (independent.p_value <= 0.05).sum() <= 20
    assert stats.kstest(independent.p_value, "uniform").pvalue > 1e-3
    dependent = test(0.3 * outputs[:20] + feature**2, feature, permutations=99)  # uncorrelated, not independent
    assert (dependent.p_value <= 0.05).mean() > 0.9
    assert dependent.statistic.min() > np.median(independent.statistic)


@pytest.mark.parametrize("test", [leakage.distance_correlation, leakage.hsic])
def test_a_constant_output_depends_on_nothing(rng, test):
    found = test(np.full((1, 30), 0.1), rng.standard_normal(30), permutations=19)
    assert found.statistic[0] == 0 and found.p_value[0] == 1


def test_the_p_value_counts_the_permutations(rng):
    """All orders of a small sample are nearly drawn: p near the exact share of orders that reach the statistic."""
    found = leakage.distance_correlation([np.arange(12.0)], np.arange(12.0), permutations=99)
    assert found.statistic[0] == pytest.approx(1) and found.p_value[0] == pytest.approx(0.01)
    two_values = np.repeat([0.0, 1.0], 6)  # 2 of C(12, 6) = 924 orders of equal values reach the largest statistic
    p = leakage.distance_correlation([two_values], two_values, permutations=9999).p_value[0]
    assert p == pytest.approx(2 / 924, abs=0.0015)


def test_rows_are_drawn_by_the_seed_and_kept_together(rng):
    feature = rng.standard_normal((5000, 2))
    first, again, other = (
        leakage.distance_correlation([feature.sum(1)], feature, permutations=19, max_rows=200, seed=seed)
        for seed in (3, 3, 4)
    )
    assert first.statistic == again.statistic != other.statistic
    assert first.statistic > 0.6 and first.p_value == 0.05


def chain(rng, rows=300):
    """x ← z → y: dependent, but independent given z."""
    z = rng.standard_normal((rows, 2))
    return z, z[:, 0] + 0.7 * rng.standard_normal(rows), z[:, 0] - z[:, 1] + 0.7 * rng.standard_normal(rows)


def test_conditional_independence_is_rejected_at_the_nominal_rate(rng):
    p, statistic = [], []
    for seed in range(100):
        z, x, y = chain(rng)
        t, value = leakage.generalised_covariance(y, x, z, probe="ridge", seed=seed)
        p.append(value)
        statistic.append(t)
        assert value == pytest.approx(2 * stats.norm.sf(abs(t)))
    assert np.sum(np.array(p) <= 0.05) <= 12
    assert np.std(statistic) == pytest.approx(1, abs=0.25)
    marginal = [leakage.generalised_covariance(y, x, rng.standard_normal((300, 1)), probe="ridge")[1] for _ in range(3)]
    assert max(marginal) < 1e-3  # the same pair without z in the condition


def test_a_direct_effect_is_found_given_the_rest(rng):
    z, x, y = chain(rng)
    assert leakage.generalised_covariance(y + 0.5 * x, x, z, probe="ridge")[1] < 1e-3
    several = np.column_stack([x, rng.standard_normal(300)])
    assert leakage.generalised_covariance(y + 0.5 * x, several, z, probe="ridge")[1] == pytest.approx(0.001)
    for _ in range(4):  # of two independent columns the larger |T| reaches t with probability 1 − (1 − p)²
        z, x, y = chain(rng)
        t, p = leakage.generalised_covariance(y, np.column_stack([x, rng.standard_normal(300)]), z, probe="ridge")
        assert p == pytest.approx(1 - (1 - 2 * stats.norm.sf(t)) ** 2, abs=0.06)
    z, x, y = chain(rng, 800)
    bent = z[:, 0] ** 2
    t = [leakage.generalised_covariance(bent + 0.3 * y, bent + x, z, probe=probe)[0] for probe in ("ridge", "boosted")]
    assert t[0] > 5 > abs(t[1])  # a probe that cannot bend leaves z's own effect in both residuals


def test_a_probe_is_cross_fitted(rng):
    z, x, _ = chain(rng, 203)
    found = leakage.recoverability(z, x, seed=7)
    group = (x > 0.5) * 2.0 - 3.0
    binary = leakage.recoverability(z, group, seed=7)
    predicted = np.empty((2, 203))
    for fitted, held in KFold(5, shuffle=True, random_state=7).split(z):
        for place, wanted in enumerate((x, group)):
            model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))).fit(z[fitted], wanted[fitted])
            predicted[place, held] = model.predict(z[held])
    r2 = 1 - ((x - predicted[0]) ** 2).sum() / ((x - x.mean()) ** 2).sum()
    assert found.metric == "r2" and found.score["ridge"] == pytest.approx(r2)
    assert leakage.linear_r2(z, x, seed=7) == pytest.approx(r2)
    assert binary.metric == "auc" and binary.score["ridge"] == pytest.approx(roc_auc_score(group, predicted[1]))
    # negative control: fitted to the rows it predicts, a boosted probe finds noise
    assert leakage.recoverability(z, np.random.default_rng(1).standard_normal(203)).score["boosted"] < 0.1


def test_what_probes_recover(rng):
    x = rng.standard_normal(1000)
    noise = rng.standard_normal((1000, 2))
    linear = leakage.recoverability(np.column_stack([x, np.zeros(1000)]) + noise / 2, x)
    assert linear.gain("ridge") == pytest.approx(0.8, abs=0.04)  # 1 / (1 + 0.5²)
    bent = leakage.recoverability(rng.standard_normal(1000)[:, None] * 0.1 + np.abs(x)[:, None], np.abs(x) > 0.7)
    assert bent.metric == "auc" and bent.gain("boosted") > 0.4
    squared = leakage.recoverability(x[:, None], x**2)
    assert squared.gain("ridge") < 0.05 < 0.9 < squared.gain("boosted")
    nothing = leakage.recoverability(rng.standard_normal((1000, 3)), x)
    assert all(abs(nothing.gain(probe)) < 0.1 and nothing.score[probe] < 0.05 for probe in leakage.PROBES)


def test_several_columns_are_averaged(rng):
    x = rng.standard_normal((600, 2))
    found = leakage.recoverability(x[:, :1], np.column_stack([x, np.zeros(600)]))
    assert found.metric == "r2" and found.score["ridge"] == pytest.approx(0.5, abs=0.02)


def test_bad_input_is_named(rng):
    with pytest.raises(InputError, match="inputs must be finite"):
        leakage.dependence([[1.0, np.nan]], {"x": (0,), "y": (1,)})
    with pytest.raises(InputError, match="feature, outputs need the same rows"):
        leakage.hsic(np.zeros((2, 20)), np.zeros(19))
    with pytest.raises(InputError, match="at least 10 rows"):
        leakage.hsic(np.zeros((2, 5)), np.zeros(5))
    with pytest.raises(InputError, match="constant"):
        leakage.recoverability(rng.standard_normal((30, 2)), np.ones(30))
