"""Draws: which scorers draw is declared and measured; seeds have their own, an original and its edits share them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import CASES, SCORED, Case, layer_of

from attribution_suite import audit, load_dataset
from attribution_suite.scorers import SCORERS, memory, xgboost_fit
from attribution_suite.scorers.attribution import Attribution
from attribution_suite.scorers.choice import Choice, traits_of

pytestmark = pytest.mark.usefixtures("plain")
OPTIONS = {"lime": {"samples": 200}}


def choice(name: str) -> Choice:
    return Choice(name, OPTIONS.get(name, {}))


@pytest.mark.parametrize(("name", "case"), SCORED)
def test_another_seed_gives_other_numbers_exactly_where_it_is_declared(name: str, case: Case) -> None:
    scores = [choice(name).attribute(case.networks, replace(case.evaluation, seed=seed), layer_of(name)).scores
              for seed in (3, 4)]
    traits = traits_of(name)
    if not traits.control and traits.reads != "labels":
        assert torch.equal(*scores) is not traits.draws


@pytest.mark.parametrize("name", [name for name in SCORERS.names if traits_of(name).draws])
def test_a_seeds_networks_share_its_draws(name: str) -> None:
    """Each seed as if it were asked alone, with its own number; the other seed's draws are others."""
    case = CASES[0]
    pair = case.networks.select([0, 0, 0, 0])  # one network, twice for each of two seeds
    evaluation = case.evaluation.for_members(torch.tensor([0, 0, 0, 0]))
    together = choice(name).attribute_seeds(pair, evaluation, 0, [7, 9])
    assert isinstance(together, Attribution)
    torch.testing.assert_close(together.scores[[0, 2]], together.scores[[1, 3]], rtol=1e-6, atol=0)
    assert not torch.allclose(together.scores[0], together.scores[2], rtol=1e-4)
    for seed, members in ((7, [0, 1]), (9, [2, 3])):
        alone = choice(name).attribute(pair.select(members), replace(
            evaluation.for_members(torch.tensor(members)), seed=seed))
        assert torch.equal(alone.scores, together.scores[members])
        if alone.values is not None and together.values is not None:
            assert torch.equal(alone.values, together.values[members])


def test_an_original_and_its_edit_share_draws_in_an_audit(tmp_path: Path) -> None:
    """An edit that changes next to nothing moves no share; another seed's draws would."""
    table = load_dataset("iris")
    run = audit(table, remove="petal_width", removals=["shuffle_tuning"], scorers=["lime", "gradient_shap"], seeds=2,
                tuning=1e-9, lime_rows=20, lime_samples=500, out=tmp_path, jobs=1, say=lambda _: None)
    shares = run.table("attributions").pivot_table(
        index=["scorer", "seed", "feature"], columns="removal", values="share")
    moved = (shares.shuffle_tuning - shares.original).abs().groupby("scorer").mean()
    spread = shares.original.unstack("seed").diff(axis=1)[1].abs().groupby("scorer").mean()
    assert (moved < spread).all() and np.isfinite(moved).all()


def test_what_scorers_share_is_made_once_for_all_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gain and SHAP read one fit a network and seed; the wrong thing to keep would be the last seed's alone."""
    memory.forget()
    fits, fit = [], xgboost_fit.XGBoostScorer.train
    monkeypatch.setattr(xgboost_fit.XGBoostScorer, "train", lambda *args, **more: fits.append(1) or fit(*args, **more))
    networks = CASES[0].networks.select([0, 0, 0])
    evaluation = CASES[0].evaluation.for_members(torch.tensor([0, 0, 0]))
    for name in ("xgboost_gain_surrogate", "xgboost_shap_surrogate"):
        Choice(name).attribute_seeds(networks, evaluation, 0, [1, 2, 3])
    assert len(fits) == 3
    memory.forget()
