"""A run that others check: every edit of its files is found and named, every field of a signed certificate holds."""

import base64
import copy
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from command import call_main
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from people_run import WORDS, people_run
from plain_suite import plain_figures
from report_fixture import datasets, units_run, whole_run

from attribution_suite import audit, report
from attribution_suite.auditing.recorded import Recorded, recorded
from attribution_suite.auditing.store import Store, Stored
from attribution_suite.errors import InputError
from attribution_suite.evidence import replay, verify
from attribution_suite.evidence.certificate import certificates, file_name, limits
from attribution_suite.evidence.dsse import encoded, key_id, opened, private_key, public_key, signed
from attribution_suite.evidence.statement import canonical, differences, statement
from attribution_suite.evidence.verify import Verification, verify_run
from attribution_suite.evidence.write import FOLDER, LIST, read_record, sheet, write_certificates, write_list
from attribution_suite.files import file_sha256
from attribution_suite.reporting.reading import Run
from attribution_suite.results import Audit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ONE = f"{FOLDER}/people-stochastic_tuning-colour"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run of `people_run`, to be edited."""
    return Path(shutil.copytree(people_run()[0].path, tmp_path / "run"))


@pytest.fixture(scope="module")
def again() -> Recorded:
    path = people_run()[0].path
    return recorded(path, read_record(path))


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """PEM files as openssl writes them."""
    files = {
        "private": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "locked": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        "public": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "other": Ed25519PrivateKey.generate().public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "none": b"no key"}
    for name, content in files.items():
        (tmp_path / f"{name}.pem").write_bytes(content)
    return {name: tmp_path / f"{name}.pem" for name in files}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_as_it_was_written_holds_and_is_left_as_it_is(run: Path) -> None:
    before = bytes_of(run)
    found = Audit(run).verify()
    assert found.passed and found.differs == []
    assert [line.split(":")[0] for line in found.held] == [
        "files", "chunks", "run.json", "tables", "verdicts", "certificates", "data people"]
    assert len(found.unchecked) == 1 and "nothing is signed" in found.unchecked[0]
    assert bytes_of(run) == before


def test_a_run_without_a_page_takes_an_earlier_one_away_and_holds(run: Path) -> None:
    assert (run / "report.html").exists()
    status, out, _ = call_main(
        "run", people_run()[1], "--target", "y", "--remove", "colour", "--removals", "fold", "--scorers", "weights",
        "--seeds", 2, "--rows", 20, "--background", 80, "--jobs", 1, "--information", "off", "--no-page", "--out", run,
        cwd=run)
    assert status == 0 and f"tables: {run} (`attribution-suite report` draws the page)" in out
    assert not (run / "report.html").exists() and not list((run / "figures").iterdir())
    assert Audit(run).verify().passed
    with plain_figures():
        page = report(run)
    assert page.exists() and Audit(run).verify().passed


def edit_table(run: Path, name: str, column: str, row: int, value: Any) -> None:
    path = run / f"{name}.parquet"
    frame = pd.read_parquet(path)
    frame.loc[row, column] = value
    frame.to_parquet(path, index=False)


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(json.dumps(content).encode())


def a_chunk(run: Path, work: str = "RemoveFeatures", last: bool = False) -> dict[str, Any]:
    return [dict(entry) for entry in read_record(run)["chunks"] if entry["work"] == work][-last]


def flip(run: Path) -> None:
    path = Store(run / "chunks").path(a_chunk(run)["key"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def other_weights(run: Path) -> None:
    """A chunk with other weights, and a digest inside that fits them."""
    store, key = Store(run / "chunks"), a_chunk(run, last=True)["key"]
    stored = store.read(key)
    store.save(key, {**stored.arrays, "weight 0": stored.arrays["weight 0"] * np.float32(1.01)}, stored.made)


def page(run: Path) -> None:
    path = run / "report.html"
    path.write_text(path.read_text().replace("present", "bounded"))


def gone(run: Path, work: str) -> None:
    Store(run / "chunks").path(a_chunk(run, work)["key"]).unlink()


# What is done to a run at once, and lines that `verify` must say of each, naming the file and the place in it.
EDITS: dict[str, tuple[list[Callable[[Path], Any]], list[str]]] = {
    "tables, page and certificates": ([
        lambda run: edit_table(run, "attributions", "share", 5, 0.25),
        lambda run: edit_table(run, "verdicts", "direct", 5, "proved none"),
        page,
        lambda run: next((run / "figures").glob("*")).write_bytes(b"png2"),
        lambda run: edit_json(run / f"{ONE}.json", lambda one: one["predicate"]["verdict"].update(rows=3)),
        lambda run: shutil.copy(run / f"{ONE}.json", run / FOLDER / "a-b.json"),
        lambda run: (run / f"{ONE}.html").write_text("bounded"),
        lambda run: edit_json(run / LIST, lambda one: one["subject"][-2]["digest"].update(sha256="0" * 64)),
    ], [
        r"attributions.parquet: SHA-256", r"attributions.parquet: column 'share', row 5: .*0\.25\b.*, derived ",
        r"verdicts.parquet: SHA-256", r"verdicts.parquet: column 'direct', row 5: 'proved none', derived 'present'",
        r"report.html: SHA-256 is \w{64}, certificates/files.json says \w{64}", r"figures/\S+: SHA-256",
        rf"{ONE}.json: SHA-256", rf"{ONE}.json: .*predicate.verdict.rows: 3, derived 18",
        r"certificates/a-b.json: the run has no such certificate", rf"{ONE}.html: SHA-256",
        r"training.parquet: SHA-256 is \w+, certificates/files.json says 0{64}"]),
    "tables that are short, damaged or gone": ([
        lambda run: pd.read_parquet(run / "outcomes.parquet").iloc[1:].to_parquet(run / "outcomes.parquet"),
        lambda run: (run / "shifts.parquet").write_bytes(b"PAR1"),
        lambda run: (run / "frontier.parquet").unlink(),
    ], [r"outcomes.parquet: has \d+ rows, derived are \d+", r"shifts.parquet: SHA-256",
        r"shifts.parquet: cannot be read: ", r"frontier.parquet: is missing", r"verdicts: .*cannot be derived again"]),
    "chunks": ([
        flip, other_weights, lambda run: gone(run, "TuneSham"),
    ], [r"chunks/\w+.safetensors \(people fold .*: SHA-256 is",
        r"chunks/\w+.safetensors \(people stochastic_tuning .*SHA-256 is",
        r"chunks/\w+.safetensors \(people sham\): is missing",
        r"certificates/people-stochastic_tuning-\S+.json: predicate.edited.networks\[0\].weights: "]),
    "run.json": ([
        lambda run: edit_json(run / "run.json", lambda record: record["spec"]["rules"].update(delta=0.5)),
    ], [r"run.json: SHA-256", r"run.json: people original: what it says of it gives the key \w+, not \w+",
        r"certificates/.*: predicate.rules.delta: 0.01, derived 0.5; predicate.run.sha256: "]),
    "run.json that is no run": ([
        lambda run: edit_json(run / "run.json", lambda record: record["chunks"][0].pop("work")),
    ], [r"run.json: SHA-256", r"run.json: no run can be made of it: KeyError"]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_is_found_and_named(run: Path, edit: str) -> None:
    changes, lines = EDITS[edit]
    for change in changes:
        change(run)
    found = verify_run(run)
    assert not found.passed
    for line in lines:
        assert any(re.match(line, told) for told in found.differs), (line, found.differs)


def test_a_run_that_ends_between_tables_and_record_pairs_no_old_with_new(run: Path) -> None:
    """Killed where run.json would be written: the tables are new, the record is not, and no reader takes them."""
    words = {**WORDS, "target": "y", "remove": ["age"], "removals": ["fold"], "tuning": 0.02, "out": run}
    with (patch("attribution_suite.auditing.run.write_atomically", side_effect=KeyboardInterrupt),
          pytest.raises(KeyboardInterrupt)):
        audit(people_run()[1], **words)
    for read in (Audit(run).table, Run(run).table):
        with pytest.raises(InputError, match=r"outcomes.parquet: is not of the run that run.json beside it tells of"):
            read("outcomes")
    with pytest.raises(InputError, match=r"verdicts.parquet: is not there"):
        Audit(run).table("verdicts")
    with plain_figures():
        assert set(audit(people_run()[1], **words).table("outcomes").removal) == {"original", "fold"}
    assert len(Audit(run).verdicts) == 2


def test_an_edited_table_is_found_where_the_list_was_written_for_it(run: Path) -> None:
    edit_table(run, "outcomes", "worst_case", 3, 0.0)
    write_list(run)
    found = verify_run(run)
    assert not any("SHA-256" in line for line in found.differs)
    assert any(line.startswith("outcomes.parquet: column 'worst_case', row 3: ") for line in found.differs)
    assert any("predicate.tables.outcomes" in line for line in found.differs)


@pytest.mark.parametrize("edited", [False, True])
def test_edited_data_are_found(run: Path, tmp_path: Path, edited: bool) -> None:
    file = tmp_path / "people.csv"
    text = people_run()[1].read_text()
    file.write_text(text.replace("red", "blue", 1) if edited else text)

    def move(record: Any) -> None:
        record["spec"]["requests"][0]["name"] = record["datasets"]["people"]["location"] = str(file)

    edit_json(run / "run.json", move)
    found = held(run)
    assert [line.split(f" of {file}")[0] for line in found.differs] == ["data people: SHA-256"] * edited
    assert (found.held == ["data people: as in the run"]) != edited
    file.write_text("age\n1\n")
    assert "column 'y'" in held(run).differs[0] or "'y'" in held(run).differs[0]
    file.unlink()
    lost = held(run)
    assert (lost.held, lost.differs) == ([], []) and "no such file" in lost.unchecked[0]


def held(run: Path) -> Verification:
    """The data of a run against those that are found."""
    result = Verification()
    verify._data(read_record(run), {}, result)
    return result


def test_looks_inside_and_data_in_memory_are_derived_again() -> None:
    found = verify_run(whole_run(), tables={"iris": datasets()["iris"]})
    assert found.passed, found.differs
    assert "data iris: as in the run" in found.held and "tables: derived from the chunks" in found.held
    assert any(line.startswith("data boston: was given as an object") for line in found.unchecked)


def test_a_certificate_chains_the_hashes_that_others_compute() -> None:
    found, file = people_run()
    content = json.loads((found.path / f"{ONE}.json").read_bytes())
    predicate, network = content["predicate"], found.export("stochastic_tuning", "colour", seed=1)
    card = json.loads(Path(f"{network}.json").read_text())
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["subject"][1]["digest"] == {"sha256": card["weights"]["edited"]}
    assert predicate["original"]["networks"][1]["weights"] == card["weights"]["original"]
    assert predicate["data"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert predicate["run"]["sha256"] == hashlib.sha256((found.path / "run.json").read_bytes()).hexdigest()
    assert predicate["tables"]["verdicts"] == file_sha256(found.path / "verdicts.parquet")
    chunk = predicate["edited"]["networks"][0]
    assert chunk["chunk_sha256"] == file_sha256(found.path / chunk["chunk"])
    verdict = found.verdicts.query("removal == 'stochastic_tuning' and removed == 'colour'").iloc[0]
    assert (predicate["verdict"]["direct"], predicate["verdict"]["worst_case"]) == (verdict.direct, verdict.worst_case)
    outcomes = found.table("outcomes").query("removal == 'stochastic_tuning' and removed == 'colour'")
    assert [one["worst_case"] for one in predicate["worst_case"]] == list(outcomes.worst_case)
    assert len(list((found.path / FOLDER).glob("people-*.json"))) == 6


def test_units_that_each_network_picked_are_certified_by_their_rank() -> None:
    record = read_record(units_run())
    found = dict(certificates(units_run(), record, Store(units_run() / "chunks")))
    predicate = next(found[name] for name in found if name.startswith("iris-retrain-strongest_unit"))["predicate"]
    entry = next(one for one in record["chunks"] if one["removal"] == "retrain")
    assert [one["unit"] for one in predicate["worst_case"]] == [names[0] for names in entry["removed"]]
    assert len({one["weights"] for one in predicate["edited"]["networks"]}) == 3


def test_networks_that_are_not_kept_are_certified_by_what_was_measured(again: Recorded) -> None:
    class Bare(Store):
        def load(self, key: str) -> Stored | None:
            stored = again.store.read(key)
            return Stored({name: array for name, array in stored.arrays.items() if "weight " not in name}, stored.made)

    path = people_run()[0].path
    content = dict(certificates(path, read_record(path), Bare(path / "chunks")))[ONE.removeprefix(f"{FOLDER}/")]
    chunk = content["predicate"]["edited"]["networks"][0]
    assert content["subject"] == [{"name": chunk["chunk"], "digest": {"sha256": chunk["chunk_sha256"]}}]
    assert chunk["weights"] is None and chunk["chunk_sha256"] == file_sha256(path / chunk["chunk"])
    assert "weights are not kept" in sheet("x", content, b"", None)


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*place, name))
    else:
        yield place


def tampered(content: Any, place: tuple[Any, ...]) -> Any:
    """A copy with one leaf changed as little as its type allows."""
    content = copy.deepcopy(content)
    parent = content
    for part in place[:-1]:
        parent = parent[part]
    value = parent[place[-1]]
    parent[place[-1]] = (not value if isinstance(value, bool) else np.nextafter(value, 9.0) if isinstance(value, float)
                         else value + 1 if isinstance(value, int) else 0 if value is None or value in ([], {})
                         else ("B" if value[0] == "A" else "A") + value[1:] if value else " ")
    return content


def test_every_field_of_a_signed_certificate_is_held(
        run: Path, again: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is changed alone: it is not what the run gives, and not what was signed."""
    sign(run)
    record, key = read_record(run), KEY.public_key()
    derived = dict(certificates(run, record, again.store))
    monkeypatch.setattr(verify, "certificates", lambda *_: derived.items())  # they stay what they are
    path, name = run / f"{ONE}.json", ONE.removeprefix(f"{FOLDER}/")

    def told() -> tuple[list[str], list[str]]:
        result = Verification()
        verify._signatures(run, key, result)
        return list(verify._certificates(run, record, again)), result.differs

    assert told() == ([], [])
    places = list(leaves(derived[name]))
    assert len(places) > 120
    for place in places:
        path.write_bytes(canonical(tampered(derived[name], place)))
        unlike, unsigned = told()
        assert len(unlike) == 1 and str(place[0]) in unlike[0] and ONE in unlike[0], place
        assert unsigned == [f"{ONE}.dsse.json: what is signed is not what {name}.json says"], place
    path.write_bytes(canonical(derived[name]))
    envelope = json.loads((run / f"{ONE}.dsse.json").read_bytes())
    for place in leaves(envelope):
        (run / f"{ONE}.dsse.json").write_bytes(json.dumps(tampered(envelope, place)).encode())
        unlike, unsigned = told()
        assert unlike == [] and len(unsigned) == 1 and unsigned[0].startswith(f"{ONE}.dsse.json: "), place


