"""Every kind of model that users have runs or is refused by name; its effects are those of the user's own module."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_kinds import KINDS, Boston, Kind, Lightning, make, normed
from module_cases import FEATURES, Residual
from torch import Tensor, nn

from attribution_suite import attribute, audit, from_arrays, neurons, remove, worst_case
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble, count_networks
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons

ROWS = torch.randn(110, FEATURES, generator=torch.Generator().manual_seed(7))
SPLIT = (range(80), range(80, 90), range(90, 110))
LABELS = {"regression": ROWS.sum(1), "binary": (ROWS[:, 0] > 0).float(), "multiclass": torch.arange(110) % 4}
TABLES: dict[str, TabularDataset] = {
    task: from_arrays(ROWS, labels, task=task, split=SPLIT) for task, labels in LABELS.items()}
TEST = TABLES["regression"].test.inputs
RUN = {name: kind for name, kind in KINDS.items() if kind.made in ("stacked", "module")}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def by_hand(kind: Kind, network: object, rows: Tensor) -> Tensor:
    """`[rows, outputs]` of a copy of the user's network."""
    if isinstance(network, Lightning):
        network = Boston()
        network.load_state_dict(make(kind).state_dict())
    return kind.f(network if isinstance(network, nn.Module) and hasattr(network, "_orig_mod")
                  else copy.deepcopy(network), rows).reshape(len(rows), -1)


@pytest.mark.parametrize("name", RUN)
def test_effects_are_those_of_the_users_own_module(name: str) -> None:
    kind = KINDS[name]
    network, table = make(kind), TABLES[kind.task]
    networks = as_ensemble(network, table, **kind.words)
    assert isinstance(networks, Perceptrons if kind.made == "stacked" else Modules) and kind.how in networks.how
    native = by_hand(kind, network, TEST)
    torch.testing.assert_close(networks.outputs(TEST)[0], native, **CLOSE)
    for column in (0, 3):
        moved = TEST.clone()
        moved[:, column] = TEST[:, column].roll(1)
        expected = by_hand(kind, network, moved)
        assert (expected - native).abs().max() > 0.01  # there is an effect to be found
        found = networks.outputs_with(TEST, Nodes.of([(column,)]), moved[None, :, [column]])
        torch.testing.assert_close(found[0], expected, **CLOSE)
    gone = TEST.clone()
    gone[:, 0] = 0
    edited = remove(network, table, "x0", "constant", constant="zero", **kind.words)
    torch.testing.assert_close(edited.outputs(TEST)[0], by_hand(kind, network, gone), **CLOSE)
    assert worst_case(edited, table, "x0").method == ("algebra",)
    worst = worst_case(network, table, "x0", **kind.words)
    row = TEST[worst.row].clone()
    row[0, 0] = float(worst.value_scaled[0, 0])
    pair = by_hand(kind, network, torch.cat([TEST[worst.row], row]))
    pair = pair if pair.shape[1] == 1 else pair - pair.mean(1, keepdim=True)
    assert float((pair[1] - pair[0]).abs().max()) == pytest.approx(float(worst.effect), rel=1e-3)
    assert torch.isfinite(worst.bound).all() == (kind.made == "stacked")


@pytest.mark.parametrize("name", [name for name in KINDS if name not in RUN])
def test_what_cannot_be_taken_is_named(name: str) -> None:
    kind = KINDS[name]
    with pytest.raises(InputError, match=kind.made) as error:
        as_ensemble(make(kind), TABLES[kind.task], **kind.words)
    assert "\n" not in str(error.value)


STACKED = [name for name, kind in KINDS.items() if kind.made == "stacked"]


@pytest.mark.parametrize("name", STACKED)
def test_a_chain_comes_back_as_the_users_class(name: str) -> None:
    kind = KINDS[name]
    network, table = make(kind), TABLES[kind.task]
    edited = remove(network, table, "x0", "fold", **kind.words)
    module = edited.to_module()
    inside = getattr(network, "module_", network)
    inside = getattr(inside, "_orig_mod", inside)
    names = {key.replace("_orig_mod.", "").replace("head.module", "head") for key in inside.state_dict()}
    assert type(module) is type(inside) and module.state_dict().keys() >= names
    again = as_ensemble(module, table, **kind.words)  # read from the class, as a user would go on with it
    torch.testing.assert_close(again.outputs(TEST), edited.outputs(TEST), **CLOSE)
    assert (again.first_weight[:, :, 0] == 0).all()
    assert not torch.allclose(as_ensemble(network, table, **kind.words).outputs(TEST), edited.outputs(TEST), atol=1e-2)
    assert worst_case(module, table, "x0", **kind.words).method == ("algebra",)


def test_a_retrained_chain_and_its_tail_come_back_as_the_users_class() -> None:
    networks = as_ensemble([make(KINDS["batch norm, dropout"]), normed()], TABLES["regression"])
    budget = Training(2, 16, 1e-2)
    for edited in (remove(networks, TABLES["regression"], "x1", "retrain", training=budget),
                   remove(networks, TABLES["regression"], "unit:2", "constant", layer=1),
                   networks.select([1, 0, 1]).with_outputs_scaled(2.0, 3.0)):
        for member in range(len(edited)):
            module = edited.to_module(member)
            assert isinstance(module[2], nn.BatchNorm1d) and not module.training
            torch.testing.assert_close(module(TEST), edited.outputs(TEST)[member], **CLOSE)
            torch.testing.assert_close(edited.to_sequential(member)(TEST), edited.outputs(TEST)[member])
    assert networks.widened(2).to_module()[0].in_features == FEATURES + 2  # no more the class's own shape


