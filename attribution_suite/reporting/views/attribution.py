"""An attribution in a notebook: bars, a beeswarm over rows, the waterfall of one row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attribution_suite.conclusions.numbers import listed, percent
from attribution_suite.conclusions.words import networks_words
from attribution_suite.errors import InputError
from attribution_suite.options import whole_number
from attribution_suite.reporting.figures.rows import MOST_FEATURES, draw_swarm, draw_waterfall, ticks
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import DOWN, UP
from attribution_suite.reporting.views.view import View
from attribution_suite.scorers.attribution import Attribution, Explained

MOST_MARKS = 500


def headline(result: Attribution) -> str:
    """The strongest features, and of how many networks."""
    means = shares(result)
    top = [f"{name} {percent(share)}" for name, share in means.head(3).items()]
    return (f"{result.scorer}, {networks_words(len(result.scores))}: " + (
        f"the largest shares are {listed(top, 'and')}." if means.notna().any() else "every score is zero."))


def shares(result: Attribution) -> pd.Series:
    """Each feature's share, mean over the networks, the largest first."""
    return result.to_frame().groupby("feature", sort=False).share.mean().sort_values(ascending=False, kind="stable")


def table(result: Attribution) -> pd.DataFrame:
    """A row a feature: mean share, its range over the networks, mean φ."""
    grouped = result.to_frame().groupby("feature", sort=False)
    whole = pd.DataFrame({"share": grouped.share.mean(), "least": grouped.share.min(), "most": grouped.share.max(),
                          "mean φ": grouped.signed_mean.mean()})
    return whole.sort_values("share", ascending=False, kind="stable").reset_index()


def bars(axes: Axes, result: Attribution, *, row: int | None = None, network: int | None = None) -> int:
    """Each feature's mean φ with its sign (of a `row` its φ), or its share where the scorer has no sign.

    Mean over the networks with their range, or one `network`.
    """
    if row is not None:
        values, unit = local(result, row, network)[0], "φ"
    elif result.signed is not None:
        values, unit = members(result.signed.numpy(force=True), network), "mean φ over rows"
    else:
        values, unit = members(result.shares.numpy(force=True), network), "share"
    mean = values.mean(0)
    order = np.argsort(-np.abs(mean), kind="stable")[:MOST_FEATURES]
    horizontal(axes, [result.features[k] for k in order], mean[order],
               values[:, order] if len(values) > 1 else None)
    left = len(mean) - len(order)
    axes.set_xlabel(f"{unit}, {result.scorer}" + ("; lines: range over the networks" if len(values) > 1 else "")
                    + (f"; {left} smaller not drawn" if left else ""))
    axes.set_title(_title(result, row, network))
    return len(order)


def horizontal(axes: Axes, names: Sequence[str], values: np.ndarray, spread: np.ndarray | None = None) -> None:
    """One bar a name from zero, the first on top, coloured by sign; `spread` `[networks, names]`: its range."""
    places = np.arange(len(names))
    axes.barh(places, values, 0.72, color=np.where(values < 0, DOWN, UP).tolist())
    if spread is not None:
        axes.hlines(places, spread.min(0), spread.max(0), color=PALETTE["ink"], linewidth=1.1)
    ticks(axes, names)
    axes.axvline(0, color=PALETTE["muted"], linewidth=0.8)


def beeswarm(axes: Axes, result: Attribution, *, network: int | None = None) -> int:
    """One mark a row and feature at its φ, coloured by the feature's value; at most `MOST_MARKS`, evenly by rank.

    φ is the mean over the networks, or of one `network`.
    """
    if result.values is None:
        raise no_rows(result)
    agree(result.explained, slice(None), network)
    phi = members(result.values.numpy(force=True), network).mean(0)  # [rows, features]
    order = np.argsort(-np.abs(phi).mean(0), kind="stable")[:MOST_FEATURES]
    shade = np.stack([ranks(result, feature) for feature in order], 1)
    rows = draw_swarm(axes, [result.features[k] for k in order], phi[:, order], shade, MOST_MARKS)
    thinned = f"; {rows} of {len(phi)} rows, evenly by rank" if rows < len(phi) else f"; {rows} rows"
    axes.set_xlabel(f"φ, {result.scorer}{thinned}")
    axes.set_title(_title(result, None, network))
    return round(1.4 * len(order))


def ranks(result: Attribution, feature: int) -> np.ndarray:
    """The rank of each row's value of a feature, in [0, 1]; NaN where it has no one value."""
    values = None if result.explained is None else result.explained.values
    if values is None or result.values is None:
        return np.full(0 if result.values is None else result.values.shape[1], np.nan)
    ranked = pd.Series(values[:, feature].numpy()).rank(method="average")
    return ((ranked - 1) / max(1, len(ranked) - 1)).to_numpy()


def waterfall(axes: Axes, result: Attribution, *, row: int = 0, network: int | None = None) -> int:
    """From f(baseline) to f(x) of a row, a step a feature; what the steps leave open is a step of its own.

    Mean over the networks, or one `network`. Raises InputError for a scorer that is not complete.
    """
    explained = result.explained
    if explained is None or explained.at_baseline is None:
        raise InputError(f"{result.scorer} does not share out f(x) - f(baseline), so its values are no way from one to "
                         f"the other: plot 'bars' with row={row}")
    phi, row = local(result, row, network)
    start, end = (float(members(side.numpy(), network)[:, row].mean())
                  for side in (explained.at_baseline, explained.outputs))
    tall = draw_waterfall(axes, result.features, phi.mean(0), start, end)
    axes.set_xlabel(f"explained output, {result.scorer}")
    axes.set_title(_title(result, row, network))
    return tall


def local(result: Attribution, row: int, network: int | None) -> tuple[np.ndarray, int]:
    """φ of a row `[networks, features]`, and its place among the rows explained."""
    if result.values is None:
        raise no_rows(result)
    place, count = whole_number("row", row, 0), result.values.shape[1]
    if place >= count:
        raise InputError(f"row {row}: {result.scorer} explained {count} rows, 0 to {count - 1} (the test rows in their "
                         "order)")
    agree(result.explained, place, network)
    return members(result.values[:, place].numpy(force=True), network), place


def members(values: np.ndarray, network: int | None) -> np.ndarray:
    """Those of all networks, or of one."""
    if network is None:
        return values
    number = whole_number("network", network, 0)
    if number >= len(values):
        raise InputError(f"network {network}: there are {len(values)}, 0 to {len(values) - 1}")
    return values[number:number + 1]


def agree(explained: Explained | None, place: Any, network: int | None) -> None:
    """Raises InputError for a mean over networks that explain different classes: their logits are not one quantity."""
    if network is None and explained is not None and explained.classes is not None:
        classes = explained.classes[:, place]
        if bool((classes != classes[:1]).any()):
            raise InputError("the networks predict different classes, so that their φ are of different logits: name "
                             "one, as network=0")


def no_rows(result: Attribution) -> InputError:
    """For a scorer that has one score a feature."""
    return InputError(f"{result.scorer} scores features over all rows and has no values of single ones: plot 'bars' "
                      "without row")


def _title(result: Attribution, row: int | None, network: int | None) -> str:
    which = f"network {network}" if network is not None else networks_words(len(result.scores))
    if row is None:
        return which[0].upper() + which[1:]
    number = "" if result.explained is None else f" (row {result.explained.numbers[row]} of the table)"
    return f"Explained row {row}{number}, {which}"


VIEW = View(headline, table, {"bars": bars, "beeswarm": beeswarm, "waterfall": waterfall})
