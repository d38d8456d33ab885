"""A removal in closed form: the training median in the node's place."""

import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from attribution_suite import attribute, load_dataset, train
from attribution_suite.networks.network import Ensemble
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.training import Trained
from attribution_suite.removals.removal import RemovalTraits, Setting, edited


@dataclass(frozen=True)
class Median:
    """Replace node j by its training median m and fold it into the bias: W' = W with column j zero, b' = b + m·W_:j.

    The output no longer depends on x_j; nothing is trained. Unlike the mean, the median of a skewed column is a value
    that many rows have.
    """

    name: ClassVar[str] = "median"
    traits: ClassVar[RemovalTraits] = RemovalTraits(aims="direct", reads="never", exact=True)

    def remove(self, networks: Ensemble, nodes: Nodes, setting: Setting) -> Trained:
        """The closed form."""
        started = time.perf_counter()
        medians = setting.train.inputs.median(-2).values  # [features], or [seeds, features] at a hidden layer
        variants = len(networks) // len(setting.seeds)
        each = medians.expand(len(networks), -1) if medians.dim() == 1 else medians.repeat_interleave(variants, 0)
        return edited(networks.with_nodes_folded(nodes, each.gather(1, nodes.index)), started)

    def replacement(self) -> None:
        """Weights are edited, not data: a baseline that reads the labels does not apply."""


if __name__ == "__main__":
    from attribution_suite import Training

    iris, budget = load_dataset("iris"), Training(5, 16, 1e-2)
    networks = train(iris, seeds=2).networks
    nodes = Nodes.of([iris.columns("petal_length")]).repeat(len(networks))
    setting = Setting.of(iris, networks, 0, [0, 1], budget, budget)
    edit = Median().remove(networks, nodes, setting).networks

    # The theorem: the edited network is the original with x_j at its median, and it does not read x_j.
    column, = iris.columns("petal_length")
    filled, moved = iris.test.inputs.clone(), iris.test.inputs.clone()
    filled[:, column] = iris.train.inputs[:, column].median()
    moved[:, column] += 100.0
    torch.testing.assert_close(edit.outputs(iris.test.inputs), networks.outputs(filled))
    assert torch.equal(edit.outputs(moved), edit.outputs(iris.test.inputs))
    assert not torch.allclose(networks.outputs(moved), networks.outputs(iris.test.inputs))  # it did before
    print(attribute(edit, iris, "integrated_gradients", explained_by=networks).to_frame())
