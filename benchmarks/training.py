"""Fine-tuning on real Prudential: the ensemble loop against the usual PyTorch loop, in steps a second and network.

The usual loop: DataLoader, nn.Module, Adam, loss.item(), one network, one thread (two are slower at this size). The
ensemble: two worker processes of one thread, as an audit runs it; beside it one alone. Both fine-tune on a column
redrawn in every batch, batch 64. That a network of the ensemble equals one trained alone, tests/test_training.py shows.
"""

import time
from itertools import pairwise

import joblib
import torch
from common import conclude, side_by_side, table, use_shared_data

from attribution_suite import load_dataset
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.memory import keep_freed_memory
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import Trained, train
from attribution_suite.removals.stochastic_tuning import StochasticTuning

BATCH, LEARNING_RATE = 64, 1e-3
SEEDS = {10: 2, 50: 5, 130: 5, 512: 8}  # ensemble size → seeds that share it


def usual_steps(dataset: TabularDataset, hidden: tuple[int, ...], steps: int) -> float:
    """Seconds a step of the usual loop."""
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(dataset.train.inputs, dataset.train.targets), BATCH, shuffle=True)
    net = Perceptrons.initialise(Architecture(dataset.features, hidden, dataset.outputs), [0]).to_module()
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    loss_function, total, taken = torch.nn.CrossEntropyLoss(), 0.0, 0
    started = time.perf_counter()
    for inputs, targets in loader:
        inputs[:, 0] = inputs[torch.randperm(len(inputs)), 0]
        loss = loss_function(net(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item()
        taken += 1
        if taken == steps:
            break
    return (time.perf_counter() - started) / taken


def ensemble_steps(dataset: TabularDataset, hidden: tuple[int, ...], members: int, steps: int) -> float:
    """Seconds a step of the whole ensemble, one thread; validation is left out on both sides."""
    torch.set_num_threads(1)
    keep_freed_memory()
    return tune(dataset, hidden, members, steps).seconds / steps


def tune(dataset: TabularDataset, hidden: tuple[int, ...], members: int, steps: int) -> Trained:
    seeds = range(SEEDS[members])
    architecture = Architecture(dataset.features, hidden, dataset.outputs)
    start = Perceptrons.initialise(architecture, seeds).select(
        torch.arange(len(seeds)).repeat_interleave(members // len(seeds)))
    nodes = Nodes(torch.arange(members)[:, None] % dataset.features)
    few = dataset.validation.rows(slice(64))
    return train(start, dataset.train, few, dataset.task, Training(1, BATCH, LEARNING_RATE, max_steps=steps), seeds,
                 replaced=nodes, replacement=StochasticTuning().replacement())


def peak_gflops() -> float:
    """A large matrix product on the threads that one worker has."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = side_by_side({"product": lambda: a @ b}, repeats=9)["product"]
    return 2 * 2048**3 / seconds / 1e9


def measure(name: str, dataset: TabularDataset, hidden: tuple[int, ...], figures: dict[str, float]) -> list[list]:
    widths = (dataset.features, *hidden, dataset.outputs)
    flops = 2 * BATCH * (3 * sum(a * b for a, b in pairwise(widths)) - widths[0] * widths[1])
    rows = []
    for members in SEEDS:
        steps = max(60, 15_000 // members)
        pairs = []
        for _ in range(5):
            torch.set_num_threads(1)
            usual = usual_steps(dataset, hidden, 300)
            together = joblib.Parallel(n_jobs=2)(
                joblib.delayed(ensemble_steps)(dataset, hidden, members, steps) for _ in range(2))
            alone, peak = ensemble_steps(dataset, hidden, members, steps), peak_gflops()
            machine = sum(members / seconds for seconds in together)  # network-steps a second, both workers
            pairs.append((usual * machine, usual / (alone / members), usual, 1 / machine,
                          flops * members / alone / 1e9 / peak))
        ratio, ratio_one, usual, per_network, share = (sorted(column)[2] for column in zip(*pairs, strict=True))
        figures[f"ratio_{name}_{members}"] = ratio
        figures[f"ratio_one_thread_{name}_{members}"] = ratio_one
        figures[f"share_of_peak_{name}_{members}"] = share
        rows.append([f"{name}, E = {members}", usual * 1e6, per_network * 1e6, ratio, ratio_one, 100 * share])
    return rows


def main() -> None:
    use_shared_data()
    figures: dict[str, float] = {}
    rows = []
    for name, pca in (("all_columns", None), ("pca_10", 10)):
        dataset = load_dataset("prudential", preset="published", pca=pca, real_only=True)
        rows += measure(name, dataset, (32, 16), figures)
    table(["Prudential", "usual µs/step", "ensemble µs/step·network", "ratio", "ratio, one thread", "% of peak"], rows)
    goals = {f"ratio_all_columns_{members}": 30.0 for members in (50, 130, 512)}
    goals |= {f"ratio_pca_10_{members}": 40.0 for members in (50, 130, 512)}
    goals |= {f"share_of_peak_all_columns_{members}": 0.25 for members in (50, 130, 512)}
    conclude("training", figures, goals)


if __name__ == "__main__":
    main()
