"""Which nodes 'top:K' stands for, where some scorers have no shares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike

from attribution_suite.auditing import plan
from attribution_suite.auditing.spec import make_spec
from attribution_suite.auditing.store import Store, Stored
from attribution_suite.datasets.load import load_request

SCORERS = ["saliency", "deep_lift", "permutation", "random"]
FIRST, SECOND, LAST = [0.6, 0.3, 0.1, 0.0], [0.2, 0.7, 0.1, 0.0], [0.0, 0.0, 0.1, 0.9]


def top(monkeypatch: pytest.MonkeyPatch, shares: ArrayLike, layer: int, count: int) -> list[tuple[str, ...]]:
    """Of iris, by `shares` `[networks, scorers, nodes]`."""
    shares = np.asarray(shares, np.float32)
    spec = make_spec(["iris"], removals=[], scorers=SCORERS, layer=layer, seeds=len(shares), decoy=False)
    dataset = load_request(spec.requests[0])
    original = plan.plan_originals(spec, dataset, None, torch.device("cpu"))
    assert list(original.subject.scorers) == SCORERS
    stored = Stored({"share": shares, "measured": np.ones(len(SCORERS), bool)}, {})
    monkeypatch.setattr(plan, "finished", lambda chunk, store: stored)
    return plan.top_nodes(original, dataset, Store(Path("nowhere")), count)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("without", "expected"), [
    ([], "sepal_length"), ([1], "sepal_length"), ([0, 1], "sepal_width")])
def test_a_scorer_votes_by_the_networks_in_which_it_has_shares(
        monkeypatch: pytest.MonkeyPatch, without: list[int], expected: str) -> None:
    """The median of 0.6, 0.6, 0.2 lets the first input lead (0.3 for the second); of 0.6, 0.2 alone, the second."""
    shares = np.array([[FIRST, FIRST, SECOND, LAST]] * 2)
    shares[without, 0] = np.nan
    assert top(monkeypatch, shares, 0, 1) == [(expected,)] * 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layer", [0, 1])
def test_without_shares_of_any_scorer_nothing_is_strongest(monkeypatch: pytest.MonkeyPatch, layer: int) -> None:
    shares = np.full((2, 4, 4 if layer == 0 else 12), np.nan)
    shares[:, 3] = 0.1  # the control's do not count
    assert top(monkeypatch, shares, layer, 2) == []


@pytest.mark.filterwarnings("error")
def test_hidden_units_are_ranked_in_each_network_and_tie_where_none_has_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = np.zeros((3, 4, 12))
    shares[0, :3, 7], shares[2, :3, 5] = 1, 1
    shares[2, 1] = np.nan
    shares[1, :3] = np.nan
    assert top(monkeypatch, shares, 1, 1) == [("unit:7",), ("unit:0",), ("unit:5",)]
