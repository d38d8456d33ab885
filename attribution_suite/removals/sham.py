"""The control of costs: fine-tuning with nothing removed."""

from dataclasses import dataclass
from typing import ClassVar

from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals.removal import RemovalTraits, Setting


@dataclass(frozen=True)
class Sham:
    """The control of costs: the warm start, batches and budget of every tuned method, with nothing removed.

    What it gains, every tuned method gains from training on alone: their costs are read net of it. An audit runs it by
    itself, once a network, beside the methods whose traits say `tuned`.
    """

    name: ClassVar[str] = "sham"
    traits: ClassVar[RemovalTraits] = RemovalTraits(reads="at inference", exact=False, tuned=True, control=True)

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Fine-tunes within `setting.tuning`; `nodes` stay in, whichever they are."""
        return setting.tune(networks, setting.tuning)

    def replacement(self) -> None:
        """Every column is seen as it is."""
