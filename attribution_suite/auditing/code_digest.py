"""The code that decides a chunk's numbers, as one digest: numbers of other code are never taken for today's."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from attribution_suite.registry import Registry, bare

COMPUTING = ("datasets", "networks", "scorers", "removals", "measures", "units", "auditing/work", "seeding.py")
VERSIONS = {package: version(package) for package in (
    "attribution-suite", "torch", "captum", "lime", "xgboost", "scikit-learn", "numpy", "scipy")}


@cache
def code_digest() -> str:
    """Of the source of everything that computes: not of docs, tables, conclusions, pages or the command line."""
    return digest_of(Path(__file__).parents[1])


def digest_of(package: Path) -> str:
    """Of the files of `COMPUTING` in a copy of this package."""
    places = [package / name for name in COMPUTING]
    return _digest(path for place in places for path in ([place] if place.is_file() else place.rglob("*.py")))


def plug_in_digest(registry: Registry, name: str) -> str | None:
    """Of the package from outside that a name comes from: its version and source; None for one of our own."""
    name = bare(name)
    if name not in registry.added:
        return None
    spec = find_spec(registry.places[name].partition(":")[0].partition(".")[0])
    folders = spec.submodule_search_locations if spec is not None else None
    files = [path for folder in folders or () for path in Path(folder).rglob("*.py")]
    if spec is not None and not folders and spec.origin is not None:
        files = [Path(spec.origin)]
    return f"{registry.version(name)} {_digest(files)}"


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:24]
