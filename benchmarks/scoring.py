"""Scoring 50 networks on real Prudential: one pass of the ensemble against a call on each network.

Captum, LIME and plain PyTorch are called on each network alone, with the same settings, baselines, draws and explained
classes, and the values must be equal. The slow sides are timed on a few networks (or rows) and multiplied: the table
says on how many. The slow side runs in one process; ours in two workers of one thread, as an audit runs it (the second
worker scores the same fifty networks, so a ratio is what the machine does in the same time: of one core, half).
Seconds are the processor's, those of ours a worker's, for programs beside would take from two workers what they leave
to one process. Interleaved, medians.

`--captum`: every class of `captum:NAME` that the networks share, one network at a time, in one call, and by the fast
path where there is one; one process of one thread for all three.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from itertools import pairwise
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection

import captum.attr
import numpy as np
import torch
from common import conclude, side_by_side, table, use_shared_data
from threadpoolctl import threadpool_limits
from torch import Tensor
from training import peak_gflops

# isort: split
import reference  # found by the path that `common` adds

from attribution_suite import load_dataset
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.memory import keep_freed_memory
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import train
from attribution_suite.scorers.alone import Alone, reference_numbers
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.captum_methods.catalogue import CATALOGUE
from attribution_suite.scorers.choice import Choice
from attribution_suite.scorers.lime import Lime
from attribution_suite.scorers.shapley_sampling import ShapleySampling, drawn_orders

MEMBERS, ROWS, LIME_ROWS, LIME_SAMPLES, WORKERS = 50, 500, 50, 5000, 2
CAPTUM = {"integrated_gradients": 20.0, "smooth_integrated_gradients": 20.0, "deep_lift": 10.0, "gradient_shap": 20.0,
          "input_x_gradient": 20.0, "saliency": 20.0, "feature_ablation": 20.0, "layer_conductance": 20.0}


def trained(dataset: TabularDataset) -> Perceptrons:
    """Fifty networks after half an epoch: their classes differ, as an audit's do."""
    start = Perceptrons.initialise(Architecture(dataset.features, (32, 16), dataset.outputs), range(MEMBERS))
    budget = Training(1, 64, 1e-3, max_steps=300)
    few = dataset.validation.rows(slice(500))
    return train(start, dataset.train, few, dataset.task, budget, range(MEMBERS)).networks


def evaluation_of(networks: Perceptrons, dataset: TabularDataset) -> Evaluation:
    inputs, targets = dataset.test.inputs[:ROWS], dataset.test.targets[:ROWS]
    return Evaluation(inputs, targets, dataset.train.inputs[:2000], dataset.train.targets[:2000],
                      torch.zeros(dataset.features), dataset.groups, dataset.task,
                      networks.outputs(inputs).argmax(2), seed=1)


def both(choice: Choice, networks: Perceptrons, evaluation: Evaluation, layer: int = 0) -> Callable[[], object]:
    """One pass in each of two worker processes, started and warm before the clock runs."""

    def call() -> None:
        for worker in pool:
            worker.send((choice, layer))
        in_workers[0] += sum(worker.recv() for worker in pool) / WORKERS

    pool = []
    for _ in range(WORKERS):
        here, there = Pipe()
        Process(target=serve, args=(there, networks, evaluation), daemon=True).start()
        pool.append(here)
    return call


in_workers = [0.0]


def clock() -> float:
    """Seconds of the processor that this process and, on the average, a worker have taken."""
    return time.process_time() + in_workers[0]


def serve(pipe: Connection, networks: Perceptrons, evaluation: Evaluation) -> None:
    """A worker: scores what it is told to, on one thread."""
    torch.set_num_threads(1)
    keep_freed_memory()
    while True:
        choice, layer = pipe.recv()
        started = time.process_time()
        choice.attribute(networks, evaluation, layer)
        pipe.send(time.process_time() - started)


def compare(name: str, networks: Perceptrons, evaluation: Evaluation, alone: int) -> tuple[float, float, float]:
    """Seconds of ours, of Captum on every network (from `alone` of them), and the largest relative difference."""
    layer = 1 if name == "layer_conductance" else 0
    choice = Choice(name, {})
    found = choice.attribute(networks, evaluation, layer).values
    assert found is not None
    worst = 0.0
    for member in range(alone):
        expected = reference.captum_alone(name, networks, evaluation, member)
        worst = max(worst, float((found[member] - expected).abs().max() / expected.abs().max()))
    times = side_by_side({
        "ours": both(choice, networks, evaluation, layer),
        "captum": lambda: [reference.captum_alone(name, networks, evaluation, member) for member in range(alone)]},
        clock=clock)
    return times["ours"] / WORKERS, times["captum"] * MEMBERS / alone, worst


