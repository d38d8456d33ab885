"""Every scorer leaves all as it found it: networks, a user's modules, rows, random states; also where it fails."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, SCORED, Case, layer_of
from module_cases import Layers, Residual, members
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attribution_suite.networks.modules import Modules
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers import SCORERS, memory
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice
from attribution_suite.seeding import seeded

OPTIONS: dict[str, dict[str, Any]] = {"lime": {"samples": 200}}
# Captum's own code: by one call for all (hooks; draws), by the outputs, and on each network's module.
CAPTUM = ["captum:DeepLift", "captum:GradientShap", "captum:FeaturePermutation", "captum:NoiseTunnel(Saliency)"]
INSIDE = ["captum:LRP", "captum:LayerLRP@1", "captum:LayerFeaturePermutation@1", "captum:NeuronDeepLift@1:0"]
ON_MODULES = [*(name for name in SCORERS.names if layer_of(name) == 0), *CAPTUM]


class Broken(Exception):
    """What the tests raise in the middle of a scorer."""


class BreaksAt(TorchFunctionMode):
    """Raises at PyTorch's call number `at`, counted from 0; never where that is None."""

    def __init__(self, at: int | None = None) -> None:
        super().__init__()
        self.at, self.calls = at, 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.__name__ != "_set_grad_enabled":  # how torch.no_grad itself restores: that does not fail
            if self.calls == self.at:
                raise Broken
            self.calls += 1
        return function(*args, **(kwargs or {}))


def parts(module: nn.Module) -> Iterator[object]:
    """What a module is: its mode, how many hooks (any of its mappings) it holds, and its tensors' flags."""
    for name, part in module.named_modules():
        yield name, part.training, {key: len(value) for key, value in vars(part).items() if hasattr(value, "__len__")}
    for name, parameter in module.named_parameters():
        yield name, parameter.requires_grad, parameter.grad is None


def found(networks: Ensemble, evaluation: Evaluation,
          modules: Sequence[nn.Module]) -> tuple[list[object], list[Tensor]]:
    """All that a scorer might leave changed: plain values, and copies of tensors."""
    templates = networks.templates if isinstance(networks, Modules) else ()
    watched = [*networks.tensors, *(value for value in vars(evaluation).values() if isinstance(value, Tensor))]
    state = np.random.get_state()  # noqa: NPY002 - the global one is what must be left alone
    plain = [list(parts(module)) for module in (*modules, *templates)]
    plain += [[tensor.requires_grad, tensor.grad is None] for tensor in watched]
    plain += [random.getstate(), state[0], state[2:], torch.is_grad_enabled()]
    tensors = [tensor.detach().clone() for tensor in watched]
    tensors += [tensor.detach().clone() for module in modules for tensor in module.state_dict().values()]
    return plain, [*tensors, torch.get_rng_state(), torch.from_numpy(state[1].astype(np.int64))]


def check_untouched(choice: Choice, networks: Ensemble, evaluation: Evaluation, modules: Sequence[nn.Module],
                    layer: int) -> None:
    """Asked once in peace, then with a failure early, in the middle and at the end."""
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    plain, tensors = found(networks, evaluation, modules)
    for _ in range(2):  # the second time, what is computed once and for all is there
        memory.forget()
        with BreaksAt() as count:
            choice.attribute(networks, evaluation, layer)
    places = {*range(min(13, count.calls)), count.calls // 3, count.calls // 2, count.calls - 1}
    for at in (None, *sorted(places)):
        memory.forget()
        if at is not None:
            with pytest.raises(Broken), BreaksAt(at):
                choice.attribute(networks, evaluation, layer)
        now, others = found(networks, evaluation, modules)
        assert now == plain, at
        assert all(torch.equal(a, b) for a, b in zip(others, tensors, strict=True)), at


@pytest.mark.parametrize(("name", "case"), [
    *(param for param in SCORED if param.values[1] in CASES[1:3]), *((name, CASES[2]) for name in (*CAPTUM, *INSIDE))])
def test_perceptrons_are_left_as_they_were(name: str, case: Case) -> None:
    check_untouched(Choice(name, OPTIONS.get(name, {})), case.networks, case.evaluation, [], layer_of(name))


@pytest.mark.parametrize("kind", [Layers, Residual])
@pytest.mark.parametrize("name", ON_MODULES)
def test_a_users_modules_are_left_as_they_were(name: str, kind: type[nn.Module]) -> None:
    modules, evaluation = members(kind), CASES[0].evaluation
    modules[0].train()
    modules[1].first.requires_grad_(False)
    modules[2].register_forward_hook(lambda *_: None)
    networks = Modules.wrap(modules, evaluation.background)
    choice = Choice(name, OPTIONS.get(name, {}))
    if networks.refusal(SCORERS.load(name).traits.reads) is None:
        check_untouched(choice, networks, evaluation, modules, 0)


def test_the_watch_sees_what_it_is_for() -> None:
    """The control: each thing that a scorer might leave behind is noticed."""
    modules, evaluation = members(Layers), CASES[0].evaluation
    networks = Modules.wrap(modules, evaluation.background)

    def changes(change: Any) -> bool:
        before = found(networks, evaluation, modules)
        change()
        after = found(networks, evaluation, modules)
        return before[0] != after[0] or not all(map(torch.equal, before[1], after[1]))

    assert not changes(lambda: None)
    for change in (lambda: modules[0].train(not modules[0].training), lambda: modules[1].first.requires_grad_(False),
                   lambda: networks.templates[1].first.register_forward_hook(lambda *_: None),
                   lambda: modules[0].first.weight.data.add_(1), lambda: np.random.random(),  # noqa: NPY002
                   lambda: torch.rand(1), random.random):
        assert changes(change)


@pytest.mark.parametrize("broken", [False, True])
def test_seeded_draws_leave_the_generators_as_they_were(broken: bool) -> None:
    np.random.seed(11)  # noqa: NPY002
    torch.manual_seed(12)
    expected = np.random.random(), torch.rand(1)  # noqa: NPY002 - what comes next, if nothing draws in between
    np.random.seed(11)  # noqa: NPY002
    torch.manual_seed(12)
    drawn = []
    try:
        with seeded(2**32 + 5):
            drawn += [np.random.random(), torch.rand(1)]  # noqa: NPY002
            if broken:
                raise Broken
    except Broken:
        pass
    generator = torch.Generator().manual_seed(2**32 + 5)
    assert drawn == [np.random.RandomState(5).random(), torch.rand(1, generator=generator)]
    assert (np.random.random(), torch.rand(1)) == expected  # noqa: NPY002
