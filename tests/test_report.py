"""The page as a browser sees it, with no network: complete, inert, self-contained, the same every time."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, browser
from bs4 import BeautifulSoup
from PIL import Image
from plain_suite import plain_figures
from report_fixture import (
    LOCAL,
    REMOVALS,
    SCORERS,
    changed,
    datasets,
    failures,
    hand_mean,
    record,
    removed,
    settled,
    tables,
    units_run,
    whole_run,
    write_run,
)

from attribution_suite import files
from attribution_suite.conclusions.judgements import FAITHFUL
from attribution_suite.reporting import figures
from attribution_suite.reporting import page as pages
from attribution_suite.reporting.explore import cell, explorer
from attribution_suite.reporting.figures import redistribution, scorers
from attribution_suite.reporting.figures.matrix import shift_matrix, shift_text
from attribution_suite.reporting.figures.shades import FIXED, PALETTE
from attribution_suite.reporting.figures.style import Picture, canvas, label
from attribution_suite.reporting.page import draw_report
from attribution_suite.reporting.reading import Run, Subject

EVIL = "<script>alert(1)</script>"


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


@pytest.fixture
def plain() -> Iterator[None]:
    """No figures in this test alone: others of this module look at them."""
    with plain_figures():
        yield


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both data sets drawn; iris passes for a stand-in whose inputs are components and whose rows are not to be had."""
    run = record(whole_run())
    run["datasets"]["iris"] |= {"source": "simulated", "note": "Made with seed 0.",
                                "groups": {f"PC {i}": 1 for i in range(4)}}
    run["failed"] = [{"chunk": "iris lazy (petal_width)", "error": "MemoryError: <b>no room</b>"}]
    path = write_run(tmp_path_factory.mktemp("report") / "run", settled(tables(whole_run()), ("boston", "iris")), run)
    draw_report(path, {"boston": datasets()["boston"]})
    return path


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return (run_dir / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def boston(run_dir: Path) -> Subject:
    return Run(run_dir).subjects(None)[0]


def renamed(path: Path, names: Sequence[str], dataset: str = "iris") -> Path:
    """Iris with two networks, its data set and its first features called otherwise."""
    found, run = tables(whole_run(), 2, ("iris",)), record(whole_run(), ("iris",))
    features = dict(zip([*removed("iris"), "sepal_length"], names, strict=False))
    other = {name: frame.replace({"dataset": {"iris": dataset}, **{
        column: features for column in ("removed", "feature", "largest_gainer") if column in frame}})
        for name, frame in found.items()}
    about = run["datasets"].pop("iris")
    run["datasets"][dataset] = about | {"groups": {features.get(name, name): 1 for name in about["groups"]}}
    return write_run(path, other, run)


def more_removed(path: Path, count: int) -> Path:
    """Boston with two networks and `count` removed features: copies of the first ones under other names."""
    found, run = tables(whole_run(), 2, ("boston",)), record(whole_run(), ("boston",))
    names = [name for name in run["datasets"]["boston"]["groups"] if name not in removed()]
    for table in ("outcomes", "shifts", "attributions"):
        frame, copies = found[table], []
        for place in range(count - 3):
            copy = frame[frame.removed == removed()[place % 3]].assign(removed=names[place])
            if table == "shifts":
                copy = copy.assign(share_before=copy.share_before * (0.5 + 0.3 * place))
            copies.append(copy)
        found[table] = pd.concat([frame, *copies], ignore_index=True)
    return write_run(path, found, run)


def test_the_page_answers_first(page: str) -> None:
    text = " ".join(" ".join(Page(page).text).split())
    for feature in (*removed("boston"), *removed("iris")):
        assert text.count(f"3 of 5 methods take the direct influence of {feature} out of the network (2 proved, "
                          "1 bounded, 1 undecided).") == 1
    answer, details = page.rindex("3 of 5 methods take"), page.index('class="subject"')
    assert answer < details
    assert text.index("What each scorer says of each removal") < text.index("Where the influence went")
    assert "2 data sets, 5 removal methods, 8 scorers, 3 networks each on one split of the rows." in text
    assert "iris lazy (petal_width)" in text
    assert "1 part of the run failed" in text
    assert f"follows the networks with an R² below {FAITHFUL} is too poor to speak" in text


def test_everything_is_in_the_page(page: str, run_dir: Path) -> None:
    parsed = Page(page)
    assert parsed.of("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not parsed.of("link") or all(link["href"] == "data:," for link in parsed.of("link"))
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:", "figures/")) or not value, (tag, name, value)
    assert not re.search(r"https?://|url\(|@import", page)
    assert len(page.encode()) < 1_000_000
    assert not parsed.of("img")
    drawn = {picture["id"].removeprefix("figure-"): picture for picture in parsed.of("svg")}
    assert all(picture["role"] == "img" and len(picture["aria-label"]) > 20 for picture in drawn.values())
    in_folder = {kind: {file.stem for file in (run_dir / "figures").glob(f"*.{kind}")} for kind in ("png", "svg")}
    assert in_folder["png"] == in_folder["svg"] > set(drawn)
    linked = {link["href"] for link in parsed.of("a") if (link["href"] or "").startswith("figures/")}
    assert linked == {f"figures/{name}.svg" for name in in_folder["svg"] - set(drawn)}
    assert page.count("<summary>The numbers drawn") == len(drawn)


def test_a_figure_is_small_and_tells_its_values(run_dir: Path, page: str) -> None:
    """At most 500 marks and 50 kB; no pixels, no metadata, no colour that a dark page cannot change but of tiles."""
    found = dict(re.findall(r'<svg id="figure-(.*?)"(.*?)</svg>', page, re.DOTALL))
    assert len(found) > 15
    for name, body in found.items():
        assert len(re.findall("<path|<circle", body)) <= 500 and len(body) < 52_000, name
        assert "<title>" in body and "<image" not in body and "metadata" not in body, name
        ids = re.findall(r' id="', body)
        assert not ids, name
        assert set(re.findall(r'="(#[0-9a-f]{6})"', body)) <= FIXED, name
        alone = (run_dir / "figures" / f"{name}.svg").read_text()
        assert alone.startswith("<svg xmlns=") and "var(" not in alone and "<title>" in alone


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
    path = write_run(tmp_path / "real", tables(whole_run(), 2, ("boston",)), record(whole_run(), ("boston",)))
    assert "simulated" not in draw_report(path).read_text().split("</style>")[1]


def test_a_simulated_figure_says_so_in_the_picture(boston: Subject) -> None:
    marked = replace(boston, info={**boston.info, "source": "simulated"})
    first, second = (figures.cost.cost(subject) for subject in (boston, marked))
    assert isinstance(first, Picture) and isinstance(second, Picture)
    corners = [np.asarray(Image.open(io.BytesIO(found.png)).convert("RGB"))[:22, -130:] for found in (first, second)]
    ink = np.array([int(PALETTE["warn"][i:i + 2], 16) for i in (1, 3, 5)])
    counts = [int((np.abs(corner.astype(int) - ink).sum(2) < 12).sum()) for corner in corners]
    assert counts[0] == 0
    assert counts[1] > 50


def test_missing_rows_are_said_to_be_missing(page: str, run_dir: Path) -> None:
    names = {file.stem for file in (run_dir / "figures").glob("*.png")}
    assert {"boston-fits", "boston-matrix", "iris-matrix"} <= names
    assert not {"iris-components", "iris-fits", "boston-components"} & names
    assert "The first components</b>: left out: it needs the rows of iris" in page


def test_names_are_inert(tmp_path: Path) -> None:
    path = renamed(tmp_path / "evil", [EVIL, "a\" onload=\"alert(2)", "'&amp;"], f"set {EVIL}")
    parsed = Page(draw_report(path).read_text())
    assert len(parsed.of("script")) == 2  # the data and the page's own
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert any(EVIL in text for text in parsed.text)


@pytest.mark.filterwarnings("error")
def test_dollars_and_underscores_are_not_mathematics(tmp_path: Path) -> None:
    r"""`$\frac$` would stop a figure if read as mathematics; a leading '_' would drop a name from a legend."""
    draw_report(renamed(tmp_path / "dollars", ["$\\frac$", "_a_b_$c$", "$x_1$"]))
    assert label("_a") != "_a"
    with mpl.rc_context({"text.parse_math": True}):
        figure = canvas(2, 1)
        figure.text(0, 0, "$\\frac$")
        with pytest.raises(ValueError, match="frac"):
            figure.savefig(io.BytesIO())


def test_the_same_run_gives_the_same_bytes_under_any_style(run_dir: Path, boston: Subject) -> None:
    again = replace(boston, data=datasets()["boston"])
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "text.usetex": True}):
        found = [one for chapter in figures.draw(again).values() for one in chapter if isinstance(one, Picture)]
    assert len(found) == 18
    for one in found:
        for name, content in one.files.items():
            assert content == (run_dir / "figures" / name).read_bytes()


