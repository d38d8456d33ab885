"""What several test processes read is made once: by the first that needs it, in the home that all of them share."""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def shared(name: str, make: Callable[[Path], object]) -> Path:
    """The empty folder `name` as `make` has filled it; nobody writes to it afterwards."""
    folder, done = Path.home() / "shared" / name, Path.home() / "shared" / f"{name}.done"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
