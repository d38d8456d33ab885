"""The verdicts in sentences: what each method left of a feature, which scorers are right, what it cost."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attribution_suite.conclusions.direct import BOUNDED, BY_DESIGN, PRESENT, PROVED, UNDECIDED, Tables, learned
from attribution_suite.conclusions.judgements import FAITHFUL, asked_by_phantoms
from attribution_suite.conclusions.numbers import (
    BASELESS,
    UNMEASURED,
    cost,
    in_loss,
    listed,
    percent,
    rounded,
    score,
    signed_percent,
)
from attribution_suite.conclusions.summary import unit_ranks
from attribution_suite.datasets.table import DECOY
from attribution_suite.measures.nulls import LEVEL
from attribution_suite.registry import bare
from attribution_suite.scorers import CONTROL
from attribution_suite.tables.audit import ORIGINAL
from attribution_suite.tables.verdicts import rank_name

# A verdict on the direct influence as the page's style and order name it.
KINDS = {PROVED: "proved", BOUNDED: "bounded", UNDECIDED: "undecided", PRESENT: "present", BY_DESIGN: "design",
         UNMEASURED: "unmeasured"}
LABELS = {**{kind: state for state, kind in KINDS.items()}, "before": "before", "alarms": "scorers", "blind": "scorers",
          "poor": "scorers", "cost": "cost", "went": "went to", "known": "still known"}
OUT = (PROVED, BOUNDED)
# What a method does, for a reader who knows no code; one of another package is called by its name.
PLAIN = {
    "retrain": "retraining without it", "stochastic_tuning": "fine-tuning on random values of it",
    "inversion_tuning": "fine-tuning on mirrored values of it",
    "shuffle_tuning": "fine-tuning on shuffled values of it",
    "conditional_tuning": "fine-tuning on likely values of it given the others",
    "fold_tuning": "all other inputs standing in, then fine-tuning", "fold": "all other inputs standing in",
    "subset_fold": "a few other inputs standing in", "subset_fold_dp": "a few correlated inputs standing in",
    "independence_tuning": "fine-tuning until the output is independent of it",
    "lazy": "one step of ridge regression", "newton": "one Newton step", "constant": "holding it at a constant",
    "residualise": "regressing it out of the other inputs", "leace": "erasing it linearly from all inputs",
    "concept_scrubbing": "erasing it linearly from every layer",
    "splince": "erasing it linearly, all that tells the target kept"}


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict: `kind` (a key of LABELS), the methods it is about, the words."""

    kind: str
    methods: tuple[str, ...]
    text: str


def headline(removed: str, states: Sequence[str]) -> str:
    """One sentence on one removed feature: how many methods took it out, and how sure that is.

    `states`: the direct influence that each method leaves.
    """
    feature, count, tally = called(removed), len(states), Counter(states)
    parts = [f"{tally[state]} {words}" for state, words in (
        (PROVED, "proved"), (BOUNDED, "bounded"), (UNDECIDED, "undecided"), (UNMEASURED, UNMEASURED)) if state in tally]
    if tally.get(UNMEASURED, 0) == count:
        return f"Nothing was measured: whether any method takes {feature} out of the network is not known."
    out = sum(tally.get(state, 0) for state in OUT)
    start = f"{out} of {count} methods take" + ("s" if count == 1 else "") if out else "No method takes"
    return f"{start} the direct influence of {feature} out of the network" + (
        f" ({', '.join(parts)})." if parts else ".")


def plain(removal: str) -> str:
    """What a method does in plain words; its name where it has none."""
    return PLAIN.get(bare(removal), removal)


def best(methods: Sequence[Any]) -> str:
    """The method to look at first of one removed feature: of those that work the one of the least net cost.

    Where none works, the one that leaves the smallest worst case. '' where that is not measured either. `methods`: the
    feature's rows of the summary and the table of verdicts together.
    """
    works = [row for row in methods if row.direct in OUT]
    order = [(row.cost_net if works else row.worst_case, str(row.removal)) for row in works or methods]
    known = [(value, name) for value, name in order if not np.isnan(value)]
    return min(known, key=lambda pair: pair[0])[1] if known else str(works[0].removal) if works else ""


def called(removed: str) -> str:
    """The removed feature in a sentence: 'RM', 'the strongest unit'."""
    return f"the {removed}" if removed == rank_name(1) or removed.startswith("unit of rank ") else removed


