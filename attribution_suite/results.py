"""A finished run: its tables, read when asked."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from attribution_suite.conclusions.summary import summary_table
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.tables import ALL_TABLES, NEURON_TABLES


@dataclass(frozen=True)
class Audit:
    """`failed` names the chunks that went wrong, each in one line."""

    path: Path
    failed: list[str] = field(default_factory=list)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of `tables.TABLES`, 'verdicts', or of `tables.NEURON_TABLES` where the run looked inside.

        Raises InputError for an unknown name, and for a table that the run did not write.
        """
        if name not in ALL_TABLES:
            raise unknown_name("table", name, ALL_TABLES)
        path = self.path / f"{name}.parquet"
        if name in NEURON_TABLES and not path.exists():
            raise InputError(f"this run did not look inside its networks: inside='all' writes '{name}'")
        return pd.read_parquet(path)

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json."""
        return dict(json.loads((self.path / "run.json").read_text()))

    @property
    def verdicts(self) -> pd.DataFrame:
        """Per data set, removed feature and method: what may be concluded (`tables.VERDICTS`)."""
        return self.table("verdicts")

    @property
    def summary(self) -> pd.DataFrame:
        """Per data set, removed feature and method: mean effect left, performance, change of the test loss, seconds."""
        simulated = [name for name, entry in self.record["datasets"].items() if entry["simulated"]]
        return summary_table({name: self.table(name) for name in ("outcomes", "failures")}, simulated)
