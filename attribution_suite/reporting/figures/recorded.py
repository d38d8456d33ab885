"""What the figures of recorded weights share: which epochs, units and inputs are drawn, colours, panels, the legend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.reporting.figures.style import CLASS_COLOURS, GREY, WIDTH, label

NAMED = 8  # inputs with a colour of their own: the eye tells no more apart
LEGEND = 6  # names in a line of the legend


def recorded_epochs(history: Tensor) -> np.ndarray:
    """`[epochs, hidden, features]` of one member, its stopped epochs left out."""
    if history.dim() != 3:
        raise InputError(f"a figure shows the history of one member, [epochs, hidden, features], got "
                         f"{list(history.shape)}: choose one with history[:, member]")
    values = history.numpy()
    recorded: np.ndarray = values[np.isfinite(values).all((1, 2))]
    return recorded


def moved_units(weights: np.ndarray, most: int) -> np.ndarray:
    """The `most` units whose weights moved most, in their order."""
    return np.sort(np.argsort(-weights.std(0).sum(1), kind="stable")[:most])


def ranked(weights: np.ndarray) -> np.ndarray:
    """Columns by the summed standard deviation of their weights, largest first."""
    return np.argsort(-weights.std(0).sum(0), kind="stable")


def palette(weights: np.ndarray) -> list[str]:
    """A colour for each of the inputs that moved most; grey for the others."""
    named = {int(column): colour for column, colour in zip(ranked(weights), CLASS_COLOURS[:NAMED], strict=False)}
    return [named.get(column, GREY) for column in range(weights.shape[2])]


def panels(figure: Figure, count: int, across: int, **shared: Any) -> list[Any]:
    """`count` axes, the unused ones of the last line hidden."""
    grid = list(figure.subplots(-(-count // across), across, squeeze=False, **shared).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[max(0, count - across):count]:  # the last of its column, whatever is hidden below
        axes.tick_params(labelbottom=True)
    return grid[:count]


def feature_legend(figure: Figure, names: Sequence[str], weights: np.ndarray) -> None:
    """Above the figure the inputs that have a colour of their own, and what the grey ones are."""
    colours, named = palette(weights), [int(column) for column in ranked(weights)[:NAMED]]
    handles = [Line2D([], [], color=colours[column], linewidth=3) for column in named]
    words = [label(names[column]) for column in named]
    if len(names) > len(named):
        handles.append(Line2D([], [], color=GREY, linewidth=3))
        words.append(f"the other {len(names) - len(named)}, which moved less")
    figure.legend(handles, words, loc="outside upper center", ncols=max(1, min(LEGEND, len(words), int(
        WIDTH / (0.55 + 0.085 * max(map(len, words)))))))
