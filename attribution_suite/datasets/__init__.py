"""Data sets. `DATASETS` is the catalogue; each lives in the file of its name; `load` reads one's own too."""

from pathlib import Path

from attribution_suite.registry import Registry

DATASETS = Registry("data set", {
    "boston": "attribution_suite.datasets.boston:load",
    "iris": "attribution_suite.datasets.iris:load",
    "heart": "attribution_suite.datasets.heart:load",
    "prudential": "attribution_suite.datasets.prudential:load",
    "synthetic": "attribution_suite.datasets.synthetic:load_proxy",
    "weight_history": "attribution_suite.datasets.synthetic:load_weight_history",
})
TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".data")
COLUMNAR_ENDINGS = (".parquet", ".feather")
FILE_ENDINGS = (*TEXT_ENDINGS, *COLUMNAR_ENDINGS)
PACKED = (".gz", ".zip")


def is_file_name(name: str) -> bool:
    """True if `load_dataset` reads `name` as a file, a folder of files or a URL, and not as a name of the catalogue."""
    if "://" in name or (name not in DATASETS.names and Path(name).is_dir()):
        return True
    return name.lower().removesuffix(".gz").removesuffix(".zip").endswith(FILE_ENDINGS) or name.lower().endswith(PACKED)
