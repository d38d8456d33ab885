"""The figures: what they show is read back from the drawn artists, and bad choices of rows are refused."""

import io

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from PIL import Image

from attribution_suite.datasets.table import Split
from attribution_suite.errors import InputError
from attribution_suite.measures.unit_tests import unit_tests
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.forward import collect
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.reporting.figures import history as history_figures
from attribution_suite.reporting.figures.animation import LIMIT, animation, still
from attribution_suite.reporting.figures.masking import masking_pools, masking_rankings
from attribution_suite.reporting.figures.paths import path_picture
from attribution_suite.reporting.figures.style import DOWN, DPI, UP
from attribution_suite.reporting.figures.units import activity_map, distributions
from attribution_suite.scorers.attribution import Attribution
from attribution_suite.units.activations import activity
from attribution_suite.units.masking import Masking, by_score, by_significance
from attribution_suite.units.paths import quantile_path, to_frame

NAMES = ["age", "_dollar$", "Sex=a long name of a category", "x"]


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def network(hidden: tuple[int, ...] = (30, 40)) -> Perceptrons:
    return Perceptrons.initialise(Architecture(4, hidden, 1, "tanh"), [0])


def rows() -> Split:
    inputs = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    return Split(inputs, (inputs.sum(1) > 0).float())


def history(epochs: int = 30, hidden: int = 20) -> torch.Tensor:
    steps = torch.randn(epochs, hidden, 4, generator=torch.Generator().manual_seed(1))
    return (steps * torch.tensor([0.3, 0.1, 0.03, 0.0])).cumsum(0)


def masked_curves(layer: int = 1):
    networks, data = network(), rows()
    values = networks.activations(data.inputs)[layer]
    tests = unit_tests(values.numpy(), data.targets.numpy(), "binary")
    score = Attribution("made_up", tuple(map(str, range(30))), torch.arange(30.0)[None])
    return Masking(layer).curves(networks, data, data.inputs, "binary", [
        *by_significance(torch.from_numpy(tests.significant)), by_score(score)])


@pytest.mark.no_cover
def test_every_figure_is_a_picture_and_leaves_no_style_behind() -> None:
    data, networks = rows(), network()
    values = networks.activations(data.inputs)[1]
    tests = unit_tests(values.numpy(), data.targets.numpy(), "binary").to_frame()
    before = dict(mpl.rcParams)
    links = to_frame([quantile_path(networks, data.inputs, sign) for sign in ("positive", "negative")], NAMES)
    table = activity(collect(networks, data.inputs), "binary", ("no", "yes"))
    figures = [
        distributions(values[0].numpy(), data.targets.numpy().astype(int), ("no", "yes"), tests),
        masking_pools(masked_curves()), masking_rankings(masked_curves(), "loss"),
        activity_map(table[table.layer == 1]),
        path_picture(links, networks.architecture.widths, "logit"), still(history(), NAMES),
        history_figures.ranking(np.array([[0.4, 0.3, 0.2, 0.1]]), NAMES),
        *[draw(history(), NAMES) for draw in (
            history_figures.weights_by_unit, history_figures.weights_by_input, history_figures.weight_boxes,
            history_figures.spread_bars, history_figures.densities)]]
    for figure in figures:
        picture = Image.open(io.BytesIO(png(figure)))
        assert picture.width > 500 and len(picture.convert("RGB").getcolors(1 << 24)) > 20
    assert dict(mpl.rcParams) == before


def drawn_links(figure: Figure) -> list[PathPatch]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]


