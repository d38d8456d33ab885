"""What a network, or a baseline that is fitted again, sees in the place of a removed column."""

from dataclasses import replace

import pytest
import torch
from cases import CASES, Case
from removal_cases import REPLACING, by_method, make_split
from scipy import stats
from torch import Tensor

from attribution_suite.auditing.work.score import with_replaced_background
from attribution_suite.datasets.table import Split
from attribution_suite.networks.backward import Batch, ReplacedColumns
from attribution_suite.networks.batches import Batches, Block, Replacement
from attribution_suite.networks.nodes import Nodes
from attribution_suite.removals.conditional_tuning import ConditionalTuning
from attribution_suite.removals.inversion_tuning import InversionTuning
from attribution_suite.removals.removal import Removal
from attribution_suite.removals.retrain import Retrain
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.removals.stochastic_tuning import StochasticTuning
from attribution_suite.scorers.attribution import Evaluation
from attribution_suite.scorers.choice import Choice


def block_of(columns: list[int], rows: int = 96, seed: int = 5) -> Block:
    """Of members that lose one of `columns` each."""
    inputs, alone = make_split("regression", 400, 3).inputs, torch.arange(len(columns))[:, None]
    table = inputs[:, columns]
    return Block(table[:rows], table, inputs[:rows], inputs, torch.tensor(columns), alone, 32, seed,
                 torch.Generator().manual_seed(seed))


def is_row_of(rows: Tensor, table: Tensor) -> Tensor:
    return (rows[:, None] == table).all(2).any(1)


@by_method(REPLACING)
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


def test_published_noise_is_centred_at_the_training_mean() -> None:
    """Not at zero, nor at the mean of the batch: the table has other rows than the block."""
    block = block_of([0, 4], rows=40)
    drawn = StochasticTuning(published=True, deviation=1e-3).replacement()(block)
    centre = block.training[:, [0, 4]].mean(0)
    torch.testing.assert_close(drawn, centre.expand_as(drawn), rtol=0, atol=5e-3)
    for other in (torch.zeros(2), block.values.mean(0)):
        assert ((centre - other).abs() > 0.03).any()


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


def test_inversion_makes_a_category_another_one_of_the_data() -> None:
    """It says nothing of the native one: each is seen by its frequency, whatever was there."""
    block = block_of([1, 2, 3, 4], rows=400)
    inverted = InversionTuning().replacement()(block)
    assert is_row_of(inverted[:, :3], block.table[:, :3]).all()
    native, seen = block.values[:, :3].argmax(1), inverted[:, :3].argmax(1)
    counts = torch.stack([seen[native == c].bincount(minlength=3) for c in range(3)]).numpy()
    assert stats.chi2_contingency(counts).pvalue > 0.01 and (counts > 20).all()
    mirrored = 2 * block.table[:, 3].mean() - block.values[:, 3]
    number = inverted[:, 3]
    assert (torch.isclose(number, mirrored, atol=1e-5) | (number == block.values[:, 3])).all()  # beside it


def test_published_inversion_doubles_the_spread() -> None:
    block = block_of([0, 4], rows=80)
    inverted = InversionTuning(published=True).replacement()(block)
    for native, changed in zip(block.values.split(32), inverted.split(32), strict=True):
        torch.testing.assert_close(changed, native.mean(0) - 2 * (native - block.table.mean(0)))
    assert inverted.std() > 1.8 * block.values.std()


# Given the other columns.

def test_a_number_is_drawn_from_its_gaussian_given_the_others() -> None:
    """Closed form: the joint covariance stays, and with the native value only Σ_jr Σ_rr⁻¹ Σ_rj is shared."""
    generator = torch.Generator().manual_seed(2)
    mixing = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.8, 0.6, 0.0, 0.0], [0.3, -0.5, 0.8, 0.0], [0.0, 0.7, 0.2, 0.7]])
    rows = torch.randn(20_000, 4, generator=generator) @ mixing.T + torch.tensor([1.0, 0.0, -2.0, 0.5])
    sigma, gone, rest = mixing @ mixing.T, [0, 3], [1, 2]
    columns = torch.tensor([*gone, 0])  # 0 and 3 together, and 0 alone: another fit
    table, groups = rows[:, columns], torch.tensor([[0, 1], [2, 2]])
    drawn = ConditionalTuning().replacement()(Block(table, table, rows, rows, columns, groups, 32, 1, generator))
    together = torch.cov(torch.cat([drawn[:, :2], rows[:, rest], rows[:, gone]], 1).T)
    explained = sigma[gone][:, rest] @ torch.linalg.solve(sigma[rest][:, rest], sigma[rest][:, gone])
    order = [*gone, *rest]
    torch.testing.assert_close(together[:4, :4], sigma[order][:, order], rtol=0, atol=0.04)
    torch.testing.assert_close(together[:2, 4:], explained, rtol=0, atol=0.04)
    torch.testing.assert_close(drawn[:, :2].mean(0), rows[:, gone].mean(0), rtol=0, atol=0.03)
    others = [1, 2, 3]
    alone = sigma[0, others] @ torch.linalg.solve(sigma[others][:, others], sigma[others][:, 0])
    assert float(torch.cov(torch.stack([drawn[:, 2], rows[:, 0]]))[0, 1]) == pytest.approx(float(alone), abs=0.03)
    assert abs(float(alone) - float(explained[0, 0])) > 0.05  # the two fits of column 0 differ


