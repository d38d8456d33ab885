"""Which nodes 'top:K' stands for: those with the largest direct effect, recomputed on plain modules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import nn

from attribution_suite import audit, load_dataset, train
from attribution_suite.auditing import plan, workers
from attribution_suite.auditing.run import prepare
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.store import Store, Stored
from attribution_suite.auditing.workers import suited_workers
from attribution_suite.conclusions.summary import edits
from attribution_suite.datasets.load import load_request

pytestmark = pytest.mark.usefixtures("plain")
WORDS = {"removals": ["constant"], "scorers": ["saliency"], "seeds": 2, "jobs": 1, "say": lambda _: None}


def top(monkeypatch: pytest.MonkeyPatch, effects: ArrayLike, layer: int, count: int) -> list[tuple[str, ...]]:
    """Of iris, by `effects` `[networks, nodes]`."""
    effects = np.asarray(effects, np.float32)
    spec = make_spec(["iris"], removals=[], scorers=["saliency"], layer=layer, seeds=len(effects), decoy=layer == 0)
    dataset = load_request(spec.requests[0])
    original = plan.plan_originals(spec, dataset, None, torch.device("cpu"))
    monkeypatch.setattr(plan, "finished", lambda chunk, store: Stored({"each_effect": effects}, {}))
    return plan.top_nodes(original, [original], dataset, Store(Path("nowhere")), count)


def test_inputs_are_ranked_by_the_mean_over_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second leads in the mean (.5 to .4), the first in one network; the decoy's effect never counts."""
    effects = [[0.7, 0.4, 0.1, 0.2, 9.0], [0.1, 0.6, 0.2, 0.1, 9.0]]
    assert top(monkeypatch, effects, 0, 2) == [("sepal_width", "sepal_length")] * 2


def test_hidden_units_are_ranked_in_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    effects = np.zeros((2, 12))
    effects[0, 7], effects[0, 3], effects[1, 5] = 2, 1, 1
    assert top(monkeypatch, effects, 1, 2) == [("unit:7", "unit:3"), ("unit:5", "unit:0")]


def effect(module: nn.Module, rows: torch.Tensor, column: int, classes: torch.Tensor) -> float:
    """Mean abs(f(x) − f(x with the column permuted)) of the explained class, in the audit's order of rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    changed = rows.clone()
    changed[:, column] = rows[order, column]
    move = (module(changed) - module(rows)).abs().gather(1, classes[:, None])
    return float(move.mean())


@pytest.mark.parametrize("layer", [0, 1])
def test_an_audit_removes_the_strongest(tmp_path: Path, layer: int) -> None:
    table = load_dataset("iris").with_decoy()
    networks = train(table, seeds=2).networks
    tails, rows = networks.tail(layer), networks.activations(table.test.inputs)[layer]
    classes = networks.outputs(table.test.inputs).argmax(2)
    count = rows.shape[2] - (layer == 0)
    effects = np.array([[effect(tails.to_module(seed), rows[seed], column, classes[seed]) for column in range(count)]
                        for seed in range(2)])
    outcomes = edits(audit("iris", remove="top:2", layer=layer, out=tmp_path, **WORDS).table("outcomes"))
    names = [f"unit:{unit}" for unit in range(count)] if layer else list(table.groups)[:count]
    for seed in range(2):
        order = np.argsort(-(effects[seed] if layer else effects.mean(0)), kind="stable")[:2]
        removed = outcomes[outcomes.seed == seed].set_index("rank").removed.to_dict()
        assert removed == {1: names[order[0]], 2: names[order[1]]}


@pytest.mark.parametrize(("words", "alone"), [
    ({}, True),
    ({"datasets": ["heart"], "remove": ["Sex"]}, True),
    ({"datasets": ["prudential"], "remove": ["BMI"]}, False),  # real or simulated, many rows
    ({"scorers": None}, False),  # all of the main job's
    ({"seeds": 6}, False),
    ({"inside": "all"}, False),
    ({"metrics": True}, False),
    ({"reference": "all"}, False),
])
def test_a_small_run_takes_one_process(words: dict[str, Any], alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"datasets": ["iris"], "scorers": ["saliency", "lime"], **words}
    prepared = prepare(make_spec(said.pop("datasets"), **said), device="cpu", say=lambda line: None)
    monkeypatch.setattr(workers, "available_cores", lambda: 7)
    assert suited_workers(prepared.spec, prepared.plan, prepared.datasets) == (1 if alone else 7)
