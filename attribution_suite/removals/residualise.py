"""Every other node less its linear regression on the removed one."""

import time
from dataclasses import dataclass
from typing import ClassVar

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals.linear_maps import Entering, inverse_root
from attribution_suite.removals.removal import RemovalTraits, Setting, edited


@dataclass(frozen=True)
class Residualise:
    """x_k becomes x_k − Σ_kj Σ_jj⁻¹ (x_j − μ_j), x_j itself its mean: f(residuals), folded exactly into layer 1.

    W'_:k = W_:k, W'_:j = −Σ_k W_:k Σ_kj Σ_jj⁻¹, b' = b + W_:j μ_j − W'_:j μ_j (Frisch & Waugh 1933). On the training
    rows no linear probe of what enters the layer finds x_j; nothing is trained. The edited network *reads x_j at
    inference*, to take its part out of the others: moved alone, x_j moves the output by design, and the method is
    judged by the information that is left. Of a group or several nodes together the regression is on all of them.
    """

    name: ClassVar[str] = "residualise"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="at inference", exact=False, default=False, of_index="never")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        started = time.perf_counter()
        entering = Entering.of(setting.train.inputs, len(networks), nodes)
        root = inverse_root(entering.within)
        taken = entering.across @ root @ root.transpose(1, 2)
        return edited(entering.fold(networks, taken, entering.removed), started)

    def replacement(self) -> None:
        """Weights are edited, not data."""
