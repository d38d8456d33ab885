"""Which removal took which feature out: a table of verdicts, from the tables of one data set at one layer.

Two readings are kept apart. The *direct effect* says whether the output still moves with the feature; it needs no
attribution method. Each *scorer* says whether it still gives the feature a share. A scorer reads the feature as gone
if it leaves at most `GONE` of the former share, or no more than it gives the column of pure noise (the decoy).

Nothing unmeasured is gone: a value that is absent or NaN, in any network, is 'not measured'. What the other networks
show is said where it is bad news: an influence present in one network is present.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import UNMEASURED
from attribution_suite.conclusions.summary import pairs, part_left, unit_ranks
from attribution_suite.datasets.table import DECOY
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

# At most this part of what it was counts as gone, for a share and for the direct effect; from STAYS on it stays in.
GONE, STAYS = 0.01, 0.5
# What a scorer can read of a removed feature, the least first.
STATES = ("not applicable", "gone", "blind", "noise", UNMEASURED, "left")
KEYS = ["removed", "removal"]

Tables = Mapping[str, pd.DataFrame]


def verdicts(tables: Tables) -> pd.DataFrame:
    """One row a removed feature and removal, of one data set and layer.

    Columns: `removed`, `removal`; `kind`: 'out' (at most `GONE` of the direct effect is left and no scorer sees the
    feature), 'disputed' (gone, but some scorer sees it), 'reduced' (less than `STAYS` is left), 'stays', or
    'unmeasured'; `effect_left`, `measured`, `networks` as in `effects`; `seen` of `voters`: how many of the scorers
    that apply and were measured still see it; `missing`: how many apply and were not measured.
    """
    left, states = effects(tables), votes(tables)
    rows = []
    judged: list[Any] = list(left.itertuples())
    for row in judged:
        by_scorer = states[(states.removed == row.removed) & (states.removal == row.removal)].state
        seen, missing = int((by_scorer == "left").sum()), int((by_scorer == UNMEASURED).sum())
        rows.append({
            "removed": row.removed, "removal": row.removal,
            "kind": kind_of(row.effect_left, row.measured == row.networks, list(by_scorer)),
            "effect_left": row.effect_left, "measured": row.measured, "networks": row.networks, "seen": seen,
            "voters": int((by_scorer != "not applicable").sum()) - missing, "missing": missing})
    return pd.DataFrame(rows, columns=[*KEYS, "kind", "effect_left", "measured", "networks", "seen", "voters",
                                       "missing"])


def kind_of(left: float, whole: bool, states: Sequence[str]) -> str:
    """The kind of one removal of one feature.

    `left`: the part of the direct effect left in the networks that were measured, NaN if none was; `whole`: all were.
    """
    if left > GONE:
        return "reduced" if left < STAYS else "stays"
    if np.isnan(left) or not whole:
        return "unmeasured"
    return "disputed" if "left" in states else "out"


def effects(tables: Tables) -> pd.DataFrame:
    """Direct effect left, one row a removed feature and removal.

    `effect_left`: the mean of `part_left` over the networks where both are finite, NaN where no network was measured.
    `measured`: how many networks were, of `networks`.
    """
    outcomes = unit_ranks(tables["outcomes"])
    finite = outcomes[np.isfinite(outcomes[["direct_effect_before", "direct_effect"]]).all(axis=1)]
    left = finite.assign(left=part_left(finite.direct_effect, finite.direct_effect_before)).groupby(KEYS).left
    table = pairs(outcomes, tables["failures"])[KEYS]
    index = pd.MultiIndex.from_frame(table)
    return table.assign(effect_left=left.mean().reindex(index).to_numpy(), networks=networks(tables),
                        measured=left.size().reindex(index, fill_value=0).to_numpy())


def networks(tables: Tables) -> int:
    """How many networks there are: one a seed."""
    return len({*tables["outcomes"].seed, *tables["attributions"].seed})


def votes(tables: Tables) -> pd.DataFrame:
    """One row a removed feature, removal and scorer: share_before, share_after (means over networks), `state`.

    `state`: 'gone' (at most GONE of the former share), 'blind' (not gone, but before the removal too the scorer gave it
    no more than the decoy; or it gave it nothing at all), 'noise' (now no more than the decoy), 'left', 'not measured'
    (it failed, or a share is NaN, in some network, and in no other it is 'left'), or 'not applicable'. The decoy's
    share is that in the original networks. The `random` control has no vote.
    """
    keys = [*KEYS, "scorer"]
    shifts = unit_ranks(tables["shifts"])
    finite = np.isfinite(shifts[["share_before", "share_after"]].to_numpy()).all(1)
    known = shifts[shifts.applicable & finite]
    groups = known.groupby(keys, sort=False)
    table = pairs(unit_ranks(tables["outcomes"]), tables["failures"])[KEYS].merge(
        pd.DataFrame({"scorer": voters(tables)}), how="cross")
    index = pd.MultiIndex.from_frame(table)
    means = groups[["share_before", "share_after"]].mean().reindex(index)
    before, after = means.share_before.to_numpy(), means.share_after.to_numpy()
    floor = table.scorer.map(floors(tables["attributions"])).to_numpy(float)
    state = np.select([before == 0, after <= GONE * before, before <= floor, after <= floor],
                      ["blind", "gone", "blind", "noise"], "left").astype(object)
    count = groups.size().reindex(index, fill_value=0).to_numpy()
    state[(count == 0) | ((count < networks(tables)) & (state != "left"))] = UNMEASURED
    refused = ~shifts.groupby(keys).applicable.any().reindex(index, fill_value=True).to_numpy(bool)
    state[refused & ~_failed(table, tables["failures"])] = "not applicable"
    return table.assign(share_before=before, share_after=after, state=state)


def voters(tables: Tables) -> list[str]:
    """The scorers that have a say, those that failed among them."""
    originals = tables["attributions"][tables["attributions"].removal == ORIGINAL]
    names = pd.unique(pd.concat([originals.scorer, tables["shifts"].scorer, tables["failures"].scorer]))
    return [name for name in names if name not in (CONTROL, "")]


def floors(attributions: pd.DataFrame) -> pd.Series:
    """scorer → the share it gives the decoy in the original networks, mean over networks."""
    noise = attributions[(attributions.removal == ORIGINAL) & (attributions.feature == DECOY)]
    return noise.groupby("scorer").share.mean()


def _failed(table: pd.DataFrame, failures: pd.DataFrame) -> np.ndarray:
    """Which rows' scorer failed there, or in the originals, without which there is nothing to compare with."""
    failed = np.zeros(len(table), bool)
    rows: list[Any] = list(unit_ranks(failures[failures.scorer != ""]).itertuples())
    for row in rows:
        same_edit = (table.removal == row.removal) & (table.removed == row.removed)
        failed |= ((table.scorer == row.scorer) & (same_edit | (row.removal == ORIGINAL))).to_numpy()
    return failed
