"""How often probes err about what outputs tell of x_j, and how often intervals cover (of `verdicts.py`)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from planted import bases
from planted_edits import originals, splits
from planted_paths import COLUMNS, Table
from torch import Tensor

from attribution_suite.auditing.work.outcomes import moves
from attribution_suite.datasets.preset import Training
from attribution_suite.measures.information.limits import R2_MARGIN, Limits
from attribution_suite.measures.information.probes import boosted_probe, ridge_probe
from attribution_suite.measures.information.targets import Target
from attribution_suite.measures.statistics import split_mean, student_mean
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals import REMOVALS, SHAM
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation

ROWS, POPULATION, DRAWS = 500, 50_000, 20_000
PROBES: dict[str, Callable[[Tensor, Target], Limits]] = {"ridge": ridge_probe, "boosted": boosted_probe}
TUNED = "stochastic_tuning"
TABLE_ROWS, TRAINING, TEST, MOST_SPLITS = 200, 140, 30, 10  # a table that is split again and again


def probed(members: int, boosted: int, seed: int = 400) -> pd.DataFrame:
    """One row a network and probe: `proxy`, `r2`, what a linear readout of the output tells of x_j, and the state.

    No network reads x_j; with `proxy`, column 1 is correlated with it. Every network has rows of its own.
    """
    rows = []
    for proxy in (False, True):
        networks = bases(Table.draw(seed, proxy), members, 1000 * seed)
        generator = torch.Generator().manual_seed(seed + proxy)
        for member in range(members):
            inputs = torch.randn(POPULATION + ROWS, COLUMNS, generator=generator)
            if proxy:
                r = float(torch.rand(1, generator=generator))  # a proxy of another strength for every network
                inputs[:, 1] = r * inputs[:, 0] + (1 - r * r) ** 0.5 * inputs[:, 1]
            outputs = networks.select([member]).outputs(inputs)[0, :, 0].double()
            r2 = float(torch.corrcoef(torch.stack([outputs, inputs[:, 0].double()]))[0, 1] ** 2) if proxy else 0.0
            target = Target.of(inputs[:ROWS, :1].numpy())
            for name, probe in PROBES.items():
                if name == "ridge" or member % (members // boosted) == 0:
                    state, = probe(outputs[None, :ROWS, None], target).state
                    rows.append({"probe": name, "proxy": proxy, "r2": r2, "state": state})
    return pd.DataFrame(rows)


def probe_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a probe and truth: how many networks, and the part of each state."""
    truth = np.select([~rows.proxy, rows.r2 < R2_MARGIN], ["nothing to find", "below the margin"], "above the margin")
    states = rows.assign(truth=truth).groupby(["probe", "truth"], sort=False).state
    parts = states.value_counts(normalize=True).unstack(fill_value=0.0)
    return parts.assign(networks=states.size())


def population(members: int, training: Training, seed: int = 500) -> dict[str, np.ndarray]:
    """Quantities `[members]` of networks trained from as many seeds on one table, column 0 removed from each."""
    table = Table.draw(seed, proxy=True)
    _, _, test = splits(table)
    networks, setting = originals(table, range(members), training)
    nodes = Nodes(torch.zeros(members, 1, dtype=torch.int64))
    edited = {name: REMOVALS.load(name)().remove(networks, nodes, setting).networks for name in ("fold", TUNED, SHAM)}
    evaluation = Evaluation(test.inputs, test.targets, setting.train.inputs, setting.train.targets,
                            torch.zeros(COLUMNS), {f"x{column}": (column,) for column in range(COLUMNS)}, "regression")

    def loss(ensemble: Ensemble) -> Tensor:
        return (ensemble.outputs(test.inputs)[..., 0] - test.targets).double().square().mean(1)

    before = loss(networks)
    effect = [moves(ensemble, nodes, evaluation)["direct_effect"] for ensemble in (edited[TUNED], networks)]
    share = SCORERS.load("integrated_gradients")().attribute(edited[TUNED], evaluation).shares[:, 0]
    return {
        "loss_fold": (loss(edited["fold"]) / before - 1).numpy(),
        "loss_tuned": (loss(edited[TUNED]) / before - 1).numpy(),
        "loss_net": ((loss(edited[TUNED]) - loss(edited[SHAM])) / before).numpy(),
        "effect_left": effect[0] / effect[1],
        "share": share.double().numpy()}


def coverage(values: np.ndarray, seeds: int) -> float:
    """How often Student's 95 % interval of `seeds` drawn values (with replacement) holds the mean of all."""
    drawn = values[np.random.default_rng(seeds).integers(len(values), size=(DRAWS, seeds))]
    interval = student_mean(drawn)
    return float(((interval.low <= values.mean()) & (values.mean() <= interval.high)).mean())


def split_losses(tables: int, seed: int = 700) -> dict[str, np.ndarray]:
    """Quantities `[tables, splits]` of least squares on repeated splits of tables from one population.

    y = x_0 + x_1 / 2 + x_2² / 2 + noise: the test loss, and how much it rises without column 0.
    """
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((tables, TABLE_ROWS, COLUMNS))
    noise = 0.5 * generator.standard_normal((tables, TABLE_ROWS))
    targets = inputs[..., 0] + inputs[..., 1] / 2 + inputs[..., 2] ** 2 / 2 + noise
    order = generator.permuted(np.tile(np.arange(TABLE_ROWS), (tables, MOST_SPLITS, 1)), axis=-1)
    every = np.arange(tables)[:, None, None]
    train, test = (order[..., :TRAINING], order[..., -TEST:])
    losses = []
    for first in (0, 1):  # with column 0, and without
        columns = np.concatenate([inputs[..., first:], np.ones((tables, TABLE_ROWS, 1))], -1)
        design, rows = columns[every, train], columns[every, test]
        moments = design.swapaxes(-1, -2)
        weights = np.linalg.solve(moments @ design, moments @ targets[every, train][..., None])
        losses.append(((rows @ weights)[..., 0] - targets[every, test]) ** 2)
    with_it, without = (squares.mean(-1) for squares in losses)
    return {"loss": with_it, "loss_without": without / with_it - 1}


def split_coverage(values: np.ndarray, splits: int) -> tuple[float, float]:
    """How often the 95 % interval of a table's first `splits` splits holds the mean of all tables.

    Nadeau and Bengio's, and Student's, which takes splits for independent. `values` `[tables, splits]`.
    """
    mean, drawn = values.mean(), values[:, :splits]
    corrected, student = split_mean(drawn, TEST / TRAINING), student_mean(drawn)
    covered = [((each.low <= mean) & (mean <= each.high)).mean() for each in (corrected, student)]
    return float(covered[0]), float(covered[1])
