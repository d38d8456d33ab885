"""The weight history, against weights copied by training step by step, and NumPy one weight at a time."""

import statistics
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from attribution_suite.datasets.preset import Training
from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.networks import stopping
from attribution_suite.networks.architecture import Activation, Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.networks.training import Trained, train
from attribution_suite.scorers.weight_history import density_table, weight_history_scores, weights_over_epochs

BUDGET = Training(epochs=7, batch_size=16, learning_rate=0.05, keep="last", record_every=1)


def rows(seed: int = 0) -> Split:
    """y = 3 x₀ and three inputs that say nothing."""
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
    return Split(inputs, 3 * inputs[:, 0])


def networks(members: int = 2, activation: Activation = "tanh") -> Perceptrons:
    return Perceptrons.initialise(Architecture(4, (5,), 1, activation), range(members))


def trained(budget: Training, members: int = 2) -> Trained:
    return train(networks(members), rows(), rows(1), "regression", budget, range(members))


def made_up(epochs: int = 40, members: int = 2) -> Tensor:
    """A history with weights that jump, creep and stand still."""
    steps = torch.randn(epochs, members, 3, 4, generator=torch.Generator().manual_seed(2))
    history = steps.mul(torch.tensor([1.0, 0.1, 0.01, 0.0])).cumsum(0) + 0.1
    return history.contiguous()


def test_training_records_the_weights_after_each_epoch() -> None:
    history = trained(BUDGET).history
    assert history is not None and history.shape == (7, 2, 5, 4) and history.dtype == torch.float32
    for epochs in (1, 4, 7):
        stopped = trained(replace(BUDGET, epochs=epochs))
        torch.testing.assert_close(history[epochs - 1], stopped.networks.weights[0])
    every = trained(replace(BUDGET, record_every=3))
    torch.testing.assert_close(every.history, history[[2, 5]])
    unasked = trained(replace(BUDGET, record_every=None))
    assert unasked.history is None
    torch.testing.assert_close(unasked.networks.weights[0], every.networks.weights[0], rtol=0, atol=0)


def test_a_stopped_member_has_no_more_history() -> None:
    result = trained(Training(60, 16, 0.3, patience=1, record_every=1), members=4)
    assert result.history is not None
    missing = result.history.isnan()
    assert torch.equal(missing.all((2, 3)), result.training_loss.isnan()) and missing.any()
    assert torch.equal(missing.all((2, 3)), missing.any(3).any(2))
    scores = weight_history_scores(result.history, {f"x{k}": (k,) for k in range(4)}).scores
    assert torch.isfinite(scores).all()
    for member in range(4):
        own = result.history[:, member][~missing[:, member]].view(-1, 5, 4).double()
        torch.testing.assert_close(scores[member], own.std(0, unbiased=False).sum(0).float(), rtol=1e-5, atol=1e-7)


def test_memory_is_bounded_before_training_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "HISTORY_VALUES", 7 * 2 * 5 * 4 - 1)
    with pytest.raises(InputError, match="raise record_every"):
        trained(BUDGET)
    assert trained(replace(BUDGET, record_every=2)).history.shape[0] == 3
    with pytest.raises(InputError, match="record_every"):
        replace(BUDGET, record_every=0)


def test_scores_and_groups_by_numpy() -> None:
    history, groups = made_up(), {"a": (0,), "b": (1, 3), "c": (2,)}
    attribution = weight_history_scores(history, groups)
    assert attribution.scorer == "weight_history" and attribution.features == ("a", "b", "c")
    for member in range(2):
        for place, columns in enumerate(groups.values()):
            by_hand = sum(np.std(history[:, member, unit, column].double().numpy())
                          for unit in range(3) for column in columns)
            assert float(attribution.scores[member, place]) == pytest.approx(by_hand, rel=1e-5)
    # an input whose weights never move scores exactly zero
    assert (weight_history_scores(history, {f"x{k}": (k,) for k in range(4)}).scores[:, 3] == 0).all()


def test_the_informative_input_stands_apart_in_the_notebooks_linear_network() -> None:
    budget, groups = Training(60, 16, 0.01, keep="last", record_every=1), {f"x{k}": (k,) for k in range(4)}
    history = train(networks(5, "linear"), rows(), rows(1), "regression", budget, range(5)).history
    shares = weight_history_scores(history, groups).shares
    assert (shares[:, 0] > 1.5 * shares[:, 1:].amax(1)).all()
    # negative control: labels that have nothing to do with the inputs
    noise = Split(rows().inputs, torch.randn(64, generator=torch.Generator().manual_seed(3)))
    history = train(networks(5, "linear"), noise, noise, "regression", budget, range(5)).history
    shares = weight_history_scores(history, groups).shares
    assert (shares[:, 0] < 1.5 * shares[:, 1:].amax(1)).sum() >= 4


def test_density_table_by_the_standard_library() -> None:
    history = made_up()
    table = density_table(history, list("abcd")).set_index(["member", "unit", "feature"])
    for (member, unit, feature), row in table.iterrows():
        weights = history[:, member, unit, "abcd".index(feature)].double().numpy()
        if len(set(weights)) == 1:
            assert row.len == 0 and row["std"] == 0 and row["sum"] == 0 and np.isnan([row["max"], row["mean"]]).all()
            continue
        density = [value for value in stats.norm.pdf(weights, weights.mean(), weights.std()) if value >= 1]
        assert row.len == len(density) and row["std"] == pytest.approx(weights.std())
        assert row["sum"] == pytest.approx(sum(density), abs=1e-12)
        if density:
            assert [row["max"], row["mean"]] == pytest.approx([max(density), statistics.mean(density)])
        if len(density) > 1:
            assert row.stdev == pytest.approx(statistics.stdev(density), rel=1e-6)
    assert 0 < (table.len == 0).sum() < len(table)


def test_weights_over_epochs_is_the_record() -> None:
    history = made_up(epochs=3)
    history[2, 1] = torch.nan
    table = weights_over_epochs(history, list("abcd"), every=5)
    assert len(table) == (3 + 2) * 12 and sorted(table.epoch.unique()) == [5, 10, 15]
    row = table.set_index(["member", "epoch", "unit", "feature"]).loc[(1, 10, 2, "b")]
    assert row.weight == pytest.approx(float(history[1, 1, 2, 1]))


def test_bad_input_is_refused() -> None:
    for history, message in [(made_up(1), "two epochs"), (made_up()[0], "two epochs"),
                             (made_up() * torch.inf, "infinite")]:
        with pytest.raises(InputError, match=message):
            weight_history_scores(history, {"a": (0,)})
    with pytest.raises(InputError, match="as many names"):
        density_table(made_up(), ["a"])
    with pytest.raises(InputError, match="as many names"):
        weights_over_epochs(made_up(), ["a"])
