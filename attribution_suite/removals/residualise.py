"""Every other node less its regression on the removed one."""

import time
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.residuals import behind
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_one_of
from attribution_suite.removals.boosted_residuals import boosted_curves
from attribution_suite.removals.erasure import LinearErasure
from attribution_suite.removals.linear_maps import Entering, inverse_root
from attribution_suite.removals.removal import RemovalTraits, Setting, edited


@dataclass(frozen=True, kw_only=True)
class Residualise(LinearErasure):
    """x_k becomes x_k − Σ_kj Σ_jj⁻¹ (x_j − μ_j), x_j itself its mean: f(residuals), folded exactly into layer 1.

    W'_:k = W_:k, W'_:j = −Σ_k W_:k Σ_kj Σ_jj⁻¹, b' = b + W_:j μ_j − W'_:j μ_j (Frisch & Waugh 1933). On the training
    rows no linear probe of what enters the layer finds x_j; nothing is trained, unless `then='tune'`. The edited
    network *reads x_j at inference*, to take its part out of the others: moved alone, x_j moves the output by design,
    and the method is judged by the information that is left. Of a group or several nodes together the regression is on
    all of them.

    `variant='boosted'`: x_k − g_k(x_j) + mean g_k, g_k the linear regression plus boosted stumps of what it leaves
    (`boosted_curves`). That is no affine map: the network is a module behind a fixed step, `then='tune'` tunes the
    module, and hidden units have no such step. Raises InputError for them, and for other options.
    """

    variant: Literal["linear", "boosted"] = "linear"
    name: ClassVar[str] = "residualise"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        aims="marginal", reads="at inference", exact=False, default=False, of_index="never")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of(self, "variant", ("linear", "boosted"))
        object.__setattr__(self, "traits", replace(self.traits, in_front=self.variant == "boosted"))

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form, or the networks behind their curves, and what `then` asks."""
        if self.variant == "linear":
            return super().remove(networks, nodes, setting)
        started, training = time.perf_counter(), setting.train.inputs
        if training.dim() == 3:
            raise InputError("residualise?variant=boosted puts a step in front of the network, and hidden units have "
                             "layers before them: leave out the option")
        lost = [tuple(dict.fromkeys(group)) for group in nodes.index.tolist()]
        curves = {group: boosted_curves(training, setting.validation.inputs, group, networks.index_columns)
                  for group in set(lost)}
        mapped = behind([curves[group] for group in lost], networks, training)
        if self.then is None:
            return edited(mapped, started)
        return replace(setting.tune(mapped, setting.tuning), seconds=time.perf_counter() - started)

    def mapped(self, networks: Ensemble, nodes: Nodes, entering: Entering,
               setting: Setting) -> tuple[Ensemble, Tensor]:
        """The closed form; the nodes' own columns are among what W reads, and so among the directions."""
        root = inverse_root(entering.within)
        taken = entering.across @ root @ root.transpose(1, 2)
        return entering.fold(networks, taken, entering.removed), entering.correlation @ entering.removed @ root
