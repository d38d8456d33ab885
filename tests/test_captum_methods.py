"""Every class of Captum as a scorer, against Captum called directly on each network."""

import re

import captum.attr as attr
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr._core.lime import get_exp_kernel_similarity_function
from captum_cases import ASKED, NEURONS, UNIT, directly, modules, perceptrons
from cases import make_case
from command import ROOT
from module_cases import Functional, Residual, members
from second_device import ELSEWHERE, Elsewhere, second_device
from torch import nn

from attribution_suite.errors import InputError
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.captum_methods.catalogue import CATALOGUE, NEEDS, TUNNEL
from attribution_suite.scorers.choice import Choice, traits_of, written

PERCEPTRONS, MODULES = perceptrons(), modules()
METHODS = ROOT / "docs" / "methods.md"
AT_INPUTS = [name for name in ASKED if not traits_of(name).reads.startswith("unit")]
NO_RULE = {"captum:LRP": "module"}  # Captum's LRP has none for BatchNorm1d, and says so
SHARED = [name for name in ASKED if SCORERS.make(name).shared != "no"]


@pytest.mark.parametrize("case", PERCEPTRONS)
@pytest.mark.parametrize("name", ASKED)
def test_equals_captum_on_each_perceptron(name: str, case: str) -> None:
    check(name, *PERCEPTRONS[case])


@pytest.mark.parametrize("case", MODULES)
@pytest.mark.parametrize("name", AT_INPUTS)
def test_equals_captum_on_each_module(name: str, case: str) -> None:
    if NO_RULE.get(name) == case:
        with pytest.raises(InputError, match=r"captum:LRP: Captum says: Module of type .*BatchNorm1d.* has no rule"):
            Choice(name).attribute(*MODULES[case])
    else:
        check(name, *MODULES[case])


@pytest.mark.parametrize("name", ["captum:IntegratedGradients?n_steps=7", "captum:FeatureAblation", "captum:LRP",
                                  "captum:DeepLiftShap", "captum:GradientShap"])
def test_a_hidden_layer_is_seen_through_the_tail(name: str) -> None:
    """There every network has rows, a baseline and a background of its own."""
    networks, evaluation = PERCEPTRONS["classes"]
    tail, seen = networks.tail(1), evaluation.at_layer(networks, 1)
    found = Choice(name).attribute(networks, evaluation, 1)
    for member in range(2):
        torch.testing.assert_close(found.values[member], directly(name, tail, seen, member), rtol=1e-5, atol=1e-6)


def check(name: str, networks, evaluation) -> None:
    layer = ASKED[name][1]
    found = Choice(name).attribute(networks, evaluation, layer)
    expected = torch.stack([directly(name, networks, evaluation, member) for member in range(2)])
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if name in SHARED else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(found.values, expected, **tolerance)
    assert found.scorer == name and not torch.allclose(expected[0], expected[1])
    torch.testing.assert_close(found.scores, expected.abs().mean(1))
    if traits_of(name).draws:
        assert not torch.allclose(directly(name, networks, evaluation, 0, seed=99), expected[0])
    else:
        assert torch.equal(directly(name, networks, evaluation, 0, seed=99), expected[0])


def test_every_class_of_captum_is_here_or_refused() -> None:
    """So that a class that a new Captum brings is noticed; and every class here is asked above."""
    classes = {name for name in attr.__all__ if hasattr(getattr(attr, name), "attribute")}
    assert classes - {"Attribution", "GradientAttribution", "PerturbationAttribution", "LayerAttribution",
                      "NeuronAttribution"} == {*CATALOGUE, *NEEDS} - {"InterpretableEmbeddingBase"}
    assert set(CATALOGUE) == {SCORERS.load(name).kind.__name__ for name in ASKED} | {TUNNEL}
    assert all(entry.fast in (*SCORERS.names, "") for entry in CATALOGUE.values())


@pytest.mark.parametrize("name", [name for name in ASKED if "sliding" not in name])
def test_zero_on_zero_weights_exactly_where_it_is_declared(name: str) -> None:
    networks, evaluation = PERCEPTRONS["classes"]
    layer = ASKED[name][1]
    tail = networks.tail(layer)
    group = next(iter(evaluation.at_layer(networks, layer).groups.values()))
    nodes = Nodes.of([group] * 2)
    edited = networks.with_tail(tail.with_nodes_folded(nodes, torch.zeros(2, len(group))))
    assert Choice(name).attribute(networks, evaluation, layer).scores[:, 0].any()
    scores = Choice(name).attribute(edited, evaluation, layer).scores[:, 0]
    assert bool(scores.any()) is not traits_of(name).zero_on_zero_weights


def test_members_may_share_a_call_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """In calls of one network, for want of memory, the numbers are the same."""
    networks, evaluation = PERCEPTRONS["regression"]
    whole = [Choice(name).attribute(networks, evaluation, ASKED[name][1]).values for name in SHARED]
    monkeypatch.setattr("attribution_suite.scorers.captum_methods.method.CALL_VALUES", 1)
    for name, values in zip(SHARED, whole, strict=True):
        alone = Choice(name).attribute(networks, evaluation, ASKED[name][1]).values
        torch.testing.assert_close(alone, values, rtol=1e-5, atol=1e-6)


