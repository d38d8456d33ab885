"""Networks and their training in a notebook."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.conclusions.words import networks_words
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.training import Trained
from attribution_suite.reporting.figures.rows import ticks
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.views.view import View

MOST_COLUMNS = 40


def ensemble_headline(result: Ensemble) -> str:
    """How many, their shape, and the columns that none of them reads."""
    unread = int((result.to_frame().groupby("column").weight.max() == 0).sum())
    words = f"; {unread} input column{'s have' if unread > 1 else ' has'} no weight in any of them" if unread else ""
    name = networks_words(len(result))
    return f"{name[0].upper()}{name[1:]}, {result.architecture}, run {result.how}{words}."


def ensemble_table(result: Ensemble) -> pd.DataFrame:
    """A row an input column: mean norm of its first-layer weights, and its range over the networks."""
    grouped = result.to_frame().groupby("column").weight
    return pd.DataFrame({"mean weight": grouped.mean(), "least": grouped.min(), "most": grouped.max()}).reset_index()


def ensemble_bars(axes: Axes, result: Ensemble) -> int:
    """The L2 norm of the weights that lead from each input column, mean and range over the networks."""
    table = ensemble_table(result).nlargest(MOST_COLUMNS, "mean weight", keep="all").head(MOST_COLUMNS)
    table = table.sort_values("column")
    places = np.arange(len(table))
    axes.barh(places, table["mean weight"], 0.72, color=PALETTE["accent"])
    axes.hlines(places, table.least, table.most, color=PALETTE["ink"], linewidth=1.1)
    ticks(axes, [f"column {column}" for column in table.column])
    left = result.architecture.features - len(table)
    axes.set_xlabel("L2 norm of its first-layer weights" + (f"; {left} smaller columns not drawn" if left else ""))
    return len(table)


def trained_headline(result: Trained) -> str:
    """How long, and to which validation loss."""
    best = trained_table(result)["validation loss"]
    low, high = rounded(float(best.min())), rounded(float(best.max()))
    return (f"{ensemble_headline(result.networks)[:-1]}; trained in {rounded(result.seconds, 2)} s to a validation "
            f"loss of {low if low == high else f'{low} to {high}'}.")


def trained_table(result: Trained) -> pd.DataFrame:
    """A row a network: the epoch whose weights were kept, and its losses."""
    frame = result.to_frame()
    best = frame.loc[frame.groupby("member").validation_loss.idxmin()]
    return pd.DataFrame({"member": best.member, "epochs": frame.groupby("member").epoch.max().to_numpy(),
                         "best epoch": best.epoch, "training loss": best.training_loss,
                         "validation loss": best.validation_loss, "steps": result.steps.numpy(force=True)})


def loss_curves(axes: Axes, result: Trained) -> int:
    """Training (thin) and validation loss of every network, epoch by epoch."""
    for _, rows in result.to_frame().groupby("member"):
        axes.plot(rows.epoch, rows.training_loss, color=PALETTE["muted"], linewidth=0.8)
        axes.plot(rows.epoch, rows.validation_loss, color=PALETTE["accent"], linewidth=1.3)
    axes.set_xlabel("epoch (blue: validation, grey: training; a line a network)")
    axes.set_ylabel("loss")
    axes.grid(axis="y")
    return 8


ENSEMBLE = View(ensemble_headline, ensemble_table, {"weights": ensemble_bars})
TRAINED = View(trained_headline, trained_table, {"loss": loss_curves})
