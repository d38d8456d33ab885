"""The SVG of a figure: what is drawn, told and coloured is read back from it; and the clusters of features."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from drawing_cases import sized
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from PIL import Image
from report_fixture import datasets, drawn_by
from scipy.stats import spearmanr

from attribution_suite.reporting.figures import clusters, style
from attribution_suite.reporting.figures.shades import DARK, FIXED, PALETTE, SHIFT_COLOURS, dark
from attribution_suite.reporting.figures.style import DPI, canvas, pixels_and_svg
from attribution_suite.reporting.figures.svg import UNIT, _box, inline, tell, titled

EVIL = "<script>alert('1')</script> \u202e & \"quotes\""


def drawn() -> str:
    """Two bars, a line with a value a marker, a cloud and a text, on axes of 100 × 100 pixels from (100, 100)."""
    figure = canvas(400 / DPI, 300 / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.25, 1 / 3, 0.25, 1 / 3), xlim=(0, 10), ylim=(0, 10), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bars = PolyCollection([[(1, 0), (2, 0), (2, 5), (1, 5)], [(3, 0), (4, 0), (4, 20), (3, 20)]], linewidths=0,
                          facecolors=[PALETTE["gone"], "#123456"])
    tell(bars, "first", EVIL)
    axes.add_collection(bars)
    (line,) = axes.plot([1, 5, 9], [1, 2, np.nan], "o-", color=PALETTE["ink"], markeredgewidth=0)
    tell(line, "one", "two", "three")
    axes.scatter([2, 2, 3], [3, 3, 4], color="#654321", linewidths=0)
    axes.text(5, 5, EVIL)
    return pixels_and_svg(figure, sized(2, 3))[1]


def test_shapes_stand_where_they_belong_and_end_with_their_axes() -> None:
    svg = drawn()
    assert f'viewBox="0 0 {400 * UNIT} {300 * UNIT}"' in svg
    assert 'd="M1100 2000h100v-500h-100v500"><title>first</title>' in svg
    cut = re.search(r'fill="#123456" d="([^"]*)"', svg)
    assert cut is not None
    assert cut[1] == "M1300 2000h100v-1000h-100v1000"  # 20 of 10: up to the axes' top
    circles = re.findall(r'<circle[^>]*cx="(\d+)" cy="(\d+)" r="\d+"><title>(\w+)', svg)
    assert circles == [("1100", "1900", "one"), ("1500", "1800", "two")]  # the third has no place
    assert re.search(r'<path stroke="#654321"[^>]*d="m1200 1700h0m100-100h0"', svg)  # two points in one place: one dot


def several(turned: float = 0.0) -> Figure:
    """Dots of several colours, a colour bar, labels, a path that is no circle."""
    figure = canvas(4, 3)
    axes = figure.add_subplot(xlabel="x")
    dots = axes.scatter([1, 2, 3], [3, 1, 2], c=[0.1, 0.5, 0.9], s=[20, 90, 50], cmap="viridis")
    figure.colorbar(dots, ax=axes)
    axes.add_patch(Ellipse((2, 2), 1, 0.3, angle=turned, color="#123456"))
    axes.text(1, 1, "words")
    return figure


def test_one_pass_gives_the_pixels_and_the_svg_of_two() -> None:
    def pixels(figure: Figure) -> np.ndarray:
        painter = FigureCanvasAgg(figure)
        painter.draw()
        return np.asarray(painter.buffer_rgba())[..., :3]

    png, text = pixels_and_svg(several(), sized(2, 3))
    seen = np.asarray(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(seen, pixels(several()))
    assert (seen != pixels(several(30))).any()
    assert text == style.svg(FigureCanvasAgg(several()))


def test_the_box_of_a_circle_is_matplotlibs_turned_or_not() -> None:
    for transform in (Affine2D().scale(3).translate(7, -2), Affine2D().scale(3, 2), Affine2D().scale(3, 1).rotate(1)):
        circle = Path.unit_circle().transformed(transform)
        box = circle.get_extents()
        np.testing.assert_allclose(np.concatenate(_box(circle)), [*box.min, *box.max], atol=1e-12)


def test_names_are_text_alone() -> None:
    for svg in (drawn(), titled(drawn(), EVIL, EVIL), inline(drawn(), "figure-x", EVIL)):
        assert "<script" not in svg and svg.count("&lt;script&gt;") >= 2
    assert titled(drawn(), "what", "how").startswith("<svg xmlns") and "<title>what</title><desc>how</desc>" in titled(
        drawn(), "what", "how")


def test_a_page_colours_a_figure_by_its_theme() -> None:
    page = inline(drawn(), "figure-x", "alt")
    assert 'fill="var(--gone)"' in page and "#123456" in page.split("</style>")[0]
    assert not re.findall(r'="#[0-9a-f]{6}"', page)
    assert f"--c0:{dark('#123456')};" in page.split("prefers-color-scheme:dark")[1]


def lightness(colour: str) -> float:
    red, green, blue = (int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5))
    return 0.2126 * red ** 2.2 + 0.7152 * green ** 2.2 + 0.0722 * blue ** 2.2


@pytest.mark.parametrize("colour", ["#1478a7", "#7d46a6", "#a8284f", "#123456", "#857000", "#9cc1df"])
def test_a_dark_page_has_light_lines(colour: str) -> None:
    contrast = (lightness(dark(colour)) + 0.05) / (lightness(DARK["paper"]) + 0.05)
    assert contrast > 4, dark(colour)
    order = np.argsort([int(colour[place:place + 2], 16) for place in (1, 3, 5)])
    assert order[-1] == np.argmax([int(dark(colour)[place:place + 2], 16) for place in (1, 3, 5)])  # the hue stays


def test_tiles_are_no_colours_of_the_palette() -> None:
    assert not FIXED & set(PALETTE.values())
    assert len({SHIFT_COLOURS(step) for step in range(SHIFT_COLOURS.N)}) == SHIFT_COLOURS.N


def test_clusters_are_by_rank_correlation() -> None:
    boston = datasets()["boston"]
    subject = replace(sized(2, 3), data=boston, info={"groups": boston.groups, "task": "regression"})
    names = list(boston.groups)
    frame = subject.tables["outcomes"].replace({"removed": dict(zip(subject.removed, ("RAD", "CHAS"), strict=True))})
    subject = replace(subject, tables={**subject.tables, "outcomes": frame, "shifts": subject.tables["shifts"].replace(
        {"removed": dict(zip(subject.removed, ("RAD", "CHAS"), strict=True))})})
    expected = np.abs(spearmanr(boston.inputs).statistic)
    np.testing.assert_allclose(clusters.dependence(boston).loc[names, names], expected, atol=1e-6)
    (figure,), (picture,) = drawn_by(clusters.clusters, subject)
    (axes,) = figure.axes
    bold = {tick.get_text() for tick in axes.get_yticklabels() if tick.get_fontweight() == "bold"}
    assert bold == {"RAD", "CHAS"}
    nearest = picture.table.set_index("feature").loc["RAD"]
    other = names[int(np.argmax(np.where(np.eye(len(names), dtype=bool), 0, expected)[names.index("RAD")]))]
    second = np.sort(expected[names.index("RAD")])[-2]  # the first is its own
    assert (nearest["goes most with"], nearest["|ρ|"]) == (other, pytest.approx(second))
    first = min(segment[1][0] for segment in axes.collections[0].get_segments())
    assert first == pytest.approx(1 - np.max(expected - np.eye(len(names))))  # the closest pair meets first
    assert "needs the rows" in clusters.clusters(replace(subject, data=None)).reason
