"""The certificate of one removed feature and method: the hashes that lead from its data to its verdict."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pandas as pd
import torch

from attribution_suite.auditing.store import Arrays, Store
from attribution_suite.conclusions.direct import BOUNDED, PROVED
from attribution_suite.conclusions.summary import unit_ranks
from attribution_suite.conclusions.words import called, direct_text
from attribution_suite.evidence.statement import CERTIFICATE, Statement, plain, statement
from attribution_suite.files import file_sha256
from attribution_suite.networks.exported import weights_digest
from attribution_suite.tables import ALL_TABLES, VERDICTS
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

INFORMATION = ("information_output", "recovered_output", "information_hidden", "recovered_hidden", "recovered_metric",
               "ceiling", "power", "dependence", "proxies")
SCORERS = ("false_alarm", "blind", "by_construction", "sees", "silent", "cannot_see", "too_poor",
           "not_applicable", "scorers_not_measured")
KEYS = ("dataset", "layer", "removal", "removed")
MEASURED = ("worst_case", "worst_case_bound", "worst_case_method", "delta", "loss_before", "loss_native")
DIGEST = "SHA-256 of the float32 bytes (little-endian) of weight and bias, layer by layer from the input"
LONGEST = 100  # characters of a file's name, without its ending


@dataclass(frozen=True)
class Weights:
    """Where a network lies and the digest of its weights, None where networks are not kept."""

    digest: str | None
    chunk: str
    chunk_sha256: str


def certificates(run: Path, record: Mapping[str, Any], store: Store) -> Iterator[tuple[str, Statement]]:
    """The name and statement of every removed feature and method that left a network, from a finished run's files.

    What failed as a whole has none: there is no network to certify.
    """
    verdicts, outcomes = (pd.read_parquet(run / f"{name}.parquet") for name in ("verdicts", "outcomes"))
    networks: dict[Any, pd.DataFrame] = dict(list(unit_ranks(outcomes).groupby([*KEYS], sort=False)))
    tables = {name: file_sha256(path) for name in sorted(ALL_TABLES) if (path := run / f"{name}.parquet").exists()}
    about_run = {"sha256": file_sha256(run / "run.json"), "code": record["code"], "started": record["started"],
                 "finished": record["finished"]}
    kept = _weights(record, store)
    rows: list[Any] = list(verdicts[verdicts.removal != ORIGINAL].itertuples(index=False))
    for row in rows:
        key = (row.dataset, row.layer, row.removal, row.removed)
        edited = [{"seed": int(one.seed), "split": int(one.split), "unit": str(one.named),
                   **{name: plain(getattr(one, name)) for name in MEASURED}}
                  for one in _rows(networks.get(key), outcomes)]
        places = [kept[row.dataset, entry["seed"], row.removal, row.removed] for entry in edited]
        if not places:
            continue
        originals = [kept[row.dataset, entry["seed"], ORIGINAL, ""] for entry in edited]
        words = [str(value) for value in (row.dataset, row.removal, row.removed) if value]
        subjects = _subjects("/".join(words), edited, places)
        yield file_name([*words, *([f"layer{row.layer}"] if row.layer else [])]), statement(CERTIFICATE, subjects, {
            "data": _data(record, row.dataset),
            "original": _networks(edited, originals) | {
                name: record["datasets"][row.dataset][name] for name in ("architecture", "training")},
            "method": _method(record, row),
            "edited": _networks(edited, places),
            "verdict": {name: plain(getattr(row, name)) for name in VERDICTS
                        if name not in (*KEYS, *INFORMATION, *SCORERS)},
            "worst_case": edited,
            "information": {name: plain(getattr(row, name)) for name in INFORMATION},
            "scorers": {name: plain(getattr(row, name)) for name in SCORERS},
            "finding": direct_text(row, called(row.removed)),
            "limits": limits(row, record["datasets"][row.dataset]),
            "rules": record["spec"]["rules"], "tables": tables, "run": about_run,
            "versions": record["versions"], "machine": record["machine"], "made_by": record["made_by"]})


def limits(row: Any, about: Mapping[str, Any]) -> list[str]:
    """What the verdict does not say, in sentences."""
    feature = called(str(row.removed))
    sentences = [f"This is about these networks alone (the digests of their weights), and about {feature} moved alone."]
    if row.direct == PROVED:
        sentences.append("Direct influence is proved none, whatever the rows; nothing follows for what other columns "
                         f"tell of {feature}.")
    else:
        sentences.append(f"{row.rows} test rows of each network were looked at; nothing follows for other rows but " + (
            f"this: at most {row.moved_at_most:.2%} of rows like them move by more than δ, with 95 % confidence."
            if row.direct == BOUNDED and row.rows_unseen else "what the words above say."))
        sentences.append(f"Direct influence only: nothing follows for what other columns tell of {feature}.")
    if row.proxies:
        sentences.append(f"Columns that predict {feature} were found: {row.proxies}.")
    asked = {"output": row.information_output, "last hidden layer": row.information_hidden}
    if any(asked.values()):
        sentences.append(f"What probes recovered of {feature}: " + "; ".join(
            f"{where}: {state}" for where, state in asked.items() if state) + ".")
    else:
        sentences.append(f"What the networks still tell of {feature} through other columns was not asked.")
    if row.splits == 1:
        sentences.append("One split of the rows: the spread over splits is not known.")
    if row.networks_not_measured:
        sentences.append(f"Not measured in {row.networks_not_measured} of the networks.")
    if about["simulated"]:
        sentences.append("The rows are a SIMULATED stand-in for the real table: nothing follows for real people.")
    return sentences


def file_name(words: Sequence[str]) -> str:
    """A file's name, without an ending, that says what it is of; another text always has another name."""
    text = "-".join(words)
    plain_text = re.sub(r"[^A-Za-z0-9_.+-]", "_", text)[:LONGEST]
    return plain_text if plain_text == text else f"{plain_text}-{crc32(text.encode()):08x}"


