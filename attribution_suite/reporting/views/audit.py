"""A run in a notebook: the verdicts, the matrix of a removed feature, worst cases, shares."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from attribution_suite.conclusions import words
from attribution_suite.conclusions.direct import BOUNDED, BY_DESIGN, PRESENT, PROVED, UNDECIDED
from attribution_suite.conclusions.numbers import UNMEASURED, cost, score
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.reporting.figures.curves import removed_curves
from attribution_suite.reporting.figures.dependence import draw_methods, draw_panels, quantity, scale_axes
from attribution_suite.reporting.figures.matrix import EFFECT, NORM, shift_matrix, shift_text
from attribution_suite.reporting.figures.rows import MOST_FEATURES, ticks
from attribution_suite.reporting.figures.shades import PALETTE, SHIFT_COLOURS, ink_on
from attribution_suite.reporting.figures.style import GREY, label
from attribution_suite.reporting.reading import Run, Subject
from attribution_suite.reporting.views.view import View
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

# `results.Audit` stands above all that draws: it is read by its path, record and tables.
Audit = Any
STATES = {PROVED: PALETTE["gone"], BOUNDED: "#7fbdb6", UNDECIDED: "#e3b95a", BY_DESIGN: "#e3b95a",
          PRESENT: PALETTE["still"], UNMEASURED: GREY}


def headline(result: Audit) -> str:
    """Of one removed feature the page's sentence; of several, how many."""
    judged = result.verdicts
    if judged.empty:
        return f"Nothing was removed: what the networks of {', '.join(result.record['datasets'])} use."
    groups = list(judged.groupby(["dataset", "layer", "removed"], sort=False))
    of_first = groups[0][1]
    first = words.headline(str(of_first.removed.iloc[0]), list(of_first.direct[of_first.removal != ORIGINAL]))
    return first if len(groups) == 1 else f"{len(groups)} features were removed. {groups[0][0][0]}: {first}"


def facts(result: Audit) -> list[str]:
    """What went wrong, and where the page is."""
    return [*(f"Failed: {line}" for line in result.failed), f"The whole report: {result.path / 'report.html'}"]


def table(result: Audit) -> pd.DataFrame:
    """A row a removed feature and method; of a run that removed nothing, one a feature with its mean share."""
    judged = result.verdicts
    if judged.empty:
        rows = result.table("attributions")
        rows = rows[rows.scorer != CONTROL]
        mean = rows.groupby(["dataset", "feature"], sort=False).share.mean().reset_index(name="mean share")
        ranked: pd.DataFrame = mean.sort_values(["dataset", "mean share"], ascending=[True, False], kind="stable")
        return ranked
    costs = result.summary[["dataset", "layer", "removed", "removal", "performance_before", "performance", "cost_net"]]
    both = judged.merge(costs, on=["dataset", "layer", "removed", "removal"], how="left")
    shown = pd.DataFrame({
        "data set": both.dataset, "removed": both.removed, "method": both.removal, "direct influence": both.direct,
        "worst case": both.worst_case, "bound": both.worst_case_bound, "δ": both.delta,
        "R² or AUC": [f"{score(before)} → {score(after)}" if removal != ORIGINAL else "" for removal, before, after in
                      zip(both.removal, both.performance_before, both.performance, strict=True)],
        "net cost, %": [cost(net) if removal != ORIGINAL else "" for removal, net in
                     zip(both.removal, both.cost_net, strict=True)]})
    return shown.drop(columns="data set") if judged.dataset.nunique() == 1 else shown


def matrix(axes: Axes, result: Audit, *, feature: str | None = None, dataset: str | None = None) -> int:
    """Removals × scorers: how far the share of a removed `feature` moved, −100 % is gone; mean over the networks."""
    subject = subject_of(result, dataset)
    known = removed(subject, feature)
    shifts = shift_matrix(subject, known)
    mean, missing = shifts.mean, shifts.missing.to_numpy()
    shown = mean.drop(columns=CONTROL, errors="ignore")
    axes.imshow(np.ma.masked_invalid(shown.to_numpy(dtype=float)), cmap=SHIFT_COLOURS, norm=NORM, aspect="auto")
    for (line, place), value in np.ndenumerate(shown.to_numpy(dtype=float)):
        ink = PALETTE["muted"] if np.isnan(value) else ink_on(SHIFT_COLOURS(NORM(value)))
        axes.text(place, line, "?" if missing[line, place] else shift_text(value), ha="center", va="center",
                  fontsize=8 if len(shown.columns) < 20 else 6.5, color=ink)
    axes.set_yticks(np.arange(len(shown)), [label(name, 28) for name in shown.index])
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(shown.columns)), [label(name, 26) for name in shown.columns], rotation=38, ha="left",
                    rotation_mode="anchor")
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"{known} removed from {subject.title}: change of its share in %; −100 is gone. First column: "
                    f"{EFFECT}.\nn/a: this removal cannot change what the scorer reads; ?: not measured")
    return len(shown) + 4