def findings(tables: Tables, verdicts: pd.DataFrame, summary: pd.DataFrame) -> list[Finding]:
    """What may be concluded of one removed feature: of the originals, of each method, of the scorers, of the cost.

    `verdicts` and `summary` hold this feature's rows of the tables of those names.
    """
    removed = str(verdicts.removed.iloc[0])
    before = verdicts[verdicts.removal == ORIGINAL]
    rows: dict[str, Any] = {str(row.removal): row for row in verdicts[verdicts.removal != ORIGINAL].itertuples()}
    result = [Finding("before", (), before_text(row, called(removed))) for row in before.itertuples()]
    for state, kind in KINDS.items():
        sentences = {name: direct_text(row, called(removed)) for name, row in rows.items() if row.direct == state}
        result += [Finding(kind, tuple(name for name, other in sentences.items() if other == text), text)
                   for text in dict.fromkeys(sentences.values())]
    edited = verdicts[verdicts.removal != ORIGINAL]
    result += [*scorer_findings(edited), *_held_together(tables["nulls"], edited)]
    worked = [name for name, row in rows.items() if row.direct in OUT]
    if worked:
        result += [_cost(summary.set_index("removal").loc[worked]), *_destination(tables, removed, worked)]
    return [*result, *_information(verdicts), *_known(tables, removed)]


def before_text(row: Any, feature: str) -> str:
    """The sentence on the row of the originals in the table of verdicts."""
    if row.direct == PRESENT:
        return f"in the original networks {witness(row, feature)}."
    if row.direct in OUT:
        return (f"in the original networks too {direct_text(row, feature).removesuffix('.')}: there was no direct "
                "influence to remove.")
    return f"in the original networks {direct_text(row, feature)}"


def direct_text(row: Any, feature: str) -> str:
    """The sentence on one row of the table of verdicts."""
    networks = (row.networks_proved + row.networks_bounded + row.networks_undecided + row.networks_present
                + row.networks_not_measured)
    if row.direct == PROVED:
        return f"no weight leads from {feature} into the network: its output cannot depend on it, whatever its value."
    if row.direct == BOUNDED:
        others = (f"of other such rows at most {percent(row.moved_at_most)} may" if row.rows_unseen else
                  "stopping has seen these rows, so that nothing follows for others")
        return (f"no row of {row.rows} can be moved by more than δ = {rounded(row.delta)} by {feature} alone (at most "
                f"{rounded(row.worst_case_bound)}); {others}.")
    if row.direct == UNDECIDED:
        limit = ("a search bounds nothing" if not np.isfinite(row.worst_case_bound) else
                 f"{rounded(row.worst_case_bound)} is not excluded")
        return (f"no row of {row.rows} was found that {feature} alone moves by more than δ = {rounded(row.delta)} "
                f"(most {rounded(row.worst_case)}), but {limit} in {row.networks_undecided} of "
                f"{networks_words(networks)}.")
    if row.direct == BY_DESIGN:
        return f"the method reads {feature} at inference: it is judged on the information that is left alone."
    if row.direct == PRESENT:
        return (f"{witness(row, feature)}; more than δ = {rounded(row.delta)} in {row.networks_present} of "
                f"{networks_words(networks)}.")
    return (f"the direct influence of {feature} is {UNMEASURED} in {row.networks_not_measured} of "
            f"{networks_words(networks)}: nothing is concluded of it.")


def witness(row: Any, feature: str) -> str:
    """The row that moves most, in words."""
    most = rounded(abs(row.witness_after - row.witness_before))
    split = f"split {row.witness_split}, " if row.splits > 1 else ""
    return (f"{feature} alone moves the output of a row by up to {most} (network {row.witness_seed}, {split}test row "
            f"{row.witness_row}: {row.witness_from} → {row.witness_to} takes it from "
            f"{rounded(row.witness_before)} to {rounded(row.witness_after)})")


def scorer_findings(verdicts: pd.DataFrame) -> list[Finding]:
    """Which scorers are wrong of which methods: what alarms for nothing, and what could not have told."""
    result = []
    for kind, column, words in (
            ("alarms", "false_alarm", "false alarm: sees the feature above its null where no direct influence is left"),
            ("blind", "blind", "blind: could not tell the feature from its null before the removal either"),
            ("poor", "too_poor", f"too poor to speak: its surrogates follow the networks with an R² below {FAITHFUL}; "
             "its shares are shown, and count neither for nor against anything")):
        by_scorer: dict[str, list[str]] = {}
        for row in verdicts.itertuples():
            for scorer in filter(None, str(getattr(row, column)).split(", ")):
                by_scorer.setdefault(scorer, []).append(str(row.removal))
        for methods in dict.fromkeys(map(tuple, by_scorer.values())):
            wrong = tuple(scorer for scorer, where in by_scorer.items() if tuple(where) == methods)
            where = "every method" if len(methods) == len(verdicts) else listed(methods, "and", 9)
            result.append(Finding(kind, wrong, f"{words} ({where})."))
    return result


def poor_words(poor: Sequence[str]) -> str:
    """A sentence, after a space, on surrogates among scorers that are compared; '' where all may speak."""
    names = listed(poor, "and", 9)
    return f" Too poor to speak for the networks (R² to them below {FAITHFUL}): {names}." if poor else ""


