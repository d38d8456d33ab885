"""Ensembles against plain PyTorch modules, nodes and their groups, and networks in files."""

import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, uniform
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import ACTIVATIONS, Architecture
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.storage import load_networks, save_networks

ROWS = 11


@st.composite
def ensembles(draw: st.DrawFn) -> Perceptrons:
    width = st.integers(1, 6)
    architecture = Architecture(draw(width), tuple(draw(st.lists(width, max_size=3))), draw(width),
                                draw(st.sampled_from(sorted(ACTIVATIONS))))
    return Perceptrons.initialise(architecture, draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=4)))


def rows_for(networks: Perceptrons, per_member: bool = False) -> Tensor:
    members = (len(networks),) if per_member else ()
    return 2 * torch.randn(*members, ROWS, networks.architecture.features, generator=torch.Generator().manual_seed(4))


def small(activation: str = "relu") -> Perceptrons:
    return Perceptrons.initialise(Architecture(5, (7, 4), 3, activation), range(4))


def equal(first: Perceptrons, second: Perceptrons) -> bool:
    pairs = zip((*first.weights, *first.biases), (*second.weights, *second.biases), strict=True)
    return first.architecture == second.architecture and all(torch.equal(a, b) for a, b in pairs)


@settings(deadline=None, max_examples=60)
@given(ensembles(), st.booleans())
def test_outputs_are_those_of_each_module(networks: Perceptrons, per_member: bool) -> None:
    inputs = rows_for(networks, per_member)
    outputs, activations = networks.outputs(inputs), networks.activations(inputs)
    assert len(activations) == networks.architecture.depth + 1
    for member in range(len(networks)):
        net, value = networks.to_module(member), inputs[member] if per_member else inputs
        torch.testing.assert_close(outputs[member], net(value).detach(), rtol=1e-5, atol=1e-6)
        entering = [value]  # what enters each Linear, read layer by layer
        for layer in net:
            value = layer(value).detach()
            if not isinstance(layer, nn.Linear):
                entering.append(value)
        for ours, theirs in zip(activations, [*entering, value], strict=True):
            torch.testing.assert_close(ours[member], theirs, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(ensembles())
def test_the_explained_output_is_that_of_the_rows_class(networks: Perceptrons) -> None:
    rows = torch.randn(6, networks.architecture.features, generator=torch.Generator().manual_seed(4))
    first = networks.first(rows).unflatten(1, (3, 2))  # 3 rows in 2 variants
    outputs = networks.finish(first.flatten(1, 2)).unflatten(1, (3, 2))
    explained = torch.arange(3 * len(networks)).view(-1, 3) % networks.architecture.outputs
    expected = torch.stack([torch.stack([outputs[e, row, :, explained[e, row]] for row in range(3)])
                            for e in range(len(networks))])
    torch.testing.assert_close(networks.explained_output(first.clone(), explained), expected)
    torch.testing.assert_close(networks.explained_output(first.clone(), None), outputs[..., 0])


@settings(deadline=None, max_examples=40)
@given(ensembles())
def test_a_tail_continues_from_its_layer(networks: Perceptrons) -> None:
    activations = networks.activations(rows_for(networks))
    for layer in range(networks.architecture.depth):
        tail = networks.tail(layer)
        assert tail.architecture.widths == networks.architecture.widths[layer:]
        torch.testing.assert_close(tail.outputs(activations[layer]), activations[-1], rtol=1e-5, atol=1e-6)
        assert equal(networks.with_tail(tail), networks)


def test_with_tail_replaces_the_last_layers_only() -> None:
    networks, other = small(), Perceptrons.initialise(small().architecture, range(40, 44))
    mixed, inputs = networks.with_tail(other.tail(1)), rows_for(small())
    torch.testing.assert_close(mixed.outputs(inputs), other.tail(1).outputs(networks.activations(inputs)[1]))
    assert not torch.allclose(mixed.outputs(inputs), networks.outputs(inputs))


@settings(deadline=None, max_examples=40)
@given(ensembles())
def test_modules_make_the_ensemble_again(networks: Perceptrons) -> None:
    again = Perceptrons.from_modules([networks.to_module(member) for member in range(len(networks))])
    if networks.architecture.hidden:
        assert equal(again, networks)
    else:  # without a hidden layer no module says which activation it was
        assert all(torch.equal(a, b) for a, b in zip(again.weights, networks.weights, strict=True))


def test_a_module_without_bias_has_a_zero_bias() -> None:
    net = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Tanh(), nn.Linear(2, 1))
    inputs = torch.randn(6, 3)
    torch.testing.assert_close(Perceptrons.from_modules([net]).outputs(inputs)[0], net(inputs).detach())


