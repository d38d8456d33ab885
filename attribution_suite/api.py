"""The library: an audit in one call, and what is done with a finished one. Its steps are in `steps.py`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_suite.arguments import named_tables, own_training, path_of
from attribution_suite.calls import in_own_words
from attribution_suite.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from attribution_suite.arguments import Data
    from attribution_suite.auditing.check import Checked
    from attribution_suite.datasets.preset import Training
    from attribution_suite.networks.given import Networks
    from attribution_suite.networks.refit import Fit
    from attribution_suite.reporting.compare import Comparison
    from attribution_suite.results import Audit

DEFAULT_OUT = "attribution-audit"


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
          store: str | Path | None = None, device: str = "auto", fresh: bool = False, page: bool = True,
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
    `fresh`: repeats what `out` holds. `page`: False draws no figures and no page; `report` draws them later.
    `sign_key`: a private key of Ed25519 (PEM) that signs the certificates.
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
    from attribution_suite.reporting.page import draw_report, remove_report
    from attribution_suite.results import Audit

    test_rows = as_frame(test)
    names, tables = named_tables(datasets if isinstance(datasets, list | tuple) else [datasets], test_rows)
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
    folder, key = path_of("out", out), None if sign_key is None else private_key(path_of("sign_key", sign_key))
    prepared = prepare(spec, device=device, tables=tables, networks=networks, training=own_training(training),
                       outputs=outputs, output=output, fit=fit, say=say)
    with open_run(prepared, folder, jobs=jobs, cluster=cluster, store=store, fresh=fresh, say=say) as context:
        failed = run_audit(prepared, context, folder)
        judged = write_verdicts(folder)
        write_certificates(folder, key)
        if page:
            draw_report(folder, first_splits(prepared.datasets), context.engine.each, judged, say)
        else:
            remove_report(folder)
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
            page: bool = True, say: Callable[[str], None] = print) -> "Audit":
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
                 out=out, jobs=jobs, device=device, fresh=fresh, page=page, say=say)


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

    page = redraw(path_of("run_dir", run_dir), say)
    return packed(page.parent) if pack else page


@in_own_words
def compare(run_a: str | Path, run_b: str | Path, *, out: str | Path | None = None) -> "tuple[Comparison, Path]":
    """What differs between two finished runs, verdicts first, and the page that says it.

    `out`: where the page is written (default: compare.html in the folder of the first run). Raises InputError for a
    folder that holds no finished run.
    """
    from attribution_suite.files import writing
    from attribution_suite.reporting import compare as comparing

    folders = path_of("run_a", run_a), path_of("run_b", run_b)
    found = comparing.compare(*folders)
    page = folders[0] / "compare.html" if out is None else path_of("out", out)
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
