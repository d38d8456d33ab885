"""The steps of an audit one by one, for a notebook: train, attribute, remove. `audit` does all of them, with tables."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from attribution_suite.audit.bench import Bench
from attribution_suite.audit.given import Networks, check_outputs
from attribution_suite.audit.job import Job
from attribution_suite.audit.run import bench_setting
from attribution_suite.audit.scoring import Choice
from attribution_suite.audit.scoring import attribute as score
from attribution_suite.audit.spec import PROFILES
from attribution_suite.datasets import load_dataset
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.devices import choose
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.modules import as_ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.networks.training import train as train_networks
from attribution_suite.registry import Registry
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Attribution


def train(dataset: TabularDataset | str | Path, *, seeds: int | Sequence[int] = 5, preset: str | None = None,
          training: Training | None = None, device: str = "cpu") -> Trained:
    """One network a seed, of the data set's architecture, as `Trained.networks`.

    `dataset`: a table, which brings its preset, or a name of the catalogue, for which `preset` may be 'published': the
    preparation, network and training of the source that docs/methods.md names. `seeds`: how many (0, 1, …), or which.
    `training` instead of the preset's.
    `device`: 'cpu', 'cuda' or 'auto', where they are trained and stay; they are attributed and edited where they are.
    """
    bench = replace(_bench(dataset, preset=preset), device=choose(device))
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    start = Ensemble.initialise(bench.architecture, chosen).to(bench.device)
    budget = training or bench.preset.training
    return train_networks(start, bench.train, bench.validation, bench.dataset.task, budget, chosen)


def attribute(networks: Networks | Trained, dataset: TabularDataset | str | Path, scorer: str, *, rows: int = 500,
              background: int = 2000, layer: int = 0, explained_by: Networks | Trained | None = None,
              **options: Any) -> Attribution:
    """What one scorer says of every network: shares `[members, features]`, local values where it has them.

    The first `rows` test rows are explained, by the class that `explained_by` predicts (the networks themselves, if it
    is not given; give the originals to compare edited networks with). `layer` 0 is the input, l > 0 a hidden one.
    `options` are the scorer's own, as `steps=20` of integrated_gradients.

    Raises InputError for unknown names and options, and where the scorer does not apply to the networks.
    """
    bench = _bench(dataset, rows=rows, background=background)
    ensemble = _ensemble(networks, bench.dataset)
    choice = Choice(scorer, _checked(SCORERS, scorer, options))
    original = ensemble if explained_by is None else _ensemble(explained_by, bench.dataset)
    evaluation = replace(bench, device=ensemble.device).evaluation(original.to(ensemble.device))
    if evaluation.explained is not None and len(evaluation.explained) != len(ensemble):
        raise InputError(f"explained_by has {len(original)} networks, {len(ensemble)} are attributed: give one each")
    return score(choice, ensemble, evaluation, layer)


def remove(networks: Networks | Trained, dataset: TabularDataset | str | Path, feature: str, method: str, *,
           layer: int = 0, seeds: Sequence[int] | None = None, preset: str | None = None,
           training: Training | None = None, tuning: float = 1.0, **options: Any) -> Ensemble:
    """Copies of the networks without a feature (at a hidden layer: without a unit, 'unit:3').

    `dataset`, `preset`: as in `train`. `seeds`: batch order and, for `retrain`, initialisation of each network (0, 1,
    …: those of `train`). `training`: the budget of a retraining instead of the preset's; `tuning`: the fine-tuning
    epochs as a fraction of the full ones. `options` are the method's own, as `deviation=0.5` of stochastic_tuning.

    Raises InputError for unknown names and options, and for a number of seeds other than that of the networks.
    """
    bench = _bench(dataset, preset=preset, layer=layer, tuning=tuning)
    original = _ensemble(networks, bench.dataset)
    bench = replace(bench, device=original.device)
    chosen = list(range(len(original))) if seeds is None else list(seeds)
    if len(chosen) != len(original):
        raise InputError(f"{len(original)} networks need as many seeds, got {len(chosen)}")
    edit = REMOVALS.load(method)(**_checked(REMOVALS, method, options))
    nodes = Nodes.of([_columns(bench.dataset, original, feature, layer)]).repeat(len(original)).to(bench.device)
    budget = training or bench.preset.training
    setting = replace(bench_setting(bench, original), seeds=chosen, training=budget,
                      tuning=replace(budget, epochs=bench.tuning.epochs))
    return original.with_tail(edit.remove(original.tail(layer), nodes, setting).networks)


def _bench(dataset: TabularDataset | str | Path, *, preset: str | None = None, layer: int = 0,
           **numbers: Any) -> Bench:
    """The data set as an audit's chunk sees it; `numbers` are the profile's."""
    if not isinstance(dataset, TabularDataset):
        table = load_dataset(dataset, preset=preset or "default")
    elif preset in (None, dataset.preset.name):
        table = dataset
    else:
        raise InputError(f"'{dataset.name}' is a table with the preset '{dataset.preset.name}': option 'preset' is for "
                         "a name of the catalogue")
    profile = replace(PROFILES["full"], **numbers)
    return Bench(Job(DatasetRequest(table.name, given=True), table.name, "", profile, (), layer=layer), table)


def _ensemble(networks: Networks | Trained, dataset: TabularDataset) -> Ensemble:
    """The networks as one ensemble that fits the table."""
    found = as_ensemble(networks.networks if isinstance(networks, Trained) else networks, dataset.train.inputs)
    check_outputs(found, dataset)
    return found


def _checked(family: Registry, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a scorer or removal. Raises InputError for one that it does not have."""
    kind = family.load(name)
    known = [option.name for option in fields(kind) if option.init] if is_dataclass(kind) else list(options)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
    return dict(options)


def _columns(dataset: TabularDataset, networks: Ensemble, feature: str, layer: int) -> tuple[int, ...]:
    """The nodes of a feature, or of a unit of a hidden layer."""
    if layer == 0:
        return dataset.columns(feature)
    units = {f"unit:{unit}": (unit,) for unit in range(networks.tail(layer).architecture.features)}
    if feature not in units:
        raise unknown_name(f"unit of layer {layer}", feature, units)
    return units[feature]