def hashes(path: Path) -> dict[str, str]:
    files = [path / "report.html", *sorted((path / "figures").iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.usefixtures("plain")
def test_a_failure_leaves_the_last_report(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    before = hashes(copy)

    def fail(*_: object) -> None:
        raise RuntimeError("drawing failed")

    with monkeypatch.context() as patch:
        patch.setattr(pages, "render", fail)
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
    none = {name: frame[frame.removal == "original"] if "removal" in frame else frame
            for name, frame in tables(whole_run(), 2).items()}
    path = write_run(tmp_path / "scores", none, record(whole_run()))
    page = draw_report(path).read_text()
    assert "Nothing was removed here" in page
    assert {file.stem for file in (path / "figures").glob("boston-*")} == {
        "boston-shares", "boston-signed", "boston-agreement-row", "boston-agreement-global", "boston-xgboost",
        "boston-training", "boston-rows", "boston-row"}


@pytest.mark.usefixtures("plain")
def test_a_data_set_without_results_is_said_to_have_none(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", tables(whole_run(), 2, ("boston",)), record(whole_run()))
    page = draw_report(path).read_text()
    assert "No results." in page


def test_one_network_is_called_one_and_has_no_interval(tmp_path: Path) -> None:
    path = write_run(tmp_path / "one", tables(whole_run(), 1, ("boston",)), record(whole_run(), ("boston",)))
    text = " ".join(" ".join(Page(draw_report(path).read_text()).text).split())
    assert "one network each on one split of the rows: no interval can be given" in text
    assert "one network trained here" in text and "One network: no interval can be given." in text
    for words in ("– to –", "95 %", "interval over", "over seeds", "1 seeds", "over networks", "Student", "±"):
        assert words not in text, words
    assert "over 3 networks" not in text and "2 networks" not in text


@pytest.mark.usefixtures("plain")
def test_given_networks_are_called_given(tmp_path: Path) -> None:
    run = record(whole_run(), ("boston",))
    run["datasets"]["boston"]["networks"] = {
        "count": 2, "how": "by predictions alone", "retraining": "by their fit",
        "not_applicable": {"lrp": "no layers", "retrain": "no layers"}}
    page = draw_report(write_run(tmp_path / "given", tables(whole_run(), 2, ("boston",)), run)).read_text()
    assert "2 networks given by the user" in page and "trained here" not in page
    assert "retrains them by their fit. Not applicable: lrp, retrain: no layers." in page


def test_several_networks_have_intervals(page: str) -> None:
    text = " ".join(" ".join(Page(page).text).split())
    assert "3 networks each" in text and "95 % interval over networks" in text and "one network each" not in text


@pytest.mark.usefixtures("plain")
def test_of_many_removed_features_there_is_a_line_each_and_one_answer(tmp_path: Path) -> None:
    """What is chosen first has the largest share; the data has all."""
    page = BeautifulSoup(draw_report(more_removed(tmp_path / "many", 6)).read_text(), "html.parser")
    names = Run(tmp_path / "many").subjects(None)[0].removed
    overview, answer = page.select("table.answer")
    assert [row.th.get_text() for row in overview.select("tbody tr")] == names
    part = json.loads(page.select_one("script#data").string)["boston"]
    first = part["features"][part["first"]]
    assert answer.th.get_text() == f"{first} removed by" and first in Run(tmp_path / "many").subjects(None)[0].shown
    assert [len(part[name]) for name in ("features", "shifts", "rows", "judged")] == [6] * 4
    assert [len(part["answers"][name]) for name in ("words", "kinds", "values")] == [6] * 3


@pytest.mark.usefixtures("plain")
def test_failures_are_named_at_the_top_and_never_gone(tmp_path: Path) -> None:
    first, _, third = removed()
    whole = settled(tables(whole_run(), 2, ("boston",)))
    lost = {"scorer": "lime", "removal": "fold_tuning", "removed": [first, third]}
    whole["shifts"] = changed(whole["shifts"], lost, applicable=False)
    whole["failures"] = pd.concat([
        *[failures(removal="fold_tuning", removed=name, rank=rank, scorer="lime", error="no <b>")
          for name, rank in ((first, 1), (third, 3))],
        failures(removal="lazy", removed=first, rank=1, error="MemoryError")])
    path = write_run(tmp_path / "run", whole, record(whole_run(), ("boston",)))
    text = " ".join(" ".join(Page(draw_report(path).read_text()).text).split())
    sentence = f"boston: lime failed on fold_tuning of {first} and {third}: no <b>. It is not measured there."
    assert sentence in text and text.index(sentence) < text.index(f"methods take the direct influence of {first}")
    assert (f"3 of 6 methods take the direct influence of {first} out of the network (2 proved, 1 bounded, "
            "1 undecided, 1 not measured).") in text


def test_hidden_units_are_drawn_network_by_network(tmp_path: Path) -> None:
    """`top:2` picks other units in every network: panels and tables name network and unit, or the rank."""
    path = write_run(tmp_path / "units", tables(units_run()), record(units_run()))
    subject = Run(path).subjects(None)[0]
    outcomes = subject.tables["outcomes"]
    strongest = {seed: own.removed.iloc[0] for seed, own in outcomes[outcomes["rank"] == 1].groupby("seed")}
    assert len(set(strongest.values())) > 1
    assert subject.removed == subject.shown == ["strongest unit", "unit of rank 2"]
    panels = redistribution._unit_panels(subject)
    assert [(name, one.after.index[0]) for name, one in panels.items()] == [
        (f"network {seed}", strongest[seed]) for seed in range(3)]
    shares = scorers._network_panels(subject)[0]
    own = subject.originals.query("seed == 2 and scorer == 'deep_lift'").set_index("feature").share
    assert list(shares) == ["network 0", "network 1", "network 2"]
    pd.testing.assert_series_equal(shares["network 2"].deep_lift, own.reindex(shares["network 2"].index),
                                   check_names=False)
    page = draw_report(path).read_text()
    assert "1 of 2 methods take the direct influence of the strongest unit out of the network (1 proved)." in page
    assert "A hidden unit has no identity across networks" in page


@pytest.mark.usefixtures("plain")
def test_hidden_layers_get_their_own_section(tmp_path: Path) -> None:
    inputs, units = tables(whole_run(), 2, ("iris",)), tables(units_run(), 2)
    both = {name: pd.concat([inputs[name], units[name]]) for name in inputs}
    page = draw_report(write_run(tmp_path / "layers", both, record(whole_run(), ("iris",)))).read_text()
    assert 'id="iris-layer-1"' in page
    assert "iris, layer 1" in page


def hand_half(values: np.ndarray) -> float:
    mean, low, _ = hand_mean(values)
    return mean - low


def test_the_matrix_is_the_mean_of_the_table(boston: Subject) -> None:
    shifts, outcomes = boston.tables["shifts"], boston.tables["outcomes"]
    for feature in boston.removed:
        mean, half, missing = shift_matrix(boston, feature)
        one = shift_matrix(boston, feature, 2)
        assert list(mean.columns) == ["direct effect", *SCORERS] and list(mean.index) == REMOVALS
        assert not missing.any(axis=None) and one.half.isna().all(axis=None)
        for removal in REMOVALS:
            own = outcomes[(outcomes.removal == removal) & (outcomes.removed == feature)]
            left = (own.direct_effect / own.direct_effect_before - 1).to_numpy()
            assert mean.loc[removal, "direct effect"] == pytest.approx(left.mean())
            assert half.loc[removal, "direct effect"] == pytest.approx(hand_half(left))
            for scorer in SCORERS:
                rows = shifts[(shifts.removal == removal) & (shifts.scorer == scorer) & (shifts.removed == feature)]
                if not rows.applicable.all():  # not applicable is no number
                    assert np.isnan([mean.loc[removal, scorer], half.loc[removal, scorer]]).all()
                    continue
                values = rows.target_shift.to_numpy()
                assert mean.loc[removal, scorer] == pytest.approx(values.mean(), rel=1e-9)
                assert half.loc[removal, scorer] == pytest.approx(hand_half(values), abs=1e-9)
                assert one.mean.loc[removal, scorer] == rows.target_shift[rows.seed == 2].item()


def test_what_was_not_measured_is_no_number(boston: Subject) -> None:
    """A NaN in one network of three would vanish from a mean; the cell says that it is missing."""
    feature = removed()[1]
    here = {"removal": "fold_tuning", "removed": feature, "seed": 1}
    shifts = changed(boston.tables["shifts"], {**here, "scorer": "deep_lift"}, share_after=np.nan, target_shift=np.nan)
    outcomes = changed(boston.tables["outcomes"], here, direct_effect=np.nan)
    lost = replace(boston, tables={**boston.tables, "shifts": shifts, "outcomes": outcomes})
    found = shift_matrix(lost, feature)
    missing = found.missing.loc["fold_tuning", ["direct effect", "deep_lift"]]
    assert missing.all() and found.missing.to_numpy().sum() == 2
    assert found.mean.loc["fold_tuning", ["direct effect", "deep_lift"]].isna().all()
    explored = explorer(lost)
    assert explored is not None
    shifts = explored.matrices[explored.features.index(feature)].shifts[REMOVALS.index("fold_tuning")]
    cells = {name: cell(shift).text for name, shift in zip(explored.columns, shifts, strict=True)}
    assert cells["deep_lift"] == "not measured" and cells["xgboost_gain"] == "n/a"
    assert cells["lime"] == "−99.6"  # 0.4 % is left


def test_the_two_readings_of_agreement_are_told_apart(boston: Subject) -> None:
    """Scorers without local values have no row by row reading; each cell is the mean of its own rows."""
    found = boston.tables["agreement"].query("removal == 'original' and metric == 'rank_correlation'")
    for reading, names in (("row", [*LOCAL, "random"]), ("global", SCORERS)):
        matrix = scorers._agreement(boston, reading)
        rows = found[found.reading == reading]
        assert list(matrix.index) == list(matrix.columns) == [name for name in SCORERS if name in names]
        for (a, b), own in rows.groupby(["scorer_a", "scorer_b"]):
            assert matrix.loc[a, b] == matrix.loc[b, a] == pytest.approx(own.value.mean())
        assert (np.diag(matrix) == 1).all()
    captions = {found.name: found.caption for found in scorers.agreement(boston) if isinstance(found, Picture)}
    assert "per row, then averaged over the rows that every scorer explains" in captions["boston-agreement-row"]
    assert "of global magnitudes mean |φ|" in captions["boston-agreement-global"]


def test_surrogates_that_are_too_poor_to_speak_are_named_where_scorers_agree(
        boston: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    # One with a value for each row, one without, and one that is good enough.
    said = {name: {"fidelity": each} for name, each in {"lime": 0.7, "weights": 0.79, "deep_lift": 0.8}.items()}
    poor = replace(boston, info={**boston.info, "scorers": said})
    row, whole = (found.caption for found in scorers.agreement(poor))
    told = "Too poor to speak for the networks (R² to them below 0.8): "
    assert f"{told}lime." in row and f"{told}lime and weights." in whole
    assert not any("poor" in found.caption for found in scorers.agreement(boston))
    monkeypatch.setattr(pages, "answers", lambda subject: [])
    monkeypatch.setattr(pages, "explorer", lambda subject: None)
    monkeypatch.setattr(figures, "draw", lambda subject: {})
    look = Run(whole_run()).neurons("boston")
    of_units, of_none = (" ".join(one.text for one in pages.section(replace(each, neurons=look)).findings)
                         for each in (poor, boston))
    assert f"{told}lime and weights." in of_units and "poor" not in of_none


@pytest.mark.parametrize(("value", "text"), [
    (-1.0, "−100"), (-0.9996, "−99.9"), (-0.996, "−99.6"), (-0.66, "−66"), (-0.001, "0"), (0.0, "0"), (0.052, "+5"),
    (1.4, "+140"), (np.inf, "new"), (np.nan, "n/a")])
def test_nearly_gone_never_reads_as_gone(value: float, text: str) -> None:
    assert shift_text(value) == text


def test_only_the_largest_of_many_removed_features_are_drawn(tmp_path: Path) -> None:
    subject = Run(more_removed(tmp_path / "many", 6)).subjects(None)[0]
    share = subject.tables["shifts"].query("scorer != 'random'").groupby("removed").share_before.mean()
    assert set(subject.shown) == set(share.nlargest(4).index)
    assert subject.shown == [name for name in subject.removed if name in subject.shown]
    assert set(subject.tables["attributions"].removed) == {"", *subject.shown}
    found = figures.redistribution.redistribution(subject)
    assert len(found) == 4 and "2 more removed features are not drawn" in found[0].caption


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_every_figure_with_the_network_off(run_dir: Path, page: str, tmp_path: Path) -> None:
    """On a desk and on a phone: every figure shows, the page never scrolls sideways, nor do the answer's tables.

    The arrow keys tell a figure's marks one by one; axe finds nothing in the figures either.
    """
    with browser(tmp_path) as tab:
        for width in (1280, 700, 390):
            tab.open(run_dir / "report.html", width)
            heights = tab.run("[...document.querySelectorAll('.drawing svg')]"
                              ".map(e => e.getBoundingClientRect().height)")
            assert len(heights) == page.count('<div class="drawing">') and min(heights) > 60
            assert not tab.run("document.documentElement.scrollWidth > innerWidth")
            assert tab.run("[...document.querySelectorAll('table.answer')].filter("
                           "t => t.scrollWidth > t.parentElement.clientWidth).length") == 0
        tab.run("document.querySelector('.drawing svg').focus()")
        told = []
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Escape"):
            tab.press(key)
            told.append(tab.run("document.querySelector('.tip').textContent"))
        assert told[0] and told[0] == told[2] and len(set(told)) == 4 and told[4] == ""
        assert tab.violations() == [] and tab.noted == []
