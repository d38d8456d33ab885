"""All chunks of a run over worker processes; a failed chunk is named, the others finish."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import joblib
import numpy as np
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from attribution_suite.audit.bench import Bench
from attribution_suite.audit.given import Given
from attribution_suite.audit.job import Job
from attribution_suite.audit.run import blocks, run_job
from attribution_suite.audit.scoring import scorers_at
from attribution_suite.audit.spec import Spec
from attribution_suite.audit.store import Store, content_key
from attribution_suite.datasets.table import DECOY, TabularDataset
from attribution_suite.devices import CPU
from attribution_suite.errors import InputError, unknown_name

BLOCK = 26  # features a chunk removes: with five seeds 130 members, wide enough for the machine, small enough to resume


@dataclass(frozen=True)
class Done:
    """A chunk that ended: `error` is None, or what went wrong in one line; `fresh` False if it was in the store."""

    job: Job
    seconds: float
    error: str | None = None
    fresh: bool = True


def original_jobs(spec: Spec, datasets: Mapping[str, TabularDataset], given: Given | None = None) -> list[Job]:
    """One chunk a data set; `given`: the networks that stand in for its originals."""
    return [Job(source, dataset.name, fingerprint(dataset), spec.profile, spec.scorers, layer=spec.layer,
                record=spec.inside is not None and given is None, given=given)
            for source, dataset in zip(spec.sources, datasets.values(), strict=True)]


def removal_jobs(spec: Spec, original: Job, dataset: TabularDataset, store: Store) -> list[Job]:
    """The chunks that edit one data set's originals."""
    features = top_nodes(original, dataset, store, spec.top) if spec.top else named_nodes(spec, original, dataset)
    return [replace(original, removal=removal, features=block)
            for removal in spec.removals for block in blocks(features, BLOCK)]


def fingerprint(dataset: TabularDataset) -> str:
    """The content of a prepared table: its values, names, split and scaling, and the network that belongs to it."""
    digests = [joblib.hash(array) for array in (
        dataset.inputs, dataset.targets, dataset.train_rows, dataset.validation_rows, dataset.test_rows,
        *dataset.scaler)]
    return content_key([digests, dataset.feature_names, dict(dataset.groups), dataset.task, dataset.classes,
                        asdict(dataset.preset)])


def check(spec: Spec, original: Job, dataset: TabularDataset) -> None:
    """Raises InputError, before anything runs, for what the spec asks of this data set and it does not have."""
    if not scorers_at(spec.scorers, spec.layer):
        raise InputError(f"{', '.join(spec.scorers)}: scores hidden units only: add --layer 1, or other scorers")
    named_nodes(spec, original, dataset)


def named_nodes(spec: Spec, original: Job, dataset: TabularDataset) -> tuple[str, ...]:
    """What `remove` names for this data set, unless 'top:K'. Raises InputError for a node that it does not have."""
    names = [name for name in node_names(original, dataset) if name != DECOY]
    if spec.profile.remove == ("default",) and spec.layer == 0 and dataset.default_removals:
        return dataset.default_removals
    if spec.top or spec.profile.remove in (("default",), ("all",)):
        return tuple(names)
    # A name with a comma in it is taken whole where the data set has it.
    named = dict.fromkeys(name.strip() for words in spec.profile.remove
                          for name in ([words] if words in names else words.split(",")))
    for name in named:
        if spec.layer == 0:
            dataset.columns(name)
        elif name not in names:
            raise unknown_name(f"unit of {dataset.name} at layer {spec.layer}", name, names)
    return tuple(named)


def node_names(original: Job, dataset: TabularDataset) -> list[str]:
    """The features, or the units of the hidden layer that is audited. Raises InputError if there is no such layer."""
    if original.layer == 0:
        return list(dataset.groups)
    units = Bench(original, dataset).architecture.tail(original.layer).features
    return [f"unit:{unit}" for unit in range(units)]