def test_an_ensemble_shares_no_memory_with_its_modules() -> None:
    networks = small()
    net = networks.to_module(0)
    again = Perceptrons.from_modules([net])
    with torch.no_grad():
        net[0].weight.zero_()
    assert again.weights[0].abs().min() > 0 and equal(networks, small())


@pytest.mark.parametrize(("module", "message"), [
    (nn.Sequential(nn.Linear(3, 2), nn.Hardtanh(), nn.Linear(2, 1)), "calls '1' .Hardtanh."),
    (nn.Sequential(nn.Linear(3, 2), nn.ReLU()), "ends in a relu"),
    (nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()), "ends in a sigmoid"),
    (nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), "relu that does not follow a Linear"),
    (nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Tanh(), nn.Linear(2, 1)), "tanh that does not follow a Linear"),
    (nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)), "several .* .relu, tanh."),
    (nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)), "several .* .linear, tanh."),
    (nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.BatchNorm1d(2)), "no Linear at its end"),
    (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)), "without running statistics"),
    (nn.Sequential(nn.Linear(3, 2), nn.GELU("tanh"), nn.Linear(2, 1)), "GELU that is approximate"),
    (nn.Sequential(), "no Linear at its end"),
], ids=str)
def test_other_modules_are_refused(module: nn.Sequential, message: str) -> None:
    with pytest.raises(InputError, match=f"an ensemble takes chains of Linear and activation, and one .*{message}"):
        Perceptrons.from_modules([module])


def test_modules_of_two_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="share one architecture"):
        Perceptrons.from_modules([nn.Sequential(nn.Linear(3, 1)), nn.Sequential(nn.Linear(4, 1))])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_chunks_change_nothing(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = small(activation)
    nodes, inputs = Nodes.of([(0,), (1, 2), (3,), (4, 0)]), rows_for(networks)
    values = torch.randn(4, ROWS, 2)

    def results() -> list[Tensor]:
        return [networks.outputs(inputs), networks.outputs(inputs.expand(4, -1, -1)),
                networks.outputs_with(inputs, nodes, values),
                torch.cat([piece.outputs(inputs) for _, piece in networks.pieces(ROWS * 7)])]

    whole = results()
    monkeypatch.setattr("attribution_suite.networks.network.VALUES_AT_ONCE", 2 * ROWS * 7)
    assert [members for members, _ in networks.pieces(ROWS * 7)] == [slice(0, 2), slice(2, 4)]
    for chunked, expected in zip(results(), whole, strict=True):
        torch.testing.assert_close(chunked, expected, rtol=1e-6, atol=1e-6)


def test_nodes_pad_a_small_group_with_its_first_node() -> None:
    nodes = Nodes.of([(2,), (4, 0, 1), (3, 1)])
    assert nodes.index.tolist() == [[2, 2, 2], [4, 0, 1], [3, 1, 3]]
    assert nodes.repeats.tolist() == [[False, True, True], [False, False, False], [False, False, True]]
    assert [row.nonzero().flatten().tolist() for row in nodes.mask(5)] == [[2], [0, 1, 4], [1, 3]]


groups_of_nodes = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True), min_size=4, max_size=4)


