"""The worst case of one feature: 50 networks on 500 rows of real Prudential, 130 columns.

In two workers of one thread, as an audit runs it: each has half of the networks. `seconds` is from the question to the
last answer, workers started and warm; `one thread` is the processor's time for all 50, which other programs on the
machine hardly lengthen. tanh networks are measured twice: as trained, where a move above delta is found at once, and
with delta just above what was found, where the enclosure is refined until it decides or a row's evaluations are spent.
`shortfall`: how far the answer is below a search of 100,000 values on some rows, in float64, as a part of its scale.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from typing import Self

import torch
from common import conclude, side_by_side, table, use_shared_data
from torch import Tensor

from attribution_suite.datasets.load import load_dataset
from attribution_suite.datasets.preset import Activation, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.measures.worst_case.lines import effect_output
from attribution_suite.measures.worst_case.measure import output_spread, worst_case
from attribution_suite.measures.worst_case.result import WorstCase
from attribution_suite.memory import keep_freed_memory
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import train

MEMBERS, ROWS, WORKERS, POINTS, SEARCHED = 50, 500, 2, 100_000, 10
FEATURE, DELTA, CLOSE = "BMI", 0.01, 1.0001
NETWORKS: Sequence[tuple[str, tuple[int, ...], Activation, float]] = (
    ("relu_32_16", (32, 16), "relu", 0.5),
    ("relu_64_32", (64, 32), "relu", 3.0),
    ("tanh_32_16", (32, 16), "tanh", 10.0))


@dataclass(frozen=True)
class Question:
    """Networks, the column that moves, the rows looked at, what training has shown, the moves that matter."""

    networks: Perceptrons
    column: int
    inputs: Tensor
    training: Tensor
    delta: Tensor

    def half(self, worker: int) -> Self:
        """Every second network."""
        own = torch.arange(worker, len(self.networks), WORKERS)
        return replace(self, networks=self.networks.select(own), delta=self.delta[own])

    def answer(self) -> WorstCase:
        nodes = Nodes.of([(self.column,)]).repeat(len(self.networks))
        return worst_case(self.networks, self.inputs, self.training, nodes, "multiclass", self.delta)

    def shortfall(self) -> float:
        """Of the first network, on `SEARCHED` rows: the largest move of a search over ours, less 1."""
        alone = replace(self, networks=self.networks.select([0]), inputs=self.inputs[:SEARCHED])
        found, net = alone.answer(), self.networks.to_module(0).double()
        values = torch.linspace(*self.training[:, self.column].double().aminmax(), POINTS, dtype=torch.float64)
        largest = 0.0
        with torch.no_grad():
            for row in alone.inputs.double():
                moved = row.repeat(POINTS, 1)
                moved[:, self.column] = values
                change = effect_output(net(moved)) - effect_output(net(row[None]))
                largest = max(largest, float(change.abs().max()))
        return max(0.0, largest / float(found.effect[0]) - 1)


def in_workers(question: Question) -> Callable[[], object]:
    """The question put to two worker processes, started before the clock runs."""

    def call() -> object:
        for worker in pool:
            worker.send("go")
        return [worker.recv() for worker in pool]

    pool = []
    for worker in range(WORKERS):
        here, there = Pipe()
        Process(target=serve, args=(there, question.half(worker)), daemon=True).start()
        pool.append(here)
    return call


def serve(pipe: Connection, question: Question) -> None:
    """A worker: answers when told to, on one thread."""
    torch.set_num_threads(1)
    keep_freed_memory()
    while pipe.recv():
        question.answer()
        pipe.send(None)


def one_thread(question: Question) -> float:
    """Processor seconds of all networks in this process; the least of three."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        question.answer()
        taken.append(time.process_time() - started)
    return min(taken)


def trained(dataset: TabularDataset, hidden: tuple[int, ...], activation: Activation) -> Perceptrons:
    """Fifty networks after an epoch: their kinks lie where the data are."""
    start = Perceptrons.initialise(Architecture(dataset.features, hidden, dataset.outputs, activation), range(MEMBERS))
    few = dataset.validation.rows(slice(500))
    return train(start, dataset.train, few, dataset.task, Training(1, 64, 1e-3), range(MEMBERS)).networks


def main() -> None:
    use_shared_data()
    torch.set_num_threads(1)
    keep_freed_memory()
    dataset = load_dataset("prudential", preset="published", real_only=True)
    column, = dataset.columns(FEATURE)
    figures: dict[str, float] = {}
    goals: dict[str, float] = {}
    rows = []
    for name, hidden, activation, goal in NETWORKS:
        networks = trained(dataset, hidden, activation)
        inputs = dataset.test.inputs[:ROWS]
        asked = Question(networks, column, inputs, dataset.train.inputs, DELTA * output_spread(networks, inputs))
        questions = {name: asked}
        if activation == "tanh":
            questions[f"{name}_refined"] = replace(asked, delta=CLOSE * asked.answer().effect)
        for label, question in questions.items():
            seconds = side_by_side({"ours": in_workers(question)})["ours"]
            own, short, found = one_thread(question), question.shortfall(), question.answer()
            figures |= {f"seconds_{label}": seconds, f"one_thread_{label}": own}
            goals[f"seconds_{label}"] = goal
            decided = int(((found.effect > question.delta) | (found.bound <= question.delta)).sum())
            figures[f"share_decided_{label}"] = decided / MEMBERS
            if activation == "relu":
                figures[f"shortfall_{label}"], goals[f"shortfall_{label}"] = short, 1e-9
            rows.append([label, seconds, own, f"{short:.0e}", f"{decided}/{MEMBERS}"])
    table([f"{MEMBERS} networks × {ROWS} rows", "two workers s", "one thread s", "shortfall", "decided"], rows)
    conclude("worst_case", figures, goals)


if __name__ == "__main__":
    main()
