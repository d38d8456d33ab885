"""What one scorer says of single rows: a beeswarm over rows, and the waterfall of one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba

from attribution_suite.conclusions.numbers import rounded
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import DOWN, GREY, UP, Picture, canvas, label, picture, styled
from attribution_suite.reporting.figures.svg import tell
from attribution_suite.reporting.reading import Subject
from attribution_suite.tables.audit import ORIGINAL

MOST_FEATURES, MOST_STEPS = 20, 12
ON_PAGE, MARKS_ON_PAGE = 12, 300  # features and marks of the page's beeswarm
VALUE_COLOURS = LinearSegmentedColormap.from_list("value", ["#7ea9cd", "#8a5a83", PALETTE["still"]], N=9)


def rows(subject: Subject) -> list[Picture]:
    """A beeswarm of the first network's rows, and the waterfall of the one whose output the removed feature moves most.

    Where no scorer of the run shares out f(x) − f(baseline) there is neither.
    """
    table = subject.tables["local_attributions"]
    table = table[table.split == 0]
    if table.empty:
        return []
    phi, values = (table.pivot(index="row", columns="feature", values=name)[list(pd.unique(table.feature))]
                   for name in ("phi", "value"))
    return [_beeswarm(subject, table, phi, values), _waterfall(subject, table, phi)]


@styled
def _beeswarm(subject: Subject, table: pd.DataFrame, phi: pd.DataFrame, values: pd.DataFrame) -> Picture:
    names = list(phi.abs().mean().sort_values(ascending=False, kind="stable").index[:ON_PAGE])
    figure = canvas(8.6, max(2.8, 1.1 + 0.34 * len(names)))
    axes = figure.subplots()
    ranks = (values.rank() - 1) / max(1, len(values) - 1)
    drawn = draw_swarm(axes, names, phi[names].to_numpy(), ranks[names].to_numpy(), MARKS_ON_PAGE,
                       values[names].to_numpy())
    scorer, left = table.scorer.iloc[0], phi.shape[1] - len(names)
    axes.set_xlabel(f"φ, {scorer}: what the feature adds to " + _explained(subject, "the predicted class"))
    caption = (f"A mark a test row and feature, in one original network (seed {table.seed.iloc[0]}): right of the line "
               "the feature raises the explained output of that row, left of it it lowers it. Colour: the feature's "
               "value, by its rank; grey: a feature of several columns."
               + (f" {drawn} of {len(phi)} rows, evenly by rank." if drawn < len(phi) else f" {len(phi)} rows.")
               + f" The {len(names)} strongest features; {left} more are in the table of the run." * bool(left))
    summary = pd.DataFrame({"feature": names, "mean |φ|": phi[names].abs().mean().to_numpy(),
                            "least φ": phi[names].min().to_numpy(), "most φ": phi[names].max().to_numpy()})
    return picture(figure, subject, "rows", "Row by row: what each feature adds", caption,
                   f"Beeswarm of {scorer} over {drawn} rows and {len(names)} features.", summary)


@styled
def _waterfall(subject: Subject, table: pd.DataFrame, phi: pd.DataFrame) -> Picture:
    row, why = _row(subject, int(table.seed.iloc[0]), phi.index)
    own = table[table.row == row]
    figure = canvas(8.6, 1.2 + 0.3 * min(len(phi.columns) + 2, MOST_STEPS + 3))
    axes = figure.subplots()
    start, end = float(own.output_at_baseline.iloc[0]), float(own.output.iloc[0])
    draw_waterfall(axes, list(phi.columns), phi.loc[row].to_numpy(), start, end)
    axes.set_xlabel(_explained(subject, f"class {label(own.explained_class.iloc[0], 30)}"))
    caption = (f"Test row {row}, {why}, in one original network (seed {own.seed.iloc[0]}), by {own.scorer.iloc[0]}: "
               "from the output at the baseline to the row's own, a step a feature; blue raises it, rust lowers it.")
    steps = own[["feature", "value", "phi"]].rename(columns={"phi": "φ"})
    steps = steps.sort_values("φ", key=abs, ascending=False, kind="stable").head(MOST_FEATURES)
    return picture(figure, subject, "row", "How one prediction comes about", caption,
                   f"Waterfall of test row {row}, from {rounded(start)} to {rounded(end)}.", steps)


def _row(subject: Subject, seed: int, known: pd.Index) -> tuple[int, str]:
    """The row that the first removed feature moves most in that network, where it has values, and what it is."""
    outcomes = subject.tables["outcomes"]
    if subject.shown:
        feature = subject.shown[0]
        before = outcomes[(outcomes.removal == ORIGINAL) & (outcomes.removed == feature) & (outcomes.seed == seed)]
        if len(before) and before.witness_row.iloc[0] in known:
            return int(before.witness_row.iloc[0]), f"the one that {label(feature, 40)} alone moves most"
    return int(known[0]), "the first"


def _explained(subject: Subject, of_class: str) -> str:
    """What φ adds up to; of several classes the logit of one."""
    task = subject.info["task"]
    return label(subject.info["target"], 30) if task == "regression" else "the logit" if task == "binary" else \
        f"the logit of {of_class}"


def draw_swarm(axes: Any, names: Sequence[str], phi: np.ndarray, ranks: np.ndarray, most: int,
               values: np.ndarray | None = None) -> int:
    """One mark a row and feature at its φ `[rows, features]`, coloured by `ranks` in [0, 1], grey where NaN.

    At most `most` marks: of each feature rows that are evenly spread by rank, the extremes among them; returns how many
    rows. `values` `[rows, features]` are told with the marks.
    """
    rows = min(len(phi), max(2, most // len(names)))
    chosen = np.linspace(0, len(phi) - 1, rows).round().astype(int)
    order = np.argsort(phi, axis=0, kind="stable")[chosen]
    across, shade = (np.take_along_axis(part, order, 0) for part in (phi, ranks))
    aside = np.stack([place + swarm(column) for place, column in enumerate(across.T)], 1)
    colours = np.where(np.isnan(shade)[..., None], to_rgba(GREY), VALUE_COLOURS(np.nan_to_num(shade)))
    level = np.nan_to_num(np.floor(VALUE_COLOURS.N * shade), nan=-1).ravel()
    by_colour = np.argsort(level, kind="stable")  # marks of one colour follow each other
    axes.axvline(0, color=PALETTE["muted"], linewidth=0.8)
    marks = axes.scatter(across.ravel()[by_colour], aside.ravel()[by_colour], s=11, linewidths=0, alpha=0.85,
                         c=colours.reshape(-1, 4)[by_colour])
    if values is not None:
        told = np.take_along_axis(values, order, 0)
        words = np.array([f"{label(name, 30)}{'' if np.isnan(value) else f' {value:.4g}'}: φ {rounded(float(each))}"
                          for value_row, row in zip(told, across, strict=True)
                          for name, value, each in zip(names, value_row, row, strict=True)], dtype=object)
        tell(marks, *words[by_colour])
    ticks(axes, names)
    bar = axes.figure.colorbar(ScalarMappable(Normalize(0, 1), VALUE_COLOURS), ax=axes, aspect=40, pad=0.02)
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label("the feature's value\n(grey: several columns)")
    bar.outline.set_visible(False)
    return rows


def swarm(values: np.ndarray, bins: int = 70) -> np.ndarray:
    """How far each mark moves aside, in [−0.42, 0.42], so that those of one place stand beside each other."""
    span = np.ptp(values) or 1.0
    places = ((values - values.min()) / span * (bins - 1)).round().astype(int)
    within = pd.Series(places).groupby(places).cumcount().to_numpy()
    aside = np.where(within % 2, 1, -1) * ((within + 1) // 2)  # 0, 1, −1, 2, −2 …
    offsets: np.ndarray = 0.42 * aside / max(4, int(np.abs(aside).max()))
    return offsets


def ticks(axes: Any, names: Sequence[str]) -> None:
    """Names at the left, the first on top."""
    axes.set_yticks(np.arange(len(names)), [label(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def draw_waterfall(axes: Any, features: Sequence[str], phi: np.ndarray, start: float, end: float) -> int:
    """From f(baseline) to f(x), a step a feature `[features]`; what the steps leave open is a step of its own.

    Returns how many lines there are.
    """
    names, steps = largest(features, phi)
    rest = end - start - float(phi.sum())
    if abs(rest) > 0.005 * max(abs(end - start), np.abs(phi).max()):
        names, steps = [*names, "not shared out"], np.append(steps, rest)
    left = start + np.concatenate([[0], np.cumsum(steps)[:-1]])
    places = np.arange(len(names)) + 1
    for bar, name, step in zip(axes.barh(places, steps, 0.72, left=left,
                                         color=np.where(steps < 0, DOWN, UP).tolist()), names, steps, strict=True):
        tell(bar, f"{label(name, 40)}: {_signed(step)}")
    edges = np.append(left, left[-1] + steps[-1])
    axes.vlines(edges, np.arange(len(edges)) + 0.36 - (np.arange(len(edges)) == 0) * 0.72,
                np.arange(len(edges)) + 0.64, color=PALETTE["muted"], linewidth=0.8)
    for place, step, edge in zip(places, steps, np.maximum(left, left + steps), strict=True):
        axes.annotate(_signed(step), (edge, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    ends = [f"f(baseline) = {rounded(start, 4)}", *[label(name, 30) for name in names], f"f(x) = {rounded(end, 4)}"]
    axes.plot([start, end], [0, len(names) + 1], "o", color=PALETTE["ink"], markersize=6)
    ticks(axes, ends)
    axes.use_sticky_edges = False
    axes.margins(x=0.12)
    return len(ends)


def largest(features: Sequence[str], values: np.ndarray, most: int = MOST_STEPS) -> tuple[list[str], np.ndarray]:
    """The steps of the `most` features that move most, the largest first, and one of all others together."""
    order = np.argsort(-np.abs(values), kind="stable")
    if len(order) <= most:
        return [features[k] for k in order], values[order]
    kept, others = order[:most - 1], order[most - 1:]
    return ([*[features[k] for k in kept], f"{len(others)} other features"],
            np.append(values[kept], values[others].sum()))


def _signed(step: float) -> str:
    return ("+" if step > 0 else "") + rounded(float(step))
