"""One row of a run in a notebook: before and after a removal, all scorers, the way from its values to the output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from attribution_suite.auditing.explain import AFTER, BEFORE, Explanation
from attribution_suite.conclusions.numbers import listed, percent, rounded
from attribution_suite.conclusions.words import networks_words
from attribution_suite.datasets.removable import Removable
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.options import word
from attribution_suite.reporting.figures.paths import draw_path, legend
from attribution_suite.reporting.figures.rows import MOST_FEATURES, ticks
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import GREY
from attribution_suite.reporting.views import attribution
from attribution_suite.reporting.views.view import View
from attribution_suite.scorers.attribution import Attribution

LOOK = {BEFORE: GREY, AFTER: PALETTE["accent"]}


def headline(result: Explanation) -> str:
    """What the row is, and what the networks say of it, before and after."""
    part = f"a {result.part} row" if result.part != "no" else "in no part of the split"
    is_what = f"Row {result.row} of {result.dataset}, {part}, is {result.target}"
    parts = []
    for network, rows in result.predictions.groupby("network", sort=False):
        if (rows.predicted == "").all():
            said = _range(rows.output)
        else:
            counts = rows.predicted.value_counts()
            said = listed([f"{name} ({count} of {networks_words(len(rows))})" for name, count in counts.items()], "and"
                          ) if len(counts) > 1 else f"{rows.predicted.iloc[0]} ({networks_words(len(rows))})"
        parts.append(f"{said} {'in the original networks' if network == BEFORE else _removed(result)}")
    return f"{is_what}; predicted: {', '.join(parts)}."


def _removed(result: Explanation) -> str:
    return f"after {result.removal} took {result.feature} out"


def _range(values: pd.Series) -> str:
    low, mean, high = (rounded(float(value)) for value in (values.min(), values.mean(), values.max()))
    return mean if low == high else f"{mean} ({low} to {high})"


def facts(result: Explanation) -> list[str]:
    """What scorers say of the removed feature, what moving it can do, and who was not asked."""
    sentences = []
    if result.feature:
        share = shares(result, result.feature)
        means = [f"{percent(rows.share.mean())} {network} ({percent(rows.share.min())} to {percent(rows.share.max())})"
                 for network, rows in share.groupby("network", sort=False)]
        if means:
            sentences.append(f"Of the influence on this row {result.feature} has, by {share.scorer.nunique()} scorers, "
                             f"{', '.join(means)}.")
        sentences.append(f"Moving {result.feature} alone moves this row's output by up to " + ", ".join(
            f"{_most(float(rows.effect.max()), float(rows.bound.max()))} {network}"
            for network, rows in result.worst_case.groupby("network", sort=False)) + ".")
    if result.left_out:
        sentences.append("Without a value of a row: " + "; ".join(
            f"{', '.join(name for name in result.left_out if result.left_out[name] == reason)} ({reason})"
            for reason in dict.fromkeys(result.left_out.values())) + ".")
    return sentences


def _most(effect: float, bound: float) -> str:
    limit = "" if bound <= effect else " (a search, no bound)" if np.isinf(bound) else f" (at most {rounded(bound)})"
    return rounded(effect) + limit


def table(result: Explanation) -> pd.DataFrame:
    """A row a scorer: φ of the removed feature (or of the strongest) before and after, mean and range."""
    feature = result.feature or strongest(result)
    rows = by_feature(result, feature)
    columns: dict[str, pd.Series] = {}
    for network in result.attributions:
        grouped = rows[rows.network == network].groupby("scorer", sort=False).phi
        columns[f"φ of {feature} {network}"] = grouped.mean()
        columns[f"least {network}"], columns[f"most {network}"] = grouped.min(), grouped.max()
    return pd.DataFrame(columns).reset_index(names="scorer")


def by_feature(result: Explanation, feature: str) -> pd.DataFrame:
    """φ of a feature, or the sum over those removed together: network, seed, scorer, phi."""
    frame = result.to_frame()
    names = list(dict.fromkeys(frame.feature))
    members = Removable.places(names).named(feature).features
    chosen = frame[frame.feature.isin(members)]
    return chosen.groupby(["network", "seed", "scorer"], sort=False).phi.sum().reset_index()


def shares(result: Explanation, feature: str) -> pd.DataFrame:
    """Its part of Σ abs(φ) on this row: network, scorer, seed, share; 0 where every φ is."""
    frame = result.to_frame()
    members = Removable.places(dict.fromkeys(frame.feature)).named(feature).features
    size = frame.assign(total=frame.phi.abs(), part=frame.phi.abs().where(frame.feature.isin(members), 0.0))
    sums = size.groupby(["network", "scorer", "seed"], sort=False)[["total", "part"]].sum().reset_index()
    return sums.assign(share=(sums.part / sums.total.where(sums.total > 0)).fillna(0.0))


def strongest(result: Explanation) -> str:
    """The feature with the largest mean share before, by all scorers."""
    frame = result.to_frame()
    if frame.empty:
        raise InputError("no scorer of this run has a value of a row")
    size = frame[frame.network == BEFORE].assign(phi=frame.phi.abs())
    total = size.groupby(["scorer", "seed"]).phi.transform("sum")
    return str((size.phi / total).groupby(size.feature, sort=False).mean().idxmax())


def bars(axes: Axes, result: Explanation, *, scorer: str | None = None) -> int:
    """φ of every feature by one scorer, before (grey) and after, mean and range over the networks."""
    name = _scorer(result, scorer)
    frame = result.to_frame()
    frame = frame[frame.scorer == name]
    mean = frame.groupby(["feature", "network"], sort=False).phi.mean().unstack("network")[list(result.attributions)]
    order = mean.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_FEATURES]
    _pairs(axes, result, frame.groupby(["feature", "network"]).phi, list(order))
    axes.axvline(0, color=PALETTE["muted"], linewidth=0.8)
    axes.set_xlabel(f"φ, {name}")
    return round(1.4 * len(order))


def scorers(axes: Axes, result: Explanation, *, feature: str | None = None) -> int:
    """The share of the removed feature (or of `feature`) on this row by every scorer, before (grey) and after."""
    name = feature or result.feature or strongest(result)
    frame = shares(result, name)
    frame = frame.assign(share=100 * frame.share)
    order = list(dict.fromkeys(frame.scorer))
    _pairs(axes, result, frame.groupby(["scorer", "network"]).share, order)
    axes.set_xlabel(f"share of {name} on this row, %")
    return round(1.4 * len(order))


def _pairs(axes: Axes, result: Explanation, grouped: Any, names: Sequence[str]) -> None:
    """Bars of before and after, one pair a name."""
    networks = list(result.attributions)
    thick = 0.8 / len(networks)
    for place, network in enumerate(networks):
        places = np.arange(len(names)) - 0.4 + thick * (place + 0.5)
        mean, low, high = (values.unstack()[network].reindex(names) for values in (
            grouped.mean(), grouped.min(), grouped.max()))
        axes.barh(places, mean, 0.9 * thick, color=LOOK[network],
                  label=network if network == BEFORE else _removed(result))
        axes.hlines(places, low, high, color=PALETTE["ink"], linewidth=0.9)
    ticks(axes, names)
    axes.set_title(f"Row {result.row} of {result.dataset} ({result.part}), {networks_words(len(result.seeds))}")
    if len(networks) > 1:
        below = ScaledTranslation(0, -0.55, axes.figure.get_figure(root=True).dpi_scale_trans)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=axes.transAxes + below, ncols=2)


def waterfall(axes: Axes, result: Explanation, *, scorer: str | None = None, network: str = BEFORE,
              seed: int | None = None) -> int:
    """From f(baseline) to f(x) by one complete scorer, in the `network` before or after; of one `seed`, or the mean."""
    part = _network(result, network)[_scorer(result, scorer)]
    tall = attribution.waterfall(axes, part, row=0, network=None if seed is None else _member(result, seed))
    when = "before any removal" if network == BEFORE else _removed(result)
    which = networks_words(len(result.seeds)) if seed is None else f"network {seed}"
    axes.set_title(f"Row {result.row} of {result.dataset} ({result.part}), {which}, {when}")
    return tall


def path(axes: Axes, result: Explanation, *, network: str = BEFORE, seed: int | None = None) -> int:
    """The strongest ways from this row's values to the output, in one network (the first `seed`, if not given)."""
    _network(result, network)
    which = result.seeds[0] if seed is None else result.seeds[_member(result, seed)]
    rows = result.paths[(result.paths.network == network) & (result.paths.seed == which)]
    tall = draw_path(axes, rows.rename(columns={"seed": "member"}), result.widths, result.output_name)
    legend(axes)
    when = "before any removal" if network == BEFORE else _removed(result)
    axes.set_title(f"Row {result.row} of {result.dataset} ({result.part}), network {which}, {when}", pad=14)
    return tall


def _network(result: Explanation, network: str) -> dict[str, Attribution]:
    return dict(result.attributions[word("network", network, list(result.attributions))])


def _member(result: Explanation, seed: int) -> int:
    if seed not in result.seeds:
        raise InputError(f"seed {seed}: this row was explained for the seeds {', '.join(map(str, result.seeds))}")
    return result.seeds.index(seed)


def _scorer(result: Explanation, scorer: str | None) -> str:
    """The one that is named, or the first that shares out f(x) − f(baseline), or the first."""
    known = list(result.attributions[BEFORE])
    if not known:
        raise InputError("no scorer of this run has a value of a row")
    if scorer is not None and scorer not in known:
        why = f": {result.left_out[scorer]}" if scorer in result.left_out else ""
        raise InputError(f"{unknown_name('scorer of this row', scorer, known)}{why}")
    if scorer is not None:
        return scorer
    explained = {name: part.explained for name, part in result.attributions[BEFORE].items()}
    complete = [name for name, row in explained.items() if row is not None and row.at_baseline is not None]
    return (complete or known)[0]


EXPLANATION = View(headline, table, {"bars": bars, "scorers": scorers, "waterfall": waterfall, "path": path}, facts,
                   wide=("path",))
