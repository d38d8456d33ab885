"""What every figure shares: fonts, canvas, labels, and how it becomes a PNG and an SVG."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from scipy.optimize import isotonic_regression

from attribution_suite.conclusions.numbers import MINUS
from attribution_suite.errors import InputError
from attribution_suite.registry import bare
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.svg import Both, SVGRenderer, titled
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL

P = ParamSpec("P")
T = TypeVar("T")
DPI = 110
MOST_ROWS = 600  # drawn as points, or ranked for a figure
WIDTH = 11.6  # inches; the page shows figures at most this wide

UP, DOWN = PALETTE["accent"], PALETTE["still"]  # raises, lowers
# Scorers of a family share a hue: what a bar or line is, its label says.
FAMILIES = {
    "gradients": ("#1478a7", ("gradient_weight", "integrated_gradients", "smooth_integrated_gradients", "gradient_shap",
                              "input_x_gradient", "saliency", "layer_conductance")),
    "relevance": ("#0d7a5f", ("lrp", "lrp_epsilon", "lrp_gamma", "lrp_alpha_beta", "deep_lift")),
    "perturbation": ("#c2601a", ("feature_ablation", "permutation")),
    "surrogates and Shapley values": ("#7d46a6", ("lime", "shapley_sampling")),
    "trees": ("#a8284f", ("xgboost_gain", "xgboost_gain_surrogate", "xgboost_shap", "xgboost_shap_surrogate")),
    "weights and units": ("#857000", ("weights", "unit_significance", "weight_history")),
    "others": ("#5b6b7d", ()),
}
CLASS_COLOURS = ("#1478a7", "#d0661a", "#0d6b52", "#9259b8", "#b89b00", "#c2557a", "#1b2430", "#59b58d", "#7bb8da",
                 "#8f3d00")
GREY = "#a4adb8"
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
    "axes.facecolor": "none",
    "figure.facecolor": PALETTE["paper"],
}


@dataclass(frozen=True)
class Picture:
    """A drawn figure: file name without ending, heading, caption (how to read it), alt text (what it shows), pixels.

    `png`: a PNG, of a `moving` one an animated GIF; `svg`: the same with its texts and values, '' of a moving one.
    `table`: the numbers that are drawn. `on_page` False: it lies in `figures/` only, and the page links to it.
    `turn`: of points in space, as JSON what the page's script turns them by (`figures.components`).
    """

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    svg: str = ""
    table: pd.DataFrame | None = None
    on_page: bool = True
    moving: bool = False
    turn: str = ""

    @property
    def file(self) -> str:
        """What a page links to in `figures/`."""
        return f"{self.name}.{'gif' if self.moving else 'svg'}"

    @property
    def files(self) -> dict[str, bytes]:
        """Name in `figures/` → content."""
        if self.moving:
            return {self.file: self.png}
        return {f"{self.name}.png": self.png, self.file: titled(self.svg, self.title, self.alt).encode()}


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


def pixels_and_svg(figure: Figure, subject: Subject) -> tuple[bytes, str]:
    """The figure as a PNG and as an SVG: same input, same bytes. Stand-in data are marked inside the picture."""
    layout = figure.get_layout_engine()
    if subject.simulated and isinstance(layout, ConstrainedLayoutEngine):
        layout.set(rect=(0, 0, 1, 1 - 0.26 / figure.get_figheight()))
        figure.text(1 - 0.06 / figure.get_figwidth(), 1 - 0.05 / figure.get_figheight(), "simulated data",
                    ha="right", va="top", color=PALETTE["warn"], fontsize=8.5, fontweight="bold")
    painter = FigureCanvasAgg(figure)
    drawing = laid_out(painter)
    figure.draw(Both(drawing))
    return png(painter), drawing.text()


def svg(painter: FigureCanvasAgg) -> str:
    """A figure as an SVG alone."""
    drawing = laid_out(painter)
    painter.figure.draw(drawing)
    return drawing.text()


def laid_out(painter: FigureCanvasAgg) -> SVGRenderer:
    """What draws a figure, which is laid out for good: a renderer would lay it out again."""
    for axes in painter.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not axis.get_label_text():
                axis.set_label_coords(0, 0)  # else every tick is measured again to find a place for nothing
    layout = painter.figure.get_layout_engine()
    if layout is not None:
        layout.execute(painter.figure)
    painter.figure.set_layout_engine("none")
    return SVGRenderer(painter.get_renderer())


def png(painter: FigureCanvasAgg) -> bytes:
    """A drawn figure's pixels."""
    pixels = io.BytesIO()
    Image.fromarray(np.asarray(painter.buffer_rgba())[..., :3]).save(pixels, "PNG", compress_level=4)
    return pixels.getvalue()


