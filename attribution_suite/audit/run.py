"""One chunk of an audit: train the originals of a data set, or remove some features by one method; then score."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from attribution_suite.audit.bench import Bench, weights
from attribution_suite.audit.inside import neurons
from attribution_suite.audit.job import Job
from attribution_suite.audit.outcomes import effects, losses
from attribution_suite.audit.scoring import score_all, with_replaced_background
from attribution_suite.audit.store import Arrays, Store
from attribution_suite.audit.tables import NEURONS, ORIGINAL
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.devices import CPU
from attribution_suite.measures.agreement import agreement_matrix
from attribution_suite.measures.leakage import linear_r2
from attribution_suite.memory import keep_freed_memory, return_freed_memory
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Setting, member_means
from attribution_suite.scorers.attribution import Evaluation


def run_job(job: Job, dataset: TabularDataset, store: Store, device: torch.device = CPU) -> None:
    """Runs a chunk on one thread, whatever the number of jobs: its numbers must not depend on that.

    A look inside is a matter of seconds, of scipy and of tables: it stays on the CPU.
    """
    keep_freed_memory()
    with one_thread():
        if job.removal == NEURONS:
            arrays = neurons(Bench(job, dataset), store)
        elif job.removal == ORIGINAL:
            arrays = originals(Bench(job, dataset, device))
        else:
            arrays = removal(Bench(job, dataset, device), store)
    store.save(job.key, arrays)
    return_freed_memory()


@contextmanager
def one_thread() -> Iterator[None]:
    """Every library on one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def originals(bench: Bench) -> Arrays:
    """Trains one network a seed, unless they are given, and scores them."""
    trained = bench.originals()
    evaluation = bench.evaluation(trained.networks)
    arrays = score_all(bench.choices, trained.networks, evaluation, bench.job.layer, evaluation)
    arrays |= curves(trained) | {"agreement": agreement(arrays)}
    if trained.history is not None:
        arrays["history"] = trained.history.numpy(force=True)
    return arrays if bench.job.given is not None else arrays | weights(trained.networks)


def removal(bench: Bench, store: Store) -> Arrays:
    """Removes each feature from each original by one method, scores and measures the edited networks."""
    job = bench.job
    original, _ = bench.load_originals(store)
    evaluation = bench.evaluation(original)
    members = torch.arange(len(original), device=bench.device).repeat_interleave(len(job.features))
    groups = evaluation.at_layer(original, job.layer).groups
    variants = Nodes.of([groups[feature] for feature in job.features]).to(bench.device)
    nodes = variants.repeat(len(original))
    setting = bench_setting(bench, original)
    method = REMOVALS.load(job.removal)(**variant(bench))
    before = original.select(members)
    trained: Trained = method.remove(before.tail(job.layer), nodes, setting)
    after = before.with_tail(trained.networks)
    seen = evaluation.for_members(members)
    replacement = method.replacement()
    labels = None if replacement is None or job.layer else with_replaced_background(
        seen, variants, replacement, bench.seeds, bench.preset.training.batch_size)
    arrays = score_all(bench.choices, after, seen, job.layer, labels)
    arrays |= curves(trained) | {"agreement": agreement(arrays)}
    arrays |= measured(bench, before, trained.networks, nodes, member_means(setting, nodes), seen)
    arrays |= recoverability(before, after, job.layer, nodes, seen)
    return arrays


def bench_setting(bench: Bench, original: Ensemble) -> Setting:
    """The data that a removal sees: the inputs, or the originals' activations of the layer."""
    train_split, validation = (
        split if bench.job.layer == 0 else Split(original.activations(split.inputs)[bench.job.layer], split.targets)
        for split in (bench.train, bench.validation))
    fresh = None if bench.job.layer == 0 else lambda seeds: original.fresh(seeds).tail(bench.job.layer)
    return Setting(train_split, validation, bench.dataset.task, bench.seeds, bench.preset.training, bench.tuning,
                   fresh)


def variant(bench: Bench) -> dict[str, Any]:
    """Under the published preset, the published variant of a method that has one."""
    fields = getattr(REMOVALS.load(bench.job.removal), "__dataclass_fields__", {})
    return {"published": True} if bench.dataset.preset.name == "published" and "published" in fields else {}


def measured(bench: Bench, before: Ensemble, after: Ensemble, nodes: Nodes, means: Tensor, seen: Evaluation) -> Arrays:
    """Losses on the test rows and effects on the evaluated ones; at a hidden layer both on the evaluated ones."""
    layer, task = bench.job.layer, bench.dataset.task
    here = seen.at_layer(before, layer)
    data = bench.test if layer == 0 else Split(here.inputs, seen.targets)
    arrays = losses(after, nodes, means, data, task, seen.seed)
    arrays |= effects(after, nodes, here.inputs, here.background, seen.explained, task, seen.seed)
    untouched = before.tail(layer)
    arrays["loss_before"] = losses(untouched, nodes, means, data, task, seen.seed)["loss_native"]
    arrays["direct_effect_before"] = effects(
        untouched, nodes, here.inputs, here.background, seen.explained, task, seen.seed)["direct_effect"]
    return arrays


def recoverability(before: Ensemble, after: Ensemble, layer: int, nodes: Nodes, seen: Evaluation) -> Arrays:
    """What a ridge probe reads of each member's hidden unit from what leaves the next Linear, before and after.

    The unit's peers are the same before and after (the layers below are frozen): what the rest of the network can know
    of the unit is in the next pre-activations. NaN at layer 0.
    """
    names = ("recoverability_before", "recoverability")
    if layer == 0:
        return {name: np.full(len(after), np.nan) for name in names}
    entering = before.activations(seen.background)[layer]
    found: Arrays = {}
    for name, networks in zip(names, (before, after), strict=True):
        leaving = networks.tail(layer).first(entering).numpy(force=True)
        found[name] = np.array([linear_r2(leaving[member], entering[member][:, unit].numpy(force=True))
                                for member, unit in enumerate(nodes.index[:, 0].tolist())])
    return found


def agreement(arrays: Arrays) -> np.ndarray:
    """`[metrics, scorers, scorers, members]` between the applicable scorers; NaN for the others."""
    signed = ~np.all(np.isnan(arrays["signed"]), (0, 2))
    values = np.where(signed[None, :, None], arrays["signed"], arrays["mean_abs"]).transpose(1, 0, 2)
    keep = arrays["applicable"].nonzero()[0]
    top = max(1, min(5, values.shape[2] // 2))
    found = agreement_matrix(torch.from_numpy(values[keep]), top, torch.from_numpy(signed[keep])).numpy()
    whole = np.full((len(found), len(values), len(values), values.shape[1]), np.nan, np.float32)
    whole[:, keep[:, None], keep] = found
    return whole


def curves(trained: Trained) -> Arrays:
    """Losses `[epochs, members]`, steps and seconds `[members]`."""
    return {
        "training_loss": trained.training_loss.numpy(force=True),
        "validation_loss": trained.validation_loss.numpy(force=True),
        "steps": trained.steps.numpy(force=True),
        "seconds": np.full(len(trained.networks), trained.seconds / len(trained.networks)),
    }


def blocks(features: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """The features in pieces of at most `size`."""
    return [tuple(features[start:start + size]) for start in range(0, len(features), size)]
