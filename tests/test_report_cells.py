"""The page's cells, parsed, against numbers computed from the tables by hand."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup, Tag
from plain_suite import SVG
from report_fixture import (
    REMOVALS,
    SCORERS,
    STATES,
    Frames,
    changed,
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

from attribution_suite.conclusions.numbers import (
    number,
    percent,
    precise,
    precise_percent,
    rounded,
    score,
    seconds,
    signed_percent,
)
from attribution_suite.conclusions.words import plain
from attribution_suite.reporting import page as pages
from attribution_suite.reporting.explore import Cell, cell
from attribution_suite.reporting.figures import CHAPTERS
from attribution_suite.reporting.figures.matrix import shift_text
from attribution_suite.reporting.figures.style import LeftOut, Picture
from attribution_suite.reporting.page import draw_report

LOST = "deep_lift"  # has no number for the second feature of iris that fold_tuning removed from the second network


def pictures(subject: pages.Subject) -> dict[str, list[Picture | LeftOut]]:
    """Pictures that need no drawing, of which one lies beside the page."""
    def named(name: str, on_page: bool = True) -> Picture:
        return Picture(f"{subject.slug}-{name}", f"Heading of {name}", f"Caption of {name}", f"Alt of {name}", b"png",
                       SVG, on_page=on_page)

    return {chapter: [named(chapter), *([named("beside", False), LeftOut("Lost", "left out: no rows")]
                                        if chapter == "neurons" else [])] for chapter in CHAPTERS}


@pytest.fixture(scope="module")
def run() -> Frames:
    """Every state of the direct influence, and in iris a scorer and a removal that were not measured in one network."""
    found = settled(tables(whole_run()))
    here = {"dataset": "iris", "removal": "fold_tuning", "removed": removed("iris")[1], "seed": 1}
    found["shifts"] = changed(found["shifts"], {**here, "scorer": LOST}, share_after=np.nan, target_shift=np.nan)
    found["outcomes"] = changed(found["outcomes"], {**here, "removal": "constant"}, direct_effect=np.nan,
                                worst_case=np.nan, worst_case_bound=np.nan)
    lost = failures(dataset="iris", removal="fold_tuning", removed=removed("iris")[1], rank=2, scorer=LOST)
    return {**found, "failures": lost}


@pytest.fixture(scope="module")
def page(run: Frames, tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    return drawn(write_run(tmp_path_factory.mktemp("cells") / "run", run, record(whole_run())))


def drawn(path: Path) -> BeautifulSoup:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages.figures, "draw", pictures)
        return BeautifulSoup(draw_report(path).read_text(encoding="utf-8"), "html.parser")


# What each method is called in the answer: those that are tuned had a quarter of their epochs, in a quick audit.
LABELS = {removal: f"{plain(removal)} {removal}" + " 25 % budget" * removal.endswith("_tuning") for removal in REMOVALS}


def text(tag: Tag) -> str:
    """As it is read: without the places where a long name may break."""
    return " ".join(tag.get_text(" ").split()).replace("_ ", "_")


def answers(page: BeautifulSoup) -> Iterator[tuple[str, str, list[str], list[Tag]]]:
    """Data set, removed feature, headings and rows of every answer table."""
    for card in page.select("#answer ~ section.card"):
        for table in card.select(".answer-row table.answer"):
            head = [text(cell) for cell in table.select("thead th")]
            yield text(card.select_one("h2")), head[0].removesuffix(" removed by"), head[1:], table.select("tbody tr")


def own_rows(frame: pd.DataFrame, dataset: str, feature: str, removal: str) -> pd.DataFrame:
    return frame[(frame.dataset == dataset) & (frame.removed == feature) & (frame.removal == removal)]


def test_answer_tables_come_in_the_order_of_the_run(page: BeautifulSoup) -> None:
    wanted = [(name, feature) for name in ("boston", "iris") for feature in removed(name)]
    assert [(name, feature) for name, feature, _, _ in answers(page)] == wanted
    for name, _, head, rows in answers(page):
        assert head == ["direct influence", "worst case", "effect left",
                        "accuracy" if name == "iris" else "RMSE of MEDV", "net cost, %", "information left", "seen by",
                        "seconds"]
        assert [text(row.select_one("th")) for row in rows] == [LABELS[removal] for removal in REMOVALS]


def of_each(run: Frames, dataset: str, feature: str, removal: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The networks of a removal, and what it costs each beyond training on."""
    own = own_rows(run["outcomes"], dataset, feature, removal).sort_values("seed")
    sham = own_rows(run["outcomes"], dataset, "", "sham").sort_values("seed").loss_native.to_numpy()
    tuned = removal in ("stochastic_tuning", "inversion_tuning", "fold_tuning")
    reference = sham if tuned else own.loss_before.to_numpy()
    return own, (own.loss_native.to_numpy() - reference) / own.loss_before.to_numpy()


