"""The columns of every table that a run writes: the contract of audit, report and reader."""

from collections.abc import Mapping

from attribution_suite.tables.audit import TABLES
from attribution_suite.tables.column import Column
from attribution_suite.tables.inside import NEURON_TABLES
from attribution_suite.tables.verdicts import VERDICTS

ALL_TABLES: Mapping[str, Mapping[str, Column]] = {**TABLES, **NEURON_TABLES, "verdicts": VERDICTS}

__all__ = ["ALL_TABLES", "NEURON_TABLES", "TABLES", "VERDICTS", "Column"]
