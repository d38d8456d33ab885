"""What is linear: R² of the features on each other, and of a hidden unit from what the next layer is given."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from attribution_suite.errors import InputError
from attribution_suite.measures.information.limits import Floats
from attribution_suite.measures.information.targets import finite

# Eigenvalues below this part of the largest are none: the columns of a one-hot group sum to 1, so one always is.
RANK_TOLERANCE = 1e-9


def dependence(inputs: ArrayLike, groups: Mapping[str, tuple[int, ...]],
               on: Sequence[tuple[int, ...]] | None = None) -> Floats:
    """R² of every feature k on every set of columns j, `[features, sets]` in [0, 1]; in-sample, linear.

    `inputs` `[rows, columns]` are training rows, `groups` each feature's columns, `on` the sets: every feature's
    columns, if not given, or those of several features together. For a column c and the columns Z of set j, all
    standardised, R² = r_cZ R_ZZ⁺ r_Zc, of the regression of c on all of Z; a feature of many columns has the mean over
    its columns. A constant column depends on nothing and explains nothing: it is left out, and a feature of nothing
    else has 0.
    """
    correlation, varies = correlation_matrix(inputs)
    member = np.zeros((len(correlation), len(groups)))
    for feature, columns in enumerate(groups.values()):
        member[list(columns), feature] = 1
    member *= varies[:, None]
    explained = np.empty((len(correlation), len(groups) if on is None else len(on)))
    for place, columns in enumerate(groups.values() if on is None else on):
        on_set, within = correlation[:, columns], correlation[np.ix_(columns, columns)]
        inverse = np.linalg.pinv(within, rcond=RANK_TOLERANCE, hermitian=True)
        explained[:, place] = ((on_set @ inverse) * on_set).sum(1)
    counted = np.maximum(member.sum(0), 1)
    share: Floats = np.clip(member.T @ explained / counted[:, None], 0, 1)
    return share


def correlation_matrix(inputs: ArrayLike) -> tuple[Floats, np.ndarray]:
    """Correlations `[columns, columns]` of the rows' columns, 0 with a constant one, and which columns vary."""
    rows = finite(inputs, "inputs")
    varies = np.ptp(rows, 0) > 0
    spread = np.where(varies, rows.std(0), 1)
    standard = np.where(varies, (rows - rows.mean(0)) / spread, 0)
    return standard.T @ standard / len(rows), varies


def linear_r2(representation: ArrayLike, feature: ArrayLike, max_rows: int = 2_000, seed: int = 0) -> float:
    """R² of a ridge probe cross-fitted over five folds: what of `feature` a linear readout gets, 1 at most.

    `representation` `[rows, width]`, `feature` `[rows]` or `[rows, columns]`: the mean over columns, constant ones left
    out. R² = 1 − Σ(x − x̂)² / Σ(x − x̄)² on rows that the probe was not fitted to, below 0
    where it is worse than the mean; scikit-learn's `RidgeCV` on standardised columns. At most `max_rows` rows, drawn by
    `seed`. NaN where all are constant: there is nothing to recover.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs, values = finite(representation, "representation"), finite(feature, "feature")
    rows = len(values)
    if len(inputs) != rows:
        raise InputError(f"representation and feature need the same rows, got {len(inputs)} and {rows}")
    if rows < 10:
        raise InputError(f"a probe needs at least 10 rows, got {rows}")
    if rows > max_rows:
        drawn = np.random.default_rng(seed).choice(rows, max_rows, replace=False)
        inputs, values = inputs[drawn], values[drawn]
    values = values.reshape(len(values), -1)
    values = values[:, np.ptp(values, 0) > 0]
    if not values.shape[1]:
        return float("nan")
    probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
    predicted = cross_val_predict(probe, inputs, values, cv=KFold(5, shuffle=True, random_state=seed))
    return float(r2_score(values, predicted.reshape(values.shape)))
