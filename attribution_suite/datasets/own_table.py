"""A table of the user's own: what it must be like, its task, and its encoding."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import encode
from attribution_suite.datasets.files import is_text, numbers, parse_frame, read_table_file
from attribution_suite.datasets.own_columns import (
    MAX_CATEGORIES,
    check_same_columns,
    mending,
    refuse_problems,
    refuse_stray_text,
    treat,
)
from attribution_suite.datasets.own_split import own_split
from attribution_suite.datasets.preset import GENERIC
from attribution_suite.datasets.request import TEST_FRAME, DatasetRequest, Frames
from attribution_suite.datasets.table import Provenance, TabularDataset, Task
from attribution_suite.errors import InputError, unknown_name

TASKS: dict[str, Task] = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
MIN_ROWS = 20
MIN_CLASS_ROWS = 6  # so that a split 70/15/15 has every class in every part
MAX_NUMBER_CLASSES = 20


@dataclass(frozen=True)
class _Given:
    """Rows as they were read, which of them the test file has, where they are from, and notes on the reading."""

    frame: pd.DataFrame
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
    frame, dropped = rows.frame[present].reset_index(drop=True), int((~present).sum())
    is_test = None if rows.is_test is None else rows.is_test[present]
    _check_variety(frame, target, where)
    chosen, sentence = infer_task(frame[target], where)
    if task is not None:
        if task not in TASKS:
            raise unknown_name("task", task, TASKS)
        chosen, sentence = TASKS[task], f"target '{target}': {task}, as asked for"
    targets, classes = _targets(frame[target], chosen, where)
    columns = treat(frame, target, request, where)
    refuse_problems(columns.treatments, where)
    if not len(columns.inputs.columns):
        raise InputError(f"{where}: no column is left to predict '{target}' from")
    split = own_split(targets, chosen, request.split_seed, columns.group_of, is_test)
    encoded = encode(columns.inputs, split[0], "mean", where, columns.parts)
    return TabularDataset(
        name=request.name if request.in_memory else Path(request.name).name.split(".")[0],
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
        notes=(sentence, *rows.notes, *_told_of_gaps(columns.inputs, dropped, target), *columns.notes),
        row_numbers=np.flatnonzero(present) if dropped else None,
    )


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
        frame = frame[frame[target].notna()].reset_index(drop=True)
        _check_variety(frame, target, where)
        lines += [infer_task(frame[target], where)[1]] + ([f"{gaps} rows without a target are dropped"] if gaps else [])
    columns = treat(frame, target, request, where)
    width = max((len(treatment.column) for treatment in columns.treatments), default=0)
    lines += [f"  {treatment.column:{width}}  {treatment.becomes or 'CANNOT BE AN INPUT: ' + treatment.problem}"
              for treatment in columns.treatments]
    words, _ = mending(columns.treatments)
    return [*lines, *columns.notes, *([f"what mends it: {words}"] if words else [])]


def _rows(request: DatasetRequest, given: Frames) -> _Given:
    """The rows of the file or the DataFrame, and those of the test file or DataFrame behind them."""
    if given.table is None:
        file = read_table_file(Path(request.name), request.reading)
        rows = _Given(file.frame, None, Provenance("file", str(file.path), file.sha256), file.notes)
    else:
        frame, notes, digest = parse_frame(given.table, request.name, request.reading)
        rows = _Given(frame, None, Provenance("given", "DataFrame", digest), notes)
    if request.test is None:
        return rows
    if given.test is None:
        if request.test == TEST_FRAME:
            raise InputError("option 'test' was given as an object: it cannot be loaded again")
        file = read_table_file(Path(request.test), request.reading)
        return _with_test(rows, file.frame, str(file.path), file.sha256)
    test, _, digest = parse_frame(given.test, f"the {TEST_FRAME} of option 'test'", request.reading)
    return _with_test(rows, test, f"a {TEST_FRAME}", digest)


def _with_test(rows: _Given, test: pd.DataFrame, where: str, sha256: str) -> _Given:
    check_same_columns(rows.frame, test, where)
    frame = pd.concat([rows.frame, test[list(rows.frame)]], ignore_index=True)
    origin = rows.provenance
    digest = hashlib.sha256(f"{origin.sha256} {sha256}".encode()).hexdigest()
    note = f"the test rows are the {len(test)} of {where}"
    return _Given(frame, np.arange(len(frame)) >= len(rows.frame),
                  Provenance(origin.source, f"{origin.location}; {where}", digest, note), (*rows.notes, note))


def _told_of_gaps(inputs: pd.DataFrame, dropped: int, target: str) -> list[str]:
    gaps = {name: int(count) for name, count in inputs.isna().sum().items() if count}
    filled = (f"missing values in {', '.join(f'{name} ({count})' for name, count in gaps.items())}: numbers take the "
              "training rows' mean, and each such column has a feature that says 'missing'")
    return [*([filled] if gaps else []), *([f"{dropped} rows without a value of the target '{target}' are dropped"]
                                           if dropped else [])]


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


def _check_target(frame: pd.DataFrame, target: str | None, where: str) -> str:
    """The target's name. Raises InputError for a table or target that nothing can be learned from."""
    if target is None:
        raise InputError(f"{where}: name the column to predict: option 'target'")
    if target not in frame:
        raise unknown_name(f"column of {where}", target, map(str, frame))
    if len(frame.columns) == 1:
        raise InputError(f"{where}: '{target}' is the only column: there is nothing to predict it from")
    return target


def _check_variety(frame: pd.DataFrame, target: str, where: str) -> None:
    """Raises InputError for too few rows with a target, or for one that is the same in all."""
    if len(frame) < MIN_ROWS:
        raise InputError(f"{where}: {len(frame)} rows with a target, at least {MIN_ROWS} are needed to train and to "
                         "test")
    if frame[target].nunique() == 1:
        raise InputError(f"{where}: target '{target}' is always {frame[target].iloc[0]}: there is nothing to predict")


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
