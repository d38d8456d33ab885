"""A run directory as the report reads it: `run.json`, and the tables of one data set and layer at a time."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa

from attribution_suite.conclusions.judgements import poor_surrogates
from attribution_suite.conclusions.summary import interval, network_count, pairs, split_numbers, split_ratio, unit_ranks
from attribution_suite.conclusions.verdicts import verdicts
from attribution_suite.conclusions.words import networks_words, splits_words
from attribution_suite.errors import InputError
from attribution_suite.scorers import CONTROL
from attribution_suite.tables import ALL_TABLES, NEURON_TABLES, TABLES
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.column import check_made_from

if TYPE_CHECKING:  # a report of a run without its rows needs no torch
    from torch import Tensor

    from attribution_suite.datasets.table import TabularDataset

# What `run.json` holds.
CONTENTS = {"spec", "versions", "machine", "datasets", "timings", "failed", "started", "finished"}
# Removed features drawn one by one; a full audit removes every feature, and its attributions would fill the memory.
SHOWN_FEATURES = 4
OF_SHOWN = {"attributions", "partial_dependence"}  # tables of which the rows of other removed features are not read


@dataclass(frozen=True)
class Subject:
    """One data set at one layer: all that a section of the report is made from.

    `attributions` holds the original networks, and the edited ones of the features in `shown`, `partial_dependence`
    these features alone; the other tables are whole. Hidden units that were picked in each network by their rank are
    called by it in `removed` and `shown`, and by their own names in the tables. `data` is None where the rows were not
    to be had. `neurons`: the tables of a look inside (`NEURON_TABLES`; the weights of `history` of the first seed
    alone), None where the run has none; they are all layers', so the data set's first subject has them. `judged`: its
    rows of the table of verdicts, None where that was not just made.
    """

    name: str
    layer: int
    info: Mapping[str, Any]
    spec: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    data: "TabularDataset | None"
    neurons: Mapping[str, pd.DataFrame] | None = None
    judged: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """The data set's name, with the layer where it is not the input."""
        return self.name if self.layer == 0 else f"{self.name}, layer {self.layer}"

    @property
    def slug(self) -> str:
        """The title as file names and anchors take it; a name with other characters is told apart by its checksum."""
        base = slug_of(self.name)
        return base if self.layer == 0 else f"{base}-layer-{self.layer}"

    @property
    def simulated(self) -> bool:
        """True if the rows are a stand-in for a real file that was not to be had."""
        return self.info.get("source") == "simulated"

    @property
    def originals(self) -> pd.DataFrame:
        """The attributions of the networks before any edit."""
        return self.tables["attributions"].query("removal == @ORIGINAL", local_dict={"ORIGINAL": ORIGINAL})

    @property
    def baselines(self) -> dict[str, str]:
        """What each scorer compares a row with, '' for one that has no baseline."""
        return dict(zip(self.originals.scorer, self.originals.baseline, strict=True))

    @cached_property
    def networks(self) -> int:
        """How many networks there are: one a seed and split."""
        return network_count(self.tables)

    @cached_property
    def splits(self) -> int:
        """On how many splits of the rows."""
        return len(split_numbers(self.tables["outcomes"], self.tables["failures"]))

    def interval(self, rows: pd.DataFrame, values: pd.Series) -> tuple[float, float, float]:
        """Mean and 95 % interval of a value a network; `rows` say, under 'split', of which split each is."""
        return interval(values.to_numpy(), rows.split.to_numpy(), self._split_ratio)

    @cached_property
    def _split_ratio(self) -> float | None:
        return split_ratio(self.tables["outcomes"], self.tables["failures"])

    @property
    def which(self) -> str:
        """'one network', '5 networks'; whether they were given."""
        words = networks_words(self.networks)
        if self.splits > 1:
            words += f" on {splits_words(self.splits)} of the rows"
        return f"{words} given by the user" if self.info.get("networks") else f"{words} trained here"

    def by_layer(self, table: str) -> list[tuple[int, pd.DataFrame]]:
        """Each hidden layer with its rows of a table of the look inside; nothing where nobody looked."""
        rows = (self.neurons or {}).get(table)
        return [] if rows is None else [(int(str(layer)), of_layer) for layer, of_layer in rows.groupby("layer")]

    def weights(self) -> "tuple[Tensor, list[str], int] | None":
        """The weights `[epochs, hidden, features]` of one network, the columns' names, and the epochs between records.

        None where none were recorded.
        """
        import torch

        table = (self.neurons or {}).get("history")
        if table is None or table.empty:
            return None
        epochs, names = table.epoch.nunique(), list(pd.unique(table.feature))
        values = torch.tensor(table.weight.to_numpy(np.float32)).reshape(epochs, -1, len(names))
        return values, names, int(table.epoch.min())

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """The rows of the table of verdicts."""
        return verdicts(self.tables) if self.judged is None else self.judged

    @cached_property
    def scorers(self) -> list[str]:
        """Attribution methods in the order of their first appearance, the control last."""
        names = list(pd.unique(pd.concat([self.originals.scorer, self.tables["shifts"].scorer])))
        return sorted(names, key=lambda name: name == CONTROL)

    @cached_property
    def poor_surrogates(self) -> list[str]:
        """Those of the scorers that are too poor to speak for the original networks."""
        return poor_surrogates(self.tables["nulls"], self.info["scorers"])

    @cached_property
    def removals(self) -> list[str]:
        """Removal methods in the order of their first appearance, those that failed last."""
        return list(pd.unique(self._pairs.removal))

    @cached_property
    def removed(self) -> list[str]:
        """Removed features in the order of their first appearance; hidden units of `top:K` by their rank."""
        return list(pd.unique(self._pairs.removed))

    @cached_property
    def _pairs(self) -> pd.DataFrame:
        return pairs(unit_ranks(self.tables["outcomes"]), self.tables["failures"])

    @cached_property
    def shown(self) -> list[str]:
        """The removed features drawn one by one: all, or the `SHOWN_FEATURES` with the largest share."""
        return largest_removed(unit_ranks(self.tables["shifts"]), self.removed)