def test_every_answer_cell_says_what_the_tables_say(page: BeautifulSoup, run: Frames) -> None:
    for dataset, feature, head, rows in answers(page):
        for removal, row in zip(REMOVALS, rows, strict=True):
            cells = dict(zip(head, map(text, row.select("td")), strict=True))
            own, net = of_each(run, dataset, feature, removal)
            lost = (dataset, removal, feature) == ("iris", "constant", removed("iris")[1])
            most = own.loc[own.worst_case.idxmax()]
            limit = {"undecided": "no bound; ", "bounded": f"at most {number(own.worst_case_bound.max())}; "}
            state = cells["direct influence"]
            where = "" if state in ("proved none", "bounded") or most.witness_row < 0 else (
                f"; network {most.seed}, test row {most.witness_row:.0f}: "
                f"{most.witness_from.removeprefix(f'{feature} ')} → {most.witness_to.removeprefix(f'{feature} ')} "
                "takes "
                f"{rounded(most.witness_before)} to {rounded(most.witness_after)}")
            assert cells["worst case"] == (
                f"not measured δ {number(most.delta)}" if lost else
                f"{number(most.worst_case)} {limit.get(state, '')}δ {number(most.delta)}{where}")
            flips = f" {percent(own.flip_rate.mean())} flips" if dataset == "iris" else ""
            effect = (own.direct_effect / own.direct_effect_before).to_numpy()
            assert cells["effect left"] == ("not measured" if lost else percent(effect.mean())) + flips
            measure, other, write = ("accuracy", "auc", precise_percent) if dataset == "iris" else (
                "rmse", "r2", precise)
            assert cells["accuracy" if dataset == "iris" else "RMSE of MEDV"] == (
                f"{write(own[f'{measure}_before'].mean())} → {write(own[measure].mean())} "
                f"{'AUC' if dataset == 'iris' else 'R²'} {score(own[f'{other}_before'].mean())} → "
                f"{score(own[other].mean())}")
            mean, low, high = hand_mean(net)
            interval = f" {signed_percent(low)} to {signed_percent(high)}" if low < high else ""
            assert cells["net cost, %"] == (
                f"{signed_percent(mean)}{interval}" if abs(mean) < 3 else
                f"> +300 % {(net * own.loss_before).mean():+.2g} in loss")
            assert cells["seconds"] == seconds(own.seconds.mean())


def test_seen_by_counts_the_scorers_that_are_above_their_null(page: BeautifulSoup) -> None:
    """Of boston: all but xgboost_gain, which reads labels, and LIME, see what is present or not excluded.

    What is bounded by zero weights is zero by construction; LIME raises one false alarm and is blind to the third.
    """
    for dataset, feature, head, rows in answers(page):
        if dataset != "boston":
            continue
        first, second, third = removed()
        for removal, row in zip(REMOVALS, rows, strict=True):
            cell = text(row.select("td")[head.index("seen by")])
            wanted = str(6 - (feature == third)) if removal in ("stochastic_tuning", "inversion_tuning") else "0"
            wanted = "1 1 false alarm" if (feature, removal) == (first, "constant") else wanted
            wanted = "0 1 not measured" if (feature, removal) == (second, "retrain") else wanted
            assert cell == wanted, (feature, removal)


