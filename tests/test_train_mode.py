"""A user's modules train as they did: dropout drops, batch norm takes the batch's statistics; all is put back after."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from module_cases import FEATURES
from torch import Tensor, nn

from attribution_suite import from_arrays, remove
from attribution_suite.auditing.given import Given
from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.module_backward import training
from attribution_suite.networks.modules import Modules
from attribution_suite.networks.training import train

INPUTS = torch.randn(80, FEATURES, generator=torch.Generator().manual_seed(2))
TABLE: TabularDataset = from_arrays(INPUTS, INPUTS[:, 1] - INPUTS[:, 0], task="regression",
                                    split=(range(60), range(60, 70), range(70, 80)))
TEST = TABLE.test.inputs
EPOCHS = 4


class Skip(nn.Module):
    """A skip connection, so that it is no chain, with whatever is asked for in its middle."""

    def __init__(self, middle: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(FEATURES, 5), middle(), nn.Linear(5, 1)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.first(rows)
        return self.last(hidden + self.middle(hidden).relu())


def networks(middle: Callable[[], nn.Module]) -> Modules:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        ensemble = as_ensemble([Skip(middle), Skip(middle)], TABLE)
    assert isinstance(ensemble, Modules)
    return ensemble


def trained(ensemble: Modules, **words: Any) -> Any:
    """Full batches, so that the order of rows within them decides nothing."""
    budget = Training(EPOCHS, 60, 0.01, optimiser="sgd", keep="last", patience=None, standardise=False, **words)
    return train(ensemble, TABLE.train, TABLE.validation, "regression", budget, [0, 1])


@pytest.mark.parametrize("momentum", [0.3, None])
def test_batch_norm_trains_as_in_a_loop_of_torchs(momentum: float | None) -> None:
    """Without momentum torch.vmap cannot run it, and the members run one at a time."""
    ensemble = networks(lambda: nn.BatchNorm1d(5, momentum=momentum))
    found = trained(ensemble)
    for member in range(2):
        module = ensemble.member_module(member).train()
        optimiser, losses = torch.optim.SGD(module.parameters(), lr=0.01), []
        for _ in range(EPOCHS):
            optimiser.zero_grad()
            (module(TABLE.train.inputs)[:, 0] - TABLE.train.targets).square().mean().backward()
            optimiser.step()
            module.eval()
            errors = module(TABLE.validation.inputs).detach()[:, 0] - TABLE.validation.targets
            losses.append(float(errors.square().mean()))
            module.train()
        state = module.state_dict()
        for name, value in found.networks.state.items():
            torch.testing.assert_close(value[member], state[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.validation_loss[:, member], torch.tensor(losses), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.networks.outputs(TEST)[member], module.eval()(TEST), rtol=1e-4, atol=1e-5)
    assert not ensemble.state["middle.running_mean"].any()  # the networks that were given are as they were
    assert found.networks.state["middle.running_mean"].any()


def test_the_statistics_are_those_of_the_epoch_that_is_kept() -> None:
    """The best epoch of three is the first, for the rate then throws the weights far off."""
    ensemble = networks(lambda: nn.BatchNorm1d(5))
    budget = Training(3, 60, 0.5, optimiser="sgd", patience=None, standardise=False)
    best = train(ensemble, TABLE.train, TABLE.validation, "regression", budget, [0, 1])
    epoch = int(best.validation_loss[:, 0].argmin())
    assert epoch < 2
    short = train(ensemble, TABLE.train, TABLE.validation, "regression",
                  Training(epoch + 1, 60, 0.5, optimiser="sgd", keep="last", patience=None, standardise=False), [0, 1])
    for name, value in best.networks.state.items():
        torch.testing.assert_close(value[0], short.networks.state[name][0])
    assert int(best.networks.state["middle.num_batches_tracked"][0]) == epoch + 1


def test_dropout_drops_the_same_in_every_run_and_leaves_the_generators() -> None:
    kept, dropped = (trained(networks(lambda p=p: nn.Dropout(p))) for p in (0.0, 0.5))
    assert not torch.allclose(kept.networks.state["first.weight"], dropped.networks.state["first.weight"])
    state = torch.get_rng_state()
    again = trained(networks(lambda: nn.Dropout(0.5)))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(again.networks.state["first.weight"], dropped.networks.state["first.weight"])
    outputs = again.networks.outputs(TEST)
    assert torch.equal(outputs, again.networks.outputs(TEST))  # none of it afterwards
    assert not any(part.training for template in again.networks.templates for part in template.modules())


def test_a_batch_of_one_row_has_no_statistics() -> None:
    budget = Training(1, 59, 0.01, optimiser="sgd", keep="last", patience=None, standardise=False)
    found = train(networks(lambda: nn.BatchNorm1d(5)), TABLE.train, TABLE.validation, "regression", budget, [0, 1])
    assert found.networks.state["middle.num_batches_tracked"].tolist() == [1, 1] and found.steps.tolist() == [2, 2]


def test_members_that_stop_take_their_own_statistics_along() -> None:
    """Each as when it is trained alone: those that stopped drop out of the loop, and the places of the others move."""
    ensemble = networks(lambda: nn.BatchNorm1d(5))
    budget = Training(12, 60, 0.2, optimiser="sgd", patience=1, standardise=False)
    wide = ensemble.select([0, 1, 1, 0])
    together = train(wide, TABLE.train, TABLE.validation, "regression", budget, [0])
    for member in range(4):
        alone = train(wide.select([member]), TABLE.train, TABLE.validation, "regression", budget, [0])
        for name, value in together.networks.state.items():
            torch.testing.assert_close(value[member], alone.networks.state[name][0], rtol=1e-3, atol=1e-4)
    assert together.steps.unique().numel() > 1


def test_modes_come_back_after_an_error() -> None:
    module = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).eval()
    module[1].train()

    def fail() -> None:
        with training([module]):
            assert all(part.training for part in module.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [part.training for part in module.modules()] == [False, False, True]


class Untrainable(nn.Module):
    """What runs in eval mode alone."""

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            raise NotImplementedError("no training here")
        return rows


def test_a_module_that_cannot_train_is_named() -> None:
    with pytest.raises(InputError, match=r"Skip .* cannot be trained: in train mode it says no training here; give"):
        remove(networks(Untrainable), TABLE, "x0", "shuffle_tuning", training=Training(1, 16, 0.01))


def test_what_trains_is_said_with_the_budget() -> None:
    given = Given.of([Skip(nn.Identity)], TABLE, 1, Training(7, 16, 0.25))
    assert given.retraining == "by this library: at most 7 epochs in batches of 16, adam at 0.25, in train mode"
    chain = Given.of([nn.Sequential(nn.Linear(FEATURES, 3), nn.ReLU(), nn.Linear(3, 1))], TABLE, 1)
    assert "without dropout and batch norm" in chain.describe()["retraining"]
