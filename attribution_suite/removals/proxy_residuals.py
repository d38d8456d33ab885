"""The proxies of a removed feature less their linear regression on it, as what other removals begin from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.linear_maps import Entering, inverse_root


@dataclass(frozen=True)
class ProxyResiduals:
    """x_p ↦ x_p − Σ_pj Σ_jj⁻¹ (x_j − μ_j) for each proxy p, every other column as it is: x ↦ x − A(x − μ).

    `change` A `[features, features]` and `mean` μ `[features]`, float64, of the training rows. A removal carried out on
    such rows and `folded` back is one network of the rows themselves, which reads x_j to take its part out of the
    proxies.
    """

    change: Tensor
    mean: Tensor

    @classmethod
    def of(cls, dataset: TabularDataset, columns: Sequence[int], proxies: Sequence[int]) -> "ProxyResiduals":
        """`columns`: those removed, all of them at once in the regression; `proxies`: those that become residuals."""
        entering = Entering.of(dataset.train.inputs, 1, Nodes.of([tuple(columns)]))
        root = inverse_root(entering.within)
        fitted = (entering.across @ root @ root.transpose(1, 2) @ entering.removed.transpose(1, 2))[0]
        deviation, proxy = entering.deviation[0], torch.zeros(len(fitted), 1, dtype=torch.bool)
        proxy[list(proxies)] = True
        return cls(torch.where(proxy, fitted * deviation[:, None] / deviation, 0.0), entering.mean[0])

    def dataset(self, dataset: TabularDataset) -> TabularDataset:
        """The table with its scaled inputs mapped: what enters a network of it."""
        dataset.refuse_on_disk("option 'proxies' residualise")
        every = dataset.rows(np.arange(len(dataset.inputs))).inputs.double()
        mapped = every - (every - self.mean) @ self.change.T
        return replace(dataset, inputs=mapped.float().numpy(), scaling="none")

    def folded(self, networks: Ensemble) -> Ensemble:
        """Networks of the mapped rows as networks of the rows themselves: W' = W − W A, b' = b + W A μ."""
        weight, change = networks.first_weight.double(), self.change.to(networks.device)
        read = weight @ change
        bias = networks.first_bias.double() + read @ self.mean.to(networks.device)
        return networks.with_first_layer((weight - read).float(), bias.float())