def _held_together(nulls: pd.DataFrame, verdicts: pd.DataFrame) -> list[Finding]:
    """Of how many questions the alarms come: they are adjusted for all of them."""
    alarms = {(removal, scorer) for removal, scorers in zip(verdicts.removal, verdicts.false_alarm, strict=True)
              for scorer in scorers.split(", ")}
    asked = set(asked_by_phantoms(nulls, verdicts).itertuples(index=False, name=None))
    if not alarms & asked:
        return []
    return [Finding("alarms", (), (
        f"{len(alarms & asked)} of the {len(asked)} times that a scorer was held against phantoms where no direct "
        f"influence is left it alarmed. Adjusted for all of them (Holm): that chance raises even one is at most "
        f"{percent(LEVEL)}."))]


def _cost(summary: pd.DataFrame) -> Finding:
    """The cheapest and the dearest of the methods that work, net of what training on gains for nothing."""
    order = summary.cost_net.dropna().sort_values()
    if order.empty:
        return Finding("cost", (), "of the methods that work the net cost was not measured.")
    cheap, dear = summary.loc[order.index[0]], summary.loc[order.index[-1]]
    text = f"costs least of those that work: net cost {cost(cheap.cost_net)} of the test loss"
    if interval := cost_interval(cheap):
        text += f" ({interval})"
    text += ", which is no difference" if cheap.cost_equivalent else ""
    if len(order) > 1:
        text += f"; {order.index[-1]} costs most, {cost(dear.cost_net)}"
    unknown = [str(name) for name in summary.index if name not in order.index]
    text += f"; {listed(unknown, 'and')}: not measured" if unknown else ""
    return Finding("cost", (str(order.index[0]),), text + ".")


def cost_interval(row: Any) -> str:
    """What stands behind the net cost of a row of the summary: its interval, '−1 % to +4 %', '' where there is none.

    Beyond `BASELESS` the change in the loss's own units, '+0.52 in loss'.
    """
    if abs(row.cost_net) > BASELESS:
        return in_loss(row.cost_net_loss)
    if not row.cost_net_low < row.cost_net_high:
        return ""
    return f"{signed_percent(row.cost_net_low)} to {signed_percent(row.cost_net_high)}"


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


def _information(verdicts: pd.DataFrame) -> list[Finding]:
    """What probes still read of the removed feature where its direct influence is gone; its proxies."""
    before = verdicts[verdicts.removal == ORIGINAL].iloc[0]
    gone = verdicts[(verdicts.removal != ORIGINAL) & verdicts.direct.isin(OUT) & (verdicts.information_output != "")]
    if gone.empty:
        return []
    states = [f"{listed(list(gone.removal[gone.information_output == state]), 'and', 9)}: {state}"
              for state in dict.fromkeys(gone.information_output)]
    text = f"of {called(str(before.removed))}, from the output where its direct influence is gone ({'; '.join(states)})"
    read = gone.recovered_output.dropna()
    if len(read):
        metric = {"r2": "R²", "auc": "AUC"}[str(gone.recovered_metric.iloc[0])]
        reads = score(read.min()) + (f" to {score(read.max())}" if score(read.max()) != score(read.min()) else "")
        text += (f": a ridge probe reads {metric} {reads}, {score(before.recovered_output)} before; the other inputs "
                 f"tell {score(before.ceiling)}")
    proxies = f" Its proxies: {before.proxies}." if before.proxies else ""
    return [Finding("known", (), f"{text}.{proxies}")]


def _known(tables: Tables, removed: str) -> list[Finding]:
    """What a probe still reads of the removed unit from what the next layer is given; nothing at the input."""
    outcomes = tables["outcomes"]
    if outcomes.recoverability.isna().all():  # of inputs
        return []
    outcomes = unit_ranks(outcomes)
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


def unlearned_sentence(name: str, tables: Tables) -> str:
    """What to know first of a data set whose originals have not all learned; '' where they have."""
    has_learned = learned(tables["outcomes"])
    if has_learned.empty or has_learned.all():
        return ""
    count = f"{int((~has_learned).sum())} of {networks_words(len(has_learned))}"
    return (f"{name}: {count} did not learn: on test rows no better than the best constant. Nothing is concluded from "
            "what has not learned, but where it is proved by its weights alone.")


def few(names: Sequence[str]) -> str:
    """The names, of many the first three and how many more there are."""
    return listed(names, "and") if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def networks_words(count: int) -> str:
    """'one network', '5 networks'."""
    return "one network" if count == 1 else f"{count} networks"


def splits_words(count: int) -> str:
    """'one split', '3 splits'."""
    return "one split" if count == 1 else f"{count} splits"


def averaged(networks: int, splits: int) -> str:
    """How a number came about: 'Mean over 5 networks (one a seed)', 'One network', 'Mean over 3 splits …'.

    `networks`: of all splits together.
    """
    if splits > 1:
        return f"Mean over {splits_words(splits)} of the rows ({networks_words(networks // splits)} on each)"
    return "One network" if networks == 1 else f"Mean over {networks_words(networks)} (one a seed)"


def interval_words(networks: int, splits: int, words: str) -> str:
    """`words` on an interval, and how it is made; '' of one network, which has none."""
    if networks == 1:
        return ""
    return f"{words} over {'networks (Student)' if splits == 1 else 'splits (Nadeau and Bengio)'}"


