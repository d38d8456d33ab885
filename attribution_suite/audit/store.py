"""What is done is what lies finished in the store: one file a chunk, named by the content of what made it."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attribution_suite.files import write_atomically

Arrays = dict[str, np.ndarray]


class DamagedChunkWarning(UserWarning):
    """A chunk's file could not be read; it was set aside and is made again."""


@dataclass(frozen=True)
class Store:
    """Chunks as `KEY.safetensors` with a digest of their content. There is no 'running' state to get wrong."""

    folder: Path

    def path(self, key: str) -> Path:
        """Where the chunk lies when it is done."""
        return self.folder / f"{key}.safetensors"

    def save(self, key: str, arrays: Arrays) -> None:
        """Writes a finished chunk, atomically."""
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_atomically(self.path(key), save(contiguous, metadata={"digest": _digest(contiguous)}))

    def load(self, key: str) -> Arrays | None:
        """A finished chunk; None if it is not there. A damaged file is set aside, with a warning, and is not there."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                whole = (file.metadata() or {}).get("digest") == _digest(arrays)
        except (SafetensorError, ValueError):
            whole = False
        if whole:
            return arrays
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        text = f"{path.name} was damaged: set aside as {aside.name}, made again"
        warnings.warn(text, DamagedChunkWarning, stacklevel=2)
        return None

    def has(self, key: str) -> bool:
        """True if the chunk is there, whole."""
        return self.load(key) is not None


def content_key(content: object) -> str:
    """A name for plain JSON content: equal content, equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
