"""Scorers are judged, they do not vote: what each says of a removed feature, against its own null.

The null of a scorer is what it says of phantoms, columns that the network cannot read (table `nulls`); 'above the null'
is a p of at most 1/20 against them. Networks are asked together on each split: of several splits the upper median of p
counts, so that a scorer is above its null where it is in more than half of them. Alarms about one removed feature are
asked of several scorers after several methods: their p-values are adjusted together (Holm 1979).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.direct import KEYS, PRESENT, PROVED, Tables
from attribution_suite.conclusions.numbers import UNMEASURED
from attribution_suite.conclusions.summary import split_numbers, unit_ranks
from attribution_suite.measures.nulls import LEVEL, QUESTIONS
from attribution_suite.measures.statistics import holm
from attribution_suite.measures.worst_case.measure import ZERO
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

FALSE_ALARM, BLIND, BY_CONSTRUCTION, SEES, SILENT = "false alarm", "blind", "by construction", "sees", "silent"
CANNOT_SEE, TOO_POOR, NOT_APPLICABLE = "cannot see", "too poor", "not applicable"
# A surrogate whose mean R² to its networks is below this does not speak for them.
FAITHFUL = 0.8
# Its column in the table of verdicts.
COLUMNS = {FALSE_ALARM: "false_alarm", BLIND: "blind", BY_CONSTRUCTION: "by_construction", SEES: "sees",
           SILENT: "silent", CANNOT_SEE: "cannot_see", TOO_POOR: "too_poor", NOT_APPLICABLE: "not_applicable",
           UNMEASURED: "scorers_not_measured"}


def judgements(tables: Tables, verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row a removed feature, removal and scorer but the control: `removed`, `removal`, `scorer`, `p`, `state`.

    `p` is adjusted where an alarm is asked for by phantoms: for all such questions about the feature, by Holm.
    `verdicts`: the rows of `direct` for the same data set and layer. Blindness is asked first: a scorer that could not
    tell the feature from its null in the originals, where its influence was present, says nothing by silence or alarm;
    where that influence was not measured nobody knows what silence says. A surrogate that follows its networks too
    poorly, before or after, counts neither for nor against anything; its null is zero, so that no phantom
    asks it for an alarm.
    """
    nulls = unit_ranks(tables["nulls"])
    nulls = nulls[nulls.scorer != CONTROL].assign(finite=lambda rows: np.isfinite(rows.score.astype(float)))
    keys = [*KEYS, "scorer"]
    said = nulls.groupby(keys, sort=False).agg(
        finite=("finite", "all"), asked=("split", "nunique"),
        by_construction=("by_construction", "all"), unseen=("unseen", "any"), phantoms=("phantoms", "max"),
        fidelity=("fidelity", "mean"))
    said["finite"] &= said.asked == len(split_numbers(tables["outcomes"], tables["failures"]))
    said["p"] = typical_p(nulls, keys)
    table = verdicts[[*KEYS, "direct", "worst_case_bound", "delta"]].merge(
        pd.DataFrame({"scorer": scorers(tables)}), how="cross")
    after = said.reindex(pd.MultiIndex.from_frame(table[keys]))
    before = said.reindex(pd.MultiIndex.from_frame(table[keys].assign(removal=ORIGINAL)))
    was = table.removed.map(verdicts[verdicts.removal == ORIGINAL].set_index("removed").direct)
    was_present, was_measured = was == PRESENT, was.ne(UNMEASURED) & was.notna()
    none = nothing_left(table).to_numpy(bool)
    constructed, present = _flag(after.by_construction), was_present.to_numpy()
    poor = _flag(before.fidelity < FAITHFUL) | _flag(after.fidelity < FAITHFUL)
    p, resolved = _adjusted(table.removed, after.p.to_numpy(float), none & _flag(after.phantoms > 0))
    measured = _measured(after) & (_measured(before) | ~present) & resolved
    above = p <= LEVEL
    blind = present & (before.p.to_numpy(float) > LEVEL)
    state = np.select(
        [refused(tables, table), ~measured, _flag(before.unseen) | _flag(after.unseen), poor, blind, above & none,
         constructed, above],
        [NOT_APPLICABLE, UNMEASURED, CANNOT_SEE, TOO_POOR, BLIND, FALSE_ALARM, BY_CONSTRUCTION, SEES],
        np.where(was_measured, SILENT, UNMEASURED))
    return table[keys].assign(p=p, state=state)


