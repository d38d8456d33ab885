"""Retraining by a user's own `fit(model, split, seed)`: what it is given, what is made of what it returns."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from model_kinds import Boston, Iris
from module_cases import FEATURES, Residual
from sklearn.ensemble import RandomForestRegressor
from torch import Tensor, nn

from attribution_suite import from_arrays, remove, train, worst_case
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.opened import open_run
from attribution_suite.auditing.run import prepare, run_audit
from attribution_suite.auditing.spec import make_spec
from attribution_suite.errors import InputError
from attribution_suite.networks.given import as_ensemble
from attribution_suite.networks.perceptrons import Perceptrons

INPUTS = torch.randn(90, FEATURES, generator=torch.Generator().manual_seed(1))
SPLIT = (range(60), range(60, 70), range(70, 90))
TABLE = from_arrays(INPUTS, 3 * INPUTS[:, 1] + INPUTS[:, 0] + 1, task="regression", split=SPLIT)
CLASSES = from_arrays(INPUTS, torch.arange(90) % 4, task="multiclass", split=SPLIT)
TEST = TABLE.test.inputs


def few_steps(model: nn.Module, split: Any, seed: int) -> None:
    """A user's loop, with nothing of ours in it."""
    assert model.training and split.validation.inputs.shape == (10, FEATURES)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        (model(split.train.inputs).reshape(-1) - split.train.targets).square().mean().backward()
        optimiser.step()


