"""The answer in words: which removal took the influence out, who agrees, what it cost and where the influence went.

Two readings are kept apart. The *direct effect* says whether the output still moves with the feature; it needs no
attribution method. Each *scorer* says whether it still gives the feature a share. A scorer reads the feature as gone
if it leaves at most `GONE` of the former share, or no more than it gives the column of pure noise (the decoy).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attribution_suite.audit.tables import ORIGINAL
from attribution_suite.datasets.table import DECOY
from attribution_suite.report.reading import CONTROL, Subject
from attribution_suite.report.summary import percent, signed_percent

# At most this part of what it was counts as gone, for a share and for the direct effect; from STAYS on it stays in.
GONE, STAYS = 0.01, 0.5

KINDS = {
    "out": "taken out",
    "disputed": "out, not all agree",
    "reduced": "reduced",
    "stays": "still in",
}
# What a scorer can read of a removed feature, the least first.
STATES = ("not applicable", "gone", "blind", "noise", "left")
LABELS = {**KINDS, "cost": "cost", "went": "went to", "known": "still known"}


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict: `kind` (a key of LABELS), the methods it is about, the words."""

    kind: str
    methods: tuple[str, ...]
    text: str


def votes(subject: Subject) -> pd.DataFrame:
    """One row a removal, removed feature and scorer: share_before, share_after (means over seeds), `state`.

    `state`: 'gone' (at most GONE of the former share), 'blind' (not gone, but before the removal too the scorer gave it
    no more than the decoy), 'noise' (now no more than the decoy), 'left', or 'not applicable'. The decoy's share is
    that in the original networks. The `random` control has no vote.
    """
    shifts = subject.tables["shifts"]
    shifts = shifts[shifts.scorer != CONTROL]
    keys = ["removal", "removed", "scorer"]
    groups = shifts.groupby(keys, sort=False)
    table = groups[["share_before", "share_after"]].mean().reset_index()
    originals = subject.originals
    floor = table.scorer.map(originals[originals.feature == DECOY].groupby("scorer").share.mean())
    table["state"] = np.select(
        [~groups.applicable.any().to_numpy(), table.share_after <= GONE * table.share_before,
         table.share_before <= floor, table.share_after <= floor],
        ["not applicable", "gone", "blind", "noise"], "left")
    return table


def effects(subject: Subject) -> pd.Series:
    """Direct effect after / before per (removal, removed), means over seeds; 0 where there was none and is none."""
    outcomes = subject.tables["outcomes"]
    edited = outcomes[outcomes.removal != ORIGINAL]
    means = edited.groupby(["removal", "removed"], sort=False)[["direct_effect_before", "direct_effect"]].mean()
    before, after = means.direct_effect_before, means.direct_effect
    return (after / before.where(before > 0, np.nan)).where(before > 0, np.where(after > 0, np.inf, 0.0))


def kind_of(left: float, states: Sequence[str]) -> str:
    """The kind of one removal, from the largest part of the direct effect left and the scorers' states."""
    if left <= GONE:
        return "disputed" if "left" in states else "out"
    return "reduced" if left < STAYS else "stays"


def kinds(subject: Subject) -> dict[str, str]:
    """removal → kind, each read at its worst feature."""
    table, left = votes(subject), effects(subject)
    return {name: kind_of(left[name].max(), list(table[table.removal == name].state)) for name in subject.removals}


def headline(subject: Subject) -> str:
    """One sentence: how many methods took the removed features out of the network."""
    if not subject.removals:
        return "Nothing was removed here: below is what the networks use." if len(subject.originals) else "No results."
    found = list(kinds(subject).values())
    out = sum(kind in ("out", "disputed") for kind in found)
    count = "No method takes" if not out else f"{out} of {len(found)} methods take" + ("s" if len(found) == 1 else "")
    return f"{count} {listed(subject.removed, 'and')} out of the network."


def findings(subject: Subject, summary: pd.DataFrame) -> list[Finding]:
    """The verdict, the methods that succeed first; `summary` holds this subject's rows of `summary_table`."""
    if not subject.removals:
        return []
    table, left, kind = votes(subject), effects(subject), kinds(subject)
    out = tuple(name for name in subject.removals if kind[name] == "out")
    result = []
    if out:
        text = _out_text(table[table.removal.isin(out)], left[list(out)], subject.removed)
        result.append(Finding("out", out, text))
    for wanted in list(KINDS)[1:]:
        for name in (name for name in subject.removals if kind[name] == wanted):
            text = _partial_text(wanted, table[table.removal == name], left[name], subject.removed)
            result.append(Finding(wanted, (name,), text))
    worked = [name for name in subject.removals if kind[name] in ("out", "disputed")]
    if worked:
        result += [_cost(summary.set_index("removal").loc[worked]), *_destination(subject, worked)]
    return [*result, *_known(subject)]


