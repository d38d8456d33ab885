"""Least squares: the nodes of a layer that stand in for one that goes."""

from collections.abc import Callable

import torch
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import IndexColumn, Nodes
from attribution_suite.removals.removal import Setting

VALUES_AT_ONCE = 4_000_000  # of inputs that are in float64 at once: 32 MB
DAMPING = 1e-6  # of the mean variance: keeps one-hot groups, whose columns sum to a constant, solvable


def covariance(inputs: Tensor, damping: float = DAMPING) -> tuple[Tensor, Tensor]:
    """Mean `[…, features]` and damped covariance `[…, features, features]` of inputs `[…, rows, features]`, float64.

    `damping`: what is added to the variances, as a part of their mean.
    """
    rows, at_once = inputs.shape[-2], max(1, VALUES_AT_ONCE // (inputs.numel() // inputs.shape[-2]))
    mean = sum(piece.double().sum(-2) for piece in inputs.split(at_once, -2)) / rows
    matrix = torch.zeros_like(mean)[..., None] * mean[..., None, :]
    for piece in inputs.split(at_once, -2):
        centred = piece.double() - mean[..., None, :]
        matrix += centred.transpose(-1, -2) @ centred
    matrix /= rows
    scale = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return mean, matrix + damping * scale * torch.eye(matrix.shape[-1]).to(matrix)


def regress(matrix: Tensor, removed: Tensor, peers: Tensor) -> Tensor:
    """Coefficients `[features, removed]` of the least-squares fit of the removed nodes on their peers; zero elsewhere.

    x_J − μ_J ≈ Cᵀ(x − μ), C_R = (Σ_RR)⁻¹ Σ_RJ; for one node and all peers that is −(G⁻¹)_j: / (G⁻¹)_jj.
    """
    coefficients = matrix.new_zeros(len(matrix), len(removed))
    if len(peers):
        coefficients[peers] = torch.linalg.solve(matrix[peers][:, peers], matrix[peers][:, removed])
    return coefficients


def least_squares(matrix: Tensor, removed: Tensor, peers: Tensor) -> Tensor:
    """As `regress`, for a covariance that is not damped: where peers depend on each other, the least coefficients."""
    coefficients = matrix.new_zeros(len(matrix), len(removed))
    among_peers, with_removed = matrix[peers][:, peers], matrix[peers][:, removed]
    coefficients[peers] = torch.linalg.pinv(among_peers, rtol=1e-10, hermitian=True) @ with_removed
    return coefficients


def fold(networks: Ensemble, nodes: Nodes, mean: Tensor, coefficients: Tensor) -> Ensemble:
    """Replaces each member's nodes by their fit: x_J → μ_J + Cᵀ(x − μ), folded into W and b of the first layer.

    `mean` `[members, features]`, `coefficients` `[members, features, group]` (zero columns where a group repeats).
    """
    columns = nodes.index[:, None].expand(-1, networks.first_weight.shape[1], -1)
    lost = networks.first_weight.gather(2, columns).double()
    constant = mean.gather(1, nodes.index) - torch.einsum("ef,efg->eg", mean, coefficients)
    unrepeated = ~nodes.repeats
    weight = networks.first_weight + torch.einsum("ehg,efg->ehf", lost, coefficients).float()
    bias = networks.first_bias + torch.einsum("ehg,eg->eh", lost, constant * unrepeated).float()
    mask = nodes.mask(weight.shape[2])
    return networks.with_first_layer(weight.masked_fill(mask[:, None], 0.0), bias)


def fold_each(networks: Ensemble, nodes: Nodes, setting: Setting,
              fit: Callable[[Tensor, Tensor, Tensor], Tensor], damping: float = DAMPING) -> Ensemble:
    """Every member folded by `fit(covariance, removed, peers)`; members that lose the same nodes share a fit.

    What is fitted of a column of indices is its embedding, on the other inputs of the Linear behind it: folded there.
    Raises InputError for one that has no such Linear, and for one that is removed together with others.
    """
    means, matrices = covariance(setting.train.inputs, damping)
    variants, features = len(networks) // len(setting.seeds), networks.architecture.features
    mean = means.repeat(len(networks), 1) if means.dim() == 1 else means.repeat_interleave(variants, 0)
    fits: dict[tuple[int, ...], Tensor] = {}
    coefficients = matrices.new_zeros(len(networks), features, nodes.index.shape[1])
    behind: list[tuple[int, IndexColumn]] = []
    for member, index in enumerate(nodes.index.tolist()):
        for column in networks.index:
            if column.column in index:
                behind.append((member, _alone(column, index)))
                mean[member, column.column] = float(column.values[column.stands])
        if behind and behind[-1][0] == member:
            continue  # from now on the column is that value, whose embedding is what is folded
        seed = 0 if matrices.dim() == 2 else member // variants
        removed = tuple(dict.fromkeys(index))
        if (seed, *removed) not in fits:
            peers = [feature for feature in range(features) if feature not in removed]
            matrix = matrices if matrices.dim() == 2 else matrices[seed]
            fits[(seed, *removed)] = fit(matrix, *(nodes.index.new_tensor(columns) for columns in (removed, peers)))
        coefficients[member, :, :len(removed)] = fits[(seed, *removed)]
    folded = fold(networks, nodes, mean, coefficients)
    for member, column in behind:
        assert isinstance(folded, Modules)
        assert isinstance(networks, Modules)
        folded = _folded_behind(folded, member, column, networks, setting, fit)
    return folded


def _alone(column: IndexColumn, nodes: list[int]) -> IndexColumn:
    if column.linear is None:
        raise InputError(f"a fold of column {column.column} does not apply: it holds an index, and there is no Linear "
                         "that takes its embedding beside other inputs")
    if set(nodes) != {column.column}:
        raise InputError(f"a fold of column {column.column} together with others does not apply: it holds an index, "
                         "whose embedding is folded behind it: remove them one after the other")
    return column


def _folded_behind(folded: Modules, member: int, column: IndexColumn, networks: Modules, setting: Setting,
                   fit: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Modules:
    """`folded` with the embedding of a member's column replaced by its fit, in the weights of the Linear behind it.

    `networks`: as they were, for what enters that Linear on the training rows.
    """
    assert column.linear is not None
    name, start = column.linear
    size = networks.state[column.embedding].shape[2]
    mean, matrix = covariance(networks.entering(name, member, setting.train.inputs))
    every = torch.arange(len(mean), device=mean.device)
    removed = every[start:start + size]
    coefficients = fit(matrix, removed, every[(every < start) | (every >= start + size)])
    weight, bias = (networks.state[f"{name}.{kind}"][member].double() for kind in ("weight", "bias"))
    lost = weight[:, removed]
    bias = bias + lost @ (mean[removed] - coefficients.T @ mean)
    weight = weight + lost @ coefficients.T
    weight[:, removed] = 0.0
    place = removed.new_tensor([member])
    return folded.with_values(f"{name}.weight", place, weight[None]).with_values(f"{name}.bias", place, bias[None])
