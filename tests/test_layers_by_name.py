"""A layer of any module, by name: what Captum says of it, and its units removed, against the user's own module."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from model_kinds import KINDS, Boston, make
from module_cases import FEATURES, Residual
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn

from attribution_suite import attribute, audit, from_arrays, remove, worst_case
from attribution_suite.auditing.run import prepare
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.work.look import inside
from attribution_suite.auditing.work.train import evaluation_of, score_originals
from attribution_suite.datasets.preset import Training
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.layered import Layered, at_layer
from attribution_suite.scorers.captum_methods.catalogue import CATALOGUE
from attribution_suite.units.masking import Masking, Selection

ROWS = torch.randn(110, FEATURES, generator=torch.Generator().manual_seed(7))
TABLE = from_arrays(ROWS, ROWS.sum(1), split=(range(80), range(80, 90), range(90, 110)))
CLASSES = from_arrays(ROWS, torch.arange(110) % 3, split=(range(80), range(80, 90), range(90, 110)))
TEST, UNITS = TABLE.test.inputs, 5


class Net(nn.Module):
    """No chain: a skip connection within the encoder, whose end everything passes; batch norm on both sides."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.inp, self.skip, self.act = nn.Linear(FEATURES, 8), nn.Linear(8, 8), nn.ReLU()
        self.encoder = nn.Sequential(nn.Linear(8, UNITS), nn.BatchNorm1d(UNITS), nn.Tanh())
        self.head = nn.Sequential(nn.Linear(UNITS, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3))
        self.out, self.split = nn.Linear(6, outputs), nn.Unflatten(1, (2, 3))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.act(self.inp(x))
        hidden = self.head(self.encoder(hidden + self.skip(hidden)))
        return self.out(self.split(hidden).flatten(1))


def network(seed: int = 0, outputs: int = 1) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net(outputs)
        for _ in range(3):
            net(2 * torch.randn(50, FEATURES) + 1)  # batch norm's own statistics
    return net.eval()


PAIR = [network(0), network(1)]
LAYER_CLASSES = [name for name in CATALOGUE if name.startswith("Layer") or name == "InternalInfluence"]
DRAWN = ("GradientShap", "Permutation")  # their draws are not those of a call on one network


@pytest.mark.parametrize("name", [name for name in LAYER_CLASSES if not name.endswith(DRAWN)])
def test_captum_layer_classes_score_a_named_layer(name: str) -> None:
    """Against the class on the user's own module, for the class of each row where there are several."""
    multi = name in ("LayerConductance", "LayerFeatureAblation")
    nets = [network(0, 3), network(1, 3)] if multi else PAIR
    table = CLASSES if multi else TABLE
    if name == "LayerLRP":  # Captum's has no rule for batch norm
        with pytest.raises(InputError, match="Captum says"):
            attribute(nets, table, f"captum:{name}", layer="encoder.2", rows=6)
        return
    found = attribute(nets, table, f"captum:{name}", layer="encoder.2", rows=6)
    for member, net in enumerate(nets):
        net, rows = copy.deepcopy(net), TEST[:6].clone().requires_grad_()
        kind: Any = getattr(captum.attr, name)(net, net.encoder[2])
        words: dict[str, Any] = {"target": net(TEST[:6]).argmax(1) if multi else 0}
        if "DeepLiftShap" in name:
            words["baselines"] = TABLE.train.inputs[:50]
        elif name == "LayerFeatureAblation":
            words["layer_baselines"] = net.encoder(_before(net, torch.zeros(1, FEATURES)))
        if name == "LayerActivation":
            words = {}
        expected = kind.attribute(rows, **words).detach()
        torch.testing.assert_close(found.values[member], expected, rtol=1e-4, atol=1e-6)
        assert expected.abs().max() > 1e-3
    assert found.features == tuple(f"unit:{unit}" for unit in range(UNITS))


def _before(net: Net, rows: Tensor) -> Tensor:
    hidden = net.act(net.inp(rows))
    return hidden + net.skip(hidden)


