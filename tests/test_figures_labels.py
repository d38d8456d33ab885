"""Labels of figures neither meet nor leave the picture, for few and many scorers and features, in a browser."""

import html
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest
from drawing_cases import looked_into, sized

from attribution_suite.reporting import figures
from attribution_suite.reporting.figures import layers, masking, single_weights
from attribution_suite.reporting.figures.style import Picture
from attribution_suite.reporting.figures.svg import inline

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHAPTERS = ("matrix", "redistribution", "cost", "scorers", "data")
SIZES = ((2, 3, False), (19, 126, True), (40, 1000, False))
# Of the look inside what has names: once, the longest ones.
INSIDE = (layers.layers, masking.masking, single_weights.single_weights)
# Two texts meet if no side of either box parts them; a box is the font's, its upper and lower fifth are empty.
PROBE = """
addEventListener("load", () => {
  const corners = text => {
    const {x, y, width, height} = text.getBBox(), to = text.getCTM(), cut = height * 0.22;
    return [[x, y + cut], [x + width, y + cut], [x + width, y + height - cut], [x, y + height - cut]].map(
      ([u, v]) => [to.a * u + to.c * v + to.e, to.b * u + to.d * v + to.f]);
  };
  const apart = (a, b) => [a, b].some(shape => shape.some((p, i) => {
    const q = shape[(i + 1) % 4], axis = [p[1] - q[1], q[0] - p[0]];
    const on = s => s.map(c => c[0] * axis[0] + c[1] * axis[1]);
    const [u, v] = [on(a), on(b)], slack = 0.5 * Math.hypot(...axis);
    return Math.max(...u) <= Math.min(...v) + slack || Math.max(...v) <= Math.min(...u) + slack;
  }));
  const bad = [];
  for (const svg of document.querySelectorAll("svg")) {
    const {width, height} = svg.getBoundingClientRect();
    const out = (x, y) => x < -1 || y < -1 || x > width + 1 || y > height + 1;
    const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, corners(text)]);
    boxes.forEach(([name, box], i) => {
      if (box.some(([x, y]) => out(x, y))) bad.push([svg.id, "cut", name]);
      for (const [other, next] of boxes.slice(i + 1)) if (!apart(box, next)) bad.push([svg.id, name, other]);
    });
  }
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(bad);
});
"""


@cache
def pictures() -> dict[str, Picture]:
    """Every figure of an audit, of every size."""
    with patch("attribution_suite.reporting.figures.style.png", lambda painter: b"png"):  # they are as the SVGs
        drawn = [one for size in SIZES for subject in [sized(*size)] for name in CHAPTERS
                 for draw in figures.CHAPTERS[name] for one in figures._listed(draw(subject))]
        looked = looked_into(sized(19, 126, True))
        drawn += [one for draw in INSIDE for one in figures._listed(draw(looked))]
    return {one.name: one for one in drawn if isinstance(one, Picture)}


def bad_labels(drawings: dict[str, str], folder: Path) -> list[list[str]]:
    """Which texts of SVGs a browser finds cut, or over each other."""
    page = folder / "labels.html"
    style = "<meta charset=utf-8><style>svg{display:block;width:100%}</style>"
    page.write_text(f"{style}<body>{''.join(drawings.values())}<script>{PROBE}</script>", encoding="utf-8")
    done = subprocess.run([str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           "--disable-background-networking", "--window-size=1280,900", "--proxy-server=127.0.0.1:9",
                           f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
                           page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    bad: list[list[str]] = json.loads(html.unescape(re.findall("<pre>(.*?)</pre>", done.stdout)[0]))
    return bad


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_no_label_is_cut_or_over_another(tmp_path: Path) -> None:
    drawings = {name: inline(one.svg, name, one.alt) for name, one in pictures().items()}
    assert len(drawings) > 30
    wrong = ('<svg id="wrong" viewBox="0 0 100 100"><text x="10" y="50">one</text><text x="12" y="52">two</text>'
             '<text x="95" y="20">cut</text></svg>')
    assert bad_labels({**drawings, "wrong": wrong}, tmp_path) == [
        ["wrong", "one", "two"], ["wrong", "cut", "cut"]]
