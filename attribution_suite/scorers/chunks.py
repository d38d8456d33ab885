"""Cuts members × rows into pieces that stay in the cache, and puts their attributions together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attribution_suite.measures.losses import explained_output
from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.view import View
from attribution_suite.scorers.attribution import Attribution, Evaluation

# Numbers in the widest layer of one piece (4 bytes each): measured fastest between 100,000 and 300,000 on two machines'
# caches of 1 MB a core; a piece of 4,000,000 is three times slower.
PIECE_VALUES = 200_000


@dataclass(frozen=True)
class Chunk:
    """Some members and rows: `inputs` `[rows, columns]` or `[members, rows, columns]`; `baseline` likewise, one row.

    `explained` `[members, rows × samples]`; `rows` and `members` say where the piece lies in the whole.
    """

    networks: Ensemble
    explained: Tensor | None
    inputs: Tensor
    baseline: Tensor
    rows: slice
    members: slice

    @property
    def view(self) -> View:
        """The piece as a module of Captum's kind."""
        return View(self.networks, self.explained)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """From the first pre-activation `[members, rows, hidden]` to the inputs, `[members, rows, columns]`."""
        return torch.bmm(gradient, self.networks.weights[0])


def chunks(networks: Ensemble, evaluation: Evaluation, points: int, samples: int = 1) -> Iterator[Chunk]:
    """Pieces of bounded size. `points`: how many network inputs the method makes of one row.

    `samples` > 1: the explained class of each row is repeated that many times in a row (a noisy row's copies).
    """
    rows, width = evaluation.inputs.shape[-2], max(networks.architecture.widths[1:])
    rows_at_once = max(1, min(rows, PIECE_VALUES // (points * width)))
    members_at_once = max(1, PIECE_VALUES // (rows_at_once * points * width))
    for first in range(0, len(networks), members_at_once):
        members = slice(first, min(first + members_at_once, len(networks)))
        chosen = networks.select(members)
        baseline = evaluation.baseline[None] if evaluation.baseline.dim() == 1 else evaluation.baseline[members, None]
        inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[members]
        for start in range(0, rows, rows_at_once):
            part = slice(start, min(start + rows_at_once, rows))
            explained = None if evaluation.explained is None else evaluation.explained[members, part]
            if explained is not None and samples > 1:
                explained = explained.repeat_interleave(samples, 1)
            yield Chunk(chosen, explained, inputs[..., part, :], baseline, part, members)


def attribute_in_chunks(scorer: str, networks: Ensemble, evaluation: Evaluation, points: int,
                        local: Callable[[Chunk], Tensor], *, samples: int = 1, complete: bool = False) -> Attribution:
    """The attribution whose φ `[members, rows, columns]` of each chunk is `local(chunk)`.

    `complete`: the method promises Σφ = f(x) − f(baseline); the relative gap is measured.
    """
    columns = torch.empty(len(networks), *evaluation.inputs.shape[-2:])
    for chunk in chunks(networks, evaluation, points, samples):
        columns[chunk.members, chunk.rows] = local(chunk)
    gap = completeness_gap(columns, networks, evaluation) if complete else None
    return Attribution.from_columns(scorer, columns, evaluation, gap)


def completeness_gap(columns: Tensor, networks: Ensemble, evaluation: Evaluation) -> Tensor:
    """Mean abs(Σ_k φ − (f(x) − f(baseline))) over mean abs(f(x) − f(baseline)), `[members]`."""
    baseline = evaluation.baseline[None] if evaluation.baseline.dim() == 1 else evaluation.baseline[:, None]
    change = networks.outputs(evaluation.inputs) - networks.outputs(baseline)
    difference = explained_output(change, evaluation.explained)
    return (columns.sum(2) - difference).abs().mean(1) / difference.abs().mean(1)