def by_hand(net: nn.Module, unit: int, values: Tensor | Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """The user's own module with one column of what `encoder[2]` returns replaced, by a hook."""
    net = copy.deepcopy(net).eval()

    def replaced(_: nn.Module, __: Any, units: Tensor) -> Tensor:
        units = units.clone()
        units[:, unit] = values(units) if callable(values) else values
        return units

    net.encoder[2].register_forward_hook(replaced)  # type: ignore[union-attr, index, operator]
    result: Tensor = net(rows).detach()
    return result


def units_of(net: Net, rows: Tensor) -> Tensor:
    return net.encoder(_before(net, rows)).detach()


@pytest.mark.parametrize("method", ["constant?constant=zero", "constant", "fold"])
def test_removed_units_are_replaced_as_by_hand(method: str) -> None:
    edited = remove(PAIR, TABLE, "unit:3", method, layer="encoder.2")
    assert worst_case(edited, TABLE, "unit:3", layer="encoder.2").method == ("algebra",) * 2
    for member, net in enumerate(PAIR):
        train = units_of(net, TABLE.train.inputs)
        value: Tensor | Callable[[Tensor], Tensor] = torch.zeros(())
        if method == "constant":
            value = train[:, 3].mean()
        if method == "fold":
            others = [0, 1, 2, 4]
            design = torch.cat([train[:, others], torch.ones(len(train), 1)], 1)
            solved = torch.linalg.lstsq(design, train[:, 3]).solution

            def value(units: Tensor, w: Tensor = solved) -> Tensor:
                return units[:, [0, 1, 2, 4]] @ w[:4] + w[4]

        expected = by_hand(net, 3, value, TEST)
        torch.testing.assert_close(edited.outputs(TEST)[member], expected, rtol=1e-4, atol=1e-5)
        assert (expected - net(TEST)).abs().max() > 1e-2
        module = edited.to_module(member)
        assert type(module[1]) is Net
        torch.testing.assert_close(module(TEST), expected, rtol=1e-4, atol=1e-5)
    again = attribute(edited, TABLE, "captum:LayerConductance", layer="encoder.2", rows=6)
    assert (again.scores[:, 3] == 0).all() and (again.scores[:, [0, 1, 2, 4]] > 0).all()


def test_the_worst_case_of_a_unit_is_that_of_the_users_module() -> None:
    worst = worst_case(PAIR, TABLE, "unit:1", layer="encoder.2")
    for member, net in enumerate(PAIR):
        row = TEST[worst.row[member]][None]
        moved = by_hand(net, 1, worst.value_scaled[member].float(), row) - net(row)
        assert float(moved.detach().abs().max()) == pytest.approx(float(worst.effect[member]), rel=1e-3)
        ends = units_of(net, TABLE.train.inputs)[:, 1]
        for end in (ends.min(), ends.max()):
            assert (by_hand(net, 1, end, TEST) - net(TEST)).abs().max() <= worst.effect[member] * (1 + 1e-4)
    assert torch.isinf(worst.bound).all()  # a search gives no bound


def test_masking_curves_are_of_the_named_layer() -> None:
    networks, _ = at_layer(as_ensemble(PAIR, TABLE), "encoder.2", TABLE.train.inputs)
    order = torch.tensor([[[3, 1, 0, 2, 4]]]).expand(2, -1, -1)
    selection = Selection("these", order, torch.tensor([UNITS, UNITS]))
    found = Masking(1, fractions=(0.0, 0.2)).curves(networks, TABLE.test, TABLE.train.inputs, "regression", [selection])
    for member, net in enumerate(PAIR):
        losses = [(outputs[:, 0] - TABLE.test.targets).square().mean().detach()
                  for outputs in (net(TEST), by_hand(net, 3, torch.zeros(()), TEST))]
        assert found[found.member == member].loss.tolist() == pytest.approx([float(loss) for loss in losses], rel=1e-4)
        assert losses[0] != losses[1]


@pytest.mark.parametrize("method", ["fold_tuning", "retrain"])
def test_what_lies_before_the_layer_stays_as_it_was(method: str) -> None:
    edited = remove(PAIR, TABLE, "unit:3", method, layer="encoder.2", training=Training(2, 16, 1e-2), tuning=0.01)
    for member, net in enumerate(PAIR):
        module = edited.to_module(member)
        inner = module[1] if isinstance(module[1], Net) else module[1][0]
        torch.testing.assert_close(module(TEST), edited.outputs(TEST)[member])
        old = {key.replace("encoder.2.", "encoder.2.0."): value for key, value in net.state_dict().items()}
        new = inner.state_dict()
        for key, value in old.items():
            before = key.startswith(("inp", "skip", "encoder"))
            assert torch.equal(new[key], value) == before or "num_batches" in key, key
    assert worst_case(edited, TABLE, "unit:3", layer="encoder.2").method == ("algebra",) * 2


def test_the_layer_can_be_asked_of_a_network_edited_at_its_inputs() -> None:
    edited = remove(PAIR, TABLE, "x0", "constant")
    at, number = at_layer(edited, "encoder.2", TABLE.train.inputs)
    assert isinstance(at, Layered) and number == 1
    torch.testing.assert_close(at.outputs(TEST), edited.outputs(TEST))
    zeroed = TEST.clone()
    zeroed[:, 0] = TABLE.train.inputs[:, 0].mean()
    torch.testing.assert_close(at.activations(TEST)[1][1], units_of(PAIR[1], zeroed), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(at.to_sequential(1)(TEST), at.outputs(TEST)[1])
    tuned = remove(at, TABLE, "x1", "shuffle_tuning", training=Training(1, 16, 1e-2), tuning=0.01)  # at the inputs
    torch.testing.assert_close(tuned.tail(1).outputs(tuned.activations(TEST)[1]), tuned.outputs(TEST))
    assert not torch.equal(tuned.outputs(TEST), at.outputs(TEST))


REFUSED = {
    "encoder.7": "unknown layer 'encoder.7'; did you mean encoder",
    "split": r"layer 'split' \(Unflatten\) returns \[64, 2, 3\] for 64 rows: units are the columns of \[rows, units\]",
    "out": "returns the outputs themselves",
    "never": "is not called in forward",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_cannot_be_had_is_named(name: str) -> None:
    net = network()
    net.never = nn.Linear(2, 2)
    with pytest.raises(InputError, match=REFUSED[name]) as error:
        attribute(net, TABLE, "saliency", layer=name)
    assert name == "encoder.7" or "that can be had: inp, act, encoder, encoder.0, encoder.1" in str(error.value)


def test_a_layer_with_a_way_around_it_is_refused() -> None:
    with pytest.raises(InputError, match=r"'second' \(Linear\) does not decide .* alone.*last, relu, norm, drop"):
        attribute(Residual(), TABLE, "saliency", layer="second")
    found = attribute(Residual(), TABLE, "saliency", layer="drop")  # what comes after the skip connection has joined
    assert found.scores.shape == (1, 8)
    with pytest.raises(InputError, match=r"'hidden' \(Linear\) is called 2 times in one forward"):
        attribute(make(KINDS["tied"]), TABLE, "saliency", layer="hidden")


def test_a_layer_of_a_chain_is_its_number() -> None:
    net = make(KINDS["batch norm, dropout"])
    assert dict(as_ensemble(net, TABLE).origin.layers) == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 2, "6": 2, "7": 2}
    named = attribute(net, TABLE, "integrated_gradients", layer="6", rows=5)
    torch.testing.assert_close(named.values, attribute(net, TABLE, "integrated_gradients", layer=2, rows=5).values)
    assert not torch.allclose(named.scores[:, :5], attribute(net, TABLE, "saliency", layer=1, rows=5).scores[:, :5])
    iris = make(KINDS["dict"])
    found = attribute(iris, CLASSES4, "layer_conductance", layer="layer1", rows=5, output="logits")
    torch.testing.assert_close(found.scores, attribute(iris, CLASSES4, "layer_conductance", layer=1, rows=5,
                                                       output="logits").scores)
    with pytest.raises(InputError, match=r"layer 'relu': hidden layers .* 1 to 3; .*lin1 \(1\), lin2 \(2\), lin3"):
        remove(Boston(), TABLE, "unit:0", "constant", layer="relu")  # one module for all places is no one layer


CLASSES4 = from_arrays(ROWS, torch.arange(110) % 4, split=(range(80), range(80, 90), range(90, 110)))


def test_an_estimator_has_no_layers() -> None:
    labels = (ROWS[:, 0] > 0).int()
    forest = RandomForestClassifier(3, random_state=0).fit(ROWS.numpy(), labels.numpy())
    with pytest.raises(InputError, match="layer 'trees' cannot be audited: it reads the layers of a network"):
        attribute(forest, from_arrays(ROWS, labels), "permutation", layer="trees")


@pytest.mark.parametrize("layer", ["encoder.2", "split"])
def test_what_a_user_passes_is_left_as_it_was(layer: str) -> None:
    net = network().train()
    parts, parameters = list(net.modules()), list(net.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    net.encoder[0].register_forward_hook(lambda *_: None)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    generator = torch.get_rng_state()
    try:
        remove(net, TABLE, "unit:0", "shuffle_tuning", layer=layer, training=Training(1, 16, 1e-2), tuning=0.01)
        attribute(net, TABLE, "captum:LayerDeepLift", layer=layer, rows=5)
    except InputError:
        assert layer == "split"
    assert torch.equal(generator, torch.get_rng_state())
    assert list(net.modules()) == parts and all(part.training for part in parts)
    assert [id(p) for p in net.parameters()] == [id(p) for p in parameters]
    assert (parameters[0].grad == 1).all() and all(p.grad is None for p in parameters[1:])
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())
    assert [len(p._forward_hooks) + len(p._forward_pre_hooks) for p in parts] == [p is net.encoder[0] for p in parts]


def test_a_name_stands_wherever_a_number_does(tmp_path: Path) -> None:
    named = attribute(PAIR, TABLE, "captum:LayerConductance@encoder.2")
    assert named.scorer == "captum:LayerConductance@encoder.2"
    assert torch.equal(named.values, attribute(PAIR, TABLE, "captum:LayerConductance", layer="encoder.2").values)
    neuron = attribute(PAIR, TABLE, "captum:NeuronGradient@encoder.2:3")
    for member, module in enumerate(PAIR):
        expected = captum.attr.NeuronGradient(module, module.encoder[2]).attribute(
            TEST.clone().requires_grad_(), neuron_selector=3)
        torch.testing.assert_close(neuron.values[member], expected)
        assert not torch.allclose(attribute(PAIR, TABLE, "captum:NeuronGradient@encoder.1:3").values[member], expected)
    for scorer, layer, message in (
            ("captum:NeuronGradient@encoder.9:3", None, "unknown layer 'encoder.9'"),
            ("captum:LayerConductance@encoder.2", 0, "scores the units of layer encoder.2: add layer encoder.2"),
            ("captum:LayerConductance@head", "encoder.2", "cut at layer 'encoder.2', and a module at one layer"),
            ("captum:NeuronGradient@encoder.2:9", None, "layer 1 has the units 0 to 4")):
        with pytest.raises(InputError, match=message):
            attribute(PAIR, TABLE, scorer, layer=layer)
    spec = make_spec([TABLE.name], scorers=["captum:NeuronGradient@encoder.2:3", "saliency"], inside="encoder.2",
                     removals=[], in_memory=[TABLE.name], decoy=False, seeds=2)
    prepared = prepare(spec, device="cpu", tables={TABLE.name: TABLE}, networks=PAIR, say=lambda line: None)
    look, = prepared.plan.looks
    assert look.subject.scorers == ("captum:NeuronGradient@1:3", "saliency") and look.layers == (1,)
    arrays = score_originals(look.subject, TABLE, torch.device("cpu"), None)
    np.testing.assert_allclose(arrays["mean_abs"][:, 0], neuron.scores, rtol=1e-5, atol=1e-7)
    networks = look.subject.given.networks
    tables = dict(inside(look.subject, TABLE, networks, evaluation_of(look.subject, TABLE, networks), look.layers))
    layers = [module.encoder(hidden + module.skip(hidden)) for module in PAIR
              for hidden in [module.act(module.inp(TABLE.train.inputs))]]
    rate = torch.stack([(values > 0).float().mean(0) for values in layers])
    np.testing.assert_allclose(tables["units"].rate, rate.flatten(), rtol=0, atol=1e-6)
    assert tables.keys() == {"units", "activity", "masking", "samples"}
    assert {"top:saliency", "random"} <= set(tables["masking"].selection)
    for words in ({"scorers": ["captum:NeuronGradient@encoder.2:3"]}, {"inside": "encoder.2"}):
        with pytest.raises(InputError, match=r"'encoder\.2'.*(is a name|by its number)"):
            audit("iris", out=tmp_path / "other", **words)


def test_an_audit_at_a_named_layer(tmp_path: Path, plain: None) -> None:
    lines: list[str] = []
    result = audit(TABLE, networks=PAIR, layer="encoder.2", remove=["unit:3"], removals=["constant"],
                   scorers=["captum:LayerConductance", "layer_conductance", "random"], out=tmp_path, jobs=1, rows=10,
                   information="off", reference="off", say=lines.append)
    assert not result.failed and result.record["spec"]["layer"] == 1
    assert result.record["datasets"]["table"]["architecture"] == \
        "Net (6 inputs, 1 outputs; layer 1 is 'encoder.2', 5 units)"
    assert any("not applicable: layer_conductance: it reads the layers of a chain" in line for line in lines)
    verdicts = result.verdicts.set_index("removal")
    assert verdicts.loc["constant", "direct"] == "proved none" and (verdicts.layer == 1).all()
    shares = result.table("attributions").query("removal == 'original' and scorer == 'captum:LayerConductance'")
    expected = attribute(PAIR, TABLE, "captum:LayerConductance", layer="encoder.2", rows=10).shares
    assert shares.share.to_numpy() == pytest.approx(expected.flatten().numpy(), rel=1e-4)
    with pytest.raises(InputError, match=r"option 'layer': 'encoder\.2' is a name, and networks that are trained here"):
        audit(TABLE, layer="encoder.2", out=tmp_path)
