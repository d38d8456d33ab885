"""Two cores: one process with two threads, or two processes with one thread each? An audit's workers are the latter.

The same work per process (fine-tuning steps of an ensemble, one scorer on an ensemble), in turn; the figure is how much
more of it two single-threaded processes finish in a second than one process with two threads.
"""

import time

import joblib
import torch
from common import conclude, table, use_shared_data
from scoring import evaluation_of, trained
from training import tune

from attribution_suite import load_dataset
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.memory import keep_freed_memory
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice

WORK = ("training", "integrated_gradients", "feature_ablation", "deep_lift", "lime")
MEMBERS, STEPS = 130, 120


def seconds(work: str, threads: int, dataset: TabularDataset, networks: Perceptrons, evaluation: Evaluation) -> float:
    """Of one piece of work after a first one, on so many threads."""
    torch.set_num_threads(threads)
    keep_freed_memory()

    def piece() -> None:
        if work == "training":
            tune(dataset, (32, 16), MEMBERS, STEPS)
        elif work == "lime":
            Choice("lime", {"samples": 1000}, 50).attribute(networks, evaluation)
        else:
            Choice(work, {}).attribute(networks.select(slice(None)), evaluation)

    piece()
    started = time.perf_counter()
    piece()
    return time.perf_counter() - started


def main() -> None:
    use_shared_data()
    dataset = load_dataset("prudential", preset="published", real_only=True)
    networks = trained(dataset)
    given = (dataset, networks, evaluation_of(networks, dataset))
    figures, rows = {}, []
    for work in WORK:
        runs = []
        for _ in range(5):
            one, threads = (seconds(work, count, *given) for count in (1, 2))
            both = joblib.Parallel(n_jobs=2)(joblib.delayed(seconds)(work, 1, *given) for _ in range(2))
            processes = 1 / sum(1 / each for each in both)  # seconds a piece, both working
            runs.append((threads / processes, one, threads, processes))
        ratio, one, threads, processes = (sorted(column)[2] for column in zip(*runs, strict=True))
        figures[f"ratio_processes_over_threads_{work}"] = ratio
        rows.append([work, one, threads, processes, ratio])
    table(["seconds a piece", "one thread", "two threads", "two processes", "processes over threads"], rows)
    conclude("threads", figures, dict.fromkeys(figures, 1.0))


if __name__ == "__main__":
    main()
