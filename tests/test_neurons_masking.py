"""Masking, against networks whose weights and bias are really zeroed, one mask at a time."""

import numpy as np
import pandas as pd
import pytest
import torch
from cases import CASES, MEMBERS, Case
from torch import Tensor, nn

from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.measures.statistics import student_mean
from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers.attribution import Attribution
from attribution_suite.units.masking import (
    Masking,
    areas,
    by_score,
    by_significance,
    curves_together,
    drawn,
    masked_outputs,
    masked_together,
    summary,
)

hidden_case = pytest.mark.parametrize("case", CASES[:-1], ids=lambda case: case.name)


def zeroed(module: nn.Sequential, layer: int, dropped: list[int]) -> nn.Sequential:
    """The network with the incoming weights and the bias of units of hidden layer `layer` set to zero."""
    linear = module[2 * (layer - 1)]
    linear.weight.data[dropped] = 0.0
    linear.bias.data[dropped] = 0.0
    return module


def kept_masks(units: int, masks: int = 6) -> Tensor:
    return (torch.rand(MEMBERS, masks, units, generator=torch.Generator().manual_seed(1)) > 0.5).float()


@hidden_case
@pytest.mark.parametrize("layer", [1, 2])
def test_equals_zeroed_weights_and_bias(case: Case, layer: int) -> None:
    values = case.networks.activations(case.evaluation.inputs)[layer]
    kept = kept_masks(values.shape[2])
    found = masked_outputs(case.networks.tail(layer), values, kept)
    for member in range(MEMBERS):
        for mask in range(kept.shape[1]):
            dropped = torch.nonzero(kept[member, mask] == 0)[:, 0].tolist()
            slow = zeroed(case.networks.to_module(member), layer, dropped)(case.evaluation.inputs)
            torch.testing.assert_close(found[member, mask], slow.detach(), rtol=1e-4, atol=1e-5)


@hidden_case
def test_layers_together_equal_zeroed_weights_in_both(case: Case) -> None:
    kept = [kept_masks(width) for width in case.networks.architecture.hidden]
    found = masked_together(case.networks, case.evaluation.inputs, kept)
    for member in range(MEMBERS):
        for mask in range(kept[0].shape[1]):
            module = case.networks.to_module(member)
            for layer, masks in enumerate(kept, start=1):
                module = zeroed(module, layer, torch.nonzero(masks[member, mask] == 0)[:, 0].tolist())
            torch.testing.assert_close(found[member, mask], module(case.evaluation.inputs).detach(), rtol=1e-4,
                                       atol=1e-5)
    alone = masked_together(case.networks, case.evaluation.inputs, [kept[0], torch.ones_like(kept[1])])
    assert not torch.allclose(alone, found)  # the second layer's masks count


def test_curves_together_mask_each_layers_own_selection() -> None:
    case = CASES[1]
    rows, everything = Split(case.evaluation.inputs, case.evaluation.targets), [0.0, 0.4, 1.0]
    chosen = [[drawn("random", torch.ones(MEMBERS, width).bool(), 2, seed=width)]
              for width in case.networks.architecture.hidden]
    curves = curves_together(case.networks, rows, "binary", chosen, tuple(everything))
    assert (set(curves.layer), set(curves["fill"]), len(curves)) == ({0}, {"zero"}, MEMBERS * 2 * 3)
    assert curves.groupby("fraction").units.unique().map(list).tolist() == [[0], [3 + 2], [7 + 5]]
    row = curves.query("member == 1 and repeat == 1 and fraction == 0.4").iloc[0]
    module = case.networks.to_module(1)
    for layer, (selection,) in enumerate(chosen, start=1):
        module = zeroed(module, layer, selection.order[1, 1, :round(0.4 * selection.order.shape[2])].tolist())
    hit = (module(rows.inputs)[:, 0] > 0) == rows.targets.bool()
    assert row.accuracy == pytest.approx(float(hit.float().mean()))
    with pytest.raises(InputError, match="each of the 2 hidden layers"):
        curves_together(case.networks, rows, "binary", chosen[:1])


