"""Cuts members × rows into pieces that Captum attributes in one call each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attribution_suite.networks.ensemble import Ensemble
from attribution_suite.networks.view import View
from attribution_suite.scorers.attribution import Attribution, Evaluation


@dataclass(frozen=True)
class Chunk:
    """Some members and rows: `inputs` `[rows, columns]` or `[members, rows, columns]`; `baseline` likewise, one row."""

    view: View
    inputs: Tensor
    baseline: Tensor
    rows: slice
    members: slice

    @property
    def entered(self) -> tuple[Tensor, Tensor]:
        """Inputs and baseline as the view takes them, `[rows, members, hidden]` and `[1, members, hidden]`."""
        return self.view.enter(self.inputs), self.view.enter(self.baseline)


def chunks(networks: Ensemble, evaluation: Evaluation, points: int, samples: int = 1) -> Iterator[Chunk]:
    """Pieces of bounded size. `points`: how many network inputs the method makes of one row.

    `samples` > 1: the view is told the explained class of each row that many times in a row (a noisy row's copies).
    """
    rows, wide = evaluation.inputs.shape[-2], 2 * sum(networks.architecture.widths[1:])
    rows_at_once = max(1, min(rows, networks.chunk_values // (points * wide)))
    for members, chosen in networks.chunks(rows_at_once * points * wide):
        baseline = evaluation.baseline[None] if evaluation.baseline.dim() == 1 else evaluation.baseline[members, None]
        inputs = evaluation.inputs if evaluation.inputs.dim() == 2 else evaluation.inputs[members]
        for start in range(0, rows, rows_at_once):
            part = slice(start, min(start + rows_at_once, rows))
            explained = None if evaluation.explained is None else evaluation.explained[members, part]
            if explained is not None and samples > 1:
                explained = explained.repeat_interleave(samples, 1)
            yield Chunk(View(chosen, explained), inputs[..., part, :], baseline, part, members)


def attribute_in_chunks(scorer: str, networks: Ensemble, evaluation: Evaluation, points: int,
                        local: Callable[[Chunk], Tensor], *, samples: int = 1, complete: bool = False) -> Attribution:
    """The attribution whose φ `[members, rows, columns]` of each chunk is `local(chunk)`.

    `complete`: the method promises Σφ = f(x) − f(baseline); the relative gap is measured.
    """
    columns = torch.empty(len(networks), evaluation.inputs.shape[-2], evaluation.inputs.shape[-1])
    for chunk in chunks(networks, evaluation, points, samples):
        columns[chunk.members, chunk.rows] = local(chunk)
    gap = completeness_gap(columns, networks, evaluation) if complete else None
    return Attribution.from_columns(scorer, columns, evaluation, gap)


def completeness_gap(columns: Tensor, networks: Ensemble, evaluation: Evaluation) -> Tensor:
    """Mean abs(Σ_k φ − (f(x) − f(baseline))) over mean abs(f(x) − f(baseline)), `[members]`."""
    baseline = evaluation.baseline[None] if evaluation.baseline.dim() == 1 else evaluation.baseline[:, None]
    difference = explained_output(networks.outputs(evaluation.inputs) - networks.outputs(baseline), evaluation)
    return (columns.sum(2) - difference).abs().mean(1) / difference.abs().mean(1)


def explained_output(outputs: Tensor, evaluation: Evaluation) -> Tensor:
    """The explained one of the outputs `[members, rows, outputs]`, `[members, rows]`."""
    if evaluation.explained is None:
        return outputs[..., 0]
    return outputs.gather(2, evaluation.explained[..., None])[..., 0]
