"""What a network, or a baseline that is fitted again, sees in the place of a removed column."""


import pytest
import torch
from removal_cases import CLOSED, TUNED, by_method, make_split
from torch import Tensor

from attribution_suite.networks.batches import Block
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.removal import Removal
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning

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
