"""One row of a finished run: what its networks say of it, before and after a removal, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from attribution_suite.auditing.kept import Kept, edit_of
from attribution_suite.auditing.rules import Rules
from attribution_suite.auditing.spec import Profile
from attribution_suite.auditing.subject import fingerprint
from attribution_suite.auditing.work.direct import absolute_delta
from attribution_suite.datasets.removable import Removable
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError, in_one_line
from attribution_suite.measures.worst_case.measure import worst_case
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.options import whole_number
from attribution_suite.presented import Presented
from attribution_suite.scorers.attribution import Attribution, Evaluation, Explained
from attribution_suite.scorers.choice import Choice, scorers_at, traits_of
from attribution_suite.units.paths import row_path
from attribution_suite.units.paths import to_frame as links

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Explanation(Presented):
    """One row, before and (where a `removal` is named) after it took `feature` out of the networks of `seeds`.

    `row`: its number in the file or DataFrame, 0 the first below the header; `part`: what it was for ('training',
    'validation', 'test'). `target`: what it was.
    `attributions`: of 'before' and 'after' each scorer's, whose one row this is; `left_out`: the run's other scorers,
    and why they have no value of a row. `predictions`: a row a network: network ('before', 'after'), seed, `output`
    (what is explained: the output, the logit, the logit of the class that the original predicts), `predicted`,
    `probability` of that class (NaN, '' for a regression). `worst_case`: network, seed and the columns of
    `WorstCase.to_frame`: the most that moving `feature` alone moves the output on this row. `paths`: network, seed,
    sign and the links of `units.paths.row_path` to the output `output_name`: each unit goes from 0 to its value on this
    row. `widths`: of the networks' layers.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.explanation:EXPLANATION"
    dataset: str
    row: int
    part: str
    target: str
    feature: str
    removal: str
    seeds: tuple[int, ...]
    widths: tuple[int, ...]
    output_name: str
    attributions: Mapping[str, Mapping[str, Attribution]]
    predictions: pd.DataFrame
    worst_case: pd.DataFrame
    paths: pd.DataFrame
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """One row a network, scorer and feature: network ('before', 'after'), seed, scorer, feature, phi."""
        return pd.concat([pd.DataFrame({
            "network": network, "seed": np.repeat(self.seeds, len(said.features)), "scorer": scorer,
            "feature": list(said.features) * len(self.seeds),
            "phi": np.empty(0) if said.values is None else said.values[:, 0].flatten().numpy(force=True)})
            for network, scorers in self.attributions.items() for scorer, said in scorers.items()], ignore_index=True)


@dataclass(frozen=True)
class _Case:
    """What is asked: the networks, a member a seed, of one row at one layer. `place`: of the row in the data set."""

    dataset: TabularDataset
    place: int
    seeds: tuple[int, ...]
    layer: int
    networks: Mapping[str, Perceptrons]

    @property
    def originals(self) -> Perceptrons:
        return self.networks[BEFORE]

    @property
    def inputs(self) -> torch.Tensor:
        """The row as the networks take it, `[1, features]`."""
        return self.dataset.rows(np.array([self.place])).inputs


def explain_row(run: Path, record: Mapping[str, Any], dataset: TabularDataset, row: int, feature: str | None,
                removal: str | None) -> Explanation:
    """Scores one row again, by the networks and the scorers of a finished run. `record`: its run.json.

    `feature` and `removal`: as the run names them, or neither, for the originals alone. Raises InputError for what the
    run did not do or keep, a table that is not the run's, and a row that it does not have.
    """
    if (feature is None) != (removal is None):
        raise InputError("options 'feature' and 'removal' go together: what was removed, and by which method; leave "
                         "both out for the networks before any removal")
    kept, about = Kept.of(run, record, dataset.name), record["datasets"][dataset.name]
    if fingerprint(dataset) != about["fingerprint"]:
        raise InputError(f"{dataset.name}: these are not the rows that the run had: give its own table as 'data'")
    place, entry = dataset.place(whole_number("row", row, 0)), kept.original()
    seeds = tuple(entry["seeds"])
    if feature is not None and removal is not None:
        seeds = _seeds_without(record, dataset.name, removal, feature, seeds)
    networks = {BEFORE: kept.network(entry, *[entry["seeds"].index(seed) for seed in seeds])}
    if feature is not None and removal is not None:
        networks[AFTER] = kept.edited(removal, feature, seeds)
    case = _Case(dataset, place, seeds, record["spec"]["layer"], networks)
    attributions, left_out = _attributions(case, record["spec"])
    classes, target = dataset.classes, dataset.targets[place]
    paths, output = _paths(case)
    return Explanation(
        dataset.name, row, dataset.part(place), classes[int(target)] if classes else f"{target:g}", feature or "",
        removal or "", seeds, kept.architecture.widths,
        f"logit of {classes[output]}" if dataset.task == "multiclass" else dataset.target_name,
        attributions, _predictions(case), _worst_cases(case, record["spec"], feature), paths, left_out)


