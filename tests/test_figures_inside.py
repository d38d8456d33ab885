"""The figures of a look inside: what their artists hold, against the tables, of the right layer and network."""

import io
import json
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch
from PIL import Image
from report_fixture import SEEDS, VOTERS, drawn_by, hand_mean, subject
from scipy.stats import gaussian_kde, norm

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.reporting.figures import animation, history, layers, masking, paths, single_weights, units
from attribution_suite.reporting.figures.masking import POOLS
from attribution_suite.reporting.figures.shades import PALETTE, RATE_COLOURS
from attribution_suite.reporting.figures.style import CLASS_COLOURS, DOWN, GREY, UP, Picture
from attribution_suite.reporting.reading import Subject
from attribution_suite.units.masking import RANDOM

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module", params=["boston", "iris"])
def one(request: pytest.FixtureRequest) -> Subject:
    return subject(request.param)


def words(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


def look(one: Subject, table: str, **wanted: object) -> pd.DataFrame:
    frame = one.neurons[table]
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def by_name(draw: Any, one: Subject) -> dict[str, tuple[Any, Picture]]:
    """A figure's name without the data set → figure and picture, as the run has it."""
    return _by_name(draw, one.name)


@cache
def _by_name(draw: Any, name: str) -> dict[str, tuple[Any, Picture]]:
    one = subject(name)
    figures, pictures = drawn_by(draw, one)
    drawn = [picture for picture in pictures if isinstance(picture, Picture) and not picture.moving]
    return {picture.name.removeprefix(f"{one.name}-"): (figure, picture)
            for figure, picture in zip(figures, drawn, strict=True)}


def closest(shown: str, value: float) -> bool:
    return float(shown.replace(MINUS, "-")) == pytest.approx(value, rel=0.051, abs=1e-9)


# Units.

@pytest.mark.parametrize("layer", [1, 2])
def test_the_map_of_activity_is_the_table(layer: int) -> None:
    iris = subject("iris")
    figure, picture = by_name(units.units, iris)[f"activity-{layer}"]
    rows = look(iris, "activity", layer=layer, seed=0)
    axes = figure.axes[0]
    classes, shown = words(axes.get_yticklabels()), [int(name) for name in words(axes.get_xticklabels())]
    assert classes == [name for name in rows.predicted.unique() if (rows[rows.predicted == name].rows > 0).all()]
    assert sorted(shown) == sorted(rows.unit.unique())
    values = picture.table.set_index("predicted")
    tiles = {tuple(np.floor(path.vertices[0]).astype(int).tolist()): colour for path, colour in zip(
        axes.collections[0].get_paths(), axes.collections[0].get_facecolor(), strict=True)}
    told = json.loads(axes.collections[0].get_gid())
    for i, name in enumerate(classes):
        for j, unit in enumerate(shown):
            rate = rows[(rows.predicted == name) & (rows.unit == unit)].rate.item()
            assert values.loc[name, f"unit {unit}"] == rate and f"{name}, {unit}: {rounded(rate, 2)}" in told
            assert np.allclose(tiles[j, i], RATE_COLOURS(rate), atol=0.06)
    assert (np.diff(values.to_numpy().argmax(0)) >= 0).all()  # units of a class side by side
    assert RATE_COLOURS(0.0)[2] > 0.9 > 0.5 > RATE_COLOURS(1.0)[0]  # dark is active
    states = rows.drop_duplicates("unit").state.value_counts()
    assert axes.get_title(loc="left") == " · ".join(f"{count} {state}" for state, count in states.items())
    assert picture.on_page == (layer == 2)


@pytest.mark.parametrize("layer", [1, 2])
def test_the_most_and_the_least_normal_units(one: Subject, layer: int) -> None:
    """Largest Shapiro p above, smallest below; histograms and densities of the first network's samples by class."""
    figure, picture = by_name(units.units, one)[f"normality-{layer}"]
    tests = look(one, "units", layer=layer, seed=0).dropna(subset="normality").set_index("unit")
    samples = look(one, "samples", layer=layer, seed=0)
    tests = tests[tests.index.isin(samples.unit)].sort_values("normality", ascending=False)
    count = len(figure.axes) // 2
    assert count == min(4, len(tests) // 2)
    above, below = figure.axes[:count], figure.axes[count:]
    assert above[0].get_ylabel().startswith("most normal") and below[0].get_ylabel().startswith("least normal")
    for line, order in ((above, tests.index[:count]), (below, tests.index[::-1][:count])):
        assert [axes.get_title(loc="left") for axes in line] == [f"unit {unit}" for unit in order]
        for axes, unit in zip(line, order, strict=True):
            own = samples[samples.unit == unit]
            classes = [own.value] if one.name == "boston" else [own[own.label == k].value for k in range(3)]
            edges = np.histogram_bin_edges(own.value, 28)
            outlines = [patch.get_path().vertices for patch in axes.patches]
            for place, values in enumerate(classes):
                tops = [outlines[place][1 + 2 * k, 1] for k in range(28)]  # up, along, up, along, …
                assert tops == np.histogram(values, edges)[0].tolist()
                line_ = axes.lines[place]
                wanted = gaussian_kde(values)(line_.get_xdata()) * len(values) * (edges[1] - edges[0])
                np.testing.assert_allclose(line_.get_ydata(), wanted, rtol=1e-6)
                assert to_hex(line_.get_color()) == units.CLASS_COLOURS[place]
            said, row = axes.texts[0].get_text(), tests.loc[unit]
            for word, value in (("Shapiro p", row.normality), ("Holm p", row.p_holm), ("effect", row.effect)):
                part = said.split(f"{word} ")[1].replace("\n", ",").split(",")[0]
                assert part == "< 0.001" if word != "effect" and value < 0.001 else closest(part, value), (said, word)
    names = ["all rows"] if one.name == "boston" else one.info["classes"]
    assert words(figure.legends[0].get_texts()) == list(names)
    assert picture.on_page == (layer == 2)


# Masking.

def curve(one: Subject, layer: int, selection: str, measure: str) -> pd.DataFrame:
    """Fraction → mean over networks (each the mean of its repeats), and the ends of its interval."""
    rows = look(one, "masking", layer=layer, fill="zero", selection=selection)
    table = rows.groupby(["fraction", "seed"])[measure].mean().unstack()
    return pd.DataFrame([hand_mean(values) for values in table.to_numpy()], table.index, ["mean", "low", "high"])


def band(collection: Any) -> dict[float, tuple[float, float]]:
    edge = collection.get_paths()[0].vertices
    return {x: (edge[edge[:, 0] == x][:, 1].min(), edge[edge[:, 0] == x][:, 1].max()) for x in set(edge[:, 0])}


@pytest.mark.parametrize("layer", [1, 2])
def test_masking_curves_and_bands(one: Subject, layer: int) -> None:
    figure, picture = by_name(masking.masking, one)[f"masking-{layer}"]
    measure = "loss" if one.name == "boston" else "accuracy"
    left = figure.axes[0]
    assert left.get_ylabel() == measure and left.get_title(loc="left") == f"layer {layer}, units at zero"
    assert [line.get_label() for line in left.lines] == list(POOLS)
    for line, shade in zip(left.lines, left.collections, strict=True):
        own = curve(one, layer, line.get_label(), measure)
        np.testing.assert_allclose(line.get_xdata(), own.index)
        np.testing.assert_allclose(line.get_ydata(), own["mean"], rtol=1e-9)
        assert line.get_linestyle() == ("--" if line.get_label().startswith("as many") else "-")
        assert to_hex(line.get_color()) == POOLS[line.get_label()]
        ends = band(shade)
        for fraction, row in own.iterrows():
            assert ends[fraction] == pytest.approx((row.low, row.high), rel=1e-9)
    assert f"layer {layer} matter more" in picture.title and f"Test {measure}" in picture.caption


@pytest.mark.parametrize("layer", [1, 2])
def test_the_last_fraction_of_every_pool(one: Subject, layer: int) -> None:
    figure, _ = by_name(masking.masking, one)[f"masking-{layer}"]
    measure = "loss" if one.name == "boston" else "accuracy"
    right = figure.axes[1]
    last = look(one, "masking", layer=layer, fill="zero", fraction=0.9)
    assert right.get_xlabel() == f"{measure} at fraction 0.9" and right.get_ylim()[0] > right.get_ylim()[1]
    counts = last.groupby("selection").units.mean()
    assert words(right.get_yticklabels()) == [f"{name}\n{counts[name]:.0f} units" for name in POOLS]
    intact = np.mean([curve(one, layer, name, measure)["mean"][0.0] for name in
                      look(one, "masking", layer=layer, fill="zero").selection.unique()])
    assert right.lines[0].get_xdata()[0] == pytest.approx(intact)
    for place, name in enumerate(POOLS):
        row = curve(one, layer, name, measure).loc[0.9]
        interval, dot = right.lines[1 + 2 * place:3 + 2 * place]
        assert list(interval.get_xdata()) == pytest.approx([row.low, row.high])
        assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (pytest.approx(row["mean"]), place)
        assert to_hex(dot.get_color()) == POOLS[name]


@pytest.mark.parametrize("layer", [1, 2])
def test_rankings_by_what_they_find_first(one: Subject, layer: int) -> None:
    """Bars: the mean of the curve by trapezes, the best first; random draws grey, in the place of their own."""
    figure, _ = by_name(masking.masking, one)[f"rankings-{layer}"]
    measure = "loss" if one.name == "boston" else "accuracy"
    left, right = figure.axes
    rows = look(one, "masking", layer=layer, fill="zero")
    names = [RANDOM, *[name for name in rows.selection.unique() if name.startswith("top:")]]
    areas: dict[str, np.ndarray] = {}
    for name in names:
        table = rows[rows.selection == name].groupby(["seed", "fraction"])[measure].mean().unstack()
        areas[name] = np.array([np.trapezoid(table.loc[seed], table.columns) / 0.9 for seed in range(SEEDS)])
    order = sorted(names, key=lambda name: areas[name].mean() * (1 if measure == "accuracy" else -1))
    shown = ["random draws" if name == RANDOM else name.removeprefix("top:") for name in order]
    assert {name.removeprefix("top:") for name in names[1:]} <= set(VOTERS)
    assert [bar.get_width() for bar in right.patches] == pytest.approx([areas[name].mean() for name in order])
    assert sorted(words(right.get_yticklabels())) == sorted(shown)
    ranked = dict(zip(words(right.get_yticklabels()), right.patches, strict=True))
    curves = dict(zip([*[name for name in order if name != RANDOM][::-1], RANDOM], left.lines, strict=True))
    named = {text.get_text() for text in left.texts}  # at their curves: the best three, the last, random draws
    assert named == {"random draws", *[name for name in shown if name != "random draws"][:3],
                     [name for name in shown if name != "random draws"][-1]}
    for place, label in enumerate(words(right.get_yticklabels())):
        key = RANDOM if label == "random draws" else f"top:{label}"
        assert ranked[label].get_width() == pytest.approx(areas[key].mean())
        against = areas[key] - areas[RANDOM]
        text = right.texts[place]
        assert text.get_text() == ("" if key == RANDOM else
                                   f"{against.mean():+.3f} against random".replace("-", MINUS))
        _, low, high = hand_mean(against)
        assert (text.get_weight() == "bold") == (low > 0 or high < 0)
    for line in left.lines:
        match = [name for name in names if np.allclose(curve(one, layer, name, measure)["mean"], line.get_ydata())]
        assert match
    assert to_hex(curves[RANDOM].get_color()) == to_hex(POOLS[RANDOM])


# Paths.

def test_the_ways_to_every_output(one: Subject) -> None:
    """Of the first network: one link a pair of nodes, its width by the variation, its colour by the sign."""
    found = by_name(paths.paths, one)
    links = look(one, "paths", seed=0)
    assert list(found) == [f"path-{output}" for output in sorted(links.output.unique())]
    for output in sorted(links.output.unique()):
        figure, picture = found[f"path-{output}"]
        axes = figure.axes[0]
        name = "MEDV" if one.name == "boston" else f"logit of {one.info['classes'][output]}"
        assert picture.title == f"The strongest ways to {name}" and picture.on_page == (output == 0)
        texts = words(axes.texts)
        assert name in texts
        own = links[links.output == output].drop_duplicates(["layer", "unit", "target"])
        curves = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
        for layer in range(3):
            rows = own[own.layer == layer]
            strength = rows.variation.abs().groupby(rows.unit).max().sort_values(ascending=False, kind="stable")
            shown = set(strength.index[:10])
            nodes = [(x, line.get_color()) for line in axes.lines if (x := line.get_xdata()[0]) == layer]
            assert len(nodes) == len(shown)
            width = int(one.info["architecture"].split()[0].split("-")[layer])
            assert (f"all {width}" if len(shown) == width else f"{len(shown)} of {width} shown") in texts
            drawn = [patch for patch in curves if round(patch.get_path().vertices[0][0]) == layer]
            above = own[own.layer == layer + 1]
            strongest = above.variation.abs().groupby(above.unit).max().sort_values(ascending=False, kind="stable")
            kept = set(strongest.index[:10])
            rows = rows[rows.unit.isin(shown) & (rows.target.isin(kept) | (layer == 2))]
            parts = rows.variation.abs() / rows.variation.abs().max()
            assert sorted(patch.get_linewidth() for patch in drawn) == pytest.approx(sorted(0.3 + 7 * parts))
            pairs = sorted(zip((patch.get_linewidth() for patch in drawn),
                               (to_hex(patch.get_edgecolor()) for patch in drawn), strict=True))
            signs = sorted(zip(0.3 + 7 * parts, np.where(rows.variation > 0, UP, DOWN), strict=True))
            assert [colour for _, colour in pairs] == [colour for _, colour in signs]
            for row in rows.drop_duplicates("unit").itertuples():
                moved = [text for text in texts if (text.startswith(f"{row.unit_name}  ") if layer == 0 else
                                                    text.startswith(f"{row.unit} ("))]
                values = [float(text.split()[-1].strip("()").replace(MINUS, "-")) for text in moved]
                assert any(value == pytest.approx(row.output_variation, rel=0.06, abs=1e-9) for value in values)


# History.

def weights(one: Subject) -> tuple[np.ndarray, list[str], list[int]]:
    """The first network's weights `[epochs, units, features]`, the features and the epochs."""
    rows = look(one, "history", seed=0)
    table = rows.pivot(index="epoch", columns=["unit", "feature"], values="weight")
    names = list(rows.feature.unique())
    values = np.stack([[table[unit][name] for name in names] for unit in sorted(rows.unit.unique())])
    return values.transpose(2, 0, 1), names, list(table.index)


def test_weights_by_unit_and_by_input(one: Subject) -> None:
    values, names, epochs = weights(one)
    found = by_name(history.history, one)
    assert values.shape[1] == 12  # as many as a figure holds
    figure, _ = found["history-units"]
    moved = np.argsort(-values.std(0).sum(0), kind="stable")
    colours = {int(k): CLASS_COLOURS[place] if place < 8 else GREY for place, k in enumerate(moved)}
    drawing = [*[k for k in range(len(names)) if colours[k] == GREY], *sorted(map(int, moved[:8]))]
    for unit, axes in enumerate(figure.axes):
        assert axes.get_title(loc="left") == f"unit {unit}"
        for place, line in enumerate(axes.lines):
            assert list(line.get_xdata()) == epochs
            np.testing.assert_allclose(line.get_ydata(), values[:, unit, drawing[place]], rtol=1e-6)
            assert to_hex(line.get_color()) == colours[drawing[place]]
    rest = len(names) - 8
    assert words(figure.legends[0].get_texts()) == [*[names[k] for k in moved[:8]], *(
        [f"the other {rest}, which moved less"] if rest > 0 else [])]
    figure, _ = found["history-inputs"]
    order = np.argsort(-values.std(0).sum(0), kind="stable")
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [names[k] for k in order]
    for axes, column in zip(figure.axes, order, strict=False):
        (line,), (whole, middle) = axes.lines, axes.collections
        own = values[:, :, column]
        np.testing.assert_allclose(line.get_ydata(), own.mean(1), rtol=1e-5, atol=1e-7)
        for shade, ends in ((whole, (own.min(1), own.max(1))), (middle, np.percentile(own, [25, 75], axis=1))):
            for epoch, low, high in zip(epochs, *ends, strict=True):
                assert band(shade)[epoch] == pytest.approx((low, high), rel=1e-4, abs=1e-6)


def test_the_ranking_of_inputs_over_all_networks(one: Subject) -> None:
    figure, picture = by_name(history.history, one)["history-ranking"]
    axes = figure.axes[0]
    table = look(one, "importances").pivot(index="seed", columns="feature", values="share")
    means = table.mean().sort_values(ascending=False)
    assert words(axes.get_yticklabels()) == list(means.index)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(list(means))
    for seed in range(SEEDS):
        assert list(axes.lines[seed].get_xdata()) == pytest.approx(list(table.loc[seed, means.index]))
    assert axes.lines[SEEDS].get_xdata()[0] == pytest.approx(1 / len(means))
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert "bar: mean over networks, dots: networks" in picture.caption


def test_boxes_hold_every_weight_of_an_input(one: Subject) -> None:
    values, names, _ = weights(one)
    figure, _ = by_name(history.history, one)["history-boxes"]
    order = np.argsort(-values.std(0).sum(0), kind="stable")
    assert words(figure.axes[1].get_xticklabels()) == [names[k] for k in order]
    for axes in figure.axes:
        medians = [line.get_ydata()[0] for line in axes.lines if to_hex(line.get_color()) == PALETTE["still"]]
        assert medians == pytest.approx([np.median(values[:, :, k]) for k in order], abs=1e-6)
        for patch, k in zip(axes.patches, order, strict=True):
            y = patch.get_path().vertices[:, 1]
            assert (y[y != 0].min(), y.max()) == pytest.approx(np.percentile(values[:, :, k], [25, 75]), abs=1e-5)


def test_spread_is_grouped_by_unit_and_summed(one: Subject) -> None:
    values, names, _ = weights(one)
    figure, _ = by_name(history.history, one)["history-spread"]
    above, below = figure.axes
    spread = values.std(0)
    order = np.argsort(-spread.sum(0), kind="stable")
    chosen = np.sort(np.argsort(-spread.sum(1), kind="stable")[:max(1, min(8, 90 // len(order)))])
    assert words(above.get_xticklabels()) == [f"unit {unit}" for unit in chosen]
    for bars, column in zip(above.containers, order, strict=True):
        assert [bar.get_height() for bar in bars] == pytest.approx(list(spread[chosen, column]), rel=1e-5)
    assert [bar.get_height() for bar in below.patches] == pytest.approx(list(spread.sum(0)[order]), rel=1e-5)
    assert words(below.get_xticklabels()) == [names[k] for k in order]


def test_densities_are_normal_and_drawn_from_one(one: Subject) -> None:
    values, _, _ = weights(one)
    figure, _ = by_name(history.history, one)["history-densities"]
    for unit, axes in enumerate(figure.axes):
        own = values[:, unit]
        drawn = [k for k in range(own.shape[1]) if own[:, k].std() and norm.pdf(0, 0, own[:, k].std()) >= 1]
        assert axes.get_title(loc="left") == f"unit {unit}" and axes.get_yscale() == "log"
        moved = list(np.argsort(-values.std(0).sum(0), kind="stable")[:8])
        for line, k in zip(axes.lines, sorted(drawn, key=lambda k: k in moved), strict=True):  # grey ones first
            x, y = line.get_data()
            np.testing.assert_allclose(y, norm.pdf(x, own[:, k].mean(), own[:, k].std()), rtol=1e-3)
            assert y.min() == pytest.approx(1, rel=1e-3)
            assert x.mean() == pytest.approx(own[:, k].mean(), abs=1e-4)


def test_the_still_and_every_frame_of_the_animation(one: Subject) -> None:
    values, names, epochs = weights(one)
    (figure,), (picture, moving) = drawn_by(animation.moving, one)
    spread = values.std(0)
    shown = np.sort(np.argsort(-spread.sum(1), kind="stable")[:4])
    assert [axes.get_ylabel() for axes in figure.axes] == [f"unit {unit}" for unit in shown]
    assert words(figure.axes[-1].get_xticklabels()) == names
    assert figure.axes[0].get_title(loc="left") == f"epoch {epochs[-1]} (outlines: epoch {epochs[0]})"
    for axes, unit in zip(figure.axes, shown, strict=True):
        bars, outlines = axes.patches[:len(names)], axes.patches[len(names):]
        assert [bar.get_height() for bar in bars] == pytest.approx(list(values[-1, unit]), rel=1e-5)
        assert [bar.get_height() for bar in outlines] == pytest.approx(list(values[0, unit]), rel=1e-5)
        assert [to_hex(bar.get_facecolor()) for bar in bars] == [
            UP if weight > 0 else DOWN for weight in values[-1, unit]]
    image = Image.open(io.BytesIO(moving.png))
    assert image.n_frames == len(epochs)
    frames = []
    for place in range(image.n_frames):
        image.seek(place)
        frames.append(np.asarray(image.convert("RGB")))
    assert all((a != b).any() for a, b in pairwise(frames))
    assert picture.name.endswith("history-still") and moving.file.endswith("-history.gif")


def test_a_frame_shows_its_own_epoch() -> None:
    """The bars' blue and red areas grow with the weights of the frame's epoch."""
    epochs = np.arange(1, 7, dtype=np.float32)
    from torch import tensor

    image = Image.open(io.BytesIO(animation.animation(tensor(np.stack([epochs, -epochs], 1)[:, None]), ["a", "b"])))
    for part in (UP, DOWN):
        shade = np.array([int(part[i:i + 2], 16) for i in (1, 3, 5)])
        areas = []
        for place in range(image.n_frames):
            image.seek(place)
            areas.append(int((np.abs(np.asarray(image.convert("RGB")).astype(int) - shade).sum(2) < 30).sum()))
        assert np.allclose(np.array(areas) / areas[-1], epochs / 6, atol=0.06)


# Layers, classes, cuts, single weights.

def bars_of(axes: Any) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


def test_every_layer_has_its_strongest_nodes_by_both_scorers(one: Subject) -> None:
    figure, picture = by_name(layers.layers, one)["layers"]
    importances = look(one, "layers", seed=0)
    assert len(figure.axes) == 3 and list(picture.table.columns) == ["node", "gradient × weight", "LRP", "layer"]
    for layer, axes in enumerate(figure.axes):
        shares = importances[importances.layer == layer].pivot(index="node", columns="scorer", values="share")
        order = shares.mean(axis=1).sort_values(ascending=False, kind="stable").index[:10]
        assert words(axes.get_yticklabels()) == list(order)
        assert bars_of(axes) == pytest.approx([*100 * shares.gradient_weight[order], *100 * shares.lrp[order]])
        rank = shares.gradient_weight.rank().corr(shares.lrp.rank())
        title = axes.get_title(loc="left")
        assert title.startswith(f"hidden layer {layer}" if layer else "inputs")
        assert closest(title.split("ρ = ")[1], rank)


def test_classes_are_told_with_what_drives_their_units() -> None:
    iris = subject("iris")
    figure, picture = by_name(layers.layers, iris)["classes"]
    found, driven = figure.axes
    scores = look(iris, "classes").groupby("label")[["precision", "recall", "f1"]].mean()
    share = look(iris, "drivers").groupby(["predicted", "feature"]).share.mean().unstack()
    assert words(found.get_yticklabels()) == list(iris.info["classes"]) and words(driven.get_yticklabels()) == [""] * 3
    features = words(driven.get_xticklabels())
    assert features == list(share.max().sort_values(ascending=False).index)
    for axes, table, columns in ((found, scores, ["precision", "recall", "f1"]), (driven, share, features)):
        told = json.loads(axes.collections[0].get_gid())
        for label in iris.info["classes"]:
            for column in columns:
                name = "F1" if column == "f1" else column
                assert f"{label}, {name}: {table.loc[label, column]:.2f}" in told
    assert len(picture.table) == 3 * len(features) and {"share", "positive", "f1"} <= set(picture.table)


def test_a_regression_has_drivers_and_no_classes() -> None:
    found = by_name(layers.layers, subject("boston"))
    (axes,) = found["classes"][0].axes
    assert words(axes.get_yticklabels()) == ["all rows"] and "detectors" not in found
    assert "precision" not in found["classes"][1].caption


def test_units_that_tell_a_class_best() -> None:
    iris = subject("iris")
    figure, picture = by_name(layers.layers, iris)["detectors"]
    for axes, layer in zip(figure.axes, (1, 2), strict=True):
        rows = look(iris, "units", seed=0, layer=layer)
        best = rows[rows.f1 > 0].sort_values("f1", ascending=False, kind="stable").head(10)
        assert bars_of(axes) == pytest.approx(list(best.f1))
        assert words(axes.get_yticklabels()) == [f"unit {row.unit}: {row.busiest_class}" for row in best.itertuples()]
        said = words(axes.texts)
        assert all(text.startswith(f"{f1:.2f}") for text, f1 in zip(said, best.f1, strict=True))
        assert [", ".join(text.split("driven by ")[1:]) for text in said] == list(best.driven_by)
    assert set(picture.table.layer) == {1, 2}


def test_the_units_whose_cut_moves_the_next_layer_most(one: Subject) -> None:
    figure, picture = by_name(layers.layers, one)["cuts"]
    for line, layer in zip(np.reshape(figure.axes, (2, 2)), (1, 2), strict=True):
        rows = look(one, "cuts", seed=0, layer=layer).dropna(subset="kl")
        best = rows.sort_values(["kl", "mean_shift"], ascending=False).head(10)
        assert words(line[0].get_yticklabels()) == [f"unit {unit}" for unit in best.unit]
        significant = look(one, "units", seed=0, layer=layer).set_index("unit").significant
        for axes, column in zip(line, ("kl", "mean_shift"), strict=True):
            known = best[column].where(np.isfinite(best[column]), 1.1 * best[column][np.isfinite(best[column])].max())
            assert bars_of(axes) == pytest.approx(list(known))
            assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [
                PALETTE["accent"] if significant[unit] else GREY for unit in best.unit]
            for text, value in zip(words(axes.texts), best[column], strict=True):
                assert text == "∞" if np.isinf(value) else closest(text, value)
    assert picture.on_page and set(picture.table.layer) == {1, 2}


def test_each_single_weight_has_a_box(one: Subject) -> None:
    values, names, _ = weights(one)
    figure, picture = by_name(single_weights.single_weights, one)["history-single"]
    units = np.sort(np.argsort(-values.std(0).sum(1), kind="stable")[:8])
    columns = np.argsort(-values.std(0).sum(0), kind="stable")[:8]
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"unit {unit}" for unit in units]
    for axes, unit in zip(figure.axes, units, strict=True):
        whiskers, boxes, middle = axes.collections
        assert middle.get_segments()[0][0][1] == pytest.approx(np.median(values[:, unit, columns[0]]), abs=1e-6)
        for place, column in enumerate(columns):
            own = values[:, unit, column]
            low, high = np.percentile(own, [25, 75])
            ends = boxes.get_paths()[place].vertices[:, 1]
            assert (ends.min(), ends.max()) == pytest.approx((low, high), abs=1e-6)
            within = own[(own >= low - 1.5 * (high - low)) & (own <= high + 1.5 * (high - low))]
            ends = whiskers.get_segments()[place][:, 1]
            assert tuple(ends) == pytest.approx((within.min(), within.max()), abs=1e-6)
    row = picture.table.iloc[-1]
    own = values[:, row.unit, names.index(row.feature)]
    assert (row.least, row["median"], row.most) == pytest.approx((own.min(), np.median(own), own.max()), abs=1e-6)


def test_the_five_bars_are_those_of_the_table_of_densities(one: Subject) -> None:
    figure, _ = by_name(single_weights.single_weights, one)["history-barrage"]
    densities = look(one, "densities", seed=0).set_index(["unit", "feature"])
    values, names, _ = weights(one)
    columns = [names[k] for k in np.argsort(-values.std(0).sum(0), kind="stable")[:8]]
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == ["len", "max", "sum", "mean", "stdev"]
    units = [int(name.removeprefix("unit ")) for name in words(figure.axes[-1].get_xticklabels())]
    for axes in figure.axes:
        column = axes.get_title(loc="left").split(":")[0]
        for bars, feature in zip(axes.containers, columns, strict=True):
            expected = np.nan_to_num([densities.loc[(unit, feature), column] for unit in units])
            assert [bar.get_height() for bar in bars] == pytest.approx(list(expected), rel=1e-3, abs=1e-6)
