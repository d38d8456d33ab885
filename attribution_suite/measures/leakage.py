"""What does the rest still know of x_j? Dependence of features, of outputs, and what a probe recovers.

Every test and probe draws at most `max_rows` rows by `seed`; the cost of a kernel or distance grows with their square.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial.distance import cdist

from attribution_suite.errors import InputError

Floats = NDArray[np.float64]

# Numbers a piece of members' kernels may hold (8 bytes each).
VALUES_AT_ONCE = 16_000_000
# Eigenvalues below this part of the largest are none: the columns of a one-hot group sum to 1, so one always is.
RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class IndependenceTest:
    """A statistic and its p-value, each `[members]`."""

    statistic: Floats
    p_value: Floats


@dataclass(frozen=True)
class Recoverability:
    """How well each probe finds x_j: `metric` 'r2' or 'auc', the cross-fitted score and its shuffled control's."""

    metric: str
    score: Mapping[str, float]
    control: Mapping[str, float]

    def gain(self, probe: str) -> float:
        """Score minus control: 0 is nothing recovered."""
        return self.score[probe] - self.control[probe]


def dependence(inputs: ArrayLike, groups: Mapping[str, tuple[int, ...]]) -> Floats:
    """R² of every feature k on every feature j, `[features, features]` in [0, 1], entry [k, j]; in-sample, linear.

    `inputs` `[rows, columns]` are training rows, `groups` each feature's columns. For a column c and the columns Z of
    group j, all standardised, R² = r_cZ R_ZZ⁺ r_Zc; a feature of many columns has the mean over its columns. A
    constant column depends on nothing and explains nothing: it is left out, and a feature of nothing else has 0.
    """
    rows = _finite(inputs, "inputs")
    varies = np.ptp(rows, 0) > 0
    member = np.zeros((rows.shape[1], len(groups)))
    for feature, columns in enumerate(groups.values()):
        member[list(columns), feature] = 1
    member *= varies[:, None]
    spread = np.where(varies, rows.std(0), 1)
    standard = np.where(varies, (rows - rows.mean(0)) / spread, 0)
    correlation = standard.T @ standard / len(rows)
    within_group = correlation * (member @ member.T)  # block diagonal, so its pseudo-inverse is every group's at once
    inverse = np.linalg.pinv(within_group, rcond=RANK_TOLERANCE, hermitian=True)
    explained = ((correlation @ inverse) * correlation) @ member
    counted = np.maximum(member.sum(0), 1)
    share: Floats = np.clip(member.T @ explained / counted[:, None], 0, 1)
    return share


def distance_correlation(outputs: ArrayLike, feature: ArrayLike, permutations: int = 199, max_rows: int = 1_000,
                         seed: int = 0) -> IndependenceTest:
    """Distance correlation (Székely, Rizzo & Bakirov 2007) of every member's output with a feature, in [0, 1].

    `outputs` `[members, rows]`, `feature` `[rows]` or `[rows, columns]`. With A, B the doubly centred distance
    matrices, √(ΣAB / √(ΣAA ΣBB)); 0 for a constant. p by permuting the feature's rows. The plain (V-statistic) one: it
    is above 0 for independent variables, so read it beside its p-value.
    """
    return _permutation_test(outputs, feature, lambda distances: distances, True, permutations, max_rows, seed)


def hsic(outputs: ArrayLike, feature: ArrayLike, permutations: int = 199, max_rows: int = 1_000,
         seed: int = 0) -> IndependenceTest:
    """Hilbert-Schmidt independence criterion (Gretton et al. 2005), tr(KHLH) / (n − 1)², in [0, 1).

    Shapes and p as in `distance_correlation`. Kernels exp(−d² / 2σ²), σ the median of the distances above 0.
    """
    return _permutation_test(outputs, feature, _gaussian, False, permutations, max_rows, seed)


def generalised_covariance(output: ArrayLike, feature: ArrayLike, rest: ArrayLike, probe: str = "boosted",
                           max_rows: int = 5_000, seed: int = 0) -> tuple[float, float]:
    """GCM test (Shah & Peters 2020) of output ⟂ x_j given the rest: (statistic, p-value).

    With cross-fitted residuals ε of `output` `[rows]` and ξ of `feature` `[rows]` or `[rows, columns]` regressed on
    `rest` `[rows, others]` by a probe ('ridge', 'boosted'), R = εξ and T = √n mean(R) / sd(R), which is N(0, 1). With
    several columns max |T| and the paper's multiplier bootstrap (999 draws).
    """
    y, x, z = _aligned(max_rows, seed, output=output, feature=feature, rest=rest)
    products = (y - _cross_fitted(probe, z, y, seed)) * (x - _cross_fitted(probe, z, x, seed))
    spread = products.std(0)
    if (spread == 0).any():
        raise InputError("generalised_covariance: the output or the feature is constant, there is nothing to test")
    t = np.sqrt(len(products)) * products.mean(0) / spread
    if len(t) == 1:
        return float(t[0]), float(2 * stats.norm.sf(np.abs(t[0])))
    unit = (products - products.mean(0)) / spread
    draws = np.random.default_rng(seed).standard_normal((999, len(unit))) @ unit / np.sqrt(len(unit))
    above = (np.abs(draws).max(1) >= np.abs(t).max()).sum()
    return float(np.abs(t).max()), float((1 + above) / 1000)


