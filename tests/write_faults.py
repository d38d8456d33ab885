"""What a disk or a kill can do to a run: the n-th write of a process fails, stops half-way, or is its last."""

import errno
import io
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from command import call_main, leftovers

from attribution_suite.tables import TABLES

# full: from the n-th on, nothing is written any more (open, mkdir, write, fsync); error: the n-th alone fails;
# short: the n-th write, and each later one, writes half of what it is given, then fails; kill: the n-th is half
# done and nothing comes after it.
KINDS = ("full", "error", "short", "kill")
CALLS = ("mkdir", "replace", "unlink", "rmdir", "fsync")
THERE = {"mkdir": False, "unlink": True}  # what changes the disk only where the file is, or is not, there
NEED_SPACE = ("open", "mkdir", "write", "fsync")
AUDIT = ("run", "iris", "--seeds", 1, "--rows", 12, "--tuning", 0.02, "--remove", "petal_length", "--removals",
         "constant,fold", "--scorers", "saliency,random", "--information", "off", "--reference", "off", "--jobs", 1)


class Disk:
    """Counts what is done to the files under `folder`, and disturbs it from the operation `at` (1 the first)."""

    def __init__(self, folder: Path, at: int = 0, kind: str = "") -> None:
        self.folder, self.at, self.kind = str(folder.resolve()), at, kind
        self.done: list[tuple[str, str]] = []  # operation and file, in their order

    def meets(self, operation: str, path: object) -> bool:
        """Counts it; True if only half of it is to be written. Raises OSError where it fails."""
        name = str(Path(os.fsdecode(path)).absolute())  # type: ignore[arg-type]
        if not name.startswith(self.folder):
            return False
        self.done.append((operation, os.path.relpath(name, self.folder)))
        number = len(self.done)
        if not self.at or number < self.at:
            return False
        if self.kind == "kill":
            return True
        if self.kind == "error" and number == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO), name)
        if self.kind in ("full", "short") and operation in NEED_SPACE:
            if self.kind == "short" and operation == "write":
                return True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return False


class _Raw(io.FileIO):
    """A file each of whose writes to the system is counted."""

    def __init__(self, handle: int, disk: Disk, path: str) -> None:
        super().__init__(handle, "wb")
        self.disk, self.path = disk, path

    def write(self, content: Any) -> int:
        if not self.disk.meets("write", self.path):
            return super().write(content) or 0
        super().write(bytes(content)[:len(content) // 2])
        if self.disk.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def disturbed(disk: Disk) -> Iterator[None]:
    """This process writes to `disk`; its clock stands still, so that equal work gives equal bytes."""
    paths: dict[int, str] = {}
    real_open, real_fdopen = os.open, os.fdopen

    def counted(operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *others: Any, **words: Any) -> Any:
            if operation in THERE and os.path.lexists(path) != THERE[operation]:
                return call(path, *others, **words)  # nothing is written
            half = disk.meets(operation, paths.get(path, os.devnull) if isinstance(path, int) else path)
            result = call(path, *others, **words)  # a kill comes after it: before it was the operation before
            if half:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return wrapped

    def opened(path: Any, flags: int, *others: Any, **words: Any) -> int:
        if not flags & os.O_CREAT:
            return real_open(path, flags, *others, **words)
        handle: int = counted("open", real_open)(path, flags, *others, **words)
        paths[handle] = os.fsdecode(path)
        return handle

    def buffered(handle: int, *others: Any, **words: Any) -> Any:
        if handle not in paths:
            return real_fdopen(handle, *others, **words)
        return io.BufferedWriter(_Raw(handle, disk, paths[handle]))

    with ExitStack() as stack:
        for name in CALLS:
            stack.enter_context(patch.object(os, name, counted(name, getattr(os, name))))
        stack.enter_context(patch.object(os, "open", opened))
        stack.enter_context(patch.object(os, "fdopen", buffered))
        stack.enter_context(patch.object(time, "perf_counter", lambda: 0.0))
        yield


def call_on(disk: Disk, words: tuple[object, ...], cwd: Path) -> tuple[int, str, str]:
    """A command in this process on that disk: exit status, stdout and stderr."""
    with disturbed(disk):
        return call_main(*words, cwd=cwd)


def killed_on(disk: Disk, words: tuple[object, ...], cwd: Path) -> bool:
    """The same in a process of its own, which the disk kills; False if it came to its end."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = call_on(disk, words, cwd)[0]
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def contents(run: Path) -> dict[str, bytes]:
    """Every table as bytes, and the names of all other files: what two equal runs share."""
    tables = {f"{name}.parquet": (run / f"{name}.parquet").read_bytes() for name in (*TABLES, "verdicts")}
    return tables | {str(path.relative_to(run)): b"" for path in run.rglob("*")
                     if path.is_file() and path.suffix != ".parquet"}


def trouble(whole: Path, cwd: Path, words: tuple[object, ...], at: int, kind: str) -> str:
    """What went wrong where the n-th write was disturbed and the same command came after it; '' if nothing did.

    `cwd` holds `run`, as the disturbed command finds it; `whole` is a run that nothing disturbed.
    """
    run = cwd / "run"
    if kind == "kill":
        if not killed_on(Disk(run, at, kind), words, cwd):
            return "was not killed"
    else:
        status, _, err = call_on(Disk(run, at, kind), words, cwd)
        lines = err.splitlines()
        harmless = status == 0 and not err and contents(run) == contents(whole)
        if not harmless and not (status in (1, 2) and lines and all(map(_sentence, lines))):
            return f"exit {status}: {err}"
    status, _, err = call_on(Disk(run), words, cwd)
    if status or err:
        return f"next run: exit {status}: {err}"
    if leftovers(run):
        return f"left behind: {leftovers(run)}"
    mine, theirs = contents(run), contents(whole)
    return ", ".join(sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)))


def _sentence(line: str) -> bool:
    return bool(re.fullmatch(r"attribution-suite: .*(Input/output error|No space left on device).*", line))
