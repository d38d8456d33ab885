"""What every figure shares: the palette (the page's CSS reads the same one), fonts, canvas and deterministic PNGs."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from scipy.spatial import KDTree

from attribution_suite.errors import InputError
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL

P = ParamSpec("P")
T = TypeVar("T")
DPI = 110
WIDTH = 11.6  # inches; the page shows figures at most this wide

PALETTE = {
    "paper": "#ffffff",
    "panel": "#f5f6f8",
    "line": "#d8dde4",
    "muted": "#5a6573",
    "ink": "#1b2430",
    "accent": "#1d5c8f",
    "gone": "#0b6b66",
    "gone-soft": "#d9efec",
    "still": "#b4431f",
    "still-soft": "#fbe5db",
    "warn": "#8a5a00",
    "warn-soft": "#fdf0cf",
    "neutral": "#f7f4ee",
}
UP, DOWN = PALETTE["accent"], PALETTE["still"]  # raises, lowers
# Methods of a kind stand next to each other in the catalogue, so neighbours get neighbouring, still separable hues.
SCORER_COLOURS = ("#0b4f6c", "#1478a7", "#3fa0cf", "#8cc5e3", "#0d6b52", "#2f9e76", "#86cda9", "#7a6a00", "#b89b00",
                  "#e3cf57", "#8f3d00", "#d0661a", "#f2a65e", "#5e2a84", "#9259b8", "#c9a3e0", "#7d1f3f", "#c2557a")
REMOVAL_COLOURS = ("#1b2430", "#1478a7", "#7bb8da", "#0d6b52", "#59b58d", "#b89b00", "#d0661a", "#9259b8", "#c2557a",
                   "#8f3d00")
CLASS_COLOURS = ("#1478a7", "#d0661a", "#0d6b52", "#9259b8", "#b89b00", "#c2557a", "#1b2430", "#59b58d", "#7bb8da",
                 "#8f3d00")
GREY = "#a4adb8"
CODE = np.array([1 << 16, 1 << 8, 1], np.int32)  # a colour as one number

SHIFT_COLOURS = LinearSegmentedColormap.from_list(
    "shift", [PALETTE["gone"], "#7fbdb6", PALETTE["neutral"], "#e39a78", PALETTE["still"]], N=65)
AGREEMENT_COLOURS = LinearSegmentedColormap.from_list(
    "agreement", [PALETTE["still"], "#e39a78", PALETTE["neutral"], "#7ea9cd", "#14466e"], N=65)

STYLE: dict[Any, Any] = {  # a key that matplotlib does not know, it refuses itself
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,  # a feature's name may hold dollar signs
    "text.color": PALETTE["ink"],
    "axes.labelcolor": PALETTE["ink"],
    "axes.edgecolor": PALETTE["line"],
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "grid.color": PALETTE["line"],
    "grid.linewidth": 0.6,
    "xtick.color": PALETTE["muted"],
    "ytick.color": PALETTE["muted"],
    "xtick.labelcolor": PALETTE["ink"],
    "ytick.labelcolor": PALETTE["ink"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PALETTE["paper"],
    "savefig.facecolor": PALETTE["paper"],
    "hatch.linewidth": 0.5,
}


@dataclass(frozen=True)
class Picture:
    """A drawn figure: file name without ending, heading, caption (how to read it), alt text (what it shows), PNG.

    `on_page` False: it lies in `figures/` only, and the page links to it. `moving`: an animated GIF instead of a PNG.
    """

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    on_page: bool = True
    moving: bool = False

    @property
    def file(self) -> str:
        """Its name in `figures/`."""
        return f"{self.name}.{'gif' if self.moving else 'png'}"


@dataclass(frozen=True)
class LeftOut:
    """A figure that was not drawn, and why."""

    title: str
    reason: str


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Runs a drawing function under the report's style alone, whatever the user's own settings are."""
    @wraps(draw)
    def wrapped(*args: P.args, **keywords: P.kwargs) -> T:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **keywords)
    return wrapped


