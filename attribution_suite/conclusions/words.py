"""The verdicts in sentences: which removals took a feature out, who agrees, what it cost, where the influence went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.numbers import UNMEASURED, listed, percent, signed_percent
from attribution_suite.conclusions.summary import rank_name, unit_ranks
from attribution_suite.conclusions.verdicts import STATES, Tables
from attribution_suite.datasets.table import DECOY
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL

KINDS = {
    "out": "taken out",
    "disputed": "out, not all agree",
    "reduced": "reduced",
    "stays": "still in",
    "unmeasured": UNMEASURED,
}
LABELS = {**KINDS, "cost": "cost", "went": "went to", "known": "still known"}


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict: `kind` (a key of LABELS), the methods it is about, the words."""

    kind: str
    methods: tuple[str, ...]
    text: str


def headline(verdicts: pd.DataFrame) -> str:
    """One sentence on one removed feature: how many methods took it out. `verdicts`: its rows of `verdicts`."""
    feature, count = called(str(verdicts.removed.iloc[0])), len(verdicts)
    out = int(verdicts.kind.isin(["out", "disputed"]).sum())
    unknown = int((verdicts.kind == "unmeasured").sum())
    if unknown == count:
        return f"Nothing was measured: whether any method takes {feature} out of the network is not known."
    start = "No method takes" if not out else f"{out} of {count} methods take" + ("s" if count == 1 else "")
    rest = f"; {unknown} of {count} {'was' if unknown == 1 else 'were'} not measured" if unknown else ""
    return f"{start} {feature} out of the network{rest}."


def called(removed: str) -> str:
    """The removed feature in a sentence: 'RM', 'the strongest unit'."""
    return f"the {removed}" if removed == rank_name(1) or removed.startswith("unit of rank ") else removed


def findings(tables: Tables, verdicts: pd.DataFrame, votes: pd.DataFrame, summary: pd.DataFrame) -> list[Finding]:
    """The verdict on one removed feature, the methods that succeed first.

    `verdicts`, `votes` and `summary` hold this feature's rows of the tables of those names.
    """
    removed = str(verdicts.removed.iloc[0])
    feature = called(removed)
    rows: dict[str, Any] = {str(row.removal): row for row in verdicts.itertuples()}
    out = [name for name, row in rows.items() if row.kind == "out"]
    result = [Finding("out", tuple(out), _out_text([rows[name] for name in out], votes, feature))] if out else []
    for kind in list(KINDS)[1:]:
        sentences = {name: _partial_text(row, _worst(votes[votes.removal == name]), feature)
                     for name, row in rows.items() if row.kind == kind}
        result += _together(kind, sentences)
    worked = [name for name, row in rows.items() if row.kind in ("out", "disputed")]
    if worked:
        result += [_cost(summary.set_index("removal").loc[worked]), *_destination(tables, removed, worked)]
    return [*result, *_known(tables, removed)]


def _together(kind: str, sentences: Mapping[str, str]) -> list[Finding]:
    """Methods that share a sentence share a finding, but where its verb speaks of one method ('leaves')."""
    if kind in ("reduced", "stays"):
        return [Finding(kind, (method,), text) for method, text in sentences.items()]
    return [Finding(kind, tuple(method for method, sentence in sentences.items() if sentence == text), text)
            for text in dict.fromkeys(sentences.values())]


def _out_text(rows: Sequence[Any], votes: pd.DataFrame, removed: str) -> str:
    states = _worst(votes[votes.removal.isin([row.removal for row in rows])])
    known = states[states != UNMEASURED]
    which = "measured" if len(known) < len(states) else "that apply" if len(known) > 1 else "that applies"
    agree = f"all {len(known)} scorers {which} agree" if len(known) > 1 else f"the one scorer {which} agrees"
    if known.empty:
        agree = "no scorer was measured" if len(states) else "no scorer applies"
    return f"{_still_output(max(row.effect_left for row in rows), removed)}; {agree}{_notes(states)}."


def _partial_text(row: Any, states: pd.Series, removed: str) -> str:
    kind, left, measured, networks = (getattr(row, name) for name in ("kind", "effect_left", "measured", "networks"))
    still, count = list(states.index[states == "left"]), int((states != UNMEASURED).sum())
    s = "s" if len(still) == 1 else ""
    if kind == "unmeasured":
        seen = f"; {listed(still, 'and')} still see{s} {removed}" if still else ""
        if not measured:
            return f"the direct effect of {removed} was not measured: nothing can be said of it{seen}."
        return (f"the direct effect of {removed} was measured in {measured} of {networks} networks alone: too little "
                f"to call it gone{seen}.")
    if kind == "disputed":
        return (f"{_still_output(left, removed)}, but {len(still)} of {count} scorers still give{s} it more than "
                f"noise: {listed(still, 'and')}{_notes(states[states == UNMEASURED])}.")
    where = f" in the {measured} of {networks} networks measured" if measured < networks else ""
    amount = f"{percent(left)} of the direct effect" if np.isfinite(left) else "a direct effect where there was none"
    see = f"{len(still)} of {count} scorers still see{s} it" if still else f"none of {count} scorers sees it"
    see = see if count else "no scorer was measured" if len(states) else "no scorer applies"
    note = _notes(states[states == UNMEASURED]) if still else _notes(states) if count else ""
    return f"leaves {amount}{where}; {see}{note}."


