"""The sentences on a removed feature: each state's own words, with numbers computed from the tables by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conclusion_cases import PROVED, enclosed, exact, frames, searched
from report_fixture import (
    REMOVALS,
    Frames,
    changed,
    failures,
    hand_mean,
    removed,
    settled,
    tables,
    units_run,
)
from report_fixture import subject as read_subject

from attribution_suite.conclusions import words
from attribution_suite.conclusions.direct import direct
from attribution_suite.conclusions.numbers import percent, rounded, signed_percent
from attribution_suite.conclusions.summary import summary_table
from attribution_suite.conclusions.verdicts import verdicts
from attribution_suite.reporting.reading import Subject

OUT = ("retrain", "fold_tuning", "constant")


@pytest.fixture(scope="module")
def boston() -> Subject:
    """With every state of the direct influence and of the scorers."""
    one = read_subject("boston")
    return replace(one, tables=settled(one.tables))


def told(found: Frames, feature: str) -> tuple[str, dict[tuple[str, ...], str]]:
    """The headline on one removed feature, and its sentences by their kind and methods."""
    table, summary = verdicts(found), summary_table(found)
    own = table[table.removed == feature]
    sentences = words.findings(found, own, summary[summary.removed == feature])
    headline = words.headline(feature, list(own.direct[own.removal != "original"]))
    return headline, {(finding.kind, *finding.methods): finding.text for finding in sentences}


def outcomes_of(one: Subject, feature: str, removal: str) -> pd.DataFrame:
    outcomes = one.tables["outcomes"]
    return outcomes[(outcomes.removed == feature) & (outcomes.removal == removal)].sort_values("seed")


def moved(one: Subject, rows: dict[str, object], table: str = "outcomes", **values: object) -> Frames:
    return {**one.tables, table: changed(one.tables[table], rows, **values)}


def hand_witness(rows: pd.DataFrame, feature: str) -> str:
    most = max(rows.itertuples(), key=lambda row: row.worst_case)
    move = rounded(abs(most.witness_before - most.witness_after))
    return (f"{feature} alone moves the output of a row by up to {move} (network {most.seed}, test row "
            f"{most.witness_row:.0f}: {most.witness_from} → {most.witness_to} takes it from "
            f"{rounded(most.witness_before)} to {rounded(most.witness_after)})")


def test_the_words_of_every_state(boston: Subject) -> None:
    for feature in removed():
        headline, sentences = told(boston.tables, feature)
        assert headline == (f"3 of 5 methods take the direct influence of {feature} out of the network (2 proved, "
                            "1 bounded, 1 undecided).")
        assert sentences["before",] == (
            f"in the original networks {hand_witness(outcomes_of(boston, feature, 'original'), feature)}.")
        assert sentences["proved", "retrain", "constant"] == (
            f"no weight leads from {feature} into the network: its output cannot depend on it, whatever its value.")
        last = outcomes_of(boston, feature, "fold_tuning").iloc[2]  # its move and its bound are the largest
        assert sentences["bounded", "fold_tuning"] == (
            f"no row of 30 can be moved by more than δ = {rounded(last.delta)} by {feature} alone (at most "
            f"{rounded(last.worst_case_bound)}); of other such rows at most 9.5 % may.")  # 1 − 0.05^(1/30)
        last = outcomes_of(boston, feature, "inversion_tuning").iloc[2]
        assert sentences["undecided", "inversion_tuning"] == (
            f"no row of 30 was found that {feature} alone moves by more than δ = {rounded(last.delta)} (most "
            f"{rounded(last.worst_case)}), but a search bounds nothing in 3 of 3 networks.")
        rows = outcomes_of(boston, feature, "stochastic_tuning")
        most = rows.loc[rows.worst_case.idxmax()]
        assert sentences["present", "stochastic_tuning"] == (
            f"{hand_witness(rows, feature)}; more than δ = {rounded(most.delta)} in 3 of 3 networks.")
        kinds = [kind for kind in dict.fromkeys(kind for kind, *_ in sentences) if kind not in ("alarms", "blind")]
        assert kinds == ["before", "proved", "bounded", "undecided", "present", "cost", "went", "known"]


def test_a_bound_that_excludes_too_little_is_said() -> None:
    found = frames({("constant", "x"): [PROVED, enclosed(0.3, 0.9), enclosed(0.2, 1.5)]})
    row = next(direct(found).query("removal == 'constant'").itertuples())
    assert words.direct_text(row, "x") == ("no row of 100 was found that x alone moves by more than δ = 0.4 (most "
                                           "0.08), but 0.6 is not excluded in 1 of 3 networks.")


def test_the_originals_may_have_had_nothing_to_remove() -> None:
    """Or nobody knows: neither reads as an influence that was taken out."""
    for networks, text in (
            ([exact(0.2), exact(0.2), exact(0.4)], "in the original networks too no row of 100 can be moved by more "
             "than δ = 0.4 by x alone (at most 0.16); of other such rows at most 3.0 % may: there was no direct "
             "influence to remove."),
            ([PROVED] * 3, "in the original networks too no weight leads from x into the network: its output cannot "
             "depend on it, whatever its value: there was no direct influence to remove."),
            ([searched(0.2), PROVED, PROVED], "in the original networks no row of 100 was found that x alone moves by "
             "more than δ = 0.1 (most 0.02), but a search bounds nothing in 1 of 3 networks."),
            ([exact(np.nan), PROVED, PROVED], "in the original networks the direct influence of x is not measured in "
             "1 of 3 networks: nothing is concluded of it.")):
        row = next(direct(frames({("constant", "x"): [PROVED] * 3}, originals={"x": networks})).itertuples())
        assert words.before_text(row, "x") == text


def test_what_was_not_measured_is_said_and_not_counted_as_out(boston: Subject) -> None:
    feature, second, _ = removed()
    one = {"removed": feature, "removal": "fold_tuning", "seed": 1}
    headline, sentences = told(moved(boston, one, worst_case=np.nan), feature)
    assert headline == (f"2 of 5 methods take the direct influence of {feature} out of the network (2 proved, "
                        "1 undecided, 1 not measured).")
    assert sentences["unmeasured", "fold_tuning"] == (
        f"the direct influence of {feature} is not measured in 1 of 3 networks: nothing is concluded of it.")
    assert told(moved(boston, one, worst_case=np.nan), second)[0] == told(boston.tables, second)[0]
    every = {"removed": feature, "removal": REMOVALS}
    found = moved(boston, every, worst_case=np.nan, worst_case_bound=np.nan)
    headline, sentences = told(found, feature)
    assert headline == (f"Nothing was measured: whether any method takes {feature} out of the network is not known.")
    assert [kind for kind, *_ in sentences if kind != "blind"] == ["before", "unmeasured"]
    assert "is not measured in 3 of 3 networks: nothing is concluded of it." in sentences["unmeasured", *REMOVALS]


def test_of_networks_that_have_not_learned_only_algebra_speaks(boston: Subject) -> None:
    found = moved(boston, {"removal": "original", "removed": ""}, learned=False)
    headline, sentences = told(found, removed()[0])
    assert headline == (f"2 of 5 methods take the direct influence of {removed()[0]} out of the network (2 proved, "
                        "3 not measured).")
    assert sentences["before",].startswith("in the original networks the direct influence of ")
    assert "is not measured in 3 of 3 networks" in sentences["before",]


def test_no_method_that_works_is_said(boston: Subject) -> None:
    feature = removed()[0]
    found = moved(boston, {"removed": feature, "removal": list(OUT)}, worst_case=9.0, worst_case_bound=9.0,
                  worst_case_method="exact")
    headline, sentences = told(found, feature)
    assert headline == f"No method takes the direct influence of {feature} out of the network (1 undecided)."
    assert not {"cost", "went"} & {kind for kind, *_ in sentences}


def test_a_method_that_reads_the_feature_is_judged_on_information(boston: Subject) -> None:
    feature = removed()[0]
    headline, sentences = told(moved(boston, {"removed": feature, "removal": "retrain"}, reads="at inference"), feature)
    assert headline.startswith("2 of 5 methods take ")
    assert sentences["design", "retrain"] == (
        f"the method reads {feature} at inference: it is judged on the information that is left alone.")


def test_a_removal_that_failed_is_one_of_the_methods(boston: Subject) -> None:
    """A chunk that failed has no outcomes; one row of `failures` a removed feature names it."""
    first, second, third = removed()
    lost = pd.concat([failures(removal="lazy", removed=name, rank=rank) for rank, name in ((1, first), (2, second))])
    for feature in (first, second, third):
        headline, sentences = told({**boston.tables, "failures": lost}, feature)
        assert headline.startswith("3 of 6 methods take ") and headline.endswith(" 1 undecided, 1 not measured).")
        assert "in 3 of 3 networks: nothing is concluded" in sentences["unmeasured", "lazy"]


def test_scorers_that_are_wrong_are_named_with_what_of(boston: Subject) -> None:
    first, second, third = removed()
    alarm = "false alarm: sees the feature above its null where no direct influence is left"
    blind = "blind: could not tell the feature from its null before the removal either"
    assert told(boston.tables, first)[1]["alarms", "lime"] == f"{alarm} (constant)."
    assert told(boston.tables, first)[1]["alarms",] == (
        "1 of the 2 times that a scorer was held against phantoms where no direct influence is left it alarmed. "
        "Adjusted for all of them (Holm): that chance raises even one is at most 5.0 %.")  # LIME alone
    assert not {"alarms", "blind"} & {kind for kind, *_ in told(boston.tables, second)[1]}
    assert told(boston.tables, third)[1]["blind", "lime"] == f"{blind} (every method)."
    found = moved(boston, {"scorer": ["permutation", "lime"], "removal": ["retrain", "constant"], "removed": first},
                  "nulls", p=0.01)
    assert told(found, first)[1]["alarms", "permutation", "lime"] == f"{alarm} (retrain and constant)."


def test_the_cost_is_that_of_the_methods_that_work_net_of_the_sham(boston: Subject) -> None:
    for feature in removed():
        nets = {}
        for removal in OUT:
            rows = outcomes_of(boston, feature, removal)
            sham = outcomes_of(boston, "", "sham").loss_native.to_numpy()
            reference = sham if removal == "fold_tuning" else rows.loss_before.to_numpy()
            nets[removal] = (rows.loss_native.to_numpy() - reference) / rows.loss_before.to_numpy()
        cheap, *_, dear = sorted(OUT, key=lambda removal: nets[removal].mean())
        mean, low, high = hand_mean(nets[cheap])
        assert told(boston.tables, feature)[1]["cost", cheap] == (
            f"costs least of those that work: net cost {signed_percent(mean)} of the test loss "
            f"({signed_percent(low)} to {signed_percent(high)}); {dear} costs most, "
            f"{signed_percent(nets[dear].mean())}.")


@pytest.mark.parametrize(("costs", "said"), [((0.001, 0.002, 0.003), True), ((0.0, 0.0, 0.03), False)])
def test_no_difference_is_said_where_it_is_shown(boston: Subject, costs: tuple[float, ...], said: bool) -> None:
    feature = removed()[0]
    found = moved(boston, {"removed": feature, "removal": "constant"},
                  loss_native=lambda own: own.loss_before * (1 + np.array(costs)))
    text = told(found, feature)[1]["cost", "constant"]
    assert ("), which is no difference; " in text) == said and ("no difference" in text) == said


def test_a_cost_that_is_not_measured_is_not_the_least(boston: Subject) -> None:
    feature = removed()[2]
    cheapest = next(name for kind, *names in told(boston.tables, feature)[1] for name in names if kind == "cost")
    one = {"removed": feature, "removal": cheapest, "seed": 1}
    sentences = told(moved(boston, one, loss_native=np.nan), feature)[1]
    (key,) = (key for key in sentences if key[0] == "cost")
    assert cheapest not in key and sentences[key].endswith(f"; {cheapest}: not measured.")
    nothing = {**boston.tables, "outcomes": boston.tables["outcomes"].assign(loss_native=np.nan)}
    assert told(nothing, feature)[1]["cost",] == (
        "of the methods that work the net cost was not measured.")


def test_the_destination_is_the_commonest_gainer(boston: Subject) -> None:
    """Of the readings of the methods that work, but the control's, the noise column's, and those that lost."""
    for feature in removed():
        readings = [row.largest_gainer for row in boston.tables["shifts"].itertuples() if row.removed == feature
                    and row.removal in OUT and row.applicable and row.scorer != "random"
                    and row.largest_gainer != "decoy" and row.largest_gain > 0]
        count = max(readings.count(name) for name in set(readings))
        text = told(boston.tables, feature)[1]["went",]
        name = text.split(":")[0]
        assert readings.count(name) == count
        assert text == f"{name}: the largest gainer in {percent(count / len(readings))} of the readings."


def test_hidden_units_are_called_by_their_rank() -> None:
    found = tables(units_run())
    headline, sentences = told(found, "strongest unit")
    assert headline == "1 of 2 methods take the direct influence of the strongest unit out of the network (1 proved)."
    assert not any("unit:" in text for (kind, *_), text in sentences.items() if kind not in ("before", "present"))
    outcomes = found["outcomes"].query("rank == 1 and removal != 'original'")
    after = outcomes.groupby("removal").recoverability.mean().sort_values()
    assert sentences["known",] == (
        f"a probe reads R² {outcomes.recoverability_before.mean():.2f} of the removed unit from what the next layer is "
        f"given before, {after.iloc[0]:.2f} ({after.index[0]}) to {after.iloc[1]:.2f} ({after.index[1]}) after.")
