"""A matplotlib renderer that writes a figure as a small SVG: texts stay texts, every mark may hold its value.

matplotlib's own SVG backend writes five times as many bytes (clip paths, an identity and a style for every mark), and
its values cannot be told. Coordinates are whole tenths of a pixel, relative to the point before; consecutive marks of
one look share a group; a text keeps the width it was laid out with, whatever font a browser takes.
"""

import json
import math
import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_hex
from matplotlib.path import Path
from matplotlib.transforms import Bbox, IdentityTransform, Transform

from attribution_suite.reporting.figures.shades import FIXED, PAGE, dark

UNIT = 10  # a pixel
CIRCLE = Path.unit_circle()
ANCHORS = {"left": "start", "right": "end", "center": "middle"}
# Verdana is as wide; of another font the widths are set.
ROOT = """fill="none" font-family="'DejaVu Sans',Verdana,sans-serif" xml:space="preserve\""""
COLOUR = re.compile(r'="(#[0-9a-f]{6})"')
READABLE = 0.72  # of the size it was laid out in; on a narrower screen it is moved sideways
OUTSIDE = 0.6  # pixels that a mark may stand beyond its axes


def tell(artist: Artist, *values: str) -> None:
    """What a reader is told who points at a mark: one text a mark of the artist, in the order of drawing."""
    artist.set_gid(json.dumps(values))