def _known(subject: Subject) -> list[Finding]:
    """What a probe still reads of the removed units from what the next layer is given; nothing at the input."""
    outcomes = subject.tables["outcomes"]
    means = outcomes.groupby("removal", sort=False)[["recoverability_before", "recoverability"]].mean().dropna()
    if means.empty:
        return []
    order = means.recoverability.sort_values()
    text = (f"a probe reads R² {means.recoverability_before.mean():.2f} of a removed unit from what the next layer is "
            f"given before, {order.iloc[0]:.2f} ({order.index[0]}) to {order.iloc[-1]:.2f} ({order.index[-1]}) after.")
    return [Finding("known", (), text)]


def _out_text(table: pd.DataFrame, left: pd.Series, removed: Sequence[str]) -> str:
    states = _worst(table)
    agree = f"all {len(states)} scorers that apply agree" if len(states) > 1 else "the one scorer that applies agrees"
    return f"{_still_output(left.max(), removed)}; {agree}{_noise(states)}."


def _partial_text(kind: str, table: pd.DataFrame, left: pd.Series, removed: Sequence[str]) -> str:
    states = _worst(table)
    count, still = len(states), list(states.index[states == "left"])
    s = "s" if len(still) == 1 else ""
    if kind == "disputed":
        return (f"{_still_output(left.max(), removed)}, but {len(still)} of {count} scorers still give{s} it more than "
                f"noise: {listed(still, 'and')}.")
    see = f"{len(still)} of {count} scorers still see{s} it" if still else f"none of {count} scorers sees it"
    note = "" if still else _noise(states)
    return f"leaves up to {percent(left.max())} of the direct effect ({left.idxmax()}); {see}{note}."


def _still_output(left: float, removed: Sequence[str]) -> str:
    if left < 1e-6:
        return f"the output no longer moves with {listed(removed, 'or')}"
    return f"at most {percent(left)} of the direct effect of {listed(removed, 'or')} is left"


def _worst(table: pd.DataFrame) -> pd.Series:
    """scorer → its state at the feature (and removal) where it sees most; scorers that never apply are left out."""
    ranks = table.state.map({state: rank for rank, state in enumerate(STATES)})
    worst = ranks.groupby(table.scorer, sort=False).max()
    return worst[worst > 0].map(dict(enumerate(STATES)))


def _noise(states: pd.Series) -> str:
    """What to know of scorers that neither see the feature nor read nothing."""
    parts = [f"{listed(list(states.index[states == state]), 'and', 3)} {words}" for state, words in (
        ("noise", "at the level of the noise column"),
        ("blind", "could not tell it from the noise column before either"),
    ) if (states == state).any()]
    return f" ({'; '.join(parts)})" if parts else ""


def _cost(summary: pd.DataFrame) -> Finding:
    order = summary.loss_change.sort_values()
    cheap, dear = summary.loc[order.index[0]], summary.loc[order.index[-1]]
    text = f"costs least of those that work: test loss {signed_percent(cheap.loss_change)}"
    if not np.isnan(cheap.loss_change_low):
        text += f" ({signed_percent(cheap.loss_change_low)} to {signed_percent(cheap.loss_change_high)})"
    if len(order) > 1:
        text += f"; {order.index[-1]} costs most, {signed_percent(dear.loss_change)}"
    return Finding("cost", (str(order.index[0]),), text + ".")


def _destination(subject: Subject, worked: Sequence[str]) -> list[Finding]:
    shifts = subject.tables["shifts"]
    used = shifts[shifts.removal.isin(worked) & shifts.applicable & (shifts.scorer != CONTROL)]
    used = used[(used.largest_gainer != DECOY) & (used.largest_gain > 0)]
    parts = []
    for feature in subject.shown:
        gainers = used[used.removed == feature].largest_gainer.value_counts(normalize=True)
        if len(gainers):
            parts.append(f"{feature} → {gainers.index[0]} ({percent(gainers.iloc[0])})")
    return [Finding("went", (), f"{', '.join(parts)}: largest gainer, in so many of the readings.")] if parts else []


def listed(names: Sequence[str], word: str, most: int = 4) -> str:
    """'a, b and c'; beyond `most` names 'a, b, c and 4 more'."""
    names = list(names)
    if len(names) > most:
        return f"{', '.join(names[:most - 1])} and {len(names) - most + 1} more"
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)