def test_what_is_signed_holds_under_its_key_alone(run: Path, keys: dict[str, Path]) -> None:
    before = bytes_of(sign(run))
    assert bytes_of(sign(run)) == before  # deterministic
    good = Audit(run).verify(public_key=keys["public"])
    assert good.passed and good.unchecked == [] and "signatures: 7, each by the public key" in good.held
    other, none = Verification(), Verification()
    verify._signatures(run, public_key(keys["other"]), other)
    assert len(other.differs) == 7 and all("no signature in it is that of the public key" in line
                                           for line in other.differs)
    verify._signatures(run, None, none)
    assert none.passed and none.held == [] and "name the public key" in none.unchecked[0]
    (run / f"{ONE}.dsse.json").unlink()
    missing = Verification()
    verify._signatures(run, public_key(keys["public"]), missing)
    assert missing.differs == [f"{ONE}.dsse.json: is missing: people-stochastic_tuning-colour.json is not signed"]


def test_what_does_not_hold_is_not_certified(run: Path) -> None:
    page(run)
    before = bytes_of(run)
    with pytest.raises(InputError, match=r"does not hold, so it is not certified: report.html: SHA-256"):
        Audit(run).certify()
    assert {name: content for name, content in bytes_of(run).items() if name != ".lock"} == {
        name: content for name, content in before.items() if name != ".lock"}


