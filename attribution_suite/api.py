"""The library: an audit in one call, or its steps one by one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_suite.calls import in_own_words
from attribution_suite.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from attribution_suite.auditing.check import Checked
    from attribution_suite.datasets.preset import Training
    from attribution_suite.datasets.removable import FeatureSet
    from attribution_suite.datasets.request import Frames
    from attribution_suite.datasets.table import TabularDataset
    from attribution_suite.measures.information.result import Information
    from attribution_suite.measures.worst_case.result import WorstCase
    from attribution_suite.networks.given import Networks
    from attribution_suite.networks.network import Ensemble
    from attribution_suite.networks.refit import Fit
    from attribution_suite.networks.training import Trained
    from attribution_suite.reporting.compare import Comparison
    from attribution_suite.results import Audit
    from attribution_suite.scorers.attribution import Attribution

    # A DataFrame of pandas, or what becomes one by its own `to_pandas` (polars, pyarrow).
    Data = str | Path | TabularDataset | DataFrame

DEFAULT_OUT = "attribution-audit"


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

    table = _table(dataset, preset, target, task, prepare)
    return train_originals(table, table.preset, seed_numbers(seeds), choose(device), _budget(training))


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
    table = _table(dataset, None, target, task, prepare)
    choice = Choice(written(scorer), options)
    ensemble, layer, (numbered,) = at_named_layers(
        as_ensemble(networks, table, outputs, output), layer_of(choice.name) if layer is None else layer,
        [choice.name], table.train.inputs)
    ensemble, table, layer = _at_layer(ensemble, table, layer)
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

    table = _table(dataset, preset, target, task, prepare)
    original, table, layer = _at_layer(as_ensemble(networks, table, outputs, output), table, layer)
    numbers = seed_numbers(len(original) if seeds is None else seeds)
    if len(numbers) != len(original):
        raise InputError(f"{len(original)} networks need as many seeds, got {len(numbers)}")
    checked_options(REMOVALS, method, options)
    edit: Removal = REMOVALS.make(method, **options)
    removed = _feature_set(table, original, feature, layer)
    nodes = Nodes.of([removed.columns]).repeat(len(original)).to(original.device)
    cold = _budget(training) or table.preset.training
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
    table = _table(dataset, None, target, task, prepare)
    ensemble, table, layer = _at_layer(as_ensemble(networks, table, outputs, output), table, layer)
    nodes = Nodes.of([_feature_set(table, ensemble, feature, layer).columns]).repeat(len(ensemble))
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

    table = _table(dataset, None, target, task, prepare)
    rules = Rules(information=word("profile", profile, ("quick", "full")), information_margin=margin,
                  conditional_on=one_or_more("conditional_on", conditional_on), favourable=favourable)
    check_questions(rules, [table])
    ensemble = as_ensemble(networks, table, outputs, output)
    asked = _feature_set(table, ensemble, feature, 0)
    for name in rules.conditional_on:
        if set(table.columns(name)) & set(asked.columns):
            raise InputError(f"option 'conditional_on': given {name} nothing more can be told of it: name other "
                             f"columns than {asked.name}")
    nodes = Nodes.of([asked.columns]).repeat(len(ensemble)).to(ensemble.device)
    return asked_of(ensemble, nodes, table, rules, ceiling=True)


@in_own_words
def audit(datasets: "Data | list[Data] | tuple[Data, ...]" = (), *, networks: "Networks | None" = None,
          outputs: str | None = None, output: int | str | None = None, training: "Training | None" = None,
          fit: "Fit | None" = None, target: str | None = None,
          task: str | None = None, sep: str | None = None, decimal: str | None = None, encoding: str | None = None,
          na: Sequence[str] = (), drop: Sequence[str] = (), id: str | None = None,  # noqa: A002 - as on the command line
          categorical: Sequence[str] = (), ordinal: Sequence[str] = (), dates: Sequence[str] = (),
          group_by: str | None = None, group_rare: int | None = None, test: "str | Path | DataFrame | None" = None,
          on_disk_above: float | None = None,
          remove: str | Sequence[str | Sequence[str]] | None = None,
          removals: str | Sequence[str] | None = None,
          scorers: Sequence[object] | None = None, profile: str = "quick", preset: str = "default",
          pca: int | None = None, data_dir: str | Path | None = None, real_only: bool = False, layer: int | str = 0,
          inside: str | int | None = None, seeds: int | None = None, rows: int | None = None,
          background: int | None = None, lime_rows: int | None = None, lime_samples: int | None = None,
          tuning: float | None = None, delta: float = 0.01, delta_absolute: float | None = None,
          information: str | None = None, information_margin: float | None = None,
          conditional_on: str | Sequence[str] = (), favourable: str | None = None, splits: int = 1,
          index_columns: Sequence[str] = (), reference: str = "sample", baseline: str | None = None,
          metrics: bool = False, proxies: str = "keep",
          out: str | Path = DEFAULT_OUT, jobs: int | None = None, cluster: str | None = None,
          store: str | Path | None = None, device: str = "auto", fresh: bool = False,
          sign_key: str | Path | None = None, say: Callable[[str], None] = print) -> "Audit":
    """Runs an audit and writes its tables, figures and report to `out`; what is done there already is not repeated.

    `datasets`: names of the catalogue (default: the four of the main job), files or DataFrames of pandas, polars or
    pyarrow (with `target`, and `task` instead of the inferred one), or encoded tables (`from_arrays`). How files and
    DataFrames are read and what becomes of their columns: `sep`, `decimal`, `encoding`, `na`, `drop`, `id`,
    `categorical`, `ordinal`, `dates`, `group_by`, `group_rare` and `test`, as docs/guide/tables.md says;
    `on_disk_above`, gigabytes above which Parquet data are kept on disk, as docs/guide/large.md does.
    `preset`: 'default' or 'published', `pca`: the first k principal
    components as the inputs, `data_dir` and `real_only`: as for `load_dataset`.
    `networks`: trained networks of one's own for the one data set, in the place of those that the audit would train:
    an nn.Module (or a skorch net) or a list of them, one a seed, that take its encoded inputs and return
    `[rows, outputs]`. They stay as they are. `output`: which result, where they return several: an index, key or
    attribute. `outputs`: what they return for classes, 'logit' or 'probability', whose logits are then explained;
    without it, what looks like probabilities is refused. Of two logits for a binary task the second minus the first is
    explained. `training`: the budget of their retraining and, in part, of
    their fine-tuning. `fit(model, split, seed)`: their own recipe in the place of that retraining. It trains `model`,
    an untrained copy (in train mode; an estimator is cloned), on `split.train` and `split.validation` (`.inputs`,
    `.targets`), where the removed columns are at their means, in place, or returns another.
    A fitted estimator of scikit-learn's kind is a network too: an MLP as stacked weights, any other by its predictions.
    `layer`: 0 the inputs, l > 0 a hidden layer, or the name of one in networks of one's own ('encoder.2').
    `remove`: features (or 'unit:3' of a hidden `layer`), 'top:K' or 'all'; default: what each data set declares.
    Several that are removed together, from one network, are a list of their names, or 'sex+race'.
    `removals`, `scorers`: which methods, options behind a name if you like (`integrated_gradients?steps=100`); default:
    the removals and scorers of the main job (['all']: the whole catalogue). A scorer may be any of Captum's, by name
    (`captum:KernelShap`), class or object. `inside`: 'all' hidden layers, or one, to look into.
    `profile`: 'quick' or 'full', whose numbers `seeds` … `tuning` replace: networks trained, test rows explained,
    training rows that scorers may draw from, rows and samples of LIME, fine-tuning epochs as a fraction.
    `delta`: the largest move of the output that counts as none, as a part of the standard deviation of each original's
    output over the test rows; `delta_absolute`: instead, in the output's own units. Fixed here, before anything runs.
    `information`: what is asked about what networks still tell of a removed feature: 'off'; 'quick', ridge probes of
    the output and the last hidden layer, distance correlation; 'full', boosted probes, every layer and dependence given
    the target too; the profile's, if not given. `information_margin`: what counts as none, R² of a number (0.02) or AUC
    above 0.5 of a category (0.07). `conditional_on`: a column, or
    several, given which dependence is asked as well. `favourable`: the
    class whose rates per group of a categorical feature are told (class 1 of two, if not given).
    `proxies`: 'drop' takes, with each removed feature, those that predict it (at most five, chosen on training rows
    until the best of the rest adds less than the margin of `information_margin`); 'residualise' leaves them, less their
    linear regression on the feature, of which every new row is then asked; what is measured is the feature.
    `splits`: on how many splits of its rows into training, validation and test rows each data set is audited: 1, or at
    least 3, which give intervals over splits; each has networks of its own, and the first is that of a single one.
    `index_columns`: features of one column that holds a category's number, left as it is: it is replaced only by
    numbers that occur in training. Those that an `nn.Embedding` of given networks reads are found without.
    `reference`: 'sample' holds every scorer against the package's own call (Captum's, LIME's, scikit-learn's; for our
    own a loop) on a few rows of a few networks, and one that differs fails; 'all' takes the packages' own numbers,
    slowly; 'off' does neither.
    `baseline`: what scorers compare a row with: 'zero' on the scaled inputs; 'mean' or 'median' of the training rows;
    'row:N', row N of the whole table, 0 the first; 'distribution', training rows, over which φ is averaged; each
    scorer's own (zero, or training rows), if not given. Scorers without a baseline are named.
    `metrics`: measures how true each scorer's explanations are to the networks, and how steady (infidelity and maximum
    sensitivity, before and after each removal), and names scorers that say the same when all weights are random: on 20
    rows of three networks. It is off if not asked for, since every scorer then explains some twenty times as often.
    `jobs`: worker processes; if not given, one a core, or for a small run this process alone. `cluster`: instead of
    them the workers of a Dask scheduler, by its address, or 'local:N'; all machines then share `out`, or `store`.
    `store`: a folder or URL of fsspec where finished chunks lie for every run that names it (docs/guide/cluster.md).
    `device`: 'cpu', 'cuda',
    or 'auto': a GPU if there is one.
    `fresh`: repeats what `out` holds. `sign_key`: a private key of Ed25519 (PEM) that signs the certificates.
    `say` is told of the progress, line by line.

    Returns the tables. Raises InputError for anything that cannot be run, ConnectionError where the scheduler of a
    cluster is lost: what is finished is kept.
    """
    from attribution_suite.auditing.opened import open_run
    from attribution_suite.auditing.run import first_splits, prepare, run_audit
    from attribution_suite.auditing.spec import make_spec
    from attribution_suite.conclusions.verdicts import write_verdicts
    from attribution_suite.datasets.load import as_frame
    from attribution_suite.datasets.request import TEST_FRAME, Frames
    from attribution_suite.evidence.dsse import private_key
    from attribution_suite.evidence.write import write_certificates, write_list
    from attribution_suite.networks.given import count_networks
    from attribution_suite.reporting.page import draw_report
    from attribution_suite.results import Audit

    test_rows = as_frame(test)
    names, tables = _named(datasets if isinstance(datasets, list | tuple) else [datasets], test_rows)
    in_memory = [name for name, table in tables.items() if not isinstance(table, Frames) or table.table is not None]
    if not callable(say):
        raise InputError(f"option 'say' is a function that takes a line of text, got {say!r}")
    if networks is not None and seeds is None:
        seeds = count_networks(networks)
    spec = make_spec(
        names, target=target, task=task, own={
            "sep": sep, "decimal": decimal, "encoding": encoding, "na": na, "drop": drop, "id": id,
            "categorical": categorical, "ordinal": ordinal, "dates": dates, "group_by": group_by,
            "group_rare": group_rare, "test": test if test_rows is None else TEST_FRAME,
            "on_disk_above": on_disk_above}, remove=remove,
        removals=removals, scorers=scorers, profile=profile,
        preset=preset, pca=pca, data_dir=data_dir, real_only=real_only, layer=layer, inside=inside,
        in_memory=in_memory, decoy=networks is None, seeds=seeds, rows=rows,
        background=background, lime_rows=lime_rows, lime_samples=lime_samples, tuning=tuning, delta=delta,
        delta_absolute=delta_absolute, information=information, information_margin=information_margin,
        conditional_on=conditional_on, favourable=favourable, splits=splits, index_columns=index_columns,
        reference=reference, baseline=baseline, metrics=metrics, proxies=proxies)
    folder, key = _folder("out", out), None if sign_key is None else private_key(_folder("sign_key", sign_key))
    prepared = prepare(spec, device=device, tables=tables, networks=networks, training=_budget(training),
                       outputs=outputs, output=output, fit=fit, say=say)
    with open_run(prepared, folder, jobs=jobs, cluster=cluster, store=store, fresh=fresh, say=say) as context:
        failed = run_audit(prepared, context, folder)
        judged = write_verdicts(folder)
        write_certificates(folder, key)
        draw_report(folder, first_splits(prepared.datasets), context.engine.each, judged, say)
        write_list(folder, key)
    return Audit(folder, failed, first_splits(prepared.datasets))


@in_own_words
def neurons(datasets: "Data | list[Data] | tuple[Data, ...]" = (), *, networks: "Networks | None" = None,
            outputs: str | None = None, output: int | str | None = None, inside: str | int = "all",
            target: str | None = None, task: str | None = None, sep: str | None = None, decimal: str | None = None,
            encoding: str | None = None, na: Sequence[str] = (), drop: Sequence[str] = (),
            id: str | None = None,  # noqa: A002 - as on the command line
            categorical: Sequence[str] = (), ordinal: Sequence[str] = (), dates: Sequence[str] = (),
            group_by: str | None = None, group_rare: int | None = None, test: "str | Path | DataFrame | None" = None,
            on_disk_above: float | None = None,
            profile: str = "quick", preset: str = "default",
            pca: int | None = None, data_dir: str | Path | None = None, real_only: bool = False,
            seeds: int | None = None, rows: int | None = None, background: int | None = None,
            out: str | Path = DEFAULT_OUT, jobs: int | None = None, device: str = "auto", fresh: bool = False,
            say: Callable[[str], None] = print) -> "Audit":
    """Looks inside the networks: units, masking, paths, how weights grew. Nothing is removed.

    `inside`: 'all' hidden layers, or one by its number or, in networks that are given, its name (of a module that is no
    chain one layer, by its name: without drivers and paths, which read weights). The other words are those of `audit`.

    Returns the tables, those of `tables.NEURON_TABLES` with them. Raises InputError for anything that cannot be run.
    """
    from attribution_suite.auditing.work.look import SCORERS

    return audit(datasets, networks=networks, outputs=outputs, output=output, removals=[], scorers=SCORERS,
                 inside=inside, target=target, task=task, sep=sep, decimal=decimal, encoding=encoding, na=na, drop=drop,
                 id=id, categorical=categorical, ordinal=ordinal, dates=dates, group_by=group_by,
                 group_rare=group_rare, test=test, on_disk_above=on_disk_above, profile=profile, preset=preset,
                 pca=pca, data_dir=data_dir, real_only=real_only, seeds=seeds, rows=rows, background=background,
                 out=out, jobs=jobs, device=device, fresh=fresh, say=say)


@in_own_words
def describe(dataset: "str | Path | DataFrame", **options: Any) -> list[str]:
    """Lines that say what `audit` will do to each column of a file or DataFrame, before anything is trained.

    `options`: those that `audit` has for tables of one's own (`target`, `sep`, `drop`, …).
    Raises InputError for a table that cannot be read, and for options that name no column of it.
    """
    from attribution_suite.datasets.load import describe_dataset

    return describe_dataset(dataset, **options)


@in_own_words
def report(run_dir: str | Path, *, pack: bool = False, say: Callable[[str], None] = print) -> Path:
    """Draws the report of a finished run again; returns the page's path.

    `pack`: also writes `report.zip`, with the page, its figures, the record and every table as CSV, whose path is then
    returned. `say` is told what is drawn.
    Raises InputError for a folder that holds no finished run, that a run is writing to, or that cannot be written to.
    """
    from attribution_suite.reporting.pack import pack as packed
    from attribution_suite.reporting.redraw import redraw

    page = redraw(_folder("run_dir", run_dir), say)
    return packed(page.parent) if pack else page


@in_own_words
def compare(run_a: str | Path, run_b: str | Path, *, out: str | Path | None = None) -> "tuple[Comparison, Path]":
    """What differs between two finished runs, verdicts first, and the page that says it.

    `out`: where the page is written (default: compare.html in the folder of the first run). Raises InputError for a
    folder that holds no finished run.
    """
    from attribution_suite.files import writing
    from attribution_suite.reporting import compare as comparing

    folders = _folder("run_a", run_a), _folder("run_b", run_b)
    found = comparing.compare(*folders)
    page = folders[0] / "compare.html" if out is None else _folder("out", out)
    with writing(page):
        return found, comparing.write(found, page)


@in_own_words
def check(model: str | Path, data: "str | Path | DataFrame", feature: str, max_effect: float, *, rows: int = 2000,
          target: str | None = None, task: str | None = None, data_dir: str | Path | None = None,
          **options: Any) -> "Checked":
    """Does an exported network move by more than `max_effect` when `feature` alone moves? `passed`: proved or bounded.

    `feature`: one, or several that move together: 'sex+race' (of several numbers a search, which bounds nothing).
    `model`: a .safetensors file of `Audit.export` or `attribution-suite export`, its card beside it. `data`: a data set
    of the catalogue, or a file or DataFrame with the same columns; its first `rows` rows are looked at, prepared as the
    card says, and the feature moves over what all its rows say it may be. `max_effect` > 0: in f's units, the output's
    or, for classes, the logit's. `target`, `task`: of a file or DataFrame, the card's if not given. `data_dir`: as for
    `load_dataset`. `options`: of a file or DataFrame, those that `audit` has for it, where they are not as the card
    says or, of how it is written (`sep`, `decimal`, `encoding`), not found.

    Raises InputError for a file, card, table, feature or option that cannot be used.
    """
    from attribution_suite.auditing.check import check_network
    from attribution_suite.datasets.load import as_frame
    from attribution_suite.options import positive, whole_number

    table = data if isinstance(data, str | Path) else as_frame(data)
    if not isinstance(model, str | Path):
        raise InputError(f"option 'model' is the path of a file, got {model!r}")
    if table is None:
        raise InputError(f"option 'data' is the path of a file, or a DataFrame, got {data!r}")
    return check_network(Path(model), table, feature, positive("max_effect", max_effect), whole_number("rows", rows, 1),
                         {"target": target, "task": task, "data_dir": data_dir, **options})


def _table(dataset: "Data", preset: str | None, target: str | None, task: str | None,
           prepare: Mapping[str, Any] | None) -> "TabularDataset":
    """The data set; a table that the caller has brings its own preset. Raises InputError where `preset` differs."""
    from attribution_suite.datasets.load import as_frame, load_dataset
    from attribution_suite.datasets.table import TabularDataset

    if not isinstance(prepare, Mapping | None):
        raise InputError("option 'prepare' is a dictionary of options of `load_dataset`, as {'drop': ['id']}, got "
                         f"{prepare!r}")
    told = {"target": target, "task": task, **(prepare or {})}
    if isinstance(dataset, str | Path) or (frame := as_frame(dataset)) is not None:
        return load_dataset(dataset if isinstance(dataset, str | Path) else frame, **{
            "preset": preset or "default", **told})
    if not isinstance(dataset, TabularDataset):
        raise _no_data(dataset)
    for option, value in told.items():
        if value is not None:
            raise InputError(f"'{dataset.name}' is a table already: option '{option}' is for what is yet to be loaded")
    if preset not in (None, dataset.preset.name):
        raise InputError(f"'{dataset.name}' is a table with the preset '{dataset.preset.name}': option 'preset' is for "
                         "what is yet to be loaded")
    return dataset


def _at_layer(networks: "Ensemble", table: "TabularDataset",
              layer: int | str) -> tuple["Ensemble", "TabularDataset", int]:
    """The networks with a layer that is named, the table with the index columns that they have, the layer's number.

    Raises InputError for a layer that cannot be.
    """
    from attribution_suite.networks.indexed import told_of_index
    from attribution_suite.networks.layered import at_layer
    from attribution_suite.options import whole_number

    networks, number = at_layer(networks, layer, table.train.inputs)
    return networks, told_of_index(table, networks), whole_number("layer", number, 0)


def _named(datasets: "Sequence[Data]",
           test: "DataFrame | None") -> "tuple[list[str], dict[str, TabularDataset | Frames]]":
    """Every data set's name, and the tables among them by theirs; a DataFrame is called 'table'."""
    from attribution_suite.datasets.load import UNNAMED, as_frame
    from attribution_suite.datasets.request import Frames
    from attribution_suite.datasets.table import TabularDataset

    names: list[str] = []
    tables: dict[str, TabularDataset | Frames] = {}
    for dataset in datasets:
        if isinstance(dataset, str | Path):
            names.append(str(dataset))
            tables |= {} if test is None else {str(dataset): Frames(None, test)}
            continue
        table = dataset if isinstance(dataset, TabularDataset) else as_frame(dataset)
        if table is None:
            raise _no_data(dataset)
        names.append(table.name if isinstance(table, TabularDataset) else UNNAMED)
        tables[names[-1]] = table if isinstance(table, TabularDataset) else Frames(table, test)
    return names, tables


