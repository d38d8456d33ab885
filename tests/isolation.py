"""Hides from the tests what this machine happens to have, so that their results do not depend on it.

What is meant stays: `ATTRIBUTION_SUITE_DATA`, the folder of the real files. `hide_installed` also runs at the start of
every process that a test starts: `tests` is on their path, and Python imports `sitecustomize` from there.
"""

import importlib.metadata
import os
import sys
import sysconfig
import urllib.request
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

INSTALLED = {Path(sysconfig.get_path(scheme)).resolve() for scheme in ("purelib", "platlib")}
PROXY = "http://127.0.0.1:9"  # where nothing answers
NO_NETWORK = {"https_proxy": PROXY, "http_proxy": PROXY}
OURS = "ATTRIBUTION_SUITE_DATA"
READ_BY_LIBRARIES = ("KAGGLE", "MPL", "MATPLOTLIB", "XDG_", "PYTHONWARNINGS", "JOBLIB_", "LOKY_", "SCIKIT_LEARN_DATA")

_entry_points = importlib.metadata.entry_points


def isolate_environment(home: Path) -> None:
    """An empty home, no network, and none of the user's settings for the libraries; child processes inherit it."""
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    for name in [*proxies, *(name for name in os.environ if name.startswith(READ_BY_LIBRARIES))]:
        del os.environ[name]
    tests = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, (tests, os.environ.get("PYTHONPATH"))))
    os.environ.update(NO_NETWORK, HOME=str(home), PYTHONPATH=path)
    assert set(urllib.request.getproxies()) == {"http", "https"}


def hide_installed() -> None:
    """No plug-in that is installed beside the package, and no kagglehub: tests add theirs on the path."""
    importlib.metadata.entry_points = entry_points
    sys.modules["kagglehub"] = None  # type: ignore[assignment]  # so Python says that it cannot be imported


def entry_points(**wanted: Any) -> EntryPoints:
    """As importlib's own, without the plug-ins that are installed."""
    points = _entry_points(**wanted)
    if isinstance(points, dict):  # by group, which is how Python 3.11 answers a question for all
        points = EntryPoints(point for group in dict.values(points) for point in group)
    return EntryPoints(point for point in points
                       if not (point.group.startswith("attribution_suite.") and is_installed(point)))


def is_installed(point: EntryPoint) -> bool:
    return point.dist is not None and Path(str(point.dist.locate_file(""))).resolve() in INSTALLED
