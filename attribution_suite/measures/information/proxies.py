"""Who predicts x_j: its proxies, in the order in which they add, and the part of each in what an output tells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from attribution_suite.measures.information.limits import R2_MARGIN, Floats
from attribution_suite.measures.information.linear import RANK_TOLERANCE, correlation_matrix
from attribution_suite.measures.information.probes import FEWEST_ROWS, statistic_of
from attribution_suite.measures.information.ridge import Ridge
from attribution_suite.measures.information.targets import Target, row_orders

MOST_PROXIES = 5
REPEATS = 3  # permutations of a proxy, whose mean is its part


@dataclass(frozen=True)
class Proxies:
    """`names` in the order they were taken, and by how much each raised R² of x_j, `added` `[proxies]`."""

    names: tuple[str, ...]
    added: Floats


def forward_selection(inputs: ArrayLike, groups: Mapping[str, tuple[int, ...]], wanted: Sequence[int],
                      margin: float = R2_MARGIN) -> Proxies:
    """The features that predict x_j linearly, one by one, until the best of the rest adds less than `margin` R².

    `inputs` `[rows, columns]` are training rows, `wanted` the columns of x_j, `groups` each feature's columns, which
    are taken together (those of x_j never). From the matrix of correlations: with T the columns of x_j and g those of
    a candidate, the residual correlations R after what was taken, the gain is tr(R_Tg R_gg⁺ R_gT) / columns of T, less
    what as many columns of noise would gain, (1 − R²) · rank / (rows − 1 − columns taken); all candidates together. It
    must also beat the best of as many candidates of noise, (1 − R²) · rank · (1 + 2 ln candidates) / rows (Foster &
    George 1994). At most five are taken. R² of a category is that of its columns' mean. A constant x_j has no proxies.
    """
    residual, varies = correlation_matrix(inputs)
    rows = len(np.asarray(inputs))
    others = {name: [column for column in columns if varies[column]] for name, columns in groups.items()
              if not set(columns) & set(wanted)}
    wanted = [column for column in wanted if varies[column]]
    open_to = {name: columns for name, columns in others.items() if columns}
    names: list[str] = []
    added: list[float] = []
    used = 0
    while wanted and open_to and len(names) < MOST_PROXIES:
        gains, ranks = _gains(residual, wanted, list(open_to.values()))
        noise = residual[wanted, wanted].mean() * ranks
        chance = noise * (1 + 2 * np.log(len(open_to))) / rows
        gains = np.where(gains > chance, gains - noise / max(rows - 1 - used, 1), -np.inf)
        best = int(gains.argmax())
        if gains[best] < margin:
            break
        name = list(open_to)[best]
        names.append(name)
        added.append(float(gains[best]))
        used += int(ranks[best])
        residual = _swept(residual, open_to.pop(name))
    return Proxies(tuple(names), np.array(added))


def parts(outputs: Callable[[Tensor], Tensor], inputs: Tensor, columns: Sequence[Sequence[int]], target: Target,
          seed: int = 0) -> Floats:
    """What the probe of x_j from each network's output loses when a proxy is permuted, `[members, proxies]`.

    `outputs` gives `[members, rows, width]` for `inputs` `[rows, features]`; `columns`: those of each proxy. The
    cross-fitted ridge of the native outputs predicts x_j from the outputs with that proxy permuted over rows; the part
    is R² (AUC) before minus after, the mean of three permutations. Parts need not add up: proxies share what they tell.
    """
    native = outputs(inputs)
    if not target.values.shape[1] or target.rows < FEWEST_ROWS:
        return np.full((len(native), len(columns)), np.nan)
    ridge = Ridge.fit(native, target.values, seed)
    before = statistic_of(target, ridge.predict(native), seed)
    orders = torch.from_numpy(row_orders(target.rows, REPEATS, seed))
    permuted = inputs.repeat(len(columns), REPEATS, 1, 1)
    for place, proxy in enumerate(columns):
        permuted[place, ..., list(proxy)] = inputs[orders][..., list(proxy)]
    every = outputs(permuted.flatten(0, 2)).unflatten(1, permuted.shape[:3])
    after = [[statistic_of(target, ridge.predict(every[:, place, repeat]), seed) for repeat in range(REPEATS)]
             for place in range(len(columns))]
    return np.asarray(before[:, None] - np.reshape(after, (len(columns), REPEATS, len(native))).mean(1).T)


def _gains(residual: Floats, wanted: list[int], candidates: list[list[int]]) -> tuple[Floats, Floats]:
    """R² that each candidate adds and the rank of what is left of its columns, `[candidates]`."""
    width = max(map(len, candidates))
    index = np.array([[*columns, *[columns[0]] * (width - len(columns))] for columns in candidates])
    fill = np.array([[False] * len(columns) + [True] * (width - len(columns)) for columns in candidates])
    within = residual[index[:, :, None], index[:, None]] * ~(fill[:, :, None] | fill[:, None])
    values, vectors = np.linalg.eigh(within)
    # A column that is all but explained by those taken has nothing to add; its rest is rounding.
    inverse = np.divide(1, values, out=np.zeros_like(values), where=values > RANK_TOLERANCE * width)
    cross = np.where(fill[..., None], 0, residual[index][:, :, wanted])
    seen = vectors.transpose(0, 2, 1) @ cross
    return (np.square(seen).mean(2) * inverse).sum(1), (inverse > 0).sum(1).astype(float)


def _swept(residual: Floats, columns: list[int]) -> Floats:
    """Residual correlations after these columns."""
    inverse = np.linalg.pinv(residual[np.ix_(columns, columns)], rcond=RANK_TOLERANCE, hermitian=True)
    rest: Floats = residual - residual[:, columns] @ inverse @ residual[columns]
    return rest