def _weights(record: Mapping[str, Any], store: Store) -> dict[tuple[str, int, str, str], Weights]:
    """Every network of the run by data set, seed, removal and what was removed, '' for the originals."""
    found = {}
    for entry in record["chunks"]:
        if entry["work"] not in ("TrainOriginals", "RemoveFeatures") or entry["sha256"] is None:
            continue
        stored = store.load(entry["key"])
        ranks = entry.get("ranks", [0])
        names = [[rank_name(rank) if rank and record["spec"]["layer"] else name
                  for name, rank in zip(seed, ranks, strict=True)] for seed in entry["removed"] or [[""]] * len(
                      entry["seeds"])]
        places = [(seed, name) for seed, row in zip(entry["seeds"], names, strict=True) for name in row]
        for member, (seed, name) in enumerate(places):
            digest = None if stored is None else _digest(stored.arrays, member)
            found[entry["dataset"], seed, entry["removal"], name] = Weights(
                digest, f"chunks/{entry['key']}.safetensors", entry["sha256"])
    return found


def _digest(arrays: Arrays, member: int) -> str | None:
    """As in the card of an exported network; None where the weights are not kept."""
    depth = sum(name.startswith("weight ") for name in arrays)
    weights, biases = ([torch.from_numpy(arrays[f"{kind} {layer}"][member]) for layer in range(depth)]
                       for kind in ("weight", "bias"))
    return weights_digest(weights, biases) if depth else None


def _rows(networks: pd.DataFrame | None, outcomes: pd.DataFrame) -> Iterator[Any]:
    """One row a network; `named`: the unit's own name where networks lost units by their rank."""
    if networks is not None:
        rows = networks[["seed", "split", *MEASURED]]
        yield from rows.assign(named=outcomes.removed.loc[networks.index]).itertuples(index=False)


def _subjects(name: str, edited: Sequence[Mapping[str, Any]], places: Sequence[Weights]) -> list[tuple[str, str]]:
    """The edited networks by the digests of their weights; the chunks that measured those that are not kept."""
    if all(place.digest is None for place in places):
        return list(dict.fromkeys((place.chunk, place.chunk_sha256) for place in places))
    return [(f"{name}/network {entry['seed']}", place.digest or "")
            for entry, place in zip(edited, places, strict=True)]


def _networks(edited: Sequence[Mapping[str, Any]], places: Sequence[Weights]) -> dict[str, Any]:
    return {"digest_of": DIGEST, "networks": [
        {"seed": entry["seed"], "weights": place.digest, "chunk": place.chunk, "chunk_sha256": place.chunk_sha256}
        for entry, place in zip(edited, places, strict=True)]}


def _data(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    about = record["datasets"][name]
    return {"name": name, **{key: about[key] for key in (
        "source", "location", "sha256", "simulated", "note", "fingerprint", "target", "task", "rows")},
        "splits": [split["fingerprint"] for split in about["splits"]]}


def _method(record: Mapping[str, Any], row: Any) -> dict[str, Any]:
    about = record["datasets"][row.dataset]
    return {"removal": row.removal, "removed": row.removed, "layer": int(row.layer),
            "proxies_gone": about["proxies_gone"].get(row.removed, []), "tuning": about["tuning"],
            "profile": record["spec"]["profile"]}