def lime(networks: Perceptrons, evaluation: Evaluation) -> tuple[float, float, float]:
    """The same for LIME, against the lime package on the same neighbourhoods, from two networks and two rows."""
    choice, few, alone = Choice("lime", {"samples": LIME_SAMPLES, "published": True}, LIME_ROWS), 2, 2
    found = choice.attribute(networks, evaluation).values
    assert found is not None
    scorer, worst = Lime(LIME_SAMPLES, published=True), 0.0
    networks_alone = [Alone.of(networks, evaluation, member) for member in range(alone)]
    for member in range(alone):
        for row in range(few):
            expected = reference_numbers(scorer, networks_alone[member], [row])[0].numpy()
            difference = np.abs(found[member, row].numpy() - expected)
            worst = max(worst, float(difference.max() / np.abs(expected).max()))
    times = side_by_side({
        "ours": both(choice, networks, evaluation),
        "lime": lambda: [reference_numbers(scorer, one, [row]) for one in networks_alone for row in range(few)]},
        clock=clock)
    return times["ours"] / WORKERS, times["lime"] * MEMBERS * LIME_ROWS / (alone * few), worst


def plain(name: str, networks: Perceptrons, evaluation: Evaluation, alone: int) -> tuple[float, float, float]:
    """`gradient_weight` and `lrp` against a plain PyTorch loop over networks."""
    scorer, rows = Choice(name).scorer(), list(range(evaluation.inputs.shape[-2]))

    def loop(networks: Perceptrons, evaluation: Evaluation, member: int) -> Tensor:
        numbers = reference_numbers(scorer, Alone.of(networks, evaluation, member), rows).float()
        return numbers[0] if name == "gradient_weight" else numbers

    found = Choice(name, {}).attribute(networks, evaluation)
    worst = 0.0
    for member in range(alone):
        expected = loop(networks, evaluation, member)
        ours = found.scores[member] if found.values is None else found.values[member]
        worst = max(worst, float((ours - expected).abs().max() / expected.abs().max()))
    times = side_by_side({
        "ours": both(Choice(name, {}), networks, evaluation),
        "loop": lambda: [loop(networks, evaluation, member) for member in range(alone)]}, clock=clock)
    return times["ours"] / WORKERS, times["loop"] * MEMBERS / alone, worst


# Options that keep what would take minutes to seconds, both ways.
QUICK = {"Occlusion": "?sliding_window_shapes=1", "ShapleyValueSampling": "?n_samples=1"}
CAPTUM_ROWS = 200
SHARED_GOAL = 1.0  # a shared call is never slower than a call on each network


def shared(networks: Perceptrons, whole: Evaluation) -> None:
    """Prints, of every class that the networks share, seconds of the processor each way, and the largest difference."""
    figures, rows = {}, []
    for name, entry in CATALOGUE.items():
        if entry.shared not in ("wide", "outputs") or name == "ShapleyValues":  # it takes no 130 features
            continue
        seen = whole.with_rows(LIME_ROWS if entry.points == "baselines" else CAPTUM_ROWS)
        layer = 1 if name.startswith(("Layer", "Internal")) else 0
        choice = Choice(f"captum:{name}{'@1:0' if name.startswith('Neuron') else ''}{QUICK.get(name, '')}")
        once, few = choice.scorer(layer), (networks.select([0]), seen.for_members(torch.tensor([0])))
        alone = type("Alone", (type(once),), {"entry": replace(entry, shared="no")})(**asdict(once))
        calls = {"alone": partial(alone.attribute, *few), "shared": partial(once.attribute, networks, seen)}
        if entry.fast:
            calls["fast"] = partial(Choice(entry.fast).scorer(layer).attribute, networks, seen)
        expected, found = calls["alone"]().values[0], calls["shared"]().values[0]
        difference = float((found - expected).abs().max() / expected.abs().max())
        times = side_by_side(calls, 3, time.process_time)
        slow = times["alone"] * MEMBERS
        figures |= {f"ratio_{name}": slow / times["shared"], f"difference_{name}": difference}
        figures |= {f"fast_{name}": slow / times["fast"]} if entry.fast else {}
        rows.append([name, slow, times["shared"], slow / times["shared"], *(
            [times["fast"], slow / times["fast"]] if entry.fast else ["", ""]), f"{difference:.0e}"])
    table([f"{MEMBERS} networks × {CAPTUM_ROWS} rows", "alone s", "shared s", "ratio", "fast s", "ratio", "difference"],
          rows)
    goals = {name: SHARED_GOAL if name.startswith("ratio") else 1e-5 for name in figures if not name.startswith("fast")}
    conclude("scoring --captum", figures, goals)


