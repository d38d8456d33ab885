"""Results in a notebook: what HTML says, what figures show, mark by mark, and what is refused."""

import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from matplotlib.figure import Figure

from attribution_suite import (
    Audit,
    InputError,
    TabularDataset,
    Training,
    attribute,
    audit,
    from_arrays,
    information,
    load_dataset,
    remove,
    train,
    worst_case,
)
from attribution_suite.auditing.check import Checked
from attribution_suite.auditing.explain import Explanation
from attribution_suite.datasets.preset import Preset
from attribution_suite.networks.training import Trained
from attribution_suite.presented import Presented
from attribution_suite.reporting.figures.rows import swarm
from attribution_suite.reporting.views.attribution import MOST_MARKS
from attribution_suite.reporting.views.row_page import write_row
from attribution_suite.scorers.attribution import Attribution
from attribution_suite.units.paths import row_path

HOSTILE = ["<script>alert(1)</script>", "a'\"b & c", "=1+1", "$x$ {{ 7*7 }}", "n" * 300]
ROWS, SEEDS = 240, 2


@pytest.fixture(scope="module")
def table() -> TabularDataset:
    """Five inputs with hostile names; the target is 3 x_0 − 2 x_1 and a little noise."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((ROWS, 5)).astype(np.float32)
    targets = 3 * inputs[:, 0] - 2 * inputs[:, 1] + 0.1 * generator.standard_normal(ROWS).astype(np.float32)
    small = Preset("default", (6,), Training(12, 16, 0.02), tuning_epochs=2)
    return replace(from_arrays(inputs, targets, feature_names=HOSTILE, name="<b>own</b>"), preset=small)


@pytest.fixture(scope="module")
def trained(table: TabularDataset) -> Trained:
    return train(table, seeds=SEEDS)


@pytest.fixture(scope="module")
def attribution(table: TabularDataset, trained: Trained) -> Attribution:
    return attribute(trained.networks, table, "integrated_gradients")


@pytest.fixture(scope="module")
def run(table: TabularDataset, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """One removal of the first feature, with a scorer of each kind."""
    return audit(table, remove=[[HOSTILE[0]]], removals=["constant"], seeds=SEEDS, rows=30, background=60,
                 scorers=["integrated_gradients", "saliency", "weights", "xgboost_gain", "random"],
                 information="off", reference="off", jobs=1, out=tmp_path_factory.mktemp("run"), page=False,
                 say=lambda line: None)


@pytest.fixture(scope="module")
def explanation(run: Audit) -> Explanation:
    return run.explain(3, HOSTILE[0], "constant")


@pytest.fixture(scope="module")
def results(table: TabularDataset, trained: Trained, attribution: Attribution, run: Audit,
            explanation: Explanation) -> dict[str, Presented]:
    networks = trained.networks
    return {
        "data": table, "trained": trained, "networks": networks, "attribution": attribution, "run": run,
        "explanation": explanation,
        "worst case": worst_case(networks, table, [HOSTILE[0]], rows=20),
        "information": information(networks, table, [HOSTILE[1]]),
        "check": Checked(HOSTILE[0], "present", 2.0, np.inf, 1.0, 9, f"{HOSTILE[0]}: present: row 1 moves"),
    }


KINDS = {"data": ["target"], "trained": ["loss"], "networks": ["weights"],
         "attribution": ["bars", "beeswarm", "waterfall"],
         "run": ["matrix", "worst_case", "shares", "dependence"],
         "explanation": ["bars", "scorers", "waterfall", "path"],
         "worst case": ["bars"], "information": ["bars"], "check": ["bars"]}


class Tags(HTMLParser):
    """The tags that a browser would open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.opened.add(tag)