def test_a_category_is_drawn_from_its_probabilities_given_the_others() -> None:
    """Closed form: normal x of mean μ_c in category c gives p_c(x) ∝ π_c exp(μ_c x − μ_c²/2)."""
    generator = torch.Generator().manual_seed(3)
    means, part = torch.tensor([-1.5, 0.0, 1.0]), torch.tensor([0.2, 0.5, 0.3])
    category = torch.multinomial(part, 8000, True, generator=generator)
    x = means[category] + torch.randn(8000, generator=generator)
    number = torch.where(category == 1, 2.0, -1.0) + x + 0.3 * torch.randn(8000, generator=generator)  # of the group
    rows = torch.column_stack([torch.eye(3)[category], x, number])
    columns = torch.tensor([0, 1, 2, 4])
    table, groups = rows[:, columns], torch.tensor([[0, 1, 2, 3]])
    drawn = ConditionalTuning().replacement()(Block(table, table, rows, rows, columns, groups, 32, 1, generator))
    assert is_row_of(drawn[:, :3], torch.eye(3)).all()
    probability = torch.softmax(part.log() + means * x[:, None] - means**2 / 2, 1)
    for low, high in ((-4, -1.5), (-1.5, 0), (0, 1), (1, 4)):
        near = (x > low) & (x < high)
        torch.testing.assert_close(drawn[near, :3].mean(0), probability[near].mean(0), rtol=0, atol=0.06)
    assert (drawn[:, :3].argmax(1) == category).float().mean() < 0.75  # drawn, not kept
    fitted = torch.where(drawn[:, 1] == 1, 2.0, -1.0) + x  # the number goes with the category that was drawn
    assert float((drawn[:, 3] - fitted).std()) == pytest.approx(0.3, abs=0.05)


def test_a_flag_is_drawn_from_its_odds_given_the_others() -> None:
    """Closed form: x normal of mean m with the flag and −m without has log odds 2 m x + log(π₁ / π₀)."""
    generator = torch.Generator().manual_seed(4)
    flag = (torch.rand(8000, generator=generator) < 0.3).float()
    x = 2 * flag - 1 + torch.randn(8000, generator=generator)
    rows, columns = torch.column_stack([flag * 4 - 1, x]), torch.tensor([0])  # a flag of −1 and 3
    drawn = ConditionalTuning().replacement()(Block(rows[:, :1], rows[:, :1], rows, rows, columns,
                                                    torch.tensor([[0]]), 32, 1, generator))[:, 0]
    probability = torch.sigmoid(2 * x + torch.tensor(0.3 / 0.7).log())
    for low, high in ((-4, -1), (-1, 0), (0, 1), (1, 4)):
        near = (x > low) & (x < high)
        assert float((drawn[near] == 3).float().mean()) == pytest.approx(float(probability[near].mean()), abs=0.04)
    assert set(drawn.tolist()) == {-1.0, 3.0}
    assert float(((drawn == 3) == (flag == 1)).float().mean()) < 0.9  # drawn, not kept


# What a method may do with a block: each uses another part of it.

def mirrored_category(block: Block) -> Tensor:
    """Every category becomes another one, the same in all batches of a seed."""
    mirrored = block.values.clone()
    for padded in block.groups.tolist():
        group = list(dict.fromkeys(padded))
        step = 1 + block.seed % max(1, len(group) - 1)
        mirrored[:, group] = block.values[:, group].roll(step, 1)
    return mirrored