@hidden_case
def test_mean_fill_is_the_mean_of_the_background(case: Case) -> None:
    values = case.networks.activations(case.evaluation.inputs)[1]
    means = case.networks.activations(case.evaluation.background)[1].mean(1)
    kept = kept_masks(values.shape[2])
    found = masked_outputs(case.networks.tail(1), values, kept, means)
    for member in range(MEMBERS):
        for mask in range(kept.shape[1]):
            filled = torch.where(kept[member, mask] == 1, values[member], means[member])
            slow = case.networks.to_module(member)[2:](filled)
            torch.testing.assert_close(found[member, mask], slow.detach(), rtol=1e-4, atol=1e-5)


def test_row_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[2]
    values = case.networks.activations(case.evaluation.inputs)[1]
    kept = kept_masks(values.shape[2])
    whole = masked_outputs(case.networks.tail(1), values, kept)
    monkeypatch.setattr("attribution_suite.units.masking.VALUES_AT_ONCE", 300)
    torch.testing.assert_close(masked_outputs(case.networks.tail(1), values, kept), whole)


def test_selections_mask_what_they_say() -> None:
    significant = torch.zeros(2, 20, dtype=torch.bool)
    significant[0, :12], significant[1, 5:11] = True, True
    fractions = (0.0, 0.5, 1.0)
    named = {selection.name: selection for selection in by_significance(significant, repeats=4, seed=3)}
    for name, pool in (("significant", significant), ("non-significant", ~significant)):
        masked = 1 - named[name].kept(fractions).unflatten(1, (4, 3))
        assert (masked * ~pool[:, None, None]).sum() == 0  # never a unit of the other pool
        assert (masked.sum(3)[:, :, 2] == pool.sum(1)[:, None]).all()
        control = 1 - named[f"as many as {name}"].kept(fractions).unflatten(1, (4, 3))
        assert torch.equal(control.sum(3), masked.sum(3))
        assert (control * ~pool[:, None, None]).sum() > 0
        assert (masked[:, :, 1] <= masked[:, :, 2]).all()  # nested
    everything = named["random"].kept(fractions).unflatten(1, (4, 3))
    assert (everything[:, :, 2] == 0).all() and (everything[:, :, 0] == 1).all()
    assert len({tuple(row) for row in everything[0, :, 1].tolist()}) == 4  # repeats differ
    again = by_significance(significant, repeats=4, seed=3)
    assert all(torch.equal(a.order, named[a.name].order) for a in again)
    assert not torch.equal(drawn("other seed", significant, 4, 99).order, named["significant"].order)


def test_by_score_takes_the_highest_first() -> None:
    scores = torch.tensor([[0.1, 3.0, 2.0, 0.0], [1.0, 1.0, 5.0, 0.0]])
    selection = by_score(Attribution("lrp", ("a", "b", "c", "d"), scores))
    assert selection.name == "top:lrp"
    assert selection.kept((0.25, 0.5)).tolist() == [[[1, 0, 1, 1], [1, 0, 0, 1]], [[1, 1, 0, 1], [0, 1, 0, 1]]]


def known_network() -> tuple[Perceptrons, Split]:
    """Two inputs, six ReLU units: the first two carry the class (x₀ > 0), the others see only x₁ and are not read."""
    first = torch.zeros(1, 6, 2)
    first[0, 0, 0], first[0, 1, 0], first[0, 2:, 1] = 1.0, -1.0, torch.tensor([1.0, -1.0, 2.0, -2.0])
    last = torch.tensor([[[1.0, -1.0, 0.0, 0.0, 0.0, 0.0]]])
    networks = Perceptrons(Architecture(2, (6,), 1), (first, last), (torch.zeros(1, 6), torch.zeros(1, 1) - 1e-3))
    inputs = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    return networks, Split(inputs, (inputs[:, 0] > 0).float())