def test_the_state_of_each_row_is_that_of_its_words(page: BeautifulSoup) -> None:
    kinds = {"proved none": "proved", "present": "present", "undecided": "undecided", "bounded": "bounded"}
    for dataset, feature, head, rows in answers(page):
        cells = {text(row.select_one("th")): (text(row.select("td")[head.index("direct influence")]), row["class"])
                 for row in rows}
        if dataset == "boston":
            assert cells == {LABELS[removal]: (state, [kinds[state]]) for removal, state in STATES.items()}
        elif feature == removed("iris")[1]:  # one of three networks, whatever the others are
            assert cells[LABELS["constant"]] == ("not measured", ["unmeasured"])
    card = page.select_one("#answer-boston").parent
    # An alarm is followed by how many of them chance raises.
    assert len(card.select(".answer-row details")) == 3
    for row, said in zip(card.select(".answer-row"), (["alarms", "alarms"], [], ["blind"]), strict=True):
        assert text(row.select_one(".headline")).startswith("3 of 5 methods take the direct influence of ")
        badges = [(item["class"][0], text(item.select_one(".badge"))) for item in row.select("li")]
        assert badges == [
            ("before", "before"), ("proved", "proved none"), ("bounded", "bounded"), ("undecided", "undecided"),
            ("present", "present"), *((kind, "scorers") for kind in said), ("cost", "cost"), ("went", "went to"),
            ("known", "still known")]
        assert text(row.select("li")[1]).startswith("proved none retrain , constant : no weight leads from ")


def heats(page: BeautifulSoup, slug: str) -> dict[str, dict[str, list[Cell]]]:
    """Removed feature → row → its cells, as the page's data has them; the first one stands in the page as well."""
    part = json.loads(page.select_one("script#data").string)[slug]
    found = {}
    for feature, rows, shifts in zip(part["features"], part["rows"], part["shifts"], strict=True):
        labels = [label for _, label in rows] if rows else [code for code, _, _ in part["methods"]]
        found[feature] = {label: [cell(shift) for shift in line] for label, line in zip(labels, shifts, strict=True)}
    table = page.select_one(f"table[data-matrix='{slug}']")
    first = part["features"][part["first"]]
    assert text(table.caption).startswith(f"Change of the direct effect and of the share of {first}")
    assert [text(head) for head in table.select("thead th")] == ["method", *part["columns"]]
    assert {text(row.th): [(text(one), " ".join(one["class"]), float(one["style"].split(":")[1]))
                           for one in row.select("td")] for row in table.select("tbody tr")} == {
        label: [(one.text, one.kind, one.depth) for one in cells] for label, cells in found[first].items()}
    return found


def test_every_heat_cell_says_what_the_tables_say(page: BeautifulSoup, run: Frames) -> None:
    """The control is not among them: what it says of a removal is chance."""
    for dataset in ("boston", "iris"):
        found = heats(page, dataset)
        assert list(found) == removed(dataset)
        for feature, rows in found.items():
            assert list(rows) == REMOVALS
            for removal, cells in rows.items():
                own = own_rows(run["outcomes"], dataset, feature, removal)
                effect = (own.direct_effect / own.direct_effect_before - 1).to_numpy()
                assert cells[0].text == ("not measured" if np.isnan(effect).any() else shift_text(effect.mean()))
                shifts = own_rows(run["shifts"], dataset, feature, removal).set_index("scorer")
                for scorer, one in zip(SCORERS[:-1], cells[1:], strict=True):
                    values = shifts.loc[scorer, "target_shift"].to_numpy()
                    wanted = ("n/a" if not shifts.loc[scorer, "applicable"].all() else
                              "not measured" if np.isnan(values).any() else shift_text(values.mean()))
                    assert one.text == wanted, (dataset, feature, removal, scorer)


def test_the_numbers_that_are_not_there_are_told_apart(page: BeautifulSoup) -> None:
    rows = heats(page, "iris")[removed("iris")[1]]
    assert rows["fold_tuning"][1 + SCORERS.index(LOST)].text == "not measured"
    assert rows["fold_tuning"][1 + SCORERS.index("xgboost_gain")].text == "n/a"
    assert rows["constant"][0].text == "not measured"
    assert sum(one.text == "not measured" for cells in rows.values() for one in cells) == 2


@pytest.mark.parametrize(("shift", "wanted"), [
    (-100, ("−100", "gone", 100)), (-99.9, ("−99.9", "down", 99.9)), (-7, ("−7", "down", 7)), (0, ("0", "", 0)),
    (5, ("+5", "up", 5)), (240, ("+240", "up", 100)), (None, ("n/a", "none", 0)), ("?", ("not measured", "none", 0)),
    ("new", ("new", "none", 0))])
def test_only_what_is_gone_looks_gone(shift: float | str | None, wanted: tuple[str, str, float]) -> None:
    one = cell(shift)
    assert (one.text, one.kind, one.depth) == wanted


