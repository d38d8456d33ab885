"""Shifts of share against loops from docs/methods.md#measure-redistribution, scipy, and the known truth of a proxy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from attribution_suite.errors import InputError
from attribution_suite.measures import shift as measures
from attribution_suite.tables import TABLES
from attribution_suite.tables.audit import KEYS


def drawn(seed, members=4, features=6):
    """Shares, which features went (one, two or three of them), and R² of each on those."""
    rng = np.random.default_rng(seed)
    before, after, retrained = rng.dirichlet(np.ones(features), (3, members))
    removed = rng.random((members, features)).argsort(1) < rng.integers(1, 4, (members, 1))
    return before, after, retrained, removed, rng.random((members, features))


def lost(feature, features=3):
    """One member that lost one feature."""
    return np.arange(features)[None] == feature


def slow(before, after, retrained, removed, dependence):
    others = [k for k in range(len(before)) if not removed[k]]
    change = {k: after[k] - before[k] for k in others}
    gained = sum(max(change[k], 0) for k in others)
    best = max(others, key=lambda k: change[k])
    return {
        "share_before": sum(before[removed]),
        "share_after": sum(after[removed]),
        "target_shift": sum(after[removed]) / sum(before[removed]) - 1,
        "proxy_mass": sum(max(change[k], 0) * dependence[k] for k in others) / gained if gained else np.nan,
        "dependence_correlation": spearmanr([change[k] for k in others], [dependence[k] for k in others]).statistic,
        "total_variation": sum(abs(a - b) for a, b in zip(after, retrained, strict=True)) / 2,
        "largest_gainer": best,
        "largest_gain": change[best],
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_equal_to_the_definition_member_by_member(seed):
    before, after, retrained, removed, dependence = drawn(seed)
    found = measures.shift(before, after, retrained, removed, dependence)
    signed = {"signed_share_before", "signed_share_after"}
    assert set(found) == set(TABLES["shifts"]) - set(KEYS) - {"scorer", "applicable"} - signed
    for e in range(len(before)):
        for name, expected in slow(before[e], after[e], retrained[e], removed[e], dependence[e]).items():
            assert found[name][e] == pytest.approx(expected, abs=1e-12, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_ranges_and_the_order_of_features(seed):
    before, after, retrained, removed, dependence = drawn(seed)
    found = measures.shift(before, after, retrained, removed, dependence)
    assert ((found["total_variation"] >= 0) & (found["total_variation"] <= 1)).all()
    mass = found["proxy_mass"][~np.isnan(found["proxy_mass"])]
    assert ((mass >= 0) & (mass <= 1)).all()
    order = np.random.default_rng(seed).permutation(6)
    moved = measures.shift(*(values[:, order] for values in (before, after, retrained, removed, dependence)))
    moved["largest_gainer"] = order[moved["largest_gainer"]]
    for name in found:
        np.testing.assert_allclose(moved[name], found[name], atol=1e-12)


def test_redistribution_is_what_the_target_lost():
    before, after, _, removed, _ = drawn(0)
    change = measures.redistribution(before, after, removed)
    assert change.shape == (4, 6) and (change[removed] == 0).all() and (change[~removed] != 0).all()
    np.testing.assert_allclose(change.sum(1), ((before - after) * removed).sum(1))


def test_what_went_together_never_gains():
    """The second feature of a set gained most: of the others, which are asked, the fourth did."""
    before, after = np.array([[0.4, 0.1, 0.3, 0.2]]), np.array([[0.0, 0.5, 0.2, 0.3]])
    both, alone = np.array([[True, True, False, False]]), np.array([[True, False, False, False]])
    on = np.array([[1.0, 1.0, 0.0, 0.25]])
    found = measures.shift(before, after, after, both, on)
    assert found["largest_gainer"] == 3 and found["largest_gain"] == pytest.approx(0.1)
    assert found["share_before"] == 0.5 and found["share_after"] == 0.5 and found["target_shift"] == 0
    assert found["proxy_mass"] == pytest.approx(0.25) and found["dependence_correlation"] == pytest.approx(1)
    assert measures.shift(before, after, after, alone, on)["largest_gainer"] == 1


@pytest.mark.parametrize("r", [0.3, 0.9])
def test_known_truth_the_proxy_inherits_the_share(r):
    """Y = 2X₁ + X₃, corr(X₁, X₂) = r: without X₁ the coefficients (2, 0, 1) become (0, 2r, 1); population values."""
    before = np.array([[2.0, 0.0, 1.0]]) / 3
    after = np.array([[0.0, 2 * r, 1.0]]) / (1 + 2 * r)
    found = measures.shift(before, after, after, lost(0), np.array([[1, r**2, 0]]))
    proxy, third = 2 * r / (1 + 2 * r), 1 / (1 + 2 * r) - 1 / 3
    assert found["target_shift"] == pytest.approx(-1)
    assert found["total_variation"] == pytest.approx(0)
    assert found["proxy_mass"] == pytest.approx(r**2 * proxy / (proxy + third))
    expected = (1, proxy) if proxy > third else (2, third)
    assert (found["largest_gainer"][0], found["largest_gain"][0]) == (expected[0], pytest.approx(expected[1]))
    assert found["dependence_correlation"] == pytest.approx(1 if proxy > third else -1)


def test_gains_that_have_nothing_to_do_with_dependence_do_not_correlate():
    rng = np.random.default_rng(4)
    before, after = rng.dirichlet(np.ones(40), (2, 300))
    removed = np.arange(40) == rng.integers(40, size=(300, 1))
    found = measures.dependence_correlation(before, after, removed, rng.random((300, 40)))
    assert abs(found.mean()) < 0.04 and found.std() == pytest.approx(1 / np.sqrt(38), rel=0.15)


def test_what_has_no_value_is_nan_not_zero():
    assert np.isnan(measures.target_shift([0.0], [0.2])).all() and measures.target_shift([0.4], [0.1]) == [-0.75]
    before, after = np.array([[0.2, 0.4, 0.4]]), np.array([[0.4, 0.3, 0.3]])
    assert np.isnan(measures.proxy_mass(before, after, lost(0), np.ones((1, 3)))).all()  # nobody gained
    assert np.isnan(measures.dependence_correlation(before, after, lost(0), np.ones((1, 3)))).all()  # all alike
    gone = measures.shift(before, np.full((1, 3), np.nan), before, lost(0), np.eye(3)[:1])
    assert gone.pop("share_before") == 0.2 and gone.pop("largest_gainer") == -1
    assert all(np.isnan(value).all() for value in gone.values())


def test_bad_input_is_named():
    before, after, _, removed, dependence = drawn(0)
    for wrong in ([0, 1, 2, 5], removed.astype(int), removed[:3], np.zeros_like(removed)):
        with pytest.raises(InputError, match="each of 4 members which of 6 features it lost"):
            measures.redistribution(before, after, wrong)
    for wrong in (dependence * np.nan, dependence[0]):
        with pytest.raises(InputError, match="one finite R² a member and feature"):
            measures.proxy_mass(before, after, removed, wrong)
    with pytest.raises(InputError, match="every feature is removed"):
        measures.largest_gainer([[0.5, 0.5]], [[0.5, 0.5]], [[True, True]])


def test_signed_shares_by_hand():
    """−3 of |1| + |−3| + |4| is −3/8; nothing has no share; a feature and its proxy that cancel have none together."""
    shares = measures.signed_shares([[1, -3, 4], [0, 0, 0], [np.nan, np.nan, np.nan]])
    np.testing.assert_allclose(shares, [[1 / 8, -3 / 8, 4 / 8], [np.nan] * 3, [np.nan] * 3])
    assert measures.removed_share(shares[:1], lost(1)) == -3 / 8
    assert measures.removed_share([[1 / 8, -1 / 8, 6 / 8]], [[True, True, False]]) == 0