@settings(deadline=None, max_examples=60)
@given(groups_of_nodes, st.sampled_from(sorted(ACTIVATIONS)))
def test_folded_nodes_equal_inputs_set_to_the_constants(groups: list[list[int]], activation: str) -> None:
    networks, nodes, inputs = small(activation), Nodes.of(groups), rows_for(small())
    table = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    folded = networks.with_nodes_folded(nodes, table.gather(1, nodes.index))
    for member, group in enumerate(groups):
        changed = inputs.clone()
        changed[:, group] = table[member, group]
        expected = networks.to_module(member)(changed).detach()
        torch.testing.assert_close(folded.outputs(inputs)[member], expected, rtol=1e-4, atol=1e-5)
        assert (folded.weights[0][member][:, group] == 0).all()
    untouched = ~nodes.mask(5)[:, None].expand_as(networks.weights[0])
    assert torch.equal(folded.weights[0][untouched], networks.weights[0][untouched])
    assert equal(networks, small(activation))


@settings(deadline=None, max_examples=60)
@given(groups_of_nodes, st.booleans())
def test_outputs_with_other_values_equal_changed_inputs(groups: list[list[int]], per_member: bool) -> None:
    networks, nodes = small("tanh"), Nodes.of(groups)
    inputs = rows_for(networks, per_member)
    table = torch.randn(4, ROWS, 5, generator=torch.Generator().manual_seed(1))
    values = table.gather(2, nodes.index[:, None].expand(-1, ROWS, -1))
    outputs = networks.outputs_with(inputs, nodes, values)
    for member, group in enumerate(groups):
        changed = (inputs[member] if per_member else inputs).clone()
        changed[:, group] = table[member][:, group]
        expected = networks.to_module(member)(changed).detach()
        torch.testing.assert_close(outputs[member], expected, rtol=1e-4, atol=1e-5)


def test_an_initial_member_is_the_same_in_any_ensemble() -> None:
    architecture = Architecture(6, (5,), 2)
    many, alone = Perceptrons.initialise(architecture, [3, 9, 27]), Perceptrons.initialise(architecture, [9])
    assert equal(many.select([1]), alone)
    assert not torch.equal(many.weights[0][0], many.weights[0][1])
    state = torch.get_rng_state()
    Perceptrons.initialise(architecture, [1])
    assert torch.equal(state, torch.get_rng_state())


def test_initial_weights_follow_pytorchs_own_distribution() -> None:
    ours = Perceptrons.initialise(Architecture(50, (40,), 30), range(20))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = [nn.Linear(50, 40) for _ in range(20)], [nn.Linear(40, 30) for _ in range(20)]
    for layer, (fan_in, linears) in enumerate(zip((50, 40), theirs, strict=True)):
        law = uniform(-fan_in**-0.5, 2 * fan_in**-0.5).cdf
        other = uniform(-1.05 * fan_in**-0.5, 2.1 * fan_in**-0.5).cdf  # negative control: 5 % wider
        for tensor, kind in ((ours.weights[layer], "weight"), (ours.biases[layer], "bias")):
            values = tensor.flatten().numpy()
            expected = torch.stack([getattr(linear, kind) for linear in linears]).detach().flatten().numpy()
            assert min(kstest(values, law).pvalue, kstest(expected, law).pvalue) > 1e-3
            assert abs(values).max() <= fan_in**-0.5
            if kind == "weight":
                assert kstest(values, other).pvalue < 1e-3


