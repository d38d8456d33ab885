"""Proxies that were planted, in the order of what they add; rates per group against fairlearn."""

import numpy as np
import pytest
import torch
from fairlearn.metrics import demographic_parity_ratio, equalized_odds_difference
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from attribution_suite.errors import InputError
from attribution_suite.measures.information.proxies import forward_selection, parts
from attribution_suite.measures.information.rates import group_rates
from attribution_suite.measures.information.targets import Target


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def planted(rng, rows=2000):
    """x = 0.8 a + 0.5 b + a category's shift; `copy` repeats a with noise, 50 columns are noise."""
    a, b = rng.standard_normal((2, rows))
    kind = np.eye(3)[rng.integers(0, 3, rows)]
    x = 0.8 * a + 0.5 * b + 0.8 * kind[:, 1] + 0.3 * rng.standard_normal(rows)
    copy = a + 0.7 * rng.standard_normal(rows)
    table = np.column_stack([x, copy, b, kind, a, rng.standard_normal((rows, 50)), np.ones(rows)])
    groups = {"x": (0,), "copy": (1,), "b": (2,), "kind": (3, 4, 5), "a": (6,),
              **{f"noise {k}": (7 + k,) for k in range(50)}, "constant": (57,)}
    return table, groups


def test_planted_proxies_are_taken_in_the_order_of_what_they_add(rng):
    table, groups = planted(rng)
    proxies = forward_selection(table, groups, groups["x"])
    assert proxies.names == ("a", "b", "kind")  # not `copy`, which knows nothing that `a` does not
    taken, before = [], 0.0
    for name, added in zip(proxies.names, proxies.added, strict=True):  # the slow way, by scikit-learn
        taken += groups[name]
        rest = [other for other in groups if other not in ("x", *proxies.names[:proxies.names.index(name)])]
        best = max(rest, key=lambda other: _r2(table, taken[:-len(groups[name])] + list(groups[other])))
        assert best == name
        after = _r2(table, taken)
        assert added == pytest.approx(after - before, abs=2e-3)
        before = after
    without = forward_selection(table, {n: c for n, c in groups.items() if n != "a"}, groups["x"])
    assert without.names[0] == "copy"


def _r2(table, columns):
    inputs = table[:, columns]
    return r2_score(table[:, 0], LinearRegression().fit(inputs, table[:, 0]).predict(inputs))


def test_noise_is_no_proxy_and_several_are_removed_together(rng):
    table, groups = planted(rng)
    few = {name: columns for name, columns in groups.items() if name.startswith("noise")}
    false = sum(bool(forward_selection(table[:80], few, few[f"noise {k}"], 0.02).names) for k in range(50))
    assert false <= 10  # the best of 49 columns of noise reaches R² 0.1 in 80 rows nearly always
    assert forward_selection(table, groups, groups["constant"]).names == ()
    both = forward_selection(table, groups, (0, 6))
    assert both.names[0] == "copy" and "a" not in both.names and "x" not in both.names
    assert forward_selection(table, groups, groups["kind"]).names[0] == "x"  # a category's columns together


def test_the_part_of_a_proxy_is_what_the_output_loses_without_it(rng):
    a, b, x_noise = rng.standard_normal((3, 3000))
    inputs = torch.from_numpy(np.column_stack([a, b, rng.standard_normal(3000)]))
    x = (2 * a + b + x_noise) / np.sqrt(6)

    def outputs(values):
        return torch.stack([values[:, 0], values[:, 0] + values[:, 1], values[:, 2]])[..., None]

    lost = parts(outputs, inputs, [(0,), (1,), (2,)], Target.of(x))
    # R² of a: 4/6; of a + b: (2 + 1)²/(6·2) = 3/4, with b permuted (2)²/(6·2) = 1/3, with a permuted 1/12.
    np.testing.assert_allclose(lost, [[4 / 6, 0, 0], [8 / 12, 5 / 12, 0], [0, 0, 0]], atol=0.035)


def test_rates_equal_fairlearns(rng):
    actual, groups = rng.integers(0, 2, 300), rng.choice(["f", "m", "x"], 300)
    predicted = np.stack([actual, rng.integers(0, 2, 300), (groups == "m") | (actual == 1)]).astype(int)
    rates = group_rates(predicted, actual, groups, 1)
    assert rates.groups == ("f", "m", "x")
    for member, given in enumerate(predicted):
        np.testing.assert_allclose(rates.rate[member], [given[groups == g].mean() for g in rates.groups])
        assert rates.impact_ratio[member] == pytest.approx(
            demographic_parity_ratio(actual, given, sensitive_features=groups))
        assert rates.equalised_odds_difference[member] == pytest.approx(
            equalized_odds_difference(actual, given, sensitive_features=groups))
    assert rates.equalised_odds_difference[0] == 0 < rates.equalised_odds_difference[2]
    other = group_rates(predicted, actual, groups, 0)
    np.testing.assert_allclose(other.rate, 1 - rates.rate)
    assert group_rates(np.zeros((1, 300)), actual, groups, 1).impact_ratio == 1
    assert np.isnan(group_rates(predicted, np.ones(300), groups, 1).equalised_odds_difference).all()
    with pytest.raises(InputError, match="at least two groups"):
        group_rates(predicted, actual, np.ones(300), 1)


def test_limits_of_a_rate_are_scipys(rng):
    groups, given = np.repeat(["a", "b", "c"], [200, 40, 5]), rng.random((2, 245)) < 0.3
    given[0, :200], given[1, 240:] = False, True
    rates = group_rates(given, np.ones(245), groups, 1)
    for member, values in enumerate(given):
        for place, group in enumerate(rates.groups):
            of_group = values[groups == group]
            binomial = stats.binomtest(int(of_group.sum()), len(of_group))
            wanted = binomial.proportion_ci(0.9, "wilson")  # 5 % on either side
            np.testing.assert_allclose([limit[member, place] for limit in rates.rate_limits], wanted, atol=1e-12)


def test_limits_of_ratio_and_difference_are_those_of_rows_drawn_again(rng):
    """Against a loop over draws of the rows; and they close in as rows do."""
    actual, groups = rng.integers(0, 2, 400), rng.choice(["f", "m"], 400, p=[0.3, 0.7])
    predicted = (rng.random(400) < np.where(groups == "m", 0.7, 0.4)).astype(int)[None]
    rates = group_rates(predicted, actual, groups, 1)
    draws = []
    for _ in range(1000):
        rows = rng.integers(400, size=400)
        given, truth, group = predicted[0, rows], actual[rows], groups[rows]
        rate = [given[group == name].mean() for name in ("f", "m")]
        gaps = [abs(given[(group == "f") & (truth == label)].mean() - given[(group == "m") & (truth == label)].mean())
                for label in (0, 1)]
        draws.append([min(rate) / max(rate), max(gaps)])
    for limits, column in ((rates.ratio_limits, 0), (rates.odds_limits, 1)):
        np.testing.assert_allclose(np.ravel(limits), np.quantile(draws, (0.05, 0.95), axis=0)[:, column], atol=0.03)
    many = group_rates(np.tile(predicted, 16), np.tile(actual, 16), np.tile(groups, 16), 1)
    few_width, many_width = (float(one.ratio_limits[1][0] - one.ratio_limits[0][0]) for one in (rates, many))
    assert many_width == pytest.approx(few_width / 4, rel=0.2)
