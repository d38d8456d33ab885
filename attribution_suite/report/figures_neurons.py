"""The pictures of the chapter on neurons, from the tables of a look inside. Every layer and output is drawn; the page
shows the last hidden layer and the first output, the others lie in `figures/`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from attribution_suite.errors import InputError
from attribution_suite.report import figures_neurons_history as grown
from attribution_suite.report.figures_neurons_animation import animation, still
from attribution_suite.report.figures_neurons_paths import path_picture
from attribution_suite.report.figures_neurons_units import (
    activity_map,
    distributions,
    masking_pools,
    masking_rankings,
)
from attribution_suite.report.figures_style import LeftOut, Picture, picture
from attribution_suite.report.reading import Subject
from attribution_suite.report.verdict_neurons import measure_of, tables

Pictures = list[Picture | LeftOut]


def units(subject: Subject) -> Pictures:
    """Which units fire for which class, and the distributions of the most and least normal ones, of the first seed."""
    found: Pictures = []
    for layer, table in _layers(subject, "units"):
        last = layer == _last(subject)
        fired = tables(subject)["activity"].query("layer == @layer and seed == 0", local_dict={"layer": layer})
        if subject.info["task"] != "regression":
            found.append(_draw(subject, partial(activity_map, fired), f"activity-{layer}",
                               f"Which units of layer {layer} are active for which class",
                               "The part of a predicted class's rows on which a unit is active (above 0), first seed. "
                               "Units that differ most by class, those of a class side by side.", last))
        values, labels, classes = _sampled(subject, layer)
        tests = table[(table.seed == 0) & table.unit.isin(np.flatnonzero(~np.isnan(values[0])))]
        found.append(_draw(
            subject, partial(distributions, values, labels, classes, tests),
            f"normality-{layer}", f"The most and the least normal units of layer {layer}",
            "Pre-activations on training rows, each class apart, first seed: above the units with the largest "
            "Shapiro p, below those with the smallest.", last))
    return found


def masking(subject: Subject) -> Pictures:
    """What masking costs: the pools of significance, and the rankings by scorers."""
    found: Pictures = []
    measure = measure_of(subject)
    for layer, table in _layers(subject, "masking"):
        curves = table[table["fill"] == "zero"].rename(columns={"seed": "member"})
        last = layer == _last(subject)
        found.append(_draw(
            subject, partial(masking_pools, curves, measure), f"masking-{layer}",
            f"Do significant units of layer {layer} matter more than random ones?",
            f"Test {measure} with a fraction of the units of a pool at zero, ten draws a seed; band: 95 % interval "
            "over seeds. Each pool has its control: as many units, drawn from all (dashed).", last))
        if curves.selection.str.startswith("top:").any():
            found.append(_draw(
                subject, partial(masking_rankings, curves, measure), f"rankings-{layer}",
                f"Whose ranking of the units of layer {layer} finds what matters?",
                f"Units at zero, highest score first. Bars: the mean {measure} over the curve, "
                f"{'lower' if measure == 'accuracy' else 'higher'} finds what matters; bold: the interval against "
                "random draws leaves out zero.", last))
    return found


def paths(subject: Subject) -> Pictures:
    """The way from the inputs to each output, both signs, of the first seed."""
    if subject.neurons is None:
        return []
    found: Pictures = []
    info, links = subject.info, subject.neurons["paths"]
    widths = [int(width) for width in info["architecture"].split()[0].split("-")]
    for output in sorted(links.output.unique()):
        own = links[(links.output == output) & (links.seed == 0)].rename(columns={"seed": "member"})
        name = f"logit of {info['classes'][output]}" if info["task"] == "multiclass" else info["target"]
        found.append(_draw(
            subject, partial(path_picture, own, widths, name), f"path-{output}",
            f"The strongest ways to {name}",
            "Each unit alone goes from its lowest to its highest value, the others at zero; the strongest of both "
            "signs stay and are the targets of the layer below (quantile paths), first seed. Width: how far the target "
            "moves; blue up, red down.", output == 0))
    return found


def history(subject: Subject) -> Pictures:
    """How the first layer's weights grew: of the first seed, and each input's share over all seeds."""
    if not len(tables(subject).get("history", ())):
        return []
    weights, names, every = _weights(tables(subject)["history"])
    shares = tables(subject)["importances"].pivot(index="seed", columns="feature", values="share")
    moving = ("Each bar is a weight of the first layer, of the units that moved most; first seed.")
    drawings: Sequence[tuple[str, str, str, Callable[[], Figure], bool]] = (
        ("history-ranking", "Whose weights moved most while training",
         "weight_history: the standard deviation over epochs of an input's weights, summed over units, as a share; "
         "bar: mean over seeds, dots: seeds.", lambda: grown.ranking(shares.to_numpy(), list(shares.columns)), True),
        ("history-inputs", "Weights over epochs, by input", "Mean, middle half and range over units, first seed.",
         lambda: grown.weights_by_input(weights, names, every), True),
        ("history-units", "Weights over epochs, by unit", "A line an input.",
         lambda: grown.weights_by_unit(weights, names, every), False),
        ("history-boxes", "Weights of each input", "Over epochs and units, with outliers and without.",
         lambda: grown.weight_boxes(weights, names), False),
        ("history-spread", "How much each weight moved", "Standard deviation over epochs.",
         lambda: grown.spread_bars(weights, names), False),
        ("history-densities", "Normal densities of the weights", "Drawn where the density is 1 or more.",
         lambda: grown.densities(weights, names), False),
        ("history-still", "The first layer at the end of training", moving,
         lambda: still(weights, names, every), False),
    )
    found = [_draw(subject, draw, name, title, caption, shown) for name, title, caption, draw, shown in drawings]
    mark = "simulated data" if subject.simulated else ""
    alt = f"Animated bars of first-layer weights over epochs. Data: {subject.title}{' (simulated)' if mark else ''}."
    gif = Picture(f"{subject.slug}-history", "How the first layer's weights grew", moving, alt,
                  animation(weights, names, every, mark), moving=True)
    return [*found, gif]


def _draw(subject: Subject, draw: Callable[[], Figure], name: str, title: str, caption: str,
          on_page: bool) -> Picture | LeftOut:
    try:
        figure = draw()
    except InputError as error:
        return LeftOut(title, f"left out: {error}")
    made = picture(figure, subject, name, title, caption, f"{title}.")
    return Picture(made.name, made.title, made.caption, made.alt, made.png, on_page)


def _layers(subject: Subject, table: str) -> list[tuple[int, pd.DataFrame]]:
    frame = tables(subject).get(table)
    return [] if frame is None else [(int(str(layer)), rows) for layer, rows in frame.groupby("layer")]


def _last(subject: Subject) -> int:
    return int(tables(subject)["units"].layer.max())


def _sampled(subject: Subject, layer: int) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """Values `[rows, units]` (NaN for units that were not sampled), labels `[rows]` and the classes' names."""
    rows = tables(subject)["samples"].query("layer == @layer", local_dict={"layer": layer})
    by_unit: list[Any] = list(rows.groupby("unit"))
    values = np.full((len(rows) // max(1, len(by_unit)), rows.unit.max() + 1 if len(rows) else 0), np.nan)
    for unit, own in by_unit:
        values[:, unit] = own.value
    labels = by_unit[0][1].label.to_numpy() if by_unit else np.empty(0, int)
    if subject.info["task"] == "regression":
        return values, np.zeros(len(labels), int), ("all rows",)
    return values, labels, subject.info["classes"] or ("0", "1")


def _weights(table: pd.DataFrame) -> tuple[Tensor, list[str], int]:
    """The record `[epochs, hidden, features]` of one seed, the columns' names, and the epochs between two records."""
    epochs, names = table.epoch.nunique(), list(pd.unique(table.feature))
    values = torch.tensor(table.weight.to_numpy(np.float32)).reshape(epochs, -1, len(names))
    return values, names, int(table.epoch.min())