def _still_output(left: float, removed: str) -> str:
    if left < 1e-6:
        return f"the output no longer moves with {removed}"
    return f"at most {percent(left)} of the direct effect of {removed} is left"


def _worst(votes: pd.DataFrame) -> pd.Series:
    """scorer → its state at the removal where it sees most; scorers that never apply are left out."""
    ranks = votes.state.map({state: rank for rank, state in enumerate(STATES)})
    worst = ranks.groupby(votes.scorer, sort=False).max()
    return worst[worst > 0].map(dict(enumerate(STATES)))


def _notes(states: pd.Series) -> str:
    """What to know of scorers that neither see the feature nor read nothing."""
    parts = [f"{listed(list(states.index[states == state]), 'and', 3)} {words}" for state, words in (
        ("noise", "at the level of the noise column"),
        ("blind", "could not tell it from the noise column before either"),
        (UNMEASURED, UNMEASURED),
    ) if (states == state).any()]
    return f" ({'; '.join(parts)})" if parts else ""


def _cost(summary: pd.DataFrame) -> Finding:
    order = summary.loss_change.dropna().sort_values()
    if order.empty:
        return Finding("cost", (), "of the methods that work the test loss was not measured.")
    cheap, dear = summary.loc[order.index[0]], summary.loc[order.index[-1]]
    text = f"costs least of those that work: test loss {signed_percent(cheap.loss_change)}"
    if not np.isnan(cheap.loss_change_low):
        text += f" ({signed_percent(cheap.loss_change_low)} to {signed_percent(cheap.loss_change_high)})"
    if len(order) > 1:
        text += f"; {order.index[-1]} costs most, {signed_percent(dear.loss_change)}"
    unknown = [str(name) for name in summary.index if name not in order.index]
    text += f"; {listed(unknown, 'and')}: not measured" if unknown else ""
    return Finding("cost", (str(order.index[0]),), text + ".")


def _destination(tables: Tables, removed: str, worked: Sequence[str]) -> list[Finding]:
    """Where the influence went; not for hidden units, which have no names that all networks share."""
    shifts = tables["shifts"]
    used = shifts[(shifts.layer == 0) & (shifts.removed == removed) & shifts.removal.isin(worked) & shifts.applicable
                  & (shifts.scorer != CONTROL) & (shifts.largest_gainer != DECOY) & (shifts.largest_gain > 0)]
    gainers = used.largest_gainer.value_counts(normalize=True)
    if gainers.empty:
        return []
    return [Finding("went", (), f"{gainers.index[0]}: the largest gainer in {percent(gainers.iloc[0])} of the "
                                "readings.")]


def _known(tables: Tables, removed: str) -> list[Finding]:
    """What a probe still reads of the removed unit from what the next layer is given; nothing at the input."""
    outcomes = unit_ranks(tables["outcomes"])
    rows = outcomes[outcomes.removed == removed]
    means = rows.groupby("removal", sort=False)[["recoverability_before", "recoverability"]].mean().dropna()
    if means.empty:
        return []
    order = means.recoverability.sort_values()
    text = (f"a probe reads R² {means.recoverability_before.mean():.2f} of the removed unit from what the next layer "
            f"is given before, {order.iloc[0]:.2f} ({order.index[0]}) to {order.iloc[-1]:.2f} ({order.index[-1]}) "
            "after.")
    return [Finding("known", (), text)]


def failure_sentences(failures: pd.DataFrame) -> list[str]:
    """One sentence a scorer and error, with all it is missing from; whole chunks are not among them."""
    scorers = failures[failures.scorer != ""]
    sentences = []
    for (dataset, scorer, error), rows in scorers.groupby(["dataset", "scorer", "error"], sort=False):
        places = ["the original networks" if removal == ORIGINAL else f"{removal} of {few(list(lost.removed.unique()))}"
                  for removal, lost in rows.groupby("removal", sort=False)]
        sentences.append(f"{dataset}: {scorer} failed on {listed(places, 'and')}: {error}. It is not measured there.")
    return sentences


def few(names: Sequence[str]) -> str:
    """The names, of many the first three and how many more there are."""
    return listed(names, "and") if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def networks_words(count: int) -> str:
    """'one network', '5 networks'."""
    return "one network" if count == 1 else f"{count} networks"


def averaged(count: int) -> str:
    """How a number over networks came about: 'Mean over 5 networks (one a seed)', or 'One network'."""
    return "One network" if count == 1 else f"Mean over {count} networks (one a seed)"


def interval_words(count: int, words: str) -> str:
    """`words` on an interval over networks, which one network does not have."""
    return "" if count == 1 else words


