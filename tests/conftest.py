import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
from isolation import hide_installed, isolate_environment
from plain_suite import plain_figures
from threadpoolctl import threadpool_limits

# A test process is on every core: libraries that start threads of their own would fight over them, 40 times slower.
torch.set_num_threads(1)
threadpool_limits(1)
hide_installed()
os.environ["NUMBA_OPT"] = "0"  # dcor compiles for half a minute what runs for a millisecond
HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """An empty home for all: with several processes the first one makes it, the others inherit it."""
    if not hasattr(config, "workerinput"):
        config.stash[HOME] = Path(tempfile.mkdtemp(prefix="home-of-tests-"))
        isolate_environment(config.stash[HOME])
        import_module("matplotlib.font_manager")  # lists the fonts there, once for all processes


def pytest_unconfigure(config: pytest.Config) -> None:
    if HOME in config.stash:
        shutil.rmtree(config.stash[HOME], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Following lines takes a third of a test's time: where many short tests run them too, they are not counted."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker("no_cover")


@pytest.fixture(scope="module")
def plain() -> Iterator[None]:
    """No figures on the pages that the rest of the module makes."""
    with plain_figures():
        yield
