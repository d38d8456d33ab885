"""A small run of a file, made once for all test processes, and the file: what tests of exports and evidence read."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plain_suite import plain_figures
from shared import shared

from attribution_suite import audit
from attribution_suite.results import Audit

WORDS: dict[str, Any] = {"scorers": ["weights"], "seeds": 2, "rows": 20, "background": 80, "jobs": 1,
                         "information": "off", "say": lambda line: None}
COLOURS = ("red", "green", "blue")


def people(path: Path, rows: int = 120, seed: int = 3) -> Path:
    """A file with gaps, three colours and two answers: y = age/10 + 2·(colour = red) − (member = yes)."""
    generator = np.random.default_rng(seed)
    age = generator.integers(20, 70, rows).astype(float)
    colour, member = generator.choice(COLOURS, rows), generator.choice(["no", "yes"], rows)
    income = generator.normal(50, 9, rows).round(2)
    target = age / 10 + 2 * (colour == "red") - (member == "yes") + income / 25 + generator.normal(0, 0.1, rows)
    frame = pd.DataFrame({"age": age, "colour": colour, "member": member, "income": income, "y": target.round(4)})
    frame.loc[generator.choice(rows, 12, replace=False), "age"] = np.nan
    frame.to_csv(path, index=False)
    return path


@cache
def people_run() -> tuple[Audit, Path]:
    """Two networks; three things removed by two methods."""
    folder = shared("people", _make)
    return Audit(folder / "run"), folder / "people.csv"


def _make(folder: Path) -> None:
    with plain_figures():
        audit(people(folder / "people.csv"), target="y", remove=["colour", "age", "age+member"],
              removals=["fold", "stochastic_tuning"], tuning=0.02, out=folder / "run", **WORDS)