def picture(figure: Figure, subject: Subject, name: str, title: str, caption: str, alt: str,
            table: pd.DataFrame | None = None) -> Picture:
    """The finished picture of `subject`."""
    marked = f"{alt} Data: {subject.title}{' (simulated)' if subject.simulated else ''}."
    return Picture(f"{subject.slug}-{name}", title, caption, marked, *pixels_and_svg(figure, subject), table)


def attempt(subject: Subject, draw: Callable[[], Figure], name: str, title: str, caption: str, on_page: bool,
            table: pd.DataFrame | None = None) -> Picture | LeftOut:
    """The picture that `draw` makes, or why it cannot."""
    try:
        figure = draw()
    except InputError as error:
        return LeftOut(title, f"left out: {error}")
    return replace(picture(figure, subject, name, title, caption, f"{title}.", table), on_page=on_page)


def family(scorer: str) -> str:
    """The kind of attribution method; 'others' where it is none of the suite's own."""
    return next((name for name, (_, members) in FAMILIES.items() if bare(scorer) in members), "others")


def family_place(scorer: str) -> int:
    """Where its family stands among the columns of a figure; the control stands last."""
    return len(FAMILIES) if scorer == CONTROL else list(FAMILIES).index(family(scorer))


def scorer_colour(scorer: str) -> str:
    """The hue of its family; the control is grey."""
    return GREY if scorer == CONTROL else FAMILIES[family(scorer)][0]


def family_words(scorers: Sequence[str]) -> str:
    """'Colour: …', the families of these scorers, for a caption."""
    names = dict.fromkeys(family(name) for name in scorers if name != CONTROL)
    return f"Colour is the kind of method: {', '.join(names)}." if len(names) > 1 else ""


def label(name: str, most: int = 24) -> str:
    """A name as a label: shortened in the middle, and never starting with '_', which a legend would drop."""
    short = name if len(name) <= most else f"{name[:most // 2]}…{name[len(name) - (most - 1) // 2:]}"
    return f"\N{HAIR SPACE}{short}" if short.startswith("_") else short


def cell_text(value: Any) -> str:
    """A number of the table behind a figure with four significant digits; '–' where there is none."""
    if isinstance(value, float | np.floating):
        return "–" if np.isnan(value) else f"{value:.4g}".replace("-", MINUS)
    return str(value)


def spread(places: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Where labels stand so that each is `gap` from the next: as near to `places` as can be, within the limits."""
    wanted = np.asarray(places, dtype=float)
    order, steps = np.argsort(wanted, kind="stable"), gap * np.arange(len(wanted))
    moved = isotonic_regression(wanted[order] - steps).x.clip(low, max(low, high - gap * (len(wanted) - 1)))
    result = np.empty(len(wanted))
    result[order] = moved + steps
    return result


def inside(axes: Any, x: float, y: float, text: str, **how: Any) -> None:
    """A text centred within the axes, which the layout need not measure: a matrix has hundreds."""
    axes.text(x, y, text, ha="center", va="center", **how).set_in_layout(False)


def below(axes: Any, places: Sequence[float], texts: Sequence[str], **how: Any) -> None:
    """Texts under an axes as its ticks have them; a tick itself takes a hundred times as long to lay out and draw."""
    axes.set_xticks(places[:1], texts[:1], color="none", **how)  # the layout keeps room for it
    for place, text in zip(places, texts, strict=True):
        axes.annotate(text, (place, 0), (0, -3.5), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                      ha="center", va="top", **{"color": PALETTE["ink"], **how}).set_in_layout(False)


def sample(rows: int, most: int = MOST_ROWS) -> np.ndarray:
    """At most `most` row numbers, always the same ones."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])


def blank(axes: Any) -> None:
    """No frame, no ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