class SVGRenderer(RendererBase):
    """Draws a laid-out figure; `text()` is the SVG. `metrics`: the renderer that it was laid out with, of its size."""

    def __init__(self, metrics: RendererAgg) -> None:
        super().__init__()
        self.metrics = metrics
        self.width, self.height, self.dpi = metrics.width, metrics.height, metrics.dpi
        self._sizes: dict[tuple[Any, ...], tuple[float, float, float]] = {}
        self._marks: list[tuple[str, str, str]] = []  # look, element without its end, title
        self._groups: list[tuple[str, list[str], int]] = []  # what is being drawn, values left to tell, marks before

    def text(self) -> str:
        """The whole file, colours as numbers."""
        size = f'width="{self.width:.0f}" height="{self.height:.0f}"'
        return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {UNIT * self.width:.0f} '
                f'{UNIT * self.height:.0f}" {ROOT}>{"".join(self._body())}</svg>')

    def _body(self) -> Iterator[str]:
        for look, marks in groupby(self._marks, lambda mark: mark[0]):
            elements = list(_elements(list(marks), look))
            alone = len(elements) == 1
            yield elements[0].replace(" ", f" {look} ", 1) if alone else f"<g {look}>{''.join(elements)}</g>"

    def open_group(self, s: str, gid: str | None = None) -> None:
        """An artist begins; its `gid` holds what `tell` gave."""
        self._groups.append((s, json.loads(gid)[::-1] if gid else [], len(self._marks)))

    def close_group(self, s: str) -> None:
        """An artist ends. Of an axis, lines of one look are put together, and its texts."""
        start = self._groups.pop()[2]
        if s == "matplotlib.axis":
            self._marks[start:] = sorted(self._marks[start:], key=lambda mark: (mark[1].startswith("<text"), mark[0]))

    def _value(self, marker: bool = False) -> str:
        kind, values, _ = self._groups[-1] if self._groups else ("", [], 0)
        of_markers = kind == "line2d" and len(values) > 1  # a line with several values is told of at its markers
        return values.pop() if values and (marker or not of_markers) else ""

    def draw_path(self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace: Any = None) -> None:
        """One shape or line, cut where its axes end."""
        value, look, clip = self._value(), _look(gc, rgbFace, self.dpi), gc.get_clip_rectangle()
        if not look:
            return
        if _is_circle(path):  # dots of several colours come one by one
            (left, low), (right, high) = _box(path.transformed(transform))
            x, y, wide = (left + right) / 2, (low + high) / 2, right - left
            if math.isclose(wide, high - low, rel_tol=1e-5) and (clip is None or _within(clip, x, y)):
                self._circle(look, x, y, round(UNIT * wide / 2), value)
                return
        self._shape(look, path, transform, clip, value)

    def _circle(self, look: str, x: float, y: float, radius: int, value: str) -> None:
        place = f'cx="{UNIT * x:.0f}" cy="{UNIT * (self.height - y):.0f}"'
        self._marks.append((look, f'<circle {place} r="{radius}"', value))

    def _shape(self, look: str, path: Path, transform: Transform, clip: Bbox | None, value: str) -> None:
        data = _data((_cut_shape if "fill=" in look else _cut_line)(path, transform, clip), self.height)
        if data:
            self._marks.append((look, f'<path d="{data}"', value))

    def draw_markers(self, gc: GraphicsContextBase, marker_path: Path, marker_trans: Transform, path: Path,
                     trans: Transform, rgbFace: Any = None) -> None:
        """The same marker at every vertex."""
        look, clip = _look(gc, rgbFace, self.dpi), gc.get_clip_rectangle()
        round_, shape = _is_circle(marker_path), marker_trans.transform_path(marker_path)
        radius = round(UNIT * shape.get_extents().width / 2)
        if round_ and not self._groups[-1][1] and look.startswith("fill") and "stroke" not in look:
            self._cloud(look, radius, trans.transform(_points(path)), clip)
            return
        for x, y in trans.transform(_points(path)):
            value = self._value(marker=True)
            if not look or not np.isfinite([x, y]).all():
                continue
            if round_ and (clip is None or _within(clip, x, y)):
                self._circle(look, x, y, radius, value)
            elif not round_:  # a collection of a single shape comes as a marker too
                self._shape(look, Path(np.add(_points(shape), [x, y]), _codes(shape)), IdentityTransform(), clip, value)

    def _cloud(self, look: str, radius: int, points: np.ndarray, clip: Bbox | None) -> None:
        """Dots without values of their own as one path, those of one pixel once: a dot is a line of no length."""
        known = points[np.isfinite(points).all(1)]
        if clip is not None:
            low, high = np.add([clip.p0, clip.p1], [[-OUTSIDE], [OUTSIDE]])
            known = known[((known >= low) & (known <= high)).all(1)]
        places = np.unique(np.rint(known * [1, -1] + [0, self.height]).astype(int), axis=0)
        if len(places):
            moves = np.diff(UNIT * places, axis=0, prepend=0).tolist()
            dots = "".join(f"m{_pair(x, y)}h0" for x, y in moves)
            line = look.replace("fill", "stroke")
            self._marks.append((f'{line} stroke-width="{2 * radius}" stroke-linecap="round"', f'<path d="{dots}"', ""))

    def draw_text(self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: Any, angle: float,
                  ismath: Any = False, mtext: Any = None) -> None:
        """A text at its anchor, as wide as it was laid out."""
        if not s.strip() or gc.get_rgb()[3] == 0:
            return
        width, anchor = self.get_text_width_height_descent(s, prop, ismath)[0], "start"
        if mtext is not None and (angle == 0 or mtext.get_rotation_mode() == "anchor"):
            over = mtext.get_transform().transform(mtext.get_unitless_position())
            across, along = math.sin(math.radians(angle)), math.cos(math.radians(angle))  # down, of the text
            left, top = float(over[0]), self.height - float(over[1])
            moved = across * (x - left) + along * (y - top)
            x, y = left + moved * across, top + moved * along
            anchor = ANCHORS[mtext.get_ha()]
        look = f'font-size="{self._pixels(prop.get_size_in_points())}" fill="{to_hex(gc.get_rgb()[:3])}"'
        look += ' font-weight="bold"' * (prop.get_weight() in ("bold", 700))
        look += f' text-anchor="{anchor}"' * (anchor != "start")
        place = f'x="{UNIT * x:.0f}" y="{UNIT * y:.0f}"'
        turned = f' transform="rotate({-angle:.4g} {UNIT * x:.0f} {UNIT * y:.0f})"' if angle else ""
        held = f' textLength="{UNIT * width:.0f}"' if len(s) > 3 else ""
        self._marks.append((look, f"<text {place}{held}{turned}>{escape(s, quote=False)}", self._value()))

    def _pixels(self, points: float) -> str:
        return f"{UNIT * self.points_to_pixels(points):.0f}"

    def points_to_pixels(self, points: Any) -> Any:
        """1 pt is 1/72 inch."""
        return points * self.dpi / 72

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        """As it was laid out; a matrix has the same text a hundred times."""
        key = s, prop.get_size_in_points(), prop.get_weight()
        if key not in self._sizes:
            self._sizes[key] = self.metrics.get_text_width_height_descent(s, prop, ismath)
        return self._sizes[key]

    def get_canvas_width_height(self) -> tuple[float, float]:
        """In pixels."""
        return self.width, self.height


