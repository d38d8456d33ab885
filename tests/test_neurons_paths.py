"""Quantile paths, against one pass per unit and quantile, and networks built by hand."""

import numpy as np
import pytest
import torch
from cases import CASES, Case
from torch import Tensor, nn

from attribution_suite.errors import InputError
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.units.paths import QUANTILES, Sign, quantile_path, responses, row_path, to_frame

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
by_sign = pytest.mark.parametrize("sign", ["positive", "negative"])


def layer_module(module: nn.Sequential, layer: int) -> nn.Sequential:
    """Linear `layer` + 1 and its activation, if it has one."""
    return module[2 * layer:2 * layer + 2]


def slow_path(module: nn.Sequential, inputs: Tensor, sign: Sign, output: int, keep: int) -> list[dict]:
    """docs/methods.md#neurons-paths, a pass per unit and quantile: one network's {(layer, unit, target): responses}."""
    depth, targets, steps = (len(module) + 1) // 2, [output], []
    for layer in reversed(range(depth)):
        values = module[:2 * layer](inputs).detach()
        found: dict[tuple[int, int, int], np.ndarray] = {}
        for unit in range(values.shape[1]):
            passes = []
            for quantile in np.quantile(values[:, unit].numpy(), QUANTILES):
                alone = torch.zeros(1, values.shape[1])
                alone[0, unit] = float(quantile)
                passes.append(layer_module(module, layer)(alone)[0].detach().numpy())
            for target in targets:
                found[layer, unit, target] = np.array(passes)[:, target]
        direction = 1 if sign == "positive" else -1
        best = {unit: max((direction * (found[layer, unit, t][-1] - found[layer, unit, t][0]) for t in targets),
                          default=0.0) for unit in range(values.shape[1])}
        kept = [unit for unit in sorted(best, key=lambda u: -best[u])[:keep] if best[unit] > 0]
        steps.append({key: value for key, value in found.items() if key[1] in kept})
        targets = kept
    return steps


@by_case
@by_sign
@pytest.mark.parametrize("keep", [2, 100])
def test_equals_one_pass_per_unit_and_quantile(case: Case, sign: Sign, keep: int) -> None:
    output = 2 if case.evaluation.task == "multiclass" else 0
    names = [f"x{k}" for k in range(6)]
    table = quantile_path(case.networks, case.evaluation.inputs, sign, output, keep).to_frame(names)
    for member in range(len(case.networks)):
        expected = {key: value for step in slow_path(case.networks.to_module(member), case.evaluation.inputs, sign,
                                                     output, keep) for key, value in step.items()}
        own = table[table.member == member].set_index(["layer", "unit", "target"])
        assert set(own.index) == set(expected)
        for key, values in expected.items():
            found = own.loc[key, [f"response_{100 * q:g}" for q in QUANTILES]].to_numpy(float)
            np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5)
            assert own.loc[key].variation == pytest.approx(values[-1] - values[0], rel=1e-3, abs=1e-5)


@by_case
def test_output_variation_is_that_of_the_whole_tail(case: Case) -> None:
    names = [f"x{k}" for k in range(6)]
    output = 1 if case.evaluation.task == "multiclass" else 0
    table = quantile_path(case.networks, case.evaluation.inputs, "negative", output).to_frame(names)
    for link in table.itertuples():
        module = case.networks.to_module(link.member)
        values = module[:2 * link.layer](case.evaluation.inputs).detach()
        ends = torch.zeros(2, values.shape[1])
        ends[0, link.unit], ends[1, link.unit] = values[:, link.unit].min(), values[:, link.unit].max()
        low, high = module[2 * link.layer:](ends)[:, output].tolist()
        assert link.output_variation == pytest.approx(high - low, rel=1e-3, abs=1e-5)


def hand_built() -> Perceptrons:
    """x0 → unit 1 → unit 2 → output is the strongest way up, x2 → unit 0 → unit 1 the strongest way down."""
    first = torch.zeros(1, 3, 3)
    first[0, 1, 0], first[0, 0, 2], first[0, 2, 1] = 5.0, -5.0, 0.1
    second = torch.zeros(1, 3, 3)
    second[0, 2, 1], second[0, 1, 0], second[0, 0, 2] = 4.0, -4.0, 0.1
    last = torch.tensor([[[0.1, -3.0, 3.0]]])
    bias = torch.full((1, 3), 10.0)  # keeps every ReLU open, so that the way down is not cut
    return Perceptrons(Architecture(3, (3, 3), 1), (first, second, last), (bias, 100 + bias, torch.zeros(1, 1)))


