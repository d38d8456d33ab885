"""A table of the user's own: what it must be like, its task, and its encoding."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import Encoded, Encoder, stack
from attribution_suite.datasets.files import TableFile, is_text, numbers, parse_frame, read_table_file
from attribution_suite.datasets.on_disk import OnDisk
from attribution_suite.datasets.own_columns import (
    MAX_CATEGORIES,
    Columns,
    Frame,
    check_same_columns,
    mending,
    refuse_problems,
    refuse_stray_text,
)
from attribution_suite.datasets.own_split import own_split
from attribution_suite.datasets.preset import GENERIC
from attribution_suite.datasets.request import TEST_FRAME, DatasetRequest, Frames
from attribution_suite.datasets.sources import cache_directory
from attribution_suite.datasets.table import Provenance, TabularDataset, Task, decoy_noise
from attribution_suite.errors import InputError, unknown_name

TASKS: dict[str, Task] = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
MIN_ROWS = 20
MIN_CLASS_ROWS = 6  # so that a split 70/15/15 has every class in every part
MAX_NUMBER_CLASSES = 20
# What of a request does not decide how columns are encoded.
NOT_ENCODING = {"name", "preset", "pca", "data_dir", "real_only", "index_columns", "in_memory", "decoy", "test",
                "on_disk_above"}


@dataclass(frozen=True)
class _Given:
    """Rows as they were read, which of them the test file has, where they are from, and notes on the reading."""

    frame: Frame
    is_test: np.ndarray | None
    provenance: Provenance
    notes: tuple[str, ...]


def load_own(request: DatasetRequest, given: Frames) -> TabularDataset:
    """The table at the path `request.name`, or `given`; standardised, split 70/15/15 (stratified for classes).

    A DataFrame is read as the CSV that it would be written to, without its index. Inputs are encoded as `encode` says:
    numbers, booleans and text of at most 50 categories, with or without gaps. Rows without a target are dropped.
    Task, unless given: two values are 'binary'; text, booleans, and whole numbers of at most 20 values that have 10
    rows or more on average, are 'multiclass'; other numbers 'regression'. `notes` say what was found and done.
    Raises InputError, naming file, column and row, for whatever cannot be used as it is.
    """
    preset, task = request.chosen((GENERIC,)), request.task
    rows, where = _rows(request, given), request.name
    target = _check_target(rows.frame, request.target, where)
    present = rows.frame[target].notna().to_numpy()
    frame, dropped = _only(rows.frame, present), int((~present).sum())
    is_test = None if rows.is_test is None else rows.is_test[present]
    labels = frame[target]
    _check_variety(labels, where)
    chosen, sentence = infer_task(labels, where)
    if task is not None:
        if task not in TASKS:
            raise unknown_name("task", task, TASKS)
        chosen, sentence = TASKS[task], f"target '{target}': {task}, as asked for"
    targets, classes = _targets(labels, chosen, where)
    columns = Columns(frame, target, request, where)
    split = own_split(targets, chosen, request.split_seed, columns.group_of, is_test)
    encoded, told, on_disk = (_in_memory(columns, split[0]) if isinstance(frame, pd.DataFrame) else
                           _on_disk(columns, split[0], rows.provenance, request))
    without_target = [f"{dropped} rows without a value of the target '{target}' are dropped"] if dropped else []
    return TabularDataset(
        name=request.name if request.in_memory else Path(request.name).absolute().name.split(".")[0],
        inputs=encoded.inputs,
        targets=targets,
        feature_names=encoded.names,
        groups=encoded.groups,
        levels=encoded.levels,
        task=chosen,
        target_name=target,
        train_rows=split[0],
        validation_rows=split[1],
        test_rows=split[2],
        provenance=rows.provenance,
        classes=classes,
        preset=preset,
        notes=tuple(filter(None, (sentence, *rows.notes, told[0], *without_target, *told[1:]))),
        row_numbers=np.flatnonzero(present) if dropped else None,
        on_disk=on_disk,
    )


def _in_memory(columns: Columns, train_rows: np.ndarray) -> tuple[Encoded, list[str], None]:
    """Every column encoded, and what the user is told: first of missing values, then of what was asked for."""
    encoder = Encoder(train_rows, "mean", columns.where)
    values = list(_encoded(columns, encoder))
    return encoder.encoded(stack(values)), _told(columns), None


def _on_disk(columns: Columns, train_rows: np.ndarray, provenance: Provenance,
             request: DatasetRequest) -> tuple[Encoded, list[str], OnDisk]:
    """The same, one column at a time into a file; the decoy's noise is its last column, for a table that asks for it.

    The file is made once for the same source, options, and code that reads and encodes it.
    """
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
    options = {name: value for name, value in asdict(request).items() if name not in NOT_ENCODING}

    def each(known: dict[str, Any]) -> Iterator[np.ndarray]:
        encoder = Encoder(train_rows, "mean", columns.where)
        yield from _encoded(columns, encoder)
        yield decoy_noise(len(columns.frame), 0)[:, 0]
        known |= {"names": encoder.names, "groups": encoder.groups, "levels": encoder.levels, "told": _told(columns)}

    stored, known = OnDisk.of(cache_directory() / "rows", [provenance.sha256, options, code.hexdigest()],
                          len(columns.frame), each)
    encoded = Encoded(
        stored.columns(len(known["names"])), tuple(known["names"]),
        {name: tuple(places) for name, places in known["groups"].items()},
        {name: tuple(levels) for name, levels in known["levels"].items()})
    note = (f"rows kept on disk: {stored.gigabytes:.1f} GB of encoded columns, and as much again of scaled rows, in "
            f"{stored.path.parent} (option 'on_disk_above', {request.most_in_memory:g} GB)")
    return encoded, [*known["told"], note], stored


def _encoded(columns: Columns, encoder: Encoder) -> Iterator[np.ndarray]:
    """The features of every column, `[rows]` each. Raises InputError that names all columns that cannot be inputs."""
    failed: InputError | None = None
    for column in columns.ready():
        try:
            yield from encoder.features(column, columns.parts.get(str(column.name), str(column.name)))
        except InputError as error:  # told after what is wrong with whole columns
            failed = failed or error
    refuse_problems(columns.treatments, columns.where)
    if failed:
        raise failed
    if not encoder.names:
        raise InputError(f"{columns.where}: no column is left to predict '{columns.target}' from")


def describe_own(request: DatasetRequest, given: Frames) -> list[str]:
    """Lines that tell, before anything is trained, what `load_own` does to each column, and what mends the rest."""
    rows, where = _rows(request, given), request.name
    frame, target = rows.frame, request.target
    if target is not None and target not in frame:
        raise unknown_name(f"column of {where}", target, map(str, frame))
    gaps = 0 if target is None else int(frame[target].isna().sum())
    lines = [f"{where}: {len(frame)} rows, {len(frame.columns)} columns", *rows.notes]
    if target is None:
        lines.append("no target is named (option 'target'): every column is taken for an input here")
    else:
        frame = _only(frame, frame[target].notna().to_numpy())
        _check_variety(frame[target], where)
        lines += [infer_task(frame[target], where)[1]] + ([f"{gaps} rows without a target are dropped"] if gaps else [])
    columns = Columns(frame, target, request, where)
    for _ in columns.ready():
        pass  # each is looked at, and none is kept
    width = max((len(treatment.column) for treatment in columns.treatments), default=0)
    lines += [f"  {treatment.column:{width}}  {treatment.becomes or 'CANNOT BE AN INPUT: ' + treatment.problem}"
              for treatment in columns.treatments]
    words, _ = mending(columns.treatments)
    return [*lines, *columns.notes, *([f"what mends it: {words}"] if words else [])]


def _rows(request: DatasetRequest, given: Frames) -> _Given:
    """The rows of the file or the DataFrame, and those of the test file or DataFrame behind them."""
    if given.table is None:
        rows = _of_files(request)
    else:
        frame, notes, digest = parse_frame(given.table, request.name, request.reading)
        rows = _Given(frame, None, Provenance("given", "DataFrame", digest), notes)
    if request.test is None:
        return rows
    if given.test is None:
        if request.test == TEST_FRAME:
            raise InputError("option 'test' was given as an object: it cannot be loaded again")
        file = _read(request.test, request)
        return _with_test(rows, file.frame, request.test, file.sha256)
    test, _, digest = parse_frame(given.test, f"the {TEST_FRAME} of option 'test'", request.reading)
    return _with_test(rows, test, f"a {TEST_FRAME}", digest)


def _of_files(request: DatasetRequest) -> _Given:
    """The rows of a file, of a folder or of a URL; columns to be read one by one where they are to be kept on disk."""
    if _may_be_large(request.name):
        from attribution_suite.datasets.parquet import ParquetFiles, ParquetFrame

        files = ParquetFiles.of(request.name)
        if files is not None and files.gigabytes > request.most_in_memory:
            told = (f"read as missing too: {', '.join(request.na)}",) if request.na else ()
            return _Given(ParquetFrame(files, request.reading), None,
                          Provenance("file", request.name, files.sha256), told)
    file = _read(request.name, request)
    return _Given(file.frame, None, Provenance("file", request.name, file.sha256), file.notes)


def _may_be_large(name: str) -> bool:
    return "://" in name or Path(name).is_dir() or name.lower().endswith(".parquet")


def _read(name: str, request: DatasetRequest) -> TableFile:
    """A file, or a folder or URL of Parquet files, in memory."""
    if not ("://" in name or Path(name).is_dir()):
        return read_table_file(Path(name), request.reading)
    from attribution_suite.datasets.parquet import ParquetFiles

    files = ParquetFiles.of(name)
    assert files is not None
    frame, notes, _ = parse_frame(files.frame(), name, request.reading)
    return TableFile(Path(name), frame, files.sha256, files.sha256, notes)


def _only(frame: Frame, present: np.ndarray) -> Frame:
    """The rows `present` `[rows]` bool."""
    return frame[present].reset_index(drop=True) if isinstance(frame, pd.DataFrame) else frame.only(present)


def _with_test(rows: _Given, test: pd.DataFrame, where: str, sha256: str) -> _Given:
    check_same_columns(rows.frame, test, where)
    frame = (pd.concat([rows.frame, test[list(rows.frame)]], ignore_index=True)
             if isinstance(rows.frame, pd.DataFrame) else rows.frame.followed_by(test))
    origin = rows.provenance
    digest = hashlib.sha256(f"{origin.sha256} {sha256}".encode()).hexdigest()
    note = f"the test rows are the {len(test)} of {where}"
    return _Given(frame, np.arange(len(frame)) >= len(rows.frame),
                  Provenance(origin.source, f"{origin.location}; {where}", digest, note), (*rows.notes, note))


def _told(columns: Columns) -> list[str]:
    """What the user is told of missing values, '' where there are none, then of what was asked for."""
    filled = (f"missing values in {', '.join(f'{name} ({count})' for name, count in columns.gaps.items())}: numbers "
              "take the training rows' mean, and each such column has a feature that says 'missing'")
    return [filled if columns.gaps else "", *columns.notes]


def infer_task(column: pd.Series, where: str) -> tuple[Task, str]:
    """The task of a target by the rule of `load_own`, and a sentence that tells the user."""
    name, distinct = column.name, column.nunique()
    override = "option 'task' overrides"
    if distinct == 2:
        low, high = sorted(map(str, column.unique()))
        return "binary", f"target '{name}' has two values, {low} and {high}: binary ({override})"
    if is_text(column):
        return "multiclass", f"target '{name}' has {distinct} categories: multiclass ({override})"
    values = numbers(column, where)
    whole = bool((values == np.round(values)).all())
    if whole and distinct <= MAX_NUMBER_CLASSES and len(column) >= 10 * distinct:
        return "multiclass", f"target '{name}' has {distinct} whole-number values: multiclass ({override})"
    return "regression", f"target '{name}' has {distinct} numeric values: regression ({override})"


def _check_target(frame: Frame, target: str | None, where: str) -> str:
    """The target's name. Raises InputError for a table or target that nothing can be learned from."""
    if target is None:
        raise InputError(f"{where}: name the column to predict: option 'target'")
    if target not in frame:
        raise unknown_name(f"column of {where}", target, map(str, frame))
    if len(frame.columns) == 1:
        raise InputError(f"{where}: '{target}' is the only column: there is nothing to predict it from")
    return target


