"""What the linear removals of a column and of what the others tell of it share."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_one_of
from attribution_suite.removals.linear_maps import Entering, orthonormal
from attribution_suite.removals.removal import RemovalTraits, Setting, edited


@dataclass(frozen=True, kw_only=True)
class LinearErasure(ABC):
    """A map behind which nothing that enters the first layer covaries with x_j, folded into that layer's weights.

    `then='tune'`: the network behind it is tuned within `setting.tuning`, with the map held: its networks are those
    whose weights W read no direction of Σ_xz, W Σ_xz = 0, and onto these W is projected after every step, so that no
    linear probe finds x_j in what leaves that layer's weights, as before the tuning. Raises InputError for others.
    """

    then: Literal["tune"] | None = None
    name: ClassVar[str]
    traits: ClassVar[RemovalTraits]

    def __post_init__(self) -> None:
        if self.then is not None:
            check_one_of(self, "then", ("tune",))
            object.__setattr__(self, "traits", replace(self.traits, tuned=True))  # this object's, not the class's

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form, and what `then` asks. Raises InputError where the map does not exist."""
        started = time.perf_counter()
        entering = Entering.of(setting.train.inputs, len(networks), nodes, networks.index_columns)
        mapped, directions = self.mapped(networks, nodes, entering, setting)
        if self.then is None:
            return edited(mapped, started)
        held = orthonormal(directions * entering.deviation[..., None]).float()
        clamp = None if self.traits.reads == "at inference" else nodes
        tuned = setting.tune(mapped, setting.tuning, clamp=clamp, held=held)
        return replace(tuned, seconds=time.perf_counter() - started)

    @abstractmethod
    def mapped(self, networks: Ensemble, nodes: Nodes, entering: Entering,
               setting: Setting) -> tuple[Ensemble, Tensor]:
        """The networks behind the map, and the directions of Σ_xz that they no longer read.

        These in standard units, `[members, features, k]`, in which the weights are W times the deviations.
        """

    def replacement(self) -> None:
        """Weights are edited, not data."""
        return
