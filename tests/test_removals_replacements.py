"""What a network, or a baseline that is fitted again, sees in the place of a removed column."""


from dataclasses import replace

import pytest
import torch
from cases import CASES, Case
from removal_cases import CLOSED, TUNED, by_method, make_split
from torch import Tensor

from attribution_suite.audit.scoring import Choice, attribute, with_replaced_background
from attribution_suite.networks.batches import Block
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.removal import Removal
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.scorers.attribution import Evaluation

# What a baseline is refitted on.

def block_of(columns: list[int], rows: int = 96, seed: int = 5) -> Block:
    inputs = make_split("regression", 400, 3).inputs
    table = inputs[:, columns]
    return Block(table[:rows], table, inputs[:rows], torch.tensor(columns), 32, torch.Generator().manual_seed(seed))


def is_row_of(rows: Tensor, table: Tensor) -> Tensor:
    return (rows[:, None] == table).all(2).any(1)


@by_method(CLOSED)
def test_edits_of_weights_replace_no_data(method: Removal) -> None:
    assert method.replacement() is None


@by_method([Retrain(), *TUNED])
def test_a_replaced_column_does_not_depend_on_what_else_is_replaced(method: Removal) -> None:
    together, alone = method.replacement()(block_of([0, 4, 5])), method.replacement()(block_of([4]))
    assert together.shape == (96, 3)
    torch.testing.assert_close(together[:, 1:2], alone)


def test_retraining_gives_baselines_a_column_of_zeros() -> None:
    assert (Retrain().replacement()(block_of([0, 4])) == 0).all()


def test_stochastic_draws_rows_of_the_marginal() -> None:
    block = block_of([0, 4], rows=400)
    drawn = StochasticTuning().replacement()(block)
    assert is_row_of(drawn, block.table).all()  # both columns from one row: their correlation stays
    assert torch.corrcoef(drawn.T)[0, 1] == pytest.approx(float(torch.corrcoef(block.table.T)[0, 1]), abs=0.1)
    assert abs(torch.corrcoef(torch.column_stack([drawn[:, 0], block.values[:, 0]]).T)[0, 1]) < 0.15
    assert len(drawn[:, 0].unique()) > 200


@pytest.mark.parametrize("deviation", [0.1, 1.0])
def test_published_stochastic_draws_normal_noise_about_the_mean(deviation: float) -> None:
    block = block_of([0, 4], rows=400)
    noise = StochasticTuning(published=True, deviation=deviation).replacement()(block) - block.table.mean(0)
    assert (noise.mean(0).abs() < 4 * deviation / 20).all()
    torch.testing.assert_close(noise.std(0), torch.full((2,), deviation), rtol=0.1, atol=0)
    assert abs(torch.corrcoef(noise.T)[0, 1]) < 0.2


def test_shuffling_permutes_rows_within_each_batch() -> None:
    block = block_of([0, 4], rows=80)  # 32 + 32 + 16
    shuffled = ShuffleTuning().replacement()(block)
    for native, mixed in zip(block.values.split(32), shuffled.split(32), strict=True):
        assert torch.equal(native[native[:, 0].argsort()], mixed[mixed[:, 0].argsort()])
        assert not torch.equal(native, mixed)


def test_inversion_mirrors_half_the_rows_about_the_training_mean() -> None:
    block = block_of([0, 4], rows=200)
    inverted = InversionTuning().replacement()(block)
    mirrored = 2 * block.table.mean(0) - block.values
    native = (inverted == block.values).all(1)
    assert torch.equal(inverted[~native], mirrored[~native])
    assert 0.4 < native.float().mean() < 0.6


def test_published_inversion_doubles_the_spread() -> None:
    block = block_of([0, 4], rows=80)
    inverted = InversionTuning(published=True).replacement()(block)
    for native, changed in zip(block.values.split(32), inverted.split(32), strict=True):
        torch.testing.assert_close(changed, native.mean(0) - 2 * (native - block.table.mean(0)))
    assert inverted.std() > 1.8 * block.values.std()


def replaced(method: Removal, case: Case) -> Evaluation:
    """The background of three variants, each without a column, for two seeds."""
    return with_replaced_background(case.evaluation, Nodes.of([(0,), (2,), (5,)]), method.replacement(), (4, 7), 16)


def test_seeds_share_a_background_that_they_would_all_draw_alike() -> None:
    table = CASES[1].evaluation.background
    zeros = replaced(Retrain(), CASES[1]).background
    assert zeros.shape == (3, *table.shape)
    for variant, column in enumerate((0, 2, 5)):
        assert not zeros[variant, :, column].any()
        assert torch.equal(zeros[variant, :, column - 1], table[:, column - 1])
    drawn = replaced(StochasticTuning(), CASES[1]).background
    assert drawn.shape == (6, *table.shape)
    assert not torch.equal(drawn[0], drawn[3])
    assert all(torch.equal(drawn[number, :, 1], table[:, 1]) for number in range(6))


@pytest.mark.parametrize("name", ["xgboost_gain", "xgboost_shap", "unit_significance"])
def test_members_that_share_a_background_score_as_if_each_had_its_own(name: str) -> None:
    case = CASES[2]
    networks = case.networks.select([0, 0, 0, 1, 1, 1])
    shared = replaced(Retrain(), case).for_members(torch.tensor([0, 1, 2]))
    shared = replace(shared, explained=case.evaluation.explained[[0, 0, 0, 1, 1, 1]])
    found, own = (attribute(Choice(name, {}), networks, evaluation) for evaluation in (
        shared, replace(shared, background=shared.background.repeat(2, 1, 1))))
    assert torch.equal(found.scores, own.scores)
    assert found.values is None or torch.equal(found.values, own.values)
    assert not torch.equal(found.scores[0], found.scores[1])  # each variant lost another column
