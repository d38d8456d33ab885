"""One run from its spec to its tables: plan, run what is missing, write."""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from attribution_suite.auditing.chunks import Chunk, MeasureExplanations, RemoveFeatures, TrainOriginals, load
from attribution_suite.auditing.collate import collate
from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.engine import Done
from attribution_suite.auditing.frames import scorer_errors
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.plan import Plan, make_plan, plan_edits
from attribution_suite.auditing.progress import Progress
from attribution_suite.auditing.record import describe
from attribution_suite.auditing.spec import Spec
from attribution_suite.auditing.store import Store
from attribution_suite.datasets.load import load_splits
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.request import Frames
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.devices import choose
from attribution_suite.errors import InputError
from attribution_suite.files import write_atomically
from attribution_suite.networks.given import Networks
from attribution_suite.networks.indexed import told_of_index
from attribution_suite.scorers.baselines import baseline_row
from attribution_suite.scorers.choice import check_baseline, scorers_at, traits_of

Tables = Mapping[str, TabularDataset | Frames]


@dataclass(frozen=True)
class Prepared:
    """A run that has been checked: nothing is computed or written yet. `datasets` by name and split."""

    spec: Spec
    datasets: Mapping[tuple[str, int], TabularDataset]
    plan: Plan
    device: torch.device


def prepare(spec: Spec, *, device: str, tables: Tables | None = None, networks: Networks | None = None,
            training: Training | None = None, outputs: str | None = None,
            output: int | str | None = None, fit: object = None,
            say: Callable[[str], None] = print) -> Prepared:
    """Loads every data set and checks all that can be checked.

    `tables`: the caller's own by their names; `networks`: the caller's in the place of originals trained here, which
    return `outputs` ('logit' or 'probability'; of several results the one at `output`), with the budget `training` of
    their retraining, or a `fit` of their own; `device`: 'auto', 'cpu' or 'cuda'.
    Raises InputError for what cannot be run.
    """
    if networks is not None and spec.splits > 1:
        raise InputError("option 'splits': networks that are given were trained on one split: leave it out")
    if networks is None and fit is not None:
        raise InputError("option 'fit' retrains networks of your own: give these as 'networks'")
    if networks is None:
        refuse_named_layers(spec)
    datasets, computer = load_all(spec, tables), choose(device)
    for dataset in datasets.values():
        baseline_row(dataset, spec.baseline)  # a row that one of them does not have is refused before anything runs
        if spec.layer or spec.proxies == "residualise":
            dataset.refuse_on_disk("option 'layer'" if spec.layer else "option 'proxies' residualise")
    given = None if networks is None else given_networks(
        networks, spec, datasets.values(), training, outputs, output, fit, say)
    if given is not None:
        spec = replace(spec, layer=given.layer, scorers=given.scorers, inside=given.inside)
        datasets = {key: told_of_index(dataset, given.networks) for key, dataset in datasets.items()}
    assert isinstance(spec.layer, int)  # a name has become a number where networks are given
    if without := check_baseline(spec.baseline, scorers_at(spec.scorers, spec.layer)):
        say(without)
    plan = make_plan(spec, list(datasets.values()), given, computer, say)
    for dataset in first_splits(datasets).values():
        for note in dataset.notes:
            say(f"{dataset.name}: {note}")
    return Prepared(spec, datasets, plan, computer)


def run_audit(prepared: Prepared, context: RunContext, out: Path) -> list[str]:
    """Runs what the store does not hold yet, writes every table and run.json; returns what failed, a line each."""
    started, begun = time.perf_counter(), datetime.now(UTC)
    chunks, done = carry_out(prepared.spec, prepared.plan, context)
    failed = failures(chunks, done, context.store)
    record = describe(prepared.spec, context, chunks, failed)
    collate(chunks, done, context, out, record["tables_from"])
    record |= {
        "started": begun.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "timings": {"seconds": round(time.perf_counter() - started, 2), "jobs": context.engine.workers,
                    "chunks_run": sum(d.fresh for d in done), "chunks_found": sum(not d.fresh for d in done)}}
    write_atomically(out / "run.json", (json.dumps(record, indent=1) + "\n").encode())
    return [f"{chunk}: {error}" for chunk, error in failed]


