"""Networks that a user trained, in the place of those that an audit would train."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from attribution_suite.datasets.preset import GENERIC, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.modules import PROBE_ROWS, ModuleEnsemble, as_ensemble

Networks = Ensemble | nn.Module | Sequence[nn.Module]


@dataclass(frozen=True)
class Given:
    """`networks`: one a seed. `training`: the budget of retraining, its epochs that of a warm start too (a fraction).

    `digest`: of every parameter and of the outputs on some training rows, so of the code as well; `count`: how many
    different networks there are.
    """

    networks: Ensemble
    training: Training
    digest: str
    count: int

    @classmethod
    def of(cls, networks: Networks, dataset: TabularDataset, seeds: int,
           training: Training | None = None) -> "Given":
        """One network a seed, or one network for all `seeds`, whose edits then differ in their batch order.

        Raises InputError where they do not fit the table or each other.
        """
        rows = dataset.train.inputs[:PROBE_ROWS]
        ensemble = as_ensemble(networks, rows)
        check_outputs(ensemble, dataset)
        if len(ensemble) not in (1, seeds):
            raise InputError(f"{len(ensemble)} networks are given for {seeds} seeds: leave out seeds=, or give one "
                             "network")
        members = ensemble if len(ensemble) == seeds else ensemble.select([0] * seeds)
        return cls(members, training or GENERIC.training, _digest(ensemble, rows), len(ensemble))

    def describe(self) -> dict[str, Any]:
        """For run.json."""
        found: dict[str, Any] = {"count": self.count, "digest": self.digest, "training": asdict(self.training),
                                 "architecture": str(self.networks.architecture), "stacked": True, "why_not": ""}
        if isinstance(self.networks, ModuleEnsemble):
            found |= {"stacked": self.networks.stacked, "why_not": self.networks.reason}
        return found

    def sentences(self, dataset: TabularDataset) -> list[str]:
        """What the user is told of how their networks run, and of outputs that look like no logits."""
        how = "as stacked weights"
        if isinstance(self.networks, ModuleEnsemble):
            how = "stacked by torch.vmap" if self.networks.stacked else f"one at a time ({self.networks.reason})"
        lines = [f"{self.count} given network{'s' * (self.count > 1)}, {self.networks.architecture}, run {how}"]
        outputs = self.networks.outputs(dataset.train.inputs[:PROBE_ROWS])
        if dataset.task != "regression" and outputs.min() >= 0 and outputs.max() <= 1:
            lines.append("the networks' outputs all lie in [0, 1] and are taken as logits: if they are probabilities, "
                         "leave out the last sigmoid or softmax")
        return lines


def check_outputs(networks: Ensemble, dataset: TabularDataset) -> None:
    """Raises InputError where the networks' outputs are not those of the task."""
    outputs, wanted = networks.architecture.outputs, dataset.outputs
    if outputs != wanted:
        hint = "; a binary network with two logits: give the table task='multiclass'" if outputs == 2 else ""
        raise InputError(f"{dataset.name} is a {dataset.task} task of {wanted} output{'s' * (wanted > 1)}, the "
                         f"networks have {outputs}{hint}")


def _digest(networks: Ensemble, rows: torch.Tensor) -> str:
    digest = hashlib.sha256(str(networks.architecture).encode())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last bits of a sum depend on it, and the same networks must be found again
    try:
        outputs = networks.outputs(rows)
    finally:
        torch.set_num_threads(threads)
    for tensor in (*networks.tensors, outputs):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]
