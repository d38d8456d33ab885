"""What networks still tell of a removed input: the worst of the networks, of each place that was probed."""

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
    rows = verdicts[KEYS].reset_index(drop=True)
    for place, told in places.items():
        ridge = told[told.measure == "ridge"].groupby(KEYS).value.agg(lambda values: values.mean(skipna=False))
        rows = rows.join(_worst(told).rename(f"information_{place}"), on=KEYS).join(
            ridge.rename(f"recovered_{place}"), on=KEYS)
    of_output = places[OUTPUT].groupby(KEYS, sort=False)
    proxies = tables["proxies"].query("removal == @ORIGINAL", local_dict={"ORIGINAL": ORIGINAL})
    ceiling = probes[probes["where"] == INPUTS].groupby(["removed", "split"]).value.max().groupby("removed").mean()
    rows = rows.join(_worst(dependence).rename("dependence"), on=KEYS).join(
        of_output.agg(recovered_metric=("metric", "first"), power=("power", "min")), on=KEYS)
    rows = rows.assign(ceiling=rows.removed.map(ceiling), proxies=rows.removed.map(_chosen(proxies)))
    words = ["information_output", "information_hidden", "dependence", "recovered_metric", "proxies"]
    return rows.astype(dict.fromkeys(words, object)).fillna(dict.fromkeys(words, ""))


def _worst(rows: pd.DataFrame) -> pd.Series:
    """Of each removed feature and removal the first of ORDER that a network is in."""
    place = {state: number for number, state in enumerate(ORDER)}
    return rows.state.map(place).groupby([rows[key] for key in KEYS]).min().map(dict(enumerate(ORDER)))


def _chosen(ledger: pd.DataFrame) -> pd.Series:
    """The features that predict each removed one, in the order in which they were chosen."""
    ordered = ledger.sort_values("order", kind="stable").drop_duplicates(["removed", "proxy"])
    return ordered.groupby("removed", sort=False).proxy.agg(", ".join)
