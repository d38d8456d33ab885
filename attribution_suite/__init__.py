"""Does a trained tabular network still depend on an input that it must not use? Evidence, by every attribution method.

The public names load on first use: importing the package loads neither torch nor captum.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attribution_suite.audit import audit, report
    from attribution_suite.datasets import DATASETS, load_dataset
    from attribution_suite.datasets.arrays import from_arrays
    from attribution_suite.datasets.preset import Training
    from attribution_suite.datasets.table import TabularDataset
    from attribution_suite.errors import InputError
    from attribution_suite.library import attribute, remove, train
    from attribution_suite.measures import MEASURES
    from attribution_suite.networks.ensemble import Ensemble
    from attribution_suite.removals import REMOVALS
    from attribution_suite.scorers import SCORERS

_PLACES = {
    "load_dataset": "datasets", "DATASETS": "datasets",
    "train": "library", "attribute": "library", "remove": "library",
    "Ensemble": "networks.ensemble", "Training": "datasets.preset",
    "TabularDataset": "datasets.table", "from_arrays": "datasets.arrays",
    "SCORERS": "scorers", "REMOVALS": "removals", "MEASURES": "measures",
    "InputError": "errors",
}

__all__ = [
    "DATASETS", "MEASURES", "REMOVALS", "SCORERS", "Ensemble", "InputError", "TabularDataset", "Training", "attribute",
    "audit", "from_arrays", "load_dataset", "remove", "report", "train",
]


def __getattr__(name: str) -> Any:
    if name in ("audit", "report"):  # packages that are functions too
        return import_module(f"attribution_suite.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'attribution_suite' has no attribute '{name}'")
    return getattr(import_module(f"attribution_suite.{_PLACES[name]}"), name)
