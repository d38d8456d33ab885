"""The audit: which removal takes an input's influence out, by every attribution method, at what cost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attribution_suite.callable_package import make_callable

if TYPE_CHECKING:
    from attribution_suite.audit.given import Networks
    from attribution_suite.audit.results import Audit
    from attribution_suite.audit.spec import Spec
    from attribution_suite.datasets.preset import Training
    from attribution_suite.datasets.table import TabularDataset

    Data = str | Path | TabularDataset

DEFAULT_OUT = "attribution-audit"


def audit(datasets: "Data | Sequence[Data]" = (), *, networks: "Networks | None" = None,
          training: "Training | None" = None, out: str | Path = DEFAULT_OUT, jobs: int | None = None,
          device: str = "auto", fresh: bool = False, say: Callable[[str], None] = print, **words: object) -> "Audit":
    """Runs an audit and writes its tables, figures and report to `out`; what is done there already is not repeated.

    `datasets`: names of the catalogue, CSV files (with `target=`), or tables (`datasets.arrays.from_arrays`).
    `networks`: trained networks of one's own for the one data set, in the place of those that the audit would train:
    an nn.Module or a list of them, one a seed, that take its encoded inputs and return `[rows, outputs]`, logits for
    classes. They stay as they are. `training`: the budget of their retraining and, in part, of their fine-tuning.
    `jobs`: worker processes, one a core if not given; `device`: 'cpu', 'cuda', or 'auto': a GPU if there is one.
    `words` are those of the command line: remove, removals, scorers, profile, preset, seeds, rows, pca, data_dir,
    real_only, layer … (see `audit.spec.make_spec`); `inside='all'` looks into every hidden layer too, and without
    removals (`removals=[]`) does that alone, as the command `neurons`.
    Returns the tables. Raises InputError for anything that cannot be run.
    """
    from attribution_suite.audit.session import run_audit
    from attribution_suite.audit.spec import make_spec
    from attribution_suite.datasets.table import TabularDataset

    sources = [datasets] if isinstance(datasets, str | Path | TabularDataset) else list(datasets)
    tables = [source for source in sources if isinstance(source, TabularDataset)]
    names = [source.name if isinstance(source, TabularDataset) else str(source) for source in sources]
    if isinstance(networks, Sequence) and len(networks) > 1 and words.get("seeds") is None:
        words["seeds"] = len(networks)
    spec: Spec = make_spec(names, given=[table.name for table in tables],
                           decoy=networks is None, **words)  # type: ignore[arg-type]
    return run_audit(spec, Path(out), jobs=jobs, device=device, fresh=fresh, say=say, tables=tables, networks=networks,
                     training=training)


def report(run_dir: str | Path) -> Path:
    """Draws the report of a finished run again; returns the page's path."""
    from attribution_suite.audit.session import redraw

    return redraw(Path(run_dir))


make_callable(__name__)
