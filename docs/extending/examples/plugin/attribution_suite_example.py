"""An outside package: a scorer, a removal and a data set by entry points; nothing in attribution_suite changes."""

import time
from dataclasses import dataclass
from typing import ClassVar

from sklearn.datasets import make_moons

from attribution_suite import TabularDataset, from_arrays
from attribution_suite.datasets.preset import GENERIC
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.options import check_positive
from attribution_suite.removals.removal import RemovalTraits, Setting, edited
from attribution_suite.scorers.attribution import Attribution, Evaluation, ScorerTraits, perceptrons, sum_groups


@dataclass(frozen=True)
class WeightNorm:
    """s_k = ‖W_:k‖₂, the length of a column of the first layer's weights; a group's is the sum over its columns."""

    name: ClassVar[str] = "weight_norm"
    traits: ClassVar[ScorerTraits] = ScorerTraits(reads="layers")

    def attribute(self, networks: Ensemble, evaluation: Evaluation) -> Attribution:
        """Global scores in units of the weights. Raises InputError for networks whose layers are not known."""
        lengths = perceptrons(self, networks).first_weight.norm(dim=1)  # [members, columns]
        return Attribution(self.name, evaluation.features, sum_groups(lengths, evaluation.groups))


@dataclass(frozen=True)
class Damp:
    """W_:j becomes factor · W_:j. It removes nothing and says so, `exact=False`; the audit measures what is left."""

    name: ClassVar[str] = "damp"
    traits: ClassVar[RemovalTraits] = RemovalTraits(aims="direct", reads="never", exact=False)
    factor: float = 0.5

    def __post_init__(self) -> None:
        check_positive(self, "factor")

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """Scales the columns that each member is to lose."""
        started = time.perf_counter()
        lost = nodes.mask(networks.architecture.features)[:, None]  # [members, 1, features]
        weight = networks.first_weight
        damped = weight.where(~lost, self.factor * weight)
        return edited(networks.with_first_layer(damped, networks.first_bias), started)

    def replacement(self) -> None:
        """Weights are edited, not data."""


def load_moons(request: DatasetRequest) -> TabularDataset:
    """Two interleaved half circles with noise (scikit-learn), 400 rows."""
    request.chosen([GENERIC])  # InputError for a preset that it does not have
    inputs, targets = make_moons(400, noise=0.2, random_state=request.seed)
    return from_arrays(inputs, targets, feature_names=["x", "y"], name="two_moons", scaling="standard",
                       seed=request.seed).with_split(request.split)
