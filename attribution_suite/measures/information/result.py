"""What networks tell of a feature."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from attribution_suite.presented import Presented


@dataclass(frozen=True)
class Information(Presented):
    """What each network tells of a feature, and through whom: two tables whose `member` is the network's number.

    `table`: one row a network and question, with the columns `where` to `state` of the run's table `information`
    (`attribution_suite.tables.TABLES`): where it was read, how it was measured, given what; the value with its limits
    over rows, its control from shuffled copies, p, power, and the state that follows. `proxies`: one row a network and
    feature that predicts it, with the columns `proxy` to `part` of the table `proxies`.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.measures:INFORMATION"
    table: pd.DataFrame
    proxies: pd.DataFrame

    def __len__(self) -> int:
        return int(self.table.member.nunique())

    def to_frame(self) -> pd.DataFrame:
        """`table`, network by network."""
        return self.table.sort_values("member", kind="stable", ignore_index=True)
