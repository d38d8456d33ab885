"""Rows beyond memory: 1,000 columns of Parquet on disk, 100 networks, three epochs, one planted feature removed.

Each size runs in a process of its own, one thread: reads and encodes, trains, audits the planted feature by `fold` and
`retrain`, then looks for the worst case of the originals and of what the fold left on every test row (at most 10⁵).
Seconds are the processor's, without those of the generator. Memory is the process's own (anonymous pages, sampled every
0.1 s): pages of the mapped files belong to the system's cache, which takes them back. The slope is that of log seconds
over log rows from 10⁴ rows to the largest size. On the smallest size the same audit of the same rows in memory must
give the same tables.

`--quick`: 10⁴ and 10⁵ rows alone, and what 10⁶ would take if every row costs what it does between them.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from common import conclude, table

SIZES = (10_000, 100_000, 1_000_000)
COLUMNS, NETWORKS, EPOCHS, FILE_ROWS = 1000, 100, 3, 50_000
WORST_ROWS = 100_000
GOALS = {"slope": 1.05, "gigabytes_private": 4.0, "hours": 1.0, "share_same_tables": 1.0}
STEPS = ("read", "train_and_audit", "worst_case")


def generate(folder: Path, rows: int) -> None:
    """Standard normal float32 columns x0 … in files of `FILE_ROWS` rows; y = x0 + x1 x2 / 2 + 0.3 x3 + noise.

    x0 is the planted feature; x4 is 0.8 x0 + noise, its proxy.
    """
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        generator = np.random.default_rng([number, COLUMNS])
        values = generator.standard_normal((COLUMNS, min(FILE_ROWS, rows - start)), dtype=np.float32)
        values[4] = 0.8 * values[0] + 0.6 * values[4]
        noise = generator.standard_normal(values.shape[1], dtype=np.float32)
        columns = {f"x{place}": column for place, column in enumerate(values)}
        columns["y"] = values[0] + values[1] * values[2] / 2 + 0.3 * values[3] + 0.5 * noise
        pd.DataFrame(columns, copy=False).to_parquet(folder / f"part-{number:04}.parquet", index=False)


@contextmanager
def private_memory() -> Iterator[list[float]]:
    """The largest gigabytes of this process's own pages inside the block, as the one item of a list."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            peak[0] = max(peak[0], sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def work(folder: Path, out: Path, on_disk_above: float) -> None:
    """One size: prints seconds of each step and gigabytes, as JSON."""
    from dataclasses import replace

    import torch

    from attribution_suite import audit, load_dataset
    from attribution_suite.auditing.kept import Kept
    from attribution_suite.datasets.preset import Preset, Training
    from attribution_suite.measures.worst_case.measure import output_spread, worst_case
    from attribution_suite.memory import keep_freed_memory
    from attribution_suite.networks.network import Ensemble
    from attribution_suite.networks.nodes import Nodes

    torch.set_num_threads(1)
    keep_freed_memory()
    clock, seconds = time.process_time, dict[str, float]()
    with private_memory() as gigabytes:
        started = clock()
        data = replace(load_dataset(folder, target="y", on_disk_above=on_disk_above), name="large", preset=Preset(
            "default", (8,), Training(EPOCHS, 64, 1e-3), tuning_epochs=1))
        decoyed = data.with_decoy()
        rows = [len(part) for part in (decoyed.train, decoyed.validation, decoyed.test)]
        seconds["read"], started = clock() - started, clock()
        audit(data, remove="x0", removals=["fold", "retrain"], scorers=["input_x_gradient"], lime_rows=5,
              seeds=NETWORKS, jobs=1, out=out, say=lambda line: print(line, file=sys.stderr))
        seconds["train_and_audit"], started = clock() - started, clock()
        gc.collect()
        kept = Kept.of(out, json.loads((out / "run.json").read_text()), "large")
        inputs, training = decoyed.test.inputs[:WORST_ROWS], decoyed.train.inputs

        def measured(networks: Ensemble) -> np.ndarray:
            nodes = Nodes.of([decoyed.columns("x0")]).repeat(NETWORKS)
            found = worst_case(networks, inputs, training, nodes, "regression", 0.01 * output_spread(networks, inputs))
            return found.effect.numpy()

        before = measured(kept.network(kept.original(), *range(NETWORKS)))
        after = measured(kept.edited("fold", "x0", range(NETWORKS)))
        seconds["worst_case"] = clock() - started
    print(json.dumps({"seconds": seconds, "gigabytes": gigabytes[0], "rows": rows, "on_disk": data.on_disk is not None,
                      "before": float(before.min()), "after": float(after.max())}))


def measured(rows: int, place: Path, on_disk_above: float = 0.0) -> dict[str, object]:
    """What `work` says of rows that lie in `place`, and the seconds on the clock."""
    words = [sys.executable, __file__, "work", str(place / "rows"), str(place / f"out-{on_disk_above:g}"),
             str(on_disk_above)]
    started = time.perf_counter()
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={
        **os.environ, "XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"}).stdout
    return {**json.loads(output.splitlines()[-1]), "size": rows, "wall": time.perf_counter() - started}


def same_tables(one: Path, other: Path) -> float:
    """The share of the tables of two runs that are equal, but for columns of seconds."""
    equal = []
    for path in sorted(one.glob("*.parquet")):
        frames = [pd.read_parquet(folder / path.name) for folder in (one, other)]
        timed = [name for name in frames[0] if "seconds" in name]
        equal.append(frames[0].drop(columns=timed).equals(frames[1].drop(columns=timed)))
    return sum(equal) / len(equal)


def main() -> None:
    sizes = SIZES[:2] if "--quick" in sys.argv else SIZES
    found, share = [], 0.0
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "rows").mkdir()
            generate(place / "rows", rows)
            found.append(measured(rows, place))
            if rows == sizes[0]:
                measured(rows, place, on_disk_above=1e6)
                share = same_tables(place / "out-0", place / "out-1e+06")
        print(json.dumps(found[-1]), file=sys.stderr)
    total = [sum(one["seconds"].values()) for one in found]
    figures = {
        "slope": float(np.polyfit(np.log(sizes), np.log(total), 1)[0]),
        "gigabytes_private": max(one["gigabytes"] for one in found), "hours": found[-1]["wall"] / 3600,
        "share_same_tables": share, "seconds_largest": total[-1],
        "worst_case_before": found[-1]["before"], "worst_case_after_fold": found[-1]["after"]}
    head = ["rows", *(f"{step} s" for step in STEPS), "all s", "wall s", "private GB"]
    table(head, [[f"{one['size']:,}", *(one["seconds"][step] for step in STEPS), all_of_it, one["wall"],
                  one["gigabytes"]] for one, all_of_it in zip(found, total, strict=True)])
    goals = GOALS
    if len(sizes) < len(SIZES):
        each = (total[1] - total[0]) / (sizes[1] - sizes[0])
        figures["seconds_of_the_whole_expected"] = total[1] + each * (SIZES[2] - sizes[1])
        goals = {name: goal for name, goal in GOALS.items() if name != "hours"}
    conclude("large", figures, goals)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