@pytest.mark.parametrize("name", KINDS)
def test_html_has_a_sentence_and_a_table_and_no_tag_of_a_name(results: dict[str, Presented], name: str) -> None:
    html = results[name]._repr_html_()
    assert Tags(html).opened <= {"div", "p", "table", "thead", "tbody", "tr", "th", "td", "code"}
    page = BeautifulSoup(html, "html.parser")
    sentence, rows = page.p.text, page.tbody.find_all("tr")
    assert len(sentence) > 20 and sentence.strip()[-1] in ".s" and 0 < len(rows) <= 12
    assert all(len(row.find_all("td")) == len(page.thead.find_all("th")) for row in rows)
    if name in ("data", "attribution", "explanation", "run", "worst case", "check"):  # they name the features
        assert HOSTILE[0] in page.text


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in KINDS.items() for kind in kinds])
def test_every_kind_is_a_figure_or_goes_into_axes_that_are_given(results: dict[str, Presented], name: str,
                                                                 kind: str) -> None:
    result = results[name]
    own = result.plot(kind)
    assert isinstance(own, Figure) and own.axes[0].has_data()
    if kind == "waterfall":
        assert own._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    given = Figure()
    left, right = given.subplots(1, 2)
    assert result.plot(kind, ax=right) is given and right.has_data() and not left.has_data()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("name", KINDS)
def test_a_wrong_kind_is_named_with_those_that_there_are(results: dict[str, Presented], name: str) -> None:
    with pytest.raises(InputError, match=f"unknown kind of plot 'pie'.*{', '.join(KINDS[name])}"):
        results[name].plot("pie")
    with pytest.raises(InputError, match="option of the plot"):
        results[name].plot(KINDS[name][0], colour="red")
    with pytest.raises(InputError, match="'ax' is an Axes"):
        results[name].plot(ax=3)  # type: ignore[arg-type]


def bars_of(figure: Figure) -> dict[str, float]:
    """Each name's bar, by where it stands."""
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    return {names[round(bar.get_y() + bar.get_height() / 2)]: bar.get_width() for bar in axes.patches}


def test_bars_are_as_long_as_the_frame_says(attribution: Attribution) -> None:
    drawn = bars_of(attribution.plot("bars"))
    mean = attribution.to_frame().groupby("feature").signed_mean.mean()
    assert drawn["=1+1"] == pytest.approx(mean["=1+1"]) and len(drawn) == len(mean)
    np.testing.assert_allclose(sorted(drawn.values()), sorted(mean), rtol=1e-6)
    assert attribution.values is not None
    of_row = bars_of(attribution.plot("bars", row=7, network=1))
    assert of_row["=1+1"] == pytest.approx(float(attribution.values[1, 7, 2]))
    assert of_row["=1+1"] != pytest.approx(float(attribution.values[1, 8, 2]))


def test_a_beeswarm_has_each_feature_at_its_values_and_no_more_marks_than_are_read(attribution: Attribution,
                                                                                   table: TabularDataset) -> None:
    assert attribution.values is not None and attribution.explained is not None
    axes = attribution.plot("beeswarm").axes[0]
    marks = np.asarray(axes.collections[0].get_offsets())
    place = [text.get_text() for text in axes.get_yticklabels()].index("=1+1")
    drawn = np.sort(marks[np.abs(marks[:, 1] - place) < 0.45, 0])
    np.testing.assert_allclose(drawn, np.sort(attribution.values.mean(0)[:, 2].numpy()), rtol=1e-5)
    assert len(marks) == len(table.test_rows) * 5 <= MOST_MARKS
    many = replace(attribution, explained=None, values=torch.randn(1, 400, 5))
    axes = many.plot("beeswarm").axes[0]
    marks = np.asarray(axes.collections[0].get_offsets())
    assert len(marks) == MOST_MARKS and "100 of 400 rows" in axes.get_xlabel()
    assert marks[:, 0].max() == pytest.approx(float(many.values.max()))  # type: ignore[union-attr] - extremes are drawn


