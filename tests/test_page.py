"""The page in a browser without a network, with names that attack it: inert, whole at any width, by mouse and keys."""

import csv
import json
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser
from plain_suite import plain_figures
from report_fixture import record, tables, whole_run, write_run
from test_figures_dependence import with_components
from test_report import more_removed

from attribution_suite.conclusions.verdicts import write_verdicts
from attribution_suite.reporting import compare
from attribution_suite.reporting.figures import components
from attribution_suite.reporting.figures.style import Picture
from attribution_suite.reporting.figures.svg import UNIT
from attribution_suite.reporting.page import draw_report, environment
from attribution_suite.reporting.reading import Run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
HOSTILE = ["</script><script>alert(1)</script><!--", "a\" onload='alert(2)' &amp;", "long " + "x" * 300,
           "\u202eعمر الطفل", "👩🏽‍⚕️ 🏳️‍🌈 ${alert(3)}", "=HYPERLINK(\"http://example.org\")"]
DATASET = "set <img src=x onerror=alert(4)>"
MATRIX, ANSWER = "document.querySelector('table[data-matrix]')", "document.querySelector('[data-answer]')"
OVERVIEW = "document.querySelector('section.card table.answer')"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boston with six removed features, all names hostile."""
    folder = tmp_path_factory.mktemp("page")
    more_removed(folder / "plain", 6)
    names = Run(folder / "plain").subjects(None)[0].removed
    found, run = tables(folder / "plain", 2, ("boston",)), record(folder / "plain", ("boston",))
    new = dict(zip(names, HOSTILE, strict=True))
    other = {name: frame.replace({"dataset": {"boston": DATASET}, **{
        column: new for column in ("removed", "feature", "largest_gainer", "proxy") if column in frame}})
        for name, frame in found.items()}
    about = run["datasets"].pop("boston")
    run["datasets"][DATASET] = about | {
        "groups": {new.get(name, name): 1 for name in about["groups"]}, "target": "=1+1"}
    path = write_run(folder / "run", other, run)
    with plain_figures():
        draw_report(path)
    return path


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture
def page(tab: Browser, run_dir: Path) -> Iterator[Browser]:
    """The page, opened anew; at the end nothing was asked for, nothing popped up, nothing failed."""
    tab.noted.clear()
    tab.open(run_dir / "report.html")
    yield tab
    tab.run("1")  # what is under way has come in
    assert tab.noted == []


def data(run_dir: Path) -> dict[str, Any]:
    """The page's JSON."""
    text = (run_dir / "report.html").read_text(encoding="utf-8")
    (part,) = json.loads(text.split('id="data">')[1].split("</script>")[0]).values()
    return dict(part)


