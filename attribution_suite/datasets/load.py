"""From a request to its table: a data set of the catalogue, a file, or the caller's own table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.datasets import DATASETS, FILE_ENDINGS, is_file_name
from attribution_suite.datasets.request import TEST_FRAME, DatasetRequest, Frames
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError

UNNAMED = "table"  # what a DataFrame is called


def load_dataset(name_or_table: Any, **options: Any) -> TabularDataset:
    """A data set of the catalogue, or a table of one's own: a file, or a DataFrame of pandas, polars or pyarrow.

    `options` are those of `DatasetRequest`: target, task, sep, decimal, encoding, na, drop, id, categorical, ordinal,
    dates, group_by, group_rare, test (of a table of one's own), preset, pca, data_dir, real_only, seed, split,
    index_columns.
    Raises InputError for an unknown name, option, preset or task, and for a table that cannot be used as it is.
    """
    request, frames = _asked(name_or_table, options)
    return load_request(request, frames)


def describe_dataset(table: Any, **options: Any) -> list[str]:
    """Lines that say what becomes of each column of a file or DataFrame; `options` as for `load_dataset`.

    Raises InputError for what is no table of one's own, for one that cannot be read, and for wrong options.
    """
    from attribution_suite.datasets.own_table import describe_own

    request, frames = _asked(table, options)
    if not request.in_memory and not is_file_name(request.name):
        raise InputError(f"'{request.name}': only files and DataFrames are described; files end in "
                         f"{', '.join(FILE_ENDINGS)}, or these in .gz or .zip")
    return describe_own(request, frames)


def _asked(table: Any, options: dict[str, Any]) -> tuple[DatasetRequest, Frames]:
    """The request for a file or DataFrame, and the frames that belong to it."""
    frame, test = as_frame(table), as_frame(options.get("test"))
    told = options | ({"test": TEST_FRAME} if test is not None else {})
    if frame is None:
        return DatasetRequest.of(table, **told), Frames(None, test)
    return DatasetRequest.of(UNNAMED, **told | {"in_memory": True}), Frames(frame, test)


def as_frame(table: object) -> pd.DataFrame | None:
    """A DataFrame of pandas, or of polars, pyarrow and others by their own `to_pandas`; None for anything else."""
    if not isinstance(table, pd.DataFrame) and callable(convert := getattr(table, "to_pandas", None)):
        table = convert()
    return table if isinstance(table, pd.DataFrame) else None


def load_request(request: DatasetRequest, table: TabularDataset | Frames | None = None) -> TabularDataset:
    """The data set; `table` is the caller's own, where the request says that it is in memory.

    Raises InputError for an unknown name, preset or task, for options that the data set has no use for, for another
    split of a data set that has one alone, and for a file that cannot be used as it is.
    """
    frames = table if isinstance(table, Frames) else Frames(None)
    encoded = request.in_memory and frames.table is None
    dataset = _in_memory(request, table) if encoded else _loaded(request, frames)
    if request.split:
        _check_splits(dataset)
        dataset = dataset.with_split(request.split) if encoded else dataset
    dataset = dataset.with_index_columns(request.index_columns) if request.index_columns else dataset
    dataset = dataset if dataset.split == request.split else replace(dataset, split=request.split)
    return dataset.with_decoy() if request.decoy and dataset.preset.name != "published" else dataset


def load_splits(request: DatasetRequest, splits: int,
                table: TabularDataset | Frames | None = None) -> list[TabularDataset]:
    """The data set on `splits` splits of its rows, the first the one that `load_request` gives.

    Raises InputError as `load_request` does, and where there is one split alone: a published preset, principal
    components, a loader that draws one whatever the request's `split_seed`, columns that are encoded differently.
    """
    datasets = [load_request(replace(request, split=split), table) for split in range(splits)]
    first = datasets[0]
    for other in datasets[1:]:
        if np.array_equal(other.train_rows, first.train_rows):
            raise InputError(f"option 'splits': the loader of {first.name} draws one split only (it must use "
                             "request.split_seed): leave it out")
        if (other.feature_names, other.groups) != (first.feature_names, first.groups):
            raise InputError(f"option 'splits': the training rows of split {other.split} of {first.name} are encoded "
                             "into other columns than those of split 0: leave it out, or drop columns that are rarely "
                             "filled")
    return datasets


def _check_splits(dataset: TabularDataset) -> None:
    """Raises InputError for a data set that has one split alone."""
    if dataset.preset.name == "published":
        raise InputError(f"option 'splits': the published preset of {dataset.name} has one split, the published one: "
                         "leave it out, or use preset 'default'")
    if dataset.components is not None:
        raise InputError(f"option 'splits': the principal components of {dataset.name} are those of one split's "
                         "training rows, so that 'PC 0' of another is another input: leave out splits, or pca")


def _loaded(request: DatasetRequest, frames: Frames) -> TabularDataset:
    """The file, the DataFrame or the catalogue's data set, as it is prepared."""
    if frames.table is not None or is_file_name(request.name):
        from attribution_suite.datasets.own_table import load_own

        dataset = load_own(request, frames)
    else:
        _check_name(request)
        dataset = DATASETS.load(request.name)(request)
    if request.pca is None:
        return dataset
    from attribution_suite.datasets.pca import principal_components

    return principal_components(dataset, request.pca)


def _in_memory(request: DatasetRequest, table: TabularDataset | Frames | None) -> TabularDataset:
    if not isinstance(table, TabularDataset):
        raise InputError(f"'{request.name}' was given as an object: it cannot be loaded again")
    for option in (*request.of_ones_own, *(["pca"] if request.pca is not None else [])):
        raise InputError(f"'{request.name}' is a table already: option '{option}' is for what is yet to be loaded")
    if request.preset not in ("default", table.preset.name):
        raise InputError(f"'{request.name}' is a table with the preset '{table.preset.name}': option 'preset' is for "
                         "what is yet to be loaded")
    return table


def _check_name(request: DatasetRequest) -> None:
    """Raises InputError for a name that is no data set, and for file options beside a data set's name."""
    if request.name not in DATASETS.names and Path(request.name).exists():
        raise InputError(f"{request.name}: only files that end in {', '.join(FILE_ENDINGS)}, or these in .gz or "
                         ".zip, are read")
    if request.name in DATASETS.names and request.of_ones_own:
        raise InputError(f"{request.name} has its own target and preparation: option "
                         f"'{next(iter(request.of_ones_own))}' is for tables of your own")
