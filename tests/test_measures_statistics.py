"""Intervals, tests and effect sizes against scipy, loops from the definitions, and their error rates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attribution_suite.errors import InputError
from attribution_suite.measures import statistics as measures


def samples(seed=0, shape=(40, 12)):
    return np.random.default_rng(seed).standard_normal((2, *shape))


def test_interval_equals_that_of_scipys_t_test():
    a = samples(shape=(12,))[0] + 3
    interval = measures.student_mean(a)
    expected = stats.ttest_1samp(a, 0).confidence_interval(0.95)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((a.mean(), expected.low, expected.high))


def test_interval_covers_as_often_as_the_docstring_says():
    normal = samples(1, (8000, 5))[0]
    for values, mean, expected in ((normal, 0.0, 0.95), (np.exp(normal), np.exp(0.5), 0.82)):
        interval = measures.student_mean(values)
        covered = (interval.low < mean) & (interval.high > mean)
        assert covered.mean() == pytest.approx(expected, abs=0.015)


def test_interval_over_splits_by_hand():
    """1, 2 and 6 have the variance 7; Student's quantile of two degrees of freedom has a closed form."""
    interval = measures.split_mean([1.0, 2.0, 6.0], 0.25)
    half = 0.95 * (2 / (1 - 0.95**2)) ** 0.5 * (7 * (1 / 3 + 0.25)) ** 0.5
    assert (interval.mean, interval.low, interval.high) == pytest.approx((3, 3 - half, 3 + half))
    for values, ratio in (([1.0, 2.0], 0.25), ([1.0, 2.0, 6.0], 0.0)):
        with pytest.raises(InputError, match="an interval over splits needs"):
            measures.split_mean(values, ratio)


@pytest.mark.parametrize("splits", [3, 10])
def test_interval_over_splits_covers_what_shares_its_training_rows(splits):
    """Results of splits correlate by n_test / (n_test + n_train), the assumption of Nadeau & Bengio."""
    ratio, draws = 0.25, np.random.default_rng(3).standard_normal((20_000, splits + 1))
    shared = ratio / (1 + ratio)
    results = np.sqrt(shared) * draws[:, :1] + np.sqrt(1 - shared) * draws[:, 1:]
    right, wrong = measures.split_mean(results, ratio), measures.student_mean(results)
    assert ((right.low < 0) & (right.high > 0)).mean() == pytest.approx(0.95, abs=0.006)
    assert ((wrong.low < 0) & (wrong.high > 0)).mean() < 0.93


def test_equivalence_over_splits_is_the_t_test_with_their_error():
    values, ratio, margin = np.array([0.1, 0.2, 0.6]), 0.25, 1.5
    t = (margin - values.mean()) / (values.std(ddof=1) * np.sqrt(1 / 3 + ratio))
    expected = stats.t.sf(t, 2)
    assert measures.equivalence(values, np.zeros(3), margin, ratio) == pytest.approx(expected)
    assert measures.equivalence(values, np.zeros(3), margin) < expected


def test_interval_of_one_row_does_not_depend_on_the_others():
    a, _ = samples()
    alone, among = measures.student_mean(a[3]), measures.student_mean(a)
    assert (alone.low, alone.high) == pytest.approx((among.low[3], among.high[3]))
    assert measures.student_mean(a, level=0.5).low[3] > among.low[3]


def test_pairing_removes_what_the_seeds_share():
    a, b = samples()
    common = 100 * np.random.default_rng(5).standard_normal(12)
    plain, shared = measures.paired_difference(a, b), measures.paired_difference(a + common, b + common)
    np.testing.assert_allclose(shared.high - shared.low, plain.high - plain.low)
    np.testing.assert_allclose(plain.mean, (a - b).mean(1))
    unpaired = measures.paired_difference(a + common, b + common[::-1])
    assert (unpaired.high - unpaired.low > 10 * (plain.high - plain.low)).all()


@pytest.mark.parametrize("seeds", [5, 8, 20])
def test_wilcoxon_equals_scipy_comparison_by_comparison(seeds):
    a, b = samples(2, (6, seeds))
    a[1, :2] = b[1, :2]  # pairs that are equal must not change the method for the other comparisons
    a[2] = b[2]
    expected = [1.0 if i == 2 else stats.wilcoxon(a[i], b[i]).pvalue for i in range(6)]
    np.testing.assert_allclose(measures.wilcoxon(a, b), expected)
    np.testing.assert_allclose(measures.wilcoxon_holm(a, b), slow_holm(expected))


