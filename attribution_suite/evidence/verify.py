"""A finished run derived again from what it is made of: its files, chunks, tables, verdicts, certificates, data."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from attribution_suite.auditing.code_digest import VERSIONS, code_digest
from attribution_suite.auditing.collate import collate
from attribution_suite.auditing.record import tables_from
from attribution_suite.auditing.recorded import Recorded, recorded
from attribution_suite.auditing.store import damage
from attribution_suite.auditing.subject import fingerprint
from attribution_suite.conclusions.verdicts import run_verdicts
from attribution_suite.datasets.load import load_splits
from attribution_suite.datasets.request import TEST_FRAME, DatasetRequest, Frames
from attribution_suite.datasets.sources import DATA_VARIABLE, StandInWarning
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.evidence.certificate import certificates
from attribution_suite.evidence.compare import table_differences, unlike
from attribution_suite.evidence.dsse import opened
from attribution_suite.evidence.replay import drawn, elsewhere, replayed, scored_again, unlike_here
from attribution_suite.evidence.statement import canonical, differences
from attribution_suite.evidence.write import FOLDER, LIST, SIGNED, envelope_path, read_record, read_statement
from attribution_suite.files import file_sha256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLD = 10  # lines of one kind; how many more there are is said
FEW = 3  # places of one certificate, likewise

Tables = Mapping[str, TabularDataset | pd.DataFrame]
Data = dict[tuple[str, int], TabularDataset]


@dataclass
class Verification:
    """A line each.

    `held`: what was derived again and is as it is in the run; `differs`: what is not; `unchecked`: what could not be
    derived again, and why.
    """

    held: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing differs. What was not checked does not count, so read `unchecked` too."""
        return not self.differs

    def check(self, what: str, lines: Iterator[str]) -> None:
        """Takes what differs in one check; none: `what` held. Whatever `lines` raises is a difference too."""
        try:
            wrong = list(lines)
        except Exception as error:  # files that were written by anyone make readers fail in many ways
            wrong = [f"{what}: cannot be derived again: {type(error).__name__}: {error}".splitlines()[0]]
        self.differs += wrong[:TOLD]
        if wrong[TOLD:]:
            self.differs.append(f"{what}: {len(wrong) - TOLD} differences more")
        if not wrong:
            self.held.append(what)


def verify_run(run: Path, replay: int = 0, key: "Ed25519PublicKey | None" = None,
               tables: Tables | None = None, listed: bool = True) -> Verification:
    """Derives again all that can be, and compares; nothing in the folder is changed.

    `replay`: how many chunks, drawn by chance, are computed again. `key`: whose signature each certificate must bear.
    `tables`: data sets that the run was given as objects, by their names. `listed`: whether the list of the run's files
    is held against them. Raises InputError for a folder that holds no run, or a record or list that cannot be read.
    """
    record, result = read_record(run), Verification()
    if listed:
        contents = read_statement(run / LIST)
        result.check(f"files: {len(contents['subject'])} as in {LIST}", _files(run, contents["subject"]))
    try:
        again = recorded(run, record)
    except Exception as error:  # a record that was edited by hand may hold anything
        result.differs.append(f"run.json: no run can be made of it: {type(error).__name__}: {error}")
        return result
    before = len(result.differs)
    result.check(f"chunks: {len(again.chunks)}, each as it was made", _chunks(run, again))
    whole = len(result.differs) == before
    exact = _same_code(record) and not any(unlike_here(one) for one in record["made_by"])
    if _same_code(record):
        result.check("run.json: the keys of its chunks follow from its spec", _keys(again))
    else:
        result.unchecked.append("the keys of chunks: versions or code are not those of the run")
    if whole:
        result.check("tables: derived from the chunks", _tables(run, again, exact))
    else:
        result.unchecked.append("tables from chunks: chunks differ")
    result.check("verdicts: derived from the tables", _verdicts(run))
    result.check("certificates: derived from run.json, chunks and tables", _certificates(run, record, again))
    _signatures(run, key, result)
    data = _data(record, tables or {}, result)
    _replay(again, record, data, replay, result)
    return result