def texts(page: Browser, rows: str) -> list[list[str]]:
    """The cells of the rows that are shown."""
    return list(page.run(f"[...{rows}].filter(r => !r.hidden).map(r => [...r.cells].map(c => c.textContent.trim()))"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_anyone_can_use_it_at_any_width(page: Browser, run_dir: Path, width: int, dark: bool) -> None:
    """axe finds nothing; the page never scrolls sideways, nor do the answer's tables."""
    page.shape(width, dark)
    assert page.violations() == []
    assert not page.run("document.documentElement.scrollWidth > innerWidth")
    assert page.run("[...document.querySelectorAll('table.answer')].filter("
                    "t => t.scrollWidth > t.parentElement.clientWidth).length") == 0
    assert page.run("getComputedStyle(document.documentElement).colorScheme") == ("dark" if dark else "normal")


def test_it_opens_at_once_and_asks_nobody(page: Browser, run_dir: Path) -> None:
    assert page.open(run_dir / "report.html") < 1000
    assert page.run("document.scripts.length") == 2 and page.run("document.images.length") <= 1
    assert page.run("[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
                    ".filter(name => name.startsWith('on'))") == []
    blocked = page.run("fetch('http://127.0.0.1:1/').then(() => 'sent', () => 'blocked')")
    assert blocked == "blocked" and any("Content Security Policy" in line for line in page.noted)
    page.noted.clear()


def test_rows_are_sorted_by_mouse_and_keyboard(page: Browser) -> None:
    heads = page.run(f"[...{OVERVIEW}.tHead.rows[0].cells].map(c => c.textContent)")
    place = heads.index("RMSE of =1+1")
    orders = f"[...{OVERVIEW}.tBodies[0].rows].map(r => Number(r.cells[{place}].dataset.order))"
    before = page.run(orders)
    head = f"{OVERVIEW}.tHead.rows[0].cells[{place}]"
    page.click(f"{head}.querySelector('button')")
    assert page.run(f"{head}.getAttribute('aria-sort')") == "ascending" and page.run(orders) == sorted(before)
    page.run(f"{head}.querySelector('button').focus()")
    page.press("Enter")
    assert page.run(f"{head}.getAttribute('aria-sort')") == "descending"
    assert page.run(orders) == sorted(before, reverse=True) and len(set(before)) > 1
    assert page.run(f"{OVERVIEW}.querySelectorAll('[aria-sort=none]').length") == len(heads) - 1


def test_rows_are_filtered_by_their_words(page: Browser) -> None:
    tools = f"{ANSWER}.querySelector('.tools')"
    rows = f"{ANSWER}.querySelector('table').tBodies[0].rows"
    everything = texts(page, rows)
    page.click(f"{tools}.querySelector('input')")
    page.press(*"Proved")
    shown = texts(page, rows)
    assert shown == [row for row in everything if "proved" in " ".join(row).lower()]
    assert 0 < len(shown) < len(everything)
    assert page.run(f"{tools}.querySelector('[role=status]').textContent") == f"{len(shown)} of {len(everything)} rows"


def test_what_is_chosen_drives_answer_and_matrix(page: Browser, run_dir: Path) -> None:
    """By keyboard; both choosers agree, and what the script draws of the first choice is what was there."""
    part = data(run_dir)
    drawn = [f"[...{MATRIX}.rows].map(r => [...r.cells].map(c => [c.textContent, c.className, c.style.cssText]))",
             f"{ANSWER}.querySelector('.headline').textContent.trim()"]
    first = [page.run(code) for code in drawn]
    answer = texts(page, f"{ANSWER}.querySelector('table').rows")
    page.run("document.querySelector('.chooser select[name=feature]').focus()")
    page.press("ArrowUp" if part["first"] else "ArrowDown")
    chosen = part["first"] + (-1 if part["first"] else 1)
    name = part["features"][chosen]
    assert page.run("[...document.querySelectorAll('select[name=feature]')].map(s => Number(s.value))") == [chosen] * 2
    assert page.run(f"{MATRIX}.caption.querySelector('bdi').textContent") == name
    assert page.run(drawn[1]) == " ".join(part["answers"]["words"][chosen][:2])
    assert texts(page, f"{ANSWER}.querySelector('table').rows")[0][0] == f"{name} removed by"
    cells = texts(page, f"{MATRIX}.tBodies[0].rows")
    assert [[cell.replace("−", "-").replace("+", "") for cell in row[1:]] for row in cells] == [
        ["n/a" if shift is None else str(shift) for shift in row] for row in part["shifts"][chosen]]
    page.run("const box = document.querySelector('.chooser select[name=feature]');"
             f"box.value = {part['first']}; box.dispatchEvent(new Event('change')); 0")
    assert [page.run(code) for code in drawn] == first
    assert texts(page, f"{ANSWER}.querySelector('table').rows") == answer


def test_one_method_and_one_scorer_over_every_feature(page: Browser, run_dir: Path) -> None:
    part = data(run_dir)
    lime = part["columns"].index("lime")
    page.run(f"const choice = {{feature: -1, method: 2, scorer: {lime - 1}}};"
             "for (const [name, value] of Object.entries(choice)) {"
             "const box = document.querySelector(`.chooser[data-all] select[name=${name}]`);"
             "box.value = value; box.dispatchEvent(new Event('change')); } 0")
    rows = texts(page, f"{MATRIX}.rows")
    assert rows[0] == ["method", "direct effect", "lime", "what it is worth"]
    method = part["methods"][2][0]
    assert [row[0] for row in rows[1:]] == [f"{name}: {method}" for name in part["features"]]
    assert [row[3] for row in rows[1:]] == [part["judgements"][part["judged"][place][2][lime - 1]] or "not judged"
                                            for place in range(6)]
    assert page.violations() == []


def test_a_table_is_saved_without_formulas(page: Browser) -> None:
    """Text that a spreadsheet would run begins with an apostrophe; numbers are numbers."""
    page.click("document.querySelector('section.card .tools button')")
    for _ in range(100):
        files = [file for file in page.downloads.glob("*.csv") if file.stat().st_size]
        if files:
            break
        time.sleep(0.05)
    rows = list(csv.reader(files[0].read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 7 and {len(row) for row in rows} == {len(rows[0])}
    assert [row[0] for row in rows[1:]] == [*(" ".join(name.split()) for name in HOSTILE[:5]), f"'{HOSTILE[5]}"]
    cost = rows[0].index("net cost, %")
    assert not any(row[cost].startswith("'") and row[cost][2:3].isdigit() and "(" not in row[cost] for row in rows[1:])
    assert not any(cell[:1] in "=@" for row in rows for cell in row if cell)


def test_it_is_whole_without_its_script(tab: Browser, run_dir: Path) -> None:
    tab.open(run_dir / "report.html", script=False)
    part = data(run_dir)
    assert tab.run("document.querySelectorAll('.tools').length") == 0
    assert tab.run("[...document.querySelectorAll('.chooser')].every(f => getComputedStyle(f).display === 'none')")
    assert len(texts(tab, f"{OVERVIEW}.tBodies[0].rows")) == 6
    assert len(texts(tab, f"{MATRIX}.tBodies[0].rows")) == len(part["methods"])


def test_components_are_turned_by_mouse_and_keyboard(tab: Browser, tmp_path: Path) -> None:
    """Every dot stands where the rotation puts it, of any three components; without the script the first view stays."""
    picture = components.components(with_components("iris"))
    assert isinstance(picture, Picture)
    script = (files("attribution_suite.reporting") / "templates" / "figures.js").read_text(encoding="utf-8")
    page = tmp_path / "turn.html"
    page.write_text(environment().from_string(
        "{% from 'figure.html' import show %}<!doctype html><html lang=en><meta charset=utf-8><title>t</title><main>"
        "<h1>t</h1><h2>t</h2>{{ show(one) }}</main>").render(one=picture) + f"<script>{script}</script>",
        encoding="utf-8")
    about = json.loads(picture.turn)
    points = np.array(about["points"]) / about["fine"]

    def off(triple: list[int], yaw: float, pitch: float) -> float:
        """How far the farthest dot is from where it belongs, in pixels."""
        seen = tab.run("[...document.querySelectorAll('circle')].map(c => [+c.getAttribute('cx'), "
                       "+c.getAttribute('cy')])")
        expected = np.array(about["middle"]) + about["unit"] * components.projected(
            points[:, triple], yaw, pitch) * [1, -1]
        return float(np.abs(np.array(seen) - expected).max()) / UNIT

    tab.open(page, script=False)
    assert tab.run("document.querySelectorAll('input').length") == 0 and off([0, 1, 2], 35, 20) < 2
    tab.noted.clear()
    tab.open(page)
    assert tab.violations() == []
    tab.run("(() => { const s = document.querySelector('select'); s.focus(); s.value = 3; "
            "s.dispatchEvent(new Event('input', {bubbles: true})); document.querySelector('input').focus(); })()")
    tab.press("ArrowRight", "ArrowRight")
    assert off([1, 2, 3], 37, 20) < 0.2 < off([0, 1, 2], 37, 20)
    x, y = tab.run("(() => { const r = document.querySelector('svg').getBoundingClientRect(); "
                   "return [r.x + r.width / 2, r.y + r.height / 2]; })()")
    for kind, across, down in (("mousePressed", 0, 0), ("mouseMoved", 40, 20), ("mouseReleased", 40, 20)):
        tab.call("Input.dispatchMouseEvent", type=kind, x=x + across, y=y + down, button="left", clickCount=1)
    assert off([1, 2, 3], 17, 30) < 0.2
    labels = tab.run("[...document.querySelectorAll('svg text:has(> title)')].map(t => t.firstChild.data)")
    assert labels == ["PC 1", "PC 2", "PC 3"]
    assert tab.noted == []


def test_the_comparison_is_inert_too(tab: Browser, run_dir: Path, tmp_path: Path) -> None:
    whole = write_run(tmp_path / "other", tables(whole_run(), 2, ("boston",)), record(whole_run(), ("boston",)))
    for path in (run_dir, whole):
        write_verdicts(path)
    page = compare.write(compare.compare(run_dir, whole), tmp_path / "compare.html")
    tab.noted.clear()
    tab.open(page)
    assert tab.violations() == [] and tab.noted == []
    assert not tab.run("document.documentElement.scrollWidth > innerWidth")
