"""The figures of an audit: what their artists hold, against the tables."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Annotation
from report_fixture import (
    DATA_REMOVALS,
    LOCAL,
    REMOVALS,
    SCORERS,
    SEEDS,
    VOTERS,
    changed,
    datasets,
    drawn_by,
    hand_mean,
    removed,
    settled,
    subject,
    units_run,
)

from attribution_suite.reporting.figures import cost, data, matrix, redistribution, scorers, signs
from attribution_suite.reporting.figures.shades import AGREEMENT_COLOURS, PALETTE, SHIFT_COLOURS
from attribution_suite.reporting.figures.style import (
    family_place,
    scorer_colour,
    spread,
)
from attribution_suite.reporting.reading import Subject

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module", params=["boston", "iris"])
def one(request: pytest.FixtureRequest) -> Subject:
    found = subject(request.param)
    return replace(found, tables=settled(found.tables, (request.param,)))


def words(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


def rows(one: Subject, table: str, **wanted: object) -> pd.DataFrame:
    frame = one.tables[table]
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def close(colour: Any, name: str) -> bool:
    return bool(np.abs(np.array(to_rgb(colour)) - to_rgb(PALETTE[name])).max() < 0.01)


def sign(text: str) -> float:
    return float(text.replace(MINUS, "-"))


# The matrix.

def cells(axes: Any) -> Iterator[tuple[str, str, str, Any, list[str]]]:
    """Removed feature, removal, column, colour and texts of every cell, by where it stands."""
    columns = dict(zip(np.round(axes.get_xticks(), 6), words(axes.get_xticklabels()), strict=True))
    lines = dict(zip(np.round(axes.get_yticks(), 6), words(axes.get_yticklabels()), strict=True))
    heads = {text.get_position()[1]: text.get_text().removesuffix(" removed") for text in axes.texts
             if text.get_text().endswith(" removed")}
    drawn = [pair for block in axes.collections for pair in zip(block.get_paths(), block.get_facecolors(), strict=True)]
    for path, colour in drawn:
        x, y = (round(value, 6) for value in path.get_extents().get_points().mean(0).tolist())
        inside = [text.get_text() for text in axes.texts if abs(text.get_position()[0] - x) < 0.45
                  and abs(text.get_position()[1] - y) < 0.45 and not text.get_text().endswith(" removed")]
        yield heads[max(head for head in heads if head < y)], lines[y], columns[x], colour, inside


def test_every_cell_of_the_matrix(one: Subject) -> None:
    """Number, ± half the interval, and the colour by sign and size."""
    (figure,), (picture,) = drawn_by(matrix.matrix, one)
    seen = set()
    for feature, removal, column, colour, inside in cells(figure.axes[0]):
        seen.add((feature, removal, column))
        if column == "direct effect":
            own = rows(one, "outcomes", removed=feature, removal=removal)
            values = (own.direct_effect / own.direct_effect_before - 1).to_numpy()
        else:
            values = rows(one, "shifts", removed=feature, removal=removal, scorer=column).target_shift.to_numpy()
        if column == "xgboost_gain" and removal not in DATA_REMOVALS:
            assert inside == ["n/a"] and close(colour[:3], "panel")
            continue
        mean, low, high = hand_mean(values)
        number = 100 * mean
        shown = f"{MINUS}99.6" if -100 < number < -99.5 else f"{number:+.0f}".replace("-", MINUS).replace("+0", "0")
        spread = (high - low) / 2
        assert inside == [shown, *([f"±{100 * spread:.0f}"] if spread >= 0.005 else [])], (feature, removal, column)
        back = colour[:3]
        if number == -100:
            assert close(back, "gone")
        elif abs(number) > 30:
            to_gone, to_still = (np.abs(back - to_rgb(PALETTE[name])).sum() for name in ("gone", "still"))
            assert (to_gone < to_still) == (number < 0)
    assert seen == {(feature, removal, column) for feature in removed(one.name) for removal in REMOVALS
                    for column in ("direct effect", *VOTERS)}
    assert words(figure.axes[0].get_yticklabels()) == REMOVALS * 3
    assert words(figure.axes[0].get_xticklabels()) == ["direct effect", *VOTERS] and not picture.on_page
    assert f"Mean over {SEEDS} networks (one a seed)" in picture.caption and "not drawn" not in picture.caption
    assert picture.alt.startswith("Matrix of 5 removal methods by 8 readings for " + ", ".join(removed(one.name)))


def test_the_scale_of_the_matrix_runs_from_gone_to_doubled(one: Subject) -> None:
    (figure,), _ = drawn_by(matrix.matrix, one)
    bar = figure.axes[1]
    assert words(bar.get_xticklabels()) == [f"{MINUS}100 % gone", f"{MINUS}50 %", "0 unchanged", "+50 %",
                                            "+100 % or more"]
    assert bar.get_xlim() == (-1, 1)
    assert close(SHIFT_COLOURS(matrix.NORM(-1)), "gone") and close(SHIFT_COLOURS(matrix.NORM(1)), "still")


def test_a_cell_that_was_not_measured_is_a_question(one: Subject) -> None:
    feature = removed(one.name)[1]
    here = {"removed": feature, "removal": "fold_tuning", "seed": 2}
    shifts = changed(one.tables["shifts"], {**here, "scorer": "weights"}, share_after=np.nan, target_shift=np.nan)
    (figure,), _ = drawn_by(matrix.matrix, replace(one, tables={**one.tables, "shifts": shifts}))
    unknown = [key for *key, patch, inside in cells(figure.axes[0]) if inside == ["?"]]
    assert unknown == [[feature, "fold_tuning", "weights"]]


# Where the influence went.

def hand_shares(one: Subject, feature: str, removal: str) -> dict[str, tuple[float, float]]:
    """Feature → share before and after in per cent: median over the scorers that apply, mean over networks."""
    voters = [name for name in VOTERS if name != "xgboost_gain" or removal in DATA_REMOVALS]
    frame = one.tables["attributions"]
    frame = frame[frame.scorer.isin(voters)]
    before = frame[frame.removal == "original"]
    after = frame[(frame.removal == removal) & (frame.removed == feature)]
    return {name: tuple(100 * np.mean([part[(part.feature == name) & (part.seed == seed)].share.median()
                                       for seed in range(SEEDS)]) for part in (before, after))
            for name in before.feature.unique()}


def test_every_dumbbell(one: Subject) -> None:
    figures, pictures = drawn_by(redistribution.redistribution, one)
    count = min(8, len(one.info["groups"]))
    assert [picture.on_page for picture in pictures] == [True, False, False]
    assert [picture.title for picture in pictures] == [f"Where the influence went: {feature} removed"
                                                       for feature in removed(one.name)]
    for feature, figure, picture in zip(removed(one.name), figures, pictures, strict=True):
        (axes,) = figure.axes
        assert f"then the {count - 1} features whose share changed most" in picture.caption
        assert [text.get_text().replace("\n", "") for text in axes.texts if text.get_weight() == "bold"] == REMOVALS
        shares = {removal: hand_shares(one, feature, removal) for removal in REMOVALS}
        moved = {name: max(abs(after - before) for before, after in (shares[removal][name] for removal in REMOVALS))
                 for name in shares["retrain"] if name != feature}
        order = [feature, *sorted(moved, key=lambda name: -moved[name])[:7]]
        assert words(axes.get_yticklabels()) == order
        assert [label.get_weight() == "bold" for label in axes.get_yticklabels()] == [True] + [False] * (count - 1)
        starts = [text.xy[0] for text in axes.texts if isinstance(text, Annotation) and text.get_text() == "0"]
        dots = [part for part in axes.collections if type(part).__name__ == "PathCollection"]
        for place, removal in enumerate(REMOVALS):
            before, after = np.array([shares[removal][name] for name in order]).T
            hollow, filled = dots[2 * place:2 * place + 2]
            for points, values in ((hollow, before), (filled, after)):
                np.testing.assert_allclose(points.get_offsets()[:, 0] - starts[place], values, atol=1e-5)
                assert points.get_offsets()[:, 1].tolist() == list(range(count))
            assert close(hollow.get_facecolor()[0], "paper")
            for change, colour in zip(after - before, filled.get_facecolor(), strict=True):
                if abs(change) > 0.2:
                    assert close(colour, "still" if change > 0 else "gone")
            inside = {round(text.get_position()[1]): text.get_text() for text in axes.texts if
                      starts[place] < text.get_position()[0] < [*starts, np.inf][place + 1] and
                      text.get_weight() != "bold" and not isinstance(text, Annotation)}
            assert inside == {i: f"{change:+.1f}".replace("-", MINUS) for i, change in enumerate(after - before)
                              if abs(change) >= 0.05}
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the removed feature at the top


def test_dumbbells_of_hidden_units_are_each_networks_own() -> None:
    units = subject("iris", units_run())
    (figure,), (picture,) = drawn_by(redistribution.redistribution, units)
    outcomes = units.tables["outcomes"]
    strongest = outcomes[outcomes["rank"] == 1].drop_duplicates("seed").set_index("seed").removed
    assert [axes.get_ylabel() for axes in figure.axes] == [f"network {seed}" for seed in range(3)]
    assert [words(axes.get_yticklabels())[0] for axes in figure.axes] == list(strongest)
    assert "each network by itself, strongest unit" in picture.caption and "1 more removed unit" in picture.caption


# Cost.

def test_every_point_of_cost(one: Subject) -> None:
    """A panel a feature: what is gone in the strip at 0, the rest by the logarithm; each named beside it."""
    (figure,), (picture,) = drawn_by(cost.cost, one)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == [f"{name} removed" for name in removed(one.name)]
    table = picture.table.set_index(["removed", "method"])
    for feature, axes in zip(removed(one.name), panels, strict=True):
        dots = {json.loads(line.get_gid())[0].split(",")[0]: line for line in axes.lines if line.get_gid()}
        assert set(dots) == set(REMOVALS) and {text.get_text() for text in axes.texts} == set(REMOVALS)
        points = {}
        for removal, dot in dots.items():
            own = rows(one, "outcomes", removal=removal, removed=feature)
            left, loss = (100 * np.array(hand_mean(values)) for values in (
                own.direct_effect / own.direct_effect_before, own.loss_native / own.loss_before - 1))
            x = 0.0 if left[0] < 1 else cost.STRIP + np.log10(left[0])
            assert (dot.get_xdata()[0], dot.get_ydata()[0]) == pytest.approx((x, loss[0]), abs=1e-9)
            assert close(dot.get_color(), "gone" if left[0] < 1 else "still")
            assert list(table.loc[(feature, removal)]) == pytest.approx([*left, *loss], abs=1e-9)
            points[removal] = (left[0] if left[0] >= 1 else 0.0, loss[0])
        best = {name for name, (left, loss) in points.items() if not any(
            (a <= left and b <= loss) and (a < left or b < loss) for a, b in points.values())}
        assert {text.get_text() for text in axes.texts if text.get_weight() == "bold"} == best
    assert panels[-1].get_xlabel().startswith("direct effect left")
    assert panels[0].get_ylabel() == "change of test loss"


def test_labels_are_spread_as_little_as_can_be() -> None:
    assert spread([0.5, 0.1, 0.9], 0.1).tolist() == pytest.approx([0.5, 0.1, 0.9])
    assert spread([0.5, 0.5, 0.5], 0.1).tolist() == pytest.approx([0.4, 0.5, 0.6])
    crowded = spread([0.99, 1.0, 0.0], 0.2)
    assert crowded.tolist() == pytest.approx([0.8, 1.0, 0.0])


# What the scorers say.

def hand_mean_shares(one: Subject) -> pd.DataFrame:
    frame = rows(one, "attributions", removal="original")
    mean = pd.DataFrame({name: [frame[(frame.scorer == name) & (frame.feature == feature)].share.mean()
                                for feature in frame.feature.unique()] for name in SCORERS},
                        index=frame.feature.unique())
    order = mean[VOTERS].mean(axis=1)
    return mean.loc[sorted(order.index, key=lambda name: -order[name])]


def drawn_bars(axes: Any) -> Iterator[tuple[list[float], list[float], set[str]]]:
    """Of every scorer in a group of bars: the height of each bar, its middle, and its colour."""
    for part in axes.collections:
        corners = [path.vertices[:4] for path in part.get_paths()]
        colours = {to_hex(colour) for colour in part.get_facecolor()}
        yield [bar[1, 1] for bar in corners], [bar[:, 0].mean() for bar in corners], colours


def in_table(axes: Any, names: list[str]) -> dict[str, tuple[list[float], list[float], set[str]]]:
    """Of every column of a table of bars: how long each bar is, with its sign, its row, and the colours."""
    part = axes.collections[0]
    corners = np.array([path.vertices[:4] for path in part.get_paths()]).reshape(len(names), -1, 4, 2)
    shades = part.get_facecolor().reshape(len(names), -1, 4)
    return {name: (list(bars[:, 1, 0] - bars[:, 0, 0]), list(bars[:, :, 1].mean(1)), {to_hex(one) for one in shade})
            for name, bars, shade in zip(names, corners, shades, strict=True)}


def test_every_bar_of_the_shares(one: Subject) -> None:
    """A row a feature, a column a scorer, those of a family together and in its colour; every value told."""
    (figure,), (picture,) = drawn_by(scorers.shares, one)
    (axes,) = figure.axes
    mean = hand_mean_shares(one)
    order = sorted(SCORERS, key=family_place)
    assert order[-1] == "random" and words(axes.get_yticklabels()) == list(mean.index)
    assert [text.get_text() for text in axes.texts if text.get_rotation() == 38] == order
    found = in_table(axes, order)
    longest = mean.max(axis=None)
    for name, (lengths, places, colours) in found.items():
        assert lengths == pytest.approx(list(0.88 * mean[name] / longest)) and colours == {scorer_colour(name)}
        assert places == pytest.approx(list(range(len(mean))))
    told = json.loads(axes.collections[0].get_gid())
    assert told[0] == f"{mean.index[0]}, {order[0]}: {100 * mean[order[0]].iloc[0]:.1f} %" and len(told) == mean.size
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    np.testing.assert_allclose(picture.table.set_index("feature")[SCORERS], mean[SCORERS])
    assert picture.alt.startswith(f"Bars of 8 scorers; the largest is {mean.index[0]}.")


def test_bars_of_hidden_units_are_each_networks_own() -> None:
    units = subject("iris", units_run())
    (figure,), _ = drawn_by(scorers.shares, units)
    assert [axes.get_ylabel() for axes in figure.axes] == ["network 0", "network 1", "network 2"]
    tables = []
    for seed in range(3):
        frame = rows(units, "attributions", removal="original", seed=seed)
        table = frame.pivot(index="feature", columns="scorer", values="share")
        tables.append(table.loc[table.drop(columns="random").mean(axis=1).sort_values(ascending=False).index[:7]])
    longest = max(table.max(axis=None) for table in tables)
    for table, axes in zip(tables, figure.axes, strict=True):
        assert words(axes.get_yticklabels()) == list(table.index)
        for name, (lengths, _, _) in in_table(axes, sorted(units.scorers, key=family_place)).items():
            assert lengths == pytest.approx(list(0.88 * table[name] / longest))


def test_every_signed_bar(one: Subject) -> None:
    """Not of gradient_weight and xgboost_gain, the control, nor what says magnitudes alone; below zero to the left."""
    frame = changed(one.tables["attributions"], {"scorer": "permutation", "removal": "original"},
                    mean_abs=lambda own: own.signed_mean.abs() + (own.feature == "decoy"))
    (figure,), (picture,) = drawn_by(signs.signed, replace(one, tables={**one.tables, "attributions": frame}))
    names = ["integrated_gradients", "deep_lift", "permutation", "lime", "weights"]
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts if text.get_rotation() == 38] == names
    shown = words(axes.get_yticklabels())
    assert shown == list(hand_mean_shares(one).index)
    original = frame[frame.removal == "original"]
    expected = {}
    for name in names:
        total = original[original.scorer == name].pivot(index="seed", columns="feature", values="signed_mean")
        expected[name] = total.div(total.abs().sum(axis=1), axis=0).mean()[shown].to_numpy()
    every = np.concatenate(list(expected.values()))
    spread_ = max(every.max(), 0) - min(every.min(), 0)
    for name, (lengths, _, _) in in_table(axes, names).items():
        np.testing.assert_allclose(lengths, 0.88 * expected[name] / spread_, rtol=1e-4, atol=1e-4)
    assert every.min() < 0
    assert "(of permutation: the loss" in picture.caption and picture.name == f"{one.name}-signed"
    plain = changed(frame, {"scorer": names}, mean_abs=lambda own: own.signed_mean.abs(),
                    signed_mean=lambda own: own.signed_mean.abs())
    assert drawn_by(signs.signed, replace(one, tables={**one.tables, "attributions": plain}))[1] == [None]


def test_conductance_beside_the_weights_that_leave_a_unit() -> None:
    units = subject("iris", units_run())
    assert drawn_by(signs.conductance, units)[1] == [None], "neither scorer was asked"
    frame = units.tables["attributions"].replace(
        {"scorer": {"deep_lift": "layer_conductance?steps=9", "permutation": "weights"}})
    both = replace(units, tables={**units.tables, "attributions": frame})
    (figure,), (picture,) = drawn_by(signs.conductance, both)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["network 0", "network 1", "network 2"]
    assert words(figure.legends[0].get_texts()) == ["conductance", "learned weights that leave the unit"]
    for seed, axes in enumerate(figure.axes):
        assert words(axes.get_xticklabels()) == [str(unit) for unit in range(12)]
        for scorer, (heights, _, _) in zip(["deep_lift", "permutation"], drawn_bars(axes), strict=True):
            own = rows(units, "attributions", removal="original", seed=seed, scorer=scorer).set_index("feature")
            expected = own.signed_share[[f"unit:{unit}" for unit in range(12)]]
            assert heights == pytest.approx(list(100 * expected))
    assert "Units of layer 1:" in picture.caption and picture.name == "iris-layer-1-conductance"
    assert drawn_by(signs.conductance, replace(both, layer=0))[1] == [None]
    assert drawn_by(signs.signed, both)[1] == [None]


def test_both_matrices_of_agreement(one: Subject) -> None:
    figures, pictures = drawn_by(scorers.agreement, one)
    found = rows(one, "agreement", removal="original", metric="rank_correlation")
    assert [picture.name for picture in pictures] == [f"{one.name}-agreement-row", f"{one.name}-agreement-global"]
    for reading, names, figure, picture in zip(("row", "global"), ([*LOCAL, "random"], SCORERS), figures, pictures,
                                               strict=True):
        axes = figure.axes[0]
        across, down = words(axes.get_xticklabels()), words(axes.get_yticklabels())
        ordered = [name for name in SCORERS if name in names]
        assert (across, down) == (ordered[:-1], ordered[1:]) and axes.get_ylim() == (len(down), 0)
        texts = {text.get_position(): text.get_text() for text in axes.texts}
        assert len(texts) == len(names) * (len(names) - 1) // 2  # a triangle
        shades = {tuple(np.round(path.get_extents().get_points().mean(0), 6).tolist()): colour for path, colour in zip(
            axes.collections[0].get_paths(), axes.collections[0].get_facecolor(), strict=True)}
        for i, a in enumerate(down):
            for j, b in enumerate(across[:i + 1]):
                own = found[(found.reading == reading) & found.scorer_a.isin([a, b]) & found.scorer_b.isin([a, b])]
                wanted = own.value.mean()
                assert sign(texts[j + 0.5, i + 0.5].replace("–", "nan")) == pytest.approx(wanted, abs=0.0051)
                assert np.allclose(shades[j + 0.5, i + 0.5], AGREEMENT_COLOURS((wanted + 1) / 2), atol=0.09)
                assert picture.table.set_index("scorer").loc[a, b] == pytest.approx(wanted)
        assert ("per row" in picture.caption) == (reading == "row")


def test_xgboosts_features_in_order(one: Subject) -> None:
    """Fitted to labels it is the same for every network: here the third one has larger shares."""
    shares = changed(one.tables["attributions"], {"scorer": "xgboost_gain", "seed": 2},
                     share=lambda own: 1.5 * own.share)
    one = replace(one, tables={**one.tables, "attributions": shares})
    (figure,), _ = drawn_by(scorers.xgboost, one)
    axes = figure.axes[0]
    frame = rows(one, "attributions", removal="original", scorer="xgboost_gain")
    means = frame.groupby("feature").share.mean().sort_values(ascending=False)
    count = min(10, len(means))
    bars = axes.patches
    assert [bar.get_width() for bar in bars] == pytest.approx(list(100 * means[:count]))
    shown = words(axes.get_yticklabels())
    assert [means[name] for name in shown] == pytest.approx(list(means[:count]))
    assert axes.get_ylim()[0] > axes.get_ylim()[1] and axes.get_title(loc="left") == "xgboost_gain"
    for name, segment in zip(shown, axes.collections[0].get_segments(), strict=True):
        assert segment[:, 0] == pytest.approx(100 * np.array(hand_mean(frame[frame.feature == name].share)[1:]))
    assert {to_hex(bar.get_facecolor()) for bar in bars} == {scorer_colour("xgboost_gain")}


# Training and the rows.

def test_the_curves_of_training(one: Subject) -> None:
    """Mean and range; a curve goes on while at least half of the networks train: here they stop one by one."""
    table = one.tables["training"]
    place = table.seed + 3 * table.removed.map({"": 0, **{name: k for k, name in enumerate(removed(one.name))}})
    one = replace(one, tables={**one.tables, "training": table[table.epoch <= 3 + place]})
    (figure,), _ = drawn_by(data.training, one)
    titles = ["original networks", "retrained without the feature"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == titles
    for axes, removal in zip(figure.axes, ("original", "retrain"), strict=True):
        own = rows(one, "training", removal=removal)
        most = own[own.epoch == 1].shape[0]
        assert most == (3 if removal == "original" else 9)
        epochs = [epoch for epoch in sorted(own.epoch.unique()) if 2 * (own.epoch == epoch).sum() >= most]
        for line, band, column, colour in zip(axes.lines, axes.collections, ("training_loss", "validation_loss"),
                                              ("accent", "still"), strict=True):
            values = [own[own.epoch == epoch][column] for epoch in epochs]
            assert line.get_xdata().tolist() == epochs and close(line.get_color(), colour)
            np.testing.assert_allclose(line.get_ydata(), [part.mean() for part in values])
            edge = band.get_paths()[0].vertices
            for epoch, part in zip(epochs, values, strict=True):
                at = edge[edge[:, 0] == epoch][:, 1]
                assert (at.min(), at.max()) == pytest.approx((part.min(), part.max()))
    legend = figure.axes[0].get_legend()
    assert words(legend.get_texts()) == ["training", "validation"]
    assert [close(line.get_color(), name) for line, name in zip(legend.get_lines(), ("accent", "still"), strict=True)
            ] == [True, True]


def test_each_feature_against_the_target() -> None:
    (figure,), (picture,) = drawn_by(data.fits, subject("boston"))
    table = datasets()["boston"]
    names = list(table.feature_names)
    assert "decoy" not in names
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == names
    for axes, values in zip(shown, table.inputs.T.astype(float), strict=True):
        points = axes.collections[0].get_offsets()
        assert len(points) == 1500 // 13  # a sample, of the same rows in every panel; line and r are of all
        everything = {(round(x, 5), round(y, 5)) for x, y in zip(values, table.targets.astype(float), strict=True)}
        assert {(round(x, 5), round(y, 5)) for x, y in np.asarray(points).tolist()} <= everything
        np.testing.assert_array_equal(points[:, 1], shown[0].collections[0].get_offsets()[:, 1])
        slope, intercept = np.linalg.lstsq(np.c_[values, np.ones(len(values))], table.targets.astype(float))[0]
        (line,) = axes.lines
        assert line.get_xdata().tolist() == [values.min(), values.max()]
        np.testing.assert_allclose(line.get_ydata(), intercept + slope * line.get_xdata(), rtol=1e-5)
        r = np.corrcoef(values, table.targets)[0, 1]
        assert axes.get_title(loc="right") == f"r = {r:.2f}".replace("-", MINUS)
    assert "Points: a sample of 115 of 506 rows." in picture.caption
    assert picture.alt.startswith("Scatter plots of 13 features against MEDV")
    assert drawn_by(data.fits, subject("iris"))[1] == [None]
