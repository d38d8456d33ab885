"""What a network takes, column by column: enough to prepare a row for it outside this package."""

from typing import Any

import numpy as np

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError

MISSING = " missing"


def columns_of(dataset: TabularDataset) -> list[dict[str, Any]]:
    """One entry an encoded column, in the order of the network's inputs: input = (value − centre) / scale.

    `name`: 'column' is the number itself; 'column=category' is 1 where the column is that category, else 0 (of two
    categories the second alone has a column); 'column missing' is 1 where there is no value. `column`: the original
    one. `low`, `high`: the training rows' range. `filled`: what stands for a missing number. `text`, `levels`:
    the column of text that a category is of, and all its categories.
    """
    centre, scale = dataset.scaler
    original = {index: name for name, group in dataset.groups.items() for index in group}
    entries = []
    for index, name in enumerate(dataset.feature_names):
        training = dataset.inputs[:, index][dataset.train_rows]
        entry = {"name": name, "column": original[index], "centre": float(centre[index]), "scale": float(scale[index]),
                 "low": float(training.min()), "high": float(training.max())}
        if (flag := name + MISSING) in dataset.feature_names:
            gaps = dataset.inputs[:, dataset.feature_names.index(flag)] == 1
            entry["filled"] = float(dataset.inputs[gaps, index][0])
        for text, levels in dataset.levels.items():
            if name in (f"{text}={level}" for level in levels):
                entry |= {"text": text, "levels": list(levels)}
        entries.append(entry)
    return entries


def prepared(dataset: TabularDataset, columns: list[dict[str, Any]]) -> np.ndarray:
    """All rows of another table as a network of these `columns` takes them, float32 `[rows, columns]`.

    A category that does not occur in the table is 0 everywhere. Raises InputError, naming the column, for one that the
    table lacks, for a category that the network has never seen, and for a column of another kind.
    """
    _check_columns(dataset, columns)
    inputs = np.empty((len(dataset.inputs), len(columns)), np.float32)
    for number, entry in enumerate(columns):
        inputs[:, number] = (_values(dataset, entry) - entry["centre"]) / entry["scale"]
    return inputs


def _check_columns(dataset: TabularDataset, columns: list[dict[str, Any]]) -> None:
    known = {entry["name"] for entry in columns}
    for entry in columns:
        column = entry["column"]
        if column not in dataset.groups:
            raise InputError(f"{dataset.name}: the network needs column '{column}': add it")
        encoded = [dataset.feature_names[index] for index in dataset.groups[column]]
        if "levels" in entry and entry["text"] in dataset.levels:
            if unseen := [level for level in dataset.levels[entry["text"]] if level not in entry["levels"]]:
                raise InputError(f"{dataset.name}: column '{entry['text']}' holds '{unseen[0]}', which the network has "
                                 f"never seen: it knows {', '.join(entry['levels'])}")
            encoded = [name for name in encoded if name == f"{entry['text']}{MISSING}"]
        if other := [name for name in encoded if name not in known]:
            raise InputError(f"{dataset.name}: the network has no input '{other[0]}': column '{column}' holds values "
                             "of another kind than it was trained on")


def _values(dataset: TabularDataset, entry: dict[str, Any]) -> np.ndarray:
    """One column `[rows]` before it is scaled."""
    name, column = entry["name"], entry["column"]
    names = [dataset.feature_names[index] for index in dataset.groups[column]]
    values: dict[str, np.ndarray] = dict(zip(names, dataset.inputs[:, list(dataset.groups[column])].T, strict=True))
    if name in values:
        if "filled" not in entry or name + MISSING not in values:
            return values[name]
        return np.where(values[name + MISSING] == 1, entry["filled"], values[name])
    levels = dataset.levels.get(entry.get("text", ""), ())
    of_text = [f"{entry.get('text')}={level}" for level in levels]
    if name in of_text:  # of two categories, and no gaps, one has no feature of its own
        return 1 - sum((values[level] for level in of_text if level in values), np.zeros(len(dataset.inputs)))
    if "levels" not in entry and not name.endswith(MISSING):
        raise InputError(f"{dataset.name}: the network takes '{name}' as a number, the table does not")
    return np.zeros(len(dataset.inputs))
