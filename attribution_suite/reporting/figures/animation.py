"""The first layer's weights as bars that move over the epochs: an animated GIF, and a still."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.errors import InputError
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    DOWN,
    UP,
    LeftOut,
    Picture,
    attempt,
    canvas,
    label,
    styled,
)
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject

FRAMES, MILLISECONDS, LAST_MILLISECONDS = 50, 100, 1500
LIMIT = 2_000_000  # bytes of the file
UNITS, INPUTS = 4, 24


def moving(subject: Subject) -> list[Picture | LeftOut]:
    """The first layer's weights at the end of training, and how they came there, of the first network."""
    recorded = subject.weights()
    if recorded is None:
        return []
    weights, names, every = recorded
    caption = "Each bar is a weight of the first layer, of the units that moved most; first network."
    mark = "simulated data" if subject.simulated else ""
    alt = f"Animated bars of first-layer weights over epochs. Data: {subject.title}{' (simulated)' if mark else ''}."
    return [attempt(subject, lambda: still(weights, names, every), "history-still",
                    "The first layer at the end of training", caption, True),
            Picture(f"{subject.slug}-history", "How the first layer's weights grew", caption, alt,
                    animation(weights, names, every, mark), on_page=False, moving=True)]


def animation(history: Tensor, names: Sequence[str], every: int = 1, mark: str = "") -> bytes:
    """An animated GIF (under 2 MB) of the weights of the units that moved most, a bar an input, over the epochs.

    `history` `[epochs, hidden, features]` of one member; at most 50 epochs, evenly spaced, are shown; more epochs take
    no more room. `mark` stands in every frame ('simulated data'). It ends on the last epoch and starts again.
    """
    frames = list(_frames(history, names, every, mark))
    palette = frames[-1].quantize(48, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    pictures = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    durations = [MILLISECONDS] * (len(pictures) - 1) + [LAST_MILLISECONDS]
    pictures[0].save(buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0,
                     optimize=False, disposal=1)
    if buffer.tell() >= LIMIT:
        raise InputError(f"the animation takes {buffer.tell():,} bytes, over the limit of {LIMIT:,}: name fewer inputs")
    return buffer.getvalue()


@styled
def still(history: Tensor, names: Sequence[str], every: int = 1) -> Figure:
    """The last frame of the animation as a figure, with the first recorded epoch as outlines."""
    weights, units, columns = _shown(history)
    figure = _bars(weights, units, columns, names)
    for axes, unit in zip(figure.axes, units, strict=True):
        axes.bar(range(len(columns)), weights[0, unit, columns], width=0.78, fill=False, linewidth=0.9,
                 edgecolor=PALETTE["ink"])
    _move(figure, weights[-1], units, columns, f"epoch {every * len(weights)} (outlines: epoch {every})")
    for axes, unit in zip(figure.axes, units, strict=True):
        for bar, column in zip(axes.patches, columns, strict=False):
            tell(bar, f"unit {unit}, {names[column]}: {rounded(weights[-1, unit, column], 3)}")
    return figure


def _frames(history: Tensor, names: Sequence[str], every: int, mark: str) -> Iterator[Image.Image]:
    """One picture an epoch: laid out once, then only the bars move."""
    weights, units, columns = _shown(history)
    figure = styled(_bars)(weights, units, columns, names)
    drawing = FigureCanvasAgg(figure)
    for place in np.unique(np.linspace(0, len(weights) - 1, FRAMES).round().astype(int)):
        _move(figure, weights[place], units, columns, f"epoch {every * (place + 1)}" + f" · {mark}" * bool(mark))
        drawing.draw()
        figure.set_layout_engine("none")
        yield Image.fromarray(np.asarray(drawing.buffer_rgba())[..., :3].copy())


def _shown(history: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights `[epochs, hidden, features]`, and the units and inputs whose weights moved most."""
    if history.dim() != 3:
        raise InputError(f"an animation shows the history of one member, [epochs, hidden, features], got "
                         f"{list(history.shape)}: choose one with history[:, member]")
    values = history.numpy()
    weights = values[np.isfinite(values).all((1, 2))]
    spread = weights.std(0)
    return (weights, np.sort(np.argsort(-spread.sum(1), kind="stable")[:UNITS]),
            np.sort(np.argsort(-spread.sum(0), kind="stable")[:INPUTS]))


def _bars(weights: np.ndarray, units: np.ndarray, columns: np.ndarray, names: Sequence[str]) -> Figure:
    """A panel a unit, a bar an input, on one scale that holds every epoch."""
    shown = weights[:, units][:, :, columns]
    figure = canvas(7.2, 1.25 + 1.05 * len(units))
    grid = figure.subplots(len(units), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, unit in zip(grid, units, strict=True):
        axes.bar(range(len(columns)), np.zeros(len(columns)), width=0.78)
        axes.axhline(0, color=PALETTE["muted"], linewidth=0.8)
        axes.set_ylabel(f"unit {unit}")
        axes.grid(axis="y")
    room = 0.06 * np.ptp(shown)
    grid[0].set_ylim(min(shown.min(), 0) - room, max(shown.max(), 0) + room)
    grid[-1].set_xticks(range(len(columns)), [label(names[column], 16) for column in columns], rotation=40, ha="right",
                        rotation_mode="anchor", fontsize=7.5)
    grid[0].set_title(" ", loc="left")
    return figure


def _move(figure: Figure, weights: np.ndarray, units: np.ndarray, columns: np.ndarray, title: str) -> None:
    """Sets the bars to one epoch's weights `[hidden, features]`."""
    for axes, unit in zip(figure.axes, units, strict=True):
        bars: list[Any] = list(axes.patches[:len(columns)])
        for bar, height in zip(bars, weights[unit, columns], strict=True):
            bar.set_height(height)
            bar.set_facecolor(UP if height > 0 else DOWN)
    figure.axes[0].set_title(title, loc="left", fontweight="bold")
