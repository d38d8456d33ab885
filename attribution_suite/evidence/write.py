"""Writes the folder `certificates` of a finished run, and the list of the run's files."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from attribution_suite.auditing.recorded import RecordedStore
from attribution_suite.errors import InputError
from attribution_suite.evidence.certificate import certificates
from attribution_suite.evidence.dsse import key_id, signed
from attribution_suite.evidence.statement import FILES, Statement, canonical, statement
from attribution_suite.files import file_sha256, write_atomically
from attribution_suite.tables import ALL_TABLES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "certificates"
LIST = f"{FOLDER}/files.json"
SIGNED = ".dsse.json"  # the envelope of NAME.json is NAME.dsse.json
PRINTED = 3  # networks whose hashes a sheet of paper has room for; all are in the JSON


def write_certificates(run: Path, key: "Ed25519PrivateKey | None" = None) -> None:
    """Writes each certificate as JSON, its sheet to print and, with a key, its envelope; earlier ones go."""
    record = read_record(run)
    for stale in (run / FOLDER).glob("*"):
        if stale.is_file():
            stale.unlink()
    listed = []
    for name, content in certificates(run, record, RecordedStore(run / "chunks")):
        payload = _write(run / FOLDER / f"{name}.json", content, key)
        write_atomically(run / FOLDER / f"{name}.html", sheet(name, content, payload, key).encode())
        listed.append((name, content["predicate"]))
    if listed:
        page = _templates().get_template("index.html").render(listed=listed, signed=key is not None)
        write_atomically(run / FOLDER / "index.html", page.encode())


def write_list(run: Path, key: "Ed25519PrivateKey | None" = None) -> None:
    """Writes the list of the run's files, with the SHA-256 of each; run.json holds those of the chunks."""
    record = read_record(run)
    subjects = [(path.relative_to(run).as_posix(), file_sha256(path)) for path in listed_files(run)]
    _write(run / LIST, statement(FILES, subjects, {
        "chunks": "run.json holds the SHA-256 of each", "started": record["started"], "finished": record["finished"],
        "versions": record["versions"]}), key)


def relist_page(run: Path) -> bool:
    """Puts a page that was drawn again into the list of the run's files, where it has one.

    What was signed is another list: its envelope goes. True where there was one.
    """
    path, envelope = run / LIST, envelope_path(run / LIST)
    if not path.exists():
        return False
    content = read_statement(path)
    others = [(one["name"], one["digest"]["sha256"]) for one in content["subject"] if not _drawn(one["name"])]
    names = {file.relative_to(run).as_posix(): file for file in listed_files(run)}
    drawn = [(name, file_sha256(file)) for name, file in names.items() if _drawn(name)]
    write_atomically(path, canonical(statement(FILES, sorted(others + drawn), content["predicate"])))
    was_signed = envelope.exists()
    envelope.unlink(missing_ok=True)
    return was_signed


def listed_files(run: Path) -> list[Path]:
    """What a run wrote for its readers: record, tables, page, figures, certificates; by name."""
    outside = (run / name for name in ("run.json", "report.html", *(f"{table}.parquet" for table in ALL_TABLES)))
    return sorted([path for path in (*outside, *_inside(run)) if path.is_file()])


def envelope_path(path: Path) -> Path:
    """Where the envelope of a statement's file lies."""
    return path.with_name(path.name.removesuffix(".json") + SIGNED)


def read_record(run: Path) -> dict[str, Any]:
    """run.json. Raises InputError where it is missing, damaged or of an earlier version."""
    try:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        known = all("sha256" in chunk for chunk in record["chunks"])
    except FileNotFoundError as error:
        raise InputError(f"{run} holds no run.json: name the output folder of a finished run") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{run}/run.json is not a run's record ({error}): run the audit again") from error
    except (KeyError, TypeError):
        known = False
    if not known:
        raise InputError(f"{run}/run.json does not hold what is needed to check the run: it is damaged, or an earlier "
                         "version wrote it: run the same command again")
    return dict(record)


def read_statement(path: Path) -> Statement:
    """A statement's file. Raises InputError for what is none."""
    try:
        content = json.loads(path.read_bytes())
        _ = [(one["name"], one["digest"]["sha256"]) for one in content["subject"]], content["predicate"]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}: `attribution-suite certify` writes it") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: is damaged: it holds no list of files; `attribution-suite certify` writes it anew "
                         "of a run that holds") from error
    return dict(content)


def sheet(name: str, content: Statement, payload: bytes, key: "Ed25519PrivateKey | None") -> str:
    """A certificate as one page to print."""
    return _templates().get_template("certificate.html").render(
        name=name, subject=content["subject"], **_of_paper(content["predicate"]),
        sha256=hashlib.sha256(payload).hexdigest(), key_id=None if key is None else key_id(key.public_key()))


def _of_paper(predicate: Mapping[str, Any]) -> dict[str, Any]:
    rows = [(before["seed"], before["weights"], after["weights"], after["chunk_sha256"]) for before, after in zip(
        predicate["original"]["networks"], predicate["edited"]["networks"], strict=True)]
    return {**predicate, "networks": rows[:PRINTED], "further": len(rows) - len(rows[:PRINTED])}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("attribution_suite.evidence"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)


def _write(path: Path, content: Statement, key: "Ed25519PrivateKey | None") -> bytes:
    """Writes a statement and, with a key, its envelope; its bytes. An envelope of other bytes goes."""
    payload = canonical(content)
    write_atomically(path, payload)
    if key is None:
        envelope_path(path).unlink(missing_ok=True)
    else:
        write_atomically(envelope_path(path), signed(payload, key))
    return payload


def _inside(run: Path) -> Iterator[Path]:
    for path in (*(run / "figures").glob("[!.]*"), *(run / FOLDER).glob("[!.]*")):
        if path != run / LIST and not path.name.endswith(SIGNED):
            yield path


def _drawn(name: str) -> bool:
    return name == "report.html" or name.startswith("figures/")
