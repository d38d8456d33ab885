"""Signatures: Ed25519 in a DSSE envelope, by the package `cryptography` (extra `sign`).

Source: https://github.com/secure-systems-lab/dsse (protocol 1.0.2, envelope 1.0.0)
"""

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attribution_suite.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD = "application/vnd.in-toto+json"
HOW = "make one with: openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out public.pem"


def encoded(kind: str, body: bytes) -> bytes:
    """What is signed, PAE(kind, body) = 'DSSEv1 ' + length + ' ' + kind + ' ' + length + ' ' + body; lengths in bytes.

    So that no payload of one type can pass for one of another.
    """
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)


def signed(payload: bytes, key: "Ed25519PrivateKey") -> bytes:
    """The envelope of an in-toto statement, as JSON. Ed25519 draws nothing: equal payload and key, equal bytes."""
    signature = key.sign(encoded(PAYLOAD, payload))
    envelope = {"payload": _text(payload), "payloadType": PAYLOAD,
                "signatures": [{"keyid": key_id(key.public_key()), "sig": _text(signature)}]}
    return json.dumps(envelope, separators=(",", ":")).encode()


def opened(envelope: bytes, key: "Ed25519PublicKey") -> bytes:
    """The payload that `key` has signed. Raises ValueError, which says why, for any other envelope.

    The key id is no part of what is signed: every signature is tried, and one that holds must name the key rightly.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        content = json.loads(envelope)
        kind, payload = content["payloadType"], base64.b64decode(content["payload"], validate=True)
        signatures = [(base64.b64decode(one["sig"], validate=True), one["keyid"]) for one in content["signatures"]]
        message = encoded(kind, payload)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"is no DSSE envelope ({error})") from error
    if kind != PAYLOAD:
        raise ValueError(f"holds '{kind}', no in-toto statement")
    for signature, name in signatures:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        if name != key_id(key):
            raise ValueError("it names another key than the one that signed it")
        return payload
    raise ValueError("no signature in it is that of the public key")


def private_key(path: str | Path) -> "Ed25519PrivateKey":
    """The key to sign with, PEM without a password. Raises InputError for what is none."""
    from_pem, kind = _loaders("Ed25519PrivateKey")
    return cast("Ed25519PrivateKey", _key(
        Path(path), lambda content: from_pem.load_pem_private_key(content, None), kind, "private"))


def public_key(path: str | Path) -> "Ed25519PublicKey":
    """The key to check with, PEM. Raises InputError for what is none."""
    from_pem, kind = _loaders("Ed25519PublicKey")
    return cast("Ed25519PublicKey", _key(Path(path), from_pem.load_pem_public_key, kind, "public"))


def key_id(key: "Ed25519PublicKey") -> str:
    """SHA-256 of the public key as DER (SubjectPublicKeyInfo): `openssl pkey -pubin -outform DER | sha256sum`."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _loaders(kind: str) -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise InputError("signatures need the package 'cryptography': pip install 'attribution_suite[sign]'") from error
    return serialization, getattr(ed25519, kind)


def _key(path: Path, read: Any, kind: Any, which: str) -> Any:
    try:
        key = read(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except TypeError as error:  # what cryptography raises where a password is missing
        raise InputError(f"{path}: is locked by a password: `openssl pkey` writes it without one") from error
    except Exception as error:  # of cryptography's many, each means that the file is no such key
        raise InputError(f"{path}: is no {which} key in PEM: {HOW}") from error
    if not isinstance(key, kind):
        raise InputError(f"{path}: is no {which} key of Ed25519: {HOW}")
    return key


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
