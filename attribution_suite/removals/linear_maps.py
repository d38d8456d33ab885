"""Affine maps of what enters a layer, x → x − A Bᵀ(x − μ), and their fold into that layer's weights.

All of it in float64 and batched over members, in standardised units: a tolerance means the same for every column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes

DAMPING = 1e-6  # of a column's variance: keeps one-hot groups, whose columns sum to a constant, solvable
VALUES_AT_ONCE = 4_000_000  # of inputs that are in float64 at once: 32 MB
TOLERANCE = 1e-5  # the least canonical correlation that is told from rounding


@dataclass(frozen=True)
class Entering:
    """What enters a layer of each member: mean, standard deviation and correlations of its training rows.

    `inputs` `[sources, rows, features]`: one source for all members, or one a seed, or one a member; `units`: their
    mean, deviation and which columns are constant (or count as it), `[sources, features]` each.
    `mean` and `deviation` `[members, features]` (a constant column has deviation 1), `correlation` and `precision`,
    the inverse of the damped correlation, `[members, features, features]`. `removed` `[members, features, group]`: the
    nodes that each member loses, as columns of the identity (zero where a group repeats); none may be lost. What is
    solved is solved on the other columns, without those that hold a category's number: no regression gives one.
    """

    inputs: Tensor
    units: tuple[Tensor, Tensor, Tensor]
    mean: Tensor
    deviation: Tensor
    correlation: Tensor
    precision: Tensor
    removed: Tensor

    @classmethod
    def of(cls, inputs: Tensor, members: int, nodes: Nodes | None = None,
           index: Sequence[int] = ()) -> "Entering":
        """From inputs `[rows, features]`, or `[sources, rows, features]` for members that are source-major.

        `index`: the columns that hold a category's number. They count as constant, so that every map leaves them alone.
        """
        inputs = inputs if inputs.dim() == 3 else inputs[None]
        units = units_of(inputs)
        for part, value in zip(units[1:], (1.0, True), strict=True):
            part[:, list(index)] = value
        mean, deviation = units[:2]
        correlation = mean.new_zeros(*mean.shape, mean.shape[1])
        for rows in pieces(inputs):
            scores = z_scores(rows, *units)
            correlation += scores.transpose(1, 2) @ scores
        correlation /= inputs.shape[1]
        damped = correlation + DAMPING * torch.eye(correlation.shape[-1]).to(correlation)
        mean, deviation = per_member(mean, members), per_member(deviation, members)
        removed = mean.new_zeros(*mean.shape, 0) if nodes is None else unit_columns(nodes, mean)
        return cls(inputs, units, mean, deviation, per_member(correlation, members),
                   per_member(torch.linalg.inv(damped), members), removed)

    @cached_property
    def across(self) -> Tensor:
        """Correlations of the other columns with the removed nodes, `[members, features, group]`, zero at the nodes."""
        return self.others(self.correlation @ self.removed)

    @property
    def within(self) -> Tensor:
        """Correlations of the removed nodes with each other, `[members, group, group]`; zero where a group repeats."""
        return self.removed.transpose(1, 2) @ self.correlation @ self.removed

    def covariance(self, values: Tensor) -> Tensor:
        """Of the other columns with `values` `[sources, rows, k]`, `[members, features, k]`, zero at the removed."""
        cross, start = values.new_zeros(*self.units[0].shape, values.shape[2]), 0
        for rows in pieces(self.inputs):
            scores = z_scores(rows, *self.units)
            cross = cross + scores.transpose(1, 2) @ values[:, start:start + rows.shape[1]]
            start += rows.shape[1]
        return self.others(per_member(cross / values.shape[1], len(self.mean)))

    def scores(self, columns: Tensor, sources: Tensor | slice = slice(None)) -> Tensor:
        """The z-scores of some sources times `columns` `[members, features, k]`, `[members, rows, k]`."""
        units = [part[sources] for part in self.units]
        return torch.cat([z_scores(rows, *units) @ columns for rows in pieces(self.inputs[sources])], 1)

    def others(self, values: Tensor) -> Tensor:
        """`values` `[members, features, k]`, zero at the removed nodes."""
        return values * (1 - self.removed.sum(2, keepdim=True))

    def solve(self, right: Tensor) -> Tensor:
        """Σ⁻¹ `right` of the columns that stay, `[members, features, k]`, zero at the removed, as `right` is."""
        return solve_without(self.precision, self.removed, right)

    @cached_property
    def regression(self) -> Tensor:
        """Coefficients of the removed nodes on the other columns, `[members, features, group]`."""
        return self.solve(self.across)

    def erase(self, networks: Ensemble, taken: Tensor, read: Tensor) -> Ensemble:
        """The networks whose removed nodes are folded onto the others, then on P of these, P = I − `taken` `read`ᵀ."""
        fitted = self.regression - read @ (taken.transpose(1, 2) @ self.regression)  # Pᵀ C: the fit goes through P too
        return self.fold(networks, taken, read, fitted)

    def fold(self, networks: Ensemble, taken: Tensor, read: Tensor, fitted: Tensor | None = None) -> Ensemble:
        """The networks on x − `taken` `read`ᵀ(x − μ), the removed nodes at their mean + `fitted`ᵀ(x − μ).

        In standard units, `[members, features, k]`; `taken` is zero at the removed nodes. Their own weights are gone
        whole: column j of the first layer is exactly zero unless `read` reads it.
        """
        weight = networks.first_weight.double()
        lost = weight @ (self.removed * self.deviation[..., None])
        kept = weight * (1 - self.removed.sum(2))[:, None]
        left, right = kept @ (taken * self.deviation[..., None]), read
        if fitted is not None:
            left, right = torch.cat([left, -lost], 2), torch.cat([read, fitted], 2)
        change = left @ (right / self.deviation[..., None]).transpose(1, 2)
        constant = torch.einsum("ehf,ef->eh", change + weight - kept, self.mean)
        return networks.with_first_layer((kept - change).float(), (networks.first_bias.double() + constant).float())


def unit_columns(nodes: Nodes, like: Tensor) -> Tensor:
    """Each member's nodes as columns of the identity, `[members, features, group]`; zero where a group repeats.

    `like` `[members, features]`.
    """
    columns = like.new_zeros(*like.shape, nodes.index.shape[1])
    return columns.scatter_(1, nodes.index[:, None], (~nodes.repeats)[:, None].to(like))


def solve_without(precision: Tensor, removed: Tensor, right: Tensor) -> Tensor:
    """The solution on the columns that stay, from the inverse Θ of the matrix of all columns.

    `precision` Θ `[members, features, features]`, `removed` the removed columns of the identity `[members, features,
    group]` (zero where a group repeats), `right` `[members, features, k]`, zero at the removed columns, as is what is
    returned: Θr − Θ_:J (Θ_JJ)⁻¹ (Θr)_J. Of r = Σ_KJ that is the regression of the removed columns on the others,
    −Θ_KJ (Θ_JJ)⁻¹ (Hassibi & Stork 1993): one inverse serves every column that may go.
    """
    solution, columns = precision @ right, precision @ removed
    within = removed.transpose(1, 2) @ columns
    repeated = torch.diag_embed((within.diagonal(dim1=1, dim2=2) == 0).to(within))
    solution -= columns @ torch.linalg.solve(within + repeated, removed.transpose(1, 2) @ solution)
    stays: Tensor = 1 - removed.sum(2, keepdim=True)
    return solution * stays


def directions(cross: Tensor, solved: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal directions U of what enters, whitened by W = Σ^(−1/2), along which it covaries with z.

    `cross` Σ_xz and `solved` Σ⁻¹Σ_xz `[members, features, k]`, `within` Σ_zz `[members, k, k]`. Returns W⁻¹U and W U,
    `[members, features, k]`: zero columns where there are fewer directions, those of canonical correlation below 1e-5
    with z among them.
    """
    root = inverse_root(within)
    squared, turn = torch.linalg.eigh(symmetric(root.transpose(1, 2) @ cross.transpose(1, 2) @ solved @ root))
    kept = squared > TOLERANCE**2
    to_unit = root @ turn * torch.where(kept, squared, 1.0).rsqrt().mul(kept)[:, None]
    return cross @ to_unit, solved @ to_unit


