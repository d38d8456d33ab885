"""Files that are either whole or not there, and a folder that one process at a time writes to."""

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from attribution_suite.errors import InputError

TEMPORARY = ".tmp"
LOCK = ".lock"
LEAST_SPACE = 2**20  # bytes that must fit on the disk for a run, or its report, to begin


@contextmanager
def whole_files(paths: Sequence[Path]) -> Iterator[list[BinaryIO]]:
    """Open files for `paths`, under temporary names in their folders: a reader sees the old ones or the new ones.

    All are synced when the block ends, and only then renamed. After an error, which is raised, the old ones stay.
    """
    temporary = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}") for path in paths}
    files: list[BinaryIO] = []
    try:
        for path, name in temporary.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the user's umask, as any file
            files.append(os.fdopen(handle, "wb"))
        yield files
        for file in files:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        for path, name in temporary.items():
            name.replace(path)
    except BaseException as error:
        for file in files:
            with suppress(OSError):  # what could not be written is not written by closing either
                file.close()
        for name in temporary.values():
            with suppress(OSError):  # a folder that cannot be written to keeps it, until the next run sweeps
                name.unlink(missing_ok=True)
        if isinstance(error, OSError):  # not the temporary name, which means nothing to a user; a full disk has none
            error.filename = str(paths[0] if len(paths) == 1 else paths[0].parent)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Writes one file whole or not at all."""
    with whole_files([path]) as (file,):
        file.write(content)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> None:
    """Removes the temporary files that a killed process left in `folder` and the folders in it."""
    for place in ("", "*/"):
        for path in folder.glob(f"{place}.*.{'[0-9a-f]' * 8}{TEMPORARY}"):
            path.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Makes a folder, holds it against other runs, sweeps it.

    Raises InputError if another run holds it, or it cannot be written to.

    What is held is the empty file `LOCK` in it, which stays there: the system lets go of it when this process ends,
    however it ends.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(folder / LOCK).acquire(blocking=False)
        except Timeout as error:
            raise InputError(f"{folder}: another run is writing there; wait until it has ended, or name another "
                             "folder") from error
    with held:
        with writing(folder):
            sweep(folder)
        yield


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises InputError, naming the folder, for what the system refuses."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: cannot write there: {error.strerror}") from error


def prove_writable(folder: Path) -> None:
    """Raises OSError where a file of `LEAST_SPACE` cannot be written."""
    path = folder / f".writable.{'0' * 8}{TEMPORARY}"  # which is swept where a kill leaves it
    write_atomically(path, bytes(LEAST_SPACE))
    path.unlink()