def canvas(width: float, height: float) -> Figure:
    """An empty figure in inches, laid out so that nothing overlaps; no global pyplot state."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.04)
    return Figure(figsize=(width, height), dpi=DPI, layout=layout)


def png(figure: Figure, subject: Subject) -> bytes:
    """The figure as a palette PNG: same input, same bytes. Stand-in data are marked inside the picture."""
    layout = figure.get_layout_engine()
    if subject.simulated and isinstance(layout, ConstrainedLayoutEngine):
        layout.set(rect=(0, 0, 1, 1 - 0.26 / figure.get_figheight()))
        figure.text(1 - 0.06 / figure.get_figwidth(), 1 - 0.05 / figure.get_figheight(), "simulated data",
                    ha="right", va="top", color=PALETTE["warn"], fontsize=8.5, fontweight="bold")
    painter = FigureCanvasAgg(figure)
    painter.draw()  # one pass; savefig would lay the figure out and draw it twice
    small = io.BytesIO()
    _with_palette(np.asarray(painter.buffer_rgba())[..., :3]).save(small, "PNG", optimize=True)
    return small.getvalue()


def _with_palette(pixels: np.ndarray) -> Image.Image:
    """`[height, width, 3]` with 256 colours: the most frequent stay exact, so a cell keeps its colour; others round."""
    height, width, _ = pixels.shape
    counted: Any = Image.fromarray(pixels).getcolors(height * width)  # sorts nothing, so it takes a tenth of np.unique
    counts, rgb = np.array([count for count, _ in counted]), np.array([colour for _, colour in counted])
    codes = rgb @ CODE
    rgb, codes = (values[np.lexsort([codes, -counts])] for values in (rgb, codes))
    nearest = KDTree(rgb[:256]).query(rgb)[1]
    place = np.empty(1 << 24, np.uint8)  # by code; only those of the picture's colours are set and read
    place[codes] = nearest
    image = Image.fromarray(place[pixels.astype(np.int32) @ CODE], "P")
    image.putpalette(rgb[:256].astype(np.uint8).tobytes())
    return image


def picture(figure: Figure, subject: Subject, name: str, title: str, caption: str, alt: str) -> Picture:
    """The finished picture of `subject`."""
    marked = f"{alt} Data: {subject.title}{' (simulated)' if subject.simulated else ''}."
    return Picture(f"{subject.slug}-{name}", title, caption, marked, png(figure, subject))


def attempt(subject: Subject, draw: Callable[[], Figure], name: str, title: str, caption: str,
            on_page: bool) -> Picture | LeftOut:
    """The picture that `draw` makes, or why it cannot."""
    try:
        figure = draw()
    except InputError as error:
        return LeftOut(title, f"left out: {error}")
    return replace(picture(figure, subject, name, title, caption, f"{title}."), on_page=on_page)


def colours(names: Sequence[str], palette: Sequence[str]) -> dict[str, str]:
    """A colour a name, by its place; the control is grey, and beyond the palette it starts again."""
    voters = [name for name in names if name != CONTROL]
    return {**{name: palette[i % len(palette)] for i, name in enumerate(voters)}, CONTROL: GREY}


def label(name: str, most: int = 24) -> str:
    """A name as a label: shortened in the middle, and never starting with '_', which a legend would drop."""
    short = name if len(name) <= most else f"{name[:most // 2]}…{name[len(name) - (most - 1) // 2:]}"
    return f"\N{HAIR SPACE}{short}" if short.startswith("_") else short


def ink_on(colour: Any) -> str:
    """Dark or white text, whichever is easier to read on an RGB(A) colour."""
    red, green, blue = (np.asarray(colour[:3]) ** 2.2).tolist()
    return PALETTE["paper"] if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.32 else PALETTE["ink"]


def inside(axes: Any, x: float, y: float, text: str, **how: Any) -> None:
    """A text centred within the axes, which the layout need not measure: a matrix has hundreds."""
    axes.text(x, y, text, ha="center", va="center", **how).set_in_layout(False)


def blank(axes: Any) -> None:
    """No frame, no ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
