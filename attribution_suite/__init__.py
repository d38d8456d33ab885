"""Does a trained tabular network still depend on an input that it must not use? Evidence, by every attribution method.

The public names load on first use: importing the package loads neither torch nor captum.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attribution_suite.api import audit, check, compare, describe, neurons, report
    from attribution_suite.datasets import DATASETS
    from attribution_suite.datasets.arrays import from_arrays
    from attribution_suite.datasets.load import load_dataset
    from attribution_suite.datasets.preset import Training
    from attribution_suite.datasets.table import TabularDataset
    from attribution_suite.errors import InputError
    from attribution_suite.measures import MEASURES
    from attribution_suite.measures.information.result import Information
    from attribution_suite.measures.worst_case.result import WorstCase
    from attribution_suite.networks.network import Ensemble
    from attribution_suite.networks.storage import load_networks, save_networks
    from attribution_suite.removals import REMOVALS
    from attribution_suite.results import Audit
    from attribution_suite.scorers import SCORERS
    from attribution_suite.scorers.attribution import Attribution
    from attribution_suite.steps import attribute, information, remove, train, worst_case

__version__ = "0.1.0"  # the one place: setup.cfg reads it here

_PLACES = {
    "train": "steps", "attribute": "steps", "remove": "steps", "worst_case": "steps", "information": "steps",
    "audit": "api", "neurons": "api", "check": "api", "compare": "api", "describe": "api", "report": "api",
    "load_dataset": "datasets.load", "from_arrays": "datasets.arrays", "TabularDataset": "datasets.table",
    "Training": "datasets.preset", "Ensemble": "networks.network", "Attribution": "scorers.attribution",
    "WorstCase": "measures.worst_case.result", "Information": "measures.information.result", "Audit": "results",
    "InputError": "errors",
    "save_networks": "networks.storage", "load_networks": "networks.storage",
    "DATASETS": "datasets", "SCORERS": "scorers", "REMOVALS": "removals", "MEASURES": "measures",
}

__all__ = [
    "DATASETS", "MEASURES", "REMOVALS", "SCORERS", "Attribution", "Audit", "Ensemble", "Information", "InputError",
    "TabularDataset", "Training", "WorstCase", "attribute", "audit", "check", "compare", "describe", "from_arrays",
    "information", "load_dataset", "load_networks", "neurons", "remove", "report", "save_networks", "train",
    "worst_case",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'attribution_suite' has no attribute '{name}'")
    return getattr(import_module(f"attribution_suite.{_PLACES[name]}"), name)
