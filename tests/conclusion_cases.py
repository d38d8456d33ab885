"""Small tables written by hand, one number a network: what the tests of conclusions are made from.

Three networks whose δ differ. A move is given in δ, so that each side of the threshold is exact.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.tables.audit import ORIGINAL

DELTAS = (0.1, 0.2, 0.4)
Network = dict[str, Any]
PROVED: Network = {"worst_case": 0.0, "worst_case_bound": 0.0, "worst_case_method": "algebra"}


def exact(move: float) -> Network:
    """The largest move, which is known, in δ."""
    return {"worst_case": move, "worst_case_bound": move, "worst_case_method": "exact"}


def enclosed(move: float, bound: float) -> Network:
    """A move that was found, and one that no row exceeds, in δ."""
    return {"worst_case": move, "worst_case_bound": bound, "worst_case_method": "enclosure"}


def searched(move: float) -> Network:
    """A move that was found; what was not found may be anything."""
    return {"worst_case": move, "worst_case_bound": np.inf, "worst_case_method": "search"}


def network_row(seed: int, removal: str, removed: str, network: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `outcomes`: its moves in f's units, the witness from f = 10 downwards."""
    delta = network.get("delta", DELTAS[seed])
    moves = {name: delta * network[name] for name in ("worst_case", "worst_case_bound")}
    witness = {"witness_row": 20 + seed, "witness_from": f"own value {seed}", "witness_to": f"new value {seed}",
               "witness_before": 10.0, "witness_after": 10 - moves["worst_case"]}
    if network["worst_case_method"] == "algebra":
        witness |= {"witness_row": -1, "witness_from": "", "witness_to": "", "witness_before": np.nan,
                    "witness_after": np.nan}
    return {"dataset": "d", "layer": 0, "rank": 0, "split": 0, "seed": seed, "removal": removal, "removed": removed,
            "reads": "in training", "learned": True, "rows": 100, "rows_unseen": 100, "delta": delta, **moves,
            **witness, **{name: value for name, value in network.items() if name not in moves}}


def frames(edits: Mapping[tuple[str, str], Sequence[Network | None]], learned: Sequence[bool] = (True, True, True),
           originals: Mapping[str, Sequence[Network]] | None = None) -> dict[str, pd.DataFrame]:
    """The tables of a run: (removal, removed) → its networks by seed, None where one is missing."""
    rows = [{"dataset": "d", "layer": 0, "rank": 0, "split": 0, "seed": seed, "removal": ORIGINAL, "removed": "",
             "worst_case_method": "", "learned": value} for seed, value in enumerate(learned)]
    examined = {(ORIGINAL, removed): networks for removed, networks in (originals or {}).items()}
    for (removal, removed), networks in {**examined, **edits}.items():
        rows += [network_row(seed, removal, removed, network) for seed, network in enumerate(networks)
                 if network is not None]
    keys = ["dataset", "split", "layer", "rank", "removal", "removed", "scorer"]
    failed = pd.DataFrame(columns=[*keys, "error"]).astype({"split": int, "rank": int})
    return {"outcomes": pd.DataFrame(rows), "failures": failed,
            "attributions": pd.DataFrame({"dataset": "d", "layer": 0, "split": 0, "seed": range(len(learned)),
                                          "removal": ORIGINAL, "scorer": "lime"}),
            "shifts": pd.DataFrame(columns=[*keys, "seed", "applicable"]),
            "nulls": pd.DataFrame(columns=[*keys, "seed", "score", "phantoms", "p", "by_construction", "unseen",
                                           "fidelity"])}
