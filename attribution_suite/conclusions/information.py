"""What networks still tell of a removed input: the worst of the networks, of each place that was probed."""

from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.direct import KEYS, Tables
from attribution_suite.conclusions.numbers import UNMEASURED
from attribution_suite.tables.audit import ORIGINAL

FOUND, OPEN, NONE_FOUND = "found", "not distinguished", "none found"
# The worst first: what one network tells is told.
ORDER = (FOUND, UNMEASURED, OPEN, NONE_FOUND)
PROBES = ("ridge", "boosted")
OUTPUT, INPUTS, HIDDEN = "output", "inputs", "layer:"


def information(tables: Tables, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The columns of `VERDICTS` from 'information_output' to 'proxies', one row a row of `verdicts`.

    `verdicts`: the rows of `direct` for the same data set and layer. '' and NaN where nothing was asked.
    """
    asked = tables["information"]
    probes = asked[asked.measure.isin(PROBES)]
    hidden = probes[probes["where"].str.startswith(HIDDEN)]
    last = hidden["where"].str.removeprefix(HIDDEN).astype(int)
    places = {OUTPUT: probes[probes["where"] == OUTPUT], "hidden": hidden[last == last.max()]}
    dependence = asked[(asked.measure == "distance_correlation") & (asked["given"] == "")]
    told_at = {place: _by_edit(table) for place, table in (*places.items(), ("dependence", dependence))}
    nothing = asked.iloc[:0]
    proxies = {removed: _proxies(tables["proxies"], removed) for removed in verdicts.removed.unique()}
    ceiling = probes[probes["where"] == INPUTS].groupby(["removed", "split"]).value.max().groupby("removed").mean()
    rows = []
    for removed, removal in verdicts[KEYS].itertuples(index=False, name=None):
        row: dict[str, Any] = {"removed": removed, "removal": removal}
        for place in places:
            told = told_at[place].get((removed, removal), nothing)
            row |= {f"information_{place}": worst(told), f"recovered_{place}": _mean(told[told.measure == "ridge"])}
        told = told_at[OUTPUT].get((removed, removal), nothing)
        row |= {"dependence": worst(told_at["dependence"].get((removed, removal), nothing)),
                "ceiling": ceiling.get(removed, np.nan),
                "recovered_metric": "" if told.empty else str(told.metric.iloc[0]), "power": told.power.min()}
        rows.append(row | {"proxies": proxies[removed]})
    return pd.DataFrame(rows)


def worst(rows: pd.DataFrame) -> str:
    """The first of ORDER that a network is in; '' where nothing was asked."""
    states = set(rows.state)
    return next((state for state in ORDER if state in states), "")


def _by_edit(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """(removed, removal) → its rows."""
    return dict(list(table.groupby(["removed", "removal"], sort=False)))


def _mean(rows: pd.DataFrame) -> float:
    """Over networks; NaN where one has no value."""
    return float(rows.value.mean()) if len(rows) and rows.value.notna().all() else np.nan


def _proxies(ledger: pd.DataFrame, removed: str) -> str:
    """The features that predict the removed one, in the order in which they were chosen."""
    chosen = ledger[(ledger.removed == removed) & (ledger.removal == ORIGINAL)].sort_values("order", kind="stable")
    return ", ".join(dict.fromkeys(chosen.proxy))
