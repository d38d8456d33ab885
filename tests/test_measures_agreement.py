"""The six agreements against sets and loops written from Krishna et al. (2022), scipy, and what holds for any pair."""

from itertools import combinations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.stats import kendalltau, spearmanr

from attribution_suite.errors import InputError
from attribution_suite.measures import agreement as functions
from attribution_suite.measures.agreement import METRICS, SIGN_METRICS, agreement_matrix, rank_correlation


def agreement(a, b, k):
    """Every measure of one pair, by the function of its name."""
    of_rankings = ("rank_correlation", "pairwise_rank_agreement")  # of all features, not the top k
    return {name: getattr(functions, name)(a, b, *(() if name in of_rankings else (k,))) for name in METRICS}


def slow(a, b, k):
    """The paper's definitions for two lists, with sets; a zero is in no top k."""
    def top(values):
        ranked = sorted(range(len(values)), key=lambda s: (-abs(values[s]), s))
        return [s for s in ranked[:k] if values[s] != 0]

    def sign(value):
        return (value > 0) - (value < 0)

    top_a, top_b = top(a), top(b)
    shared = set(top_a) & set(top_b)
    same_rank = {s for s in shared if top_a.index(s) == top_b.index(s)}
    same_sign = {s for s in shared if sign(a[s]) == sign(b[s])}
    longer = max(len(top_a), len(top_b))
    pairs = list(combinations(range(len(a)), 2))
    alike = sum(sign(abs(a[i]) - abs(a[j])) == sign(abs(b[i]) - abs(b[j])) for i, j in pairs)
    constant = [len({abs(v) for v in values}) == 1 for values in (a, b)]
    spearman = float(all(constant)) if any(constant) else spearmanr(np.abs(a), np.abs(b)).statistic
    sets = [shared, same_rank, same_sign, same_rank & same_sign]
    shares = [len(found) / longer if longer else 1.0 for found in sets]
    return dict(zip(METRICS, [*shares, spearman, alike / len(pairs) if pairs else 1.0], strict=True))


# Whole numbers: ties, zeros and opposite signs of one magnitude occur all the time.
scores = st.integers(1, 7).flatmap(lambda n: st.tuples(*[st.lists(st.integers(-4, 4), min_size=n, max_size=n)] * 2))


@settings(max_examples=150, deadline=None)
@given(scores, st.data())
def test_equal_to_the_definition_also_with_ties_and_zeros(pair, data):
    k = data.draw(st.integers(1, len(pair[0])))
    a, b = (torch.tensor(values, dtype=torch.float32) for values in pair)
    found, matrix = agreement(a, b, k), agreement_matrix(torch.stack([a, b]), k)
    for metric, expected in slow(*pair, k).items():
        assert found[metric].item() == pytest.approx(expected, abs=1e-12), metric
        assert matrix[METRICS.index(metric), 0, 1].item() == pytest.approx(expected, abs=1e-12), metric


@settings(max_examples=60, deadline=None)
@given(scores)
def test_symmetric_in_range_and_one_with_itself(pair):
    a, b = (torch.tensor(values, dtype=torch.float32) for values in pair)
    k = min(3, len(a))
    matrix = agreement_matrix(torch.stack([a, b]), k)
    torch.testing.assert_close(matrix, matrix.transpose(1, 2))
    torch.testing.assert_close(matrix.diagonal(dim1=1, dim2=2), torch.ones(6, 2, dtype=torch.float64))
    assert [value.item() for value in agreement(a, a, k).values()] == pytest.approx([1.0] * 6)
    assert (matrix <= 1).all() and (matrix[[0, 1, 2, 3, 5]] >= 0).all() and (matrix[4] >= -1).all()
    assert (matrix[3] <= matrix[1]).all() and (matrix[3] <= matrix[2]).all() and (matrix[2] <= matrix[0]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_the_features_does_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, 2, 8, generator=generator)
    order = torch.randperm(8, generator=generator)
    torch.testing.assert_close(agreement_matrix(values[..., order], 4), agreement_matrix(values, 4))
    torch.testing.assert_close(agreement_matrix(7 * values, 4), agreement_matrix(values, 4))


