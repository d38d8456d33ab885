"""Ridge regressions from the representations of many networks, cross-fitted, all together in closed form."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

FOLDS = 5


@dataclass(frozen=True)
class Ridge:
    """A ridge for each fold, fitted on the rows of the others.

    `folds` `[rows]`: each row's fold. `centre`, `scale` `[folds, members, width]` standardise a representation by the
    rows of the fit; `coefficients` `[folds, members, width, targets]`.
    """

    folds: Tensor
    centre: Tensor
    scale: Tensor
    coefficients: Tensor

    @classmethod
    def fit(cls, representation: Tensor, targets: Floats, seed: int) -> "Ridge":
        """From `representation` `[members, rows, width]` to `targets` `[rows, targets]`, float64.

        On standardised columns Z of n rows and centred targets x, β = (ZᵀZ / n + λI)⁻¹ Zᵀx / n with λ = width / n: the
        penalty that is best where as much of x is explained as is not and no direction is known to matter more (Hoerl,
        Kennard & Baldwin 1975). A constant column has the coefficient 0.
        """
        values, wanted = representation.double(), torch.from_numpy(targets).double()
        folds = torch.from_numpy(fold_of_rows(values.shape[1], seed))
        fits = [_fit(values[:, folds != fold], wanted[folds != fold]) for fold in range(FOLDS)]
        return cls(folds, *(torch.stack(parts) for parts in zip(*fits, strict=True)))

    def predict(self, representation: Tensor) -> Floats:
        """Each row's prediction by the ridge that did not see it, `[members, rows, targets]`.

        Each fold's mean is taken out: the intercepts of the fits differ by what the folds' own means are, which makes
        predictions of nothing run against the truth (as scores over folds pooled do: Forman & Scholz 2010).
        """
        values = representation.double()
        predicted = values.new_empty(*values.shape[:2], self.coefficients.shape[-1])
        for fold, (centre, scale, coefficients) in enumerate(
                zip(self.centre, self.scale, self.coefficients, strict=True)):
            held = self.folds == fold
            part = (values[:, held] - centre[:, None]) / scale[:, None] @ coefficients
            predicted[:, held] = part - part.mean(1, keepdim=True)
        return predicted.numpy()


def fold_of_rows(rows: int, seed: int) -> NDArray[np.int64]:
    """Five folds of equal size, drawn at random: each row's number."""
    folds: NDArray[np.int64] = np.random.default_rng((seed, rows)).permutation(np.arange(rows) % FOLDS)
    return folds


def within_folds(targets: Floats, seed: int) -> Floats:
    """Targets `[rows, …]` without their fold's mean."""
    folds = fold_of_rows(len(targets), seed)
    centred = np.empty_like(targets)
    for fold in range(FOLDS):
        held = folds == fold
        centred[held] = targets[held] - targets[held].mean(0)
    return centred


def planted(representation: Tensor, r2: float | Floats, draws: int = 1000) -> Floats:
    """What cross-fitting makes of a true correlation √r2 with what a representation holds, `[draws, members]` of r.

    `r2`: of every member, or `[members]`.
    The part √r2 of a target lies in a direction drawn at random over the standardised columns of `representation`
    `[members, rows, width]`: over the eigenvectors of their correlation matrix, of eigenvalues d, a² = r2 d / Σd. In
    units of 1 / √rows the target's covariances with them in five folds are c_f = (√rows a + e_f) / 5, e_f / 5 normal
    of variance (1 − r2) / 5. Each fold is predicted by s(Σc − c_f), s = d / (d + λ), so that
    r √rows = √5 Σ s (Σc − c_f) c_f / √Σ s² (Σc − c_f)², both sums over folds and eigenvectors. One column and many
    rows give √r2 on average. A constant representation, in which nothing can hide, gives √r2 itself.
    """
    values = representation.double()
    rows = values.shape[1]
    spectrum = torch.linalg.eigvalsh(_correlation(values)).clamp(min=0)
    total = spectrum.sum(1, keepdim=True)
    truth = torch.as_tensor(r2, dtype=values.dtype).expand(len(values))
    mean = (rows * truth[:, None] * spectrum / torch.where(total > 0, total, 1)).sqrt().T
    shrink = (spectrum / (spectrum + values.shape[2] / (rows * (FOLDS - 1) / FOLDS))).T
    whole, squares = _noise(draws, len(mean))
    unit = (1 - truth).sqrt()
    mean = mean / unit
    # Both sums written out in whole = Σe and squares = Σe², so that each is a product over the eigenvectors.
    hit = 0.8 * (shrink * mean**2).sum(0) + 1.6 * whole @ (shrink * mean) + (whole**2 - squares) @ shrink
    size = (3.2 * (shrink * mean).square().sum(0) + 6.4 * whole @ (shrink**2 * mean)
            + (3 * whole**2 + squares) @ shrink**2)
    r = (FOLDS / rows) ** 0.5 * unit * hit / size.sqrt()
    return torch.where(total[:, 0] > 0, r, truth.sqrt()).numpy()


@lru_cache(maxsize=8)  # by the width of the representation: the same in every chunk
def _noise(draws: int, width: int) -> tuple[Tensor, Tensor]:
    """The sums over folds of e and of e², `[draws, width]` each."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(draws, width, FOLDS, dtype=torch.float64, generator=generator) / FOLDS**0.5
    return noise.sum(2), noise.square().sum(2)


def _correlation(values: Tensor) -> Tensor:
    standard, _, _ = _standard(values)
    return standard.transpose(1, 2) @ standard / values.shape[1]


def _standard(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    centre = values.mean(1)
    spread = (values - centre[:, None]).square().mean(1).sqrt()
    # What is left of a constant by rounding is no column: a spread is judged by the size of what it spreads around.
    scale = torch.where(spread > 1e-9 * centre.abs(), spread, torch.inf)
    return (values - centre[:, None]) / scale[:, None], centre, scale


def _fit(values: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    standard, centre, scale = _standard(values)
    rows, width = values.shape[1:]
    gram = standard.transpose(1, 2) @ standard / rows + torch.eye(width, dtype=values.dtype) * (width / rows)
    moment = standard.transpose(1, 2) @ (wanted - wanted.mean(0)) / rows
    return centre, scale, torch.linalg.solve(gram, moment)