def carry_out(spec: Spec, plan: Plan, context: RunContext) -> tuple[list[Chunk], list[Done]]:
    """Trains the originals, edits them, looks inside and measures explanations; all chunks, and how they ended."""
    progress = Progress(context.say)
    progress.expect(len(plan.originals))
    done = run_chunks(plan.originals, context, progress.done)
    trained = {original for original in plan.originals if load(original, context.store) is not None}
    after: list[Chunk] = []
    for original in plan.originals:
        if original in trained:
            splits = [other for other in plan.originals if other in trained
                      and other.subject.name == original.subject.name]
            after += plan_edits(spec, original, splits, context.dataset(original.subject), context.store,
                                context.say)
    after += [look for look in plan.looks if look.originals in trained]
    progress.expect(len(after))
    done += run_chunks(after, context, progress.done)
    chunks = [*plan.originals, *after]
    if spec.metrics:
        measures = [MeasureExplanations.of(chunk) for chunk in chunks if isinstance(
            chunk, TrainOriginals | RemoveFeatures) and load(chunk, context.store) is not None]
        progress.expect(len(measures))
        done += run_chunks(measures, context, progress.done)
        chunks += measures
    progress.close()
    return chunks, done


def run_chunks(chunks: Sequence[Chunk], context: RunContext, report: Callable[[Done], None]) -> list[Done]:
    """Runs what the store does not hold, and tells `report` of each chunk as it ends."""
    results = [Done(chunk, 0.0, fresh=False) for chunk in chunks if load(chunk, context.store) is not None]
    for done in results:
        report(done)
    finished_keys = {done.chunk.key for done in results}
    for done in context.engine.run([context.task(chunk) for chunk in chunks if chunk.key not in finished_keys]):
        results.append(done)
        report(done)
    return results


def failures(chunks: Sequence[Chunk], done: Sequence[Done], store: Store) -> list[tuple[str, str]]:
    """What failed, and why: whole chunks, then scorers within the finished ones."""
    failed = [(ended.chunk.title, ended.error) for ended in done if ended.error]
    for chunk in chunks:
        stored = load(chunk, store)
        if stored is not None:
            failed += [(f"{chunk.title}, {scorer}", error) for scorer, error in scorer_errors(stored.arrays).items()]
    return failed


def refuse_named_layers(spec: Spec) -> None:
    """Raises InputError where a layer is named: networks that are trained here have none with a name."""
    if spec.inside not in (None, "all") and not str(spec.inside).isdecimal():
        raise InputError(f"hidden layer '{spec.inside}': name one by its number (1 is the first), or all")
    scorers = [("scorers", named) for name in spec.scorers if (named := traits_of(name).named)]
    for option, name in ([("layer", spec.layer)] if isinstance(spec.layer, str) else []) + scorers:
        raise InputError(f"option '{option}': '{name}' is a name, and networks that are trained here have numbered "
                         "layers: 1 is the first hidden one")


def given_networks(networks: Networks, spec: Spec, datasets: Collection[TabularDataset], training: Training | None,
                   outputs: str | None, output: int | str | None, fit: object, say: Callable[[str], None]) -> Given:
    """The user's networks as the originals, and lines on how they run and on the methods that do not apply.

    Raises InputError for networks that do not fit the one data set, or that have no such layer.
    """
    if len(datasets) != 1:
        raise InputError(f"networks belong to one data set, {len(datasets)} are named: audit them one by one")
    dataset = next(iter(datasets))
    given = Given.of(networks, dataset, spec.profile.seeds, training, outputs, output, fit, spec.layer,
                     spec.scorers, spec.inside)
    given.networks.tail(given.layer)
    reasons = given.not_applicable(spec.removals, scorers_at(given.scorers, given.layer), dataset)
    lines = [f"not applicable: {', '.join(name for name in reasons if reasons[name] == reason)}: {reason}"
             for reason in dict.fromkeys(reasons.values())]
    for line in (*given.sentences(), *lines):
        say(f"{dataset.name}: {line}")
    return given


def load_all(spec: Spec, tables: Tables | None = None) -> dict[tuple[str, int], TabularDataset]:
    """Every data set by its name and split. Raises InputError where two have one name, or a set has one split alone."""
    datasets: dict[tuple[str, int], TabularDataset] = {}
    for request in spec.requests:
        for dataset in load_splits(request, spec.splits, (tables or {}).get(request.name)):
            if (dataset.name, dataset.split) in datasets:
                raise InputError(f"two data sets are named '{dataset.name}': leave out or rename {request.name}")
            datasets[dataset.name, dataset.split] = dataset
    return datasets


def first_splits(datasets: Mapping[tuple[str, int], TabularDataset]) -> dict[str, TabularDataset]:
    """Each data set by its name, on the first of its splits."""
    return {name: dataset for (name, split), dataset in datasets.items() if not split}