def test_dependence_is_the_mean_of_the_runs_curves(run: Audit) -> None:
    """Before dashed, after `constant` level; of one removal twelve rows of the first network as well."""
    means = run.table("partial_dependence").query("row < 0").groupby(["removal", "value"]).prediction.mean()
    axes = run.plot("dependence").axes[0]
    before, after = axes.lines[:2]
    assert (before.get_linestyle(), after.get_linestyle()) == ("--", "-")
    np.testing.assert_allclose(before.get_ydata(), means["original"], rtol=1e-5)
    np.testing.assert_allclose(after.get_ydata(), means["constant"], rtol=1e-5)
    assert np.ptp(means["constant"]) < 1e-4 < np.ptp(means["original"])
    one = run.plot("dependence", removal="constant").axes[0]
    assert max(len(block.get_segments()) for block in one.collections[:1]) == 12
    with pytest.raises(InputError, match=r"fold.*constant"):
        run.plot("dependence", removal="fold")


def test_marks_of_one_place_stand_beside_each_other() -> None:
    aside = swarm(np.array([1.0, 1.0, 1.0, 5.0]))
    assert len(set(aside[:3])) == 3 and aside[3] == 0 and np.abs(aside).max() <= 0.42
    assert np.isfinite(swarm(np.zeros(3))).all()


def test_a_waterfall_goes_from_the_baselines_output_to_the_rows(attribution: Attribution, table: TabularDataset,
                                                                trained: Trained) -> None:
    axes = attribution.plot("waterfall", row=4).axes[0]
    start, end = (float(trained.networks.outputs(rows).mean()) for rows in (
        torch.zeros(1, 5), table.test.inputs[4:5]))
    assert [float(value) for value in axes.lines[0].get_xdata()] == pytest.approx([start, end], abs=1e-5)
    steps = [bar.get_width() for bar in axes.patches]
    assert attribution.values is not None
    np.testing.assert_allclose(sorted(steps[:5]), sorted(attribution.values[:, 4].mean(0)), atol=1e-5)
    assert start + sum(steps) == pytest.approx(end, abs=1e-2 * abs(end - start))
    for bar, after in zip(axes.patches, axes.patches[1:], strict=False):
        assert bar.get_x() + bar.get_width() == pytest.approx(after.get_x(), abs=1e-5)