def batch_of(replacement: Replacement, groups: list[tuple[int, ...]], seeds: tuple[int, ...]) -> tuple[Split, Batch]:
    """The training rows, as members of every seed that lose `groups` see them."""
    split = make_split("regression", 400, 3)
    replaced_columns = ReplacedColumns.of(Nodes.of(groups * len(seeds)), len(seeds))
    return split, Batches(split, seeds, 32, replaced_columns, replacement).fixed()


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_a_replacement_may_draw_from_the_other_columns_of_the_training_table() -> None:
    split, batch = batch_of(ConditionalTuning().replacement(), [(4,), (1, 2, 3)], (4, 7))
    seen = batch.replaced.view(4, 3, 400)  # two seeds of two members, padded to three columns
    native = correlation(split.inputs[:, 4], split.inputs[:, 0])
    assert native == pytest.approx(0.6, abs=0.1)
    for member in (0, 2):
        assert correlation(seen[member, 0], split.inputs[:, 0]) == pytest.approx(native, abs=0.1)
        assert abs(correlation(seen[member, 0] - 0.6 * split.inputs[:, 0],
                               split.inputs[:, 4] - 0.6 * split.inputs[:, 0])) < 0.15
    assert not torch.equal(seen[0, 0], seen[2, 0])
    # negative control: a draw from the column's own table knows nothing of the others
    alone = batch_of(StochasticTuning().replacement(), [(4,), (1, 2, 3)], (4, 7))[1].replaced.view(4, 3, 400)
    assert abs(correlation(alone[0, 0], split.inputs[:, 0])) < 0.15


def test_a_replacement_may_know_the_group_and_the_seed() -> None:
    split, batch = batch_of(mirrored_category, [(4,), (1, 2, 3)], (4, 7))
    seen = batch.replaced.view(4, 3, 400)
    category = split.inputs[:, 1:4].argmax(1)
    for member, step in ((1, 1), (3, 2)):  # seeds 4 and 7
        assert is_row_of(seen[member].T, split.inputs[:, 1:4]).all()  # a category still
        assert torch.equal(seen[member].argmax(0), (category + step) % 3)
    assert torch.equal(seen[0, 0], split.inputs[:, 4])  # a group of one has nothing to change with
    blocks = [batch.replaced for batch in Batches(split, (4,), 4, ReplacedColumns.of(Nodes.of([(1, 2, 3)]), 1),
                                                  mirrored_category).epoch()]
    assert len(blocks) == 100 and all(set(rows.unique().tolist()) == {-0.5, 1.5} for rows in blocks)


def test_a_baselines_background_is_drawn_from_the_same_block() -> None:
    table = make_split("regression", 400, 3).inputs
    evaluation = replace(CASES[1].evaluation, background=table, background_targets=torch.zeros(400))
    for seed, step in ((4, 1), (7, 2)):
        found = with_replaced_background(evaluation, Nodes.of([(4,), (1, 2, 3)]), mirrored_category, seed, 16)
        assert torch.equal(found.background[1, :, 1:4].argmax(1), (table[:, 1:4].argmax(1) + step) % 3)
    conditional = ConditionalTuning().replacement()
    drawn = with_replaced_background(evaluation, Nodes.of([(4,), (1, 2, 3)]), conditional, 4, 16).background
    assert correlation(drawn[0, :, 4], table[:, 0]) == pytest.approx(0.6, abs=0.1)


# What a baseline is refitted on.

def replaced(method: Removal, case: Case) -> Evaluation:
    """The background of three variants, each without a column."""
    return with_replaced_background(case.evaluation, Nodes.of([(0,), (2,), (5,)]), method.replacement(), 4, 16)


def test_all_seeds_share_a_background_a_variant() -> None:
    table = CASES[1].evaluation.background
    zeros = replaced(Retrain(), CASES[1]).background
    assert zeros.shape == (3, *table.shape)
    for variant, column in enumerate((0, 2, 5)):
        assert not zeros[variant, :, column].any()
        assert torch.equal(zeros[variant, :, column - 1], table[:, column - 1])
    drawn = replaced(StochasticTuning(), CASES[1]).background
    assert drawn.shape == (3, *table.shape)
    assert all(torch.equal(drawn[number, :, 1], table[:, 1]) for number in range(3))
    assert not torch.equal(drawn[0, :, 0], table[:, 0])


@pytest.mark.parametrize("name", ["xgboost_gain", "xgboost_shap", "unit_significance"])
def test_members_that_share_a_background_score_as_if_each_had_its_own(name: str) -> None:
    case = CASES[2]
    networks = case.networks.select([0, 0, 0, 1, 1, 1])
    shared = replaced(Retrain(), case).for_members(torch.tensor([0, 1, 2]))
    shared = replace(shared, explained=case.evaluation.explained[[0, 0, 0, 1, 1, 1]])
    found, own = (Choice(name).attribute(networks, evaluation) for evaluation in (
        shared, replace(shared, background=shared.background.repeat(2, 1, 1))))
    assert torch.equal(found.scores, own.scores)
    assert found.values is None or torch.equal(found.values, own.values)
    assert not torch.equal(found.scores[0], found.scores[1])  # each variant lost another column