class Both(RendererBase):
    """Draws a laid-out figure as an SVG and, on that renderer's `metrics`, in pixels.

    In one pass: most of what a drawing takes is the artists' own work, which is the same for both.
    """

    def __init__(self, drawing: SVGRenderer) -> None:
        super().__init__()
        self.drawing = drawing

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Of the SVG alone."""
        self.drawing.open_group(s, gid)

    def close_group(self, s: str) -> None:
        """Of the SVG alone."""
        self.drawing.close_group(s)

    def draw_path(self, *args: Any, **keywords: Any) -> None:
        """As `RendererBase.draw_path`, and so the others."""
        self._draw("draw_path", *args, **keywords)

    def draw_markers(self, *args: Any, **keywords: Any) -> None:
        """The same marker at every vertex."""
        self._draw("draw_markers", *args, **keywords)

    def draw_path_collection(self, *args: Any, **keywords: Any) -> None:
        """Many shapes."""
        self._draw("draw_path_collection", *args, **keywords)

    def draw_quad_mesh(self, *args: Any, **keywords: Any) -> None:
        """The shades of a colour bar."""
        self._draw("draw_quad_mesh", *args, **keywords)

    def draw_text(self, *args: Any, **keywords: Any) -> None:
        """A text."""
        self._draw("draw_text", *args, **keywords)

    def _draw(self, method: str, *args: Any, **keywords: Any) -> None:
        for renderer in (self.drawing, self.drawing.metrics):
            getattr(renderer, method)(*args, **keywords)

    def points_to_pixels(self, points: Any) -> Any:
        """1 pt is 1/72 inch."""
        return self.drawing.points_to_pixels(points)

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        """As it was laid out."""
        return self.drawing.get_text_width_height_descent(s, prop, ismath)

    def get_canvas_width_height(self) -> tuple[float, float]:
        """In pixels."""
        return self.drawing.get_canvas_width_height()


def _elements(marks: list[tuple[str, str, str]], look: str) -> Iterator[str]:
    """Marks of one look: lines without a value become one path, unless they shine through each other."""
    joined: list[str] = []
    for _, element, value in marks:
        if not value and element.startswith("<path") and "fill=" not in look and "opacity" not in look:
            joined.append(element[len('<path d="'):-1])
            continue
        title = f"<title>{escape(value, quote=False)}</title>" if value else ""
        if element.startswith("<text"):
            yield f"{element}{title}</text>"
        else:
            tag = element[1:element.index(" ")]
            yield f"{element}>{title}</{tag}>" if title else f"{element}/>"
    if joined:
        yield f'<path d="{"".join(joined)}"/>'


def _look(gc: Any, face: Any, dpi: float) -> str:
    """Fill and line as attributes; '' for what cannot be seen."""
    parts, forced = [], gc.get_alpha() if gc.get_forced_alpha() else None
    for name, colour, seen in (("fill", face, True), ("stroke", gc.get_rgb(), gc.get_linewidth() > 0)):
        if colour is None or not seen:
            continue
        alpha = forced if forced is not None else colour[3] if len(colour) > 3 else 1.0
        if alpha > 0:
            parts.append(f'{name}="{to_hex(colour[:3])}"' + (f' {name}-opacity="{alpha:.2g}"' if alpha < 1 else ""))
            if name == "stroke":
                parts.append(f'stroke-width="{UNIT * gc.get_linewidth() * dpi / 72:.0f}"')
                if gc.get_capstyle() == "round":
                    parts.append('stroke-linecap="round"')
                dashes = gc.get_dashes()[1]
                if dashes is not None:
                    lengths = " ".join(f"{UNIT * length * dpi / 72:.0f}" for length in dashes)
                    parts.append(f'stroke-dasharray="{lengths}"')
    return " ".join(parts)


def _within(clip: Bbox, x: float, y: float) -> bool:
    return bool(clip.x0 - OUTSIDE <= x <= clip.x1 + OUTSIDE and clip.y0 - OUTSIDE <= y <= clip.y1 + OUTSIDE)


def _cut_line(path: Path, transform: Transform, clip: Bbox | None) -> Path:
    edges = None if clip is None else (clip.x0 - OUTSIDE, clip.y0 - OUTSIDE, clip.x1 + OUTSIDE, clip.y1 + OUTSIDE)
    return path.cleaned(transform, remove_nans=True, clip=edges, simplify=path.should_simplify, curves=True)


def _cut_shape(path: Path, transform: Transform, clip: Bbox | None) -> Path:
    """A filled shape; only one of straight lines is cut."""
    shape = path.cleaned(transform, remove_nans=True, curves=True)
    if clip is None or not len(_points(shape)) or np.isin(_codes(shape), (Path.CURVE3, Path.CURVE4)).any():
        return shape
    drawn = _points(shape)[_codes(shape) != Path.STOP]
    if len(drawn) and not all(_within(clip, x, y) for x, y in (drawn.min(0), drawn.max(0))):
        return transform.transform_path(path).clip_to_bbox(clip)
    return shape


def _is_circle(path: Path) -> bool:
    return path is CIRCLE or (_codes(path) is not None and np.array_equal(_codes(path), _codes(CIRCLE)))


def _box(circle: Path) -> tuple[Any, Any]:
    """Its smallest and largest coordinates.

    Bézier curves stay within the box of their control points; where their ends reach it, as those of a circle that is
    not turned do, it is the curves' own, and no curve need be followed.
    """
    points = _points(circle)
    low, high, ends = points.min(0), points.max(0), points[::3]
    if (ends.min(0) == low).all() and (ends.max(0) == high).all():
        return low, high
    box = circle.get_extents()
    return box.min, box.max


def _points(path: Path) -> Any:
    return np.asarray(path.vertices, float)


def _codes(path: Path) -> Any:
    return path.codes


def _data(path: Path, height: float) -> str:
    """A path's `d`: whole units, relative to the point before."""
    points: list[list[int]] = np.rint(UNIT * (_points(path) * [1, -1] + [0, height])).astype(int).tolist()
    codes = _codes(path).tolist() if _codes(path) is not None else [Path.MOVETO, *[Path.LINETO] * (len(points) - 1)]
    parts, place = [], 0
    start, at = [0, 0], [0, 0]
    while place < len(points):
        code, point = codes[place], points[place]
        count = {Path.CURVE3: 2, Path.CURVE4: 3}.get(code, 1)
        if code == Path.MOVETO:
            parts.append(f"M{_pair(*point)}")
            start = at = point
        elif code == Path.CLOSEPOLY:
            parts.append("z")
            at = start
        elif code != Path.STOP:
            steps = [[x - at[0], y - at[1]] for x, y in points[place:place + count]]
            parts.append(_step(*steps[0]) if code == Path.LINETO else
                         ("q" if count == 2 else "c") + " ".join(_pair(*step) for step in steps))
            at = points[place + count - 1]
        place += count
    return "".join(parts) if len(parts) > 1 else ""


