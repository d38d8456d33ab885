"""The steps of an audit, one by one: train, attribute, remove, and what is measured of one feature."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attribution_suite.arguments import feature_set, load_table, own_training, with_layer
from attribution_suite.calls import in_own_words
from attribution_suite.errors import InputError

if TYPE_CHECKING:
    from attribution_suite.arguments import Data
    from attribution_suite.datasets.preset import Training
    from attribution_suite.measures.information.result import Information
    from attribution_suite.measures.worst_case.result import WorstCase
    from attribution_suite.networks.given import Networks
    from attribution_suite.networks.network import Ensemble
    from attribution_suite.networks.refit import Fit
    from attribution_suite.networks.training import Trained
    from attribution_suite.scorers.attribution import Attribution


@in_own_words
def train(dataset: "Data", *, target: str | None = None, task: str | None = None,
          prepare: Mapping[str, Any] | None = None, seeds: int | Sequence[int] = 5, preset: str | None = None,
          training: "Training | None" = None, device: str = "cpu") -> "Trained":
    """One network a seed, of the data set's architecture, as `Trained.networks`.

    `dataset`: a table (which brings its own preset), a name of the catalogue, or a file or DataFrame with the column
    `target` to predict and, instead of the inferred one, its `task`; `prepare`: what else `load_dataset` may be told
    of it, by name: {"drop": ["id"], "sep": ";"}. `seeds`: how many (0, 1, …), or which.
    `preset`: 'default', or 'published' for the network and training of the source that docs/methods.md names;
    `training` instead of the preset's. `device`: 'cpu', 'cuda' or 'auto', where they are trained and stay.

    Raises InputError for anything that cannot be trained.
    """
    from attribution_suite.devices import choose
    from attribution_suite.networks.originals import train_originals
    from attribution_suite.options import seed_numbers

    table = load_table(dataset, preset, target, task, prepare)
    return train_originals(table, table.preset, seed_numbers(seeds), choose(device), own_training(training))


@in_own_words
def attribute(networks: "Networks", dataset: "Data", scorer: object, *, target: str | None = None,
              task: str | None = None, prepare: Mapping[str, Any] | None = None, rows: int = 500,
              background: int = 2000, layer: int | str | None = None, explained_by: "Networks | None" = None,
              outputs: str | None = None, output: int | str | None = None, baseline: str | None = None,
              **options: Any) -> "Attribution":
    """What one scorer says of every network: shares `[members, features]`, local values where it has them.

    The first `rows` test rows are explained, by the class that `explained_by` predicts (the networks themselves, if it
    is not given; give the originals to compare edited networks with). `background`: how many training rows the scorer
    may draw from; every network has draws of its own, the same at every call. `layer` 0 is the input (the default,
    but for a scorer whose name says its layer), l > 0 a hidden one, or its name in a module ('encoder.2'). `outputs`,
    `output`: as for `audit`.
    `scorer`: a name of the catalogue or of Captum (`captum:KernelShap`, `captum:LayerConductance@1` or `…@encoder.2`),
    options behind it if you like (`integrated_gradients?steps=20`); or a class of Captum, or an object of one, whose
    class and settings are made anew for each network. `baseline`: what it compares a row with, as for `audit`.
    `options` are the scorer's own, as `steps=20` of integrated_gradients. `target`, `task`, `prepare`: of a file or
    DataFrame, as for `train`.

    Raises InputError for unknown names and options, and where the scorer does not apply to the networks.
    """
    from dataclasses import replace

    from attribution_suite.networks.given import as_ensemble
    from attribution_suite.options import whole_number
    from attribution_suite.scorers.attribution import Evaluation, Explained
    from attribution_suite.scorers.choice import Choice, at_named_layers, check_baseline, layer_of, written

    for option, value, least in (("rows", rows, 2), ("background", background, 10)):
        whole_number(option, value, least)
    table = load_table(dataset, None, target, task, prepare)
    choice = Choice(written(scorer), options)
    ensemble, layer, (numbered,) = at_named_layers(
        as_ensemble(networks, table, outputs, output), layer_of(choice.name) if layer is None else layer,
        [choice.name], table.train.inputs)
    ensemble, table, layer = with_layer(ensemble, table, layer)
    original = ensemble if explained_by is None else as_ensemble(explained_by, table, outputs, output)
    original = original.to(ensemble.device)
    if len(original) != len(ensemble):
        raise InputError(f"explained_by has {len(original)} networks, {len(ensemble)} are attributed: give one each")
    check_baseline(baseline, [choice.name])
    evaluation = Evaluation.of(table, original, rows, background, baseline)
    seeds = range(len(ensemble))
    attribution = Choice(numbered, options).attribute_seeds(ensemble, evaluation, layer, seeds)
    return replace(attribution, scorer=choice.name, explained=Explained.of(
        attribution, ensemble, evaluation, table, table.test_rows[:rows], seeds))


@in_own_words
def remove(networks: "Networks", dataset: "Data", feature: str | Sequence[str], method: str, *,
           target: str | None = None, task: str | None = None, prepare: Mapping[str, Any] | None = None,
           layer: int | str = 0, seeds: Sequence[int] | None = None, preset: str | None = None,
           training: "Training | None" = None, tuning: float = 1.0, outputs: str | None = None,
           output: int | str | None = None, fit: "Fit | None" = None, **options: Any) -> "Ensemble":
    """Copies of the networks without a feature (at a hidden layer, by number or name: without a unit, 'unit:3').

    `feature`: one, or several that are removed together: 'sex+race', or a list of names. `target`, `task`, `prepare`:
    of a file or DataFrame, as for `train`.
    `seeds`: batch order and, for `retrain`, initialisation of each network (0, 1, …: those of `train`). `training`: the
    budget of a retraining instead of the preset's; `tuning`: the fine-tuning epochs as a fraction of the full ones.
    `outputs`, `output`, `fit`: as for `audit`. `options` are the method's own, as `deviation=0.5` of stochastic_tuning,
    which may stand in `method` too: 'stochastic_tuning?deviation=0.5'.
    `to_module(e)` of what is returned is network e as a module: the user's own class with the edited weights where
    these were read from it (a chain of Linear and activation), else `Sequential(Linear, the user's module)`.

    Raises InputError for unknown names and options, and for a number of seeds other than that of the networks.
    """
    from dataclasses import replace

    from attribution_suite.networks.given import as_ensemble
    from attribution_suite.networks.nodes import Nodes
    from attribution_suite.networks.refit import Refit
    from attribution_suite.options import checked_options, positive, seed_numbers
    from attribution_suite.removals import REMOVALS
    from attribution_suite.removals.removal import Removal, Setting, carried_out

    table = load_table(dataset, preset, target, task, prepare)
    original, table, layer = with_layer(as_ensemble(networks, table, outputs, output), table, layer)
    numbers = seed_numbers(len(original) if seeds is None else seeds)
    if len(numbers) != len(original):
        raise InputError(f"{len(original)} networks need as many seeds, got {len(numbers)}")
    checked_options(REMOVALS, method, options)
    edit: Removal = REMOVALS.make(method, **options)
    removed = feature_set(table, original, feature, layer)
    nodes = Nodes.of([removed.columns]).repeat(len(original)).to(original.device)
    cold = own_training(training) or table.preset.training
    warm = replace(cold, epochs=max(1, round(table.preset.tuning_epochs * positive("tuning", tuning))))
    refit = Refit.of(fit, networks, outputs, output, layer)
    setting = Setting.of(table, original, layer, numbers, cold, warm, refit)
    edited = carried_out(edit, original.tail(layer), nodes, setting).networks
    return edited if edit.traits.in_front else original.with_tail(edited)


@in_own_words
def worst_case(networks: "Networks", dataset: "Data", feature: str | Sequence[str], layer: int | str = 0, *,
               target: str | None = None, task: str | None = None, prepare: Mapping[str, Any] | None = None,
               rows: int = 500, delta: float = 0.01, outputs: str | None = None,
               output: int | str | None = None) -> "WorstCase":
    """The most that moving a feature alone (at a hidden layer: a unit, 'unit:3') moves each network's output.

    `feature`: one, or several that move together: 'sex+race', or a list of names. `target`, `task`, `prepare`: of a
    file or DataFrame, as for `train`.
    D = max over the first `rows` test rows x_i, and over what the training rows say the feature may be, of
    |f(x_i with x_j = t) − f(x_i)|; f is the output, the logit, or of several logits each minus their mean. A number
    takes every value of its training range, a category every pattern of its columns that occurs in training, a number
    with a 'missing' flag its range where the flag is off and the filled value where it is on; several numbers together
    the joint values of at most 256 training rows, a search with no bound.

    Exact for networks of Linear and ReLU or LeakyReLU; enclosed between the value found and a bound for tanh, sigmoid,
    GELU and SiLU; proved zero for any network whose weights from the feature are all zero; for any other module the
    largest move that a search finds, and no bound. `delta`: the moves that matter, as a part of the standard deviation
    of each network's f over the test rows: the enclosure is refined where it decides about them.

    Raises InputError for an unknown feature, unit or layer, for options that make no sense, and for networks whose
    outputs are not finite.
    """
    from attribution_suite.measures.worst_case.measure import output_spread
    from attribution_suite.measures.worst_case.measure import worst_case as measure
    from attribution_suite.networks.given import as_ensemble
    from attribution_suite.networks.nodes import Nodes
    from attribution_suite.options import positive, whole_number

    rows, delta = whole_number("rows", rows, 1), positive("delta", delta)
    table = load_table(dataset, None, target, task, prepare)
    ensemble, table, layer = with_layer(as_ensemble(networks, table, outputs, output), table, layer)
    nodes = Nodes.of([feature_set(table, ensemble, feature, layer).columns]).repeat(len(ensemble))
    test, training = (split.inputs.to(ensemble.device) for split in (table.test, table.train))
    spread, seen = delta * output_spread(ensemble, test), test[:rows]
    if layer == 0:
        return measure(ensemble, seen, training, nodes, table.task, spread, index=table.index).named(
            table.feature_names, *table.scaler)
    seen, training = (ensemble.activations(inputs)[layer] for inputs in (seen, training))
    return measure(ensemble.tail(layer), seen, training, nodes, table.task, spread, flags=False).named_units()


@in_own_words
def information(networks: "Networks", dataset: "Data", feature: str | Sequence[str], *,
                target: str | None = None, task: str | None = None, prepare: Mapping[str, Any] | None = None,
                profile: str = "quick", margin: float | None = None, conditional_on: str | Sequence[str] = (),
                favourable: str | None = None, outputs: str | None = None,
                output: int | str | None = None) -> "Information":
    """What each network tells of a feature: from its output, its hidden layers, and through which other features.

    `target`, `task`, `prepare`: of a file or DataFrame, as for `train`.
    `feature`: one, or several together: 'sex+race', or a list of names. Read on the first 500 test rows (full: 2,000;
    distances always 500): how well cross-fitted ridge regressions from the output and from the last hidden layer
    predict the feature (R² of a number, AUC of a category), against shuffled copies of it and against the other inputs
    (`where` 'inputs', the ceiling), and the distance correlation of output and feature. `profile` 'full' adds boosted
    probes, every hidden layer, and dependence given the target. A category has rates per group too.
    `margin`: what counts as none, R² (0.02 if not given) or AUC above 0.5 (0.07). `conditional_on`: a column, or
    several, given which dependence is asked as well. `favourable`: the class whose rates per group are told (class 1 of
    two, if not given). `outputs`, `output`: as for `audit`.

    Raises InputError for unknown features, columns, classes and words, and for a margin that is none.
    """
    from attribution_suite.auditing.plan import check_questions
    from attribution_suite.auditing.rules import Rules
    from attribution_suite.auditing.work.information import asked_of
    from attribution_suite.networks.given import as_ensemble
    from attribution_suite.networks.nodes import Nodes
    from attribution_suite.options import one_or_more, word

    table = load_table(dataset, None, target, task, prepare)
    rules = Rules(information=word("profile", profile, ("quick", "full")), information_margin=margin,
                  conditional_on=one_or_more("conditional_on", conditional_on), favourable=favourable)
    check_questions(rules, [table])
    ensemble = as_ensemble(networks, table, outputs, output)
    asked = feature_set(table, ensemble, feature, 0)
    for name in rules.conditional_on:
        if set(table.columns(name)) & set(asked.columns):
            raise InputError(f"option 'conditional_on': given {name} nothing more can be told of it: name other "
                             f"columns than {asked.name}")
    nodes = Nodes.of([asked.columns]).repeat(len(ensemble)).to(ensemble.device)
    return asked_of(ensemble, nodes, table, rules, ceiling=True)
