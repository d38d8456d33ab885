"""The page as a browser sees it, with no network: complete, inert, self-contained, the same every time."""

import hashlib
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from PIL import Image
from report_fixture import BOSTON, HEART, SCORERS, SUBJECTS, info, rows_of, tables, write_run

from attribution_suite import files
from attribution_suite.report import figures, html
from attribution_suite.report.figures_matrix import shift_matrix, shift_text
from attribution_suite.report.figures_style import PALETTE, Picture, canvas, drawn, label, picture
from attribution_suite.report.html import draw_report
from attribution_suite.report.reading import Run, Subject

EVIL = "<script>alert(1)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """What the page holds: tags with attributes, ids, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both data sets drawn, the rows of `heart` not to be had; its inputs pass for principal components."""
    run = info()
    run["datasets"]["heart"]["groups"] = {f"PC {i}": 1 for i in range(5)}
    run["failed"] = [{"chunk": "heart/fold/3", "error": "MemoryError: <b>no room</b>"}]
    path = write_run(tmp_path_factory.mktemp("report") / "run", run=run)
    draw_report(path, {"boston": rows_of("boston", BOSTON)})
    return path


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return (run_dir / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def boston(run_dir: Path) -> Subject:
    return Run(run_dir).subjects(None)[0]


def small_run(path: Path, subjects: dict[str, tuple[list[str], list[str]]]) -> Path:
    return write_run(path, tables(2, subjects), info(subjects))


def test_the_page_answers_first(page: str) -> None:
    text = " ".join(" ".join(Page(page).text).split())
    assert "5 of 7 methods take B, LSTAT and RM out of the network." in text
    answer, details = page.index("5 of 7 methods take"), page.index('class="subject"')
    assert answer < details
    assert text.index("What each scorer says of each removal") < text.index("Where the influence went")
    assert "reading" in page
    assert "heart/fold/3" in text
    assert "1 part of the run failed" in text


def test_everything_is_in_the_page(page: str, run_dir: Path) -> None:
    parsed = Page(page)
    assert not parsed.of("script")
    assert not parsed.of("link") or all(link["href"] == "data:," for link in parsed.of("link"))
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, (tag, name, value)
    assert not re.search(r"https?://|url\(|@import", page)
    assert len(page.encode()) < 1_000_000
    for image in parsed.of("img"):
        assert image["alt"] and len(image["alt"]) > 20
    assert len(parsed.of("img")) == len(list((run_dir / "figures").glob("*.png")))


def test_anchors_and_ids_match(page: str) -> None:
    parsed = Page(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link["href"][1:] for link in parsed.of("a") if (link["href"] or "").startswith("#")}
    assert targets <= set(ids)
    labelled = {attributes["aria-labelledby"] for _, attributes in parsed.tags if "aria-labelledby" in attributes}
    assert labelled <= set(ids)


def test_stand_ins_are_marked_everywhere(page: str, tmp_path: Path) -> None:
    assert page.count("badge simulated") >= 4  # navigation, answer, section, provenance
    assert "These rows were made up" in page
    assert "(simulated)." in page  # alternative texts
    real = info({"boston": SUBJECTS["boston"]})
    path = write_run(tmp_path / "real", tables(2, {"boston": SUBJECTS["boston"]}), real)
    assert "simulated" not in draw_report(path).read_text().split("</style>")[1]


def test_a_simulated_figure_says_so_in_the_picture(boston: Subject) -> None:
    marked = replace(boston, info={**boston.info, "source": "simulated"})
    first, second = (figures.figures_removals.cost(subject) for subject in (boston, marked))
    assert isinstance(first, Picture) and isinstance(second, Picture)
    corners = [np.asarray(Image.open(io.BytesIO(found.png)).convert("RGB"))[:22, -130:] for found in (first, second)]
    ink = np.array([int(PALETTE["warn"][i:i + 2], 16) for i in (1, 3, 5)])
    counts = [int((np.abs(corner.astype(int) - ink).sum(2) < 12).sum()) for corner in corners]
    assert counts[0] == 0
    assert counts[1] > 50


def test_missing_rows_are_said_to_be_missing(page: str, run_dir: Path) -> None:
    names = {file.stem for file in (run_dir / "figures").glob("*.png")}
    assert {"boston-fits", "boston-matrix", "heart-matrix"} <= names
    assert not {"heart-components", "heart-fits", "boston-components"} & names
    assert "The first three components</b>: left out: it needs the rows of heart" in page


def test_names_are_inert(tmp_path: Path) -> None:
    features = [EVIL, "a\" onload=\"alert(2)", "'&amp;", "decoy"]
    path = small_run(tmp_path / "evil", {f"set {EVIL}": (features, features[:2])})
    parsed = Page(draw_report(path).read_text())
    assert not parsed.of("script")
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert any(EVIL in text for text in parsed.text)


@pytest.mark.filterwarnings("error")
def test_dollars_and_underscores_are_not_mathematics(tmp_path: Path) -> None:
    """`$\\frac$` would stop a figure if read as mathematics; a leading '_' would drop a name from a legend."""
    features = ["$\\frac$", "_a_b_$c$", "$x_1$", "decoy"]
    path = small_run(tmp_path / "dollars", {"data": (features, features[:2])})
    draw_report(path)
    assert label("_a") != "_a"
    with pytest.raises(ValueError, match="frac"), mpl.rc_context({"text.parse_math": True}):
        figure = canvas(2, 1)
        figure.text(0, 0, "$\\frac$")
        figure.savefig(io.BytesIO())


def test_the_same_run_gives_the_same_bytes_under_any_style(run_dir: Path, boston: Subject) -> None:
    again = replace(boston, data=rows_of("boston", BOSTON))
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "text.usetex": True}):
        found = [one for chapter in figures.draw(again).values() for one in chapter if isinstance(one, Picture)]
    assert len(found) == 8
    for one in found:
        assert one.png == (run_dir / "figures" / f"{one.name}.png").read_bytes()


def test_components_are_coloured_by_class(boston: Subject) -> None:
    pca = {**boston.info, "groups": dict.fromkeys(["PC 0", "PC 1", "PC 2", "decoy"], 1)}
    rows = rows_of("boston", ["PC 0", "PC 1", "PC 2", "decoy"], "binary")
    found = figures.figures_data.components(replace(boston, info=pca, data=rows))
    assert isinstance(found, Picture)
    assert found.name == "boston-components"
    assert figures.figures_data.components(replace(boston, data=rows)) is None  # no components, no picture


def hashes(path: Path) -> dict[str, str]:
    files = [path / "report.html", *sorted((path / "figures").iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """One empty picture a data set, for tests of everything but the figures."""
    def draw(subject: Subject) -> dict[str, list[Picture]]:
        chapters: dict[str, list[Picture]] = {name: [] for name in figures.CHAPTERS}
        return {**chapters, "matrix": [Picture(f"{subject.slug}-matrix", "m", "m", "m", b"png")]}

    monkeypatch.setattr(html.figures, "draw", draw)


@pytest.mark.usefixtures("plain")
def test_a_failure_leaves_the_last_report(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    before = hashes(copy)

    def fail(*_: object) -> None:
        raise RuntimeError("drawing failed")

    with monkeypatch.context() as patch:
        patch.setattr(html, "render", fail)
        with pytest.raises(RuntimeError, match="drawing failed"):
            draw_report(copy)
    assert hashes(copy) == before
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            draw_report(copy)
    assert hashes(copy) == before
    assert not list(copy.rglob(".*"))


@pytest.mark.usefixtures("plain")
def test_figures_of_an_earlier_report_go(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    (copy / "figures" / "gone-matrix.png").write_bytes(b"old")
    draw_report(copy)
    names = {file.stem for file in (copy / "figures").iterdir()}
    assert "gone-matrix" not in names
    assert "boston-fits" not in names


def test_scores_alone_make_a_report(tmp_path: Path) -> None:
    whole = tables(2)
    none = {name: frame.query("removal == 'original'") for name, frame in whole.items()}
    path = write_run(tmp_path / "scores", none)
    page = draw_report(path).read_text()
    assert "Nothing was removed here" in page
    assert {file.stem for file in (path / "figures").glob("boston-*")} == {
        "boston-shares", "boston-agreement", "boston-xgboost", "boston-training"}


@pytest.mark.usefixtures("plain")
def test_a_data_set_without_results_is_said_to_have_none(tmp_path: Path) -> None:
    whole = tables(2, {"boston": SUBJECTS["boston"]})
    page = draw_report(write_run(tmp_path / "run", whole, info())).read_text()
    assert "No results." in page


@pytest.mark.usefixtures("plain")
def test_one_seed_gives_a_report_without_intervals(tmp_path: Path) -> None:
    subject = {"boston": SUBJECTS["boston"]}
    page = draw_report(write_run(tmp_path / "one", tables(1, subject), info(subject))).read_text()
    assert "– to –" not in page


@pytest.mark.usefixtures("plain")
def test_hidden_layers_get_their_own_section(tmp_path: Path) -> None:
    units = {"boston": ([f"unit:{i}" for i in range(5)], ["unit:1"])}
    layer = {name: frame.assign(layer=1) for name, frame in tables(2, units).items()}
    both = tables(2, {"boston": SUBJECTS["boston"]})
    found = {name: pd.concat([both[name], layer[name]]) for name in both}
    page = draw_report(write_run(tmp_path / "layers", found, info({"boston": SUBJECTS["boston"]}))).read_text()
    assert 'id="boston-layer-1"' in page
    assert "boston, layer 1" in page


def test_the_matrix_is_the_mean_of_the_table(boston: Subject) -> None:
    mean, half = shift_matrix(boston, boston.removed)
    shifts = boston.tables["shifts"]
    rows = shifts[(shifts.removal == "inversion_tuning") & (shifts.scorer == "lime")]
    assert mean.loc["inversion_tuning", "lime"] == pytest.approx(rows.target_shift.mean(), rel=1e-12)
    assert np.isnan(mean.loc["fold", "xgboost_gain"])  # not applicable is no number
    assert list(mean.columns) == ["direct effect", *SCORERS]
    assert half.loc["inversion_tuning", "lime"] > 0
    one, _ = shift_matrix(boston, ["RM"])
    assert one.loc["inversion_tuning", "lime"] == pytest.approx(rows[rows.removed == "RM"].target_shift.mean())


@pytest.mark.parametrize(("value", "text"), [
    (-1.0, "−100"), (-0.9996, "−99.9"), (-0.996, "−99.6"), (-0.66, "−66"), (-0.001, "0"), (0.0, "0"), (0.052, "+5"),
    (1.4, "+140"), (np.nan, "n/a")])
def test_nearly_gone_never_reads_as_gone(value: float, text: str) -> None:
    assert shift_text(value) == text


def test_only_the_largest_of_many_removed_features_are_drawn(tmp_path: Path) -> None:
    path = small_run(tmp_path / "many", {"heart": (HEART, HEART[:6])})
    subject = Run(path).subjects(None)[0]
    share = subject.tables["shifts"].query("scorer != 'random'").groupby("removed").share_before.mean()
    assert set(subject.shown) == set(share.nlargest(4).index)
    assert set(subject.tables["attributions"].removed) == {"", *subject.shown}
    found = figures.figures_removals.redistribution(subject)
    assert isinstance(found, Picture)
    assert "2 more removed features are not drawn" in found.caption


def test_a_picture_keeps_the_colours_of_its_areas(boston: Subject) -> None:
    """256 colours are enough for 200 areas only if the areas' colours come before those of letters' edges."""
    shades = {(place, 51, 153) for place in range(200)}

    @drawn
    def draw(subject: Subject) -> Picture:
        figure = canvas(6, 3)
        figure.text(0.1, 0.8, "letters of many shades, on white", fontsize=20, color="#b4431f")
        for place, shade in enumerate(sorted(shades)):
            left, bottom = place % 50 / 50, 0.1 + place // 50 / 8
            figure.add_artist(Rectangle((left, bottom), 1 / 50, 1 / 8, color=[part / 255 for part in shade]))
        return picture(figure, subject, "x", "x", "x", "x")

    found = draw(boston)
    assert isinstance(found, Picture)
    pixels = np.asarray(Image.open(io.BytesIO(found.png)).convert("RGB")).reshape(-1, 3)
    assert shades | {(255, 255, 255)} <= {tuple(colour) for colour in np.unique(pixels, axis=0).tolist()}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_loads_every_figure_with_the_network_off(run_dir: Path, tmp_path: Path) -> None:
    probe = ("<script>addEventListener('load',()=>{const bad=[...document.images].filter(i=>!i.naturalWidth).length;"
             "const wide=document.documentElement.scrollWidth>innerWidth;"
             "document.body.dataset.probe=`${document.images.length} ${bad} ${wide}`})</script></body>")
    page = (run_dir / "report.html").read_text(encoding="utf-8").replace("</body>", probe)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=700,900",
        "--proxy-server=127.0.0.1:9", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
        (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    images = len(list((run_dir / "figures").glob("*.png")))
    assert f'data-probe="{images} 0 false"' in done.stdout
