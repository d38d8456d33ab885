"""Distance correlation of networks' outputs with x_j: dependence of any form, also given the target.

Székely, Rizzo & Bakirov 2007; bias-corrected Székely & Rizzo 2014: U-centred distance matrices, whose products over
n(n − 3) are unbiased, so that independent variables have 0 on average (the plain one is above 0 for them too).
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.measures.information.limits import (
    FOUND,
    NOT_DISTINGUISHED,
    ONE_SIDED,
    Floats,
    Limits,
    permutation_p,
    states,
    upper_quantile,
)
from attribution_suite.measures.information.targets import finite, row_orders

PERMUTATIONS = 99
FEW_VALUES = 6  # of x_j, up to which sums over its values are faster than over permuted copies of its distances
VALUES_AT_ONCE = 4_000_000  # numbers of the permuted distance matrices held at a time (4 bytes each)
# Of weakly correlated normals the squared distance correlation is this part of ρ² (Székely et al. 2007, theorem 7).
OF_WEAK_NORMALS = 1 / (4 * (1 + np.pi / 3 - np.sqrt(3)))
EFFICIENCY = 1.15  # its error on the scale of ρ, in units of Pearson's
ROUNDING = 1e-6  # copies are products in single precision: one that is as large but for that has reached the value
ROWS_OF_A_BIN = 10  # rows with the nearest targets among which x_j is permuted


def distance_correlation(outputs: ArrayLike, feature: ArrayLike, corrected: bool = True) -> Floats:
    """The squared distance correlation of every network's outputs with a feature, `[members]`.

    `outputs` `[members, rows]` or `[members, rows, outputs]`, `feature` `[rows]` or `[rows, columns]`. With A, B the
    centred distance matrices, ΣAB / √(ΣAA ΣBB): `corrected` in [−1, 1], plain in [0, 1]; 0 for a constant.
    """
    values, x = _aligned(outputs, feature)
    other = _centred(x[None], corrected)[0]
    return np.concatenate([_ratio(_centred(piece, corrected), other) for piece in values.split(16)])


def dependence_test(outputs: ArrayLike, feature: ArrayLike, r2_margin: float, strata: NDArray[np.int64] | None = None,
                    permutations: int = PERMUTATIONS, seed: int = 0) -> Limits:
    """The bias-corrected squared distance correlation with a permutation p; shapes as in `distance_correlation`.

    `control`: the mean over permuted copies of x_j. The margin is what normals of R² `r2_margin` have, m = 0.79 R²; q
    being the copies' 95 % limit and e the standard error over rows (delta method on the rows' means of A∘B, A∘A, B∘B),
    low = min(v − q, [√v − 1.645 e / 2√v]₊²), high = v + max(1.645 e, q, m − m₅). m₅ is what 5 % of samples stay below
    at the margin, 0.79 (R − 1.645 k)², and the power the part that is above q, Φ((R − √(q / 0.79)) / k), with
    k = 1.15 / √n for the error of R from distances (Pearson's r has 1 / √n).

    `strata` `[rows]`: dependence given them. Outputs and x_j lose the mean of their stratum, which leaves no signal of
    what the strata hold fixed to drown in, and x_j is permuted within strata (the local permutation test of Kim,
    Neykov, Balakrishnan & Wasserman 2022). No margin is tested: 'found' or 'not distinguished'.
    """
    values, x = _aligned(outputs, feature)
    rows = len(x)
    if strata is None:
        orders = row_orders(rows, permutations, seed)
    else:
        orders = _orders_within(strata, permutations, seed)
        values, x = _without_means(values, strata), _without_means(x[None], strata)[0]
    value, error, copies = _with_copies(values, x, orders)
    limit, margin = upper_quantile(copies), OF_WEAK_NORMALS * r2_margin
    root = np.sqrt(np.clip(value, 1e-12, None))
    low = np.minimum(value - limit, np.clip(root - ONE_SIDED * error / (2 * root), 0, None) ** 2)
    high = value + np.maximum(ONE_SIDED * error, limit)
    if strata is None:
        spread = EFFICIENCY / np.sqrt(rows)
        least = OF_WEAK_NORMALS * max(r2_margin**0.5 - ONE_SIDED * spread, 0) ** 2
        high = np.minimum(np.maximum(high, value + margin - least), 1)
        power = stats.norm.cdf((r2_margin**0.5 - np.sqrt(np.clip(limit, 0, None) / OF_WEAK_NORMALS)) / spread)
        state = states(low, high, 0.0, margin, power, rows)
    else:
        power = np.full(len(value), np.nan)
        state = tuple(np.where(low > 0, FOUND, NOT_DISTINGUISHED).tolist())
    return Limits("dcor2", value, low, high, copies.mean(0), limit, permutation_p(value - ROUNDING, copies),
                  power, rows, state)


def target_strata(targets: ArrayLike, classes: bool) -> NDArray[np.int64]:
    """What separation holds fixed, `[rows]`: the class, or of a number bins of ten rows with the nearest targets.

    Bins this small hold the target all but fixed; with a few wide ones its own effect inside a bin would pass for
    dependence given it.
    """
    values = np.asarray(targets)
    if classes:
        strata: NDArray[np.int64] = np.unique(values, return_inverse=True)[1]
        return strata
    places = np.empty(len(values), np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(len(values))
    return np.asarray(places // ROWS_OF_A_BIN)


def _with_copies(values: Tensor, x: Tensor, orders: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Value, standard error `[members]` and copies `[permutations, members]`; x_j's matrix is centred once."""
    rows, members = len(x), len(values)
    other = _centred(x[None], True)[0].float()
    distinct, kind = x.unique(dim=0, return_inverse=True)
    value, error = np.empty(members), np.empty(members)
    copies = np.empty((len(orders), members))
    step = max(1, VALUES_AT_ONCE // rows**2)
    for start in range(0, members, step):
        matrices = _centred(values[start:start + step], True).float()
        piece = slice(start, start + len(matrices))
        value[piece], error[piece], scale = _value_and_error(matrices, other)
        sums = (_sums_of_kinds(matrices, distinct, kind[torch.from_numpy(orders)]) if len(distinct) <= FEW_VALUES else
                _sums(matrices, other, orders, step))
        copies[:, piece] = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    return value, error, copies


def _sums(matrices: Tensor, other: Tensor, orders: NDArray[np.int64], step: int) -> Floats:
    """ΣAB with B's rows and columns in each order, `[permutations, members]`.

    Permuted copies of x_j's matrix meet all networks' in one product, [copies, n²] @ [n², members], in pieces of
    bounded size.
    """
    sums, flat = np.empty((len(orders), len(matrices))), matrices.flatten(1).T
    permuted = other.new_empty(min(step, len(orders)), *other.shape)
    for first in range(0, len(orders), step):
        drawn = torch.from_numpy(orders[first:first + step])
        for order, copy in zip(drawn, permuted, strict=False):
            torch.index_select(other[order], 1, order, out=copy)
        sums[first:first + len(drawn)] = (permuted[:len(drawn)].flatten(1) @ flat).double().numpy()
    return sums


def _sums_of_kinds(matrices: Tensor, distinct: Tensor, kinds: Tensor) -> Floats:
    """The same where x_j takes few values, `distinct` `[k, columns]`; `kinds` `[permutations, rows]`: which of them.

    With d the distances of the values and p_a the rows that have value a, ΣAB = Σ_ab d_ab p_aᵀ A p_b: centring B adds
    nothing, for A's rows sum to zero and its diagonal is zero. For the same reason the last value can be left out,
    d_ab − d_ak − d_kb in the place of d_ab: [n, n] @ [n, permutations (k − 1)] a network, and nothing is permuted.
    """
    distances = torch.cdist(distinct, distinct, compute_mode="donot_use_mm_for_euclid_dist")
    between = (distances - distances[-1:] - distances[:, -1:])[:-1, :-1].to(matrices)
    member = torch.nn.functional.one_hot(kinds.T, len(distinct))[..., :-1].to(matrices)  # [rows, permutations, k − 1]
    met = (matrices.flatten(0, 1) @ member.flatten(1)).view(len(matrices), *member.shape)
    sums: Floats = torch.einsum("erpk,rpk->pe", met.double(), (member @ between).double()).numpy()
    return sums


def _value_and_error(matrices: Tensor, other: Tensor) -> tuple[Floats, Floats, Floats]:
    """R = s_AB / √(s_AA s_BB), its error, and √(ΣAA ΣBB).

    A row's influence on a product is 2(its mean − s); centring adds none.
    """
    a, b = matrices.double(), other.double()
    means = [(a * b).mean(2), (a * a).mean(2), (b * b).mean(1).expand(len(a), -1)]
    both, first, second = (mean.mean(1, keepdim=True) for mean in means)
    scale = (first * second).sqrt()
    zero, whole = scale == 0, scale[:, 0].numpy() * b.numel()
    scale, first, second = (torch.where(zero, 1, part) for part in (scale, first, second))
    ratio = both / scale
    influence = 2 * ((means[0] - both) / scale
                     - ratio / 2 * ((means[1] - first) / first + (means[2] - second) / second))
    error = influence.std(1) / len(b) ** 0.5
    return torch.where(zero, 0.0, ratio)[:, 0].numpy(), torch.where(zero[:, 0], 0.0, error).numpy(), whole


def _ratio(matrices: Tensor, other: Tensor) -> Floats:
    sums = (matrices * other).sum((1, 2))
    scale = (matrices.square().sum((1, 2)) * other.square().sum()).sqrt()
    return torch.where(scale > 0, sums / scale, 0.0).numpy()


def _centred(values: Tensor, corrected: bool) -> Tensor:
    """Centred distance matrices of `[members, rows, columns]`: `[members, rows, rows]`; zero for a constant.

    Corrected: a_ij − a_i./(n − 2) − a_.j/(n − 2) + a_../((n − 1)(n − 2)) off the diagonal, 0 on it; plain: the row and
    column means taken out, the whole mean added.
    """
    distances = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
    rows, varies = distances.shape[1], distances.amax((1, 2)) > 0
    sums = distances.sum(2)
    if corrected:
        means, whole = sums / (rows - 2), sums.sum(1) / ((rows - 1) * (rows - 2))
    else:
        means, whole = sums / rows, sums.sum(1) / rows**2
    # In place: temporaries of this size took longer than the distances.
    distances.sub_(means[:, :, None]).sub_(means[:, None]).add_(whole[:, None, None])
    if corrected:
        distances.diagonal(dim1=1, dim2=2).zero_()
    return distances.mul_(varies[:, None, None])


def u_centred(similarity: Tensor) -> Tensor:
    """Matrices of zero diagonal, `[…, rows, rows]`, without their rows' means, so that products over rows are unbiased.

    Of distances (Székely & Rizzo 2014) or of a kernel (Song et al. 2012). Zero on the diagonal.
    """
    rows, sums = similarity.shape[-1], similarity.sum(-1)
    mean = sums / (rows - 2)
    centred = similarity - mean[..., :, None]
    centred -= (mean - sums.sum(-1, keepdim=True) / ((rows - 1) * (rows - 2)))[..., None, :]
    centred.diagonal(dim1=-2, dim2=-1).zero_()
    return centred


def _orders_within(strata: NDArray[np.int64], permutations: int, seed: int) -> NDArray[np.int64]:
    """Orders that keep every row in its stratum, `[permutations, rows]`."""
    orders = np.empty((permutations, len(strata)), np.int64)
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for draw, order in enumerate(orders):
        generator = np.random.default_rng((seed, draw))
        for group in groups:
            order[group] = generator.permutation(group)
    return orders


def _without_means(values: Tensor, strata: NDArray[np.int64]) -> Tensor:
    """`[…, rows, columns]` without the mean of each stratum."""
    places = torch.from_numpy(np.unique(strata, return_inverse=True)[1])
    member = torch.nn.functional.one_hot(places).to(values)
    return values - member @ (member.T @ values / member.sum(0)[:, None])


def _aligned(outputs: ArrayLike, feature: ArrayLike) -> tuple[Tensor, Tensor]:
    x = finite(feature, "the feature")
    values = np.asarray(outputs, float)
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[1] != len(x):
        raise InputError(f"outputs are [members, rows] or [members, rows, outputs] with the {len(x)} rows of the "
                         f"feature, got {list(values.shape)}")
    if len(x) < 10:
        raise InputError(f"a test of dependence needs at least 10 rows, got {len(x)}")
    return torch.from_numpy(finite(values.reshape(-1, 1), "outputs").reshape(values.shape)), torch.from_numpy(x)
