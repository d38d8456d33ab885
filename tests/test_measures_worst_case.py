"""The worst case against a search written from its definition, networks whose D is known, what must not be proved."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from module_cases import FEATURES, Residual, members
from torch import Tensor, nn
from worst_case_search import GROUPS, TASKS, check_witness, function, measured, random_networks, searched, table

from attribution_suite import InputError, from_arrays, worst_case
from attribution_suite.datasets.preset import Activation
from attribution_suite.measures.worst_case.measure import output_spread
from attribution_suite.measures.worst_case.measure import worst_case as measure
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(2, 9), min_size=0, max_size=3), TASKS,
       st.sampled_from(sorted(GROUPS)), st.sampled_from(["plain", "ties", "dead"]),
       st.sampled_from(["relu", "leaky_relu", "linear"]))
def test_exact_is_no_less_than_a_search_and_is_attained(seed: int, hidden: list[int], task: tuple[str, int], group: str,
                                                        kind: str, activation: Activation) -> None:
    generator = torch.Generator().manual_seed(seed)
    training, inputs, columns = table(generator, 40), table(generator, 6), GROUPS[group]
    networks = random_networks(seed, tuple(hidden), activation, task[1], kind)
    found = measured(networks, inputs, training, columns, task[0])
    for member in range(2):
        if found.method[member] == "algebra":
            assert (networks.weights[0][member][:, list(columns)] == 0).all()
            continue
        assert found.method[member] == "exact" and found.bound[member] == found.effect[member]
        largest, flips = searched(networks, member, inputs, training, columns, task[0])
        assert found.effect[member] >= largest - 1e-9 * max(1.0, largest)
        assert math.isnan(found.flips[member]) if task[0] == "regression" else found.flips[member] >= flips
    if "algebra" not in found.method:
        check_witness(found, networks, inputs, columns, task[0], training)


def tents(peaks: list[tuple[float, float, float]]) -> Perceptrons:
    """A ReLU network of x0 alone (x1 is ignored): tents of (centre, half width, height), in two layers of weights."""
    weight, bias, last = [], [], []
    for centre, half, height in peaks:
        for shift, slope in ((-half, 1.0), (0.0, -2.0), (half, 1.0)):
            weight.append([1.0, 0.0])
            bias.append(-centre - shift)
            last.append(slope * height / half)
    units = len(weight)
    return Perceptrons(Architecture(2, (units,), 1), (torch.tensor([weight]), torch.tensor([[last]])),
                       (torch.tensor([bias]), torch.zeros(1, 1)))


def test_a_tent_between_the_rows_is_found_at_its_top() -> None:
    training = torch.tensor([[-2.0, 0.0], [0.0, 1.0], [3.0, 2.0]])
    inputs = training[:2]
    found = measured(tents([(1.0, 2**-10, 5.0), (2.5, 0.25, -4.0)]), inputs, training, (0,), "regression")
    assert found.effect.item() == pytest.approx(5.0, rel=1e-12) and found.bound.item() == found.effect.item()
    assert found.value.item() == pytest.approx(1.0, rel=1e-12) and found.after.item() == pytest.approx(5.0, rel=1e-12)
    assert found.before.item() == 0.0 and found.row.item() == 0
    outside = measured(tents([(4.0, 0.5, 5.0)]), inputs, training, (0,), "regression")
    assert outside.effect.item() == 0.0 and outside.method == ("exact",)  # beyond what training has shown


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_kink_of_any_layer_is_found(layer: int) -> None:
    """f = 2 z − 4 relu(z − 1/2) of z = x0: 0 at both ends of [0, 1], its top 1 at a kink of one hidden layer alone."""
    widths = (1,) * layer + (2,) * (4 - layer)  # z is carried, then z and relu(z − 1/2)
    weights = [torch.tensor([[[1.0], [1.0]]]) if b > a else torch.eye(b)[None] for a, b in itertools.pairwise(widths)]
    biases = [torch.zeros(1, len(weight[0])) for weight in weights]
    biases[layer - 1][0, 1] = -0.5
    networks = Perceptrons(Architecture(1, widths[1:], 1), (*weights, torch.tensor([[[2.0, -4.0]]])),
                           (*biases, torch.zeros(1, 1)))
    found = measured(networks, torch.zeros(1, 1), torch.linspace(0, 1, 4)[:, None], (0,), "regression")
    assert found.effect.item() == 1.0 and found.value.item() == 0.5


def test_the_effect_of_classes_is_on_logits_minus_their_mean() -> None:
    # Every logit moves by 7 x: no probability does. Then the first alone moves by 3 x: 2 and −1, −1 after centring.
    bias = (torch.zeros(2, 3),)
    weight = torch.tensor([[[7.0], [7.0], [7.0]], [[10.0], [7.0], [7.0]]])
    networks = Perceptrons(Architecture(1, (), 3), (weight,), bias)
    training = torch.linspace(0, 1, 5)[:, None]
    found = measured(networks, torch.zeros(1, 1), training, (0,), "multiclass")
    torch.testing.assert_close(found.effect, torch.tensor([0.0, 2.0], dtype=torch.float64), atol=1e-12, rtol=0)
    assert found.output[1] == 0 and found.after[1].item() == pytest.approx(2.0)
    shifted = torch.zeros(1, 1), torch.tensor([[[3.0], [0.0], [0.0]]]), torch.tensor([[0.0, 1.0, 0.0]])
    flipped = measured(Perceptrons(Architecture(1, (), 3), shifted[1:2], shifted[2:]), shifted[0], training, (0,),
                       "multiclass")
    assert flipped.flips.item() == 1


def test_weights_that_cancel_are_bounded_and_only_zero_ones_are_proved() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs, training = torch.randn(20, 2, generator=generator), torch.randn(50, 2, generator=generator)
    # relu(3 z)/3 − relu(z) = 0 for every z, with weights that are not zero.
    weight = torch.tensor([[[3.0, 1.5], [1.0, 0.5], [0.0, 1.0]]])
    cancels = Perceptrons(Architecture(2, (3,), 1), (weight, torch.tensor([[[1 / 3, -1.0, 1.0]]])),
                          (torch.zeros(1, 3), torch.zeros(1, 1)))
    found = measured(cancels, inputs, training, (0,), "regression")
    assert found.method == ("exact",) and 0 < found.bound.item() < 1e-6  # 1/3 is rounded to float32
    zero = cancels.with_nodes_folded(Nodes.of([(0,)]), torch.zeros(1, 1))
    proved = measured(zero, inputs, training, (0,), "regression")
    assert proved.method == ("algebra",) and proved.effect.item() == proved.bound.item() == 0
    assert proved.row.item() == -1 and math.isnan(proved.value.item()) and proved.to_frame().value[0] == ""
    assert measured(zero, inputs, training, (1,), "regression").method == ("exact",)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_gate_that_no_gradient_sees_is_found_open(activation: Activation) -> None:
    """x0 ≤ 1 in every row looked at: gradients by x0 are exactly zero there. One training row has x0 = 3."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.rand(30, 2, generator=generator)
    training = torch.cat([torch.rand(60, 2, generator=generator), torch.tensor([[3.0, 0.5]])])
    gate = torch.tensor([[[100.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.01, 1.0]]])
    shut = torch.tensor([[-200.0, 0.0]]), torch.zeros(1, 1)
    networks = Perceptrons(Architecture(2, (2,), 1, activation), gate, shut)
    assert (networks.gradient(networks.first(inputs), None)[..., 0] == 0).all()
    found = measured(networks, inputs, training, (0,), "regression", 1e-3)
    opened = 1.0 if activation == "relu" else 0.02  # relu(100) / 100, or (1 − (−1)) / 100
    assert found.effect.item() == pytest.approx(opened, rel=1e-6)
    assert found.bound.item() >= found.effect.item()


