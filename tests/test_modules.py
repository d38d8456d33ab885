"""Any nn.Module as an ensemble: against the modules themselves, Captum on each alone, and the perceptrons' own path."""

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from module_cases import (
    FEATURES,
    Branching,
    Cut,
    Functional,
    Layers,
    MadeInside,
    Method,
    Mixing,
    Product,
    Raising,
    Random,
    Residual,
    Reused,
    Unknown,
    Unresettable,
    Wide,
    members,
)
from reference import captum_alone
from torch import Tensor, nn

from attribution_suite.datasets.arrays import from_arrays
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.nodes import Nodes
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.probe import RESCALED, deep_lift_problem
from attribution_suite.networks.storage import save_networks
from attribution_suite.removals import REMOVALS
from attribution_suite.removals.removal import Setting, inapplicable
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import traits_of

CAPTUM = ["integrated_gradients", "smooth_integrated_gradients", "gradient_shap", "input_x_gradient", "saliency",
          "feature_ablation"]
PERCEPTRON_ONLY = [name for name in SCORERS.names if traits_of(name).reads == "layers"]
GENERATOR = torch.Generator().manual_seed(7)
ROWS, BACKGROUND = torch.randn(20, FEATURES, generator=GENERATOR), torch.randn(90, FEATURES, generator=GENERATOR)
BUDGET = Training(2, 16, 1e-2, keep="last")
SPLIT = (range(90), range(90, 100), range(100, 110))
EVERY = torch.cat([BACKGROUND, ROWS])
TABLE = from_arrays(EVERY, EVERY.sum(1), task="regression", split=SPLIT)  # its training rows are BACKGROUND
CLASSES = from_arrays(EVERY, torch.arange(110) % 4, task="multiclass", split=SPLIT)


def own(modules: list[nn.Module], rows: Tensor) -> Tensor:
    """What the modules themselves return, `[members, rows, outputs]`."""
    with torch.no_grad():
        return torch.stack([copy.deepcopy(module).eval()(rows.clone()).reshape(len(rows), -1) for module in modules])


def evaluation(networks: Perceptrons, task: str = "regression") -> Evaluation:
    explained = networks.outputs(ROWS).argmax(2) if task == "multiclass" else None
    return Evaluation(ROWS, ROWS.sum(1), BACKGROUND, BACKGROUND.sum(1), torch.full((FEATURES,), 0.1),
                      {"a": (0,), "b": (1, 2), **{f"x{k}": (k,) for k in range(3, FEATURES)}}, task, explained, 3)


def setting(seeds: int = 2) -> Setting:
    train, validation = (Split(rows, rows[:, 0] * 2 - rows[:, 3].abs()) for rows in (BACKGROUND, ROWS))
    return Setting(train, validation, "regression", range(seeds), BUDGET, BUDGET)


def perceptrons(count: int = 2) -> list[nn.Sequential]:
    return [Perceptrons.initialise(ARCHITECTURE, [seed]).to_module() for seed in range(count)]


ARCHITECTURE = Architecture(FEATURES, (7,), 1)