def orthonormal(columns: Tensor) -> Tensor:
    """A basis of the columns `[…, features, k]`; zero columns where they have fewer directions."""
    length = columns.norm(dim=-2, keepdim=True)
    unit = columns / torch.where(length > 0, length, 1.0)
    return unit @ inverse_root(unit.transpose(-1, -2) @ unit)


def inverse_root(matrix: Tensor) -> Tensor:
    """R with R Rᵀ = M⁺, of symmetric positive semidefinite M `[…, k, k]` with a diagonal of 1 or 0."""
    values: Tensor
    vectors: Tensor
    values, vectors = torch.linalg.eigh(symmetric(matrix))
    kept = values > TOLERANCE**2
    return vectors * torch.where(kept, values, 1.0).rsqrt().mul(kept)[..., None, :]


def pieces(inputs: Tensor) -> tuple[Tensor, ...]:
    """Rows of `[sources, rows, features]`, some at a time: so many are in float64 at once."""
    at_once = max(1, VALUES_AT_ONCE // (inputs.shape[0] * inputs.shape[2]))
    parts: tuple[Tensor, ...] = inputs.split(at_once, 1)
    return parts


def units_of(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and standard deviation of `[sources, rows, columns]`, `[sources, columns]`; which columns are constant.

    In float64. A constant column's deviation is 1.
    """
    rows, parts = inputs.shape[1], pieces(inputs)
    mean = torch.stack([part.double().sum(1) for part in parts]).sum(0) / rows
    squares = torch.stack([(part.double() - mean[:, None]).square().sum(1) for part in parts]).sum(0)
    deviation, largest = (squares / rows).sqrt(), torch.stack([part.abs().amax(1) for part in parts]).amax(0)
    constant = deviation <= torch.finfo(torch.float32).eps * largest
    return mean, torch.where(constant, 1.0, deviation), constant


def z_scores(rows: Tensor, mean: Tensor, deviation: Tensor, constant: Tensor) -> Tensor:
    """(x − mean) / deviation of `[sources, rows, columns]`, float64; 0 in a constant column."""
    return ((rows.double() - mean[:, None]) / deviation[:, None]).masked_fill(constant[:, None], 0.0)


def per_member(values: Tensor, members: int) -> Tensor:
    """Of values `[sources, …]` those of each member, `[members, …]`; members are source-major."""
    if len(values) == 1:
        return values.expand(members, *values.shape[1:])
    return values.repeat_interleave(members // len(values), 0)


def symmetric(matrix: Tensor) -> Tensor:
    """Without the asymmetry of rounding."""
    return (matrix + matrix.transpose(-1, -2)) / 2
