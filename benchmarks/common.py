"""What every benchmark shares: the real data, timing side by side, the table and the JSON line."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# The slow versions that the tests compare with serve the benchmarks too.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SHARED = Path(__file__).parents[2] / "shared" / "data"


def use_shared_data() -> None:
    """Points the suite at the real files where nobody has; without them a benchmark would time a simulation."""
    os.environ.setdefault("ATTRIBUTION_SUITE_DATA", str(SHARED))


def side_by_side(calls: Mapping[str, Callable[[], object]], repeats: int = 3,
                 clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Median seconds of each call, taken in turn (A B A B …) after one warm-up, so that a drift hits all alike.

    `clock`: `time.process_time` for what one thread does alone: the processor's seconds, whatever runs beside it.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            started = clock()
            call()
            times[name].append(clock() - started)
    return {name: statistics.median(taken) for name, taken in times.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints aligned columns."""
    text = [[f"{cell:,.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in text) for column in range(len(head))]
    for row in text:
        print("  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(row, widths, strict=True))))
    sys.stdout.flush()


def conclude(benchmark: str, figures: Mapping[str, float], goals: Mapping[str, float]) -> None:
    """The last line. A goal named `ratio_…` or `share_…` is a least value, any other a greatest one."""
    met = all(figures[name] >= goal if name.startswith(("ratio_", "share_")) else figures[name] <= goal
              for name, goal in goals.items())
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    print(json.dumps({"benchmark": benchmark, "figures": rounded, "goals": dict(goals), "met": met}))