def sign(run: Path) -> Path:
    """Certificates and list of a run, signed as at its end."""
    write_certificates(run, KEY)
    write_list(run, KEY)
    return run / FOLDER


def test_who_rewrites_everything_is_found_by_the_signature_alone(run: Path) -> None:
    """What docs/guide/evidence.md says of an attacker: without a signature a run that fits itself passes."""
    signatures = {path: path.read_bytes() for path in sign(run).glob("*.dsse.json")}
    edit_json(run / "run.json", lambda record: record.update(started="2001-01-01T00:00:00+00:00"))
    write_certificates(run)
    write_list(run)
    for path, content in signatures.items():
        path.write_bytes(content)
    found = verify_run(run, key=KEY.public_key())
    assert [line for line in found.differs if ".dsse.json: what is signed is not what" not in line] == []
    assert len(found.differs) == 7


def test_the_envelope_is_that_of_the_specification(keys: dict[str, Path]) -> None:
    """The test vector of the protocol's text, and Ed25519 by `cryptography` called directly."""
    assert encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")
    assert encoded("t/€", "€".encode()) == "DSSEv1 5 t/€ 3 €".encode()  # bytes, not characters
    payload = canonical(statement("urn:x", [("a", "0" * 64)], {"b": 1}))
    envelope = json.loads(signed(payload, private_key(keys["private"])))
    assert set(envelope) == {"payload", "payloadType", "signatures"}
    assert base64.b64decode(envelope["payload"]) == payload
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    KEY.public_key().verify(signature, message)
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(signature, payload)  # not the payload alone
    der = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert envelope["signatures"][0]["keyid"] == hashlib.sha256(der).hexdigest()
    assert opened(signed(payload, KEY), KEY.public_key()) == payload
    for broken in (b"", b"[]", b"{}", b'{"payload":"*","payloadType":"x","signatures":[]}',
                   json.dumps({**envelope, "signatures": []}).encode()):
        with pytest.raises(ValueError, match=r"no DSSE envelope|no signature|no in-toto"):
            opened(broken, KEY.public_key())


