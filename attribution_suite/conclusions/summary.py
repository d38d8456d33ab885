"""What is left of each removed feature by each method, and what it cost: means and intervals over networks."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from attribution_suite.measures.statistics import student_mean
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

UNIT = ["dataset", "layer", "removed", "removal"]
FACTS = ["direct_effect_before", "direct_effect", "flip_rate", "seconds"]


def summary_table(tables: Mapping[str, pd.DataFrame], simulated: Collection[str] = ()) -> pd.DataFrame:
    """One row a data set, layer, removed feature and removal, from the tables `shifts`, `outcomes` and `failures`.

    Every figure is the mean over networks; `_low` and `_high` are its 95 % interval (Student's t) over networks (the
    seeds), NaN for one network. `share_before` and `share_after` are the median over the applicable scorers, the
    `random` control left out. `effect_left` is direct_effect / direct_effect_before; `loss_change` is
    loss_native / loss_before − 1; `seconds` is that of one network. NaN where a value does not exist (flips in
    regression) and where a network of the row was not measured, never zero. A removal that failed for a feature has a
    row of NaN. `seeds`: how many networks have results. `simulated` names the data sets whose rows are a stand-in.
    """
    shifts, outcomes = (unit_ranks(tables[name]) for name in ("shifts", "outcomes"))
    voters = shifts[shifts.applicable & (shifts.scorer != CONTROL)]
    shares = voters.groupby([*UNIT, "seed"], sort=False)[["share_before", "share_after"]].median()
    facts = outcomes[outcomes.removal != ORIGINAL].set_index([*UNIT, "seed"])
    facts = facts[FACTS].assign(loss_change=facts.loss_native / facts.loss_before - 1)
    groups = dict(list(facts.join(shares).groupby(UNIT, sort=False)))
    none = pd.DataFrame(columns=[*FACTS, "loss_change", "share_before", "share_after"], dtype=float)
    rows = []
    for key in pairs(outcomes, tables["failures"]).itertuples(index=False, name=None):
        group = groups.get(key, none)
        rows.append({**dict(zip(UNIT, key, strict=True)), "simulated": key[0] in simulated, "seeds": len(group),
                     **_row(group)})
    return pd.DataFrame(rows)


def _row(networks: pd.DataFrame) -> dict[str, float]:
    """Mean and interval over networks of each column; NaN where one of them was not measured."""
    left = part_left(networks.direct_effect, networks.direct_effect_before)
    if networks[["direct_effect", "direct_effect_before"]].isna().any(axis=None):
        left = left * np.nan
    names = {"direct_effect_before": "effect_before", "direct_effect": "effect_after"}
    row: dict[str, float] = {}
    for column in networks.columns:
        values = networks[column].to_numpy()
        name = names.get(str(column), str(column))
        row[name], row[f"{name}_low"], row[f"{name}_high"] = seed_interval(
            values * np.nan if np.isnan(values).any() else values)
    row["effect_left"], row["effect_left_low"], row["effect_left_high"] = seed_interval(left.to_numpy())
    return row


def seed_interval(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) of `[seeds]`, by Student's t; seeds that have no value (NaN) are left out.

    The ends are NaN where there are no two finite values to draw from, the mean too where there is none at all.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan, np.nan
    if len(values) == 1 or np.isinf(values).any():
        return float(values.mean()), np.nan, np.nan
    interval = student_mean(values)
    return float(interval.mean), float(interval.low), float(interval.high)


def part_left(after: pd.Series, before: pd.Series) -> pd.Series:
    """after / before, of each network: 0 where nothing was and nothing is, infinite where nothing was and some is."""
    return (after / before.where(before > 0)).mask(before == 0, after.where(~(after > 0), np.inf))


def unit_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with hidden units that were picked by `top:K` under their rank in the place of their name.

    Units have no identity across networks: 'unit:7' of one is not 'unit:7' of another, the strongest unit of each is.
    Inputs, and units that were named, keep their names.
    """
    ranked = (table.layer > 0) & (table["rank"] > 0)
    return table.assign(removed=table.removed.where(~ranked, table["rank"].map(rank_name)))


def rank_name(rank: int) -> str:
    """What a hidden unit of this rank is called."""
    return "strongest unit" if rank == 1 else f"unit of rank {rank}"


def pairs(outcomes: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """Every removed feature × removal (`UNIT`) that the run has results of or that failed, by data set and layer."""
    edited = outcomes[outcomes.removal != ORIGINAL]
    failed = unit_ranks(failures[failures.removal != ORIGINAL])
    parts = []
    for dataset, layer in pd.concat([edited, failed])[UNIT[:2]].drop_duplicates().itertuples(index=False, name=None):
        have = edited[(edited.dataset == dataset) & (edited.layer == layer)]
        lost = failed[(failed.dataset == dataset) & (failed.layer == layer)]
        product = pd.MultiIndex.from_product(
            [[dataset], [layer], dict.fromkeys([*have.removed, *lost.removed]),
             dict.fromkeys([*have.removal, *lost.removal])], names=UNIT)
        parts.append(product.to_frame(index=False))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=UNIT)