def _no_data(value: object) -> InputError:
    return InputError("a data set is a name, a file, a DataFrame or a table made by `from_arrays`, got a "
                      f"{type(value).__name__}: {' '.join(repr(value).split())[:60]}")


def _budget(training: object) -> "Training | None":
    """The caller's own. Raises InputError for what is no `Training`."""
    from attribution_suite.datasets.preset import Training

    if not isinstance(training, Training | None):
        raise InputError(f"option 'training' is a Training(epochs, batch_size, learning_rate), got {training!r}")
    return training


def _folder(option: str, path: object) -> Path:
    """The caller's folder. Raises InputError for what is no path."""
    if not isinstance(path, str | Path):
        raise InputError(f"option '{option}' is the path of a folder, got {path!r}")
    return Path(path)


def _feature_set(dataset: "TabularDataset", networks: "Ensemble", feature: str | Sequence[str],
                 layer: int) -> "FeatureSet":
    """Features, or units of a hidden layer. Raises InputError for a name that it does not have."""
    from attribution_suite.datasets.removable import Removable

    names = [feature] if isinstance(feature, str) else feature
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"a feature is named by a string, several of them by a list of strings, got {feature!r}")
    removable = Removable.of(dataset) if layer == 0 else Removable.units(
        networks.tail(layer).architecture.features, f"unit of layer {layer}")
    return removable.named(feature) if isinstance(feature, str) else removable.together(feature)