def test_keys_that_are_none_are_named(keys: dict[str, Path], tmp_path: Path) -> None:
    for read, name, words in ((private_key, "none", "no private key in PEM"), (private_key, "locked", "a password"),
                              (private_key, "public", "no private key"), (public_key, "private", "no public key"),
                              (public_key, "gone", "cannot be read: No such file")):
        path = keys.get(name, tmp_path / "gone.pem")
        with pytest.raises(InputError, match=f"{re.escape(str(path))}: .*{words}"):
            read(path)


def test_signing_needs_a_package_and_says_which(keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    for read, name in ((private_key, "private"), (public_key, "public")):
        with pytest.raises(InputError, match=r"pip install 'attribution_suite\[sign\]'"):
            read(keys[name])


def chunk_of(again: Recorded, work: str) -> tuple[Any, Stored, Any]:
    place = next(place for place, entry in enumerate(again.entries) if entry["work"] == work)
    data = verify._data(read_record(people_run()[0].path), {}, Verification())
    return again.chunks[place], again.store.read(again.entries[place]["key"]), data["people", 0]


@pytest.mark.parametrize("work", ["TrainOriginals", "RemoveFeatures"])
def test_a_chunk_computed_again_has_the_bits_it_had(again: Recorded, work: str) -> None:
    chunk, stored, dataset = chunk_of(again, work)
    assert list(replay.replayed(chunk, stored, again, dataset)) == []
    weight = stored.arrays["weight 1"].copy()
    weight[0, 0, 0] = np.nextafter(weight[0, 0, 0], np.float32(9))
    forged = Stored({**stored.arrays, "weight 1": weight}, stored.made)
    assert list(replay.replayed(chunk, forged, again, dataset)) == [
        f"array 'weight 1' differs in 1 of {weight.size} values"]


@pytest.mark.parametrize("work", ["TrainOriginals", "RemoveFeatures"])
def test_stored_networks_are_scored_again_where_bits_cannot_be_had(again: Recorded, work: str) -> None:
    chunk, stored, dataset = chunk_of(again, work)
    assert list(replay.scored_again(chunk, stored, again, dataset)) == []
    forged = {**stored.arrays, "mean_abs": stored.arrays["mean_abs"] * np.float32(1.001)}
    assert [line.split(" differs")[0] for line in replay.scored_again(
        chunk, Stored(forged, stored.made), again, dataset)] == ["array 'mean_abs'"]
    retrained = {**stored.arrays, "weight 0": stored.arrays["weight 0"][::-1].copy()}
    lines = list(replay.scored_again(chunk, Stored(retrained, stored.made), again, dataset))
    assert [line.split("'")[1] for line in lines] == ["mean_abs", "signed", "performance"]


def test_elsewhere_training_is_said_not_to_be_replayed(again: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    path = people_run()[0].path
    record, stored = read_record(path), again.store.read(a_chunk(path)["key"])
    assert replay.elsewhere(record, stored) == ""
    assert replay.elsewhere({**record, "code": "x"}, stored) == "it was made by other code of this package"
    assert "torch 1.0" in replay.elsewhere({**record, "versions": {**record["versions"], "torch": "1.0"}}, stored)
    assert "on a CPU, this is" in replay.elsewhere(record, Stored(stored.arrays, {**stored.made, "cpu": "a CPU"}))
    monkeypatch.setattr(replay, "describe_machine", lambda _: {**stored.made, "instructions": "other"})
    found = verify_run(path, replay=99)
    assert found.passed and "people fold (colour, age, age+member): scored again (1e-4)" in found.held
    assert any("fold" in line and "training was not replayed: it was made on" in line for line in found.unchecked)
    assert any("sham: not scored again (1e-4): it keeps no networks" in line for line in found.unchecked)


def test_the_command_exits_0_1_and_2(run: Path, tmp_path: Path, keys: dict[str, Path]) -> None:
    status, out, err = call_main("certify", run, "--sign-key", keys["private"], cwd=tmp_path)
    assert (status, out, err) == (0, f"{run / FOLDER}\n", "")
    status, out, err = call_main("verify", run, "--replay", 1, cwd=tmp_path)
    assert (status, err) == (0, "") and out.count("computed again, bit for bit") == 1
    page(run)
    status, out, _ = call_main("verify", run, "--public-key", keys["public"], cwd=tmp_path)
    assert status == 1 and [line for line in out.splitlines() if line.startswith("differs: ")] == [
        line for line in out.splitlines() if "differs: report.html: SHA-256" in line] != []
    for words, line in ((("verify", tmp_path), "holds no run.json"), (("verify", run, "--replay", -1), "'replay'"),
                        (("certify", tmp_path), "holds no run.json"),
                        (("verify", run, "--public-key", keys["none"]), "no public key"),
                        (("run", "iris", "--sign-key", keys["none"]), "no private key")):
        status, _, err = call_main(*words, cwd=tmp_path)
        assert status == 2 and err.count("\n") == 1 and line in err, (words, err)
    (run / "run.json").write_text("{")
    assert call_main("verify", run, cwd=tmp_path)[0] == 2
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("content", ["[]", "{}", '{"chunks": 3}', '{"chunks": [{"key": "a"}]}', "[" * 100_000])
def test_a_record_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run.json"):
        Audit(tmp_path).verify()


def test_a_page_drawn_again_is_listed_and_loses_the_lists_signature(run: Path, tmp_path: Path) -> None:
    sign(run)
    edit_table(run, "training", "training_loss", 0, 0.5)  # what drawing a page must not make right
    status, _, err = call_main("report", run, cwd=tmp_path)
    assert status == 0 and "is not signed any more" in err
    assert 'href="certificates/index.html"' in (run / "report.html").read_text()
    found = verify_run(run, key=KEY.public_key())
    assert f"{FOLDER}/files.dsse.json: is missing: files.json is not signed" in found.differs
    assert any(line.startswith("training.parquet: SHA-256") for line in found.differs)
    assert not any(line.startswith(("report.html", "figures")) for line in found.differs)


def test_the_sheet_says_what_the_certificate_says_on_one_page(run: Path, tmp_path: Path) -> None:
    sign(run)
    content, text = json.loads((run / f"{ONE}.json").read_bytes()), (run / f"{ONE}.html").read_text()
    predicate = content["predicate"]
    for word in ("Direct influence: present", predicate["data"]["sha256"], predicate["run"]["sha256"],
                 predicate["edited"]["networks"][1]["weights"], file_sha256(run / f"{ONE}.json"),
                 key_id(KEY.public_key()), *predicate["limits"]):
        assert word in text, word
    assert "http" not in text  # nothing is loaded
    index = (run / FOLDER / "index.html").read_text()
    assert index.count(".dsse.json") == 6 and "people-fold-age%2Bmember.html" in index
    assert CHROMIUM is not None
    crowded = copy.deepcopy(content)
    for side in ("original", "edited"):
        crowded["predicate"][side]["networks"] *= 15
    crowded["predicate"]["method"]["removed"] = "a_feature_with_a_long_name+" * 4
    crowded["predicate"]["limits"] *= 2
    (tmp_path / "sheet.html").write_text(sheet("x", crowded, b"", KEY))
    subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                    "--proxy-server=127.0.0.1:9", f"--user-data-dir={tmp_path / 'profile'}",
                    f"--print-to-pdf={tmp_path / 'sheet.pdf'}",
                    (tmp_path / "sheet.html").as_uri()], capture_output=True, timeout=120, check=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "sheet.pdf").read_bytes())) == 1