def test_a_known_path_is_found_and_the_signs_differ() -> None:
    inputs = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    paths = [quantile_path(hand_built(), inputs, sign, keep=1) for sign in ("positive", "negative")]
    table = to_frame(paths, ["a", "b", "c"])
    up, down = (table[table.sign == sign] for sign in ("positive", "negative"))
    assert up[["unit_name", "target_name"]].to_numpy().tolist() == [
        ["unit:2", "output:0"], ["unit:1", "unit:2"], ["a", "unit:1"]]
    assert down[["unit_name", "target_name"]].to_numpy().tolist() == [
        ["unit:1", "output:0"], ["unit:0", "unit:1"], ["c", "unit:0"]]
    assert (up.variation > 0).all() and (down.variation < 0).all()
    # a linear stretch: the variation is weight × range of the unit, range of unit 1 is 5 × that of x0
    spread = float(inputs[:, 0].max() - inputs[:, 0].min())
    assert up.variation.tolist() == pytest.approx([3 * 4 * 5 * spread, 4 * 5 * spread, 5 * spread], rel=1e-4)
    # two links down raise the output, three lower it
    assert np.sign(down.output_variation).tolist() == [-1, 1, -1]
    assert (up.output_variation > 0).all()


def test_a_sign_without_units_ends_the_path() -> None:
    networks = Perceptrons(Architecture(2, (2,), 1), (torch.ones(1, 2, 2), torch.ones(1, 1, 2)),
                        (torch.zeros(1, 2), torch.zeros(1, 1)))
    inputs = torch.rand(9, 2, generator=torch.Generator().manual_seed(0))
    assert len(quantile_path(networks, inputs, "positive").to_frame(["a", "b"])) == 6
    assert len(quantile_path(networks, inputs, "negative").to_frame(["a", "b"])) == 0


@by_sign
def test_row_path_goes_from_zero_to_the_row(sign: Sign) -> None:
    case = CASES[1]
    row = case.evaluation.inputs[3]
    table = row_path(case.networks, row, sign, keep=3).to_frame([f"x{k}" for k in range(6)])
    assert {"response_absent", "response_present"} <= set(table)
    for link in table.itertuples():
        module = case.networks.to_module(link.member)
        values = module[:2 * link.layer](row[None]).detach()
        alone = torch.zeros_like(values)
        before = layer_module(module, link.layer)(alone)[0, link.target].item()
        alone[0, link.unit] = values[0, link.unit]
        after = layer_module(module, link.layer)(alone)[0, link.target].item()
        assert link.variation == pytest.approx(after - before, rel=1e-3, abs=1e-5)


def test_members_do_not_mix_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case, names = CASES[3], [f"x{k}" for k in range(6)]
    together = quantile_path(case.networks, case.evaluation.inputs, "positive", 1, 3).to_frame(names)
    monkeypatch.setattr("attribution_suite.units.paths.VALUES_AT_ONCE", 30)
    alone = quantile_path(case.networks.select([1]), case.evaluation.inputs, "positive", 1, 3).to_frame(names)
    own = together[together.member == 1].reset_index(drop=True)
    assert own.drop(columns="member").shape == alone.drop(columns="member").shape
    assert (own.unit == alone.unit).all() and np.allclose(own.variation, alone.variation, rtol=1e-4)


def test_responses_of_a_layer_by_hand() -> None:
    networks = hand_built()
    levels = torch.tensor([[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]])
    found = responses(networks, 2, networks.weights[2], networks.biases[2], levels)
    torch.testing.assert_close(found[0, 0], torch.tensor([[0.0, 0.1], [-6.0, -9.0], [12.0, 15.0]]))


def test_bad_input_is_refused() -> None:
    networks, inputs = hand_built(), torch.rand(4, 3)
    for call, message in [
        (lambda: quantile_path(networks, inputs, "both"), "unknown sign"),  # type: ignore[arg-type]
        (lambda: quantile_path(networks, inputs, output=1), "output 1 does not exist"),
        (lambda: quantile_path(networks, inputs, keep=0), "at least one unit"),
        (lambda: quantile_path(networks, inputs * torch.nan), "finite"),
        (lambda: row_path(networks, inputs), "one row"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
