"""Data sets. `DATASETS` is the catalogue; each lives in the file of its name, `load` reads any CSV file besides."""

from attribution_suite.registry import Registry

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