def test_two_logits_come_back_as_two_of_opposite_sign() -> None:
    network = Boston(2)
    edited = remove(network, TABLES["binary"], "x0", "constant")
    logits = edited.to_module()(TEST)
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], edited.outputs(TEST)[0, :, 0])
    torch.testing.assert_close(logits.sum(1), torch.zeros(len(TEST)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["boston", "heart", "iris", "gelu", "leaky relu"])
def test_a_users_class_has_everything_that_stacked_weights_have(name: str) -> None:
    kind = KINDS[name]
    network, table = make(kind), TABLES[kind.task]
    plain = as_ensemble(network, table, **kind.words).to_sequential()
    for method, layer in (("lrp", 0), ("weights", 0), ("deep_lift", 0), ("gradient_weight", 1),
                          ("integrated_gradients", 1), ("layer_conductance", 1)):
        found = attribute(network, table, method, rows=10, layer=layer, **kind.words)
        expected = attribute(plain, table, method, rows=10, layer=layer)
        torch.testing.assert_close(found.scores, expected.scores)
        assert found.scores.std() > 0
    edited = remove(network, table, "unit:3", "fold", layer=1, **kind.words)
    assert (edited.weights[1][:, :, 3] == 0).all() and (edited.weights[0][:, 3] != 0).all()


class Enough(Exception):
    """Said, and no need to run it."""


@pytest.mark.parametrize("call", [audit, neurons])
def test_an_audit_takes_one_of_several_results(call: Callable, tmp_path: Path) -> None:
    def say(line: str) -> None:
        if line == "table: 2 given networks, 6-8-4 relu, run as stacked weights":
            raise Enough

    words = {"networks": [make(KINDS["iris"])] * 2, "out": tmp_path, "say": say}
    with pytest.raises(Enough):
        call(TABLES["multiclass"], output=0, **words)
    with pytest.raises(InputError, match="say which is the output"):
        call(TABLES["multiclass"], **words)


def test_the_wrong_function_is_not_taken_for_the_chain() -> None:
    """A hook changes a layer's output: the symbols know nothing of it, the numbers do."""
    network = Boston()
    network.lin2.register_forward_hook(lambda module, inputs, output: output + 1)
    networks = as_ensemble(network, TABLES["regression"])
    assert isinstance(networks, Modules) and "returns other outputs" in networks.how
    torch.testing.assert_close(networks.outputs(TEST)[0], network(TEST).detach())
    gradient = Boston()
    gradient.lin1.register_forward_hook(lambda module, inputs, output: output.detach() + 0 * output)
    networks = as_ensemble(gradient, TABLES["regression"])
    assert isinstance(networks, Modules) and "returns other gradients" in networks.how


def test_members_that_differ_are_no_ensemble_of_chains() -> None:
    pair = [nn.Sequential(nn.Linear(FEATURES, 4), kind, nn.Linear(4, 1)) for kind in (nn.ReLU(), nn.LeakyReLU(0.2))]
    networks = as_ensemble(pair, TABLES["regression"])
    assert isinstance(networks, Modules) and "one architecture with the others" in networks.how
    for member, module in enumerate(pair):
        torch.testing.assert_close(networks.outputs(TEST)[member], module(TEST).detach())


class Unfitted:
    """A skorch net before fit."""

    module, initialize_module = Boston, None


@pytest.mark.parametrize(("network", "words", "message"), [
    (Unfitted(), {}, "network 0 .Unfitted. holds no module yet: fit it first"),
    (Boston(), {"output": 1.5}, "option 'output' is the index or the key"),
    (nn.Sequential(Boston().double(), nn.Linear(1, 1)), {}, "'1.weight' is torch.float32|convert the module"),
    (Boston(3), {}, "regression task of 1 output, the networks have 3"),
])
def test_wrong_words_and_networks_are_named(network: object, words: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_ensemble(network, TABLES["regression"], **words)
    assert count_networks(network) == 1


@pytest.mark.parametrize("name", ["boston", "batch norm, dropout", "lightning", "float64", "float64, too fine",
                                  "iris, wrong", "tuple of a residual", "two logits", "skorch"])
def test_what_a_user_passes_is_left_as_it_was(name: str) -> None:
    kind = KINDS[name]
    network = make(kind)
    module = getattr(network, "module_", network)
    module.train()
    parameters = list(module.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    module.register_forward_hook(lambda *_: None)
    parts = list(module.modules())
    state = {key: value.clone() for key, value in module.state_dict().items()}
    generator = torch.get_rng_state()
    try:
        edited = remove(network, TABLES[kind.task], "x0", "shuffle_tuning", training=Training(1, 16, 1e-2),
                        **kind.words)
        with torch.no_grad():
            next(edited.to_module().parameters()).add_(1)  # what is exported shares nothing with it either
    except InputError:
        assert kind.made not in ("stacked", "module")
    assert torch.equal(generator, torch.get_rng_state())
    assert list(module.modules()) == parts and all(part.training for part in parts)
    assert [id(p) for p in module.parameters()] == [id(p) for p in parameters]
    assert (parameters[0].grad == 1).all() and all(p.grad is None for p in parameters[1:])
    assert all(torch.equal(module.state_dict()[key], value) for key, value in state.items())
    assert [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in parts] == [p is module for p in parts]


def test_a_residual_block_goes_behind_an_input_layer() -> None:
    edited = remove(Residual(), TABLES["regression"], "x0", "constant")
    module = edited.to_module()
    assert isinstance(module[0], nn.Linear) and type(module[1]) is Residual
    torch.testing.assert_close(module(TEST)[:, None], edited.outputs(TEST)[0])