def test_known_units_are_significant_and_the_only_ones_that_cost() -> None:
    networks, rows = known_network()
    units = networks.activations(rows.inputs)[1]
    tests = unit_tests(units.numpy(), rows.targets.numpy(), "binary")
    assert tests.p_holm[0, :2].max() < 1e-10 and tests.p_holm[0, 2:].min() > 0.05
    masking = Masking(1, (0.0, 0.5, 1.0))
    score = Attribution("known", tuple("abcdef"), torch.tensor([[6.0, 5, 4, 3, 2, 1]]))
    curves = masking.curves(networks, rows, rows.inputs, "binary",
                            [*by_significance(torch.from_numpy(tests.p_holm < 0.05)), by_score(score)])
    assert list(curves.columns) == ["member", "layer", "fill", "selection", "repeat", "fraction", "units", "accuracy",
                                    "loss"]
    mean = curves.groupby(["selection", "fraction"]).accuracy.mean().unstack()
    majority = float((rows.targets == 0).float().mean())
    assert mean.loc["significant", 0.0] > 0.99
    assert mean.loc["significant", 1.0] == pytest.approx(majority, abs=1e-6)
    assert (mean.loc["non-significant"] == mean.loc["non-significant", 0.0]).all()
    area = areas(curves, "accuracy").set_index("selection")
    assert area.loc["top:known", "against_high"] < 0  # falls faster than random
    assert area.loc["random", "against_random"] == pytest.approx(0, abs=1e-12)
    # negative control: the same scores turned round fall later
    turned = by_score(Attribution("turned", tuple("abcdef"), -score.scores))
    late = masking.curves(networks, rows, rows.inputs, "binary", [by_significance(torch.ones(1, 6).bool())[-1], turned])
    assert areas(late, "accuracy").set_index("selection").loc["top:turned", "against_low"] > 0


@hidden_case
def test_costs_equal_a_loop(case: Case) -> None:
    rows = Split(case.evaluation.inputs, case.evaluation.targets)
    selection = drawn("random", torch.ones(MEMBERS, 7, dtype=torch.bool), repeats=2)
    curves = Masking(1, (0.0, 0.4)).curves(case.networks, rows, case.evaluation.background, case.evaluation.task,
                                           [selection]).set_index(["member", "repeat", "fraction"])
    losses = {"regression": nn.MSELoss(), "binary": nn.BCEWithLogitsLoss(), "multiclass": nn.CrossEntropyLoss()}
    for (member, repeat, fraction), row in curves.iterrows():
        dropped = selection.order[member, repeat, :round(fraction * 7)].tolist()
        output = zeroed(case.networks.to_module(member), 1, dropped)(rows.inputs).detach()
        assert row.units == len(dropped)
        squeezed = output if case.evaluation.task == "multiclass" else output[:, 0]
        assert row.loss == pytest.approx(float(losses[case.evaluation.task](squeezed, rows.targets)), rel=1e-4)
        if case.evaluation.task == "regression":
            assert np.isnan(row.accuracy)
            continue
        predicted = output.argmax(1) if case.evaluation.task == "multiclass" else (output[:, 0] > 0)
        assert row.accuracy == pytest.approx(float((predicted == rows.targets).float().mean()))


def test_summary_and_area_by_hand() -> None:
    frame = pd.DataFrame({"member": 0, "layer": 1, "fill": "zero", "selection": ["random"] * 6 + ["top:a"] * 3,
                          "repeat": [0, 0, 0, 1, 1, 1, 0, 0, 0], "fraction": [0.0, 0.2, 0.8] * 3,
                          "accuracy": [1.0, 0.8, 0.4, 1.0, 0.6, 0.6, 1.0, 0.5, 0.4]})
    area = areas(frame, "accuracy").set_index("selection")
    by_hand = [(0.2 * 0.9 + 0.6 * 0.6) / 0.8, (0.2 * 0.8 + 0.6 * 0.6) / 0.8]
    assert area.loc["random", "mean"] == pytest.approx(np.mean(by_hand))
    top = (0.2 * 0.75 + 0.6 * 0.45) / 0.8
    assert area.loc["top:a", "mean"] == pytest.approx(top)
    assert area.loc["top:a", "against_random"] == pytest.approx(top - np.mean(by_hand))
    assert np.isnan(area.loc["top:a", "low"])  # one value has no interval
    shown = summary(frame, "accuracy").set_index(["selection", "fraction"])
    interval = student_mean([0.8, 0.6])
    assert shown.loc[("random", 0.2)].tolist()[2:] == pytest.approx([0.7, interval.low, interval.high])


def test_bad_input_is_refused() -> None:
    networks, rows = known_network()
    for layer in (0, 2):
        with pytest.raises(InputError, match="hidden units"):
            Masking(layer).curves(networks, rows, rows.inputs, "binary", [])
    for fractions in ((0.5,), (0.0, 1.5), (0.5, 0.1), (0.1, 0.1)):
        with pytest.raises(InputError, match="masking curve"):
            Masking(1, fractions)
    with pytest.raises(InputError, match="median"):
        Masking(1, fill="median")
