"""Heat maps: a tile a number, its text on it where there is room."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize

from attribution_suite.reporting.figures.shades import PALETTE, ink_on
from attribution_suite.reporting.figures.style import inside, label
from attribution_suite.reporting.figures.svg import tell

MOST_TILES = 500


def tiles(axes: Any, table: pd.DataFrame, ramp: Colormap, limits: tuple[float, float], text: Callable[[float], str],
          written: bool = True, shown: np.ndarray | None = None) -> None:
    """A table `[rows, columns]` as tiles, the first row at the top; `shown` `[rows, columns]`: which of them, all.

    Tiles of one colour follow each other. `written`: whether the texts fit on the tiles. NaN is no colour.
    """
    shade, values = Normalize(*limits), table.to_numpy(float)
    level = np.where(np.isnan(values), ramp.N, np.floor(ramp.N * np.clip(shade(values), 0, 1 - 1e-9)))
    order = [(row, column) for _, row, column in sorted(
        (level[place], *place) for place in np.ndindex(values.shape) if shown is None or shown[place])]
    colours = [PALETTE["panel"] if np.isnan(values[place]) else ramp(int(level[place])) for place in order]
    drawn = PolyCollection([[(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)] for y, x in order], facecolors=colours,
                           edgecolors=PALETTE["paper"], linewidths=1.2)
    tell(drawn, *[f"{table.index[row]}, {table.columns[column]}: {text(values[row, column])}" for row, column in order])
    axes.add_collection(drawn)
    for (row, column), colour in zip(order, colours, strict=True):
        if written:
            ink = PALETTE["muted"] if np.isnan(values[row, column]) else ink_on(colour)
            inside(axes, column + 0.5, row + 0.5, text(values[row, column]), fontsize=7.5, color=ink)
    axes.set(xlim=(0, table.shape[1]), ylim=(len(table), 0))
    axes.set_xticks(np.arange(table.shape[1]) + 0.5, [label(str(name), 28) for name in table.columns])
    axes.set_yticks(np.arange(len(table)) + 0.5, [label(str(name), 28) for name in table.index])
    axes.spines[:].set_visible(False)
