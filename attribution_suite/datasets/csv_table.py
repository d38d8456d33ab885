"""A table of the user's own: what it must be like, its task, and its encoding."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import encode
from attribution_suite.datasets.files import is_text, numbers, read_csv_file
from attribution_suite.datasets.preset import GENERIC
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.table import Provenance, TabularDataset, Task, random_split, stratified_split
from attribution_suite.errors import InputError, unknown_name

TASKS: dict[str, Task] = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
MIN_ROWS = 20
MIN_CLASS_ROWS = 6  # so that a split 70/15/15 has every class in every part
MAX_CATEGORIES = 50
MAX_NUMBER_CLASSES = 20


def load_csv(request: DatasetRequest) -> TabularDataset:
    """The table at the path `request.name`, standardised, split 70/15/15 (stratified for classes).

    Inputs are encoded as `encode` says: numbers, booleans and text of at most 50 categories, with or without gaps.
    Task, unless given: two values are 'binary'; text, booleans, and whole numbers of at most 20 values that have 10
    rows or more on average, are 'multiclass'; other numbers 'regression'. `notes` has the sentence that says so.
    Raises InputError, naming file, column and row, for whatever cannot be used as it is.
    """
    preset = request.chosen((GENERIC,))
    path, task = Path(request.name), request.task
    file = read_csv_file(path)
    frame, where = file.frame, str(path)
    target = _check_target(frame, request.target, where)
    chosen, sentence = infer_task(frame[target], where)
    if task is not None:
        if task not in TASKS:
            raise unknown_name("task", task, TASKS)
        chosen, sentence = TASKS[task], f"target '{target}': {task}, as asked for"
    targets, classes = _targets(frame[target], chosen, where)
    inputs = frame.drop(columns=target)
    check_inputs(inputs, where)
    parts = (0.7, 0.15, 0.15)
    split = (random_split(len(frame), parts, request.split_seed) if chosen == "regression"
             else stratified_split(targets, parts, request.split_seed))
    encoded = encode(inputs, split[0], "mean", where)
    gaps = {name: int(count) for name, count in inputs.isna().sum().items() if count}
    filled = (f"missing values in {', '.join(f'{name} ({count})' for name, count in gaps.items())}: numbers take the "
              "training rows' mean, and each such column has a feature that says 'missing'")
    return TabularDataset(
        name=path.name.split(".")[0],
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
        provenance=Provenance("file", str(path), file.sha256),
        classes=classes,
        preset=preset,
        notes=(sentence, filled) if gaps else (sentence,),
    )


def infer_task(column: pd.Series, where: str) -> tuple[Task, str]:
    """The task of a target by the rule of `load_csv`, and a sentence that tells the user."""
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
    if len(frame) < MIN_ROWS:
        raise InputError(f"{where}: {len(frame)} rows, at least {MIN_ROWS} are needed to train and to test")
    column = frame[target]
    if gaps := int(column.isna().sum()):
        raise InputError(f"{where}: target '{target}' is missing in {gaps} rows: drop these rows")
    if column.nunique() == 1:
        raise InputError(f"{where}: target '{target}' is always {column.iloc[0]}: there is nothing to predict")
    return target


def _targets(column: pd.Series, task: Task, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Targets `[rows]` in the form that `Split` says, and the classes' names. Raises InputError if they do not fit."""
    if not is_text(column):
        numbers(column, where)
    else:
        _refuse_stray_text(column, where)
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


def check_inputs(frame: pd.DataFrame, where: str) -> None:
    """Raises InputError, naming the first column that cannot be an input."""
    seen: dict[bytes, str] = {}
    for name in frame:
        column = frame[name]
        if column.isna().all():
            raise InputError(f"{where}: column '{name}' has no value in any row: drop it")
        if column.nunique(dropna=False) == 1:
            raise InputError(f"{where}: column '{name}' is always {column.iloc[0]}: drop it, for it says nothing")
        if is_text(column):
            _check_text(column, where)
        else:
            _check_precision(column, where)
        content = hashlib.sha256(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes()).digest()
        if content in seen:
            raise InputError(f"{where}: columns '{seen[content]}' and '{name}' are the same in every row: drop one")
        seen[content] = str(name)


def _check_text(column: pd.Series, where: str) -> None:
    _refuse_stray_text(column, where)
    if (distinct := column.nunique()) > MAX_CATEGORIES:
        raise InputError(f"{where}: text column '{column.name}' has {distinct} different values, at most "
                         f"{MAX_CATEGORIES} are possible: drop it (a name, an id, a date?) or group its values")


def _refuse_stray_text(column: pd.Series, where: str) -> None:
    """A column of numbers with a few stray texts is read as text; that is a mistake in the file, not a category."""
    if pd.to_numeric(column, errors="coerce").notna().sum() > 0.5 * column.notna().sum():
        numbers(column, where)


def _check_precision(column: pd.Series, where: str) -> None:
    values = numbers(column, where)
    rounded = values[~np.isnan(values)].astype(np.float32)
    if np.ptp(rounded) == 0 and column.nunique() > 1:
        raise InputError(f"{where}: column '{column.name}' varies by less than single precision shows at "
                         f"{rounded[0]:g}: subtract its minimum")