def test_several_numbers_are_searched_unless_all_their_weights_are_zero() -> None:
    generator = torch.Generator().manual_seed(4)
    inputs, training = table(generator, 10), table(generator, 30)
    networks = random_networks(6, (6,), "relu", 1, "plain")
    found = measured(networks, inputs, training, (0, 6), "binary")
    assert found.method == ("search",) * 2 and found.bound.isinf().all()
    for member, joint in itertools.product(range(2), training[:, [0, 6]].double().numpy()):
        moved = inputs.double().numpy().copy()
        before = function(networks, member, moved, "binary")
        moved[:, [0, 6]] = joint
        assert found.effect[member] >= np.abs(function(networks, member, moved, "binary") - before).max() - 1e-9
    folded = networks.with_nodes_folded(Nodes.of([(0, 6)] * 2), torch.zeros(2, 2))
    assert measured(folded, inputs, training, (0, 6), "binary").method == ("algebra",) * 2


def test_members_have_nodes_and_rows_of_their_own() -> None:
    generator = torch.Generator().manual_seed(5)
    inputs, training = (torch.randn(2, rows, 7, generator=generator) for rows in (6, 30))
    networks = random_networks(8, (6, 5), "relu", 3, "plain")
    together = measure(networks, inputs, training, Nodes.of([(0,), (1, 2)]), "multiclass", torch.zeros(2))
    for member, columns in enumerate([(0,), (1, 2)]):
        alone = measured(networks.select([member]), inputs[member], training[member], columns, "multiclass")
        assert alone.effect[0] == together.effect[member] and alone.method[0] == together.method[member]
    assert together.to_frame().value[0].count(",") == 0 and together.to_frame().value[1].count(",") == 1


