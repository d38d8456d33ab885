"""What is left of each removed feature by each method, and what it cost, with intervals."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import percent
from attribution_suite.measures.statistics import equivalence, split_mean, student_mean
from attribution_suite.removals import is_sham
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

UNIT = ["dataset", "layer", "removed", "removal"]
FACTS = ["direct_effect_before", "direct_effect", "flip_rate", "seconds", "loss_change", "cost_net", "performance",
         "performance_before", "effect_left"]
EFFECTS = {"direct_effect_before": "effect_before", "direct_effect": "effect_after"}  # as the summary calls them
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
    failures = tables["failures"]
    ratios = {str(name): split_ratio(rows, failures[failures.dataset == name])
              for name, rows in outcomes.groupby("dataset")}
    table = pairs(outcomes, failures)
    if table.empty:
        return pd.DataFrame()
    table["simulated"] = table.dataset.isin(list(simulated))
    counts = facts.groupby(UNIT).split.agg(seeds="size", splits="nunique")
    table = table.join(counts, on=UNIT).fillna({"seeds": 0, "splits": 0}).astype({"seeds": int, "splits": int})
    table = table.join(tuning_notes(edited), on=UNIT).fillna({"note": ""})
    table["interval"] = [STUDENT if ratios.get(name) is None else NADEAU_BENGIO for name in table.dataset]
    table = table.join(_intervals(facts, ratios), on=UNIT)
    return table.assign(cost_equivalent=table.cost_equivalent.eq(True)).join(means, on=UNIT)


def _means(networks: pd.DataFrame) -> pd.DataFrame:
    """`MEANS` by UNIT: of several splits the mean of their means, NaN where a network was not measured."""
    means = networks.groupby([*UNIT, "split"])[MEANS].mean().groupby(UNIT).mean()
    return means.mask(networks[MEANS].isna().groupby([networks[name] for name in UNIT]).any())


def tuning_notes(edited: pd.DataFrame) -> pd.Series:
    """What is to be said of a tuned method wherever it is compared, by UNIT; '' where nothing is."""
    marked = edited.assign(asked=edited.goal != "", reached=edited.goal.str.startswith("reached"),
                           search=edited.goal == "reached by search")
    found = marked.groupby(UNIT, sort=False).agg(budget=("budget", "min"), asked=("asked", "sum"),
                                                 reached=("reached", "sum"), search=("search", "any"))
    return pd.Series([_note(*row) for row in found.itertuples(index=False, name=None)], found.index, str, "note")


def _note(budget: float, asked: int, reached: int, search: bool) -> str:
    parts = [f"{percent(budget)} budget"] if budget < 1 else []
    if asked:
        parts.append(f"goal {'reached by search' if search else 'reached'} in {reached} of {asked} networks")
    return ", ".join(parts)


def _intervals(facts: pd.DataFrame, ratios: Mapping[str, float | None]) -> pd.DataFrame:
    """By UNIT: mean and interval of each column of `FACTS`, NaN where a network was not measured; `cost_equivalent`.

    Rows of equally many networks on the same splits are one array: of a thousand features each by itself took minutes.
    """
    facts = facts.sort_values([*UNIT, "split", "seed"], kind="stable")
    names = [EFFECTS.get(name, name) for name in FACTS]
    columns = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    values, splits = facts[FACTS].to_numpy(float), facts.split.to_numpy()
    alike: dict[Any, list[tuple[Any, Any]]] = {}
    indices: Mapping[Any, Any] = facts.groupby(UNIT).indices
    for key, rows in indices.items():
        alike.setdefault((ratios.get(key[0]), tuple(splits[rows])), []).append((key, rows))
    if facts.empty:
        return pd.DataFrame(index=pd.MultiIndex.from_arrays([[]] * len(UNIT), names=UNIT),
                            columns=[*columns, "cost_equivalent"], dtype=float)
    parts = []
    for (ratio, of_splits), units in alike.items():
        found = values[np.stack([rows for _, rows in units])]  # [units, networks, columns]
        known = found if ratio is None else _of_splits(found, np.array(of_splits))
        ends = np.stack(_ends(known, ratio), -1).reshape(len(units), -1)
        index = pd.MultiIndex.from_tuples([key for key, _ in units], names=UNIT)
        parts.append(pd.DataFrame(ends, index, columns).assign(
            cost_equivalent=no_difference(known[..., FACTS.index("cost_net")], ratio)))
    return pd.concat(parts)


def _of_splits(values: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """`[units, networks, columns]` → `[units, splits, columns]`, the mean of each split."""
    return np.stack([values[:, splits == split].mean(1) for split in np.unique(splits)], 1)


def _ends(values: np.ndarray, ratio: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high of `[units, networks or splits, columns]`; the ends NaN of too few and of infinite ones."""
    with np.errstate(invalid="ignore"):
        mean = values.mean(1)
    nothing = np.full(mean.shape, np.nan)
    if values.shape[1] < (2 if ratio is None else LEAST_SPLITS):
        return mean, nothing, nothing
    known = np.isfinite(values).all(1)
    filled = np.where(known[:, None], values, 0.0).swapaxes(1, 2)
    ends = student_mean(filled) if ratio is None else split_mean(filled, ratio)
    return mean, np.where(known, ends.low, np.nan), np.where(known, ends.high, np.nan)


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


def no_difference(costs: np.ndarray, ratio: float | None = None) -> np.ndarray:
    """Whether the mean of the costs `[…, networks]` is shown to lie within ± COST_MARGIN, by two one-sided tests.

    False for fewer than two networks and where one was not measured: not shown is not equal. Schuirmann (1987).
    `ratio`: n_test / n_train, where the costs are the means of splits, of which three are needed.
    """
    known = np.isfinite(costs).all(-1)
    if costs.shape[-1] < (2 if ratio is None else LEAST_SPLITS):
        return np.zeros_like(known)
    filled = np.where(known[..., None], costs, 0.0)
    shown: np.ndarray = known & (equivalence(filled, np.zeros_like(filled), COST_MARGIN, ratio) < COST_LEVEL)
    return shown


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
    if not ranked.any():
        return table
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