def test_all_pairs_equal_the_pairs_one_by_one(monkeypatch):
    monkeypatch.setattr("attribution_suite.measures.agreement.VALUES_AT_ONCE", 5 * 40 * 4)  # several chunks
    values = torch.randn(5, 3, 17, 9, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    matrix = agreement_matrix(values, 4)
    assert matrix.shape == (6, 5, 5, 3, 17)
    for i in range(5):
        for j in range(5):
            for metric, expected in agreement(values[i], values[j], 4).items():
                torch.testing.assert_close(matrix[METRICS.index(metric), i, j], expected)
    assert (matrix[:, 0, 1] != matrix[:, 0, 2]).any()  # the pairs differ: a mixed-up index would show


def test_scipy_says_the_same_of_whole_rankings():
    a, b = np.random.default_rng(1).standard_normal((2, 40))
    found = agreement(torch.tensor(a), torch.tensor(b), 5)
    assert found["rank_correlation"].item() == pytest.approx(spearmanr(abs(a), abs(b)).statistic, abs=1e-12)
    tau = kendalltau(abs(a), abs(b)).statistic  # (C − D) / pairs without ties, so C / pairs = (τ + 1) / 2
    assert found["pairwise_rank_agreement"].item() == pytest.approx((tau + 1) / 2, abs=1e-12)


def test_a_flipped_sign_shows_in_the_measures_of_signs_alone():
    a = torch.tensor([5.0, -4.0, 3.0, 2.0, 1.0])
    b = a * torch.tensor([1, -1, 1, 1, 1])
    found = {metric: value.item() for metric, value in agreement(a, b, 4).items()}
    assert found == pytest.approx(dict.fromkeys(METRICS, 1.0) | dict.fromkeys(SIGN_METRICS, 0.75))


def test_without_signs_the_two_measures_of_signs_do_not_apply():
    values = torch.rand(3, 6, generator=torch.Generator().manual_seed(2)) + 0.1
    matrix = agreement_matrix(values, 3, signed=torch.tensor([True, True, False]))
    missing = matrix.isnan()
    assert missing[2:4, :, 2].all() and missing[2:4, 2].all() and missing.sum() == 2 * 5


def test_constant_rankings():
    zero, equal, ranked = torch.zeros(4), torch.full((4,), 0.1), torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert [value.item() for value in agreement(zero, zero, 2).values()] == [1.0] * 6
    assert rank_correlation(zero, equal) == 1 and rank_correlation(equal, ranked) == 0
    assert [value.item() for value in agreement(zero, ranked, 2).values()] == [0.0] * 6


def test_independent_scores_agree_by_chance_alone():
    values = torch.randn(2, 4000, 10, generator=torch.Generator().manual_seed(3))
    found = {metric: value.mean().item() for metric, value in agreement(values[0], values[1], 3).items()}
    assert found["feature_agreement"] == pytest.approx(0.3, abs=0.015)  # k / features
    assert found["rank_agreement"] == pytest.approx(0.1, abs=0.01)
    assert found["sign_agreement"] == pytest.approx(0.15, abs=0.01)
    assert found["signed_rank_agreement"] == pytest.approx(0.05, abs=0.01)
    assert found["rank_correlation"] == pytest.approx(0, abs=0.02)
    assert found["pairwise_rank_agreement"] == pytest.approx(0.5, abs=0.01)


def test_bad_input_is_named():
    good = torch.ones(3)
    with pytest.raises(InputError, match="k must be between 1 and the number of features, 3, got 4"):
        agreement_matrix(torch.stack([good, good]), 4)
    with pytest.raises(InputError, match="finite"):
        agreement_matrix(torch.tensor([[1.0, torch.nan]]), 1)
