"""Networks that a user trained, in the place of those that an audit would train."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from attribution_suite.datasets.preset import GENERIC, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.devices import CPU
from attribution_suite.errors import InputError
from attribution_suite.networks.given import Networks, as_ensemble
from attribution_suite.networks.layered import at_layer
from attribution_suite.networks.modules import PROBE_ROWS
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.predictors import Predictors
from attribution_suite.networks.refit import Refit
from attribution_suite.removals import removal
from attribution_suite.scorers.choice import at_named_layers, inapplicable


@dataclass(frozen=True)
class Given:
    """`networks`: one a seed. `training`: the budget of retraining, its epochs that of a warm start too (a fraction).

    `digest`: of every parameter and of the outputs on some training rows, so of the code as well. `refit`: the user's
    own recipe of retraining, if there is one. `layer`: the number of the layer that is audited. `scorers` and `inside`:
    those of the run, the layers that they name by their numbers.
    """

    networks: Ensemble
    training: Training
    digest: str
    refit: Refit | None = None
    layer: int = 0
    scorers: tuple[str, ...] = ()
    inside: str | None = None

    @classmethod
    def of(cls, networks: Networks, dataset: TabularDataset, seeds: int, training: Training | None = None,
           outputs: str | None = None, output: int | str | None = None, fit: object = None,
           layer: int | str = 0, scorers: Sequence[str] = (), inside: str | None = None) -> "Given":
        """One network a seed; `outputs` and `output` as for `as_ensemble`, `fit` as for `Refit`, `layer` or its name.

        `scorers` and `inside`, 'all' or a layer, may name layers too.

        Raises InputError where they do not fit the table, each other or the seeds.
        """
        ensemble, rows = as_ensemble(networks, dataset, outputs, output).to(CPU), dataset.train.inputs
        ensemble, number, scorers = at_named_layers(ensemble, layer, scorers, rows)
        if inside not in (None, "all") and not inside.isdecimal():
            ensemble, place = at_layer(ensemble, inside, rows)
            inside = str(place)
        if len(ensemble) != seeds:
            raise InputError(f"{len(ensemble)} networks are given for {seeds} seeds: leave out option 'seeds', for "
                             "each network given is one")
        refit = Refit.of(fit, networks, outputs, output, number)
        digest = _digest(ensemble, dataset.train.inputs[:PROBE_ROWS], "" if refit is None else refit.source)
        return cls(ensemble, training or GENERIC.training, digest, refit, number, scorers, inside)

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        return {"count": len(self.networks), "digest": self.digest, "training": asdict(self.training),
                "architecture": str(self.networks.architecture), "how": self.networks.how,
                "retraining": self.retraining}

    def not_applicable(self, removals: Sequence[str], scorers: Sequence[str],
                       dataset: TabularDataset) -> dict[str, str]:
        """Which methods cannot be asked of the networks, or of a column of indices ('fold of city'), and why."""
        columns = {} if self.layer else {
            f"{name} of {feature}": reasons[place[0]]
            for name, reasons in removal.refused_columns(removals, self.networks).items()
            for feature, place in dataset.groups.items() if place[0] in reasons}
        return removal.inapplicable(removals, self.networks) | columns | inapplicable(
            scorers, self.networks, self.layer)

    @property
    def retraining(self) -> str:
        """How `retrain` trains them, with the budget."""
        if self.refit is not None:
            return "by the fit that was given with them"
        if isinstance(self.networks, Predictors):
            return "by the estimator's own fit, of a clone"
        budget = self.training
        words = (f"by this library: at most {budget.epochs} epochs in batches of {budget.batch_size}, "
                 f"{budget.optimiser} at {budget.learning_rate:g}")
        return words + (", as Linear and activation: without dropout and batch norm"
                        if isinstance(self.networks, Perceptrons) else ", in train mode")

    def sentences(self) -> list[str]:
        """What the user is told of how their networks run."""
        count = len(self.networks)
        return [f"{count} given network{'s' * (count > 1)}, {self.networks.architecture}, run {self.networks.how}",
                f"retrain retrains them {self.retraining}"]


def _digest(networks: Ensemble, rows: torch.Tensor, fit: str) -> str:
    digest = hashlib.sha256(f"{networks.architecture}{fit}".encode())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last bits of a sum depend on it, and the same networks must be found again
    try:
        outputs = networks.outputs(rows)
    finally:
        torch.set_num_threads(threads)
    for tensor in (*networks.tensors, outputs):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]