def _step(across: int, down: int) -> str:
    if across and down:
        return f"l{_pair(across, down)}"
    return f"h{across}" if across else f"v{down}"


def _pair(x: int, y: int) -> str:
    return f"{x}{y}" if y < 0 else f"{x} {y}"


def titled(svg: str, title: str, description: str) -> str:
    """The SVG as a file of its own, which says what it shows."""
    about = "".join(f"<{tag}>{escape(words, quote=False)}</{tag}>"
                    for tag, words in (("title", title), ("desc", description)))
    return svg.replace(">", f">{about}", 1)


def inline(svg: str, name: str, alt: str) -> str:
    """The SVG as a page holds it: one image to who is read to, one stop of the keyboard, colours of the page's theme.

    Colours of the palette are the page's variables; those of data that stand for themselves (`FIXED`) stay; others get
    a shade for a dark page. `name` is unique on the page. It fills the width, and never shrinks below what can be read.
    """
    head, body = svg.split(">", 1)
    width, height = (int(size) for size in re.findall(r' (?:width|height)="(\d+)"', head))
    others = [colour for colour in dict.fromkeys(COLOUR.findall(body)) if colour not in PAGE and colour not in FIXED]
    names = {**PAGE, **{colour: f"--c{place}" for place, colour in enumerate(others)}}
    light, shade = ("".join(f"{names[colour]}:{of(colour)};" for colour in others) for of in (str, dark))
    style = (f"<style>#{name}{{{light}}}@media screen and (prefers-color-scheme:dark){{#{name}{{{shade}}}}}</style>"
             if others else "")
    body = COLOUR.sub(lambda colour: f'="var({names[colour[1]]})"' if colour[1] in names else colour[0], body)
    return (f'<svg id="{name}" role="img" tabindex="0" aria-label="{escape(alt)}" viewBox="0 0 {UNIT * width} '
            f'{UNIT * height}" style="max-width:{width}px;min-width:{READABLE * width:.0f}px" {ROOT}>'
            f"{style}{body}")
