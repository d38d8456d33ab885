"""What probes recover of x_j from a representation: an output, a hidden layer, or the inputs without x_j (the ceiling).

Two questions with one answer each. Is anything found? The recovered is compared with what the same probe recovers of
shuffled copies of x_j. Is there less than the margin? The upper limit allows for what a probe fitted to few rows misses
of it (`ridge.planted`), so that a poor probe is not taken for an absence; where it would miss it too often, the answer
is 'not measured'.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.measures.information.limits import (
    ALPHA,
    AUC_MARGIN,
    NOT_MEASURED,
    ONE_SIDED,
    R2_MARGIN,
    Floats,
    Limits,
    auc,
    correlation,
    equivalent_r2,
    permutation_p,
    quick_auc,
    states,
    upper_quantile,
)
from attribution_suite.measures.information.ridge import FOLDS, Ridge, fold_of_rows, planted, within_folds
from attribution_suite.measures.information.targets import Target, row_orders

PERMUTATIONS = 99
VALUES_AT_ONCE = 4_000_000  # predictions held at a time (8 bytes each)
FEWEST_ROWS = 20  # four a fold; fewer say nothing at all


def ridge_probe(representation: Tensor, target: Target, margin: float | None = None, permutations: int = PERMUTATIONS,
                seed: int = 0) -> Limits:
    """What a cross-fitted ridge reads of x_j in each network, `representation` `[members, rows, width]`.

    A number: r, the correlation of x_j with the predictions, the largest over its columns; told as R² = max(0, r)². (A
    readout's scale is no information: this is never below 1 − Σ(x − x̂)² / Σ(x − x̄)².) A category: AUC, the mean over
    classes one against the rest. `margin`: R² .02, AUC .07 above 0.5. Permuted copies give the null.

    With the null's 95 % limit q, the standard error e over rows, chance c (0 or 0.5), the margin m (as r or AUC −
    0.5) and `planted` draws d of what this probe makes of m (of an AUC in proportion, at the R² of
    `equivalent_r2`): low = s − max(1.645 e, q − c), high = s + max(1.645 e, m − the 5 % quantile of d), 1 at most,
    where m and d are those of s itself if it is larger, and the power to see m is the part of d above q − c. Raises
    InputError for values that are not finite, or other rows than the target's.
    """
    _check(representation, target)
    if not target.values.shape[1] or target.rows < FEWEST_ROWS:
        return unmeasured(target, len(representation))
    value, error, copies = _recovered(representation, target, permutations, seed)
    chance, edge, r2 = margins(target, margin)
    limit = upper_quantile(copies)
    at_margin = planted(representation, r2) * (edge / r2**0.5)
    level = np.maximum(value - chance, edge)
    r2_there = equivalent_r2(np.minimum(level, 0.499), _parts(target)) if target.category else level**2
    there = np.minimum(r2_there, 0.999)
    missed = level - np.quantile(planted(representation, there) * (level / np.sqrt(there)), ALPHA, axis=0)
    low = value - np.maximum(ONE_SIDED * error, limit - chance)
    high = np.minimum(value + np.maximum(ONE_SIDED * error, missed), 1)
    power = (at_margin > limit - chance).mean(0)
    state = states(low, high, chance, chance + edge, power, target.rows)
    return _limits(target, (value, low, high, copies.mean(0), limit), permutation_p(value, copies), power, state)


def boosted_probe(representation: Tensor, target: Target, permutations: int = 1, seed: int = 0) -> Limits:
    """The same by gradient boosting (XGBoost, 60 trees of depth 3), which reads what bends.

    What such a probe misses at a given strength is not known, so it has no power and no margin: its states are 'found'
    (the lower limit is above chance and above every shuffled copy) and 'not distinguished', never 'none found'.
    """
    _check(representation, target)
    if not target.values.shape[1] or target.rows < FEWEST_ROWS:
        return unmeasured(target, len(representation))
    tables = representation.numpy(force=True)
    wanted = within_folds(target.values, seed)
    predicted = np.stack([boosted_predictions(table, target.values, seed) for table in tables])
    value, error = _statistic(target, wanted, predicted)
    copies = np.stack([
        _statistic(target, within_folds(target.values[order], seed),
                   np.stack([boosted_predictions(table, target.values[order], seed) for table in tables]),
                   target.values[order])[0]
        for order in row_orders(target.rows, permutations, seed)])
    chance = margins(target, None)[0]
    limit = copies.max(0)
    low, high = value - np.maximum(ONE_SIDED * error, limit - chance), value + ONE_SIDED * error
    state = states(low, high, chance, -np.inf, np.ones(len(value)), max(target.rows, 100))
    nothing = np.full(len(value), np.nan)
    return _limits(target, (value, low, high, copies.mean(0), limit), nothing, nothing, state)


def boosted_predictions(table: Floats, wanted: Floats, seed: int) -> Floats:
    """Each row's prediction by trees that did not see it, without its fold's mean: `[rows, columns]`."""
    from xgboost import XGBRegressor

    folds = fold_of_rows(len(table), seed)
    predicted = np.empty_like(wanted)
    for fold in range(FOLDS):
        held = folds == fold
        model = XGBRegressor(n_estimators=60, max_depth=3, learning_rate=0.1, subsample=0.8, tree_method="hist",
                             n_jobs=1, random_state=seed)
        model.fit(table[~held], wanted[~held])
        part = model.predict(table[held]).reshape(-1, wanted.shape[1])
        predicted[held] = part - part.mean(0)
    return predicted


def margins(target: Target, margin: float | None) -> tuple[float, float, float]:
    """Chance, the margin above it (as r, or as AUC) and the R² of a column at the margin."""
    if not target.category:
        r2 = R2_MARGIN if margin is None else margin
        return 0.0, r2**0.5, r2
    edge = AUC_MARGIN if margin is None else margin
    return 0.5, edge, float(equivalent_r2(edge, _parts(target)))


def _parts(target: Target) -> Floats:
    """Each class's part of the rows."""
    return np.asarray((target.values > 0).mean(0))


