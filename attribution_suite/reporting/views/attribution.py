"""An attribution in a notebook: bars, a beeswarm over rows, the waterfall of one row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from attribution_suite.conclusions.numbers import listed, percent, rounded
from attribution_suite.conclusions.words import networks_words
from attribution_suite.errors import InputError
from attribution_suite.options import whole_number
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import DOWN, GREY, UP, label
from attribution_suite.reporting.views.view import View
from attribution_suite.scorers.attribution import Attribution, Explained

MOST_FEATURES, MOST_MARKS = 20, 500
VALUE_COLOURS = LinearSegmentedColormap.from_list("value", ["#7ea9cd", "#8a5a83", PALETTE["still"]])


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


def ticks(axes: Axes, names: Sequence[str]) -> None:
    """Names at the left, the first on top."""
    axes.set_yticks(np.arange(len(names)), [label(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def beeswarm(axes: Axes, result: Attribution, *, network: int | None = None) -> int:
    """One mark a row and feature at its φ, coloured by the feature's value; at most `MOST_MARKS`, evenly by rank.

    φ is the mean over the networks, or of one `network`.
    """
    if result.values is None:
        raise no_rows(result)
    agree(result.explained, slice(None), network)
    phi = members(result.values.numpy(force=True), network).mean(0)  # [rows, features]
    order = np.argsort(-np.abs(phi).mean(0), kind="stable")[:MOST_FEATURES]
    rows = min(len(phi), MOST_MARKS // len(order))
    chosen = np.linspace(0, len(phi) - 1, rows).round().astype(int)
    x, y, shade = [], [], []
    for place, feature in enumerate(order):
        ranked = np.argsort(phi[:, feature], kind="stable")[chosen]  # of the extremes too
        x.append(phi[ranked, feature])
        y.append(place + swarm(phi[ranked, feature]))
        shade.append(ranks(result, feature)[ranked])
    colours = VALUE_COLOURS(np.nan_to_num(np.concatenate(shade)))
    colours[np.isnan(np.concatenate(shade))] = (*[int(GREY[k:k + 2], 16) / 255 for k in (1, 3, 5)], 1)
    axes.axvline(0, color=PALETTE["muted"], linewidth=0.8)
    axes.scatter(np.concatenate(x), np.concatenate(y), s=11, c=colours, linewidths=0, alpha=0.85)
    ticks(axes, [result.features[k] for k in order])
    bar = axes.figure.colorbar(ScalarMappable(Normalize(0, 1), VALUE_COLOURS), ax=axes, aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label("the feature's value (grey: several columns)")
    bar.outline.set_visible(False)
    thinned = f"; {rows} of {len(phi)} rows, evenly by rank" if rows < len(phi) else f"; {rows} rows"
    axes.set_xlabel(f"φ, {result.scorer}{thinned}")
    axes.set_title(_title(result, None, network))
    return round(1.4 * len(order))


def swarm(values: np.ndarray, bins: int = 70) -> np.ndarray:
    """How far each mark moves aside, in [−0.42, 0.42], so that those of one place stand beside each other."""
    span = np.ptp(values) or 1.0
    places = ((values - values.min()) / span * (bins - 1)).round().astype(int)
    within = pd.Series(places).groupby(places).cumcount().to_numpy()
    aside = np.where(within % 2, 1, -1) * ((within + 1) // 2)  # 0, 1, −1, 2, −2 …
    offsets: np.ndarray = 0.42 * aside / max(4, int(np.abs(aside).max()))
    return offsets


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
    values = phi.mean(0)
    names, steps = largest(result.features, values)
    rest = end - start - float(values.sum())
    if abs(rest) > 0.005 * max(abs(end - start), np.abs(values).max()):
        names, steps = [*names, "not shared out"], np.append(steps, rest)
    left = start + np.concatenate([[0], np.cumsum(steps)[:-1]])
    places = np.arange(len(names)) + 1
    axes.barh(places, steps, 0.72, left=left, color=np.where(steps < 0, DOWN, UP).tolist())
    edges = np.append(left, left[-1] + steps[-1])
    axes.vlines(edges, np.arange(len(edges)) + 0.36 - (np.arange(len(edges)) == 0) * 0.72,
                np.arange(len(edges)) + 0.64, color=PALETTE["muted"], linewidth=0.8)
    for place, step, edge in zip(places, steps, np.maximum(left, left + steps), strict=True):
        axes.annotate(("+" if step > 0 else "") + rounded(step), (edge, place), (4, 0), textcoords="offset points",
                      va="center", fontsize=8)
    ends = [f"f(baseline) = {rounded(start, 4)}", *[label(name, 30) for name in names], f"f(x) = {rounded(end, 4)}"]
    axes.plot([start, end], [0, len(names) + 1], "o", color=PALETTE["ink"], markersize=6)
    axes.set_yticks(np.arange(len(ends)), ends)
    axes.set_ylim(len(ends) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.use_sticky_edges = False
    axes.margins(x=0.12)
    axes.set_xlabel(f"explained output, {result.scorer}")
    axes.set_title(_title(result, row, network))
    return len(ends)


def largest(features: Sequence[str], values: np.ndarray, most: int = 12) -> tuple[list[str], np.ndarray]:
    """The steps of the `most` features that move most, the largest first, and one of all others together."""
    order = np.argsort(-np.abs(values), kind="stable")
    if len(order) <= most:
        return [features[k] for k in order], values[order]
    kept, others = order[:most - 1], order[most - 1:]
    return ([*[features[k] for k in kept], f"{len(others)} other features"],
            np.append(values[kept], values[others].sum()))


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
