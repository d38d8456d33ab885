"""A finished run: its tables, read when asked."""

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from attribution_suite.conclusions.summary import summary_table
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.options import whole_number
from attribution_suite.presented import Presented
from attribution_suite.tables import ALL_TABLES, NEURON_TABLES
from attribution_suite.tables.column import check_made_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attribution_suite.auditing.explain import Explanation
    from attribution_suite.datasets.table import TabularDataset
    from attribution_suite.evidence.verify import Verification


@dataclass(frozen=True)
class Audit(Presented):
    """A finished run in the folder `path`: `Audit(path)` opens one of an earlier session.

    `failed` names the chunks that went wrong, each in one line. `datasets`: its tables by name, where this session has
    them.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.audit:AUDIT"
    path: Path
    failed: list[str] = field(default_factory=list)
    datasets: "Mapping[str, TabularDataset]" = field(default_factory=dict, repr=False, compare=False)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of `tables.TABLES`, 'verdicts', or of `tables.NEURON_TABLES` where the run looked inside.

        Raises InputError for an unknown name, for a table that the run did not write, and for one that was written with
        another run.json.
        """
        if name not in ALL_TABLES:
            raise unknown_name("table", name, ALL_TABLES)
        path = self.path / f"{name}.parquet"
        if name in NEURON_TABLES and not path.exists():
            raise InputError(f"this run did not look inside its networks: inside='all' writes '{name}'")
        if not path.exists():
            raise InputError(f"{path}: is not there: run the same command again, which finishes the run")
        check_made_from(path, self.record)
        return pd.read_parquet(path)

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json. Raises InputError where it is missing or damaged."""
        try:
            return dict(json.loads((self.path / "run.json").read_text()))
        except FileNotFoundError as error:
            raise InputError(f"{self.path} holds no run.json: name the output folder of a finished run") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}/run.json is not a run's record ({error}): run the audit again") from error

    @property
    def verdicts(self) -> pd.DataFrame:
        """Per data set, removed feature and method: what may be concluded (`tables.VERDICTS`)."""
        return self.table("verdicts")

    @property
    def summary(self) -> pd.DataFrame:
        """Per data set, removed feature and method: mean effect left, performance, change of the test loss, seconds."""
        simulated = [name for name, entry in self.record["datasets"].items() if entry["simulated"]]
        return summary_table({name: self.table(name) for name in ("outcomes", "failures")}, simulated)

    def to_frame(self) -> pd.DataFrame:
        """The verdicts; of a run that removed nothing, the attributions of its networks."""
        judged = self.verdicts
        return judged if len(judged) else self.table("attributions")

    def explain(self, row: int, feature: str | None = None, removal: str | None = None, *, dataset: str | None = None,
                data: Any = None) -> "Explanation":
        """One row, by every network and scorer of the run: before, and after `removal` took `feature` out.

        `row`: its number in the file or DataFrame, 0 the first below the header, whichever part of the split it is in;
        the result says which. `feature` and `removal`: as the tables name them; without both, the networks before any
        removal. `dataset`: which, where the run has several. `data`: the DataFrame or table of the run again, where it
        was given as an object in another session; a file or data set of the catalogue is found again.

        Raises InputError for what the run did not do, for a row that is not there, for data that are not the run's, and
        for networks that are no chains of Linear and activation, which a run does not keep.
        """
        from attribution_suite.auditing.explain import explain_row
        from attribution_suite.auditing.kept import dataset_of
        from attribution_suite.reporting.redraw import datasets_of, given_again

        name = dataset_of(self.record, dataset)
        known = self.datasets if name in self.datasets or data is not None else datasets_of(self.path)
        if data is None and name not in known:
            raise InputError(f"the rows of {name} are not found as the run had them: give its table as 'data'")
        table = known[name] if data is None else given_again(self.record, name, data)
        return explain_row(self.path, self.record, table, row, feature, removal)

    def export(self, removal: str, removed: str, *, seed: int = 0, dataset: str | None = None,
               to: str | Path | None = None) -> Path:
        """Writes network `seed` after `removal` took `removed` out, for plain PyTorch or ONNX; returns the file.

        `to`: a path that ends in .safetensors (the state_dict of `nn.Sequential(Linear, activation, …)`) or .onnx
        (extra `onnx`); default: in the run's folder `exports`. `dataset`: which, where the run has several. Beside it
        lies FILE.json, the card: how a row is prepared, hashes of data and weights before and after, verdict, worst
        case. The audit's `decoy` column is no input any more: it is held at its mean.

        Raises InputError for what the run did not do, and for networks that are no chains of Linear and activation.
        """
        from attribution_suite.auditing.export import export_network

        words = "-".join(filter(None, (dataset, removal, removed, f"seed{seed}")))
        name = re.sub(r"[^A-Za-z0-9_.+-]", "_", words) + ".safetensors"
        path = self.path / "exports" / name if to is None else Path(to)
        record, tables = self.record, {table: self.table(table) for table in ("outcomes", "verdicts")}
        export_network(self.path, record, tables, removal, removed, seed, dataset, path)
        return path

    def verify(self, replay: int = 0, *, public_key: str | Path | None = None,
               tables: "Mapping[str, TabularDataset | pd.DataFrame] | None" = None) -> "Verification":
        """Derives the run again from its files, and says what holds, what differs and what could not be checked.

        Hashes of every file and chunk, tables from chunks, verdicts from tables, certificates, data sets that are found
        (`tables`: those that were given as objects, by their names). `replay`: how many chunks, drawn by chance, are
        computed again, bit for bit where processor, versions and code are those of the run; elsewhere the stored
        networks are scored again. `public_key`: the PEM file of the key that must have signed every certificate.
        Nothing in the folder is changed.

        Raises InputError for a folder without a run, or whose run.json or list of files cannot be read.
        """
        from attribution_suite.evidence.dsse import public_key as read_key
        from attribution_suite.evidence.verify import verify_run

        key = None if public_key is None else read_key(public_key)
        return verify_run(self.path, whole_number("replay", replay, 0), key, tables)

    def certify(self, sign_key: str | Path | None = None) -> Path:
        """Writes the certificates and the list of files anew, signed by the private key (PEM); returns their folder.

        Raises InputError for a run that does not hold (`verify` says why), another run that writes there, or a key that
        cannot be used.
        """
        from attribution_suite.evidence.certify import certify_run
        from attribution_suite.evidence.dsse import private_key

        return certify_run(self.path, None if sign_key is None else private_key(sign_key))