@pytest.mark.parametrize(("arguments", "message"), [
    ((0, (3,), 1), "at least one unit"),
    ((4, (3, 0), 1), "at least one unit"),
    ((4, (), 0), "at least one unit"),
    ((4, (3,), 1, "mish"), "unknown activation 'mish'"),
])
def test_architectures_that_cannot_be(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Architecture(*arguments)


@pytest.mark.parametrize("layer", [-1, 2])
def test_a_layer_that_does_not_exist(layer: int) -> None:
    with pytest.raises(InputError, match=f"layer {layer} does not exist"):
        Architecture(4, (3,), 1).tail(layer)


@settings(deadline=None, max_examples=30)
@given(networks=ensembles())
def test_a_file_holds_the_networks_exactly(networks: Perceptrons, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("networks") / "networks.safetensors"
    save_networks(networks, path)
    again = load_networks(path)
    assert equal(again, networks) and isinstance(again.architecture.hidden, tuple)
    assert list(path.parent.iterdir()) == [path]


def test_a_view_of_an_ensemble_can_be_saved_over_another(tmp_path: Path) -> None:
    path = tmp_path / "networks.safetensors"
    save_networks(small(), path)
    save_networks(small().select(slice(1, 3)), path)
    assert equal(load_networks(path), small().select([1, 2]))
    opened = safetensors.torch.load_file(path)  # the file is plain safetensors for anyone else
    assert torch.equal(opened["weight.0"], small().weights[0][1:3])


def write_foreign(path: Path, **changes: object) -> None:
    """A file of small() with other metadata or tensors."""
    save_networks(small(), path)
    with safetensors.safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    tensors = safetensors.torch.load_file(path)
    for name, value in changes.items():
        if isinstance(value, Tensor):
            tensors[name.replace("_", ".")] = value
        elif value is None:
            metadata.pop(name)
        else:
            metadata[name] = value if isinstance(value, str) else json.dumps(value)
    safetensors.torch.save_file(tensors, path, metadata)


SHAPE = {"features": 5, "hidden": [7, 4], "outputs": 3, "activation": "relu"}


@pytest.mark.parametrize(("changes", "message"), [
    ({"format": None}, "holds no networks"),
    ({"format": "attribution_suite.networks.99"}, "holds no networks"),
    ({"architecture": None}, "architecture cannot be read"),
    ({"architecture": "{"}, "architecture cannot be read"),
    ({"architecture": [5, 7]}, "architecture cannot be read"),
    ({"architecture": SHAPE | {"depth": 3}}, "architecture cannot be read"),
    ({"architecture": SHAPE | {"activation": "mish"}}, "unknown activation 'mish'"),
    ({"architecture": SHAPE | {"hidden": [7]}}, "do not fit"),
    ({"architecture": SHAPE | {"features": 6}}, "do not fit"),
    ({"bias_2": torch.zeros(3, 3)}, "do not fit"),
    ({"weight_0": torch.zeros(4, 7, 5, dtype=torch.float64)}, "do not fit"),
    ({"weight_3": torch.zeros(4, 7, 5)}, "do not fit"),
    ({"architecture": SHAPE | {"hidden": [7.0, 4]}}, "a whole number of units"),
    ({"bias_1": torch.full((4, 4), torch.nan)}, "tensor 'bias.1' holds numbers that are not finite"),
], ids=str)
def test_files_of_others_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    write_foreign(path, **changes)
    with pytest.raises(InputError, match=message) as error:
        load_networks(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_json_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    write_foreign(tmp_path / "deep.safetensors", architecture="[" * 100_000)
    with pytest.raises(InputError, match=r"deep.safetensors: its architecture cannot be read"):
        load_networks(tmp_path / "deep.safetensors")


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: content[:6], lambda content: content[:-3], lambda content: b"PK" + content,
    lambda content: content + b"more",
], ids=["empty", "header cut", "end cut", "other start", "longer"])
def test_damaged_files_are_refused(damage, tmp_path: Path) -> None:
    path = tmp_path / "networks.safetensors"
    save_networks(small(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="damaged, or not a safetensors file") as error:
        load_networks(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_networks(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        load_networks(tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        save_networks(small(), tmp_path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "networks.safetensors"
    save_networks(small(), path)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        save_networks(small("tanh"), path)
    assert equal(load_networks(path), small()) and list(tmp_path.iterdir()) == [path]