def poor_surrogates(nulls: pd.DataFrame, recorded: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The scorers whose surrogates follow the original networks too poorly to speak for them.

    By the R² that `judgements` asks; where nothing was removed by that of `recorded`, `scorers` in run.json.
    """
    known = pd.Series({name: about["fidelity"] for name, about in recorded.items()}, dtype=float)
    judged = nulls[nulls.removal == ORIGINAL].groupby("scorer").fidelity.mean().astype(float)
    fidelity = judged.combine_first(known)
    return [str(name) for name in fidelity.index[fidelity < FAITHFUL]]


def nothing_left(verdicts: pd.DataFrame) -> pd.Series:
    """Which rows' direct influence is proved none, or has a D that is zero to rounding: there an alarm is false."""
    return (verdicts.direct == PROVED) | (verdicts.worst_case_bound <= ZERO * verdicts.delta)


def _adjusted(removed: pd.Series, p: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p, where `asked` adjusted by Holm for all that is asked about the same feature; and whether it could be told.

    A run has phantoms for `QUESTIONS` alarms about a feature: of more, one that no phantom reaches is not measured.
    """
    adjusted, resolved = p.copy(), np.ones(len(p), bool)
    for rows in removed[asked & np.isfinite(p)].groupby(removed).groups.values():
        adjusted[rows] = holm(p[rows])
        resolved[rows] = (adjusted[rows] <= LEVEL) | (p[rows] > LEVEL / QUESTIONS)
    return adjusted, resolved


def asked_by_phantoms(nulls: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The pairs of `removal` and `scorer` in which an alarm about one removed feature would be false.

    `verdicts`: the feature's rows. Only phantoms have a level: a null that is exactly zero alarms by no chance.
    """
    named = unit_ranks(nulls[(nulls.phantoms > 0) & (nulls.scorer != CONTROL)])
    removals = verdicts.removal[nothing_left(verdicts)]
    asked = named[(named.removed == verdicts.removed.iloc[0]) & named.removal.isin(removals)]
    pairs: pd.DataFrame = asked[["removal", "scorer"]].drop_duplicates()
    return pairs


def typical_p(nulls: pd.DataFrame, keys: list[str]) -> pd.Series:
    """The upper median over splits of p, which all rows of a split share; NaN where that of a split is not known.

    Of independent nulls it is below 1/20 less often than one p is, and never more than twice as often, however the
    splits depend on each other (Rüger 1978).
    """
    of_split = nulls.astype({"p": float}).groupby([*keys, "split"], sort=False).p.first()
    of_all = of_split.groupby(keys, sort=False)
    return of_all.quantile(0.5, interpolation="higher").mask(of_split.isna().groupby(keys, sort=False).any())


def scorers(tables: Tables) -> list[str]:
    """The scorers that are judged, those that failed among them."""
    originals = tables["attributions"][tables["attributions"].removal == ORIGINAL]
    names = pd.unique(pd.concat([originals.scorer, tables["shifts"].scorer, tables["failures"].scorer]))
    return [str(name) for name in names if name not in (CONTROL, "")]


def refused(tables: Tables, table: pd.DataFrame) -> np.ndarray:
    """Which rows' scorer does not apply, to what the removal changes or to the networks at all; a failed one does."""
    shifts = unit_ranks(tables["shifts"])
    applies = shifts.groupby([*KEYS, "scorer"]).applicable.any()
    after = applies.reindex(pd.MultiIndex.from_frame(table[[*KEYS, "scorer"]]))
    never: np.ndarray = _flag(after.eq(False)) & ~_failed(table, tables["failures"])
    return never


def _failed(table: pd.DataFrame, failures: pd.DataFrame) -> np.ndarray:
    """Which rows' scorer failed there, or in the originals, without which there is nothing to compare with."""
    named = unit_ranks(failures[failures.scorer != ""])
    there = pd.MultiIndex.from_frame(table[[*KEYS, "scorer"]]).isin(
        pd.MultiIndex.from_frame(named[[*KEYS, "scorer"]]))
    return there | table.scorer.isin(named.scorer[named.removal == ORIGINAL]).to_numpy()


def _measured(said: pd.DataFrame) -> np.ndarray:
    """Which rows have finite scores and a p, or need none; without the originals' nobody knows who is blind."""
    measured: np.ndarray = _flag(said.finite) & (said.p.notna().to_numpy() | _flag(said.by_construction))
    return measured


def _flag(values: pd.Series) -> np.ndarray:
    return np.asarray(values.eq(True), bool)