def test_scorers_are_judged_in_the_data_as_in_the_table(page: BeautifulSoup) -> None:
    """Each letter is the list of the table of verdicts that names the scorer."""
    part = json.loads(page.select_one("script#data").string)["boston"]
    place = part["columns"].index("lime") - 1
    words = {(feature, removal): part["judgements"][part["judged"][i][k][place]]
             for i, feature in enumerate(part["features"]) for k, removal in enumerate(REMOVALS)}
    first, _, third = removed()
    assert words[first, "constant"] == "false alarm"
    assert {words[third, removal] for removal in REMOVALS} == {"blind"}
    assert words[first, "stochastic_tuning"] == "sees"


def test_a_hidden_unit_has_a_row_a_network(tmp_path: Path) -> None:
    found = tables(units_run())
    page = drawn(write_run(tmp_path / "units", found, record(units_run())))
    heat = heats(page, "iris-layer-1")
    assert list(heat) == ["strongest unit", "unit of rank 2"]
    assert "mean over networks" not in text(page.select_one("table[data-matrix]").caption)
    head = [text(one) for one in page.select("table[data-matrix] thead th")][2:]
    for rank, rows in enumerate(heat.values(), 1):
        outcomes = found["outcomes"][(found["outcomes"]["rank"] == rank) & (found["outcomes"].removal != "original")]
        assert list(rows) == [f"{row.removal}, network {row.seed} ({row.removed})" for row in
                              outcomes.sort_values(["seed"], kind="stable").itertuples()]
        for row in outcomes.itertuples():
            own = found["shifts"].query("removal == @row.removal and seed == @row.seed and removed == @row.removed")
            cells = [one.text for one in rows[f"{row.removal}, network {row.seed} ({row.removed})"]]
            assert cells[0] == shift_text(row.direct_effect / row.direct_effect_before - 1)
            shifts = own[own["rank"] == rank].set_index("scorer").target_shift
            assert cells[1:] == [shift_text(shifts[name]) for name in head]


def test_the_section_states_the_data_set(page: BeautifulSoup) -> None:
    about = record(whole_run())["datasets"]
    for name, info in about.items():
        rows = info["rows"]
        facts = text(page.select_one(f"section#{name} > .facts"))
        kind = f"{info['task']} of {info['target']}" + (" (3 classes)" if name == "iris" else "")
        assert facts == (f"{kind} · {rows['train']} training, {rows['validation']} validation, {rows['test']} test "
                         f"rows · {len(info['groups'])} features in {info['features']} columns · 3 networks trained "
                         f"here, {info['architecture']}")
    assert [text(link) for link in page.select("nav a")] == ["Answer", "boston", "iris", "How to read", "Evidence"]
    rows = page.select("[aria-label='Data sources'] tbody tr")
    sources = {text(row.select_one("th")): text(row.select_one("code")) for row in rows}
    assert sources == {name: info["sha256"] for name, info in about.items()}


def test_figures_stand_in_the_order_of_the_chapters(page: BeautifulSoup) -> None:
    shown = list(CHAPTERS)
    for name in ("boston", "iris"):
        section = page.select_one(f"section#{name}")
        found = [(text(figure.h3), text(figure.figcaption), figure.svg["aria-label"])
                 for figure in section.select("figure")]
        assert found == [(f"Heading of {one}", f"Caption of {one}", f"Alt of {one}") for one in shown]
        assert [(text(link), link["href"]) for link in section.select(".facts a")] == [
            ("heading of beside", f"figures/{name}-beside.svg")]
        assert text(section.select_one(".left-out")) == "Lost : left out: no rows."


def test_the_reading_says_the_rules(page: BeautifulSoup, tmp_path: Path, run: Frames) -> None:
    words = text(page.select_one("#reading"))
    for state in ("proved none", "bounded", "undecided", "present", "not measured"):
        assert state in [text(badge) for badge in page.select("#reading .badge")]
    assert "0.01 of the standard deviation of each seed's original's output over the test rows" in words
    assert "It is never read as gone." in words and "they do not vote" in words
    about = record(whole_run())
    about["spec"]["rules"]["delta_absolute"] = 0.25
    words = text(drawn(write_run(tmp_path / "absolute", run, about)).select_one("#reading"))
    assert "Fixed before the run: 0.25 in the output's own units" in words and "standard deviation" not in words


def test_failures_are_listed_once(page: BeautifulSoup) -> None:
    feature = removed("iris")[1]
    items = [text(item) for item in page.select("header .failed li")]
    assert items == [f"iris: {LOST} failed on fold_tuning of {feature}: no room. It is not measured there."]
    assert not re.search("part of the run failed|parts of the run failed", text(page))
