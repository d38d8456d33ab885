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

from attribution_suite.auditing.store import Arrays, Store
from attribution_suite.auditing.work.train import networks_of
from attribution_suite.datasets.table import DECOY
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.files import write_atomically
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.exported import weights_digest, write_network
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

CARD = "attribution_suite.card.1"


# Not group_rare: what is rare in new rows need not have been rare; a category that was is one never seen.
PREPARATION = ("na", "drop", "id", "group_by", "categorical", "ordinal", "dates")


def export_network(run: Path, record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], removal: str,
                   removed: str, seed: int, dataset: str | None, to: Path) -> Path:
    """Writes the network of `seed` after `removal` took `removed` out, and its card beside it; returns the card's path.

    `record` is the run's run.json, `tables` its 'verdicts' and 'outcomes'. What is asked for and cannot be had, as the
    networks of a module that is not a chain of Linear and activation, is an InputError that says what there is.
    """
    if "chunks" not in record:
        raise InputError(f"{run}/run.json does not say where the run's networks lie: an earlier version wrote it; run "
                         "the same command again")
    name = _dataset(record, dataset)
    about = record["datasets"][name]
    if about["stacked"] is None:
        raise InputError(f"{name}: a module that is no chain of Linear and activation is not kept: "
                         "`attribution_suite.remove` returns it edited, `to_module` as a module")
    entry, member = _chunk(record, name, removal, removed, seed)
    originals = next(chunk for chunk in record["chunks"] if chunk["work"] == "TrainOriginals"
                     and (chunk["dataset"], chunk["split"]) == (name, entry["split"]))
    architecture = Architecture.from_json(about["stacked"])
    store = Store(run / "chunks")
    before = _network(store, originals, architecture, entry["seeds"].index(seed))
    after = _network(store, entry, architecture, member)
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


def _dataset(record: Mapping[str, Any], dataset: str | None) -> str:
    names = list(record["datasets"])
    if dataset is None and len(names) > 1:
        raise InputError(f"the run has {len(names)} data sets: name one of {', '.join(names)}: option 'dataset'")
    if dataset is not None and dataset not in names:
        raise unknown_name("data set of the run", dataset, names)
    return dataset or names[0]


def _chunk(record: Mapping[str, Any], dataset: str, removal: str, removed: str,
           seed: int) -> tuple[dict[str, Any], int]:
    """The chunk that holds the edited network, and the network's place in it."""
    edits = [chunk for chunk in record["chunks"] if chunk["work"] == "RemoveFeatures" and chunk["dataset"] == dataset]
    removals = list(dict.fromkeys(chunk["removal"] for chunk in edits))
    if removal not in removals:
        raise unknown_name(f"removal of this run on {dataset}", removal, removals)
    edits = [chunk for chunk in edits if chunk["removal"] == removal]
    seeds = list(dict.fromkeys(number for chunk in edits for number in chunk["seeds"]))
    if seed not in seeds:
        raise InputError(f"seed {seed}: the run has the seeds {', '.join(map(str, seeds))}")
    edits = [chunk for chunk in edits if seed in chunk["seeds"]]
    lost = {name: (chunk, chunk["seeds"].index(seed) * len(names) + place) for chunk in edits
            for names in [chunk["removed"][chunk["seeds"].index(seed)]] for place, name in enumerate(names)}
    if removed not in lost:
        raise unknown_name(f"what {removal} removed from network {seed} of {dataset}", removed, lost)
    return lost[removed]


def _network(store: Store, entry: Mapping[str, Any], architecture: Architecture, member: int) -> Perceptrons:
    stored = store.load(entry["key"])
    if stored is None:
        raise InputError(f"{store.path(entry['key'])}: this part of the run is missing or damaged: run the same "
                         "command again, which makes it")
    kept: Arrays = {name: array for name, array in stored.arrays.items() if name.startswith(("weight ", "bias "))}
    return networks_of(kept, architecture).select([member])


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
