"""The drawing of quantile paths: the way from the inputs to one output."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve

from attribution_suite.conclusions.numbers import MINUS, rounded
from attribution_suite.errors import InputError
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    DOWN,
    UP,
    WIDTH,
    LeftOut,
    Picture,
    attempt,
    blank,
    canvas,
    label,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject

Places = dict[tuple[Any, Any], tuple[float, float]]  # (layer, unit) → where it stands
THICKEST = 7.0  # points
LEFT, RIGHT = 0.035, 0.035  # from a node's centre to where its links end, in layers


def paths(subject: Subject) -> list[Picture | LeftOut]:
    """The way from the inputs to each output, both signs, of the first seed."""
    if subject.neurons is None or subject.neurons["paths"].empty:  # of a module there are none
        return []
    pictures: list[Picture | LeftOut] = []
    info, links = subject.info, subject.neurons["paths"]
    widths = [int(width) for width in info["architecture"].split()[0].split("-")]
    for output in sorted(links.output.unique()):
        of_output = links[(links.output == output) & (links.seed == 0)].rename(columns={"seed": "member"})
        name = f"logit of {info['classes'][output]}" if info["task"] == "multiclass" else info["target"]
        pictures.append(attempt(
            subject, partial(path_picture, of_output, widths, name), f"path-{output}",
            f"The strongest ways to {name}",
            "Each unit alone goes from its lowest to its highest value, the others at zero; the strongest of both "
            "signs stay and are the targets of the layer below (quantile paths), first seed. Width: how far the target "
            "moves; blue up, red down.", output == 0,
            of_output.drop_duplicates(["layer", "unit", "target"])[
                ["layer", "unit_name", "target_name", "weight", "variation", "output_variation"]]))
    return pictures


@styled
def path_picture(links: pd.DataFrame, widths: Sequence[int], output_name: str, most: int = 10) -> Figure:
    """Inputs at the left, one output at the right, at most `most` nodes a layer.

    `links`: rows of one member of `Path.to_frame` (of one sign, or of both: a unit that both keep is drawn once).
    Width: the link's variation against the largest between these two layers. Colour: blue where the target rises with
    the unit, red where it falls. A node's colour is where it moves the *output*; the number beside it says how far.
    `widths`: the network's, to say how many nodes there are. Raises InputError for several members or no links.
    """
    figure = canvas(WIDTH, 1)
    axes = figure.subplots()
    figure.set_figheight(1.7 + 0.36 * draw_path(axes, links, widths, output_name, most))
    legend(figure)
    return figure


def draw_path(axes: Any, links: pd.DataFrame, widths: Sequence[int], output_name: str, most: int = 10) -> int:
    """Draws what `path_picture` says into axes; returns how many nodes tall it is."""
    if links.empty or links.member.nunique() != 1:
        raise InputError("a picture of paths shows one member with at least one link: choose rows of the table")
    links = links.drop_duplicates(["layer", "unit", "target"])  # a link that both signs keep is one link
    nodes = _nodes(links, most)
    blank(axes)
    depth = int(links.layer.max()) + 1
    places: Places = {(layer, unit): (layer, y) for layer, units in nodes.items()
              for unit, y in zip(units.index, _heights(len(units)), strict=True)}
    places[depth, int(links.target[links.layer == depth - 1].iloc[0])] = (depth, 0.5)
    for layer in range(depth):
        _links(axes, links[links.layer == layer], places)
    for layer, units in nodes.items():
        _layer(axes, layer, units, places, widths[layer])
    axes.plot(depth, 0.5, "o", markersize=19, color=PALETTE["ink"], zorder=4)
    axes.text(depth + 0.09, 0.5, label(output_name, 26), va="center", fontsize=9.5, fontweight="bold")
    axes.set(xlim=(-0.62, depth + 0.62), ylim=(-0.03, 1.15))
    return max(7, *map(len, nodes.values()))


def _nodes(links: pd.DataFrame, most: int) -> dict[int, pd.DataFrame]:
    """The nodes of each layer: name and output_variation, those with the strongest links, from most up to most down."""
    nodes = {}
    for layer, rows in links.groupby("layer"):
        strength = rows.assign(size=rows.variation.abs()).groupby("unit")["size"].max()
        chosen = strength.sort_values(ascending=False, kind="stable").index[:most]
        units = rows.drop_duplicates("unit").set_index("unit").loc[chosen, ["unit_name", "output_variation"]]
        nodes[int(str(layer))] = units.sort_values("output_variation", ascending=False, kind="stable")
    return nodes


def _heights(count: int) -> np.ndarray:
    """Evenly from the top to the bottom, centred."""
    return 0.5 + (np.arange(count)[::-1] - (count - 1) / 2) / max(count, 4)


def _links(axes: Any, links: pd.DataFrame, places: Places) -> None:
    every: list[Any] = list(links.itertuples())
    rows = [link for link in every if (link.layer, link.unit) in places and (link.layer + 1, link.target) in places]
    largest = max((abs(link.variation) for link in rows), default=0.0)
    for link in sorted(rows, key=lambda link: abs(link.variation)):
        part = abs(link.variation) / largest if largest else 0.0
        (x0, y0), (x1, y1) = places[link.layer, link.unit], places[link.layer + 1, link.target]
        start, end = (x0 + LEFT, y0), (x1 - RIGHT, y1)
        bend = [(x0 + 0.45, y0), (x1 - 0.45, y1)]
        curve = Curve([start, *bend, end], [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
        drawn = PathPatch(curve, fill=False, linewidth=0.3 + THICKEST * part, alpha=0.12 + 0.68 * part,
                          edgecolor=UP if link.variation > 0 else DOWN, capstyle="round", zorder=1 + part)
        tell(drawn, f"{link.unit_name} → {link.target_name}: moves it by {_signed(link.variation)}")
        axes.add_patch(drawn)


def _layer(axes: Any, layer: int, units: pd.DataFrame, places: Places,
           width: int) -> None:
    rows: list[Any] = list(units.itertuples())
    for unit in rows:
        x, y = places[layer, unit.Index]
        colour = UP if unit.output_variation > 0 else DOWN
        (node,) = axes.plot(x, y, "o", markersize=9, color=colour, markeredgecolor=PALETTE["paper"], zorder=4)
        moved = _signed(unit.output_variation)
        tell(node, f"{unit.unit_name}: moves the output by {moved}")
        if layer == 0:
            axes.text(x - 0.06, y, f"{label(unit.unit_name)}  {moved}",
                      ha="right", va="center", fontsize=8.5, zorder=5)
        else:
            axes.text(x, y + 0.021, f"{unit.Index} ({moved})", ha="center",
                      va="bottom", fontsize=7, zorder=5, color=PALETTE["ink"],
                      bbox={"facecolor": PALETTE["paper"], "edgecolor": "none", "alpha": 0.75, "pad": 0.6})
    name = "inputs" if layer == 0 else f"hidden layer {layer}"
    shown = f"all {width}" if len(units) == width else f"{len(units)} of {width} shown"
    axes.text(layer, 1.14, name, ha="center", va="top", fontweight="bold", fontsize=9)
    axes.text(layer, 1.085, shown, ha="center", va="top", fontsize=7.5, color=PALETTE["muted"])


def _signed(value: float) -> str:
    text = rounded(value, 2)
    return text if text.startswith(MINUS) else f"+{text}"


def legend(drawn: Any) -> None:
    """What the colours of a path mean, below a figure or axes."""
    from matplotlib.lines import Line2D
    handles = [Line2D([], [], color=UP, linewidth=4), Line2D([], [], color=DOWN, linewidth=4),
               Line2D([], [], color=UP, marker="o", linestyle="", markersize=8),
               Line2D([], [], color=DOWN, marker="o", linestyle="", markersize=8)]
    place = {"loc": "outside lower center"} if isinstance(drawn, Figure) else {
        "loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    drawn.legend(handles, ["raises its target", "lowers its target", "node raises the output (by)",
                           "node lowers the output (by)"], ncols=4, **place)