def _check_variety(target: pd.Series, where: str) -> None:
    """Raises InputError for too few rows with a target `[rows]`, or for one that is the same in all."""
    if len(target) < MIN_ROWS:
        raise InputError(f"{where}: {len(target)} rows with a target, at least {MIN_ROWS} are needed to train and to "
                         "test")
    if target.nunique() == 1:
        raise InputError(f"{where}: target '{target.name}' is always {target.iloc[0]}: there is nothing to predict")


def _targets(column: pd.Series, task: Task, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Targets `[rows]` in the form that `Split` says, and the classes' names. Raises InputError if they do not fit."""
    if not is_text(column):
        numbers(column, where)
    else:
        refuse_stray_text(column, where)
    if task == "regression" and is_text(column):
        raise InputError(f"{where}: target '{column.name}' is text, a regression needs numbers: "
                         "set option 'task' to binary or multiclass")
    if task == "regression":
        return numbers(column, where).astype(np.float32), ()
    labels, codes = np.unique(column.to_numpy(), return_inverse=True)
    if task == "binary" and len(labels) != 2:
        raise InputError(f"{where}: target '{column.name}' has {len(labels)} values, a binary task needs 2: "
                         "set option 'task' to multiclass")
    if len(labels) > MAX_CATEGORIES:
        raise InputError(f"{where}: target '{column.name}' has {len(labels)} classes, at most {MAX_CATEGORIES} are "
                         "possible: merge classes, or set option 'task' to regression if they are numbers")
    counts = np.bincount(codes)
    if counts.min() < MIN_CLASS_ROWS:
        raise InputError(f"{where}: class '{labels[counts.argmin()]}' of target '{column.name}' has {counts.min()} "
                         f"rows, at least {MIN_CLASS_ROWS} are needed: merge it with another, or drop it")
    return codes.astype(np.float32 if task == "binary" else np.int64), tuple(map(str, labels))