def test_a_module_is_proved_by_algebra_and_else_searched() -> None:
    generator = torch.Generator().manual_seed(6)
    inputs, training = (torch.randn(rows, FEATURES, generator=generator) for rows in (12, 40))
    networks = Modules.wrap(members(Residual, 2), training)
    found = measured(networks, inputs, training, (0,), "regression")
    assert found.method == ("search",) * 2 and found.bound.isinf().all() and (found.effect > 0.01).all()
    check_witness(found, networks, inputs, (0,), "regression", training, tolerance=1e-5)
    assert (found.effect >= effect_at(networks, inputs, training[:, 0].max())).all()
    folded = networks.with_nodes_folded(Nodes.of([(0,), (0,)]), torch.ones(2, 1))
    assert measured(folded, inputs, training, (0,), "regression").method == ("algebra",) * 2
    assert measured(folded, inputs, training, (1,), "regression").method == ("search",) * 2


def effect_at(networks: Modules, inputs: Tensor, value: Tensor) -> Tensor:
    moved = inputs.clone()
    moved[:, 0] = value
    return (networks.outputs(moved) - networks.outputs(inputs)).abs().amax((1, 2)) - 1e-6


def test_outputs_that_are_not_finite_are_never_gone() -> None:
    inputs, training = torch.randn(5, 7), torch.randn(9, 7)
    networks = random_networks(9, (4,), "relu", 1, "plain").with_nodes_folded(Nodes.of([(0,)] * 2), torch.zeros(2, 1))
    networks.biases[1][1] = torch.nan
    with pytest.raises(InputError, match="network 1 returns nan for test row 0"):
        measured(networks, inputs, training, (0,), "regression")


class Pole(nn.Module):
    """Finite on the rows, infinite at x0 = 1, which training has shown."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale / (1 - x[:, :1])


def test_a_value_that_makes_the_output_infinite_is_named() -> None:
    inputs = torch.zeros(40, 2)
    networks = Modules.wrap([Pole()], inputs)
    training = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    with pytest.raises(InputError, match="network 0 returns inf for test row 0 when its feature is moved"):
        measured(networks, inputs, training, (0,), "regression")


def test_the_library_speaks_in_the_tables_units_and_names() -> None:
    generator = np.random.default_rng(7)
    values = generator.standard_normal((120, 3)) * [10, 1, 1] + [50, 0, 0]
    dataset = from_arrays(values, values[:, 0] / 10, feature_names=["age", "b", "c"], scaling="standard")
    architecture = Architecture(3, (5, 4), 1)
    networks = Perceptrons.initialise(architecture, [0, 1, 2])
    found = worst_case(networks, dataset, "age", rows=10)
    expected = measured(networks, dataset.test.inputs[:10], dataset.train.inputs, (0,), "regression")
    assert torch.equal(found.effect, expected.effect) and found.rows == 10
    seen = dataset.inputs[dataset.test_rows[:10], 0]
    np.testing.assert_allclose(found.native[:, 0], seen[found.row], rtol=1e-6)
    training = dataset.inputs[dataset.train_rows, 0]
    assert (training.min() - 1e-4 <= found.value).all() and (found.value <= training.max() + 1e-4).all()
    frame = found.to_frame()
    assert frame.native[0] == f"age {seen[found.row[0]]:.6g}" and list(frame.member) == [0, 1, 2]
    assert torch.equal(found.delta, 0.01 * output_spread(networks, dataset.test.inputs))
    unit = worst_case(networks, dataset, "unit:2", 1)
    inputs, hidden = (networks.activations(part.inputs)[1] for part in (dataset.test, dataset.train))
    alone = measure(networks.tail(1), inputs, hidden, Nodes.of([(2,)] * 3), "regression", torch.zeros(3))
    assert torch.equal(unit.effect, alone.effect) and unit.to_frame().value[0].startswith("unit:2 ")
    for member in range(3):
        largest, _ = searched(networks.tail(1), member, inputs[member], hidden[member], (2,), "regression")
        assert largest - 1e-9 <= unit.effect[member] <= largest * (1 + 1e-3)


@pytest.mark.parametrize(("words", "message"), [
    ({"feature": "agee"}, "did you mean age"), ({"feature": "unit:9", "layer": 1}, "unknown unit of layer 1"),
    ({"feature": "age", "layer": 7}, "layer 7 does not exist"),
    ({"feature": "age", "rows": 0}, "option 'rows' must be a whole number of at least 1"),
    ({"feature": "age", "delta": -1.0}, "option 'delta' must be a finite number above 0"),
    ({"feature": "age", "row": 3}, "did you mean rows"),
])
def test_wrong_words_are_named(words: dict, message: str) -> None:
    values = np.random.default_rng(8).standard_normal((60, 2))
    dataset = from_arrays(values, values.sum(1), feature_names=["age", "b"])
    with pytest.raises(InputError, match=message):
        worst_case(Perceptrons.initialise(Architecture(2, (3,), 1), [0]), dataset, **words)
