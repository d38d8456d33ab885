"""Least squares: the nodes of a layer that stand in for one that goes."""

from collections.abc import Callable

import torch
from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.removal import Setting

DAMPING = 1e-6  # of the mean variance: keeps one-hot groups, whose columns sum to a constant, solvable


def covariance(inputs: Tensor, damping: float = DAMPING) -> tuple[Tensor, Tensor]:
    """Mean `[…, features]` and damped covariance `[…, features, features]` of inputs `[…, rows, features]`, float64.

    `damping`: what is added to the variances, as a part of their mean.
    """
    rows = inputs.double()
    mean = rows.mean(-2)
    centred = rows - mean[..., None, :]
    matrix = centred.transpose(-1, -2) @ centred / rows.shape[-2]
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
    """Every member folded by `fit(covariance, removed, peers)`; members that lose the same nodes share a fit."""
    means, matrices = covariance(setting.train.inputs, damping)
    variants, features = len(networks) // len(setting.seeds), networks.architecture.features
    fits: dict[tuple[int, ...], Tensor] = {}
    coefficients = matrices.new_zeros(len(networks), features, nodes.index.shape[1])
    for member, index in enumerate(nodes.index.tolist()):
        seed = 0 if matrices.dim() == 2 else member // variants
        removed = tuple(dict.fromkeys(index))
        if (seed, *removed) not in fits:
            peers = [feature for feature in range(features) if feature not in removed]
            matrix = matrices if matrices.dim() == 2 else matrices[seed]
            fits[(seed, *removed)] = fit(matrix, *(nodes.index.new_tensor(columns) for columns in (removed, peers)))
        coefficients[member, :, :len(removed)] = fits[(seed, *removed)]
    mean = means.expand(len(networks), -1) if means.dim() == 1 else means.repeat_interleave(variants, 0)
    return fold(networks, nodes, mean, coefficients)
