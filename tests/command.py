"""The command line as a user meets it: real processes, small audits, and a package that adds a scorer."""

import importlib
import io
import os
import signal
import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from unittest.mock import patch

import matplotlib
import pandas as pd
from plain_suite import plain_figures

import attribution_suite
from attribution_suite.cli import main
from attribution_suite.datasets import DATASETS
from attribution_suite.files import LOCK
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS
from attribution_suite.tables import TABLES

ROOT = Path(attribution_suite.__file__).parents[1]
SMALL = ("--seeds", "2", "--rows", "12", "--lime-rows", "3", "--lime-samples", "50")
BRIEF = ("--tuning", "0.02")
SEEN = os.pathsep.join(map(str, (Path(__file__).parent, ROOT)))  # PYTHONPATH: `tests` hides what else is installed
NO_DATA = {"ATTRIBUTION_SUITE_DATA": ""}
TIMED = {"outcomes": ["seconds"]}  # columns that no two runs share


def start(*words: object, cwd: Path, packages: Path | None = None, program: str = "plain_suite",
          **environment: str) -> subprocess.Popen[str]:
    """`attribution-suite words` in its own process group, in `cwd`, without a cache of downloads.

    `program`: 'plain_suite', which draws no figures, or 'attribution_suite'.
    Ctrl-C reaches it as from a terminal, also where the tests themselves were started with it ignored (`nohup`, `&`).
    """
    path = SEEN if packages is None else f"{SEEN}{os.pathsep}{packages}"
    variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": os.devnull,
                 "MPLCONFIGDIR": matplotlib.get_cachedir(), **environment}
    return subprocess.Popen([sys.executable, "-m", program, *map(str, words)], cwd=cwd, env=variables,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                            preexec_fn=default_interrupt)


def default_interrupt() -> None:
    """In the new process: SIGINT as every process has it by default."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def call(*words: object, cwd: Path, packages: Path | None = None, program: str = "plain_suite",
         **environment: str) -> tuple[int, str, str]:
    """Its exit status, stdout and stderr."""
    process = start(*words, cwd=cwd, packages=packages, program=program, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def call_main(*words: object, cwd: Path, packages: Path | None = None, **environment: str) -> tuple[int, str, str]:
    """As `call`, in this process: a new one takes seconds to import its libraries."""
    out, err = io.StringIO(), io.StringIO()
    path = sys.path if packages is None else [str(packages), *sys.path]
    if packages is not None:
        forget(packages)
    with (chdir(cwd), patch.dict(os.environ, {"XDG_CACHE_HOME": os.devnull, **environment}),
          patch.object(sys, "path", path), redirect_stdout(out), redirect_stderr(err), plain_figures(),
          warnings.catch_warnings()):
        warnings.resetwarnings()  # what is shown by default comes to stderr
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        status = main([str(word) for word in words])
    if packages is not None:
        forget(packages)
    return status, out.getvalue(), err.getvalue()


def forget(packages: Path) -> None:
    """Plug-ins are looked for anew, and those of `packages` imported anew, as they then are."""
    importlib.invalidate_caches()
    for registry, name in product((DATASETS, REMOVALS, SCORERS), ("added", "places")):
        vars(registry).pop(name, None)
    for name, module in list(sys.modules.items()):
        if packages in Path(getattr(module, "__file__", None) or os.sep).parents:
            del sys.modules[name]


def add_scorer(folder: Path, name: str, body: str) -> Path:
    """A package in `folder` (for PYTHONPATH) whose entry point adds the scorer `name`; returns `folder`.

    `body` is what its `attribute(self, networks, evaluation)` does first: a failure, a crash, a full disk. It then
    gives every feature the same score.
    """
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[attribution_suite.scorers]\n{name} = {name}_module:Added\n")
    lines = [
        "import os, resource, signal", "import torch",
        "from attribution_suite.scorers.attribution import Attribution, ScorerTraits", "",
        "class Added:", '    """A scorer of another package."""', f"    name, traits = '{name}', ScorerTraits()", "",
        "    def attribute(self, networks, evaluation):", *(f"        {line}" for line in body.splitlines()),
        "        scores = torch.ones(len(networks), len(evaluation.groups))",
        "        return Attribution(self.name, evaluation.features, scores)", ""]
    (folder / f"{name}_module.py").write_text("\n".join(lines))
    return folder


def tables(run: Path) -> dict[str, pd.DataFrame]:
    """Every table of a run without its timings."""
    return {name: pd.read_parquet(run / f"{name}.parquet").drop(columns=TIMED.get(name, [])) for name in TABLES}


def assert_same_tables(run: Path, other: Path) -> None:
    """The same rows in the same order, bit for bit, timings apart."""
    mine, theirs = tables(run), tables(other)
    for name in TABLES:
        hidden = bool((mine["outcomes"].layer > 0).all())  # whose units no probe is asked about
        empty = ("failures", "frontier", "metrics", "randomisation", "confusion", "local_attributions",
                 *(("information", "proxies") if hidden else ()))
        assert len(mine[name]) > 0 or name in empty, name
        pd.testing.assert_frame_equal(mine[name], theirs[name], check_exact=True, obj=name)


def leftovers(run: Path) -> list[str]:
    """Temporary files, which nothing may leave behind."""
    return sorted(path.name for path in run.rglob(".*") if path.name != LOCK)