def top_nodes(original: Job, dataset: TabularDataset, store: Store, count: int) -> tuple[str, ...]:
    """The `count` nodes with the largest share in the originals: the median over scorers, mean over seeds."""
    read = [name != "random" for name in scorers_at(original.scorers, original.layer)]
    shares = np.nanmedian(_shares(original, store).mean(0)[read], 0)
    names = node_names(original, dataset)
    ranked = [names[position] for position in np.argsort(-shares, kind="stable") if names[position] != DECOY]
    return tuple(ranked[:count])


def _shares(original: Job, store: Store) -> np.ndarray:
    arrays = store.load(original.key)
    if arrays is None:
        raise InputError(f"the networks of {original.name} could not be trained, so nothing can be removed from them")
    return arrays["share"]


def run_jobs(jobs: Sequence[Job], datasets: Mapping[str, TabularDataset], store: Store, workers: int,
             report: Callable[[Done], None], device: torch.device = CPU) -> list[Done]:
    """Runs what the store does not hold, and tells `report` of each chunk as it ends."""
    results = [Done(job, 0.0, fresh=False) for job in jobs if store.has(job.key)]
    for done in results:
        report(done)
    held = {done.job.key for done in results}
    for done in _parallel([job for job in jobs if job.key not in held], datasets, store, workers, device):
        results.append(done)
        report(done)
    return results


def _parallel(jobs: Sequence[Job], datasets: Mapping[str, TabularDataset], store: Store, workers: int,
              device: torch.device) -> Iterator[Done]:
    if workers == 1 or len(jobs) < 2:
        yield from (attempt(job, datasets[job.name], store, device) for job in jobs)
        return
    ended = set()
    try:
        for done in _pool(jobs, datasets, store, workers, device):
            ended.add(done.job.key)
            yield done
    except TerminatedWorkerError:  # which chunk took its worker down is not known: one at a time tells
        for job in jobs:
            if job.key not in ended:
                yield _isolated(job, datasets, store, device)


def _pool(jobs: Sequence[Job], datasets: Mapping[str, TabularDataset], store: Store, workers: int,
          device: torch.device) -> Iterator[Done]:
    # Tables travel to the workers once, as memory maps, not with every chunk.
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1,
                           initializer=_end_with, initargs=(os.getpid(),))
    yield from _start(pool, (joblib.delayed(attempt)(job, datasets[job.name], store, device) for job in jobs))


def each_in_pool(workers: int) -> Callable[[Callable[[Any], Any], list[Any]], list[Any]]:
    """A `map` over worker processes; in this process where there is one worker, one item, or a worker was killed."""

    def each(call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        if workers > 1 and len(items) > 1:
            pool = joblib.Parallel(n_jobs=workers, return_as="generator", batch_size=1,
                                   initializer=_end_with, initargs=(os.getpid(),))
            try:
                return list(_start(pool, (joblib.delayed(call)(item) for item in items)))
            except TerminatedWorkerError:
                pass  # it was too large beside the others: alone it may fit
        return [call(item) for item in items]

    return each


def _start(pool: joblib.Parallel, tasks: Iterator[Any]) -> Iterator[Any]:
    """The results as they come. Ctrl-C is the run's business: workers inherit that it is ignored, and say nothing.

    Only the main thread may set that; workers started from another one keep Python's own handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return pool(tasks)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return pool(tasks)
    finally:
        signal.signal(signal.SIGINT, before)


def _end_with(parent: int) -> None:
    """In a worker: ends it soon after a parent that was killed, which it would outlive by minutes."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _isolated(job: Job, datasets: Mapping[str, TabularDataset], store: Store, device: torch.device) -> Done:
    """Runs a chunk alone in a worker process, whose death becomes the chunk's error."""
    started = time.perf_counter()
    try:
        return next(_pool([job], datasets, store, 2, device))
    except TerminatedWorkerError:
        return Done(job, time.perf_counter() - started, "its worker process was killed (out of memory?)")


def attempt(job: Job, dataset: TabularDataset, store: Store, device: torch.device) -> Done:
    """Runs a chunk; an error becomes the chunk's, named in the end, so that the other chunks finish."""
    started = time.perf_counter()
    try:
        run_job(job, dataset, store, device)
    except Exception as error:
        return Done(job, time.perf_counter() - started, f"{type(error).__name__}: {error}".splitlines()[0])
    return Done(job, time.perf_counter() - started)
