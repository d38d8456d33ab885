"""Figures of signs: which way each feature moves the output by each scorer, and conductance against learned weights."""

import pandas as pd
from matplotlib.patches import Patch

from attribution_suite.conclusions.words import averaged
from attribution_suite.registry import bare
from attribution_suite.reporting.figures.bars import MOST_NETWORKS, bar_tables, grouped, mean_shares, most_rows
from attribution_suite.reporting.figures.shades import PALETTE
from attribution_suite.reporting.figures.style import (
    WIDTH,
    Picture,
    canvas,
    family_words,
    picture,
    styled,
)
from attribution_suite.reporting.reading import Subject
from attribution_suite.scorers import CONTROL

MOST_UNITS = 40
ROUNDING = 1e-5
PAIR = {"layer_conductance": PALETTE["accent"], "weights": PALETTE["still"]}  # what is drawn against what
LEARNED = "weights"


@styled
def signed(subject: Subject) -> Picture | None:
    """All scorers that have a sign side by side, a row a feature, the learned weights last; of inputs."""
    rows = subject.originals
    negative = rows.scorer[rows.signed_mean < rows.mean_abs * (1 - ROUNDING)]  # what is never, says magnitudes alone
    rows = rows[rows.scorer.isin(negative) & rows.signed_share.notna() & (rows.scorer != CONTROL)]
    if subject.layer or rows.empty:
        return None
    mean = rows.groupby(["feature", "scorer"], sort=False).signed_share.mean().unstack("scorer")
    names = sorted((name for name in subject.scorers if name in mean), key=lambda name: bare(name) == LEARNED)
    order = mean_shares(subject, subject.originals).index[:most_rows(len(names))]
    table = mean.loc[order, names]
    learned = (" Weights: the mean of the first layer's learned weights, which no data are needed for."
               if any(bare(name) == LEARNED for name in names) else "")
    left = len(mean) - len(order)
    caption = ("Mean over rows of what each scorer gives each feature, with its sign, over the sum of the magnitudes "
               "of these means: above zero it raises the explained output (of permutation: the loss; of "
               "unit_significance: it goes with the target). Original networks, features by mean share; "
               f"{averaged(subject.networks, subject.splits).lower()}. Signs cancel over rows: a short bar may be a "
               "feature that matters much, both ways. Scorers of magnitudes alone are left out. "
               f"{family_words(names)}{learned}" + f" The other {left} features are not drawn." * bool(left))
    return picture(bar_tables({"": 100 * table}, "signed share"), subject, "signed",
                   "Which way each feature moves the output", caption,
                   f"Bars of {len(names)} scorers with their signs, a row a feature.",
                   table.reset_index(names="feature"))


@styled
def conductance(subject: Subject) -> Picture | None:
    """Each unit's conductance beside the learned weights that leave it, network by network; of a hidden layer."""
    rows = subject.originals.assign(scorer=subject.originals.scorer.map(bare))
    rows = rows[rows.scorer.isin(PAIR) & rows.signed_share.notna()].drop_duplicates(["seed", "scorer", "feature"])
    if not subject.layer or rows.scorer.nunique() < len(PAIR):
        return None
    seeds = list(pd.unique(rows.seed))
    figure = canvas(WIDTH, 0.85 + 1.75 * min(len(seeds), MOST_NETWORKS))
    axes = figure.subplots(min(len(seeds), MOST_NETWORKS), 1, squeeze=False)[:, 0]
    parts = []
    for panel, seed in zip(axes, seeds, strict=False):
        table = rows[rows.seed == seed].pivot(index="feature", columns="scorer", values="signed_share")[list(PAIR)]
        strongest = table.layer_conductance.abs().nlargest(MOST_UNITS).index
        part = table[table.index.isin(strongest)]
        part = part.loc[sorted(part.index, key=lambda unit: int(unit.partition(":")[2]))]
        panel.axhline(0, color=PALETTE["muted"], linewidth=0.8)
        parts.append(part.reset_index(names="unit").assign(network=seed))
        grouped(panel, part.rename(index=lambda unit: unit.partition(":")[2]), PAIR, "signed share, %")
        panel.set_title(f"network {seed}")
    axes[-1].set_xlabel("unit")
    figure.legend([Patch(color=shade) for shade in PAIR.values()],
                  ["conductance", "learned weights that leave the unit"], loc="outside lower center", ncols=2)
    units = int(rows.groupby("seed").feature.nunique().max())
    caption = (f"Units of layer {subject.layer}: the mean over rows of the conductance (what flows through the unit to "
               "the explained output) and the mean of the weights by which the next layer reads it, each over the sum "
               "of its magnitudes. A unit with a large weight and little conductance hardly moves with the inputs."
               + f" The {MOST_UNITS} units with the largest conductance of {units}." * (units > MOST_UNITS)
               + " Units have no identity across networks." * (len(seeds) > 1))
    return picture(figure, subject, "conductance", "Conductance against learned weights", caption,
                   "Two bars a unit: its conductance and the weights that leave it.", pd.concat(parts))
