"""The edited network of a finished run as a file, with a card that says what it is and how to feed it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from attribution_suite.auditing.kept import Kept, dataset_of, edit_of
from attribution_suite.datasets.table import DECOY
from attribution_suite.files import write_atomically
from attribution_suite.networks.exported import weights_digest, write_network
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

CARD = "attribution_suite.card.1"


# Not group_rare: the card's columns say which categories were not rare, and all others are, whatever their rows.
PREPARATION = ("na", "drop", "id", "group_by", "categorical", "ordinal", "dates")


def export_network(run: Path, record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], removal: str,
                   removed: str, seed: int, dataset: str | None, to: Path) -> Path:
    """Writes the network of `seed` after `removal` took `removed` out, and its card beside it; returns the card's path.

    `record` is the run's run.json, `tables` its 'verdicts' and 'outcomes'. What is asked for and cannot be had, as the
    networks of a module that is not a chain of Linear and activation, is an InputError that says what there is.
    """
    name = dataset_of(record, dataset)
    about = record["datasets"][name]
    kept = Kept.of(run, record, name)
    entry, member = edit_of(record, name, removal, removed, seed)
    before = kept.network(kept.original(entry["split"]), entry["seeds"].index(seed))
    after = kept.network(entry, member)
    exported, columns = _without_decoy(after, about["columns"])
    write_network(exported, to)
    network = _row(tables["outcomes"], name, removal, removed, seed)
    judged = rank_name(network["rank"]) if network.get("layer") and network["rank"] else removed
    card = {
        "format": CARD, "file": to.name,
        "sha256": hashlib.sha256(to.read_bytes()).hexdigest(),
        "weights": {"original": _digest(before), "edited": _digest(after), "exported": _digest(exported)},
        "dataset": {"name": name, "split": entry["split"], **{key: about[key] for key in (
            "source", "location", "sha256", "simulated", "fingerprint", "target", "task", "classes")},
            "prepared": _preparation(record, name)},
        "columns": columns, "architecture": str(exported.architecture),
        "decoy": DECOY in about["groups"], "removal": removal, "removed": removed,
        "proxies": record["spec"]["proxies"], "proxies_gone": about["proxies_gone"].get(removed, []),
        "layer": record["spec"]["layer"],
        "seed": seed, "network": network, "verdict": _row(tables["verdicts"], name, removal, judged, None),
        "rules": record["spec"]["rules"], "versions": record["versions"], "machine": record["machine"]}
    path = card_path(to)
    write_atomically(path, (json.dumps(card, indent=1) + "\n").encode())
    return path


def card_path(network: Path) -> Path:
    """Where the card of an exported network lies: its name with .json behind."""
    return network.with_name(network.name + ".json")


def _preparation(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the run was told to do with the columns of this table of one's own, by the options' names."""
    for request in record["spec"]["requests"]:
        if name in (request["name"], Path(request["name"]).name.split(".")[0]):
            return {option: request[option] for option in PREPARATION if request[option]}
    return {}


def _without_decoy(network: Perceptrons, columns: list[dict[str, Any]]) -> tuple[Perceptrons, list[dict[str, Any]]]:
    """The network with the audit's column of noise held at its mean, which is 0 as it enters: no input any more."""
    kept = [index for index, entry in enumerate(columns) if entry["column"] != DECOY]
    if len(kept) == len(columns):
        return network, columns
    smaller = replace(network.architecture, features=len(kept))
    weights = (network.weights[0][..., torch.tensor(kept)], *network.weights[1:])
    return Perceptrons(smaller, weights, network.biases), [columns[index] for index in kept]


def _digest(network: Perceptrons) -> str:
    return weights_digest([weight[0] for weight in network.weights], [bias[0] for bias in network.biases])


def _row(table: pd.DataFrame, dataset: str, removal: str, removed: str, seed: int | None) -> dict[str, Any]:
    """The one row of a table, as JSON's values: what is not finite is null. Empty where there is none."""
    chosen = (table.dataset == dataset) & (table.removal == removal) & (table.removed == removed)
    if seed is not None:
        chosen &= table.seed == seed
    rows = table[chosen & (table.removal != ORIGINAL)]
    if not len(rows):
        return {}
    return {str(name): _plain(value) for name, value in rows.iloc[0].to_dict().items()}


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
