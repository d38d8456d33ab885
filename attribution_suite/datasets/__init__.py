"""Data sets: the catalogue, and any CSV file, as a `TabularDataset`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_suite.registry import Registry

if TYPE_CHECKING:
    from attribution_suite.datasets.table import TabularDataset

DATASETS = Registry("data set", {
    "boston": "attribution_suite.datasets.boston:load",
    "iris": "attribution_suite.datasets.iris:load",
    "heart": "attribution_suite.datasets.heart:load",
    "prudential": "attribution_suite.datasets.prudential:load",
    "synthetic": "attribution_suite.datasets.synthetic:load_proxy",
    "weight_history": "attribution_suite.datasets.synthetic:load_weight_history",
})
FILE_ENDINGS = (".csv", ".csv.gz", ".zip")


def is_file_name(name: str) -> bool:
    """True if `load_dataset` reads `name` as a file and not as a name of the catalogue."""
    return name.lower().endswith(FILE_ENDINGS)


def load_dataset(name_or_path: str | Path, **options: Any) -> "TabularDataset":
    """A data set of the catalogue, or a table of one's own: a path ending in .csv, .csv.gz or .zip.

    `options` are those of `DatasetRequest`: target and task (of a file), preset, pca, data_dir, real_only, seed.
    Raises InputError for an unknown name, option, preset or task, and for a file that cannot be used as it is.
    """
    from attribution_suite.datasets.request import DatasetRequest

    return DatasetRequest.of(name_or_path, **options).load()
