"""The largest move of a smooth network: enclosed between the largest value found and a bound."""

from typing import cast

import torch
from torch import Tensor

from attribution_suite.measures.worst_case.bends import bends
from attribution_suite.measures.worst_case.lines import CHUNK_VALUES, Lines, Moves
from attribution_suite.networks.perceptrons import Perceptrons

START, SPLIT = 64, 4  # pieces of every line at first, and of each piece that is refined
EVALUATIONS = 2_000  # of one row, at most


def enclose(lines: Lines, moves: Moves, delta: float) -> float:
    """Takes points of every line into `moves`; returns a bound on |Δf| over all rows and values, ≥ `moves.effect`.

    A piece of a line is refined while its bound is above delta, nothing found is, and its row has evaluations left: one
    move found that is larger than delta settles the network, whatever the bound.
    """
    bound, spent = 0.0, torch.zeros(len(lines.base), dtype=torch.int64)
    line = torch.arange(len(lines))
    low, high, count = lines.low[line % lines.patterns], lines.high[line % lines.patterns], START
    while len(line):
        spent += torch.bincount(line // lines.patterns, minlength=len(spent)) * (count + 1)
        line, low, high, bounds = _cut(lines, moves, line, low, high, count)
        count, row = SPLIT, line // lines.patterns
        refined = (bounds > delta) & (high > low) & (moves.effect <= delta)
        asked = spent + torch.bincount(row[refined], minlength=len(spent)) * (SPLIT + 1)
        refined &= asked[row] <= EVALUATIONS
        if not bool(refined.all()):
            bound = max(bound, float(bounds[~refined].max()))
        line, low, high = line[refined], low[refined], high[refined]
    return max(bound, moves.effect)


def _cut(lines: Lines, moves: Moves, line: Tensor, low: Tensor, high: Tensor, count: int) -> tuple[Tensor, ...]:
    """Stretches of lines, `[stretches]`, each cut in `count`: the pieces' line, low, high and bound, `[pieces]`."""
    network = cast("Perceptrons", lines.network)
    share = torch.linspace(0, 1, count + 1, dtype=low.dtype)
    at_once = max(1, CHUNK_VALUES // ((count + 1) * max(network.architecture.widths[1:])))
    pieces = []
    for chunk in torch.arange(len(line)).split(at_once):
        index = line[chunk, None]
        t = torch.lerp(low[chunk, None], high[chunk, None], share)
        f, sag = chords(network, lines.at(index.expand_as(t), t), lines.direction, (high - low)[chunk] / count)
        change = moves.take(index.expand_as(t).flatten(), t.flatten(), f.flatten(0, 1)).view_as(f)
        bounds = (torch.maximum(change[:, 1:], change[:, :-1]) + sag).amax(2)
        pieces.append((index.expand_as(bounds), t[:, :-1], t[:, 1:], bounds))
    return tuple(torch.cat(part).flatten() for part in zip(*pieces, strict=True))


def chords(network: Perceptrons, pre: Tensor, direction: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """f at evenly spaced points, `[lines, points, outputs]`, and how far it is from its chords at most.

    `pre` `[lines, points, hidden]` are the points' first pre-activations, `step` `[lines]` the pieces' lengths; the
    second result is `[lines, points − 1, outputs]`. Bounds S on |z'| and C on |z''| of every unit over a piece go
    through the layers: of h = σ(z), |h'| ≤ max|σ'| S and |h''| ≤ max|σ''| S² + max|σ'| C; of W h, |W| times these. A
    function is off its chord by at most min(step² C / 8, step S / 2); this and the piece's ends bound z, so |σ'| and
    |σ''|, on it.
    """
    step = step[:, None, None]
    slope, curve, sag = direction.abs().expand_as(pre[:, 1:]), torch.zeros_like(direction), torch.zeros_like(direction)
    for layer in range(1, network.architecture.depth):
        active = network.activate(pre)
        steepness, bend = bends(network.architecture.activation, pre, active, sag)
        curve = bend * slope.square() + steepness * curve
        slope = steepness * slope
        weight, bias = network.weights[layer][0], network.biases[layer][0]
        if layer == network.architecture.depth - 1 and len(weight) > 1:
            weight, bias = weight - weight.mean(0), bias - bias.mean()  # f: each logit minus their mean
        pre = active @ weight.T + bias
        slope, curve = slope @ weight.abs().T, curve @ weight.abs().T
        sag = torch.minimum(step.square() * curve / 8, step * slope / 2)
    return pre, sag
