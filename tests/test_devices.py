"""`--device`: what runs on a GPU runs there whole. The GPU is simulated: it refuses what a real one refuses."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from cases import CASES, SCORED, Case, layer_of
from command import assert_same_tables, call_main
from removal_cases import NAMES, removal_case
from second_device import ELSEWHERE, Elsewhere, second_device

from attribution_suite import attribute, audit, load_dataset, remove, train
from attribution_suite.datasets.preset import Training
from attribution_suite.devices import CPU, choose
from attribution_suite.errors import InputError
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.choice import Choice

pytestmark = pytest.mark.usefixtures("plain")
BRIEF = Training(2, 160, 1e-2)  # two batches twice: each operation there is a call of Python's


def test_the_simulated_device_refuses_what_a_real_one_refuses() -> None:
    with second_device():
        away, here = torch.ones(2, 3).to(ELSEWHERE), torch.ones(2, 3)
        assert away.device == ELSEWHERE
        assert here.device != ELSEWHERE
        assert isinstance(torch.zeros(3, device=away.device), Elsewhere)
        assert isinstance(away[torch.tensor([0])], Elsewhere)
        for mixed in (lambda: away + here, lambda: torch.stack([away, here]), lambda: away @ here.T,
                      lambda: here[away[0].long()]):
            with pytest.raises(RuntimeError, match="same device"):
                mixed()
        with pytest.raises(TypeError, match="convert cuda"):
            away.numpy()
        with pytest.raises(RuntimeError, match="cuda generator"):
            torch.rand(3, device=ELSEWHERE, generator=torch.Generator())


@pytest.mark.parametrize(("name", "case"), SCORED)
def test_a_scorer_is_the_same_on_both_devices(name: str, case: Case) -> None:
    choice, layer = Choice(name, {"samples": 200} if name == "lime" else {}), layer_of(name)
    expected = choice.attribute(case.networks, case.evaluation, layer)
    with second_device():
        found = choice.attribute(case.networks.to(ELSEWHERE), case.evaluation.to(ELSEWHERE), layer)
        assert isinstance(found.scores, Elsewhere)
        values = None if found.values is None else found.values.cpu()
        scores = found.scores.cpu()
    assert torch.equal(scores, expected.scores)
    assert (values is None) == (expected.values is None)
    assert values is None or torch.equal(values, expected.values)


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("name", REMOVALS.names)
def test_a_removal_is_the_same_on_both_devices(name: str, case: str) -> None:
    method = REMOVALS.load(name)()
    given = removal_case(case).for_method(method)
    setting = replace(given.setting, training=BRIEF, tuning=BRIEF)
    expected = method.remove(given.networks, given.nodes, setting)
    with second_device():
        there = replace(setting, train=setting.train.to(ELSEWHERE), validation=setting.validation.to(ELSEWHERE))
        found = method.remove(given.networks.to(ELSEWHERE), given.nodes.to(ELSEWHERE), there)
        assert all(isinstance(tensor, Elsewhere) for tensor in found.networks.tensors)
        networks, curve = found.networks.to(CPU), found.validation_loss.cpu()
    assert all(map(torch.equal, networks.tensors, expected.networks.tensors))
    assert torch.equal(curve, expected.validation_loss)


# Each scorer and removal has its own test above; here it is what an audit does besides.
@pytest.mark.parametrize("words", [
    {"layer": 0, "inside": "all", "scorers": ["integrated_gradients", "lime", "permutation", "xgboost_gain", "random"]},
    {"layer": 1, "scorers": ["deep_lift", "lime", "permutation", "unit_significance"]}], ids=["inputs", "hidden layer"])
@pytest.mark.no_cover
def test_an_audit_is_the_same_on_both_devices(words: dict, tmp_path: Path) -> None:
    iris = load_dataset("iris")
    brief = replace(iris, preset=replace(iris.preset, training=replace(iris.preset.training, epochs=4)))
    few = {"seeds": 2, "rows": 12, "lime_rows": 3, "lime_samples": 60, "tuning": 0.02, "remove": ["top:2"],
           "removals": ["retrain", "inversion_tuning", "fold_tuning"], "page": False}
    for device in ("cpu", "cuda"):
        with second_device() if device == "cuda" else nullcontext():
            result = audit(brief, out=tmp_path / device, jobs=1, device=device, say=lambda line: None, **few, **words)
        assert result.failed == []
        record = json.loads((result.path / "run.json").read_text())
        expected = {"cpu": "cpu", "cuda": "cuda: simulated"}[device]
        assert record["machine"]["device"] == expected
        assert {made["device"] for made in record["made_by"]} == {expected}
    assert_same_tables(tmp_path / "cpu", tmp_path / "cuda")


@pytest.mark.parametrize("layer", [0, 1])
def test_the_library_works_where_the_networks_are(layer: int) -> None:
    feature = "unit:1" if layer else "petal_length"
    found = []
    for device in ("cpu", "cuda"):
        with second_device():
            networks = train("iris", seeds=2, training=BRIEF, device=device).networks
            assert networks.device.type == device
            edited = remove(networks, "iris", feature, "shuffle_tuning", layer=layer, training=BRIEF)
            scores = attribute(edited, "iris", "lrp", rows=10, layer=layer, explained_by=networks).scores
            assert edited.device.type == scores.device.type == device
            found.append(scores.cpu())
    assert torch.equal(*found)


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    with second_device():
        assert choose("auto") == choose("cuda") == ELSEWHERE
        assert choose("cpu") == CPU
    with patch("torch.cuda.is_available", lambda: False):
        assert choose("auto") == CPU
        with pytest.raises(InputError, match="option 'device' is cuda: PyTorch finds no GPU here"):
            choose("cuda")
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        choose("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the message is for machines without a GPU")
def test_the_command_refuses_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    status, out, err = call_main("run", "iris", "--device", "cuda", cwd=tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("attribution-suite: option 'device' is cuda: PyTorch finds no GPU here")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a real GPU: the simulated one is the CPU")
@pytest.mark.parametrize("name", SCORERS.names)
def test_a_real_gpu_agrees_within_rounding(name: str) -> None:
    case = CASES[2]
    choice, layer = Choice(name), layer_of(name)
    expected = choice.attribute(case.networks, case.evaluation, layer)
    found = choice.attribute(case.networks.to(ELSEWHERE), case.evaluation.to(ELSEWHERE), layer)
    assert torch.allclose(found.scores.cpu(), expected.scores, rtol=1e-4, atol=1e-5)
