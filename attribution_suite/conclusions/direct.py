"""The direct influence: what each network's worst case says, and a method's row, which takes the worst of its networks.

The words are those of docs/methods.md, 'What may be concluded'. Nothing unmeasured is ever read as gone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import UNMEASURED
from attribution_suite.conclusions.summary import network_count, pairs, split_numbers, unit_ranks
from attribution_suite.tables.audit import ORIGINAL

PROVED, BOUNDED, UNDECIDED = "proved none", "bounded", "undecided"
PRESENT, BY_DESIGN = "present", "present by design"
# The worst first: a method's row takes the first that one of its networks is in.
ORDER = (PRESENT, UNMEASURED, UNDECIDED, BOUNDED, PROVED)
KEYS = ["removed", "removal"]
WITNESS = ["witness_from", "witness_to", "witness_before", "witness_after"]
READ = [*KEYS, "state", "seed", "split", "reads", "worst_case", "worst_case_bound", "delta", "rows", "rows_unseen",
        "witness_row", *WITNESS]
ALPHA = 0.05

Tables = Mapping[str, pd.DataFrame]


def direct(tables: Tables) -> pd.DataFrame:
    """One row a removed feature and removal of one data set and layer, the originals' rows among them.

    Its columns are those of `VERDICTS` from 'splits' to 'witness_after'. The networks are those of all splits.
    """
    outcomes = unit_ranks(tables["outcomes"])
    edited = pairs(outcomes, tables["failures"])
    order = [(removed, removal) for removed, rows in edited.groupby("removed", sort=False)
             for removal in (ORIGINAL, *rows.removal)]
    count, splits = network_count(tables), len(split_numbers(tables["outcomes"], tables["failures"]))
    measured = outcomes[outcomes.removed != ""]
    measured = measured.assign(state=network_states(measured, learned(tables["outcomes"])))
    networks: dict[tuple[Any, ...], list[Any]] = {}  # tuples: of a thousand features, frames took a minute
    for network in measured[READ].itertuples(index=False):
        networks.setdefault((network.removed, network.removal), []).append(network)
    rows = [{"removed": removed, "removal": removal, "splits": splits,
             **_row(networks.get((removed, removal), []), count)} for removed, removal in order]
    return pd.DataFrame(rows, columns=[*KEYS, "splits", *_row([], 0)])


def learned(outcomes: pd.DataFrame) -> pd.Series:
    """seed → has the original learned? False where that was not measured."""
    originals = outcomes[(outcomes.removal == ORIGINAL) & (outcomes.removed == "")]
    return originals.set_index("seed").learned.astype(bool)


def network_states(outcomes: pd.DataFrame, has_learned: pd.Series) -> np.ndarray:
    """The state of each row of `outcomes`: one network and removed feature.

    'proved none' by algebra, whatever else is known of the network; then 'not measured' where anything is not finite
    or the original has not learned; 'present' where a row moves by more than δ; 'bounded' where none can; else
    'undecided'.
    """
    effect, bound, delta = (outcomes[name].to_numpy(float) for name in ("worst_case", "worst_case_bound", "delta"))
    proved = (outcomes.worst_case_method == "algebra").to_numpy() & (bound == 0)
    known = np.isfinite(effect) & np.isfinite(delta) & ~np.isnan(bound)
    known &= outcomes.seed.map(has_learned).eq(True).to_numpy()
    return np.select([proved, ~known, effect > delta, bound <= delta], [PROVED, UNMEASURED, PRESENT, BOUNDED],
                     UNDECIDED)


def moved_at_most(rows: int) -> float:
    """The part of the population that may move by more than δ where none of n independent rows does: 1 − α^(1/n).

    NaN for no row.
    """
    return float(1 - ALPHA ** (1 / rows)) if rows else np.nan


def _row(networks: Sequence[Any], count: int) -> dict[str, Any]:
    """The verdict over the networks (rows of `READ`) of one removal of one feature; `count`: how many to be."""
    states = [network.state for network in networks]
    tally = {state: states.count(state) for state in ORDER}
    tally[UNMEASURED] += count - len(states)
    worst = next((state for state in ORDER if tally[state]), UNMEASURED)
    found = [network for network in networks if np.isfinite(network.worst_case)]
    by_design = any(network.reads == "at inference" for network in networks)
    row: dict[str, Any] = {
        "direct": BY_DESIGN if by_design else worst,
        "networks_proved": tally[PROVED], "networks_bounded": tally[BOUNDED],
        "networks_undecided": tally[UNDECIDED], "networks_present": tally[PRESENT],
        "networks_not_measured": tally[UNMEASURED],
        "worst_case": np.nan, "worst_case_bound": np.nan, "delta": np.nan, "rows": 0, "rows_unseen": 0,
        "moved_at_most": np.nan,
        "witness_seed": -1, "witness_split": -1, "witness_row": -1, "witness_from": "", "witness_to": "",
        "witness_before": np.nan, "witness_after": np.nan}
    if not found:
        return row
    witness = max((network for network in networks if not np.isnan(network.worst_case)),
                  key=lambda network: network.worst_case)
    row |= {"delta": witness.delta, "rows": int(min(network.rows for network in networks)),
            "rows_unseen": int(min(network.rows_unseen for network in networks))}
    if len(found) == len(networks) == count:
        bounds = [network.worst_case_bound for network in networks if not np.isnan(network.worst_case_bound)]
        row |= {"worst_case": witness.worst_case, "worst_case_bound": max(bounds, default=np.nan)}
    if worst in (BOUNDED, PROVED):
        row["moved_at_most"] = 0.0 if worst == PROVED else moved_at_most(row["rows_unseen"])
    if witness.witness_row >= 0:
        row |= {"witness_seed": int(witness.seed), "witness_split": int(witness.split),
                "witness_row": int(witness.witness_row)}
        row |= {name: getattr(witness, name) for name in WITNESS}
    return row
