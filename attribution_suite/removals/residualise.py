"""Every other node less its linear regression on the removed one."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.erasure import LinearErasure
from attribution_suite.removals.linear_maps import Entering, inverse_root
from attribution_suite.removals.removal import RemovalTraits, Setting


@dataclass(frozen=True)
class Residualise(LinearErasure):
    """x_k becomes x_k − Σ_kj Σ_jj⁻¹ (x_j − μ_j), x_j itself its mean: f(residuals), folded exactly into layer 1.

    W'_:k = W_:k, W'_:j = −Σ_k W_:k Σ_kj Σ_jj⁻¹, b' = b + W_:j μ_j − W'_:j μ_j (Frisch & Waugh 1933). On the training
    rows no linear probe of what enters the layer finds x_j; nothing is trained, unless `then='tune'`. The edited
    network *reads x_j at inference*, to take its part out of the others: moved alone, x_j moves the output by design,
    and the method is judged by the information that is left. Of a group or several nodes together the regression is on
    all of them.
    """

    name: ClassVar[str] = "residualise"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="at inference", exact=False, default=False, of_index="never")

    def mapped(self, networks: Ensemble, nodes: Nodes, entering: Entering,
               setting: Setting) -> tuple[Ensemble, Tensor]:
        """The closed form; the nodes' own columns are among what W reads, and so among the directions."""
        root = inverse_root(entering.within)
        taken = entering.across @ root @ root.transpose(1, 2)
        return entering.fold(networks, taken, entering.removed), entering.correlation @ entering.removed @ root
