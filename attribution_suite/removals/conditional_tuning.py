"""Fine-tuning on a column drawn from what the other columns say of it."""

import warnings
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from attribution_suite.networks.batches import Block, Replacement
from attribution_suite.removals.folding import covariance, regress
from attribution_suite.removals.removal import RemovalTraits
from attribution_suite.removals.tuning import ReplacingTuning

FIT_ROWS = 5000  # the training rows that the fits see, evenly spread over all of them


@dataclass(frozen=True)
class ConditionalTuning(ReplacingTuning):
    """Warm start; x_j is redrawn from its distribution given the other columns, so that only what they say stays.

    A number: its least-squares fit on the other columns plus the residual of a random training row. Columns of two
    values (a category, a flag) take a pattern drawn from the probabilities that a multinomial logistic regression on
    the other columns fits to them; a number in the same group is fitted on these too. The network keeps what the
    other columns say of x_j; a residual that is much narrower than the column leaves its weight alive.
    """

    name: ClassVar[str] = "conditional_tuning"
    traits: ClassVar[RemovalTraits] = RemovalTraits(
        reads="in training", exact=False, tuned=True, default=False, of_index="never")

    def replacement(self) -> Replacement:
        """Draws from the fits, which are made when a group is first seen and kept."""
        return ConditionalDraw()


@dataclass(frozen=True)
class Conditional:
    """One group given the other columns, fitted on training rows.

    A number: `shift` `[numbers]` + the row @ `slope` `[features, numbers]` + a row of `residuals` `[rows, numbers]`.
    Flags: one of `patterns` `[patterns, flags]` by softmax(`intercept` `[patterns]` + the row @ `logits`
    `[features, patterns]`). `numbers`, `flags`: their positions among the features.
    """

    numbers: Tensor
    slope: Tensor
    shift: Tensor
    residuals: Tensor
    flags: Tensor
    patterns: Tensor
    logits: Tensor
    intercept: Tensor

    @classmethod
    def fit(cls, training: Tensor, group: Tensor) -> "Conditional":
        """`training` `[rows, features]`, `group` the columns that go."""
        ends = training[:, group].aminmax(dim=0)
        two = ((training[:, group] == ends.min) | (training[:, group] == ends.max)).all(0)
        numbers, flags = group[~two], group[two]
        everything = torch.arange(training.shape[1], device=group.device)
        mean, matrix = covariance(training)
        slope = regress(matrix, numbers, everything[~torch.isin(everything, numbers)])
        shift = mean[numbers] - mean @ slope
        slope, shift = slope.to(training), shift.to(training)
        residuals = training[:, numbers] - training @ slope - shift
        rest = everything[~torch.isin(everything, group)]
        return cls(numbers, slope, shift, residuals, flags, *_logistic(training, flags, rest))

    def draw(self, inputs: Tensor, uniform: Tensor, row: Tensor) -> Tensor:
        """`inputs` `[rows, features]` with the group drawn anew: by `uniform` in [0, 1), and the residuals of `row`."""
        drawn = inputs.clone()
        if len(self.patterns):
            below = torch.softmax(inputs @ self.logits + self.intercept, 1).cumsum(1)
            chosen = (below < uniform[:, None]).sum(1).clamp_max(len(self.patterns) - 1)
            drawn[:, self.flags] = self.patterns[chosen]
        drawn[:, self.numbers] = drawn @ self.slope + self.shift + self.residuals[row]
        return drawn


@dataclass(frozen=True)
class ConditionalDraw:
    """A `Replacement`: every group of a block drawn given the columns outside it.

    `fits` by seed's table and group, each beside the table that it was fitted to.
    """

    fits: dict[tuple[int, tuple[int, ...]], tuple[Tensor, Conditional]] = field(default_factory=dict)

    def __call__(self, block: Block) -> Tensor:
        """`[rows, columns]`. Rows draw alike for every group, whatever others there are."""
        uniform = torch.rand(len(block.values), generator=block.generator).to(block.values)
        table = block.training[::-(-len(block.training) // FIT_ROWS)]
        row = torch.randint(len(table), (len(block.values),), generator=block.generator).to(block.columns)
        drawn = block.values.clone()
        for group in block.groups.unique(dim=0):
            place = group.unique()
            columns = block.columns[place]
            key = (table.data_ptr(), tuple(columns.tolist()))
            if key not in self.fits:  # the table is kept, so that no other one takes its place in memory
                self.fits[key] = table, Conditional.fit(table, columns)
            drawn[:, place] = self.fits[key][1].draw(block.inputs, uniform, row)[:, columns]
        return drawn


def _logistic(training: Tensor, flags: Tensor, rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Patterns `[patterns, flags]`, logits `[features, patterns]` and intercept; the logits of all but `rest` are 0."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    logits = training.new_zeros(training.shape[1], 0)
    if not len(flags):
        return training.new_zeros(0, 0), logits, training.new_zeros(0)
    patterns, pattern = training[:, flags].unique(dim=0, return_inverse=True)
    if len(patterns) == 1:
        return patterns, training.new_zeros(training.shape[1], 1), training.new_zeros(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fit that is nearly there draws nearly the same
        model = LogisticRegression(max_iter=200).fit(training[:, rest].numpy(force=True).astype(float),
                                                     pattern.numpy(force=True))
    slope, intercept = (torch.from_numpy(part).to(training) for part in (model.coef_.T, model.intercept_))
    if len(patterns) == 2:  # scikit-learn fits the second's log odds
        slope, intercept = (torch.cat([torch.zeros_like(part), part], -1) for part in (slope, intercept))
    logits = training.new_zeros(training.shape[1], len(patterns))
    logits[rest] = slope
    return patterns, logits, intercept