def network(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return make()


@pytest.mark.parametrize("make", [Boston, Residual])
def test_a_users_fit_trains_an_untrained_copy_without_the_column(make: type[nn.Module]) -> None:
    model, seen = network(make), []

    def fit(copy: nn.Module, split: Any, seed: int) -> None:
        seen.append((copy, split, seed, [p.clone() for p in copy.parameters()]))
        few_steps(copy, split, seed)

    before = [p.clone() for p in model.parameters()]
    generator = torch.get_rng_state()
    edited = remove(model, TABLE, "x1", "retrain", seeds=[7], fit=fit)
    assert torch.equal(generator, torch.get_rng_state())
    assert all(map(torch.equal, before, model.parameters()))
    (copy, split, seed, start), = seen
    assert copy is not model and type(copy) is make and seed == 7
    assert not torch.equal(start[0], before[0])  # untrained
    mean = TABLE.train.inputs[:, 1].mean()
    for rows, own in ((split.train, TABLE.train), (split.validation, TABLE.validation)):
        torch.testing.assert_close(rows.inputs[:, 1], mean.expand(len(rows.inputs)))
        assert torch.equal(rows.inputs[:, [0, 2]], own.inputs[:, [0, 2]]) and torch.equal(rows.targets, own.targets)
    # What comes back is what the loop makes of the same start, at the column's mean, whatever the column says.
    copy.eval()
    filled = TEST.clone()
    filled[:, 1] = mean
    torch.testing.assert_close(edited.outputs(TEST)[0, :, 0], copy(filled).reshape(-1).detach(), rtol=1e-4, atol=1e-4)
    assert worst_case(edited, TABLE, "x1").method == ("algebra",)
    with torch.no_grad():
        assert not torch.allclose(copy(TEST).reshape(-1), edited.outputs(TEST)[0, :, 0], atol=1e-3)


def test_every_network_and_feature_has_a_fit_of_its_own() -> None:
    models, calls = [network(Boston), network(Boston)], []

    def fit(copy: nn.Module, split: Any, seed: int) -> nn.Module:
        calls.append((seed, float(split.train.inputs[:, 0].std()), float(split.train.inputs[:, 2].std())))
        return network(Boston)

    edited = remove(models, TABLE, ["x0", "x2"], "retrain", seeds=[3, 9], fit=fit)
    assert [seed for seed, *_ in calls] == [3, 9] and np.allclose([stds for _, *stds in calls], 0, atol=1e-6)
    assert isinstance(edited, Perceptrons) and not edited.first_weight[:, :, [0, 2]].any()
    assert isinstance(edited.to_module(1), Boston)


def test_one_of_several_results_is_refitted_too() -> None:
    edited = remove(network(Iris), CLASSES, "x0", "retrain", output=0, fit=lambda model, split, seed: network(Iris))
    filled = TEST.clone()
    filled[:, 0] = TABLE.train.inputs[:, 0].mean()
    with torch.no_grad():
        torch.testing.assert_close(edited.outputs(TEST)[0], network(Iris)(filled)[0], rtol=1e-4, atol=1e-5)


def test_logits_stay_logits_where_what_was_fitted_says_little() -> None:
    """All of them in [0, 1], as probabilities are: those that were given were logits. A recipe needs no name."""
    table = from_arrays(INPUTS, INPUTS[:, 0] > 0, task="binary", split=SPLIT)

    def fit(steps: int, model: nn.Module, split: Any, seed: int) -> None:
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(0.5 if weight.dim() == 1 else 0.01)

    edited = remove(nn.Linear(FEATURES, 1), table, "x0", "retrain", outputs="logit", fit=partial(fit, 3))
    given = nn.Sequential(nn.Linear(FEATURES, 1))
    torch.nn.init.normal_(given[0].weight, std=3)
    again = remove(given, table, "x0", "retrain", fit=partial(fit, 3))
    assert again.outputs(TEST).min() >= 0 and again.outputs(TEST).max() <= 1
    torch.testing.assert_close(again.outputs(TEST), edited.outputs(TEST))
    digests = {Given.of(given, table, 1, fit=partial(fit, steps)).digest for steps in (3, 4)}
    assert len(digests) == 2


def test_an_estimators_fit_may_be_the_users() -> None:
    forest = RandomForestRegressor(3, random_state=0).fit(TABLE.train.inputs, TABLE.train.targets)
    seeds = []

    def fit(model: Any, split: Any, seed: int) -> Any:
        assert not hasattr(model, "estimators_")
        seeds.append(seed)
        return model.set_params(max_depth=1).fit(split.train.inputs, split.train.targets)

    edited = remove(forest, TABLE, "x1", "retrain", fit=fit)
    assert seeds == [0] and len(edited.outputs(TEST).unique()) <= 2**3


class Bare(nn.Module):
    """Weights of its own, and no way to start anew."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(FEATURES))

    def forward(self, rows: Tensor) -> Tensor:
        return (rows * self.slope).sum(1).sin()


def broken(model: nn.Module, split: Any, seed: int) -> None:
    raise ValueError("no such loss\nsecond line")


@pytest.mark.parametrize(("model", "fit", "message"), [
    (Boston(), 3, "option 'fit' is a function fit.model, split, seed., got 3"),
    (Boston(), broken, "option 'fit' fails on network 0: ValueError: no such loss$"),
    (Boston(), lambda model, split, seed: Residual(), "it must train the same kind of network"),
    (Boston(), lambda model, split, seed: "it", "what option 'fit' made cannot be taken: networks are an nn.Module"),
    (Bare(), lambda model, split, seed: None, "has no reset_parameters.*or let 'fit' return a new network"),
    (as_ensemble(Boston(), TABLE), few_steps, "option 'fit' trains models of your own"),
])
def test_what_cannot_be_refitted_is_named(model: Any, fit: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        remove(model, TABLE, "x0", "retrain", fit=fit)


def test_a_fit_of_whole_networks_is_none_for_hidden_units() -> None:
    with pytest.raises(InputError, match="option 'fit' trains whole networks"):
        remove(Boston(), TABLE, "unit:0", "retrain", layer=1, fit=few_steps)
    with pytest.raises(InputError, match="option 'fit' retrains networks of your own"):
        prepare(make_spec(["table"], in_memory=["table"], seeds=1), device="cpu", tables={"table": TABLE},
                fit=few_steps)


def test_a_new_network_may_be_returned_where_none_can_be_reset() -> None:
    edited = remove(Bare(), TABLE, "x0", "retrain", fit=lambda model, split, seed: Bare())
    assert worst_case(edited, TABLE, "x0").method == ("algebra",)


def test_an_audit_retrains_by_the_fit_and_says_so(tmp_path: Path) -> None:
    models, said = [network(Residual)], []
    spec = make_spec(["table"], in_memory=["table"], decoy=False, remove=["x1"], seeds=1, rows=10, information="off",
                     removals=["retrain", "constant"], scorers=["permutation", "random"])
    digests = [Given.of(models, TABLE, 1, fit=fit).digest for fit in (None, few_steps, broken)]
    assert len(set(digests)) == 3  # another recipe is another run
    prepared = prepare(spec, device="cpu", tables={"table": TABLE}, networks=models, fit=few_steps, say=said.append)
    with open_run(prepared, tmp_path, jobs=1, say=said.append) as context:
        assert run_audit(prepared, context, tmp_path) == []
    outcomes = pd.read_parquet(tmp_path / "outcomes.parquet").set_index("removal")
    expected = remove(models, TABLE, "x1", "retrain", fit=few_steps).outputs(TEST)[0, :, 0]
    loss = float((expected - TABLE.test.targets).square().mean())
    assert outcomes.loss_native["retrain"] == pytest.approx(loss, rel=1e-5)
    assert "table: retrain retrains them by the fit that was given with them" in said


def test_networks_trained_here_have_no_fit_of_a_users() -> None:
    trained = train(TABLE, seeds=1)
    with pytest.raises(InputError, match="option 'fit' trains models of your own"):
        remove(trained, TABLE, "x0", "retrain", fit=few_steps)
