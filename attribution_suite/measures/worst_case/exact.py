"""The largest move of a piecewise linear network: at a kink of the line, or at an end of it."""

from typing import cast

import torch
from torch import Tensor

from attribution_suite.measures.worst_case.lines import CHUNK_VALUES, Lines, Moves, effect_output
from attribution_suite.networks.perceptrons import Perceptrons


def visit_kinks(lines: Lines, moves: Moves) -> None:
    """Takes every kink and end of every line into `moves`; between two of them f is linear, so none moves further.

    Along a line the first pre-activations are linear in t; their zero crossings are the first layer's kinks. Between
    two neighbours the second layer's are linear again, and so on.
    """
    widths = lines.network.architecture.widths[1:]
    at_once = max(1, CHUNK_VALUES // ((2 + sum(widths[:-1]) // 2) * max(widths)))
    for whole in torch.arange(len(lines)).split(at_once):
        pattern = whole % lines.patterns
        line, t = whole.repeat_interleave(2), torch.stack([lines.low[pattern], lines.high[pattern]], 1).flatten()
        moves.take(*_at_kinks(cast("Perceptrons", lines.network), line, t, lines.at(line, t)))


def _at_kinks(network: Perceptrons, line: Tensor, t: Tensor, pre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lines, values t and f of the ends and all kinks, from the ends' first pre-activations `[points, hidden]`."""
    for layer in range(1, network.architecture.depth):
        if network.architecture.activation != "linear":
            line, t, pre = _with_crossings(line, t, pre, ordered=layer < network.architecture.depth - 1)
        pre = torch.addmm(network.biases[layer][0], network.activate(pre), network.weights[layer][0].T)
    return line, t, effect_output(pre)


def _with_crossings(line: Tensor, t: Tensor, pre: Tensor, ordered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The points, and those between neighbours of a line where a pre-activation crosses zero.

    The pre-activations are linear between neighbours. `ordered`: the result is in order of line and t again, as the
    search of the next layer needs it.
    """
    positive = pre > 0
    apart = (positive[1:] != positive[:-1]) & (line[1:] == line[:-1])[:, None]
    left, unit = apart.nonzero(as_tuple=True)
    before, after = pre[left, unit], pre[left + 1, unit]
    share = before / (before - after)
    line = torch.cat([line, line[left]])
    t = torch.cat([t, torch.lerp(t[left], t[left + 1], share)])
    pre = torch.cat([pre, torch.lerp(pre[left], pre[left + 1], share[:, None])])
    if not ordered:
        return line, t, pre
    order = t.argsort()
    order = order[line[order].argsort(stable=True)]
    return line[order], t[order], pre[order]