def recoverability(representation: ArrayLike, feature: ArrayLike, max_rows: int = 5_000,
                   seed: int = 0) -> Recoverability:
    """What a ridge and a boosted probe recover of x_j from a layer or the output, cross-fitted over five folds.

    `representation` `[rows, units]`, `feature` `[rows]` or `[rows, columns]`. R² = 1 − Σ(x − x̂)² / Σ(x − x̄)² on rows
    the probe was not fitted to, the mean over columns, below 0 where it is worse than the mean; for one column of two
    values the AUC of x̂. The control is the same with the feature's rows shuffled. Raises InputError for a constant.
    """
    inputs, values = _aligned(max_rows, seed, representation=representation, feature=feature)
    values = values[:, np.ptp(values, 0) > 0]
    if values.shape[1] == 0:
        raise InputError("recoverability: the feature is constant in these rows, there is nothing to recover")
    binary = values.shape[1] == 1 and len(np.unique(values)) == 2
    shuffled = np.random.default_rng(seed).permutation(values)
    measure = _auc if binary else _r2
    return Recoverability(
        "auc" if binary else "r2",
        *({probe: measure(wanted, _cross_fitted(probe, inputs, wanted, seed)) for probe in PROBES}
          for wanted in (values, shuffled)),
    )


def linear_r2(representation: ArrayLike, feature: ArrayLike, max_rows: int = 2_000, seed: int = 0) -> float:
    """R² of the ridge probe of `recoverability` alone: what of `feature` `[rows]` can be read off linearly.

    NaN for a constant feature, of which there is nothing to recover.
    """
    inputs, values = _aligned(max_rows, seed, representation=representation, feature=feature)
    return _r2(values, _cross_fitted("ridge", inputs, values, seed)) if np.ptp(values) > 0 else float("nan")


def _permutation_test(outputs: ArrayLike, feature: ArrayLike, kernel: Callable[[Floats], Floats], normalised: bool,
                      permutations: int, max_rows: int, seed: int) -> IndependenceTest:
    """Σ A_m B over centred kernels of member m and the feature, and how often a permuted B reaches it.

    Permuted sums of all members of a piece are one product, [members, n²] @ [n²].
    """
    x, y = _aligned(max_rows, seed, feature=feature, outputs=np.asarray(outputs, float).T)
    n, members = y.shape
    other = _centred(kernel(cdist(x, x)))
    orders = [np.random.default_rng((seed, draw)).permutation(n) for draw in range(permutations)]
    statistic, reached = np.empty(members), np.zeros(members)
    step = max(1, VALUES_AT_ONCE // n**2)
    for start in range(0, members, step):
        piece = slice(start, min(start + step, members))
        kernels = np.stack([_centred(kernel(np.abs(column[:, None] - column))).ravel() for column in y.T[piece]])
        observed = kernels @ other.ravel()
        level = observed - 1e-9 * np.abs(observed)  # sums in another order differ by rounding: still as large
        for order in orders:
            reached[piece] += kernels @ other[order][:, order].ravel() >= level
        if normalised:
            scale = np.sqrt((kernels**2).sum(1) * (other**2).sum())
            ratio = np.divide(observed, scale, out=np.zeros(len(kernels)), where=scale > 0)
            statistic[piece] = np.sqrt(np.clip(ratio, 0, 1))
        else:
            statistic[piece] = observed / (n - 1) ** 2
    return IndependenceTest(statistic, (1 + reached) / (1 + permutations))


def _gaussian(distances: Floats) -> Floats:
    above = distances[distances > 0]
    if len(above) == 0:
        return np.ones_like(distances)
    return np.exp(-(distances**2) / (2 * np.median(above) ** 2))


def _centred(matrix: Floats) -> Floats:
    """HKH with H = I − 11ᵀ/n, for a symmetric K; exactly zero for a constant one."""
    means = matrix.mean(0)
    return matrix - means - means[:, None] + means.mean() if np.ptp(matrix) > 0 else np.zeros_like(matrix)


def _ridge(seed: int) -> Any:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))


def _boosted(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    return MultiOutputRegressor(HistGradientBoostingRegressor(early_stopping=False, random_state=seed))


PROBES: Mapping[str, Callable[[int], Any]] = {"ridge": _ridge, "boosted": _boosted}


def _cross_fitted(probe: str, inputs: Floats, targets: Floats, seed: int) -> Floats:
    """Every row's prediction by a probe fitted without the row's fold, one of five, `[rows, columns]`."""
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(5, shuffle=True, random_state=seed)
    predicted: Floats = cross_val_predict(PROBES[probe](seed), inputs, targets, cv=folds)
    return predicted.reshape(targets.shape)


def _r2(wanted: Floats, predicted: Floats) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(wanted, predicted))


def _auc(wanted: Floats, predicted: Floats) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(wanted[:, 0] > wanted.min(), predicted[:, 0]))


def _aligned(max_rows: int, seed: int, **arrays: ArrayLike) -> list[Floats]:
    """The arrays as finite `[rows, columns]` of the same, at most `max_rows`, rows."""
    tables = [_finite(array, name) for name, array in arrays.items()]
    tables = [table[:, None] if table.ndim == 1 else table for table in tables]
    rows = len(tables[0])
    if any(len(table) != rows for table in tables):
        raise InputError(f"{', '.join(arrays)} need the same rows, got {[len(table) for table in tables]}")
    if rows < 10:
        raise InputError(f"a test of dependence needs at least 10 rows, got {rows}")
    if rows <= max_rows:
        return tables
    drawn = np.random.default_rng(seed).choice(rows, max_rows, replace=False)
    return [table[drawn] for table in tables]


def _finite(values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values, float)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite: fill or drop missing values first")
    return array
