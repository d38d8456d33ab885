"""What is signed: an in-toto Statement (v1) as bytes that are the same wherever they are made.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

STATEMENT = "https://in-toto.io/Statement/v1"
CERTIFICATE = "urn:attribution-suite:removal-certificate:1"
FILES = "urn:attribution-suite:run-files:1"

Statement = dict[str, Any]


def statement(kind: str, subjects: Sequence[tuple[str, str]], predicate: Mapping[str, Any]) -> Statement:
    """A statement of the predicate type `kind` on `subjects`, each a name and its SHA-256."""
    return {"_type": STATEMENT, "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects],
            "predicateType": kind, "predicate": dict(predicate)}


def canonical(value: object) -> bytes:
    """JSON as UTF-8, keys sorted, no space between tokens: equal content, equal bytes.

    Raises ValueError for numbers that are not finite, which JSON lacks: `plain` first.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def plain(value: Any) -> Any:
    """A table's value as JSON has it: None for NaN (not measured), 'infinite' for ∞ (no bound)."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else "infinite"
    return value


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ, as 'predicate.verdict.direct: "bounded", derived "present"'."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from differences(one.get(name), other.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differences(first, second, f"{place}[{index}]")
    elif type(one) is not type(other) or one != other:
        yield f"{place}: {_short(one)}, derived {_short(other)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
