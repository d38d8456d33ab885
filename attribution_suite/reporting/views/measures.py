"""Worst cases, information and checks in a notebook."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attribution_suite.auditing.check import Checked
from attribution_suite.conclusions.numbers import rounded
from attribution_suite.conclusions.words import networks_words
from attribution_suite.errors import InputError
from attribution_suite.measures.information.result import Information
from attribution_suite.measures.worst_case.result import WorstCase
from attribution_suite.reporting.figures.rows import ticks
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import GREY
from attribution_suite.reporting.views.view import View

LOOK = {"found": PALETTE["still"], "none found": PALETTE["gone"]}


def worst_headline(result: WorstCase) -> str:
    """The most that any row moves, and whether more is possible."""
    frame, features = result.to_frame(), ", ".join(dict.fromkeys(
        result.names[column] for column in result.nodes.index.flatten().tolist()))
    if (frame.method == "algebra").all():
        return (f"All weights from {features} are zero: {'it' if ',' not in features else 'they'} cannot move the "
                f"output, whatever the value ({networks_words(len(frame))}).")
    most: Any = frame.iloc[int(frame.effect.argmax())]
    bound = float(frame.bound.max())
    limit = ("no row can move by more" if bound <= float(most.effect) else "a search, which bounds nothing"
             if np.isinf(bound) else f"no row can move by more than {rounded(bound)}")
    return (f"{features} alone moves the output by up to {rounded(float(most.effect))}: row {most.row} of {most.rows}, "
            f"{most.native} → {most.value} takes it from {rounded(float(most.before))} to {rounded(float(most.after))} "
            f"({f'network {most.member}; ' if len(frame) > 1 else ''}{limit}).")


def worst_table(result: WorstCase) -> pd.DataFrame:
    """A row a network."""
    table = result.to_frame()[["member", "effect", "bound", "method", "row", "native", "value", "before", "after"]]
    return table.assign(row=table.row.astype("Int64").where(table.row >= 0))  # none where nothing can move


def worst_bars(axes: Axes, result: WorstCase) -> int:
    """The largest move of each network, and in outline what its bound leaves open."""
    frame = result.to_frame()
    places, open_end = np.arange(len(frame)), frame.bound.replace(np.inf, np.nan)
    axes.barh(places, open_end, 0.72, fill=False, edgecolor=PALETTE["muted"], linewidth=1)
    axes.barh(places, frame.effect, 0.72, color=PALETTE["still"])
    axes.plot(frame.delta, places, "|", color=PALETTE["ink"], markersize=16)
    ticks(axes, [f"network {member}" + (" (no bound)" if np.isinf(bound) else "") for member, bound in
                 zip(frame.member, frame.bound, strict=True)])
    axes.set_xlabel("largest move of the output (outline: bound; mark: δ)")
    return len(frame)


def information_headline(result: Information) -> str:
    """In how many networks something is still told."""
    asked = result.table[result.table.state != ""]
    output = asked[asked["where"] == "output"]
    found = output[output.state == "found"].member.nunique()
    words = f"{found} of {networks_words(len(result))} {'tells' if found == 1 else 'tell'}"
    proxies = list(dict.fromkeys(result.proxies.sort_values("part", ascending=False).proxy)) if len(
        result.proxies) else []
    return (f"By {'its' if len(result) == 1 else 'their'} output {words} something of the feature" + (
        f"; the proxies: {', '.join(proxies[:4])}." if proxies else "."))


def information_table(result: Information) -> pd.DataFrame:
    """A row a question, of the networks together: mean, the widest limits, the control, the states."""
    keys = ["where", "measure", "given", "metric"]
    grouped = result.table.groupby(keys, sort=False, dropna=False)
    return pd.DataFrame({"value": grouped.value.mean(), "low": grouped.low.min(), "high": grouped.high.max(),
                         "control": grouped.control.mean(), "state": grouped.state.agg(
                             lambda states: ", ".join(f"{name} ({count})" for name, count in
                                                      states.value_counts().items() if name))}).reset_index()


def information_bars(axes: Axes, result: Information, *, metric: str | None = None) -> int:
    """Each question's value with its limits, mean over the networks, and the control; of one `metric` (r2, auc …)."""
    table = information_table(result)
    metrics = list(dict.fromkeys(table.metric))
    chosen = metrics[0] if metric is None else metric
    if chosen not in metrics:
        raise InputError(f"option 'metric' is one of {', '.join(metrics)}, got {metric!r}")
    table = table[table.metric == chosen].reset_index(drop=True)
    places = np.arange(len(table))
    axes.barh(places, table.value, 0.72, color=[LOOK.get(state.partition(" (")[0], GREY) for state in table.state])
    axes.hlines(places, table.low, table.high, color=PALETTE["ink"], linewidth=1.1)
    axes.plot(table.control, places, "|", color=PALETTE["warn"], markersize=16, markeredgewidth=2)
    ticks(axes, [f"{where}, {measure}" + (f" | {given}" if given else "") for where, measure, given in
                 table[["where", "measure", "given"]].astype(str).to_numpy()])
    axes.set_xlabel(f"{chosen} of the feature (line: limits over rows; mark: shuffled copies)")
    return len(table)


def proxy_bars(axes: Axes, result: Information) -> int:
    """What the probe of the output loses when each proxy is permuted, mean over the networks."""
    if not len(result.proxies):
        raise InputError("no other feature predicts this one: there are no proxies to draw")
    part = result.proxies.groupby("proxy", sort=False).part.mean().sort_values(ascending=False)
    axes.barh(np.arange(len(part)), part, 0.72, color=PALETTE["accent"])
    ticks(axes, list(part.index))
    axes.set_xlabel("part of what the output tells that goes through the proxy")
    return len(part)


def check_headline(result: Checked) -> str:
    """Its sentence."""
    return f"{'Passed' if result.passed else 'Not passed'}. {result.sentence}"


def check_table(result: Checked) -> pd.DataFrame:
    """One row."""
    return result.to_frame().drop(columns="sentence")


def check_bar(axes: Axes, result: Checked) -> int:
    """The move that was found, its bound, and what is allowed."""
    bound: Any = np.nan if np.isinf(result.bound) else result.bound
    axes.barh([0], [bound], 0.72, fill=False, edgecolor=PALETTE["muted"], linewidth=1)
    axes.barh([0], [result.effect], 0.72, color=PALETTE["gone"] if result.passed else PALETTE["still"])
    axes.axvline(result.max_effect, color=PALETTE["ink"], linewidth=1.2)
    ticks(axes, [result.feature])
    axes.set_xlabel("largest move of the output (outline: bound; line: allowed)")
    return 1


WORST_CASE = View(worst_headline, worst_table, {"bars": worst_bars})
INFORMATION = View(information_headline, information_table, {"bars": information_bars, "proxies": proxy_bars})
CHECKED = View(check_headline, check_table, {"bars": check_bar})
