"""Files that are either whole or not there, and a folder that one process at a time writes to."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from attribution_suite.errors import InputError

TEMPORARY = ".tmp"
LOCK = ".lock"
LEAST_SPACE = 2**20  # bytes that must fit on the disk for a run, or its report, to begin


def write_atomically(path: Path, content: bytes) -> None:
    """Writes under a temporary name in the same folder, syncs, renames: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the user's umask, as for any file
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name.replace(path)
    except BaseException as error:
        name.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # not the temporary name, which means nothing to a user; a full disk has none
        raise


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> None:
    """Removes the temporary files that a killed process left in `folder`."""
    for path in folder.glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Makes a folder and holds it against other runs. Raises InputError if one holds it, or it cannot be written to.

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
    write_atomically(folder / ".writable", bytes(LEAST_SPACE))
    (folder / ".writable").unlink()
