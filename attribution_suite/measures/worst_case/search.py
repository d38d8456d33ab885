"""The largest move within a finite domain: every value of it."""

import torch

from attribution_suite.measures.worst_case.lines import CHUNK_VALUES, Lines, Moves


def visit_values(lines: Lines, moves: Moves) -> None:
    """Takes every line of a finite domain, a point each, into `moves`; for any network."""
    at_once = max(1, CHUNK_VALUES // max(lines.network.architecture.widths[1:]))
    for line in torch.arange(len(lines)).split(at_once):
        t = torch.zeros(len(line), dtype=lines.low.dtype)
        moves.take(line, t, lines.outputs(lines.at(line, t)))
