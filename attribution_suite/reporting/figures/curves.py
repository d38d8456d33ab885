"""Curves of partial dependence: the prediction over the values of a removed feature, and the axis they share."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from attribution_suite.conclusions.summary import unit_ranks
from attribution_suite.errors import InputError
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL

MOST_CLASSES, MOST_NAMES = 3, 6
MISSING = 0.95  # where a missing value stands
FLAT = 0.01  # a curve that moves by less of what the original's moves is flat


@dataclass(frozen=True)
class Axis:
    """The values of a feature as places in [0, 1]: `place` `[points]`, what each is `called`, the ticks.

    `line` `[points]`: which of them are amounts, that a line joins.
    """

    place: np.ndarray
    called: np.ndarray
    line: np.ndarray
    ticks: list[float]
    names: list[str]

    @classmethod
    def of(cls, points: pd.DataFrame) -> "Axis":
        """From the `level` and `value` of each point: a number, one with a level 'missing' beside it, or levels."""
        amount = (points.level == "").to_numpy()
        called = np.array([" ".join(filter(None, (level, "" if np.isnan(value) else f"{value:.4g}")))
                           for level, value in zip(points.level, points.value, strict=True)], dtype=object)
        if not amount.any() or set(points.level[~amount]) - {"missing"}:
            place = (np.arange(len(points)) + 0.5) / len(points)
            shown = np.unique(np.linspace(0, len(points) - 1, MOST_NAMES).round().astype(int))
            return cls(place, called, np.zeros(len(points), bool), place[shown].tolist(), called[shown].tolist())
        low, high = points.value.min(), points.value.max()
        scale = (1.0 if amount.all() else 0.86) / ((high - low) or 1.0)
        ticks = [tick for tick in MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
        gone = [MISSING] if not amount.all() else []
        return cls(((points.value - low) * scale).fillna(MISSING).to_numpy(), called, amount,
                   [*[(tick - low) * scale for tick in ticks], *gone], [f"{tick:g}" for tick in ticks] + [
                       "missing" for _ in gone])


@dataclass(frozen=True)
class Curves:
    """Of one feature: `mean` `[(output, level, value), removals]` over networks, its range, and rows' own curves.

    `networks`: the rows of the table that are means over rows, a network's curves. The points of each output stand in
    the order of `axis`.
    """

    mean: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    rows: pd.DataFrame
    networks: pd.DataFrame
    axis: Axis
    outputs: list[str]
    feature: str

    @classmethod
    def of(cls, rows: pd.DataFrame, classes: int = MOST_CLASSES) -> "Curves":
        """From the rows of the table that are of one feature; of several classes the `classes` that move most."""
        rows = rows.fillna({"value": np.inf})  # of a category: groupby drops what is not a number
        keys, averages = ["output", "level", "value"], rows[rows.row < 0]
        each = averages.groupby([*keys, "removal"], sort=False).prediction
        mean, low, high = (part.unstack("removal") for part in (each.mean(), each.min(), each.max()))
        before = mean.groupby("output", sort=False)[ORIGINAL]
        spread = (before.max() - before.min()).nlargest(classes).index
        outputs = [str(name) for name in mean.index.unique("output") if name in spread]
        points = mean.loc[outputs[0]].reset_index()[["level", "value"]].replace({"value": {np.inf: np.nan}})
        return cls(mean, low, high, rows[(rows.row >= 0) & rows.output.isin(outputs)], averages, Axis.of(points),
                   outputs, str(rows.feature.iloc[0]))

    def flat(self, removal: str) -> bool:
        """Whether neither any network's curve nor any of the rows' own moves: a mean alone may hide two that cancel."""
        return self.moved(removal) <= FLAT * self.moved(ORIGINAL)

    def moved(self, removal: str) -> float:
        """How far the networks' curves and the rows' own move, the most of them."""
        curves = [part[part.removal == removal].groupby(["output", "split", "seed", "row"]).prediction
                  for part in (self.networks, self.rows)]
        return float(pd.concat([curve.max() - curve.min() for curve in curves]).max())

    @property
    def limits(self) -> tuple[float, float]:
        """From below the least to above the largest prediction that is drawn."""
        drawn = [self.low.loc[self.outputs].min().min(), self.high.loc[self.outputs].max().max(),
                 self.rows.prediction.min(), self.rows.prediction.max()]
        low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
        room = 0.04 * (high - low) or 0.5
        return low - room, high + room


def curves_of(subject: Subject, removed: str) -> list[tuple[str, pd.DataFrame]]:
    """Each feature that goes, with its rows, where the originals have some; of units those of the first network."""
    table = unit_ranks(subject.tables["partial_dependence"])
    if subject.layer:  # units have no identity across networks
        table = table[table.seed == table.seed.min()]
    return [(str(feature), rows) for feature, rows in table[table.removed == removed].groupby("feature", sort=False)
            if ORIGINAL in set(rows.removal)]


def removed_curves(subject: Subject, removed: str, classes: int) -> Curves:
    """Those of a removed feature, of several removed together the first. Raises InputError where there are none."""
    found = curves_of(subject, removed)
    if not found:
        raise InputError(f"the run has no partial dependence on {removed}: its table holds the features of the page")
    return Curves.of(found[0][1], classes)
