"""A run directory as the report reads it: `run.json`, and the tables of one data set and layer at a time."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pandas as pd
import pyarrow as pa

from attribution_suite.audit.tables import NEURON_TABLES, ORIGINAL, TABLES
from attribution_suite.errors import InputError

if TYPE_CHECKING:  # a report of a run without its rows needs no torch
    from attribution_suite.datasets.table import TabularDataset

# The control that scores at random: the floor the others are read against, never one of the voters.
CONTROL = "random"
# What `run.json` holds.
CONTENTS = {"spec", "versions", "machine", "datasets", "timings", "failed", "started", "finished"}
# Removed features drawn one by one; a full audit removes every feature, and its attributions would fill the memory.
SHOWN_FEATURES = 4


@dataclass(frozen=True)
class Subject:
    """One data set at one layer: all that a section of the report is made from.

    `attributions` holds the original networks, and the edited ones of the features in `shown`; the other tables are
    whole. `data` is None where the rows were not to be had. `neurons`: the tables of a look inside (`NEURON_TABLES`;
    the weights of `history` of the first seed alone), None where the run has none; they are all layers', so the
    data set's first subject has them.
    """

    name: str
    layer: int
    info: Mapping[str, Any]
    spec: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    data: "TabularDataset | None"
    neurons: Mapping[str, pd.DataFrame] | None = None

    @property
    def title(self) -> str:
        """The data set's name, with the layer where it is not the input."""
        return self.name if self.layer == 0 else f"{self.name}, layer {self.layer}"

    @property
    def slug(self) -> str:
        """The title as file names and anchors take it; a name with other characters is told apart by its checksum."""
        plain = re.sub(r"[^a-z0-9_]+", "-", self.name.lower()).strip("-") or "data"
        base = plain if plain == self.name else f"{plain}-{crc32(self.name.encode()):08x}"
        return base if self.layer == 0 else f"{base}-layer-{self.layer}"

    @property
    def simulated(self) -> bool:
        """True if the rows are a stand-in for a real file that was not to be had."""
        return self.info.get("source") == "simulated"

    @property
    def originals(self) -> pd.DataFrame:
        """The attributions of the networks before any edit."""
        return self.tables["attributions"].query("removal == @ORIGINAL", local_dict={"ORIGINAL": ORIGINAL})

    @cached_property
    def scorers(self) -> list[str]:
        """Attribution methods in the order of their first appearance, the control last."""
        names = list(pd.unique(pd.concat([self.originals.scorer, self.tables["shifts"].scorer])))
        return sorted(names, key=lambda name: name == CONTROL)

    @cached_property
    def removals(self) -> list[str]:
        """Removal methods in the order of their first appearance."""
        return [name for name in pd.unique(self.tables["outcomes"].removal) if name != ORIGINAL]

    @cached_property
    def removed(self) -> list[str]:
        """Removed features in the order of their first appearance."""
        return [name for name in pd.unique(self.tables["outcomes"].removed) if name]

    @cached_property
    def shown(self) -> list[str]:
        """The removed features drawn one by one: all, or the `SHOWN_FEATURES` with the largest share."""
        return largest_removed(self.tables["shifts"], self.removed)


def largest_removed(shifts: pd.DataFrame, removed: list[str]) -> list[str]:
    """At most `SHOWN_FEATURES` of `removed`, in their order: those with the largest mean share before."""
    share = shifts[shifts.scorer != CONTROL].groupby("removed").share_before.mean()
    largest = set(share.reindex(removed).nlargest(SHOWN_FEATURES).index)
    return [name for name in removed if name in largest] if len(removed) > SHOWN_FEATURES else removed


@dataclass(frozen=True)
class Run:
    """A run directory: `info` is `run.json`. Raises InputError where a file is missing, damaged or lacks a column."""

    path: Path

    @cached_property
    def info(self) -> dict[str, Any]:
        """`run.json`: spec, versions, machine, data sets, timings, failed chunks."""
        file = self.path / "run.json"
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"'{file}' does not exist: give a directory that 'attribution-suite run' wrote") from None
        except ValueError as error:
            raise InputError(f"'{file}' is not JSON ({error}): run the audit again to write it") from None
        missing = CONTENTS - set(info)
        if missing:
            raise InputError(f"'{file}' lacks {', '.join(sorted(missing))}: run the audit again to write it")
        return info

    def table(self, name: str, filters: list[Any] | None = None) -> pd.DataFrame:
        """The rows of `name`.parquet that pass `filters` (pyarrow's), with exactly the documented columns."""
        file = self.path / f"{name}.parquet"
        try:
            frame = pd.read_parquet(file, filters=filters)
        except FileNotFoundError:
            raise InputError(f"'{file}' does not exist: run the audit again to finish it") from None
        except pa.ArrowException as error:
            raise InputError(f"'{file}' cannot be read ({str(error).splitlines()[0]}): run the audit again") from None
        columns = {**TABLES, **NEURON_TABLES}[name]
        missing = [column for column in columns if column not in frame]
        if missing:
            raise InputError(f"'{file}' lacks the column {', '.join(missing)}: run the audit again with this version")
        return frame[list(columns)]

    def neurons(self, dataset: str) -> dict[str, pd.DataFrame] | None:
        """The tables of a look inside the networks of a data set; None where nobody looked, or it failed."""
        if not self.info["spec"].get("inside") or not (self.path / "units.parquet").exists():
            return None
        here: list[Any] = [("dataset", "==", dataset)]
        found = {table: self.table(table, [*here, ("seed", "==", 0)] if table == "history" else here)
                 for table in NEURON_TABLES}
        return found if len(found["units"]) else None

    def subjects(self, datasets: "Mapping[str, TabularDataset] | None") -> list[Subject]:
        """One subject a data set and layer, in the order of `run.json`."""
        outcomes = self.table("outcomes")
        found = []
        for name, info in self.info["datasets"].items():
            first, others = self.info["spec"].get("layer", 0), outcomes[outcomes.dataset == name].layer
            for layer in sorted({first, *others}):
                here: list[Any] = [("dataset", "==", name), ("layer", "==", layer)]
                tables = {table: self.table(table, here) for table in TABLES if table != "attributions"}
                removed = [feature for feature in pd.unique(tables["outcomes"].removed) if feature]
                shown = largest_removed(tables["shifts"], removed)
                tables["attributions"] = self.table("attributions", [
                    [*here, ("removal", "==", ORIGINAL)], [*here, ("removed", "in", shown or [""])]])
                found.append(Subject(name, layer, info, self.info["spec"], tables, (datasets or {}).get(name),
                                     self.neurons(name) if layer == first else None))
        return found
