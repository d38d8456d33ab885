"""How time and memory grow with members, rows and features: training, integrated gradients and ablation, made-up data.

Each size runs in a process of its own, one thread. The slope is that of log time over log size from the smallest size
that takes a second (or the last two sizes, where none but the last does); a plot is written beside this file. Memory is
what the work adds at its peak to the inputs and results themselves.
"""

import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import conclude, table

SIZES = {"members": (10, 30, 100, 300, 1000), "rows": (1000, 3000, 10_000, 30_000, 50_000),
         "features": (10, 30, 100, 300, 1000)}
BASE = {"members": 20, "rows": 2000, "features": 50}
STEPS = 200


def work(members: int, rows: int, features: int) -> None:
    """One size: prints seconds, and megabytes at the peak over those before the work."""
    import torch

    from attribution_suite.datasets.preset import Training
    from attribution_suite.datasets.table import Split
    from attribution_suite.memory import keep_freed_memory
    from attribution_suite.networks.architecture import Architecture
    from attribution_suite.networks.perceptrons import Perceptrons
    from attribution_suite.networks.training import train
    from attribution_suite.scorers.attribution import Evaluation
    from attribution_suite.scorers.feature_ablation import FeatureAblation
    from attribution_suite.scorers.integrated_gradients import IntegratedGradients

    torch.set_num_threads(1)
    keep_freed_memory()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, features, generator=generator)
    data = Split(inputs, inputs[:, 0] + inputs[:, 1])
    start = Perceptrons.initialise(Architecture(features, (32, 16), 1), [0]).select([0] * members)
    groups = {f"x{k}": (k,) for k in range(features)}
    seen = Evaluation(inputs[:min(rows, 50_000)], data.targets, inputs[:100], data.targets[:100],
                      torch.zeros(features), groups, "regression")
    started = time.perf_counter()
    epochs = max(1, STEPS // (rows // 64)) if rows < BASE["rows"] else 1
    budget = Training(epochs, 64, 1e-3, max_steps=rows // 64)
    found = train(start, data, data.rows(slice(64)), "regression", budget, [0])
    for scorer in (IntegratedGradients(), FeatureAblation()):
        scores = scorer.attribute(found.networks, seen)
        held = scores.values.numel() * 4 / 2**20 if scores.values is not None else 0.0
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds, peak - held - inputs.numel() * 4 / 2**20)


def measured(axis: str, size: int) -> tuple[float, float]:
    """Seconds and megabytes of one size, the quicker of two runs."""
    words = [str({**BASE, axis: size}[name]) for name in ("members", "rows", "features")]
    runs = []
    for _ in range(2):
        output = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True).stdout
        runs.append(tuple(float(word) for word in output.split()))
    return min(runs)


def slope(sizes: list[int], seconds: list[float]) -> float:
    """Of log seconds over log size, from the smallest size that takes a second."""
    first = next((place for place, value in enumerate(seconds) if value >= 1), len(seconds) - 2)
    first = min(first, len(seconds) - 2)
    return float(np.polyfit(np.log(sizes[first:]), np.log(seconds[first:]), 1)[0])


def plot(found: dict[str, list[tuple[float, float]]]) -> None:
    import matplotlib as mpl
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(11, 3.6), sharey=True, layout="constrained")
    for place, (axis, values) in zip(axes, found.items(), strict=True):
        sizes, seconds = SIZES[axis], [value[0] for value in values]
        place.loglog(sizes, seconds, "o-", color="#0d6e66", label="measured")
        place.loglog(sizes, [seconds[-1] * size / sizes[-1] for size in sizes], ":", color="#888", label="linear")
        place.set_xlabel(axis)
        place.grid(alpha=0.3)
    axes[0].set_ylabel("seconds, one thread")
    axes[0].legend()
    figure.savefig(Path(__file__).parent / "growth.png", dpi=110, metadata={"Software": None})


def main() -> None:
    found = {axis: [measured(axis, size) for size in sizes] for axis, sizes in SIZES.items()}
    figures, rows = {}, []
    for axis, values in found.items():
        seconds, memory = [value[0] for value in values], [value[1] for value in values]
        figures[f"slope_{axis}"] = slope(list(SIZES[axis]), seconds)
        figures[f"megabytes_added_{axis}"] = memory[-1] - memory[0]
        rows += [[f"{axis} {size}", *value] for size, value in zip(SIZES[axis], values, strict=True)]
    table(["", "seconds", "megabytes"], rows)
    for axis, sizes in SIZES.items():
        steepest = max(np.log(b[0] / a[0]) / np.log(y / x)
                       for (x, y), (a, b) in zip(pairwise(sizes), pairwise(found[axis]), strict=True))
        print(f"{axis}: slope {figures[f'slope_{axis}']:.2f}, steepest step {steepest:.2f}")
    plot(found)
    conclude("growth", figures, {f"slope_{axis}": 1.1 for axis in SIZES})


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if len(sys.argv) == 4:
        work(*map(int, sys.argv[1:]))
    else:
        main()
