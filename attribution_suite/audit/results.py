"""A finished run: its tables, read when asked."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from attribution_suite.audit.tables import TABLES
from attribution_suite.errors import unknown_name


@dataclass(frozen=True)
class Audit:
    """`failed` names the chunks that went wrong, each in one line."""

    path: Path
    failed: list[str] = field(default_factory=list)

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of `audit.tables.TABLES`. Raises InputError for an unknown name."""
        if name not in TABLES:
            raise unknown_name("table", name, TABLES)
        return pd.read_parquet(self.path / f"{name}.parquet")

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json."""
        import json

        return dict(json.loads((self.path / "run.json").read_text()))

    @property
    def summary(self) -> pd.DataFrame:
        """Per data set and method: target share before and after, direct effect, loss change, seconds."""
        from attribution_suite.report.summary import summary_table

        simulated = [name for name, entry in self.record["datasets"].items() if entry["simulated"]]
        return summary_table({name: self.table(name) for name in ("shifts", "outcomes")}, simulated)
