"""The audit: which removal takes an input's influence out, by every attribution method, at what cost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attribution_suite.audit.results import Audit
    from attribution_suite.audit.spec import Spec

DEFAULT_OUT = "attribution-audit"


def audit(datasets: Sequence[str] | str = (), *, out: str | Path = DEFAULT_OUT, jobs: int | None = None,
          fresh: bool = False, say: Callable[[str], None] = print, **words: object) -> "Audit":
    """Runs an audit and writes its tables, figures and report to `out`; what is done there already is not repeated.

    `datasets`: names of the catalogue, or CSV files (with `target=`). `words` are those of the command line: remove,
    removals, scorers, profile, preset, seeds, rows, pca, data_dir, real_only, layer … (see `audit.spec.make_spec`).
    Returns the tables. Raises InputError for anything that cannot be run.
    """
    from attribution_suite.audit.session import run_audit
    from attribution_suite.audit.spec import make_spec

    names = [datasets] if isinstance(datasets, str) else list(datasets)
    spec: Spec = make_spec(names, **words)  # type: ignore[arg-type]
    return run_audit(spec, Path(out), jobs=jobs, fresh=fresh, say=say)


def report(run_dir: str | Path) -> Path:
    """Draws the report of a finished run again; returns the page's path."""
    from attribution_suite.audit.session import redraw

    return redraw(Path(run_dir))
