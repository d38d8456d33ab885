"""The summary and the verdict against loops written from their definitions."""

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_fixture import (
    DATA_REMOVALS,
    KINDS,
    REMOVALS,
    SEEDS,
    VOTERS,
    changed,
    failures,
    hand_mean,
    record,
    removed,
    settled,
    tables,
    units_run,
    whole_run,
    write_run,
)
from report_fixture import subject as read_subject

from attribution_suite.conclusions import verdicts, words
from attribution_suite.conclusions.numbers import MINUS, percent, seconds, signed_percent
from attribution_suite.conclusions.summary import part_left, seed_interval, summary_table
from attribution_suite.errors import InputError
from attribution_suite.reporting.reading import Run, Subject
from attribution_suite.reporting.summary import format_summary


@pytest.fixture(scope="module")
def found() -> dict[str, pd.DataFrame]:
    return tables(whole_run())


@pytest.fixture(scope="module")
def summary(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return summary_table(found, ["iris"])


@pytest.fixture(scope="module")
def boston() -> Subject:
    """With every kind of verdict."""
    one = read_subject("boston")
    return replace(one, tables=settled(one.tables))


def row_of(summary: pd.DataFrame, dataset: str, feature: str, removal: str) -> pd.Series:
    return summary[(summary.dataset == dataset) & (summary.removed == feature) & (summary.removal == removal)].iloc[0]


def slow_shares(found: dict[str, pd.DataFrame], dataset: str, feature: str, removal: str, column: str) -> list[float]:
    """A number a network: the median over applicable scorers but the control."""
    medians = []
    for seed in range(SEEDS):
        values = [getattr(row, column) for row in found["shifts"].itertuples()
                  if (row.dataset, row.removal, row.seed, row.removed) == (dataset, removal, seed, feature)
                  and row.applicable and row.scorer != "random"]
        assert len(values) == len(VOTERS) - (removal not in DATA_REMOVALS)
        medians.append(statistics.median(values))
    return medians


def test_every_number_equals_its_definition(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    """Means over the three networks, and Student's interval of them."""
    for dataset in ("boston", "iris"):
        for feature in removed(dataset):
            for removal in REMOVALS:
                row = row_of(summary, dataset, feature, removal)
                own = found["outcomes"]
                own = own[(own.dataset == dataset) & (own.removal == removal) & (own.removed == feature)]
                expected = {
                    "share_before": slow_shares(found, dataset, feature, removal, "share_before"),
                    "share_after": slow_shares(found, dataset, feature, removal, "share_after"),
                    "effect_left": list(own.direct_effect / own.direct_effect_before),
                    "effect_before": list(own.direct_effect_before), "effect_after": list(own.direct_effect),
                    "loss_change": list(own.loss_native / own.loss_before - 1), "seconds": list(own.seconds),
                    **({"flip_rate": list(own.flip_rate)} if dataset == "iris" else {})}
                for name, values in expected.items():
                    shown = (row[name], row[f"{name}_low"], row[f"{name}_high"])
                    assert shown == pytest.approx(hand_mean(values), rel=1e-9), (dataset, feature, removal, name)
                assert row.seeds == SEEDS
                assert dataset == "iris" or np.isnan(row.flip_rate)


def test_no_row_is_an_average_over_features(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    """One feature that stays in shows in its own row and moves no other row."""
    feature = removed()[1]
    rows = {"dataset": "boston", "removal": "fold_tuning", "removed": feature}
    outcomes = changed(found["outcomes"], rows, direct_effect=lambda own: own.direct_effect_before)
    moved = summary_table({**found, "outcomes": outcomes}, ["iris"])
    assert row_of(moved, "boston", feature, "fold_tuning").effect_left == pytest.approx(1.0)
    rest = ~((summary.dataset == "boston") & (summary.removal == "fold_tuning") & (summary.removed == feature))
    pd.testing.assert_frame_equal(moved[rest], summary[rest])


def test_a_method_that_does_not_apply_is_no_zero(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    """Read as zeros, the scorers that do not apply would pull the median down."""
    zeros = {**found, "shifts": changed(found["shifts"], {"applicable": False}, share_before=0.0, share_after=0.0,
                                        applicable=True)}
    for feature in removed():
        assert row_of(summary_table(zeros), "boston", feature, "constant").share_before < (
            row_of(summary, "boston", feature, "constant").share_before)


@pytest.mark.parametrize(("table", "column", "figure"), [
    ("outcomes", "direct_effect", "effect_left"), ("outcomes", "direct_effect_before", "effect_left"),
    ("outcomes", "loss_native", "loss_change")])
def test_a_network_without_a_value_leaves_none(found: dict[str, pd.DataFrame], table: str, column: str,
                                               figure: str) -> None:
    """The mean of the other networks is not that of all."""
    first, second, _ = removed()
    rows = {"dataset": "boston", "removal": "constant", "removed": first, "seed": 2}
    lost = summary_table({**found, table: changed(found[table], rows, **{column: np.nan})})
    assert np.isnan(row_of(lost, "boston", first, "constant")[figure])
    assert not np.isnan(row_of(lost, "boston", second, "constant")[figure])
    assert "not measured" in format_summary(lost)


def test_a_removal_that_failed_for_a_feature_has_a_row(found: dict[str, pd.DataFrame]) -> None:
    first, second, third = removed()
    lost = {name: frame if name in ("attributions", "failures") else frame[
        ~((frame.dataset == "boston") & (frame.removal == "constant") & (frame.removed == second))]
        for name, frame in found.items()}
    row = row_of(summary_table(lost), "boston", second, "constant")
    assert row.seeds == 0 and np.isnan([row.share_after, row.effect_left, row.loss_change, row.seconds]).all()
    failed = {**found, "failures": pd.concat([failures(removal="lazy", removed=name, rank=1)
                                              for name in (third, "age,sex")])}
    rows = summary_table(failed).query("removal == 'lazy'")
    assert list(rows.removed) == [first, second, third, "age,sex"] and rows.seeds.eq(0).all()


def test_the_control_has_no_vote(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    without = {**found, "shifts": found["shifts"].query("scorer != 'random'")}
    pd.testing.assert_frame_equal(summary_table(without, ["iris"]), summary)


def test_rows_come_in_the_order_of_the_run(summary: pd.DataFrame) -> None:
    wanted = [(name, feature, removal) for name in ("boston", "iris") for feature in removed(name)
              for removal in REMOVALS]
    assert list(summary[["dataset", "removed", "removal"]].itertuples(index=False, name=None)) == wanted
    assert list(summary.simulated) == [name == "iris" for name, _, _ in wanted]


@pytest.mark.parametrize(("before", "after", "left"), [
    (2.0, 0.5, 0.25), (2.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1e-9, np.inf), (0.0, np.nan, np.nan),
    (np.nan, 0.0, np.nan), (2.0, np.nan, np.nan), (np.nan, 1.0, np.nan)])
def test_what_is_left_of_nothing(before: float, after: float, left: float) -> None:
    assert part_left(pd.Series([after]), pd.Series([before])).item() == pytest.approx(left, nan_ok=True)


def test_intervals_of_few_seeds() -> None:
    assert np.isnan(seed_interval(np.array([np.nan]))).all()
    mean, low, high = seed_interval(np.array([2.0]))
    assert mean == 2.0
    assert np.isnan([low, high]).all()
    assert seed_interval(np.array([1.0, np.nan, 3.0]))[0] == 2.0


def test_the_terminal_summary_says_what_the_tables_say(found: dict[str, pd.DataFrame]) -> None:
    """Every cell, computed from the tables by hand."""
    whole = settled(found)
    lines = format_summary(summary_table(whole, ["iris"])).splitlines()
    assert len({len(line) for line in lines[:31]}) == 1 and max(map(len, lines)) <= 130
    head = ["data set", "removed", "method", "target share", "left (95 %)", "direct effect", "test loss", "flips",
            "seconds"]
    assert re.split(r"  +", lines[0].strip()) == head
    ends = [lines[0].index(name) + len(name) for name in head]
    rows = iter(lines[1:31])
    for dataset in ("boston", "iris"):
        for feature in removed(dataset):
            for removal in REMOVALS:
                line = next(rows)
                own = whole["outcomes"].query("dataset == @dataset and removal == @removal and removed == @feature")
                before, after = (np.mean(slow_shares(whole, dataset, feature, removal, f"share_{when}"))
                                 for when in ("before", "after"))
                low, high = hand_mean(slow_shares(whole, dataset, feature, removal, "share_after"))[1:]
                cells = [
                    removal, f"{percent(before)} → {percent(after)}", f"{percent(low)} to {percent(high)}",
                    percent((own.direct_effect / own.direct_effect_before).mean()),
                    signed_percent((own.loss_native / own.loss_before - 1).mean()),
                    "–" if dataset == "boston" else percent(own.flip_rate.mean()), seconds(own.seconds.mean())]
                assert re.split(r"  +", line[line.index(removal):].strip()) == cells
                for end, cell in zip(ends[3:], cells[1:], strict=True):  # under its own heading
                    assert line[:end].endswith(cell)
                first = removal == REMOVALS[0]
                name = {"boston": "boston", "iris": "iris (simulated)"}[dataset]
                start = f"{name if first and feature == removed(dataset)[0] else ''}"
                assert line.startswith(start) and line.startswith(" ") != bool(start)
                assert line[lines[0].index("removed"):].startswith(feature if first else " ")
    assert lines[31] == "" and lines[32].startswith("target share: median over scorers, before → after")
    assert "Mean over 3 networks (one a seed). Left: interval of the share after, over networks." in lines[33]


def test_without_removals_there_is_no_summary(found: dict[str, pd.DataFrame]) -> None:
    nothing = {**found, "shifts": found["shifts"][:0], "outcomes": found["outcomes"][:0]}
    assert format_summary(summary_table(nothing)) == "nothing was removed: no summary"


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0 %"), (1e-9, "0 %"), (2e-4, "<0.1 %"), (0.0123, "1.2 %"), (0.09951, "10 %"), (0.5, "50 %"),
    (12.0, "1,200 %"), (np.inf, "new"), (np.nan, "–"), (-0.05, f"{MINUS}5.0 %")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


def test_signs_and_seconds() -> None:
    assert [signed_percent(v) for v in (0.011, -0.011, 0.0, -1e-9, 0.31, np.nan)] == [
        "+1.1 %", f"{MINUS}1.1 %", "0 %", "0 %", "+31 %", "–"]
    assert [seconds(v) for v in (1e-4, 0.03, 0.42, 1.6, 12.3, np.nan)] == ["<0.001", "0.030", "0.42", "1.6", "12", "–"]


def kinds(subject: Subject) -> dict[str, dict[str, str]]:
    table = verdicts.verdicts(subject.tables)
    return {str(feature): dict(zip(own.removal, own.kind, strict=True)) for feature, own in table.groupby("removed")}


def judged(subject: Subject, feature: str) -> tuple[str, dict[tuple[str, ...], words.Finding]]:
    """The headline on one removed feature, and its findings by their methods."""
    table, votes = verdicts.verdicts(subject.tables), verdicts.votes(subject.tables)
    own = table[table.removed == feature]
    alone = {name: frame[frame.removed == feature] for name, frame in subject.tables.items()}
    found = words.findings(subject.tables, own, votes[votes.removed == feature], summary_table(alone))
    return words.headline(own), {(finding.kind, *finding.methods): finding for finding in found}


BEFORE = {"direct_effect": "direct_effect_before", "share_after": "share_before", "share_before": "share_before",
          "loss_native": "loss_before", "direct_effect_before": "direct_effect_before"}


def with_rows(subject: Subject, table: str, removal: str, feature: str, scorer: str | None = None,
              seed: int | None = None, **values: float) -> Subject:
    """`subject` with columns of some rows of a table changed; a value is a part of the column `…_before`."""
    rows = {"removal": removal, "removed": feature, **({"scorer": scorer} if scorer else {}),
            **({"seed": seed} if seed is not None else {})}
    frame = subject.tables[table]
    for column, part in values.items():
        frame = changed(frame, rows, **{column: lambda own, part=part, column=column: part * own[BEFORE[column]]})
    return replace(subject, tables={**subject.tables, table: frame})


def test_verdicts_of_known_effects(boston: Subject) -> None:
    assert kinds(boston) == dict.fromkeys(removed(), KINDS)
    for feature in removed():
        assert judged(boston, feature)[0] == f"3 of 5 methods take {feature} out of the network."
    table = verdicts.verdicts(boston.tables).set_index(["removed", "removal"])
    for feature, part in zip(removed(), (0.07, 0.13, 0.31), strict=True):
        row = table.loc[(feature, "stochastic_tuning")]
        assert row.effect_left == pytest.approx(part) and (row.measured, row.networks) == (3, 3)
        assert (row.seen, row.voters, row.missing) == (7, 7, 0)
        row = table.loc[(feature, "constant")]
        assert (row.seen, row.voters, row.missing) == (1, 6, 0)  # xgboost_gain reads labels: it does not apply


def test_the_words_name_methods_dissent_cost_and_destination(boston: Subject) -> None:
    _, second, third = removed()
    _, found = judged(boston, third)
    out = found["out", "retrain", "fold_tuning"]
    assert out.text == f"the output no longer moves with {third}; all 7 scorers that apply agree."
    assert judged(boston, second)[1]["out", "retrain", "fold_tuning"].text == (
        f"at most 0.4 % of the direct effect of {second} is left; all 7 scorers that apply agree.")
    assert found["disputed", "constant"].text == (
        f"the output no longer moves with {third}, but 1 of 6 scorers still gives it more than noise: lime.")
    assert found["reduced", "stochastic_tuning"].text == (
        "leaves 31 % of the direct effect; 7 of 7 scorers still see it.")
    assert found["stays", "inversion_tuning"].text == "leaves 56 % of the direct effect; 7 of 7 scorers still see it."
    assert list(dict.fromkeys(kind for kind, *_ in found)) == ["out", "disputed", "reduced", "stays", "cost", "went"]


def test_the_cost_is_that_of_the_methods_that_work(boston: Subject) -> None:
    """The cheapest and the dearest of retrain, fold_tuning and constant, by the mean over networks."""
    for feature in removed():
        own = boston.tables["outcomes"].query("removed == @feature")
        change = (own.loss_native / own.loss_before - 1).groupby(own.removal)
        ordered = change.mean()[["retrain", "fold_tuning", "constant"]].sort_values()
        cheap, dear = ordered.index[0], ordered.index[-1]
        _, low, high = hand_mean(change.get_group(cheap))
        assert judged(boston, feature)[1]["cost", cheap].text == (
            f"costs least of those that work: test loss {signed_percent(ordered[cheap])} ({signed_percent(low)} to "
            f"{signed_percent(high)}); {dear} costs most, {signed_percent(ordered[dear])}.")


def test_the_destination_is_the_commonest_gainer(boston: Subject) -> None:
    """Of the readings of the methods that work, but the control's, the noise column's, and those that lost."""
    for feature in removed():
        readings = [row.largest_gainer for row in boston.tables["shifts"].itertuples() if row.removed == feature
                    and row.removal in ("retrain", "fold_tuning", "constant") and row.applicable
                    and row.scorer != "random" and row.largest_gainer != "decoy" and row.largest_gain > 0]
        count = max(readings.count(name) for name in set(readings))
        text = judged(boston, feature)[1]["went",].text
        name = text.split(":")[0]
        assert readings.count(name) == count
        assert text == f"{name}: the largest gainer in {percent(count / len(readings))} of the readings."


def test_one_scorer_that_still_sees_the_feature_changes_the_verdict(boston: Subject) -> None:
    first, second, third = removed()
    moved = with_rows(boston, "shifts", "fold_tuning", first, "deep_lift", share_after=0.9)
    assert kinds(moved) == {first: {**KINDS, "fold_tuning": "disputed"}, second: KINDS, third: KINDS}


def test_methods_that_share_a_sentence_share_a_finding(boston: Subject) -> None:
    feature = removed()[2]
    moved = with_rows(boston, "shifts", "fold_tuning", feature, "lime", share_after=0.9)
    found = judged(moved, feature)[1]
    assert found["disputed", "fold_tuning", "constant"].text == (
        f"the output no longer moves with {feature}, but 1 of 6 scorers still gives it more than noise: lime.")
    assert found["out", "retrain"].text.endswith("all 7 scorers that apply agree.")
    more = with_rows(moved, "shifts", "fold_tuning", feature, "weights", share_after=0.9)
    found = judged(more, feature)[1]
    assert found["disputed", "fold_tuning"].text.endswith(
        "but 2 of 6 scorers still give it more than noise: weights and lime.")
    assert ("disputed", "constant") in found


def test_the_output_decides_not_the_scorers(boston: Subject) -> None:
    """If the output still moves, no agreement of scorers makes it 'out'; another feature's verdict stays."""
    first, second, third = removed()
    moved = with_rows(boston, "outcomes", "retrain", first, direct_effect=0.2)
    assert kinds(moved) == {first: {**KINDS, "retrain": "reduced"}, second: KINDS, third: KINDS}
    text = judged(moved, first)[1]["reduced", "retrain"].text
    assert text == "leaves 20 % of the direct effect; none of 7 scorers sees it."


@pytest.mark.parametrize(("left", "kind"), [
    (0.0, "out"), (0.00999, "out"), (0.01, "out"), (0.01001, "reduced"), (0.49999, "reduced"), (0.5, "stays"),
    (np.inf, "stays"), (np.nan, "unmeasured")])
def test_each_side_of_the_thresholds_of_the_direct_effect(left: float, kind: str) -> None:
    assert verdicts.kind_of(left, True, ["gone", "noise", "blind", "not measured", "not applicable"]) == kind
    seen = verdicts.kind_of(left, True, ["gone", "left"])
    assert seen == ("disputed" if kind == "out" else kind)
    assert verdicts.kind_of(left, False, ["gone"]) == ("unmeasured" if kind == "out" else kind)


@pytest.mark.parametrize(("part", "decoy", "state"), [
    (0.00999, 0.0, "gone"), (0.01001, 0.0, "left"), (0.2, 0.199, "left"), (0.2, 0.201, "noise"),
    (0.2, 0.999, "noise"), (0.2, 1.001, "blind"), (0.009, 1.001, "gone"), (np.nan, 1.001, "not measured")])
def test_each_side_of_the_thresholds_of_a_share(boston: Subject, part: float, decoy: float, state: str) -> None:
    """`part` of the former share is left; the noise column has `decoy` of it."""
    feature = removed()[1]
    moved = with_rows(boston, "shifts", "retrain", feature, "deep_lift", share_after=part)
    shifts = moved.tables["shifts"]
    before = shifts[(shifts.removal == "retrain") & (shifts.removed == feature) & (shifts.scorer == "deep_lift")]
    rows = changed(moved.tables["attributions"], {"feature": "decoy", "scorer": "deep_lift", "removal": "original"},
                   share=decoy * before.share_before.mean())
    votes = verdicts.votes({**moved.tables, "attributions": rows}).set_index(["removal", "removed", "scorer"])
    assert votes.state["retrain", feature, "deep_lift"] == state


def test_shares_of_votes_are_means_over_networks(boston: Subject) -> None:
    votes = verdicts.votes(boston.tables).set_index(["removed", "removal", "scorer"])
    assert len(votes) == 3 * len(REMOVALS) * len(VOTERS)
    for key, rows in boston.tables["shifts"].query("applicable and scorer != 'random'").groupby(
            ["removed", "removal", "scorer"]):
        assert tuple(votes.loc[key, ["share_before", "share_after"]]) == pytest.approx(
            (rows.share_before.mean(), rows.share_after.mean()))


def test_a_scorer_that_gave_the_feature_nothing_before_does_not_call_it_gone(boston: Subject) -> None:
    feature = removed()[0]
    moved = with_rows(boston, "shifts", "retrain", feature, "deep_lift", share_before=0.0, share_after=0.0)
    votes = verdicts.votes(moved.tables).set_index(["removal", "removed", "scorer"])
    assert votes.state["retrain", feature, "deep_lift"] == "blind"


def test_a_direct_effect_that_is_not_measured_is_not_gone(boston: Subject) -> None:
    """NaN in the original, in the edit, in one network of three, or a row that is not there."""
    feature, *others = removed()
    for column in ("direct_effect", "direct_effect_before"):
        everywhere = with_rows(boston, "outcomes", "fold_tuning", feature, **{column: np.nan})
        assert kinds(everywhere)[feature]["fold_tuning"] == "unmeasured"
        headline, found = judged(everywhere, feature)
        assert headline == f"2 of 5 methods take {feature} out of the network; 1 of 5 was not measured."
        assert found["unmeasured", "fold_tuning"].text == (
            f"the direct effect of {feature} was not measured: nothing can be said of it.")
    once = with_rows(boston, "outcomes", "fold_tuning", feature, seed=2, direct_effect=np.nan)
    text = judged(once, feature)[1]["unmeasured", "fold_tuning"].text
    assert text == f"the direct effect of {feature} was measured in 2 of 3 networks alone: too little to call it gone."
    outcomes = boston.tables["outcomes"]
    for absent in (outcomes.seed == 2, outcomes.seed >= 0):
        rows = outcomes[~(absent & (outcomes.removal == "fold_tuning") & (outcomes.removed == feature))]
        moved = replace(boston, tables={**boston.tables, "outcomes": rows})
        assert kinds(moved) == {feature: {**KINDS, "fold_tuning": "unmeasured"}, **dict.fromkeys(others, KINDS)}


def test_two_of_five_methods_that_were_not_measured_are_counted(boston: Subject) -> None:
    feature = removed()[0]
    moved = boston
    for removal in ("fold_tuning", "retrain"):
        moved = with_rows(moved, "outcomes", removal, feature, direct_effect=np.nan)
    assert judged(moved, feature)[0] == (
        f"1 of 5 methods take {feature} out of the network; 2 of 5 were not measured.")
    moved = with_rows(moved, "outcomes", "constant", feature, direct_effect=0.3)
    assert judged(moved, feature)[0] == f"No method takes {feature} out of the network; 2 of 5 were not measured."


def test_a_removal_that_failed_is_not_measured(boston: Subject) -> None:
    """A chunk that failed has no outcomes; one row of `failures` a removed feature names it."""
    first, second, _ = removed()
    lost = pd.concat([failures(removal="lazy", removed=name, rank=rank) for rank, name in ((1, first), (2, second))])
    moved = replace(boston, tables={**boston.tables, "failures": lost})
    assert kinds(moved) == {name: {**KINDS, "lazy": "unmeasured"} for name in removed()}
    assert judged(moved, first)[0] == f"3 of 6 methods take {first} out of the network; 1 of 6 was not measured."


def test_an_influence_that_is_present_in_one_network_is_present(boston: Subject) -> None:
    """What the networks that were measured show counts where it is bad news."""
    feature = removed()[0]
    moved = with_rows(boston, "outcomes", "inversion_tuning", feature, seed=2, direct_effect=np.nan)
    text = judged(moved, feature)[1]["stays", "inversion_tuning"].text
    assert text.startswith("leaves 88 % of the direct effect in the 2 of 3 networks measured; ")  # 0.93 × (0.9, 1.0)


def test_nothing_measured_is_said(boston: Subject) -> None:
    nothing = boston.tables["outcomes"].assign(direct_effect=np.nan)
    moved = replace(boston, tables={**boston.tables, "outcomes": nothing})
    feature = removed()[0]
    headline, found = judged(moved, feature)
    assert headline == f"Nothing was measured: whether any method takes {feature} out of the network is not known."
    assert {kind for kind, *_ in found} == {"unmeasured"}
    assert found["unmeasured", "stochastic_tuning", "inversion_tuning"].text == (
        f"the direct effect of {feature} was not measured: nothing can be said of it; weights, gradient_weight, "
        f"integrated_gradients and 4 more still see {feature}.")


def test_a_scorer_that_is_not_measured_does_not_agree(boston: Subject) -> None:
    """NaN in one network, in all, absent, or failed by name: each leaves six of seven."""
    first, _, third = removed()
    shifts = boston.tables["shifts"]
    lime = (shifts.scorer == "lime") & (shifts.removed == third)
    failed = {"failures": pd.concat([failures(removal="fold_tuning", removed=name, scorer="lime")
                                     for name in (first, third)]),
              "shifts": shifts.assign(applicable=shifts.applicable & ~(lime & (shifts.removal == "fold_tuning")))}
    for tables_ in ({"shifts": shifts.assign(share_after=shifts.share_after.mask(lime & (shifts.seed == 1)))},
                    {"shifts": shifts.assign(share_before=shifts.share_before.mask(lime))},
                    {"shifts": shifts[~lime]}, failed, {"failures": failures(scorer="lime"), "shifts": shifts[~lime]}):
        moved = replace(boston, tables={**boston.tables, **tables_})
        out = next(finding for (kind, *_), finding in judged(moved, third)[1].items() if kind == "out")
        assert out.text.endswith("; all 6 scorers measured agree (lime not measured).")
        row = verdicts.verdicts(moved.tables).set_index(["removed", "removal"]).loc[(third, "fold_tuning")]
        assert (row.seen, row.voters, row.missing) == (0, 5, 1)


def test_no_scorer_at_all_is_no_agreement(boston: Subject) -> None:
    shifts, feature = boston.tables["shifts"], removed()[0]
    unknown = replace(boston, tables={**boston.tables, "shifts": shifts.assign(share_after=np.nan)})
    out = next(iter(judged(unknown, feature)[1].values()))
    assert "; no scorer was measured (" in out.text and "agree" not in out.text
    none = replace(boston, tables={**boston.tables, "shifts": shifts.assign(applicable=False)})
    assert next(iter(judged(none, feature)[1].values())).text.endswith("; no scorer applies.")


def test_a_loss_that_is_not_measured_is_not_the_cheapest(boston: Subject) -> None:
    feature = removed()[2]
    cheapest = next(name for kind, *names in judged(boston, feature)[1] for name in names if kind == "cost")
    moved = with_rows(boston, "outcomes", cheapest, feature, loss_native=np.nan)
    cost = next(finding for (kind, *_), finding in judged(moved, feature)[1].items() if kind == "cost")
    assert cheapest not in cost.methods and cost.text.endswith(f"; {cheapest}: not measured.")
    nothing = replace(boston, tables={**boston.tables, "outcomes": boston.tables["outcomes"].assign(
        loss_native=np.nan)})
    assert judged(nothing, feature)[1]["cost",].text == "of the methods that work the test loss was not measured."


def test_votes_read_the_noise_column(boston: Subject) -> None:
    """The decoy's share in the original networks, by the scorer itself, is the floor: below it nothing is seen."""
    rows, feature = boston.tables["attributions"], removed()[0]
    noise = {"removal": "original", "feature": "decoy"}
    blind = replace(boston, tables={**boston.tables, "attributions": changed(rows, noise, share=0.99)})
    assert set(verdicts.votes(blind.tables).query("removal == 'inversion_tuning'").state) == {"blind"}
    text = judged(blind, feature)[1]["stays", "inversion_tuning"].text
    assert "none of 7 scorers sees it (weights, gradient_weight and 5 more could not tell it from the noise" in text
    one = changed(rows, {**noise, "scorer": "weights"}, share=0.99)
    states = verdicts.votes({**boston.tables, "attributions": one}).query("removal == 'inversion_tuning'")
    assert dict(zip(states.scorer, states.state, strict=True)) == {
        **dict.fromkeys(VOTERS, "left"), "weights": "blind"}


def test_a_feature_that_was_never_used_counts_as_out(boston: Subject) -> None:
    outcomes = boston.tables["outcomes"].assign(direct_effect_before=0.0, direct_effect=0.0)
    assert (verdicts.effects({**boston.tables, "outcomes": outcomes}).effect_left == 0).all()
    assert (summary_table({**boston.tables, "outcomes": outcomes}).effect_left == 0).all()
    new = replace(boston, tables={**boston.tables, "outcomes": outcomes.assign(direct_effect=0.1)})
    assert np.isinf(verdicts.effects(new.tables).effect_left).all()
    text = judged(new, removed()[0])[1]["stays", "constant"].text
    assert text.startswith("leaves a direct effect where there was none; ")


def test_hidden_units_go_by_rank_never_by_name() -> None:
    found = tables(units_run())
    summary = summary_table(found)
    assert list(summary.removed.unique()) == ["strongest unit", "unit of rank 2"] and summary.seeds.eq(3).all()
    outcomes = found["outcomes"]
    own = outcomes[(outcomes["rank"] == 1) & (outcomes.removal == "stochastic_tuning")]
    assert own.removed.nunique() > 1  # the networks' strongest units are not the same
    left = row_of(summary, "iris", "strongest unit", "stochastic_tuning").effect_left
    assert left == pytest.approx((own.direct_effect / own.direct_effect_before).mean())
    table = verdicts.verdicts(found)
    assert set(table.removed) == {"strongest unit", "unit of rank 2"} and table.measured.eq(3).all()
    sentences = words.findings(
        found, table[table.removed == "strongest unit"], verdicts.votes(found).query("removed == 'strongest unit'"),
        summary[summary.removed == "strongest unit"])
    assert "unit:" not in " ".join(finding.text for finding in sentences) + format_summary(summary)
    means = own.recoverability.mean(), outcomes[(outcomes["rank"] == 1) & (outcomes.removal == "retrain")
                                                ].recoverability.mean()
    before = outcomes[outcomes["rank"] == 1].recoverability_before.mean()
    low, high = sorted(zip(means, ("stochastic_tuning", "retrain"), strict=True))
    assert sentences[-1].text == (
        f"a probe reads R² {before:.2f} of the removed unit from what the next layer is given before, "
        f"{low[0]:.2f} ({low[1]}) to {high[0]:.2f} ({high[1]}) after.")


def test_one_network_has_no_interval_and_is_called_one() -> None:
    one = format_summary(summary_table(tables(whole_run(), 1)))
    assert "One network." in one and "95 %" not in one and "seeds" not in one and "networks" not in one
    assert "left (95 %)" in format_summary(summary_table(tables(whole_run(), 2)))


def test_damaged_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json' does not exist: give a directory"):
        _ = Run(tmp_path).info
    whole = record(whole_run())
    run = write_run(tmp_path / "run", tables(whole_run(), 2), whole)
    (run / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        _ = Run(run).info
    (run / "run.json").write_text(json.dumps({name: value for name, value in whole.items() if name != "versions"}))
    with pytest.raises(InputError, match="lacks versions: run the audit again"):
        _ = Run(run).info
    (run / "shifts.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"shifts\.parquet' cannot be read"):
        Run(run).table("shifts")
    (run / "shifts.parquet").unlink()
    with pytest.raises(InputError, match=r"shifts\.parquet' does not exist"):
        Run(run).table("shifts")
    tables(whole_run(), 2)["shifts"].drop(columns="proxy_mass").to_parquet(run / "shifts.parquet")
    with pytest.raises(InputError, match="lacks the column proxy_mass"):
        Run(run).table("shifts")


def test_names_become_different_anchors() -> None:
    empty = Subject("a b", 0, {}, {}, {}, None)
    slugs = [replace(empty, name=name).slug for name in ("a b", "a-b", "a/b", "A b", "héart", "heart", "日本")]
    assert len(set(slugs)) == len(slugs)
    assert replace(empty, name="heart", layer=2).slug == "heart-layer-2"
    assert all(slug.replace("-", "").replace("_", "").isalnum() for slug in slugs)
