"""What is done is what lies finished in the store: one file a chunk, named by the content of what made it."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from attribution_suite.files import write_atomically

Arrays = dict[str, NDArray[Any]]


class DamagedChunkWarning(UserWarning):
    """A chunk's file could not be read; it was set aside and is made again."""


class WrongDigest(Exception):
    """A chunk's file can be read, and is not this chunk as it was written."""


def damage(error: Exception) -> str:
    """What is wrong with a chunk's file, in one line."""
    return str(error) if isinstance(error, WrongDigest) else f"{type(error).__name__}: {error}".splitlines()[0]


@dataclass(frozen=True)
class Stored:
    """A finished chunk: its `arrays`, and `made`: by which machine, on which device, in how many seconds."""

    arrays: Arrays
    made: Mapping[str, Any]


@dataclass(frozen=True)
class Store:
    """Chunks as `KEY.safetensors`, each with a digest of its key and content. There is no 'running' state."""

    folder: Path

    def path(self, key: str) -> Path:
        """Where the chunk lies when it is done."""
        return self.folder / f"{key}.safetensors"

    def save(self, key: str, arrays: Arrays, made: Mapping[str, Any]) -> None:
        """Writes a finished chunk, atomically."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        about = json.dumps(made, sort_keys=True)
        metadata = {"digest": _digest(key, about, contiguous), "made": about}
        self._write(key, save(contiguous, metadata=metadata))

    def load(self, key: str) -> Stored | None:
        """A finished chunk; None if it is not there, or was damaged: then its file is set aside, with a warning.

        Damage is whatever keeps the file from being this chunk: other bytes, another chunk's content under its name,
        a folder in its place, no permission to read it.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            return self.read(key)
        except Exception as error:  # a stranger's bytes make the readers fail in many ways; each is damage
            reason = damage(error)
        aside = self._free_name(path)
        path.replace(aside)
        text = f"{path.name} was damaged ({reason}): set aside as {aside.name}, made again"
        warnings.warn(text, DamagedChunkWarning, stacklevel=2)
        return None

    def read(self, key: str) -> Stored:
        """A finished chunk, its file left as it is. Raises whatever keeps the file from being this chunk."""
        with safe_open(self.path(key), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            metadata = file.metadata() or {}
        if metadata["digest"] != _digest(key, metadata["made"], arrays):
            raise WrongDigest("its digest does not fit its name and content")
        return Stored(arrays, json.loads(metadata["made"]))

    def on_worker(self, scratch: Path) -> "Store":
        """The same store as a worker of another machine reaches it, with `scratch` for copies: here the same folder."""
        return self

    def _write(self, key: str, content: bytes) -> None:
        write_atomically(self.path(key), content)

    @staticmethod
    def _free_name(path: Path) -> Path:
        """A name beside `path` that nothing has: earlier damage is kept."""
        names = (path.with_suffix(f".damaged{number or ''}") for number in range(1000))
        return next(name for name in names if not name.exists())


def content_key(content: object) -> str:
    """A name for plain JSON content: equal content, equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _digest(key: str, made: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(f"{key} {made}".encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
