"""The work of the control of costs: the originals, tuned as the tuned methods tune, with nothing removed."""

import torch

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.outcomes import judged_rows, require_measured, validation_losses
from attribution_suite.auditing.work.performance import performed
from attribution_suite.auditing.work.train import CURVES, curves, evaluation_of, stored_originals
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.gate import finite_outputs
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.outputs import task_loss
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Removal, Setting

SHAM_LOSSES = ("loss_before", "loss_native", "validation_before", "validation_native", "validation_perturbed")
TUNED = (*CURVES, *SHAM_LOSSES, "performance", "confusion")


def tune_sham(subject: Subject, dataset: TabularDataset, device: torch.device, originals: Arrays,
              name: str) -> Arrays:
    """Every array of `TUNED`: the losses, `[seeds]`, are on the rows on which those of the removals are.

    `originals`: the arrays of the chunk that trained them; `name`: which control. Raises InputError for a
    loss or output that is not finite.
    """
    before = stored_originals(subject, dataset, originals, device)
    seen = evaluation_of(subject, dataset, before)
    setting = Setting.of(dataset, before, subject.layer, subject.seeds, subject.preset.training, subject.tuning)
    nothing = Nodes(torch.empty(len(before), 0, dtype=torch.int64, device=device))
    control: Removal = REMOVALS.make(name)
    tail = before.tail(subject.layer)
    trained = control.remove(tail, nothing, setting)
    good = performed(before.with_tail(trained.networks), dataset, seen)  # first: it refuses outputs not finite
    rows = judged_rows(before, seen, dataset.test.to(device), subject.layer)
    arrays = validation_losses(tail, trained.networks, nothing, setting, control.replacement())
    for name, networks in (("loss_before", tail), ("loss_native", trained.networks)):
        outputs = finite_outputs(networks, rows.inputs, "test")
        arrays[name] = task_loss(outputs, rows.targets, seen.task).numpy(force=True)
    require_measured(arrays, SHAM_LOSSES)
    return arrays | good | curves(trained)