def shapley() -> None:
    """Prints, on heart and Prudential, seconds of the processor a network for the same orders, and the difference."""
    figures, rows = {}, []
    for name in ("heart", "prudential"):
        dataset = load_dataset(name, real_only=True)
        networks = Perceptrons.initialise(Architecture(dataset.features, (32, 16), dataset.outputs), range(MEMBERS))
        evaluation, scorer = Evaluation.of(dataset, networks, CAPTUM_ROWS, 100), ShapleySampling()
        drawn = drawn_orders(len(dataset.groups), scorer.permutations // 2, evaluation.seed)
        method = captum.attr.ShapleyValueSampling(networks.to_module())
        method.permutation_generator = partial(lambda orders, *_: orders, torch.cat([drawn, drawn.flip(1)]).tolist())
        mask = torch.zeros(1, dataset.features, dtype=torch.int64)
        for number, columns in enumerate(dataset.groups.values()):
            mask[0, list(columns)] = number
        calls = {"captum": partial(method.attribute, evaluation.inputs, evaluation.baseline[None], feature_mask=mask,
                                   target=0 if evaluation.explained is None else evaluation.explained[0],
                                   n_samples=scorer.permutations),
                 "ours": partial(scorer.attribute, networks, evaluation)}
        expected = calls["captum"]().detach()[:, [columns[0] for columns in dataset.groups.values()]]
        difference = float((calls["ours"]().values[0] - expected).abs().max() / expected.abs().max())
        times = side_by_side(calls, 5, time.process_time)
        ratio = times["captum"] * MEMBERS / times["ours"]
        figures |= {f"ratio_{name}": ratio, f"difference_{name}": difference}
        rows.append([name, times["captum"], times["ours"] / MEMBERS, ratio, f"{difference:.0e}"])
    table([f"shapley_sampling, {CAPTUM_ROWS} rows, seconds a network", "captum", "ours", "ratio", "difference"], rows)
    conclude("scoring --shapley", figures, {name: 20.0 if name.startswith("ratio") else 1e-5 for name in figures})


def lrp_at_peak(networks: Perceptrons) -> float:
    """Seconds that relevance would take if its products ran as fast as a large one does and the rest took no time.

    Inputs of both signs take five products (forward, two up, two down), the rectified layers above three.
    """
    first, *others = pairwise(networks.architecture.widths)
    flops = 2 * MEMBERS * ROWS * (5 * first[0] * first[1] + 3 * sum(a * b for a, b in others))
    return flops / peak_gflops() / 1e9 / WORKERS


def main() -> None:
    use_shared_data()
    torch.set_num_threads(1)
    threadpool_limits(1)  # more threads are slower at these sizes, on the slow side too
    keep_freed_memory()
    if "--shapley" in sys.argv:
        shapley()
        return
    dataset = load_dataset("prudential", preset="published", real_only=True)
    networks = trained(dataset)
    evaluation = evaluation_of(networks, dataset)
    if "--captum" in sys.argv:
        shared(networks, evaluation)
        return
    figures: dict[str, float] = {}
    goals = {f"ratio_{name}": goal for name, goal in CAPTUM.items()}
    goals |= {"ratio_lime": 100.0, "ratio_gradient_weight": 15.0, "ratio_lrp": 15.0}
    rows = []
    measured = [(name, *compare(name, networks, evaluation, 3)) for name in CAPTUM]
    measured += [(name, *plain(name, networks, evaluation, 5)) for name in ("gradient_weight", "lrp")]
    measured.append(("lime", *lime(networks, evaluation)))
    for name, ours, slow, difference in measured:
        figures |= {f"ratio_{name}": slow / ours, f"difference_{name}": difference}
        goals[f"difference_{name}"] = 1e-6 if name == "lime" else 1e-5
        rows.append([name, ours, slow, slow / ours, f"{difference:.0e}"])
        if name == "lrp":
            least = lrp_at_peak(networks)
            figures["ratio_lrp_if_at_peak"] = slow / least
            rows.append(["lrp, products alone at peak", least, slow, slow / least, ""])
    table([f"{MEMBERS} networks × {ROWS} rows × {dataset.features} columns", "ours s", "each alone s", "ratio",
           "difference"], rows)
    conclude("scoring", figures, goals)


if __name__ == "__main__":
    main()
