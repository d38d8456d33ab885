"""The enclosure of smooth networks: it holds a search, its chords hold, it is refined where it must be and no more."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from worst_case_search import GROUPS, TASKS, check_witness, function, measured, random_networks, searched, table

from attribution_suite.datasets.preset import Activation
from attribution_suite.measures.worst_case import enclosure
from attribution_suite.measures.worst_case.lines import Moves
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons

SMOOTH = ["tanh", "sigmoid", "gelu", "silu"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(2, 9), min_size=1, max_size=3), TASKS,
       st.sampled_from(sorted(GROUPS)), st.sampled_from(["plain", "dead"]), st.sampled_from([0.01, 1.0, 2.0]),
       st.sampled_from(SMOOTH))
def test_an_enclosure_holds_the_search_between_its_ends(seed: int, hidden: list[int], task: tuple[str, int], group: str,
                                                        kind: str, part: float, activation: Activation) -> None:
    generator = torch.Generator().manual_seed(seed)
    training, inputs, columns = table(generator, 40), table(generator, 6), GROUPS[group]
    networks = random_networks(seed, tuple(hidden), activation, task[1], kind)
    start = measured(networks, inputs, training, columns, task[0])
    found = measured(networks, inputs, training, columns, task[0], part * float(start.effect.max()))
    check_witness(found, networks, inputs, columns, task[0], training)
    for member in range(2):
        largest, _ = searched(networks, member, inputs, training, columns, task[0])
        rounding = 1e-9 * max(1.0, largest)
        assert found.effect[member] <= found.bound[member]
        assert largest <= found.bound[member] + rounding
        assert largest <= found.effect[member] + 0.05 * max(1.0, largest)  # a bound that is far off would say nothing
        finite = all(len(set(training[:, c].tolist())) <= 2 for c in columns)
        assert found.method[member] == ("exact" if finite else "enclosure")
        if part == 2.0:
            # D is half of delta: a bound can say so; of a move that float64 cannot show (1e-51) it says that little
            assert found.bound[member] <= found.delta[member] + 1e-12


def tanh_network(*layers: tuple[list, list]) -> Perceptrons:
    """One input; each layer's weights and biases."""
    weights, biases = (tuple(torch.tensor(part)[None] for part in parts) for parts in zip(*layers, strict=True))
    hidden = tuple(len(weight[0]) for weight in weights[:-1])
    return Perceptrons(Architecture(1, hidden, len(weights[-1][0]), "tanh"), tuple(map(Tensor.double, weights)),
                       tuple(map(Tensor.double, biases)))


CURVED = {
    "one unit": tanh_network(([[1.0]], [0.0]), ([[1.0]], [0.0])),
    "curved below, straight above": tanh_network(([[1.0]], [0.0]), ([[0.01]], [0.0]), ([[1.0]], [0.0])),
    "straight below, curved above": tanh_network(([[0.01]], [0.0]), ([[100.0]], [0.0]), ([[1.0]], [0.0])),
    "saturated at both ends": tanh_network(([[1.0], [1.0]], [2.0, -2.0]), ([[9.0, -9.0]], [-9.0]), ([[1.0]], [0.0])),
    "saturated above": tanh_network(([[1.0], [1.0]], [2.0, -2.0]), ([[-9.0, 9.0]], [9.0]), ([[1.0]], [0.0])),
    "classes": tanh_network(([[1.0], [-2.0]], [0.3, 1.0]), ([[3.0, 1.0], [2.0, 2.0], [1.0, 5.0]], [0.0, 0.0, 4.0])),
}


@pytest.mark.parametrize("name", CURVED)
@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("pieces", [1, 5, 64])
def test_a_smooth_network_is_off_its_chords_by_no_more_than_is_said(name: str, pieces: int,
                                                                    activation: Activation) -> None:
    networks, dense = CURVED[name], 500
    networks = replace(networks, architecture=replace(networks.architecture, activation=activation))
    t = torch.linspace(-6, 6, pieces * dense + 1, dtype=torch.float64)
    task = "multiclass" if networks.architecture.outputs > 1 else "regression"
    f = torch.from_numpy(function(networks, 0, t[:, None].numpy(), task))
    first = networks.weights[0][0, :, 0] * t[::dense, None] + networks.biases[0][0]
    ends, off = enclosure.chords(networks, first[None], networks.weights[0][0, :, 0], torch.tensor([12 / pieces]))
    torch.testing.assert_close(ends[0], f[::dense])
    share = torch.linspace(0, 1, dense + 1, dtype=torch.float64)[:-1, None]
    chord = torch.lerp(ends[0, :-1, None], ends[0, 1:, None], share)
    distance = (f[:-1].unflatten(0, (pieces, dense)) - chord).abs().amax(1)
    assert (distance <= off[0] + 1e-12).all()
    if pieces == 64 and name == "one unit":  # a bound of second order is nearly met by short pieces
        assert distance.max() > 0.9 * off.max()


def test_an_enclosure_is_refined_for_delta_within_its_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs, training = torch.randn(8, 7, generator=generator), torch.randn(40, 7, generator=generator)
    networks = random_networks(4, (16, 8), "tanh", 1, "plain").select([0])
    seen: list[Tensor] = []
    take = Moves.take

    def counted(moves: Moves, line: Tensor, t: Tensor, f: Tensor) -> Tensor:
        seen.append(line)
        return take(moves, line, t, f)

    monkeypatch.setattr(Moves, "take", counted)
    coarse = measured(networks, inputs, training, (0,), "regression", 0.0)
    coarse_cost = torch.bincount(torch.cat(seen))
    delta = coarse.effect.item() + 0.1 * (coarse.bound - coarse.effect).item()
    seen.clear()
    fine = measured(networks, inputs, training, (0,), "regression", delta)
    assert coarse.bound.item() > delta >= fine.bound.item() >= fine.effect.item()
    spent = torch.bincount(torch.cat(seen))
    assert (coarse_cost == enclosure.START + 1).all() and coarse_cost.max() < spent.max() <= enclosure.EVALUATIONS
    assert spent.min() == coarse_cost.min()  # rows that are settled are left alone
    seen.clear()
    monkeypatch.setattr(enclosure, "EVALUATIONS", enclosure.START + 5)
    undecided = measured(networks, inputs, training, (0,), "regression", delta)
    assert torch.bincount(torch.cat(seen)).max() <= enclosure.EVALUATIONS < spent.max()
    assert undecided.bound.item() > delta >= undecided.effect.item()
