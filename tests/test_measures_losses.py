"""Losses against one row at a time by hand, scikit-learn and closed forms."""

import math

import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error

from attribution_suite.errors import InputError
from attribution_suite.measures import losses
from attribution_suite.networks.outputs import explained_output, loss_per_row, predicted_class, task_loss


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_each_loss_equals_scikit_learn_member_by_member(generator):
    single, logits = torch.randn(3, 50, 1, generator=generator), torch.randn(3, 50, 4, generator=generator)
    target = torch.randn(50, generator=generator)
    label, classes = (target > 0).float(), torch.randint(4, (50,), generator=generator)
    for member in range(3):
        expected = {
            "regression": mean_squared_error(target, single[member, :, 0]),
            "binary": log_loss(label, single[member, :, 0].double().sigmoid()),
            "multiclass": log_loss(classes, logits[member].double().softmax(1), labels=range(4)),
        }
        for task, outputs, targets in (("regression", single, target), ("binary", single, label),
                                       ("multiclass", logits, classes)):
            assert task_loss(outputs, targets, task)[member].item() == pytest.approx(expected[task], rel=1e-5)


def test_loss_per_row_by_hand_and_stable_for_extreme_logits():
    outputs = torch.tensor([[[0.0], [200.0], [-200.0]]])
    found = loss_per_row(outputs, torch.tensor([1.0, 0.0, 0.0]), "binary")
    torch.testing.assert_close(found, torch.tensor([[math.log(2), 200.0, 0.0]]))
    torch.testing.assert_close(loss_per_row(outputs, torch.tensor([3.0, 200, 0]), "regression"),
                               torch.tensor([[9.0, 0.0, 40_000.0]]))


def test_a_single_output_is_not_broadcast_over_targets(generator):
    """The usual slip, [rows, 1] − [rows] = [rows, rows], would give twice the variance instead of zero."""
    target = torch.randn(30, generator=generator)
    assert task_loss(target[None, :, None], target, "regression").item() == 0


def test_predicted_class_and_explained_output():
    logits = torch.tensor([[[0.1, 2.0, -1.0], [3.0, 0.0, 1.0]]])
    assert predicted_class(logits, "multiclass").tolist() == [[1, 0]]
    assert predicted_class(torch.tensor([[[0.2], [-0.2], [0.0]]]), "binary").tolist() == [[1, 0, 0]]
    torch.testing.assert_close(explained_output(logits, torch.tensor([[2, 1]])), torch.tensor([[-1.0, 0.0]]))
    torch.testing.assert_close(explained_output(logits[..., :1], None), torch.tensor([[0.1, 3.0]]))


def test_direct_effect_flip_rate_and_cost():
    before = torch.tensor([[1.0, 2.0, 3.0]])
    grid = torch.stack([before + torch.tensor([0.0, 3.0, -1.0]), before + torch.tensor([2.0, -1.0, 0.0])])
    torch.testing.assert_close(losses.direct_effect(before, grid[0]), torch.tensor([4 / 3]))
    torch.testing.assert_close(losses.direct_effect(before, grid), torch.tensor([2.0]))  # (2 + 3 + 1) / 3
    assert losses.flip_rate(torch.tensor([[0, 1, 2, 2]]), torch.tensor([[0, 2, 2, 1]])).tolist() == [0.5]
    ratio = losses.cost_ratio(torch.ones(3), torch.full((3,), 1.5), torch.tensor([3.0, 1.0, 0.5]))
    assert ratio[0] == 0.25 and ratio[1:].isnan().all()


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_known_truth_loss_without_the_feature(generator, r):
    """Y = 2X₁ + X₃ + N(0, 0.2²), corr(X₁, X₂) = r: refitted without X₁ the loss rises by 4(1 − r²)."""
    noise = torch.randn(4, 100_000, generator=generator, dtype=torch.float64)
    first, third = noise[0], noise[2]
    second = r * first + math.sqrt(1 - r**2) * noise[1]
    target = 2 * first + third + 0.2 * noise[3]

    def fitted(*columns):
        inputs = torch.stack(columns, 1)
        return inputs @ torch.linalg.lstsq(inputs, target[:, None]).solution

    outputs = torch.stack([fitted(first, second, third), fitted(second, third)])
    full, without = task_loss(outputs, target, "regression")
    assert full.item() == pytest.approx(0.04, rel=0.02)
    assert (without - full).item() == pytest.approx(4 * (1 - r**2), rel=0.02)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="2 rows of outputs need 2 targets"):
        task_loss(torch.zeros(1, 2, 1), torch.zeros(3), "regression")
    with pytest.raises(InputError, match="one output, this one has 3"):
        task_loss(torch.zeros(1, 2, 3), torch.zeros(2), "binary")
    with pytest.raises(InputError, match="class 3, but the network has 3 outputs"):
        task_loss(torch.zeros(1, 1, 3), torch.tensor([3]), "multiclass")
    with pytest.raises(InputError, match="predicts no class"):
        predicted_class(torch.zeros(1, 2, 1), "regression")