def _seeds_without(record: Mapping[str, Any], dataset: str, removal: str, feature: str,
                   seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds whose network lost the feature: of hidden units, each network may have lost others."""
    lost, reason = [], InputError("")
    for seed in seeds:
        try:
            edit_of(record, dataset, removal, feature, seed)
            lost.append(seed)
        except InputError as error:
            reason = error
    if not lost:
        raise reason
    return tuple(lost)


def _evaluation(case: _Case, spec: Mapping[str, Any]) -> Evaluation:
    """The row in the place of the run's test rows; the class is the one that each original predicts for it."""
    split = case.dataset.rows(np.array([case.place]))
    one = Evaluation.of(case.dataset, case.originals, 1, spec["profile"]["background"], spec["baseline"])
    explained = case.originals.outputs(split.inputs).argmax(2) if case.dataset.task == "multiclass" else None
    return replace(one, inputs=split.inputs, targets=split.targets, explained=explained)


def _attributions(case: _Case, spec: Mapping[str, Any]) -> tuple[dict[str, dict[str, Attribution]], dict[str, str]]:
    """What each scorer of the run says of the row, and why others say nothing; a scorer that fails is one of these."""
    evaluation, profile = _evaluation(case, spec), Profile(**spec["profile"])
    said: dict[str, dict[str, Attribution]] = {network: {} for network in case.networks}
    left_out: dict[str, str] = {}
    for name in scorers_at(spec["scorers"], case.layer):
        traits = traits_of(name)
        if traits.control:
            continue
        reason = "reads the labels, never the networks" if traits.reads == "labels" else case.originals.refusal(
            traits.reads)
        try:
            parts = {} if reason else {
                network: _of_row(Choice.of(name, profile, spec["reference"] == "all"), networks, evaluation, case)
                for network, networks in case.networks.items()}
        except (Exception, SystemExit) as error:  # a plug-in's code may raise anything: it costs its own values
            parts, reason = {}, f"failed: {in_one_line(error)}"
        if any(part.values is None for part in parts.values()):
            parts, reason = {}, "scores features over many rows, not in one"
        if reason:
            left_out[name] = reason
        for network, part in parts.items():
            said[network][name] = part
    return said, left_out


def _of_row(choice: Choice, networks: Perceptrons, evaluation: Evaluation, case: _Case) -> Attribution:
    attribution = choice.attribute_seeds(networks, evaluation, case.layer, case.seeds)
    return replace(attribution, explained=Explained.of(
        attribution, networks, evaluation, case.dataset, np.array([case.place]), case.seeds))


def _predictions(case: _Case) -> pd.DataFrame:
    task, classes, frames = case.dataset.task, np.array(case.dataset.classes), []
    first = case.originals.outputs(case.inputs)[:, 0]
    for network, networks in case.networks.items():
        outputs = networks.outputs(case.inputs)[:, 0].double()  # [members, outputs]
        frame = {"network": network, "seed": case.seeds, "output": outputs[:, 0].numpy(), "predicted": "",
                 "probability": np.nan}
        if task == "multiclass":
            frame["output"] = outputs.gather(1, first.argmax(1, keepdim=True))[:, 0].numpy()
        if task != "regression":
            logits = outputs if task == "multiclass" else torch.cat([torch.zeros_like(outputs), outputs], 1)
            chance, predicted = logits.softmax(1).max(1)
            frame |= {"predicted": classes[predicted.numpy()], "probability": chance.numpy()}
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def _worst_cases(case: _Case, spec: Mapping[str, Any], feature: str | None) -> pd.DataFrame:
    """The most that the feature alone moves the outputs on this row, of every network before and after."""
    if feature is None:
        return pd.DataFrame()
    dataset, layer, frames = case.dataset, case.layer, []
    delta = absolute_delta(Rules(**spec["rules"]), case.originals, dataset.test)
    tail = case.originals.tail(layer)
    removable = Removable.of(dataset) if layer == 0 else Removable.units(tail.architecture.features)
    nodes = Nodes.of([removable.named(feature).columns]).repeat(len(case.seeds))
    for network, networks in case.networks.items():
        if layer == 0:
            worst = worst_case(networks, case.inputs, dataset.train.inputs, nodes, dataset.task, delta,
                               index=dataset.index).named(dataset.feature_names, *dataset.scaler)
        else:
            seen, training = (networks.activations(rows)[layer] for rows in (case.inputs, dataset.train.inputs))
            worst = worst_case(networks.tail(layer), seen, training, nodes, dataset.task, delta,
                               flags=False).named_units()
        frame = worst.to_frame().drop(columns="row")  # it is this one
        frame.insert(0, "network", network)
        frames.append(frame.rename(columns={"member": "seed"}).assign(seed=case.seeds))
    return pd.concat(frames, ignore_index=True)


def _paths(case: _Case) -> tuple[pd.DataFrame, int]:
    """The links of every network's path of either sign, and their output: the class that the first one predicts."""
    outputs = case.originals.outputs(case.inputs)
    output = int(outputs[0, 0].argmax()) if case.dataset.task == "multiclass" else 0
    frames = []
    for network, networks in case.networks.items():
        both = [row_path(networks, case.inputs[0], sign, output) for sign in ("positive", "negative")]
        frame = links(both, case.dataset.feature_names)
        frame.insert(0, "network", network)
        seeds = np.array(case.seeds)
        frames.append(frame.assign(member=seeds[frame.member]).rename(columns={"member": "seed"}))
    return pd.concat(frames, ignore_index=True), output