@pytest.mark.parametrize(("scorer", "kind", "words", "message"), [
    ("saliency", "waterfall", {}, r"saliency does not share out f\(x\) - f\(baseline\)"),
    ("weights", "beeswarm", {}, "has no values of single ones"),
    ("weights", "bars", {"row": 1}, "has no values of single ones"),
    ("saliency", "bars", {"row": 36}, "explained 36 rows, 0 to 35"),
    ("saliency", "bars", {"network": 2}, "there are 2, 0 to 1"),
])
def test_what_a_scorer_does_not_have_is_said(table: TabularDataset, trained: Trained, scorer: str, kind: str,
                                             words: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        attribute(trained.networks, table, scorer).plot(kind, **words)


def test_networks_of_different_classes_have_no_mean() -> None:
    iris = load_dataset("iris")
    said = attribute(train(iris, seeds=2, training=Training(1, 16, 1e-2)).networks, iris, "saliency")
    assert said.explained is not None and said.explained.classes is not None
    classes = said.explained.classes.clone()
    classes[1] = (classes[0] + 1) % 3
    apart = replace(said, explained=replace(said.explained, classes=classes))
    with pytest.raises(InputError, match="network=0"):
        apart.plot("bars", row=0)
    assert apart.plot("bars", row=0, network=1).axes


def test_a_row_says_what_the_networks_say_of_it(run: Audit, explanation: Explanation, table: TabularDataset) -> None:
    """Against the library's own steps on the run's own data: the originals scored, the constant folded by hand."""
    data = run.datasets[table.name]
    assert explanation.part == data.part(3) and explanation.target == f"{table.targets[3]:g}"
    networks = train(data, seeds=SEEDS).networks
    edited = remove(networks, data, [HOSTILE[0]], "constant", preset=None)
    rows = data.rows(np.array([3])).inputs
    said = explanation.predictions.set_index(["network", "seed"]).output
    for name, ensemble in (("before", networks), ("after", edited)):
        np.testing.assert_allclose(said[name], ensemble.outputs(rows)[:, 0, 0], rtol=1e-5)
    frame = explanation.to_frame().set_index(["network", "scorer", "seed", "feature"]).phi.sort_index()
    assert (frame["after", "integrated_gradients"][:, HOSTILE[0]] == 0).all()
    place = list(data.groups).index(HOSTILE[1])
    moved = replace(data, test_rows=np.array([3, 5]))
    expected = attribute(edited, moved, "integrated_gradients").values
    assert expected is not None
    np.testing.assert_allclose(frame["after", "integrated_gradients"][:, HOSTILE[1]], expected[:, 0, place], rtol=1e-4)
    assert set(explanation.left_out) == {"weights", "xgboost_gain"}
    moves = explanation.worst_case.set_index(["network", "seed"])
    measured = worst_case(networks, moved, [HOSTILE[0]], rows=1).to_frame()
    np.testing.assert_allclose(moves.effect["before"], measured.effect, rtol=1e-6)
    assert (moves.effect["after"] == 0).all() and (moves.effect["before"] > 0).all()
    links = row_path(networks, rows[0]).to_frame(data.feature_names)
    kept = explanation.paths.query("network == 'before' and sign == 'positive'")
    np.testing.assert_allclose(kept.variation, links.variation, rtol=1e-5)


def test_the_pairs_of_a_row_are_the_means_of_its_frame(explanation: Explanation) -> None:
    axes = explanation.plot("bars", scorer="saliency").axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    frame = explanation.to_frame().query("scorer == 'saliency'").groupby(["network", "feature"]).phi.mean()
    for container, network in zip(axes.containers, ("before", "after"), strict=True):
        assert container[names.index("=1+1")].get_width() == pytest.approx(frame[network, "=1+1"])


def test_a_run_opened_again_explains_the_same_from_the_table_that_it_had(run: Audit, table: TabularDataset,
                                                                         explanation: Explanation) -> None:
    later = Audit(run.path)
    with pytest.raises(InputError, match="give its table as 'data'"):
        later.explain(3)
    pd.testing.assert_frame_equal(later.explain(3, HOSTILE[0], "constant", data=table).to_frame(),
                                  explanation.to_frame())
    other = replace(table, inputs=table.inputs + 1)
    for words, message in (({"data": other}, "not the rows that the run had"), ({"data": 3}, "option 'data'"),
                           ({"data": table, "feature": HOSTILE[0]}, "go together")):
        with pytest.raises(InputError, match=message):
            later.explain(3, **words)
    for row in (ROWS, -1):
        with pytest.raises(InputError, match=r"row|whole number"):
            run.explain(row)
    with pytest.raises(InputError, match="removal of this run"):
        run.explain(3, HOSTILE[0], "retrain")


def test_the_page_of_a_row_holds_its_figures_and_no_tag_of_a_name(explanation: Explanation, tmp_path: Path) -> None:
    path = write_row(explanation, tmp_path)
    text = path.read_text()
    assert path.parent == tmp_path / "rows" and "<script" not in text
    page = BeautifulSoup(text, "html.parser")
    figures = page.find_all("svg")
    kinds = ("path", "waterfall", "scorers", "bars")
    assert [figure["id"] for figure in figures] == [f"figure-{kind}" for kind in kinds] and not page.find_all("img")
    assert all(figure.find("text") for figure in figures) and figures[0].find("title")
    assert "prefers-color-scheme: dark" in text  # figures and page turn dark together


def test_a_row_number_is_that_of_the_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.standard_normal(60), "y": generator.standard_normal(60)})
    frame.loc[[0, 7], "y"] = np.nan
    data = load_dataset(frame, target="y")
    assert data.inputs[data.place(9), 0] == pytest.approx(frame.a[9]) and data.place(9) == 7
    for row, message in ((7, "has no target"), (60, "no such row"), (-1, "no such row")):
        with pytest.raises(InputError, match=message):
            data.place(row)
    parts = {data.part(data.place(row)) for row in range(1, 60) if row != 7}
    assert parts == {"training", "validation", "test"}