def test_edited_modules_are_scored_with_the_edit() -> None:
    """A module's removed columns lie in the layer in front of it."""
    networks, evaluation = MODULES["module"]
    edited = networks.with_nodes_folded(Nodes.of([(1, 2, 3)] * 2), torch.full((2, 3), 0.4))
    for name in ("captum:IntegratedGradients?n_steps=7", "captum:FeatureAblation", "captum:KernelShap?n_samples=9"):
        found = Choice(name).attribute(edited, evaluation).values
        for member in range(2):
            expected = directly(name, edited, evaluation, member)
            torch.testing.assert_close(found[member], expected, rtol=1e-5, atol=1e-6)
            assert not torch.allclose(expected, directly(name, networks, evaluation, member), rtol=1e-2)


BAD = {
    "captum:Salincy": "unknown scorer 'captum:Salincy'; did you mean captum:Saliency",
    "captm:Saliency": "unknown scorer 'captm:Saliency'",
    "captum:": "unknown scorer 'captum:'",
    "captum:Saliency()": "captum:Saliency\\(\\) is not in the form of a name: captum:NAME",
    "captum:GuidedGradCam": "captum:GuidedGradCam cannot score a table: it needs convolutional layers",
    "captum:LLMAttribution": "it needs a language model",
    "captum:InterpretableEmbeddingBase": "it needs embedding layers",
    "captum:NoiseTunnel": "captum:NoiseTunnel goes around another class",
    "captum:NoiseTunnel(NoiseTunnel)": "captum:NoiseTunnel goes around another class",
    "captum:Saliency@1": "captum:Saliency@1: Saliency has no layer of its own",
    "captum:LayerLRP@0": "captum:LayerLRP@0: hidden layers are numbered from 1",
    "captum:LayerLRP@1:2": "LayerLRP scores all units of the layer: leave out ':2'",
    "captum:NeuronGradient": "NeuronGradient needs a unit: captum:NeuronGradient@1:0",
    "captum:NeuronGradient@1": "NeuronGradient needs a unit: captum:NeuronGradient@1:0",
    "captum:Occlusion": "captum:Occlusion needs option 'sliding_window_shapes'",
    "captum:Occlusion?sliding_window_shapes=none": "of captum:Occlusion must be a number of columns",
    "captum:Occlusion?sliding_window_shapes=(1,2)": "must be a number of columns, got \\(1, 2\\)",
    "captum:IntegratedGradients?n_step=3": "unknown option of .*Gradients 'n_step'; did you mean n_steps",
    "captum:IntegratedGradients?n_steps=0": "'n_steps' of captum:IntegratedGradients must be a whole number",
    "captum:IntegratedGradients?method=simpson": "'method' of captum:IntegratedGradients must be one of riemann_trapez",
    "captum:IntegratedGradients?baselines=1": "unknown option of captum:IntegratedGradients 'baselines'",
    "captum:NoiseTunnel(Saliency)?stdevs=-1": "'stdevs' of .* must be a finite number of at least 0, got -1",
    "captum:Saliency?abs=maybe": "option 'abs' of captum:Saliency must be True or False, got 'maybe'",
    "captum:LayerLRP?layer=2": "'layer' is no option of a scorer",
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_name_or_option_is_refused_where_it_is_given(name: str) -> None:
    with pytest.raises(InputError, match=BAD[name]):
        Choice(name)


@pytest.mark.parametrize(("name", "layer", "message"), [
    ("captum:LayerLRP", 0, "captum:LayerLRP scores hidden units only: add layer 1"),
    ("captum:LayerLRP@2", 1, "captum:LayerLRP@2 scores the units of layer 2: add layer 2"),
    ("captum:LayerLRP@3", 3, "captum:LayerLRP@3: layer 3 is no hidden layer, the networks have 1 to 2"),
    ("captum:NeuronGradient@1:2", 1, "captum:NeuronGradient@1:2 scores the inputs: leave out layer 1"),
    ("captum:NeuronGradient@2:5", 0, "captum:NeuronGradient@2:5: layer 2 has the units 0 to 4"),
    ("captum:NoiseTunnel(DeepLiftShap)?nt_samples=5000", 0, "takes every noisy row with every other: explain fewer"),
    ("captum:Occlusion?sliding_window_shapes=9", 0, "captum:Occlusion: Captum says: Sliding window dimensions"),
])
def test_where_a_name_applies(name: str, layer: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Choice(name).attribute(*PERCEPTRONS["regression"], layer)


def test_a_place_that_is_not_known() -> None:
    for name in ("captum:LayerLRP@1", f"captum:{next(iter(NEURONS))}@1:0"):
        with pytest.raises(InputError, match=f"{name} does not apply: it reads the units of a layer, and none of R"):
            Choice(name).attribute(*MODULES["module"], 1 if "Layer" in name else 0)


def test_hooks_on_activations_need_modules_of_them() -> None:
    """Captum cannot see a functional ReLU: guided backpropagation would be the plain gradient, and says nothing."""
    evaluation = make_case("regression", "regression").evaluation
    networks = Modules.wrap(members(Functional), evaluation.background)
    for name in ("captum:GuidedBackprop", "captum:DeepLiftShap", "captum:LRP"):
        with pytest.raises(InputError, match=f"{name} does not apply: .*relu"):
            Choice(name).attribute(networks, evaluation)


def test_exact_shapley_values_of_eleven_features_are_refused() -> None:
    networks, evaluation = PERCEPTRONS["regression"]
    wide = {f"x{number}": (number % 6,) for number in range(11)}
    with pytest.raises(InputError, match="at most 10, and there are 11; use captum:ShapleyValueSampling"):
        Choice("captum:ShapleyValues").attribute(networks, type(evaluation)(**{**vars(evaluation), "groups": wide}))


def test_classes_and_objects_are_names() -> None:
    """An object's network is not ours: its class and its settings are what is asked."""
    net = nn.Linear(2, 1)
    assert written(attr.KernelShap) == written(attr.KernelShap(net)) == "captum:KernelShap"
    assert written(attr.IntegratedGradients(net, multiply_by_inputs=False)) == \
        "captum:IntegratedGradients?multiply_by_inputs=False"
    assert written(attr.DeepLift(net, eps=1e-6)) == "captum:DeepLift?eps=1e-06"
    assert written(attr.NoiseTunnel(attr.GradientShap(net, multiply_by_inputs=False))) == \
        "captum:NoiseTunnel(GradientShap)?multiply_by_inputs=False"
    assert written(attr.FeaturePermutation(net)) == "captum:FeaturePermutation"
    used = attr.Lime(net)
    used.attribute(torch.zeros(1, 2), n_samples=5)
    assert written(used) == written(attr.Lime(net)) == "captum:Lime"
    other_kernel = get_exp_kernel_similarity_function("euclidean", kernel_width=3.0)
    for held, message in (
            (attr.LayerLRP(net, net), "holds a layer of its own network: name the class and the layer"),
            (attr.FeaturePermutation(net, perm_func=torch.roll), "holds a 'perm_func' that no name can tell"),
            (attr.Lime(net, interpretable_model=SkLearnLasso(alpha=0.02)),
             "holds a 'interpretable_model' that no name can tell"),
            (attr.Lime(net, similarity_func=other_kernel), "holds a 'similarity_func' that no name can tell"),
            (attr.visualization, "or a class or an object of captum.attr"), (Residual, "or a class or an object of")):
        with pytest.raises(InputError, match=message):
            written(held)


def test_settings_that_are_no_text_go_beside_the_name() -> None:
    networks, evaluation = PERCEPTRONS["regression"]
    turned = Choice("captum:FeaturePermutation", {"perm_func": lambda rows, mask: -rows * mask + rows * ~mask})
    plain = Choice("captum:FeatureAblation").attribute(networks, evaluation)
    assert not torch.allclose(turned.attribute(networks, evaluation).values, plain.values)


@pytest.mark.parametrize("name", [
    "captum:DeepLift", "captum:LayerIntegratedGradients?n_steps=5", "captum:FeatureAblation", "captum:LRP",
    "captum:GradientShap", f"captum:NeuronGradient@1:{UNIT}"])
def test_the_device_of_the_networks_changes_nothing(name: str) -> None:
    (networks, evaluation), layer = PERCEPTRONS["classes"], ASKED[name][1]
    expected = Choice(name).attribute(networks, evaluation, layer).values
    with second_device():
        found = Choice(name).attribute(networks.to(ELSEWHERE), evaluation.to(ELSEWHERE), layer).values
        assert isinstance(found, Elsewhere)
        assert torch.equal(found.cpu(), expected)


def test_the_documents_table_is_the_catalogues() -> None:
    form = r"^\| `(\w+)`( \*)? \| (\w+) \| [^|]* \| (?:`(\w+)`[^|]*)?\|$"
    rows = re.findall(form, METHODS.read_text(encoding="utf-8"), re.MULTILINE)
    ways = {"wide": "wide", "outputs": "outputs", "single": "one", "no": "one"}
    assert {name: (bool(star), way, fast) for name, star, way, fast in rows} == {
        name: (entry.hooks, ways[entry.shared], entry.fast) for name, entry in CATALOGUE.items()}


def test_a_chain_in_a_users_class_is_asked_as_its_layers() -> None:
    """Its own class calls functions that Captum's hooks would miss; the layers that were read from it do not."""
    evaluation = make_case("regression", "regression").evaluation
    read = Perceptrons.from_modules(members(Functional))
    plain = Perceptrons(read.architecture, read.weights, read.biases)
    assert not isinstance(read.to_module(), nn.Sequential)
    for name, layer in (("captum:LRP", 0), ("captum:LayerLRP@1", 1), ("captum:DeepLift", 0)):
        found, expected = (Choice(name).attribute(networks, evaluation, layer) for networks in (read, plain))
        assert torch.equal(found.values, expected.values) and found.values.any()