def statistic_of(target: Target, predicted: Floats, seed: int) -> Floats:
    """What predictions `[members, rows, columns]` recover, `[members]`, as R² or AUC."""
    return _told(target, _statistic(target, within_folds(target.values, seed), predicted)[0])


def unmeasured(target: Target, members: int) -> Limits:
    """Nothing to ask (a constant, classes of a few rows) or nobody to ask it of."""
    nothing = np.full(members, np.nan)
    return _limits(target, (nothing,) * 5, nothing, nothing, (NOT_MEASURED,) * members)


def _recovered(representation: Tensor, target: Target, permutations: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """The statistic, its error `[members]`, and the copies' `[permutations, members]`."""
    members, (rows, columns) = len(representation), target.values.shape
    copies = target.permuted(permutations, seed)
    asked = np.concatenate([target.values[None], copies])
    value, error, null = np.empty(members), np.empty(members), np.empty((permutations, members))
    step = max(1, VALUES_AT_ONCE // asked.size)
    # Folds are within rows: every copy loses its own folds' means.
    wanted = within_folds(asked.transpose(1, 0, 2), seed).transpose(1, 0, 2)
    for start in range(0, members, step):
        piece = slice(start, start + step)
        values = representation[piece]
        ridge = Ridge.fit(values, asked.transpose(1, 0, 2).reshape(rows, -1), seed)
        predicted = ridge.predict(values).reshape(len(values), rows, len(asked), columns).transpose(2, 0, 1, 3)
        value[piece], error[piece] = _statistic(target, wanted[0], predicted[0])
        null[:, piece] = _values(target, wanted[1:, None], predicted[1:], asked[1:, None])
    return value, error, null


def _statistic(target: Target, wanted: Floats, predicted: Floats, raw: Floats | None = None) -> tuple[Floats, Floats]:
    """r of the column that is recovered best, or the mean AUC over classes, with its error: `[members]` each."""
    if target.category:
        value, error = auc((target.values if raw is None else raw) > 0, predicted)
        return value.mean(-1), error.mean(-1)  # the errors of a mean are at most the mean of the errors
    value, error = correlation(np.broadcast_to(wanted, predicted.shape), predicted)
    best = value.argmax(-1)[..., None]
    return np.take_along_axis(value, best, -1)[..., 0], np.take_along_axis(error, best, -1)[..., 0]


def _values(target: Target, wanted: Floats, predicted: Floats, raw: Floats) -> Floats:
    if target.category:
        mean: Floats = quick_auc(raw > 0, predicted).mean(-1)
        return mean
    best: Floats = correlation(np.broadcast_to(wanted, predicted.shape), predicted)[0].max(-1)
    return best


def _limits(target: Target, measured: Sequence[Floats], p: Floats, power: Floats, state: tuple[str, ...]) -> Limits:
    """`measured`: value, low, high, control and its limit, as r or AUC."""
    value, low, high, control, limit = (_told(target, part) for part in measured)
    return Limits(target.metric, value, low, high, control, limit, p, power, target.rows, state)


def _told(target: Target, values: Floats) -> Floats:
    return values if target.category else np.clip(values, 0, None) ** 2


def _check(representation: Tensor, target: Target) -> None:
    if representation.dim() != 3 or representation.shape[1] != target.rows:
        raise InputError(f"a representation is [members, rows, width] with the {target.rows} rows of x_j, got "
                         f"{list(representation.shape)}")
    if not bool(torch.isfinite(representation).all()):
        raise InputError("a probe needs finite representations: a network returned NaN or inf")
