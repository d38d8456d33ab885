"""Distance correlation against the dcor package and closed forms; permutation p-values; dependence given something."""

import numpy as np
import pytest
import torch
from scipy import stats

from attribution_suite.errors import InputError
from attribution_suite.measures.information import dependence
from attribution_suite.measures.information.conditional import generalised_covariance
from attribution_suite.measures.information.targets import Target


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def of_normals(rho):
    """Squared distance correlation of two normals (Székely, Rizzo & Bakirov 2007, theorem 7)."""
    def g(r):
        return r * np.arcsin(r) + np.sqrt(1 - r**2) - r * np.arcsin(r / 2) - np.sqrt(4 - r**2) + 1
    return g(rho) / g(1.0)


@pytest.mark.no_cover
def test_it_equals_the_dcor_package(rng):
    import dcor  # compiles for seconds, which only the process that runs this need spend

    x = rng.standard_normal((80, 2))
    outputs = rng.standard_normal((3, 80, 2)) + x[:, :1] ** 2
    corrected, plain = (dependence.distance_correlation(outputs, x, corrected=c) for c in (True, False))
    for member, output in enumerate(outputs):
        assert corrected[member] == pytest.approx(dcor.u_distance_correlation_sqr(output, x))
        assert plain[member] == pytest.approx(dcor.distance_correlation_sqr(output, x))
    tested = dependence.dependence_test(outputs, x, 0.02)
    np.testing.assert_allclose(tested.value, corrected, rtol=1e-4)
    assert dependence.distance_correlation(np.full((1, 80), 0.1), x) == 0  # a constant depends on nothing


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_normals_have_their_closed_form(rng, rho):
    x = rng.standard_normal(1000)
    outputs = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal((20, 1000))
    assert dependence.distance_correlation(outputs, x).mean() == pytest.approx(of_normals(rho), abs=0.015)
    if rho == 0:  # negative control: the plain one is biased upwards
        assert dependence.distance_correlation(outputs, x, corrected=False).min() > 0.001
    assert of_normals(0.01) / 0.01**2 == pytest.approx(dependence.OF_WEAK_NORMALS, rel=1e-3)


@pytest.mark.no_cover
def test_error_rates_and_limits(rng, monkeypatch):
    x = rng.standard_normal(500)
    noise = rng.standard_normal((200, 500))
    nothing = dependence.dependence_test(noise, x, 0.02)
    assert 2 <= (nothing.p <= 0.05).sum() <= 20
    assert stats.kstest(nothing.p, "uniform").pvalue > 1e-3
    assert abs(nothing.control.mean()) < 5e-4
    assert np.mean([state == "none found" for state in nothing.state]) > 0.6
    with monkeypatch.context() as patch:
        patch.setattr(dependence, "VALUES_AT_ONCE", 7 * 500**2)  # several pieces of networks and copies
        bent = dependence.dependence_test(0.5 * noise[:30] + x**2, x, 0.02)  # uncorrelated, not independent
    assert set(bent.state) == {"found"}
    rho = np.sqrt(0.02)
    none, seen, power, above, below = [], [], [], [], []
    for _ in range(7):  # given one x_j, networks share what is odd about its rows
        x = rng.standard_normal(500)
        at_margin = rho * x + np.sqrt(1 - rho**2) * rng.standard_normal((40, 500))
        strong = 0.6 * x + 0.8 * rng.standard_normal((20, 500))
        tested = dependence.dependence_test(np.concatenate([at_margin, strong]), x, 0.02)
        none += [high < of_normals(rho) for high in tested.high[:40]]
        seen += [state == "found" for state in tested.state[:40]]
        power += tested.power[:40].tolist()
        above += (tested.high[40:] >= of_normals(0.6)).tolist()
        below += (tested.low[40:] <= of_normals(0.6)).tolist()
    assert np.mean(none) < 0.075 and np.mean(seen) == pytest.approx(np.mean(power), abs=0.08)
    assert np.mean(above) > 0.9 and np.mean(below) > 0.9


def test_the_p_value_counts_the_permutations(rng):
    exact = dependence.dependence_test([np.arange(12.0)], np.arange(12.0), 0.02, permutations=99)
    assert exact.value[0] == pytest.approx(1) and exact.p[0] == 0.01 and exact.state == ("found",)
    two = np.repeat([0.0, 1.0], 6)  # 2 of C(12, 6) = 924 orders reach the largest statistic
    p = dependence.dependence_test([two], two, 0.02, permutations=9999).p[0]
    assert p == pytest.approx(2 / 924, abs=0.0015)


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.no_cover
def test_separation_holds_the_target_fixed(rng, classes):
    """x ← y → f: dependent, but not given y; a direct effect stays."""
    found = {"marginal": 0, "through": 0, "direct": 0}
    for seed in range(40):
        y = rng.standard_normal(300) if not classes else rng.integers(0, 3, 300).astype(float)
        x, f = y + rng.standard_normal(300), y + rng.standard_normal((1, 300))
        strata = dependence.target_strata(y, classes)
        given = dependence.dependence_test(np.concatenate([f, f + 0.4 * x]), x, 0.02, strata, seed=seed).state
        states = (*dependence.dependence_test(f, x, 0.02, seed=seed).state, *given)
        for name, state in zip(found, states, strict=True):
            found[name] += state == "found"
    assert found["marginal"] == 40 and found["through"] <= 6 and found["direct"] >= 36


@pytest.mark.no_cover
def test_dependence_given_named_columns(rng):
    found = {"through": 0, "direct": 0, "symmetric": 0}
    for seed in range(12):
        z = rng.standard_normal((400, 1))
        x = np.abs(z[:, 0]) + rng.standard_normal(400)
        f = np.abs(z) + rng.standard_normal((400, 1))
        residual = x - np.abs(z[:, 0])
        for name, output in (("through", f), ("direct", f + 0.4 * residual[:, None]),
                             ("symmetric", f + residual[:, None] ** 2)):
            test = generalised_covariance(torch.from_numpy(output[None]), Target.of(x), z, seed)
            assert test.p[0] == pytest.approx(2 * stats.norm.sf(test.value[0]))
            found[name] += test.state == ("found",)
    assert found["through"] <= 3 and found["direct"] >= 11
    assert found["symmetric"] <= 6  # what GCM cannot see, and distance correlation can
    assert dependence.dependence_test((f + residual[:, None] ** 2).T, x, 0.02).state == ("found",)


def test_several_columns_have_a_joint_limit(rng):
    z, x = rng.standard_normal((300, 1)), rng.standard_normal((300, 3))
    outputs = torch.from_numpy(rng.standard_normal((30, 300, 2)))
    found = [state == "found" for state in generalised_covariance(outputs, Target.of(x), z).state]
    assert np.mean(found) <= 0.2
    test = generalised_covariance(outputs[:2] + torch.from_numpy(x[:, :1]), Target.of(x), z)
    assert test.state == ("found",) * 2 and test.control_high.min() > 1.96


def test_bad_input_is_named():
    with pytest.raises(InputError, match=r"outputs are \[members, rows\]"):
        dependence.dependence_test(np.zeros((2, 20)), np.zeros(19), 0.02)
    with pytest.raises(InputError, match="at least 10 rows"):
        dependence.dependence_test(np.zeros((2, 5)), np.zeros(5), 0.02)
    with pytest.raises(InputError, match="outputs must be finite"):
        dependence.dependence_test(np.full((2, 20), np.nan), np.zeros(20), 0.02)