def _files(run: Path, subjects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in subjects:
        path, digest = run / entry["name"], entry["digest"]["sha256"]
        if not path.exists():
            yield f"{entry['name']}: is missing"
        elif (there := file_sha256(path)) != digest:
            yield f"{entry['name']}: SHA-256 is {there}, {LIST} says {digest}"


def _chunks(run: Path, again: Recorded) -> Iterator[str]:
    for chunk, entry in zip(again.chunks, again.entries, strict=True):
        path = again.store.path(entry["key"])
        name = f"chunks/{path.name} ({chunk.title})"
        if entry["sha256"] is None:
            continue  # it failed, which the table of failures says
        if not path.exists():
            yield f"{name}: is missing"
        elif (there := file_sha256(path)) != entry["sha256"]:
            yield f"{name}: SHA-256 is {there}, run.json says {entry['sha256']}"
        else:
            try:
                again.store.read(entry["key"])
            except Exception as error:  # whatever a stranger's bytes make the readers raise
                yield f"{name}: {damage(error)}"


def _keys(again: Recorded) -> Iterator[str]:
    for chunk, entry in zip(again.chunks, again.entries, strict=True):
        if chunk.key != entry["key"]:
            yield f"run.json: {chunk.title}: what it says of it gives the key {chunk.key}, not {entry['key']}"


def _tables(run: Path, again: Recorded, exact: bool) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        collate(again.chunks, again.done, again.context, scratch, tables_from(again.entries, again.failed))
        for path in sorted(scratch.iterdir()):
            if (run / path.name).exists():
                yield from table_differences(run / path.name, path, exact)
            else:
                yield f"{path.name}: is missing"


def _verdicts(run: Path) -> Iterator[str]:
    yield from unlike("verdicts.parquet", pd.read_parquet(run / "verdicts.parquet"), run_verdicts(run), exact=True)


def _certificates(run: Path, record: Mapping[str, Any], again: Recorded) -> Iterator[str]:
    there = {path.name.removesuffix(".json"): path for path in (run / FOLDER).glob("*.json")
             if path != run / LIST and not path.name.endswith(SIGNED)}
    derived = dict(certificates(run, record, again.store))
    for name in sorted(there.keys() - derived.keys()):
        yield f"{FOLDER}/{name}.json: the run has no such certificate"
    for name, content in derived.items():
        if name not in there:
            yield f"{FOLDER}/{name}.json: is missing"
        elif there[name].read_bytes() != canonical(content):
            lines = list(differences(read_statement(there[name]), content)) or ["other bytes of the same content"]
            more = f"; and {len(lines) - FEW} more" if lines[FEW:] else ""
            yield f"{FOLDER}/{name}.json: {'; '.join(lines[:FEW])}{more}"


def _signatures(run: Path, key: "Ed25519PublicKey | None", result: Verification) -> None:
    statements = [path for path in sorted((run / FOLDER).glob("*.json")) if not path.name.endswith(SIGNED)]
    envelopes = [path for path in statements if envelope_path(path).exists()]
    if key is None:
        result.unchecked.append(
            f"signatures of {len(envelopes)} statements: name the public key" if envelopes else
            "who made the run: nothing is signed, and whoever writes all files can make others that fit each other")
        return

    def wrong() -> Iterator[str]:
        for path in statements:
            name = f"{FOLDER}/{envelope_path(path).name}"
            if path not in envelopes:
                yield f"{name}: is missing: {path.name} is not signed"
                continue
            try:
                if opened(envelope_path(path).read_bytes(), key) != path.read_bytes():
                    yield f"{name}: what is signed is not what {path.name} says"
            except ValueError as error:
                yield f"{name}: {error}"

    result.check(f"signatures: {len(statements)}, each by the public key", wrong())


def _data(record: Mapping[str, Any], tables: Tables, result: Verification) -> Data:
    """The data sets that are found, each held against the run's."""
    found: Data = {}
    for words, (name, about) in zip(record["spec"]["requests"], record["datasets"].items(), strict=True):
        if words["in_memory"] and name not in tables:
            result.unchecked.append(f"data {name}: was given as an object: `Audit.verify` takes it as `tables`")
            continue
        if words["test"] == TEST_FRAME:
            result.unchecked.append(f"data {name}: its test rows were given as a {TEST_FRAME}, which no run keeps")
            continue
        given = tables.get(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", StandInWarning)
                datasets = load_splits(DatasetRequest(**words), record["spec"]["splits"],
                                       Frames(given) if isinstance(given, pd.DataFrame) else given)
        except InputError as error:
            at_hand = about["source"] == "file" and Path(about["location"].split("; ")[0]).exists()
            (result.differs if at_hand else result.unchecked).append(f"data {name}: {error}")
            continue
        if (datasets[0].provenance.source == "simulated") != about["simulated"]:
            result.unchecked.append(f"data {name}: the run's are from '{about['source']}', those found here from "
                                    f"'{datasets[0].provenance.source}': {DATA_VARIABLE} names the real file's folder")
            continue
        before = len(result.differs)
        result.check(f"data {name}: as in the run", _unlike_data(name, about, datasets, _same_code(record)))
        if len(result.differs) == before:
            found |= {(name, dataset.split): dataset for dataset in datasets}
    return found


def _unlike_data(name: str, about: Mapping[str, Any], datasets: Sequence[TabularDataset],
                 same_code: bool) -> Iterator[str]:
    there = datasets[0].provenance
    if there.sha256 != about["sha256"]:
        yield f"data {name}: SHA-256 of {there.location} is {there.sha256}, run.json says {about['sha256']}"
    elif same_code and ("networks" not in about or about["stacked"] is not None):
        for dataset, split in zip(datasets, about["splits"], strict=True):
            if (prepared := fingerprint(dataset)) != split["fingerprint"]:
                yield (f"data {name}: as it is prepared, split {dataset.split} has the fingerprint {prepared}, "
                       f"run.json says {split['fingerprint']}")


def _replay(again: Recorded, record: Mapping[str, Any], data: Data, count: int, result: Verification) -> None:
    for place in drawn(again, count):
        chunk, entry = again.chunks[place], again.entries[place]
        stored, dataset = again.store.load(chunk.key), data.get((entry["dataset"], entry["split"]))
        if stored is None or dataset is None:
            result.unchecked.append(f"{chunk.title}: not computed again: its {'chunk' if stored is None else 'data'} "
                                    "cannot be had")
            continue
        given = "networks" in record["datasets"][entry["dataset"]]
        reason = "its networks were given to the run" if given else elsewhere(record, stored)
        how = "scored again (1e-4)" if reason else "computed again, bit for bit"
        file = f"chunks/{entry['key']}.safetensors ({chunk.title})"
        if reason:
            result.unchecked.append(f"{chunk.title}: training was not replayed: {reason}")
        try:
            wrong = list((scored_again if reason else replayed)(chunk, stored, again, dataset))
        except InputError as error:
            result.unchecked.append(f"{chunk.title}: not {how}: {error}")
        except Exception as error:  # what an edited chunk makes of the code that reads it
            result.differs.append(f"{file}: cannot be {how}: {type(error).__name__}: {error}".splitlines()[0])
        else:
            result.check(f"{chunk.title}: {how}", (f"{file}: {how}: {line}" for line in wrong))


def _same_code(record: Mapping[str, Any]) -> bool:
    versions = {name: version for name, version in record["versions"].items() if name != "python"}
    return versions == VERSIONS and record["code"] == code_digest()
