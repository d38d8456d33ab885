"""A table with a one-hot group, two networks, and the baselines of each kind by hand."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from attribution_suite import from_arrays
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation

DRAWS = np.random.default_rng(8)
COLOUR = np.eye(3)[DRAWS.integers(3, size=90)]
ROWS = np.column_stack([DRAWS.normal(1, 1, (90, 2)), COLOUR, DRAWS.exponential(1, 90)])
SCORE = ROWS[:, 0] * ROWS[:, 5] + ROWS[:, 2] - ROWS[:, 1]
GROUPS = {"a": (0,), "b": (1,), "colour": (2, 3, 4), "d": (5,)}
TABLE = replace(from_arrays(ROWS, np.digitize(SCORE, [-0.5, 0.5]), task="multiclass",
                            groups={"colour": [2, 3, 4]}, feature_names=["a", "b", "c1", "c2", "c3", "d"]),
                preset=Preset("default", (6, 4), Training(6, 16, 0.02), tuning_epochs=2))
ROW = int(TABLE.test_rows[4])  # of the whole table: one that no training row is
POINTS = ("zero", "mean", "median", f"row:{ROW}")
KINDS = (*POINTS, "distribution")
SEED = 4


@cache
def case(activation: Activation, kind: str | None) -> tuple[Perceptrons, Evaluation]:
    networks = Perceptrons.initialise(Architecture(6, (7, 5), 3, activation), [1, 2])
    networks = Perceptrons(networks.architecture, tuple(2 * weight for weight in networks.weights), networks.biases)
    return networks, replace(Evaluation.of(TABLE, networks, 4, 50, kind), seed=SEED)


def by_hand(kind: str) -> Tensor:
    """The baselines `[baselines, columns]`, from the rows of the table as the user has them (it is not scaled)."""
    training = ROWS[TABLE.train_rows]
    rows = {"zero": np.zeros((1, 6)), "mean": training.mean(0)[None], "median": np.median(training, axis=0)[None],
            f"row:{ROW}": ROWS[[ROW]]}
    return torch.from_numpy(rows[kind]).float() if kind in rows else case("relu", kind)[1].baselines
