"""Do two scorers say the same? The six measures of Krishna et al. (2022), for one pair or all pairs at once.

Scores are `[..., features]`, local or global; every measure is one number per leading index (average it over rows).

- A feature's importance is its magnitude; rank 1 is the largest. Equal magnitudes in a top k: the earlier feature
  first, so that a result is the same on every machine. Over all features ties are kept as ties (average ranks; a pair
  tied for both scorers is ordered alike, a pair tied for one is not).
- A top k holds no feature of score zero: a scorer does not name what it gives nothing. Krishna et al. divide by k;
  here the divisor is the longer of the two lists, which is k wherever one of them has k features above zero.
- Two scorers that name nothing agree (1), and so do two constant rankings; a constant ranking and one that is not
  have rank correlation 0: Spearman is undefined there, and a tie of everything says nothing of an order. So
  every measure is 1 for a scorer with itself, and no measure is NaN.

Reference: Krishna et al. (2022), The Disagreement Problem in Explainable Machine Learning, arXiv:2202.01602.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from attribution_suite.errors import InputError

METRICS = (
    "feature_agreement",
    "rank_agreement",
    "sign_agreement",
    "signed_rank_agreement",
    "rank_correlation",
    "pairwise_rank_agreement",
)
READINGS = ("row", "global")  # of local scores, row by row and then averaged; of mean magnitudes
SIGN_METRICS = ("sign_agreement", "signed_rank_agreement")  # only where both scorers tell the sign

# Numbers a piece of rows may hold in `agreement_matrix` (4 bytes each): few enough to stay in the cache.
VALUES_AT_ONCE = 1_000_000


def feature_agreement(a: Tensor, b: Tensor, k: int) -> Tensor:
    """|top_k(a) ∩ top_k(b)| / k, `[...]` in [0, 1]."""
    (top_a, _), (top_b, _) = _top(a, k), _top(b, k)
    return _share_of_top(top_a & top_b, top_a, top_b)


def rank_agreement(a: Tensor, b: Tensor, k: int) -> Tensor:
    """|{s in both top k with the same rank}| / k, `[...]` in [0, 1]."""
    (top_a, rank_a), (top_b, rank_b) = _top(a, k), _top(b, k)
    return _share_of_top(top_a & top_b & (rank_a == rank_b), top_a, top_b)


def sign_agreement(a: Tensor, b: Tensor, k: int) -> Tensor:
    """|{s in both top k with the same sign}| / k, `[...]` in [0, 1]."""
    (top_a, _), (top_b, _) = _top(a, k), _top(b, k)
    return _share_of_top(top_a & top_b & (a.sign() == b.sign()), top_a, top_b)


def signed_rank_agreement(a: Tensor, b: Tensor, k: int) -> Tensor:
    """|{s in both top k with the same rank and sign}| / k, `[...]` in [0, 1]."""
    (top_a, rank_a), (top_b, rank_b) = _top(a, k), _top(b, k)
    same = (rank_a == rank_b) & (a.sign() == b.sign())
    return _share_of_top(top_a & top_b & same, top_a, top_b)


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's correlation of the rankings by magnitude, average ranks for ties, `[...]` in [−1, 1]."""
    unit_a, unit_b = (_unit_ranks(*values.abs().sort(-1, descending=True)) for values in (a, b))
    constant = ~unit_a.any(-1) & ~unit_b.any(-1)
    return ((unit_a * unit_b).sum(-1) + constant).clamp(-1.0, 1.0)


def pairwise_rank_agreement(a: Tensor, b: Tensor) -> Tensor:
    """Share of the pairs i < j that a and b order alike (larger, smaller or tied), `[...]` in [0, 1]."""
    order_a, order_b = _pair_order(a), _pair_order(b)
    if order_a.shape[-1] == 0:  # one feature: no pair to disagree on
        return torch.ones(torch.broadcast_shapes(a.shape, b.shape)[:-1], dtype=torch.float64, device=a.device)
    return (order_a == order_b).double().mean(-1)


