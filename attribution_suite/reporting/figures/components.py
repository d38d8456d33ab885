"""Rows in the space of three principal components, which the page's script turns and takes others of."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import cos, radians, sin
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.reporting.figures.shades import PALETTE, TARGET_COLOURS
from attribution_suite.reporting.figures.style import (
    CLASS_COLOURS,
    LeftOut,
    Picture,
    blank,
    canvas,
    label,
    picture,
    sample,
    styled,
)
from attribution_suite.reporting.figures.svg import UNIT, tell
from attribution_suite.reporting.reading import Subject

COMPONENT = re.compile(r"PC \d+")  # as datasets/pca.py names its columns
TITLE = "The first components"
MOST_COMPONENTS, MOST_POINTS = 5, 400
YAW, PITCH = 35, 20  # degrees that the first view is turned by, around the third axis and towards the reader
REACH, FINE = 1.5, 100  # how far a row may stand from the middle; steps of a coordinate in the page
THIRDS = ("the lowest third", "the middle third", "the highest third")


@styled
def components(subject: Subject) -> Picture | LeftOut | None:
    """Rows by three components, coloured by class (by target for a regression), with the centroid of each class."""
    names = [name for name in subject.info["groups"] if COMPONENT.fullmatch(name)][:MOST_COMPONENTS]
    if subject.layer or len(names) < 3:
        return None
    if subject.data is None:
        return LeftOut(TITLE, f"left out: it needs the rows of {subject.name}, which were not found here")
    data = subject.data
    chosen = sample(len(data.inputs))[:MOST_POINTS]
    targets, regression = data.targets[chosen].astype(float), data.task == "regression"
    values = data.inputs[chosen][:, :len(names)].astype(float)
    kinds = list(THIRDS) if regression else list(data.classes or ("0", "1"))
    kind = np.searchsorted(np.quantile(targets, [1 / 3, 2 / 3]), targets) if regression else targets.astype(int)
    present, order = np.unique(kind), np.argsort(kind, kind="stable")
    if regression:
        hue = Normalize(targets.min(), targets.max())
        shade = list(TARGET_COLOURS(hue([*targets[order], *[targets[kind == k].mean() for k in present]])))
    else:
        shade = [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in (*kind[order], *present)]
    centres = np.stack([values[kind == each].mean(0) for each in present])
    places = np.concatenate([values[order], centres]) / np.abs(values).max(0).clip(1e-12)
    figure = canvas(7.8, 5.6)
    axes = figure.add_subplot(aspect="equal", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
    blank(axes)
    told = [f"target {rounded(targets[k])}" if regression else kinds[kind[k]] for k in order]
    _draw(axes, places[:, :3], names, shade, [*told, *[f"centroid of {kinds[k]}" for k in present]], len(present))
    if regression:
        bar = figure.colorbar(ScalarMappable(hue, TARGET_COLOURS), ax=axes,
                              shrink=0.6)
        bar.set_label(label(data.target_name))
        bar.outline.set_visible(False)
    else:
        figure.legend([Line2D([], [], color=CLASS_COLOURS[k % len(CLASS_COLOURS)], marker="s", linestyle="")
                       for k in present], [label(kinds[k]) for k in present], loc="outside right center")
    left = len(data.inputs) - len(chosen)
    caption = ("The inputs of this network are principal components. A small dot is a row, a large one the centroid of "
               + ("a third of the rows by their target" if regression else "a class")
               + ", each component over its largest magnitude."
               + f" A sample of {len(chosen)} rows." * bool(left))
    alt = f"Rows by the components {', '.join(names[:3])}, coloured by {data.target_name}, with centroids."
    drawn = picture(figure, subject, "components", TITLE, caption, alt, pd.DataFrame(
        centres, columns=names).assign(centroid=[kinds[each] for each in present])[["centroid", *names]])
    return replace(drawn, turn=_turn(axes, places, names))


def projected(places: np.ndarray, yaw: float = YAW, pitch: float = PITCH) -> np.ndarray:
    """`[points, 3]` as they are seen, `[points, 2]`: turned around the third axis, then tilted, as the script does.

    u = x cos a − y sin a, v = z cos b − (x sin a + y cos a) sin b.
    """
    a, b = radians(yaw), radians(pitch)
    x, y, z = places.T
    return np.column_stack([x * cos(a) - y * sin(a), z * cos(b) - (x * sin(a) + y * cos(a)) * sin(b)])


def _draw(axes: Any, places: np.ndarray, names: Sequence[str], shade: Sequence[Any], told: Sequence[str],
          centroids: int) -> None:
    """Axes, rows, then the centroids, which are the last places: the script finds them in this order."""
    ends = projected(np.eye(3) * 1.15)
    lines = LineCollection([[(0, 0), tuple(end)] for end in ends], colors=PALETTE["muted"], linewidths=1)
    tell(lines, *names[:3])
    axes.add_collection(lines)
    for name, (x, y) in zip(names, 1.09 * ends, strict=False):
        tell(axes.text(x, y, name, ha="center", va="center", fontsize=9, fontweight="bold"), name)
    seen, rows = projected(places), len(places) - centroids
    tell(axes.scatter(*seen[:rows].T, s=12, color=shade[:rows], linewidths=0, alpha=0.75, zorder=3), *told[:rows])
    tell(axes.scatter(*seen[rows:].T, s=110, color=shade[rows:], edgecolors=PALETTE["ink"], linewidths=1.4, zorder=5),
         *told[rows:])


def _turn(axes: Any, places: np.ndarray, names: Sequence[str]) -> str:
    """What the script needs: points by all components, where the middle is on the drawing, and every triple."""
    height = axes.figure.get_figheight() * axes.figure.get_dpi()
    (x, y), (right, _) = axes.transData.transform([(0, 0), (1, 0)])
    return json.dumps({
        "names": list(names), "points": np.rint(FINE * places).astype(int).tolist(), "fine": FINE, "reach": 1.15,
        "middle": [round(UNIT * x), round(UNIT * (height - y))], "unit": round(UNIT * (right - x)),
        "turn": [YAW, PITCH], "triples": list(combinations(range(len(names)), 3))}, separators=(",", ":"))
