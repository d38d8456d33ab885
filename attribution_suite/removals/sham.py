"""The control of costs: fine-tuning, or a step, with nothing removed."""

from dataclasses import dataclass
from typing import ClassVar

from attribution_suite.errors import InputError
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import RemovalTraits, Setting


@dataclass(frozen=True)
class Sham:
    """The control of costs: the warm start, batches and budget of every tuned method, with nothing removed.

    What it gains, every tuned method gains from training on alone: their costs are read net of it. An audit runs it by
    itself, once a network, beside the methods whose traits say `tuned`. `of`: the name of a method whose traits say
    `step`; the control is then that step with x_j kept.
    """

    of: str | None = None
    name: ClassVar[str] = "sham"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="at inference", exact=False, tuned=True, control=True)

    def __post_init__(self) -> None:
        steps = [name for name in REMOVALS.names if name in REMOVALS.builtin or name == self.of
                 if name != self.name and REMOVALS.load(name).traits.step]
        if self.of is not None and self.of not in steps:
            raise InputError(f"option 'of' of {self.name} must be one of {', '.join(steps)}, which take one step, got "
                             f"{self.of!r}: of any other method the plain sham is the control")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes within `setting.tuning`, or takes the step; `nodes` stay in, whichever they are."""
        if self.of is None:
            return setting.tune(networks, setting.tuning)
        kept: Trained = REMOVALS.make(self.of).keep(networks, setting)
        return kept

    def replacement(self) -> None:
        """Every column is seen as it is."""
