"""Everything about every hidden unit in one table: state, activity, tests."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attribution_suite.datasets.table import Split, Task
from attribution_suite.errors import InputError
from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.networks.forward import collect
from attribution_suite.networks.network import Ensemble
from attribution_suite.units.activations import activity, class_members, unit_scores

KEYS = ["member", "layer", "unit"]


def units_table(networks: Ensemble, rows: Split, task: Task, classes: Sequence[str] = ()) -> pd.DataFrame:
    """One row a member, hidden layer and unit, on `rows`.

    member, layer, unit; `state` ('dead', 'always on', 'never on', 'mixed'); `rate` in [0, 1], the part of the rows on
    which it is active (> 0); `busiest_class`, the predicted class with the highest rate, and `rate_range`, that rate
    minus the lowest one (0 where one class alone is predicted); `precision`, `recall` and `f1` of 'the unit is active'
    as a test for that class (`unit_scores`; NaN for a regression). These are of the activations. Then the columns of
    `UnitTests`, each layer of a member being corrected by itself. The tests are of the pre-activations, as in the
    published runs: after a ReLU a unit that is ever off is not normal, and the test of normality would say so of
    nearly all. So a dead ReLU, whose activation is constant, can be significant: what enters it separates the classes,
    what leaves it does not. Raises InputError for a network without hidden layers.
    """
    if networks.architecture.depth == 1:
        raise InputError("this network has no hidden units: give it a hidden layer")
    collected = collect(networks, rows.inputs)
    tests = [unit_tests(values.numpy(), rows.targets.numpy(), task).to_frame().assign(layer=layer)
             for layer, values in enumerate(collected.leaving[:-1], start=1)]
    by_class = _over_classes(activity(collected, task, classes))
    names, _ = class_members(collected.outputs, task, classes)
    index = {name: -1 if task == "regression" else place for place, name in enumerate(names)}
    told = []
    for layer, values in enumerate(collected.entering[1:], start=1):
        of_layer = by_class[by_class.layer == layer]
        busiest = of_layer.busiest_class.map(index).to_numpy().reshape(len(networks), -1)
        scores = unit_scores(values, rows.targets, busiest)
        told.append(of_layer.assign(**{name: column.ravel() for name, column in scores.items()}))
    return pd.concat(told).merge(pd.concat(tests), on=KEYS, validate="one_to_one")


def _over_classes(by_class: pd.DataFrame) -> pd.DataFrame:
    """One row a unit from one row a unit and predicted class."""
    names = by_class.predicted.unique()
    rate, rows = (by_class[column].to_numpy().reshape(-1, len(names)) for column in ("rate", "rows"))
    units = by_class.loc[::len(names), [*KEYS, "state"]].reset_index(drop=True)
    known = np.where(rows > 0, rate, np.nan)
    return units.assign(rate=np.nansum(known * rows, 1) / rows.sum(1), busiest_class=names[np.nanargmax(known, 1)],
                        rate_range=np.nanmax(known, 1) - np.nanmin(known, 1))
