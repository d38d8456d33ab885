"""What is left of each removed feature by each method, and what it cost, with intervals."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import percent
from attribution_suite.measures.statistics import equivalence, split_mean, student_mean
from attribution_suite.removals import is_sham
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

UNIT = ["dataset", "layer", "removed", "removal"]
FACTS = ["direct_effect_before", "direct_effect", "flip_rate", "seconds"]
MEANS = ["rmse_before", "rmse", "accuracy_before", "accuracy", "loss_before", "cost_net_loss"]  # without an interval
COST_MARGIN, COST_LEVEL = 0.01, 0.05  # net costs of less than 1 % of the test loss are no difference, shown at 5 %
STUDENT, NADEAU_BENGIO = "Student's t over networks", "Nadeau and Bengio's over splits"  # how an interval is made
LEAST_SPLITS = 3


def summary_table(tables: Mapping[str, pd.DataFrame], simulated: Collection[str] = ()) -> pd.DataFrame:
    """One row a data set, layer, removed feature and removal, from the tables `outcomes` and `failures`.

    Every figure is the mean over networks; `_low` and `_high` are its 95 % interval, by the method that `interval`
    names: on one split Student's t over networks (the seeds), NaN for one network; on several that of Nadeau and Bengio
    over the means of the splits, NaN for fewer than 3. `performance_before` and `performance` are R², or of classes the
    AUC. `effect_left` is direct_effect / direct_effect_before; `loss_change` is loss_native / loss_before − 1;
    `seconds` is that of one network. `cost_net`: `net_costs`, what the removal costs beyond training on;
    `cost_equivalent`: `no_difference` of these; `cost_net_loss` is the same in the loss's own units, for where the
    loss before is next to nothing. `rmse`, `accuracy`, `loss_before` and it are means alone. NaN where a value does not
    exist (flips in regression) and where a network of the row was not measured, never zero. A removal that failed for a
    feature has a row of NaN. `seeds`: how
    many networks have results; `splits`: of how many splits. `note`: that a tuned method had a shortened budget, and
    whether the goal that was set for it was reached; else ''. `simulated` names the data sets whose rows are a
    stand-in.
    """
    outcomes = unit_ranks(tables["outcomes"])
    edited = edits(outcomes)
    facts = edited.assign(
        loss_change=edited.loss_native / edited.loss_before - 1, cost_net=net_costs(outcomes),
        performance=edited.r2.fillna(edited.auc), performance_before=edited.r2_before.fillna(edited.auc_before),
        effect_left=part_left(edited.direct_effect, edited.direct_effect_before))
    means = _means(facts.assign(cost_net_loss=facts.cost_net * facts.loss_before))
    facts = facts.set_index([*UNIT, "split", "seed"])[
        [*FACTS, "loss_change", "cost_net", "performance", "performance_before", "effect_left"]]
    groups = dict(list(facts.groupby(UNIT, sort=False)))
    notes = {key: tuning_note(rows) for key, rows in edited.groupby(UNIT, sort=False)}
    none = facts.iloc[:0]
    failures = tables["failures"]
    ratios = {name: split_ratio(rows, failures[failures.dataset == name]) for name, rows in outcomes.groupby("dataset")}
    rows = []
    for key in pairs(outcomes, failures).itertuples(index=False, name=None):
        group = groups.get(key, none)
        rows.append({**dict(zip(UNIT, key, strict=True)), "simulated": key[0] in simulated, "seeds": len(group),
                     "splits": group.index.get_level_values("split").nunique(), "note": notes.get(key, ""),
                     **_row(group, ratios.get(key[0]))})
    return pd.DataFrame(rows).join(means, on=UNIT) if rows else pd.DataFrame()


def _means(networks: pd.DataFrame) -> pd.DataFrame:
    """`MEANS` by UNIT: of several splits the mean of their means, NaN where a network was not measured."""
    means = networks.groupby([*UNIT, "split"])[MEANS].mean().groupby(UNIT).mean()
    return means.mask(networks[MEANS].isna().groupby([networks[name] for name in UNIT]).any())


def tuning_note(networks: pd.DataFrame) -> str:
    """What is to be said of a tuned method wherever it is compared; `networks`: its rows of `outcomes`."""
    budget, goals = networks.budget.min(), networks.goal[networks.goal != ""]
    parts = [f"{percent(budget)} budget"] if budget < 1 else []
    if len(goals):
        words = "reached by search" if (goals == "reached by search").any() else "reached"
        parts.append(f"goal {words} in {int(goals.str.startswith('reached').sum())} of {len(goals)} networks")
    return ", ".join(parts)


def _row(networks: pd.DataFrame, ratio: float | None) -> dict[str, object]:
    """Mean and interval of each column; NaN where a network was not measured. `ratio`: as for `interval`."""
    names = {"direct_effect_before": "effect_before", "direct_effect": "effect_after"}
    splits = networks.index.get_level_values("split").to_numpy()
    row: dict[str, object] = {"interval": STUDENT if ratio is None else NADEAU_BENGIO}
    for column in networks.columns:
        values = networks[column].to_numpy()
        name = names.get(str(column), str(column))
        row[name], row[f"{name}_low"], row[f"{name}_high"] = interval(
            values * np.nan if np.isnan(values).any() else values, splits, ratio)
    costs = networks.cost_net.to_numpy()
    whole = ratio is not None and not np.isnan(costs).any()
    row["cost_equivalent"] = no_difference(split_means(costs, splits) if whole else costs, ratio)
    return row


def net_costs(outcomes: pd.DataFrame) -> pd.Series:
    """What each removal costs beyond training on, one value a row of `edits(outcomes)`, of the test loss before.

    (loss_native − loss of the seed's sham) / loss_before for a method that has one, which the column `sham` names; NaN
    where that sham was not measured, never the gross cost. Others do not train on from the original, so no sham applies
    to them: theirs is loss_native / loss_before − 1.
    """
    edited, seed = edits(outcomes), [*UNIT[:2], "seed"]
    shams = outcomes[outcomes.removal.map(is_sham).astype(bool)].set_index([*seed, "removal"]).loss_native
    reference = shams.reindex(pd.MultiIndex.from_frame(edited[[*seed, "sham"]])).to_numpy(float)
    return (edited.loss_native - np.where(edited.sham != "", reference, edited.loss_before)) / edited.loss_before


def no_difference(costs: np.ndarray, ratio: float | None = None) -> bool:
    """Whether the mean of the costs `[networks]` is shown to lie within ± COST_MARGIN, by two one-sided tests.

    False for fewer than two networks and where one was not measured: not shown is not equal. Schuirmann (1987).
    `ratio`: n_test / n_train, where the costs are the means of splits, of which three are needed.
    """
    if len(costs) < (2 if ratio is None else LEAST_SPLITS) or not np.isfinite(costs).all():
        return False
    return bool(equivalence(costs, np.zeros_like(costs), COST_MARGIN, ratio) < COST_LEVEL)


def split_ratio(outcomes: pd.DataFrame, failures: pd.DataFrame) -> float | None:
    """n_test / n_train of a data set's splits, the largest; None where the run has one split. From its rows."""
    return None if len(split_numbers(outcomes, failures)) == 1 else float(outcomes.test_to_training.max())


def split_numbers(outcomes: pd.DataFrame, failures: pd.DataFrame) -> list[int]:
    """The splits of one data set in a run: one whose networks all failed is among them."""
    return sorted({*outcomes.split, *failures.split})


def network_count(tables: Mapping[str, pd.DataFrame]) -> int:
    """How many networks one data set should have: one a seed and split, those of a split that failed among them."""
    keys = pd.concat([tables[name][["split", "seed"]] for name in ("outcomes", "attributions")]).drop_duplicates()
    splits = len(split_numbers(tables["outcomes"], tables["failures"]))
    return int(keys.groupby("split").size().max()) * splits if len(keys) else 0


def split_means(values: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """The mean of each split that has a value; networks that have none (NaN) are left out."""
    return pd.Series(values).groupby(splits).mean().dropna().to_numpy()


def interval(values: np.ndarray, splits: np.ndarray, ratio: float | None) -> tuple[float, float, float]:
    """(mean, low, high) of a value a network, `[networks]`, each on one of `splits` `[networks]`.

    `ratio` None: all are on the run's one split, the interval is that over networks (`seed_interval`). Else n_test /
    n_train: mean of the means of the splits, with the interval of Nadeau and Bengio over these, NaN for fewer than 3.
    """
    if ratio is None:
        return seed_interval(values)
    means = split_means(values, splits)
    if len(means) < LEAST_SPLITS or np.isinf(means).any():
        return float(means.mean()) if len(means) else np.nan, np.nan, np.nan
    ends = split_mean(means, ratio)
    return float(ends.mean), float(ends.low), float(ends.high)


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


def edits(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks that lost something: not those of the originals, nor of the sham."""
    names = table.removal.unique()
    return table[~table.removal.isin([name for name in names if name == ORIGINAL or is_sham(name)])]


def pairs(outcomes: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """Every removed feature × removal (`UNIT`) that the run has results of or that failed, by data set and layer."""
    edited, failed = edits(outcomes), unit_ranks(edits(failures))
    parts = []
    for dataset, layer in pd.concat([edited, failed])[UNIT[:2]].drop_duplicates().itertuples(index=False, name=None):
        have = edited[(edited.dataset == dataset) & (edited.layer == layer)]
        lost = failed[(failed.dataset == dataset) & (failed.layer == layer)]
        product = pd.MultiIndex.from_product(
            [[dataset], [layer], dict.fromkeys([*have.removed, *lost.removed]),
             dict.fromkeys([*have.removal, *lost.removal])], names=UNIT)
        parts.append(product.to_frame(index=False))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=UNIT)