def slug_of(name: str) -> str:
    """A data set's name as file names and anchors take it; one with other characters is told apart by its checksum."""
    plain = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") or "data"
    return plain if plain == name else f"{plain}-{crc32(name.encode()):08x}"


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
            info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"'{file}' does not exist: give a directory that 'attribution-suite run' wrote") from None
        except (ValueError, RecursionError) as error:
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
        columns = ALL_TABLES[name]
        missing = [column for column in columns if column not in frame]
        if missing:
            raise InputError(f"'{file}' lacks the column {', '.join(missing)}: run the audit again with this version")
        check_made_from(file, self.info)
        return frame[list(columns)]

    def neurons(self, dataset: str) -> dict[str, pd.DataFrame] | None:
        """The tables of a look inside the networks of a data set; None where nobody looked, or it failed."""
        if not self.info["spec"].get("inside") or not (self.path / "units.parquet").exists():
            return None
        filters: list[Any] = [("dataset", "==", dataset)]
        tables = {table: self.table(table, [*filters, ("seed", "==", 0)] if table == "history" else filters)
                 for table in NEURON_TABLES}
        return tables if len(tables["units"]) else None

    def subjects(self, datasets: "Mapping[str, TabularDataset] | None",
                 judged: pd.DataFrame | None = None) -> list[Subject]:
        """One subject a data set and layer, in the order of `run.json`; `judged`: the table of verdicts, if known."""
        outcomes = self.table("outcomes")
        result = []
        for name, info in self.info["datasets"].items():
            first, others = self.info["spec"].get("layer", 0), outcomes[outcomes.dataset == name].layer
            for layer in sorted({first, *others}):
                filters: list[Any] = [("dataset", "==", name), ("layer", "==", layer)]
                tables = {table: self.table(table, filters) for table in TABLES if table not in OF_SHOWN}
                of_shown = [*filters, ("removed", "in", _drawn(tables) or [""])]
                tables["attributions"] = self.table("attributions", [
                    [*filters, ("removal", "==", ORIGINAL)], of_shown])
                tables["partial_dependence"] = self.table("partial_dependence", of_shown)
                result.append(Subject(name, layer, info, self.info["spec"], tables, (datasets or {}).get(name),
                                      self.neurons(name) if layer == first else None,
                                      None if judged is None else judged[
                                          (judged.dataset == name) & (judged.layer == layer)]))
        return result


def _drawn(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The removed features, by their own names, whose attributions the figures need."""
    ranked = unit_ranks(tables["outcomes"])
    shown = largest_removed(unit_ranks(tables["shifts"]), list(pd.unique(ranked.removed[ranked.removed != ""])))
    return list(pd.unique(tables["outcomes"].removed[ranked.removed.isin(shown)]))