@pytest.mark.parametrize(("kind", "stacked"), [(Layers, True), (Residual, True), (Branching, False)])
def test_outputs_and_gradients_are_the_modules_own(kind: type, stacked: bool) -> None:
    modules = members(kind)
    networks = as_ensemble(modules, TABLE)
    assert isinstance(networks, Modules) and networks.stacked == stacked
    assert stacked == (networks.reason == "") and (stacked or "data-dependent control flow" in networks.reason)
    torch.testing.assert_close(networks.outputs(ROWS), own(modules, ROWS), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(networks.outputs(ROWS[:1]), own(modules, ROWS[:1]), rtol=1e-5, atol=1e-6)
    gradient = networks.gradient(networks.first(ROWS), None)
    for member, module in enumerate(modules):
        rows = ROWS.clone().requires_grad_()
        copy.deepcopy(module).eval()(rows * 1).sum().backward()
        torch.testing.assert_close(gradient[member], rows.grad, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(networks.to_module(member)(ROWS).reshape(-1, 1), own([module], ROWS)[0])
    if stacked:  # the slow path gives the same
        alone = replace(networks, stacked=False)
        torch.testing.assert_close(alone.outputs(ROWS), networks.outputs(ROWS), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone.gradient(alone.first(ROWS), None), gradient, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(networks.select([2, 0, 2]).outputs(ROWS), own(modules, ROWS)[[2, 0, 2]])


def test_attributes_that_are_no_parameters_count() -> None:
    modules = members(Layers)
    modules[1].tanh = nn.ReLU()  # another function with parameters of the same shapes
    networks = as_ensemble(modules, TABLE)
    assert isinstance(networks, Modules) and not networks.stacked and "other values" in networks.reason
    torch.testing.assert_close(networks.outputs(ROWS), own(modules, ROWS))


# Not Branching by DeepLIFT: its isfinite is an operation that DeepLIFT cannot know to be harmless.
@pytest.mark.parametrize(("method", "kind", "outputs"), [
    (method, kind, outputs) for method in (*CAPTUM, "deep_lift")
    for kind, outputs in ((Layers, 4), (Residual, 1), (Branching, 1)) if (method, kind) != ("deep_lift", Branching)])
def test_scores_equal_captum_on_each_module(method: str, kind: type, outputs: int) -> None:
    modules = members(kind, 3, outputs)
    networks = as_ensemble(modules, CLASSES if outputs > 1 else TABLE)
    given = evaluation(networks, "multiclass" if outputs > 1 else "regression")
    attribution = SCORERS.load(method)().attribute(networks, given)
    for member in range(3):
        alone = SimpleNamespace(to_module=lambda e: nn.Sequential(
            copy.deepcopy(modules[e]).eval(), nn.Unflatten(0, (-1, 1)) if kind is Residual else nn.Identity()))
        phi = captum_alone(method, alone, given, member)
        if method == "feature_ablation":
            expected = phi[:, [columns[0] for columns in given.groups.values()]]
        else:
            expected = torch.stack([phi[:, list(columns)].sum(1) for columns in given.groups.values()], 1)
        torch.testing.assert_close(attribution.values[member], expected, rtol=1e-4, atol=1e-5)


def test_a_wrapped_perceptron_is_the_perceptron() -> None:
    plain = perceptrons()
    fast, wrapped = as_ensemble(plain, TABLE), Modules.wrap(plain, BACKGROUND)
    assert type(fast) is Perceptrons
    for method in [name for name in SCORERS.names if name not in PERCEPTRON_ONLY]:
        scorer = SCORERS.load(method)()
        expected, found = (scorer.attribute(networks, evaluation(networks)) for networks in (fast, wrapped))
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-5)
    nodes, values = Nodes.of([(0,), (1, 2)]), torch.randn(2, len(ROWS), 2)
    values[0, :, 1] = values[0, :, 0]
    torch.testing.assert_close(wrapped.outputs_with(ROWS, nodes, values), fast.outputs_with(ROWS, nodes, values),
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stacked", [True, False])
# Not what trains a clamped network: the clamp is on W in front of a module, on the first layer itself of a perceptron.
@pytest.mark.parametrize("method", [name for name in REMOVALS.names if name not in (
    "retrain", "fold_tuning", "independence_tuning") and not REMOVALS.load(name).traits.layers])
def test_removals_of_a_wrapped_perceptron_are_the_perceptrons(method: str, stacked: bool) -> None:
    plain = perceptrons()
    fast, wrapped = Perceptrons.from_modules(plain), replace(Modules.wrap(plain, BACKGROUND), stacked=stacked)
    variants, nodes = torch.tensor([0, 0, 1, 1]), Nodes.of([(0,), (3, 4)]).repeat(2)
    edit = REMOVALS.load(method)()
    # On targets as they are: a perceptron carries their scale in its last Linear, a module behind it, so that steps of
    # one length are not the same step.
    as_they_are = replace(setting(), tuning=replace(BUDGET, standardise=False))
    expected, found = (edit.remove(networks.select(variants), nodes, as_they_are) for networks in (fast, wrapped))
    torch.testing.assert_close(found.networks.outputs(ROWS), expected.networks.outputs(ROWS), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.validation_loss, expected.validation_loss, rtol=1e-3, atol=1e-5)
    assert torch.equal(found.steps, expected.steps)
    assert not torch.allclose(found.networks.outputs(ROWS), wrapped.select(variants).outputs(ROWS), atol=1e-2)


@pytest.mark.parametrize("method", [name for name in REMOVALS.names
                                    if REMOVALS.load(name).traits.exact and not REMOVALS.load(name).traits.layers])
@pytest.mark.parametrize("kind", [Residual, Branching])
def test_a_removed_input_is_gone_exactly(method: str, kind: type) -> None:
    modules = members(kind, 2)
    networks = as_ensemble(modules, TABLE)
    nodes = Nodes.of([(0,), (3, 4)])
    options = {"constant": "best"} if method == "constant" else {}
    after = REMOVALS.load(method)(**options).remove(networks, nodes, setting()).networks
    moved = ROWS.clone()
    moved[:, 0] += 5
    here, there = after.outputs(ROWS), after.outputs(moved)
    assert torch.equal(here[0], there[0]) and not torch.allclose(here[1], there[1])
    assert not torch.allclose(networks.outputs(ROWS), networks.outputs(moved))  # it was there before
    torch.testing.assert_close(networks.outputs(ROWS), own(modules, ROWS))  # and the original is as it was
    shares = SCORERS.load("integrated_gradients")().attribute(after, evaluation(after)).shares
    assert shares[0, 0] == 0 and shares[1, 0] > 0


def test_a_removal_that_edits_hidden_layers_does_not_apply() -> None:
    networks = as_ensemble(members(Residual, 2), TABLE)
    edits_layers = [name for name in REMOVALS.names if REMOVALS.load(name).traits.layers]
    reasons = inapplicable(REMOVALS.names, networks)
    assert list(reasons) == edits_layers == ["concept_scrubbing"] and "Residual" in reasons["concept_scrubbing"]
    assert not inapplicable(REMOVALS.names, Perceptrons.from_modules(perceptrons()))
    with pytest.raises(InputError, match="concept_scrubbing does not apply: it reads the layers of a chain"):
        REMOVALS.load("concept_scrubbing")().remove(networks, Nodes.of([(0,), (0,)]), setting())


def test_retraining_starts_anew_and_learns() -> None:
    networks = as_ensemble(members(Residual, 2), TABLE)
    fresh, again, other = networks.fresh([0, 1]), networks.fresh([0, 1]), networks.fresh([2, 1])
    assert torch.equal(fresh.outputs(ROWS), again.outputs(ROWS))
    assert torch.equal(fresh.outputs(ROWS)[1], other.outputs(ROWS)[1])
    assert not torch.allclose(fresh.outputs(ROWS)[0], other.outputs(ROWS)[0])
    assert not torch.allclose(fresh.outputs(ROWS), networks.outputs(ROWS), atol=1e-2)
    long = replace(setting(), training=replace(BUDGET, epochs=40))
    losses = REMOVALS.load("retrain")().remove(networks, Nodes.of([(5,), (5,)]), long).validation_loss
    assert (losses[-1] < losses[0] / 2).all()
    with pytest.raises(InputError, match="Unresettable has no reset_parameters"):
        as_ensemble(members(Unresettable), TABLE).fresh([0])


def test_parameters_without_gradient_stay() -> None:
    modules = members(Layers, 2)
    for module in modules:
        module.first.requires_grad_(False)
    networks = as_ensemble(modules, TABLE)
    after = REMOVALS.load("retrain")().remove(networks, Nodes.of([(0,), (0,)]), setting()).networks
    assert torch.equal(after.state["first.weight"], networks.state["first.weight"])
    assert not torch.equal(after.state["second.weight"], networks.state["second.weight"])
    for module in modules:
        module.requires_grad_(False)
    with pytest.raises(InputError, match="cannot be trained"):
        REMOVALS.load("shuffle_tuning")().remove(as_ensemble(modules, TABLE), Nodes.of([(0,), (0,)]), setting())


@pytest.mark.parametrize(("kind", "named"), [
    (Reused, "'relu' .ReLU. is called 2 times"), (Functional, "Functional computes 'relu'"),
    (Method, "Method computes 'clamp'"), (MadeInside, "MadeInside computes 'relu'"),
    (Product, "values of Product miss"), (Unknown, "'tanh' .GELU. computes 'gelu'")])
def test_deep_lift_refuses_what_captum_gets_wrong(kind: type, named: str) -> None:
    modules = members(kind)
    networks = Modules.wrap(modules, BACKGROUND)
    with pytest.raises(InputError, match=f"deep_lift does not apply: .*{named}"):
        SCORERS.load("deep_lift")().attribute(networks, evaluation(networks))
    if kind is Reused:  # Captum notices a reused module in its backward hook, and does not say which one it is
        with pytest.raises(RuntimeError, match=r"Module ReLU\(\) was detected"):
            gap(modules[0])
    else:  # the negative control: Captum returns wrong values, and says nothing
        assert gap(modules[0]) > 0.02
    assert gap(members(Layers)[0]) < 1e-5
    SCORERS.load("integrated_gradients")().attribute(networks, evaluation(networks))  # the others still apply


ONE = {nn.Softmax: nn.Softmax(1), nn.MaxPool1d: nn.MaxPool1d(2), nn.MaxPool2d: nn.MaxPool2d((1, 2)),
       nn.MaxPool3d: nn.MaxPool3d((1, 1, 2))}
PLACE = {nn.MaxPool1d: (1, 8), nn.MaxPool2d: (1, 1, 8), nn.MaxPool3d: (1, 1, 1, 8)}
OTHERS = (nn.GELU, nn.SiLU, nn.Mish, nn.SELU, nn.CELU, nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softsign,
          nn.Tanhshrink, nn.LogSigmoid, nn.Softshrink, nn.PReLU, nn.Softmax)


def with_activation(kind: type[nn.Module]) -> nn.Sequential:
    """Linear, the activation, Linear; with large weights, so that it bends."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        shaped = [nn.Unflatten(1, PLACE[kind])] if kind in PLACE else []
        first, last = nn.Linear(FEATURES, 8), nn.Linear(4 if kind in PLACE else 8, 1)
    first.weight.data *= 4
    return nn.Sequential(first, *shaped, ONE.get(kind) or kind(), nn.Flatten(), last).requires_grad_(True)


@pytest.mark.parametrize("kind", sorted(RESCALED, key=str))
def test_deep_lift_has_a_rule_for_every_activation_that_we_take(kind: type[nn.Module]) -> None:
    module = with_activation(kind)
    assert gap(copy.deepcopy(module)) < 1e-3  # Captum's own values are complete: it has a rule
    assert deep_lift_problem(module, BACKGROUND) is None


@pytest.mark.parametrize("kind", OTHERS)
def test_deep_lift_has_none_for_the_others(kind: type[nn.Module]) -> None:
    module = with_activation(kind)
    assert gap(copy.deepcopy(module)) > 1e-3
    assert f"({kind.__name__}) computes" in deep_lift_problem(module, BACKGROUND)


class Shapes(Layers):
    """What rearranges, adds and scales, by operators, methods and functions."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = (2.0 - x / 3 + x[:, [1, 0, 2, 3, 4, 5]]).chunk(2, 1)
        hidden = torch.cat([right, -left], dim=-1).reshape(len(x), 2, -1).transpose(1, 2).flatten(1)
        hidden = self.relu(self.first(F.pad(hidden, (0, 0)))) + 1
        hidden = F.dropout(hidden, 0.5, self.training) @ self.second.weight.T * 0.5
        return self.last(torch.stack([hidden, hidden.clone()]).mean(0).view(x.shape[0], -1))


def test_what_bends_nothing_is_taken() -> None:
    module = members(Shapes)[0].eval()
    assert deep_lift_problem(module, BACKGROUND) is None and gap(module) < 1e-5


def gap(module: nn.Module) -> float:
    """How far Captum's DeepLIFT is from completeness: mean abs(Σφ − Δf) over mean abs(Δf)."""
    rows = BACKGROUND.clone().requires_grad_()
    values = captum.attr.DeepLift(module).attribute(rows, torch.zeros_like(rows), target=0).sum(1)
    change = (module(rows) - module(torch.zeros_like(rows)))[:, 0]
    return float(((values - change).abs().mean() / change.abs().mean()).detach())


@pytest.mark.parametrize("kind", [Residual, Raising])
def test_the_users_modules_are_untouched(kind: type) -> None:
    modules = members(kind, 2)
    calls: list[int] = []
    for module in modules:
        module.train()
        module.first.requires_grad_(False)
        module.tanh.eval()
        module.last.register_forward_hook(lambda *_: None)
    modules[0].register_forward_pre_hook(lambda *_: calls.append(1))
    before = copy.deepcopy(modules)
    torch_state = torch.get_rng_state()
    if kind is Raising:
        with pytest.raises(InputError, match=r"network 0 .Raising. cannot take rows of 6 .*no such luck"):
            as_ensemble(modules, TABLE)
    else:
        networks = as_ensemble(modules, TABLE)
        for method in ("deep_lift", "integrated_gradients", "xgboost_gain_surrogate"):
            SCORERS.load(method)().attribute(networks, evaluation(networks))
        for method in ("retrain", "stochastic_tuning"):
            REMOVALS.load(method)().remove(networks, Nodes.of([(0,), (1,)]), setting())
    assert torch.equal(torch_state, torch.get_rng_state())
    for old, new in zip(before, modules, strict=True):
        assert [m.training for m in old.modules()] == [m.training for m in new.modules()]
        assert [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in old.modules()] == [
            len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in new.modules()]
        for (name, a), b in zip(old.state_dict().items(), new.state_dict().values(), strict=True):
            assert torch.equal(a, b), name
        assert [p.requires_grad for p in old.parameters()] == [p.requires_grad for p in new.parameters()]
        assert all(p.grad is None for p in new.parameters())


@pytest.mark.parametrize(("modules", "message"), [
    (members(Wide), r"must return \[rows, outputs\] or \[rows\].*returned \[64, 1, 1\]"),
    (members(Random), "draws random numbers in eval mode"),
    (members(Mixing), "depends on the other rows"),
    (members(Cut), "with a gradient"),
    ([Layers().half()], "convert the module with .float"),
    ([nn.LazyLinear(1)], "call the module once"),
    ([Layers(1), Layers(2)], "network 1 .Layers. has other parameters"),
    ([nn.Bilinear(FEATURES, 1, 1)], "network 0 .Bilinear. cannot take rows of 6"),
    ([nn.Linear(FEATURES + 1, 1)], "take 7 inputs, the table has 6"),
    ([nn.Sequential(nn.Linear(FEATURES + 1, 1))], "take 7 inputs, the table has 6"),
    ([], "networks are"),
    (["model.pt"], "networks are"),
])
def test_modules_that_cannot_be_audited_are_named(modules: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_ensemble(modules, TABLE)


def test_what_belongs_to_perceptrons_does_not_apply(tmp_path: Path) -> None:
    networks = as_ensemble(members(Residual), TABLE)
    for method in PERCEPTRON_ONLY:
        with pytest.raises(InputError, match=f"{method} does not apply: .*Residual"):
            SCORERS.load(method)().attribute(networks, evaluation(networks))
    with pytest.raises(InputError, match=r"layer 1 cannot be audited.*Residual"):
        networks.tail(1)
    with pytest.raises(InputError, match="Residual"):
        networks.activations(ROWS)
    with pytest.raises(InputError, match="state_dict"):
        save_networks(networks, tmp_path / "networks")
    recording = replace(setting(3), tuning=replace(BUDGET, record_every=1))
    with pytest.raises(InputError, match="record_every"):
        REMOVALS.load("shuffle_tuning")().remove(networks, Nodes.of([(0,)] * 3), recording)


def test_a_surrogate_is_fitted_again_to_a_tuned_module() -> None:
    networks = as_ensemble(members(Layers, 2), TABLE)
    scorer = SCORERS.load("xgboost_gain_surrogate")()
    before = scorer.attribute(networks, evaluation(networks)).scores
    tuned = REMOVALS.load("shuffle_tuning")().remove(networks, Nodes.of([(0,), (0,)]), setting()).networks
    assert tuned.first_weight is networks.first_weight  # only the modules' parameters differ
    assert not torch.allclose(scorer.attribute(tuned, evaluation(tuned)).scores, before)


def test_a_hook_of_the_users_is_part_of_the_function() -> None:
    plain = perceptrons(1)[0]
    plain[0].register_forward_hook(lambda module, inputs, output: output + 1)
    networks = as_ensemble(plain, TABLE)
    assert isinstance(networks, Modules)
    torch.testing.assert_close(networks.outputs(ROWS), own([plain], ROWS))
