"""Colours of the page and its figures, light and dark: the palette, the hues of families, the ramps of tiles."""

from functools import cache
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

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
DARK = {
    "paper": "#161c24",
    "panel": "#0f141a",
    "line": "#364150",
    "muted": "#a3aebb",
    "ink": "#e6ebf1",
    "accent": "#7db8e8",
    "gone": "#4fc2b8",
    "gone-soft": "#12403c",
    "still": "#f2906b",
    "still-soft": "#4e2415",
    "warn": "#e5b95c",
    "warn-soft": "#43320a",
    "neutral": "#2a2f36",
}
PAGE = {colour: f"--{name}" for name, colour in PALETTE.items()}  # colour → the page's variable

# Tiles of a heat map carry their text with them: both stay as they are on a dark page. Their colours are one step off
# the palette's, so that nothing else is taken for one.
TILE_INK, TILE_PAPER = "#1b2431", "#fffffe"
STEPS = 33
SHIFT_COLOURS = LinearSegmentedColormap.from_list(
    "shift", ["#0b6b67", "#7fbdb6", "#f7f4ef", "#e39a78", "#b44320"], N=STEPS)
AGREEMENT_COLOURS = LinearSegmentedColormap.from_list(
    "agreement", ["#b44320", "#e39a78", "#f7f4ef", "#7ea9cd", "#14466e"], N=STEPS)
RATE_COLOURS = LinearSegmentedColormap.from_list("rate", ["#f3f6fa", "#9cc1df", "#3f83b8", "#0f3d66"], N=STEPS)
TARGET_COLOURS = colormaps["viridis"].resampled(STEPS)  # points by their target
FIXED = frozenset([TILE_INK, TILE_PAPER, *(
    to_hex(ramp(step)) for ramp in (SHIFT_COLOURS, AGREEMENT_COLOURS, RATE_COLOURS, TARGET_COLOURS)
    for step in range(STEPS))])

# OKLab, https://bottosson.github.io/posts/oklab/ (2020): lightness as seen, apart from hue.
_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])


@cache
def dark(colour: str) -> str:
    """The shade of a colour for a dark page: pale ones turn deep, deep ones light enough to be seen; the hue stays."""
    if colour in PAGE:
        return DARK[PAGE[colour].removeprefix("--")]
    red_green_blue = np.asarray(to_rgb(colour))
    linear = np.where(red_green_blue <= 0.04045, red_green_blue / 12.92, ((red_green_blue + 0.055) / 1.055) ** 2.4)
    light, *hue = _TO_LAB @ np.cbrt(_TO_LMS @ linear)
    light = 1.2 - light if light > 0.86 else max(light, 0.66 + 0.15 * light)
    linear = np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, np.array([light, *hue])) ** 3).clip(0, 1)
    red, green, blue = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).clip(0, 1)
    return to_hex((float(red), float(green), float(blue)))


def ink_on(colour: Any) -> str:
    """Dark or white text, whichever is easier to read on an RGB(A) colour of a tile."""
    red, green, blue = (np.asarray(colour[:3]) ** 2.2).tolist()
    return TILE_PAPER if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.32 else TILE_INK
