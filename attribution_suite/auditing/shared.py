"""A place that every machine of a run reaches, and a store whose chunks lie there."""

import io
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from attribution_suite.auditing.store import Store, Stored
from attribution_suite.errors import InputError, in_one_line
from attribution_suite.files import TEMPORARY, whole_files

PIECE = 1 << 20  # bytes copied at once


@dataclass(frozen=True)
class Shared:
    """Whole files in a folder that all machines mount under one path, or behind a URL of fsspec (`s3://bucket/runs`).

    A file is written under a temporary name and then renamed: a reader sees all of it or none.
    """

    url: str

    @classmethod
    def of(cls, place: str | Path) -> "Shared":
        """Of a user's words. Raises InputError for a place that cannot be written to, and a protocol without driver."""
        try:
            import fsspec  # noqa: F401 - what says whether it can be imported
        except ModuleNotFoundError as error:
            raise InputError("option 'store' needs the package 'fsspec': pip install 'attribution_suite[cluster]'"
                             ) from error
        shared = cls(str(place) if "://" in str(place) else str(Path(place).absolute()))
        name = f"writable.{secrets.token_hex(4)}"
        try:
            shared.write(name, io.BytesIO())
            shared.remove(name)
        except Exception as error:  # every driver has errors of its own
            raise InputError(f"option 'store': {place}: cannot write there: {in_one_line(error)}") from error
        return shared

    @property
    def _place(self) -> tuple[Any, str]:
        """The file system, and the path in it."""
        from fsspec.core import url_to_fs

        system, path = url_to_fs(self.url)
        return system, path.rstrip("/")

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one of this machine's."""
        from fsspec.implementations.local import LocalFileSystem

        system, path = self._place
        return Path(path) if isinstance(system, LocalFileSystem) else None

    def within(self, name: str) -> "Shared":
        """A folder in it."""
        return Shared(f"{self.url.rstrip('/')}/{name}")

    def has(self, name: str) -> bool:
        """Whether a file is there now, whatever a driver remembers of the folder."""
        system, path = self._place
        system.invalidate_cache()
        return bool(system.exists(f"{path}/{name}"))

    def write(self, name: str, content: BinaryIO) -> None:
        """A file whole or not at all."""
        if self.folder is not None:
            with whole_files([self.folder / name]) as (file,):
                shutil.copyfileobj(content, file, PIECE)
            return
        system, path = self._place
        temporary = f"{path}/.{name}.{secrets.token_hex(4)}{TEMPORARY}"
        system.makedirs(path, exist_ok=True)
        try:
            with system.open(temporary, "wb") as file:
                shutil.copyfileobj(content, file, PIECE)
            system.mv(temporary, f"{path}/{name}")
        except BaseException:
            with suppress(Exception):
                system.rm_file(temporary)
            raise

    def fetch(self, name: str, to: Path) -> None:
        """Copies a file to this machine. Raises FileNotFoundError."""
        system, path = self._place
        with system.open(f"{path}/{name}", "rb") as content, whole_files([to]) as (file,):
            shutil.copyfileobj(content, file, PIECE)

    def local(self, name: str, scratch: Path) -> Path:
        """A file's path on this machine: in the folder, or fetched to `scratch`. Raises FileNotFoundError."""
        path = (self.folder or scratch) / name
        if not path.exists():
            if self.folder is not None:
                raise FileNotFoundError(str(path))
            self.fetch(name, path)
        return path

    def remove(self, name: str) -> None:
        """Removes a file."""
        system, path = self._place
        system.rm_file(f"{path}/{name}")


@dataclass(frozen=True)
class SharedStore(Store):
    """Chunks that lie in a shared place; `folder` holds this machine's copies of those that it has read.

    A chunk is finished once it lies in the shared place. Runs that share one find each other's chunks.
    """

    shared: Shared

    def on_worker(self, scratch: Path) -> "SharedStore":
        """As `Store.on_worker`."""
        return replace(self, folder=scratch)

    def send(self) -> None:
        """Sends what a run without the shared place has left in `folder`."""
        for path in self.folder.glob("*.safetensors"):
            if not self.shared.has(path.name) and super().load(path.stem) is not None:
                self._write(path.stem, path.read_bytes())

    def load(self, key: str) -> Stored | None:
        """As `Store.load`; what is not here, or was damaged, is fetched."""
        stored, name = super().load(key), self.path(key).name
        if stored is None and self.shared.has(name):
            self.shared.fetch(name, self.path(key))
            stored = super().load(key)
        return stored

    def _write(self, key: str, content: bytes) -> None:
        self.shared.write(self.path(key).name, io.BytesIO(content))
