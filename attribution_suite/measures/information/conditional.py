"""Dependence of outputs and x_j given columns that the user names: the generalised covariance measure.

Given *all* other inputs an output is deterministic, and such a test would read regression error only; so the condition
is chosen by whoever asks.
"""

import numpy as np
from scipy import stats
from torch import Tensor

from attribution_suite.measures.information.limits import FOUND, NOT_DISTINGUISHED, Floats, Limits
from attribution_suite.measures.information.probes import FEWEST_ROWS, boosted_predictions, unmeasured
from attribution_suite.measures.information.ridge import within_folds
from attribution_suite.measures.information.targets import Target

DRAWS = 999


def generalised_covariance(outputs: Tensor, target: Target, given: Floats, seed: int = 0) -> Limits:
    """GCM (Shah & Peters 2020) of each network's outputs with x_j given the columns `given` `[rows, columns]`.

    With cross-fitted residuals ε of `outputs` `[members, rows, outputs]` and ξ of x_j, both regressed on `given` by
    boosted trees, R = εξ for each pair of columns and T = √n mean(R) / sd(R), standard normal under conditional
    independence. `value` is the largest |T|, `control_high` its 95 % limit and p its tail, both by the paper's
    multiplier bootstrap (999 draws; of one pair by the normal). It sees covariances of residuals alone and misses what
    is symmetric, so its states are 'found' and 'not distinguished', never 'none found'.
    """
    members, rows = len(outputs), target.rows
    if not target.values.shape[1] or rows < FEWEST_ROWS:
        return unmeasured(target, members)
    xi = within_folds(target.values, seed) - boosted_predictions(given, target.values, seed)
    results = np.array([_largest(_residuals(table, given, seed), xi, seed) for table in outputs.numpy(force=True)])
    value, limit, p = results.T
    nothing = np.full(members, np.nan)
    state = tuple(np.where(value > limit, FOUND, NOT_DISTINGUISHED).tolist())
    return Limits("t", value, nothing, nothing, nothing, limit, p, nothing, rows, state)


def _residuals(table: Floats, given: Floats, seed: int) -> Floats:
    return within_folds(table.astype(float), seed) - boosted_predictions(given, table.astype(float), seed)


def _largest(epsilon: Floats, xi: Floats, seed: int) -> tuple[float, float, float]:
    """The largest |T|, its 95 % limit and p. A pair without spread (a constant output) tells nothing: T = 0."""
    products = (epsilon[:, :, None] * xi[:, None]).reshape(len(xi), -1)
    spread = products.std(0)
    unit = np.divide(products - products.mean(0), spread, out=np.zeros_like(products), where=spread > 1e-12)
    t = np.divide(np.sqrt(len(xi)) * products.mean(0), spread, out=np.zeros(len(spread)), where=spread > 1e-12)
    largest = float(np.abs(t).max())
    if len(t) == 1:
        return largest, float(stats.norm.ppf(0.975)), float(2 * stats.norm.sf(largest))
    draws = np.random.default_rng(seed).standard_normal((DRAWS, len(unit))) @ unit / np.sqrt(len(unit))
    highest = np.abs(draws).max(1)
    return largest, float(np.quantile(highest, 0.95)), float((1 + (highest >= largest).sum()) / (DRAWS + 1))