def test_limits_say_what_the_verdict_does_not() -> None:
    verdicts = people_run()[0].verdicts
    about: dict[str, Any] = {"simulated": False}
    row = next(verdicts.query("removal == 'fold' and removed == 'age'").itertuples(index=False))
    assert row.direct == "proved none" and any("whatever the rows" in line for line in limits(row, about))
    words = " ".join(limits(row._replace(direct="bounded", rows=40, rows_unseen=40, moved_at_most=0.072, splits=3,
                                         proxies="income", information_output="found", networks_not_measured=1),
                            {"simulated": True}))
    for part in ("40 test rows", "at most 7.20%", "income", "output: found", "SIMULATED", "Not measured in 1"):
        assert part in words, part
    assert "One split" not in words and "One split" in " ".join(limits(row, about))


def test_names_of_files_tell_certificates_apart() -> None:
    names = [["a", "b", "c"], ["a", "b/c"], ["a", "b_c"], ["a", "b\\c"], ["x" * 300], ["x" * 299 + "y"], [".."]]
    found = [file_name(words) for words in names]
    assert len(set(found)) == len(found) and found[0] == "a-b-c" and found[2] == "a-b_c"
    assert all(len(name) < 120 and re.fullmatch(r"[\w.+-]+", name) for name in found)


def test_differences_name_the_place() -> None:
    one = {"a": [1, {"b": 2.0}], "c": None}
    assert list(differences(one, one)) == []
    assert list(differences({"a": [1, {"b": 2}], "c": None}, one)) == ["a[1].b: 2, derived 2.0"]
    assert list(differences({"a": [1], "d": 1}, one)) == [
        'a: [1], derived [1, {"b": 2.0}]', "d: 1, derived null"]