def worst_case(axes: Axes, result: Audit, *, feature: str | None = None, dataset: str | None = None) -> int:
    """The most that a removed `feature` alone can still move the output, by method; the line is δ."""
    subject = subject_of(result, dataset)
    known = removed(subject, feature)
    rows = subject.verdicts[subject.verdicts.removed == known]
    places = np.arange(len(rows))
    axes.barh(places, rows.worst_case_bound.replace(np.inf, np.nan), 0.72, fill=False, edgecolor=PALETTE["muted"])
    axes.barh(places, rows.worst_case, 0.72, color=[STATES.get(state, GREY) for state in rows.direct])
    axes.plot(rows.delta, places, "|", color=PALETTE["ink"], markersize=14)
    ticks(axes, [f"{row.removal}: {row.direct}" for row in rows.itertuples()])
    axes.set_xlabel(f"largest move of the output by {known} alone, {subject.title} (outline: bound; mark: δ)")
    return len(rows)


def shares(axes: Axes, result: Audit, *, dataset: str | None = None) -> int:
    """Each feature's share in the original networks: a mark a scorer (mean over networks), a bar for their mean."""
    subject = subject_of(result, dataset)
    rows = subject.originals[subject.originals.scorer != CONTROL]
    mean = rows.groupby(["feature", "scorer"], sort=False).share.mean().unstack("scorer")
    order = mean.mean(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_FEATURES]
    mean = 100 * mean.loc[order]
    places = np.arange(len(mean))
    axes.barh(places, mean.mean(axis=1), 0.72, color=PALETTE["line"])
    axes.plot(mean.to_numpy(), np.repeat(places[:, None], mean.shape[1], 1), "|", color=PALETTE["accent"], markersize=9)
    ticks(axes, list(mean.index))
    axes.set_xlabel(f"share of influence in {subject.which} of {subject.title}, % (mark: a scorer; bar: their mean)")
    return len(mean)


def dependence(axes: Axes, result: Audit, *, feature: str | None = None, removal: str | None = None,
               dataset: str | None = None) -> int:
    """The prediction over the values of a removed `feature`, mean over rows and networks: before and after each method.

    With one `removal`: that one with the range over networks, and some rows of the first network, each by itself.
    Of several classes the one whose probability moves most before. Of features removed together the first is moved.
    """
    subject = subject_of(result, dataset)
    known = removed(subject, feature)
    curves = removed_curves(subject, known, 1)
    methods = [name for name in subject.removals if name in curves.mean]
    if removal is not None and removal not in methods:
        raise unknown_name(f"removal of {known} from {subject.name}", removal, methods)
    scale_axes(axes, curves)
    if removal is not None:
        draw_panels(axes, curves, [removal])
        axes.set_title(f"{label(known, 40)} removed by {removal} (dashed: before)")
    else:
        draw_methods(axes, curves, methods)
    axes.set_xlabel(f"{label(curves.feature, 40)}, in its own units")
    axes.set_ylabel(quantity(subject, curves))
    return 12


def subject_of(result: Audit, dataset: str | None) -> Subject:
    """The one data set, or the one that is named."""
    subjects = {subject.name: subject for subject in Run(result.path).subjects(result.datasets)}
    if dataset is None and len(subjects) > 1:
        raise InputError(f"the run has {len(subjects)} data sets: name one of {', '.join(subjects)}: option 'dataset'")
    if dataset is not None and dataset not in subjects:
        raise unknown_name("data set of the run", dataset, subjects)
    return next(iter(subjects.values())) if dataset is None else subjects[dataset]


def removed(subject: Subject, feature: str | None) -> str:
    """The removed feature that is named, or the first one. Raises InputError where it was not removed."""
    judged = subject.verdicts
    known = list(dict.fromkeys(judged.removed[judged.removal != ORIGINAL])) if len(judged) else []
    if not known:
        raise InputError(f"nothing was removed from {subject.name}: plot 'shares'")
    if feature is not None and feature not in known:
        raise unknown_name(f"feature that was removed from {subject.name}", feature, known)
    return feature or known[0]


AUDIT = View(headline, table, {"matrix": matrix, "worst_case": worst_case, "shares": shares,
                                      "dependence": dependence}, facts, wide=("matrix",))