def test_path_picture_shows_the_links_of_the_table() -> None:
    data, networks = rows(), network()
    links = to_frame([quantile_path(networks, data.inputs, sign, keep=6) for sign in ("positive", "negative")], NAMES)
    pairs = links.drop_duplicates(["layer", "unit", "target"])
    shown = drawn_links(path_picture(pairs, networks.architecture.widths, "logit", most=100))
    assert len(shown) == len(pairs)
    colours = [mpl.colors.to_hex(patch.get_edgecolor()) for patch in shown]
    assert (colours.count(UP), colours.count(DOWN)) == ((pairs.variation > 0).sum(), (pairs.variation < 0).sum())
    # width grows with the variation, up to the strongest link of each pair of layers
    last = pairs[pairs.layer == 2].variation.abs()
    widths = sorted(patch.get_linewidth() for patch in shown if round(patch.get_path().vertices[0][0]) == 2)
    expected = sorted(0.3 + 7 * last / last.max())
    assert np.allclose(widths, expected)
    few = path_picture(links, networks.architecture.widths, "logit", most=3)
    ends = {tuple(patch.get_path().vertices[0]) for patch in drawn_links(few)}
    assert max(sum(1 for x, _ in ends if round(x) == layer) for layer in range(3)) == 3
    assert any("3 of 40 shown" in text.get_text() for text in few.axes[0].texts)


def test_ranking_orders_the_inputs() -> None:
    figure = history_figures.ranking(np.array([[0.1, 0.5, 0.2, 0.2], [0.1, 0.7, 0.2, 0.0]]), list("abcd"))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["b", "c", "a", "d"]  # the first of equal ones first
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.2, 0.1, 0.1])


def test_outliers_are_drawn_above_alone() -> None:
    weights = history(hidden=3).clamp(-1, 1)
    weights[0, 1, 2] = 50
    fliers = [[float(y) for line in axes.lines if line.get_marker() == "." for y in line.get_ydata()]
              for axes in history_figures.weight_boxes(weights, list("abcd")).axes]
    assert 50 in fliers[0] and not fliers[1]


def test_spread_bars_are_the_standard_deviations() -> None:
    weights = history(hidden=3)
    above, below = history_figures.spread_bars(weights, list("abcd")).axes
    spread = weights.numpy().std(0)
    assert sorted(bar.get_height() for bar in above.patches) == pytest.approx(sorted(spread.ravel()), abs=1e-7)
    tops = [sum(bar.get_height() for bar in below.patches if round(bar.get_x() + 0.35) == place) for place in range(4)]
    assert tops == pytest.approx(spread.sum(0).tolist(), abs=1e-6)


def test_animation_plays_every_part_of_training_in_a_small_file() -> None:
    for epochs in (3, 400):
        data = animation(history(epochs), NAMES, every=2)
        assert len(data) < LIMIT
        moving = Image.open(io.BytesIO(data))
        assert moving.format == "GIF" and moving.n_frames == min(epochs, 50) and moving.info["loop"] == 0
        moving.seek(0)
        first = np.asarray(moving.convert("RGB"))
        moving.seek(moving.n_frames - 1)
        assert (np.asarray(moving.convert("RGB")) != first).any()


def test_a_stopped_member_is_drawn_up_to_its_stop() -> None:
    weights = history(10, 3)
    weights[6:] = torch.nan
    line = history_figures.weights_by_unit(weights, list("abcd"), every=5).axes[0].lines[0]
    assert line.get_xdata().tolist() == [5, 10, 15, 20, 25, 30]


def test_bad_choices_are_refused() -> None:
    data, networks = rows(), network()
    links = quantile_path(networks, data.inputs).to_frame(NAMES)
    curves = masked_curves()
    for call, message in [
        (lambda: path_picture(links[:0], (4, 30, 40, 1), "y"), "one member"),
        (lambda: masking_pools(curves[:0]), "one layer"),
        (lambda: masking_pools(curves.assign(layer=curves["repeat"] % 2)), "one layer"),
        (lambda: masking_rankings(curves[curves.selection.str.startswith("top")]), "random units"),
        (lambda: history_figures.weight_boxes(history()[:, None], NAMES), "one member"),
        (lambda: animation(history()[:, None], NAMES), "one member"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    constant = unit_tests(np.zeros((1, 6, 2)), np.arange(6) % 2, "binary").to_frame()
    with pytest.raises(InputError, match="normality"):
        distributions(np.zeros((6, 2)), np.arange(6) % 2, ("a", "b"), constant)
