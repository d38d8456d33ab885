"""The figures of what moving a feature does, of confusion, of single rows and of components, against the tables."""

import json
from dataclasses import replace
from math import cos, radians, sin
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from report_fixture import REMOVALS, changed, datasets, drawn_by, removed, subject

from attribution_suite.reporting.figures import components, confusion, dependence, rows, scorers
from attribution_suite.reporting.figures.curves import Curves
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import CLASS_COLOURS, LeftOut, Picture
from attribution_suite.tables.audit import ORIGINAL

STEP = 1 + dependence.GAP


def words(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


def lines(axes: Any) -> list[Any]:
    return [block for block in axes.collections if type(block).__name__ == "LineCollection"]


def thick(axes: Any) -> dict[str, tuple[np.ndarray, str]]:
    """Method → points and colour of the line of its mean, by what it tells."""
    (block,) = [each for each in lines(axes) if each.get_gid()]
    told = [words.split(":")[0].split(",")[0] for words in json.loads(block.get_gid())]
    return {method: (segment, to_hex(colour)) for method, segment, colour in
            zip(told, block.get_segments(), block.get_colors(), strict=True)}


def test_each_panel_has_its_methods_mean_before_and_after() -> None:
    """x by the value in own units, y the mean over networks; teal where nothing moves; its own rows thin."""
    boston = subject("boston")
    figures, pictures = drawn_by(dependence.dependence, boston)
    assert [picture.on_page for picture in pictures] == [True, False, False]
    table = boston.tables["partial_dependence"]
    for figure, feature, picture in zip(figures, removed(), pictures, strict=True):
        of_feature = table[table.removed == feature]
        means = of_feature[of_feature.row < 0].groupby(["removal", "value"]).prediction.mean()
        before = means[ORIGINAL]
        low, high = before.index.min(), before.index.max()
        seen = []
        for axes in figure.axes:
            names = [text.get_text() for text in axes.texts]
            for place, method in enumerate(names):
                seen.append(method)
                (across, up), colour = thick(axes)[method][0].T, thick(axes)[method][1]
                expected = place * STEP + (means[method].index - low) / (high - low)
                np.testing.assert_allclose(across, expected, atol=1e-6)
                np.testing.assert_allclose(up, means[method], rtol=1e-5)
                own = of_feature[(of_feature.row >= 0) & (of_feature.removal == method)]
                thin = next(block for block in lines(axes) if block.get_linewidths() == [0.7])
                drawn = np.array([segment[:, 1] for segment in thin.get_segments()
                                  if place * STEP - 0.01 < segment[0, 0] < place * STEP + 0.01])
                np.testing.assert_allclose(drawn.ravel(), own.prediction, rtol=1e-5)
                moves = max(np.ptp(means[method]), own.groupby("row").prediction.agg(np.ptp).max())
                gone = moves < 0.01 * max(np.ptp(before), 1e-9)
                if method != ORIGINAL and (gone or moves > 0.1 * np.ptp(before)):
                    assert colour == PALETTE["gone" if gone else "still"], (feature, method)
        assert seen == [ORIGINAL, *REMOVALS]
        np.testing.assert_allclose(picture.table.set_index("value")["retrain"], means["retrain"], rtol=1e-5)


def test_a_mean_that_is_level_is_not_gone_while_single_rows_move() -> None:
    """Rows that go up and rows that go down have a level mean: rust all the same."""
    boston, feature = subject("boston"), removed()[0]
    table = boston.tables["partial_dependence"]
    of_rows = (table.removed == feature) & (table.removal == "retrain") & (table.row >= 0)
    up_and_down = table.assign(prediction=table.prediction.where(~of_rows, table.prediction + np.where(
        table.row % 2, 1, -1) * table.value))
    for rows_table, colour in ((table, "gone"), (up_and_down, "still")):
        figures, _ = drawn_by(dependence.dependence, replace(boston, tables={
            **boston.tables, "partial_dependence": rows_table}))
        assert thick(figures[0].axes[0])["retrain"][1] == PALETTE[colour]


def test_classes_have_lines_of_their_own() -> None:
    (figure, *_), _ = drawn_by(dependence.dependence, subject("iris"))
    assert words(figure.legends[0].get_texts()) == [f"probability of {name}" for name in datasets()["iris"].classes]
    (block,) = [each for each in lines(figure.axes[0]) if each.get_gid()]
    assert [to_hex(colour) for colour in block.get_colors()] == list(CLASS_COLOURS[:3]) * 5


@pytest.mark.parametrize("levels", [["a", "b", "c"], ["", "", "missing"]])
def test_levels_are_dots_by_their_names(levels: list[str]) -> None:
    boston, feature = subject("boston"), removed()[0]
    table = boston.tables["partial_dependence"]
    some = table[(table.removed == feature) & table.groupby(["removal", "seed", "row"]).cumcount().lt(3)
                 & (table.removed == feature)]
    place = some.groupby(["removal", "seed", "row"]).cumcount().to_numpy()
    level = np.array(levels, dtype=object)[place]
    some = some.assign(level=level, value=some.value.where(level == ""))
    (figure,), _ = drawn_by(dependence.dependence, replace(boston, tables={
        **boston.tables, "partial_dependence": some}))
    axes = figure.axes[0]
    dots = [block for block in axes.collections if type(block).__name__ == "PathCollection"]
    told, methods = json.loads(dots[1].get_gid()), words(axes.texts)
    last = some[(some.row < 0) & (some.level == levels[-1])].groupby("removal").prediction.mean()
    step = len(told) // len(methods)
    assert step == sum(level != "" for level in levels)
    for place, method in enumerate(methods):
        assert told[place * step + step - 1].startswith(f"{method}; {levels[-1]}: ")
        for block, expected in zip(dots, (last[ORIGINAL], last[method]), strict=True):  # hollow before, filled after
            assert block.get_offsets()[place * step + step - 1, 1] == pytest.approx(expected)
    assert words(axes.get_xticklabels())[-1] == levels[-1]


def test_every_cell_of_the_confusion() -> None:
    iris = subject("iris")
    (figure,), (picture,) = drawn_by(confusion.confusion, iris)
    assert drawn_by(confusion.confusion, subject("boston"))[1] == [None]
    table, classes = iris.tables["confusion"], list(datasets()["iris"].classes)
    feature, seen = removed("iris")[0], 0
    for axes in figure.axes:
        heads = [text for text in axes.texts if text.get_weight() == "bold"]
        for text in axes.texts:
            if text in heads:
                continue
            x, y = text.get_position()
            head = max((head for head in heads if head.get_position()[0] < x), key=lambda h: h.get_position()[0])
            actual, predicted = classes[int(y)], classes[int(x - head.get_position()[0])]
            own = table[(table.removal == head.get_text()) & table.removed.isin(["", feature])]
            counts = own[own.actual == actual]
            part = counts[counts.predicted == predicted].rows.sum() / counts.rows.sum()
            assert text.get_text() == f"{100 * part:.0f}"
            assert picture.table.set_index(["method", "actual"]).loc[(head.get_text(), actual), (
                f"predicted {predicted}")] == pytest.approx(counts[counts.predicted == predicted].rows.sum() / 3)
            seen += 1
    assert seen == 9 * (1 + len(REMOVALS))


def test_the_beeswarm_of_the_page_holds_rows_at_their_values() -> None:
    boston = subject("boston")
    (figure, fall), (_, row) = drawn_by(rows.rows, boston)
    table = boston.tables["local_attributions"]
    axes = figure.axes[0]
    names = words(axes.get_yticklabels())
    mean = table.assign(phi=table.phi.abs()).groupby("feature").phi.mean().sort_values(ascending=False)
    assert names == list(mean.index[:12])
    (marks,) = [block for block in axes.collections if block.get_gid()]
    told, places = json.loads(marks.get_gid()), np.asarray(marks.get_offsets())
    assert len(told) == len(places) <= rows.MARKS_ON_PAGE
    for place, name in enumerate(names):
        own = table[table.feature == name].phi
        drawn = places[np.abs(places[:, 1] - place) < 0.45, 0]
        assert {drawn.min(), drawn.max()} == {own.min(), own.max()}  # thinned, the extremes stay
        assert set(drawn) <= set(own)
    for text, (across, _) in zip(told, places, strict=True):
        assert text.endswith(f"φ {across:.3g}".replace("-", "\N{MINUS SIGN}"))
    assert row.title == "How one prediction comes about" and len(fall.axes) == 1


def test_the_waterfall_is_of_the_row_that_the_removed_feature_moves_most() -> None:
    boston, feature = subject("boston"), removed()[0]
    witness = {"removal": ORIGINAL, "removed": feature, "seed": 0}
    for row, words_of in ((5, f"the one that {feature} alone moves most"), (10_000, "the first")):
        found = changed(boston.tables["outcomes"], witness, witness_row=row)
        (_, fall), (_, picture) = drawn_by(rows.rows, replace(boston, tables={**boston.tables, "outcomes": found}))
        own = boston.tables["local_attributions"].query(f"row == {row if row == 5 else 0}")
        assert f"Test row {own.row.iloc[0]}, {words_of}" in picture.caption
        ends = next(line for line in fall.axes[0].lines if line.get_marker() == "o").get_xdata()
        assert list(ends) == pytest.approx([own.output_at_baseline.iloc[0], own.output.iloc[0]])
        steps = sum(bar.get_width() for bar in fall.axes[0].patches)
        assert ends[0] + steps == pytest.approx(ends[1], abs=0.005 * abs(ends[1] - ends[0]))
    empty = boston.tables["local_attributions"].iloc[:0]
    assert rows.rows(replace(boston, tables={**boston.tables, "local_attributions": empty})) == []


def test_xgboost_stands_beside_the_networks() -> None:
    boston = subject("boston")
    (_,), (picture,) = drawn_by(scorers.xgboost, boston)
    own = boston.tables["outcomes"].query("removal == 'original' and removed == ''")
    assert f"R² {own.xgboost_r2.mean():#.3g} (theirs {own.r2.mean():#.3g})" in picture.caption
    unfitted = changed(boston.tables["outcomes"], {"removal": ORIGINAL}, xgboost_r2=np.nan, xgboost_rmse=np.nan)
    (_,), (picture,) = drawn_by(scorers.xgboost, replace(boston, tables={**boston.tables, "outcomes": unfitted}))
    assert "theirs" not in picture.caption


def with_components(name: str) -> Any:
    """A data set whose inputs pass for principal components."""
    one, table = subject(name), datasets()[name]
    names = [f"PC {place}" for place in range(table.features)]
    return replace(one, info={**one.info, "groups": dict.fromkeys(names, 1)},
                   data=replace(table, feature_names=tuple(names)))


def turned(places: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    """By matrices: around the third axis, then around the first; seen from the front."""
    a, b = radians(yaw), radians(pitch)
    first = np.array([[cos(a), -sin(a), 0], [sin(a), cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, cos(b), sin(b)], [0, -sin(b), cos(b)]])
    return (places @ (second @ first).T)[:, [0, 2]]


def test_a_view_is_a_rotation() -> None:
    places = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_allclose(components.projected(places, 30, 50), turned(places, 30, 50), atol=1e-12)


def test_components_have_a_dot_a_row_by_class_and_a_centroid_a_class() -> None:
    subject_of, table = with_components("iris"), datasets()["iris"]
    (figure,), (picture,) = drawn_by(components.components, subject_of)
    rows_drawn, centres = (block for block in figure.axes[0].collections if type(block).__name__ == "PathCollection")
    scale = np.abs(table.inputs[:, :4].astype(float)).max(0)
    order = np.argsort(table.targets, kind="stable")
    expected = components.projected((table.inputs.astype(float) / scale)[order][:, :3])
    np.testing.assert_allclose(np.sort(rows_drawn.get_offsets(), 0), np.sort(expected, 0), atol=1e-6)
    mean = np.stack([table.inputs[table.targets == place].mean(0) for place in range(3)])
    np.testing.assert_allclose(centres.get_offsets(), components.projected((mean / scale)[:, :3]), atol=1e-6)
    assert [to_hex(colour) for colour in centres.get_facecolor()] == list(CLASS_COLOURS[:3])
    assert words(figure.legends[0].get_texts()) == list(table.classes)
    about = json.loads(picture.turn)
    assert about["triples"] == [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]] and len(about["points"]) == 153
    np.testing.assert_allclose(np.array(about["points"])[-3:] / about["fine"], mean / scale, atol=0.006)
    assert drawn_by(components.components, subject("iris"))[1] == [None]  # no components, no picture
    assert isinstance(drawn_by(components.components, replace(subject_of, data=None))[1][0], LeftOut)


def test_a_target_is_shown_by_its_thirds() -> None:
    (figure,), (picture,) = drawn_by(components.components, with_components("boston"))
    assert isinstance(picture, Picture) and list(picture.table.centroid) == list(components.THIRDS)
    assert len(json.loads(picture.turn)["triples"]) == 10  # of the first five
    assert to_rgb(PALETTE["ink"]) != tuple(figure.axes[0].collections[1].get_facecolor()[0][:3])


def test_networks_whose_moves_cancel_are_not_level() -> None:
    slopes = {ORIGINAL: (1.0, 1.0), "fold": (0.0, 0.0), "shuffle_tuning": (1.0, -1.0)}
    table = pd.DataFrame([
        {"split": 0, "seed": seed, "removal": removal, "feature": "a", "output": "", "row": row, "level": "",
         "value": value, "prediction": value * slopes[removal][seed] if row < 0 else 0.0}
        for removal in slopes for seed in (0, 1) for row in ((-1, 0), (-1,))[seed] for value in (-1.0, 0.0, 1.0)])
    curves = Curves.of(table)
    assert curves.flat("fold") and not curves.flat("shuffle_tuning")
