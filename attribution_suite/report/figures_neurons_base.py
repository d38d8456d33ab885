"""What the figures of neurons share: they return a matplotlib `Figure`, drawn under the report's style alone."""

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

from attribution_suite.report.figures_style import DPI, PALETTE, STYLE

P = ParamSpec("P")
UP, DOWN = PALETTE["accent"], PALETTE["still"]  # raises, lowers
CLASS_COLOURS = (PALETTE["accent"], PALETTE["still"], "#2f9e76", "#b89b00", "#9259b8", "#0b4f6c", "#c2557a", "#7a6a00")
MINUS = "\N{MINUS SIGN}"


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Runs a drawing function under the report's style, whatever the user's own settings are."""
    @wraps(draw)
    def wrapped(*args: P.args, **keywords: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **keywords)
    return wrapped


def number(value: float, digits: int = 3) -> str:
    """A number for a label, with a real minus sign."""
    return f"{value:.{digits}g}".replace("-", MINUS)


def blank(axes: Any) -> None:
    """No frame, no ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
