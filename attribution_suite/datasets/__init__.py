"""Data sets: the catalogue, and any CSV file, as a `TabularDataset`."""

from pathlib import Path
from typing import TYPE_CHECKING

from attribution_suite.errors import InputError
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


def load_dataset(
    name_or_path: str | Path,
    *,
    target: str | None = None,
    task: str | None = None,
    preset: str = "default",
    data_dir: str | Path | None = None,
    real_only: bool = False,
    pca: int | None = None,
    seed: int = 0,
) -> "TabularDataset":
    """A data set of the catalogue, or a table of one's own: a path ending in .csv, .csv.gz or .zip.

    `target` (required) and `task` (regression, binary, multiclass; inferred without) belong to files. `preset`:
    'default', or 'published' for the preparation of the source that METHODS.md names. `data_dir`, `real_only`: where
    the real file is, and whether a simulated stand-in is refused (see `sources`). `pca`: the first k principal
    components of the scaled training rows become the inputs. `seed` draws the split where a preset does not fix it,
    and the rows of the generated sets.

    Raises InputError for an unknown name, preset or task, and for a file that cannot be used as it is.
    """
    from attribution_suite.datasets.pca import principal_components
    from attribution_suite.datasets.sources import Request

    name = str(name_or_path)
    request = Request(preset, Path(data_dir) if data_dir is not None else None, real_only, seed)
    if is_file_name(name):
        from attribution_suite.datasets.csv_table import load_csv

        dataset = load_csv(Path(name), target, task, request)
    else:
        _check_name(name, target, task)
        dataset = DATASETS.load(name)(request)
    return dataset if pca is None else principal_components(dataset, pca)


def _check_name(name: str, target: str | None, task: str | None) -> None:
    """Raises InputError for a name that is no data set, and for file options beside a data set's name."""
    if name not in DATASETS.names and Path(name).exists():
        raise InputError(f"{name}: only files that end in {', '.join(FILE_ENDINGS)} are read")
    if name in DATASETS.names and (target is not None or task is not None):
        raise InputError(f"{name} has its own target and task: a target or a task is given with a CSV file only")
