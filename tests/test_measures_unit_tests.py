"""The tests of units, against scipy called unit by unit, with shuffled labels as the negative control."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attribution_suite.errors import InputError
from attribution_suite.measures.unit_tests import bimodality, unit_tests

ROWS = 60


def mixed_units(seed: int, labels: np.ndarray) -> np.ndarray:
    """[2 members, rows, 24 units]: normal, skewed, relu-like with ties, and one constant; some follow the labels."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((2, len(labels), 24))
    values[..., 8:16] = np.exp(values[..., 8:16])
    values[..., 16:] = np.maximum(values[..., 16:], 0)
    values[..., ::3] += 0.5 * labels[:, None]
    values[0, :, 5] = 1.25
    return values


def slow_classes(values: np.ndarray, labels: np.ndarray) -> tuple[str, float]:
    """docs/methods.md#neurons-significance for one unit: the test and its p."""
    classes = [values[labels == name] for name in np.unique(labels)]
    if len(set(values)) == 1:
        return "constant", 1.0
    normal = all(len(c) >= 3 and len(set(c)) > 1 and stats.shapiro(c).pvalue > 0.05 for c in classes)
    if len(classes) == 2:
        if normal:
            return "welch", stats.ttest_ind(*classes, equal_var=False).pvalue
        return "mann_whitney", stats.mannwhitneyu(*classes, method="asymptotic").pvalue
    return ("anova", stats.f_oneway(*classes).pvalue) if normal else ("kruskal", stats.kruskal(*classes).pvalue)


def delta(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sign(a[:, None] - b[None]).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_equals_scipy_unit_by_unit(classes: int) -> None:
    labels = np.arange(ROWS) % classes
    values = mixed_units(classes, labels)
    found = unit_tests(values, labels, "binary" if classes == 2 else "multiclass")
    for member in range(2):
        for unit in range(values.shape[2]):
            own = values[member, :, unit]
            test, p = slow_classes(own, labels)
            assert found.test[member, unit] == test
            assert found.p[member, unit] == pytest.approx(p, rel=1e-9)
            deltas = [delta(own[labels == name], own[labels != name]) for name in range(classes)]
            best = 1 if classes == 2 else int(np.argmax(np.abs(deltas)))
            assert found.effect[member, unit] == pytest.approx(deltas[best])
            assert found.effect_class[member, unit] == best
            if classes == 2 and test != "constant":
                zero, one = own[labels == 0], own[labels == 1]
                pooled = np.sqrt((zero.var(ddof=1) + one.var(ddof=1)) / 2)  # classes of one size
                assert found.cohens_d[member, unit] == pytest.approx((one.mean() - zero.mean()) / pooled)
        assert set(found.test[member]) >= ({"welch", "mann_whitney"} if classes == 2 else {"anova", "kruskal"})
    assert np.isnan(found.cohens_d).all() == (classes > 2)


def test_regression_is_spearman() -> None:
    target = np.random.default_rng(1).standard_normal(ROWS).round(1)  # ties
    values = mixed_units(3, target)
    found = unit_tests(values, target, "regression")
    for member in range(2):
        for unit in range(values.shape[2]):
            if found.test[member, unit] == "constant":
                assert (found.p[member, unit], found.effect[member, unit]) == (1.0, 0.0)
                continue
            expected = stats.spearmanr(values[member, :, unit], target)
            assert found.p[member, unit] == pytest.approx(expected.pvalue, rel=1e-9)
            assert found.effect[member, unit] == pytest.approx(expected.statistic)


def test_shuffled_labels_pass_at_five_per_cent_and_none_after_holm() -> None:
    generator = np.random.default_rng(0)
    values = np.maximum(generator.standard_normal((1, 200, 1000)), [-10.0, 0.0] * 500)  # normal and relu-like units
    labels = np.arange(200) % 2
    real = unit_tests(values + 0.8 * labels[:, None], labels, "binary")
    assert real.significant.mean() > 0.95 and (real.p_holm < 0.05).mean() > 0.5
    shuffled = [unit_tests(values, generator.permutation(labels), "binary") for _ in range(5)]
    assert 0.04 < np.mean([tests.significant.mean() for tests in shuffled]) < 0.06
    assert sum((tests.p_holm < 0.05).sum() for tests in shuffled) == 0
    assert sum((tests.p_bh < 0.05).sum() for tests in shuffled) == 0
    assert max(np.abs(tests.effect).max() for tests in shuffled) < 0.35


def test_corrections_are_within_a_member() -> None:
    labels = np.arange(ROWS) % 2
    values = mixed_units(5, labels)
    both, alone = unit_tests(values, labels, "binary"), unit_tests(values[1:], labels, "binary")
    np.testing.assert_array_equal(both.p_holm[1], alone.p_holm[0])
    np.testing.assert_allclose(both.p_bh[1], stats.false_discovery_control(alone.p[0]))


def test_significant_is_below_five_per_cent() -> None:
    made = unit_tests(np.random.default_rng(0).standard_normal((1, 20, 3)), np.arange(20) % 2, "binary")
    edge = np.array([[0.0499, 0.05, 0.0501]])
    table = replace(made, p=edge, p_holm=edge[:, ::-1], p_bh=edge).to_frame()
    assert table.significant.tolist() == [True, False, False]
    assert table.significant_holm.tolist() == [False, False, True]
    assert table.significant_bh.tolist() == [True, False, False]


def test_a_class_too_small_for_shapiro_is_tested_by_ranks_without_a_warning() -> None:
    labels = np.array([0] * 30 + [1] * 30 + [2] * 2 + [3])
    values = np.random.default_rng(2).standard_normal((1, len(labels), 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = unit_tests(values, labels, "multiclass")
    assert set(found.test.ravel()) == {"kruskal"} and np.isnan(found.normality).all()


def test_bimodality_of_known_distributions() -> None:
    normal = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    uniform = np.linspace(0, 1, 20_000)
    two = np.arange(20_000) % 2.0
    gamma = stats.gamma.ppf((np.arange(20_000) + 0.5) / 20_000, 4)  # skewness 1, excess kurtosis 1.5
    found = bimodality(np.stack([normal, uniform, two, gamma, np.ones(20_000)]))
    np.testing.assert_allclose(found[:4], [1 / 3, 5 / 9, 1, 2 / 4.5], atol=2e-3)
    assert np.isnan(found[4])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_effect_is_signed_and_without_a_scale(seed: int, scale: float, shift: float) -> None:
    labels = np.arange(40) % 2
    values = np.random.default_rng(seed).standard_normal((1, 40, 3))
    found, moved = unit_tests(values, labels, "binary"), unit_tests(values * scale + shift, labels, "binary")
    turned = unit_tests(values, 1 - labels, "binary")
    np.testing.assert_allclose(moved.effect, found.effect)
    np.testing.assert_allclose(turned.effect, -found.effect)
    np.testing.assert_allclose(turned.p, found.p)
    np.testing.assert_allclose(turned.cohens_d, -found.cohens_d)


def test_bad_input_is_refused() -> None:
    values = np.zeros((1, 5, 2))
    for labels, task, message in [(np.zeros(5), "binary", "two classes"), (np.ones(5), "regression", "more than one"),
                                  (np.arange(4) % 2, "binary", "as many labels"),
                                  (np.arange(5), "binary", "these have 5"),
                                  (np.array([0, 1, 0, 1, np.nan]), "binary", "finite")]:
        with pytest.raises(InputError, match=message):
            unit_tests(values, labels, task)
    with pytest.raises(InputError, match="finite"):
        unit_tests(values + np.inf, np.arange(5) % 2, "binary")