def agreement_matrix(values: Tensor, k: int, signed: Tensor | None = None) -> Tensor:
    """All pairs of scorers at once: `[scorers, ..., features]` → float64 `[metric, scorers, scorers, ...]`.

    The metrics are in the order of `METRICS`. `signed` bool `[scorers]` (default: all): where one of a pair has no
    sign, the two measures of signs do not apply and are NaN. Raises InputError as `agreement` does.
    """
    _check(values, k)
    scorers, *leading, features = values.shape
    rows = values.reshape(scorers, -1, features).transpose(0, 1)
    step = max(1, VALUES_AT_ONCE // (scorers * max(features * (features - 1) // 2, scorers * k)))
    parts = [_all_pairs(rows[start:start + step], k) for start in range(0, len(rows), step)]
    matrix = torch.cat(parts, 1).permute(0, 2, 3, 1).reshape(len(METRICS), scorers, scorers, *leading)
    if signed is not None:
        unsigned = ~(signed[:, None] & signed)
        for metric in SIGN_METRICS:
            matrix[METRICS.index(metric), unsigned] = torch.nan
    return matrix


def _all_pairs(values: Tensor, k: int) -> Tensor:
    """`[rows, scorers, features]` → `[metric, rows, scorers, scorers]`, each a product of matrices or codes."""
    magnitude = values.abs()
    descending, places = magnitude.sort(stable=True, dim=-1, descending=True)
    order = places[..., :k]
    at_rank = values.gather(-1, order)
    named = at_rank != 0
    length = named.sum(-1)
    longer = torch.maximum(length[..., :, None], length[..., None, :])
    top = torch.zeros_like(values).scatter_(-1, order, named.to(values))
    positive, negative = top * (values > 0), top * (values < 0)
    matches = torch.stack([
        _gram(top),
        _same_at_rank(order, named),
        _gram(positive) + _gram(negative),
        _same_at_rank(2 * order + (at_rank > 0), named),  # one code for every feature and sign
    ]).double()
    shares = torch.where(longer == 0, 1.0, matches / longer.clamp(min=1))
    ranks = _unit_ranks(descending, places)
    constant = ~ranks.any(-1)
    correlation = _gram(ranks) + (constant[..., :, None] & constant[..., None, :])
    tied = ((descending[..., 1:] == descending[..., :-1]) & (descending[..., 1:] != 0)).flatten(1).any(1)
    pairs = _same_order(_each_pair(magnitude), values == 0, tied)
    return torch.cat([shares, correlation.clamp(-1.0, 1.0)[None], pairs[None]])


def _each_pair(magnitude: Tensor) -> Tensor:
    """Sign of |v_i| − |v_j| for every pair of features once, `[..., pairs]`: all i against j = i + 1, i + 2, … around.

    Around n features, offsets up to n / 2 meet every pair once; of an even n the last one meets each twice.
    """
    features = magnitude.shape[-1]
    around = torch.cat([magnitude, magnitude[..., :features // 2]], -1)
    above = magnitude.new_empty(*magnitude.shape[:-1], features // 2, features)  # of its own, or the axes are swapped
    torch.sub(magnitude[..., None, :], around.unfold(-1, features, 1)[..., 1:, :], out=above)
    return above.sign_().flatten(-2)[..., :features * (features - 1) // 2]


def _same_order(above: Tensor, zero: Tensor, tied: Tensor) -> Tensor:
    """Share of the pairs of features that two scorers order alike, `[rows, scorers, scorers]`.

    `above` ∈ {−1, 0, 1} `[rows, scorers, pairs]`; `zero` bool `[rows, scorers, features]`: which features are zero;
    `tied` bool `[rows]`: where some scorer ties others too. Elsewhere n zeros of both are all the n (n − 1) / 2 pairs
    tied in both.

    Of all P pairs, C ordered alike, D oppositely and T_a tied in a: Σ o_a o_b = C − D; C + D = P − T_a − T_b + T_ab
    are untied in both; alike are C + T_ab.
    """
    pairs = above.shape[-1]
    if not pairs:  # one feature: no pair to disagree on
        return torch.ones(*above.shape[:2], above.shape[1], dtype=torch.float64, device=above.device)
    both = _gram(zero.to(above)).double()
    both = both * (both - 1) / 2
    if tied.any():
        both[tied] = _gram((above[tied] == 0).to(above)).double()
    alone = both.diagonal(dim1=-2, dim2=-1)
    untied = pairs - alone[..., :, None] - alone[..., None, :] + both
    alike: Tensor = (_gram(above).double() + untied) / 2 + both
    return alike / pairs


def _gram(values: Tensor) -> Tensor:
    return values @ values.transpose(-1, -2)


def _same_at_rank(codes: Tensor, named: Tensor) -> Tensor:
    """At how many ranks two scorers name the same code: `[rows, scorers, ranks]` → `[rows, scorers, scorers]`."""
    left, right = (codes.masked_fill(~named, nothing) for nothing in (-1, -2))
    return (left[:, :, None] == right[:, None]).sum(-1)


def _top(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Which features are in the top k, and every feature's rank from 0; both `[..., features]`."""
    rank = values.abs().argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return (rank < k) & (values != 0), rank


def _share_of_top(matches: Tensor, top_a: Tensor, top_b: Tensor) -> Tensor:
    longer = torch.maximum(top_a.sum(-1), top_b.sum(-1))
    return torch.where(longer == 0, 1.0, matches.sum(-1).double() / longer.clamp(min=1))


def _unit_ranks(descending: Tensor, places: Tensor) -> Tensor:
    """Average ranks, centred and of length 1 (all zero if constant), float64 `[..., features]`.

    Of magnitudes in descending order, and the features' `places`: those of equals are the mean of their first and last.
    """
    features = descending.shape[-1]
    place = torch.arange(features, device=descending.device)
    changes = descending[..., 1:] != descending[..., :-1]
    first = pad(torch.where(changes, place[1:], 0), (1, 0)).cummax(-1).values
    last = pad(torch.where(changes, place[:-1], features - 1), (0, 1), value=features - 1)
    last = last.flip(-1).cummin(-1).values.flip(-1)
    return _unit(torch.empty_like(places).scatter_(-1, places, features - 1 - first - last))


def _unit(ranks: Tensor) -> Tensor:
    """Centred ranks, how many features are below less how many above, at length 1: exact zeros where all are equal."""
    centred = ranks.double()
    length: Tensor = centred.norm(dim=-1, keepdim=True)
    return centred / length.clamp(min=1.0)


def _pair_order(values: Tensor) -> Tensor:
    """Sign of |v_i| − |v_j| for every pair i < j, `[..., pairs]`."""
    by_feature = values.abs().movedim(-1, 0).contiguous()  # fetches whole rows: twice as fast as single columns
    first, second = torch.triu_indices(len(by_feature), len(by_feature), 1, device=values.device)
    return (by_feature[first] - by_feature[second]).sign_().movedim(0, -1)


def _check(values: Tensor, k: int) -> None:
    features = values.shape[-1]
    if not 1 <= k <= features:
        raise InputError(f"agreement: k must be between 1 and the number of features, {features}, got {k}")
    if not values.isfinite().all():
        raise InputError("agreement: scores must be finite; leave out the scorer or member with NaN or inf")