def test_five_seeds_cannot_reach_five_percent():
    assert measures.wilcoxon(np.arange(1.0, 6.0), np.zeros(5)) == pytest.approx(0.0625)
    assert measures.wilcoxon(np.arange(1.0, 7.0), np.zeros(6)) == pytest.approx(0.03125)


def test_equal_means_are_rejected_at_the_nominal_rate():
    a, b = samples(3, (1000, 10))
    p = measures.wilcoxon(a, b)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert (measures.holm(p) < 0.05).sum() <= 1
    assert (measures.wilcoxon(a + 2, b) < 0.05).mean() > 0.9


def test_equivalence_equals_two_t_tests_of_scipy():
    a, b = samples(4)
    found = measures.equivalence(a, b, margin=0.6)
    above = stats.ttest_1samp(a - b, -0.6, axis=1, alternative="greater").pvalue
    below = stats.ttest_1samp(a - b, 0.6, axis=1, alternative="less").pvalue
    np.testing.assert_allclose(found, np.maximum(above, below))


def test_equivalence_is_wrong_at_most_as_often_as_it_says():
    a, b = samples(5, (4000, 10))
    assert (measures.equivalence(a + 1.0, b, 1.0) < 0.05).mean() == pytest.approx(0.05, abs=0.012)  # at the margin
    assert (measures.equivalence(a * 0.1, b * 0.1, 1.0) < 0.05).all()
    same = np.full(5, 0.3)
    assert measures.equivalence(same, same, 0.1) == 0 and measures.equivalence(same + 0.2, same, 0.1) == 1
    assert measures.equivalence(np.full(4, 0.25), np.zeros(4), 0.25) == 1  # on the margin is not within it
    assert measures.equivalence(np.full(4, 0.25), np.zeros(4), 0.26) == 0


def slow_holm(p):
    order, worst, adjusted = sorted(range(len(p)), key=lambda i: p[i]), 0.0, [0.0] * len(p)
    for step, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - step) * p[i]))
        adjusted[i] = worst
    return adjusted


def slow_benjamini_hochberg(p):
    order, best, adjusted = sorted(range(len(p)), key=lambda i: p[i]), 1.0, [0.0] * len(p)
    for step in range(len(p) - 1, -1, -1):
        best = min(best, len(p) / (step + 1) * p[order[step]])
        adjusted[order[step]] = best
    return adjusted


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-4, 0.01, 0.02, 0.02, 0.2, 0.5, 1.0]), min_size=1, max_size=8))
def test_adjusted_p_values_equal_the_step_procedures(p):
    np.testing.assert_allclose(measures.holm(p), slow_holm(p))
    np.testing.assert_allclose(measures.benjamini_hochberg(p), slow_benjamini_hochberg(p))
    assert (measures.holm(p) >= measures.benjamini_hochberg(p) - 1e-12).all()
    np.testing.assert_allclose(measures.holm([p, p[::-1]])[1], measures.holm(p)[::-1])  # along the last axis


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=7), st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_effect_sizes_equal_their_definitions(a, b):
    delta = np.mean([(x > y) - (x < y) for x in a for y in b])
    assert measures.cliffs_delta(a, b) == pytest.approx(delta, abs=1e-12)
    assert measures.cliffs_delta(b, a) == pytest.approx(-delta, abs=1e-12)
    spread = np.sqrt((np.var(a) * len(a) + np.var(b) * len(b)) / (len(a) + len(b) - 2))
    if spread > 0:
        expected = (np.mean(a) - np.mean(b)) / spread
    else:
        expected = 0.0 if a[0] == b[0] else np.copysign(np.inf, a[0] - b[0])
    assert measures.cohens_d(a, b) == pytest.approx(expected, abs=1e-12)


def test_effect_sizes_are_computed_along_the_last_axis():
    a, b = samples(6)
    shifted = a + 1
    np.testing.assert_allclose(measures.cliffs_delta(shifted, b)[7], measures.cliffs_delta(shifted[7], b[7]))
    np.testing.assert_allclose(measures.cohens_d(shifted, b)[7], measures.cohens_d(shifted[7], b[7]))
    assert measures.cohens_d(np.full(3, 0.1), np.full(4, 0.1)) == 0


def test_bad_input_is_named():
    with pytest.raises(InputError, match="1 of 3 values are NaN"):
        measures.student_mean([1.0, np.nan, 2.0])
    with pytest.raises(InputError, match="at least 2"):
        measures.student_mean([1.0])
    with pytest.raises(InputError, match="the same seeds on both sides"):
        measures.wilcoxon([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="margin must be above 0"):
        measures.equivalence([1.0, 2.0], [1.0, 2.0], 0.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        measures.holm([0.5, 1.5])
