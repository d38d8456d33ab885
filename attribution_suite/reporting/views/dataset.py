"""A prepared table in a notebook."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attribution_suite.datasets.table import TabularDataset
from attribution_suite.reporting.figures.rows import ticks
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.views.view import View

BINS = 30


def headline(result: TabularDataset) -> str:
    """Its size, task and split; a stand-in says so."""
    parts = [len(rows) for rows in (result.train_rows, result.validation_rows, result.test_rows)]
    simulated = "Simulated: " if result.provenance.simulated else ""
    return (f"{simulated}{result.name}: {len(result.inputs)} rows, {len(result.groups)} features in {result.features} "
            f"columns, {result.task} of {result.target_name}; {parts[0]} rows train, {parts[1]} stop, {parts[2]} test.")


def table(result: TabularDataset) -> pd.DataFrame:
    """A row an encoded column: whose it is, and what it holds in the training rows."""
    training = result.inputs[result.train_rows].astype(np.float64)
    owner = {column: name for name, columns in result.groups.items() for column in columns}
    return pd.DataFrame({
        "feature": [owner[column] for column in range(result.features)], "column": list(result.feature_names),
        "mean": training.mean(0), "least": training.min(0), "most": training.max(0),
        "deviation": training.std(0)})


def target(axes: Axes, result: TabularDataset) -> int:
    """How often each class or range of the target occurs."""
    if result.classes:
        counts = np.bincount(result.targets.astype(int), minlength=len(result.classes))
        axes.barh(np.arange(len(counts)), counts, 0.72, color=PALETTE["accent"])
        ticks(axes, result.classes)
        axes.set_xlabel(f"rows of each class of {result.target_name}")
        return len(counts)
    counts, edges = np.histogram(result.targets, BINS)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=PALETTE["accent"])
    axes.set_xlabel(result.target_name)
    axes.set_ylabel("rows")
    return 8


DATASET = View(headline, table, {"target": target})
