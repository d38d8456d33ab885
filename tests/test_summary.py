"""The summary and the terminal's lines against loops written from their definitions."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from report_fixture import (
    REMOVALS,
    SEEDS,
    STATES,
    Frames,
    changed,
    failures,
    hand_mean,
    removed,
    settled,
    tables,
    units_run,
    whole_run,
)

from attribution_suite.conclusions.numbers import MINUS, number, percent, score, seconds, signed_percent
from attribution_suite.conclusions.summary import part_left, seed_interval, summary_table
from attribution_suite.conclusions.verdicts import verdicts
from attribution_suite.reporting.summary import format_summary

TUNED = ("stochastic_tuning", "inversion_tuning", "fold_tuning")
RULES = {"delta": 0.01, "delta_absolute": None}


@pytest.fixture(scope="module")
def found() -> Frames:
    return tables(whole_run())


@pytest.fixture(scope="module")
def summary(found: Frames) -> pd.DataFrame:
    return summary_table(found, ["iris"])


def all_verdicts(found: Frames, names: Sequence[str] = ("boston", "iris")) -> pd.DataFrame:
    return pd.concat([verdicts({table: frame[frame.dataset == name] for table, frame in found.items()})
                      for name in names])


def row_of(summary: pd.DataFrame, dataset: str, feature: str, removal: str) -> pd.Series:
    return summary[(summary.dataset == dataset) & (summary.removed == feature) & (summary.removal == removal)].iloc[0]


def networks_of(found: Frames, dataset: str, feature: str, removal: str) -> list[pd.Series]:
    """The rows of `outcomes` by seed."""
    rows = [row for _, row in found["outcomes"].iterrows()
            if (row.dataset, row.removed, row.removal) == (dataset, feature, removal)]
    return sorted(rows, key=lambda row: row.seed)


def net_cost(found: Frames, row: pd.Series) -> float:
    """Of the test loss: beyond what the same training gains with nothing removed, for a method that trains on."""
    (sham,) = networks_of({"outcomes": found["outcomes"].query("seed == @row.seed")}, row.dataset, "", "sham")
    reference = sham.loss_native if row.removal in TUNED else row.loss_before
    return float((row.loss_native - reference) / row.loss_before)


def test_every_number_equals_its_definition(found: Frames, summary: pd.DataFrame) -> None:
    """Means over the three networks, and Student's interval of them."""
    for dataset in ("boston", "iris"):
        measure = "r2" if dataset == "boston" else "auc"
        for feature in removed(dataset):
            for removal in REMOVALS:
                row = row_of(summary, dataset, feature, removal)
                networks = networks_of(found, dataset, feature, removal)
                expected = {
                    "effect_left": [one.direct_effect / one.direct_effect_before for one in networks],
                    "effect_before": [one.direct_effect_before for one in networks],
                    "effect_after": [one.direct_effect for one in networks],
                    "loss_change": [one.loss_native / one.loss_before - 1 for one in networks],
                    "cost_net": [net_cost(found, one) for one in networks],
                    "performance": [one[measure] for one in networks],
                    "performance_before": [one[f"{measure}_before"] for one in networks],
                    "seconds": [one.seconds for one in networks],
                    **({"flip_rate": [one.flip_rate for one in networks]} if dataset == "iris" else {})}
                for name, values in expected.items():
                    shown = (row[name], row[f"{name}_low"], row[f"{name}_high"])
                    assert shown == pytest.approx(hand_mean(values), rel=1e-9), (dataset, feature, removal, name)
                assert row.seeds == SEEDS
                assert dataset == "iris" or np.isnan(row.flip_rate)


@pytest.mark.parametrize(("costs", "same"), [
    ([0.001, 0.002, 0.0015], True), ([-0.001, 0.001, 0.0], True), ([0.0, 0.0, 0.03], False),
    ([0.02, 0.02, 0.02], False), ([0.0094, 0.0095, 0.0096], True), ([0.0, 0.0, np.nan], False)])
def test_no_difference_is_shown_never_assumed(found: Frames, costs: list[float], same: bool) -> None:
    """Within 1 % with 95 % confidence, all networks measured; one network shows nothing."""
    rows = {"dataset": "boston", "removal": "constant", "removed": removed()[0]}
    outcomes = changed(found["outcomes"], rows, loss_native=lambda own: own.loss_before * (1 + np.array(costs)))
    moved = {**found, "outcomes": outcomes}
    assert row_of(summary_table(moved), "boston", removed()[0], "constant").cost_equivalent == same
    one = {"outcomes": outcomes[outcomes.seed < 1], "failures": found["failures"]}
    assert not row_of(summary_table(one), "boston", removed()[0], "constant").cost_equivalent


def test_without_its_sham_a_tuned_method_has_no_cost(found: Frames) -> None:
    """Never the gross one; what is not tuned has no sham."""
    lost = found["outcomes"][~((found["outcomes"].removal == "sham") & (found["outcomes"].seed == 1))]
    costs = summary_table({**found, "outcomes": lost}).groupby("removal").cost_net
    assert all(costs.get_group(name).isna().all() == (name in TUNED) for name in REMOVALS)


def test_no_row_is_an_average_over_features(found: Frames, summary: pd.DataFrame) -> None:
    """One feature that stays in shows in its own row and moves no other row."""
    feature = removed()[1]
    rows = {"dataset": "boston", "removal": "fold_tuning", "removed": feature}
    outcomes = changed(found["outcomes"], rows, direct_effect=lambda own: own.direct_effect_before)
    moved = summary_table({**found, "outcomes": outcomes}, ["iris"])
    assert row_of(moved, "boston", feature, "fold_tuning").effect_left == pytest.approx(1.0)
    rest = ~((summary.dataset == "boston") & (summary.removal == "fold_tuning") & (summary.removed == feature))
    pd.testing.assert_frame_equal(moved[rest], summary[rest])


@pytest.mark.parametrize(("column", "figure"), [
    ("direct_effect", "effect_left"), ("direct_effect_before", "effect_left"), ("loss_native", "loss_change"),
    ("loss_native", "cost_net"), ("r2", "performance")])
def test_a_network_without_a_value_leaves_none(found: Frames, column: str, figure: str) -> None:
    """The mean of the other networks is not that of all."""
    first, second, _ = removed()
    rows = {"dataset": "boston", "removal": "constant", "removed": first, "seed": 2}
    moved = {**found, "outcomes": changed(found["outcomes"], rows, **{column: np.nan})}
    lost = summary_table(moved)
    assert np.isnan(row_of(lost, "boston", first, "constant")[figure])
    assert not np.isnan(row_of(lost, "boston", second, "constant")[figure])
    table, _ = format_summary(lost, all_verdicts(moved), RULES).split("\n\n", 1)  # below it: how to read it
    lines = [line for line in table.splitlines() if "not measured" in line]
    assert len(lines) == 1 and " constant " in lines[0]


def test_a_removal_that_failed_for_a_feature_has_a_row(found: Frames) -> None:
    first, second, third = removed()
    lost = {name: frame if name == "attributions" or "removed" not in frame else frame[
        ~((frame.dataset == "boston") & (frame.removal == "constant") & (frame.removed == second))]
        for name, frame in found.items()}
    row = row_of(summary_table(lost), "boston", second, "constant")
    assert row.seeds == 0 and np.isnan([row.effect_left, row.loss_change, row.cost_net, row.seconds]).all()
    failed = {**found, "failures": pd.concat([failures(removal="lazy", removed=name, rank=1)
                                              for name in (third, "age,sex")])}
    rows = summary_table(failed).query("removal == 'lazy'")
    assert list(rows.removed) == [first, second, third, "age,sex"] and rows.seeds.eq(0).all()


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


def test_the_terminal_summary_says_what_the_tables_say(found: Frames) -> None:
    """Every cell, computed from the tables by hand; the originals' line says what there was to remove."""
    whole = settled(found)
    lines = format_summary(summary_table(whole, ["iris"]), all_verdicts(whole), RULES).splitlines()
    head = ["data set", "removed", "method", "direct influence", "worst case", "mean effect", "R² or AUC",
            "net cost, %", "seconds"]
    assert re.split(r"  +", lines[0].strip()) == head and max(map(len, lines[:37])) <= 132
    ends = [lines[0].index(name) + len(name) for name in head]
    rows = iter(lines[1:37])
    real = ["proved none", "present", "present", "proved none", "proved none"]
    for dataset in ("boston", "iris"):
        states = {"original": "present"} | (STATES if dataset == "boston" else dict(zip(REMOVALS, real, strict=True)))
        for feature in removed(dataset):
            for removal, state in states.items():
                line, networks = next(rows), networks_of(whole, dataset, feature, removal)
                most = number(max(one.worst_case for one in networks))
                bound = {"undecided": " or more",
                         "bounded": f" to {number(max(one.worst_case_bound for one in networks))}"}.get(state, "")
                cells = [removal + "*" * removal.endswith("_tuning"), state, most + bound]
                if removal != "original":
                    measure = "r2" if dataset == "boston" else "auc"
                    before, after = (np.mean([one[name] for one in networks])
                                     for name in (f"{measure}_before", measure))
                    cells += [
                        percent(np.mean([one.direct_effect / one.direct_effect_before for one in networks])),
                        f"{score(before)} → {score(after)}",
                        signed_percent(np.mean([net_cost(whole, one) for one in networks])),
                        seconds(np.mean([one.seconds for one in networks]))]
                assert re.split(r"  +", line[line.index(removal):].strip()) == cells
                for end, cell in zip(ends[4:], cells[2:], strict=False):  # under its own heading
                    assert line[:end].endswith(cell)
                first = removal == "original"
                name = {"boston": "boston", "iris": "iris (simulated)"}[dataset]
                start = f"{name if first and feature == removed(dataset)[0] else ''}"
                assert line.startswith(start) and line.startswith(" ") != bool(start)
                assert line[lines[0].index("removed"):].startswith(feature if first else " ")
    words = "\n".join(lines[37:])
    assert "more than δ = 0.01 of the standard deviation of each original's output, fixed before the run" in words
    assert lines[-2] == "* 25 % budget: stochastic_tuning, inversion_tuning, fold_tuning"  # a quick audit's
    assert lines[-1] == "Mean over 3 networks (one a seed); one split of the rows."
    absolute = format_summary(summary_table(whole), all_verdicts(whole), {"delta": 0.01, "delta_absolute": 0.25})
    assert "more than δ = 0.25 in the output's units" in absolute and "standard deviation" not in absolute


def test_without_removals_there_is_no_summary(found: Frames) -> None:
    outcomes = found["outcomes"]
    nothing = {**found, "outcomes": outcomes[outcomes.removed == ""].query("removal == 'original'")}
    table = verdicts({name: frame[frame.dataset == "boston"] for name, frame in nothing.items()})
    assert table.empty and format_summary(summary_table(nothing), table, RULES) == "nothing was removed: no summary"


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0 %"), (1e-9, "0 %"), (2e-4, "<0.1 %"), (0.0123, "1.2 %"), (0.09951, "10 %"), (0.5, "50 %"),
    (12.0, "1,200 %"), (np.inf, "new"), (np.nan, "–"), (-0.05, f"{MINUS}5.0 %")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


def test_signs_and_seconds() -> None:
    assert [signed_percent(v) for v in (0.011, -0.011, 0.0, -1e-9, 0.31, np.nan)] == [
        "+1.1 %", f"{MINUS}1.1 %", "0 %", "0 %", "+31 %", "–"]
    assert [seconds(v) for v in (1e-4, 0.03, 0.42, 1.6, 12.3, np.nan)] == ["<0.001", "0.030", "0.42", "1.6", "12", "–"]
    assert [score(v) for v in (0.734, -0.25, np.nan)] == ["0.73", f"{MINUS}0.25", "–"]


def test_hidden_units_go_by_rank_never_by_name() -> None:
    found = tables(units_run())
    summary = summary_table(found)
    assert list(summary.removed.unique()) == ["strongest unit", "unit of rank 2"] and summary.seeds.eq(3).all()
    own = found["outcomes"].query("rank == 1 and removal == 'stochastic_tuning'")
    assert own.removed.nunique() > 1  # the networks' strongest units are not the same
    left = row_of(summary, "iris", "strongest unit", "stochastic_tuning").effect_left
    assert left == pytest.approx((own.direct_effect / own.direct_effect_before).mean())
    assert "unit:" not in format_summary(summary, verdicts(found), RULES)


def test_one_network_has_no_interval_and_is_called_one() -> None:
    one, two = (tables(whole_run(), count, ("boston",)) for count in (1, 2))
    words = format_summary(summary_table(one), verdicts(one), RULES)
    assert words.endswith("\nOne network; one split of the rows.") and "networks (" not in words
    assert "Mean over 2 networks" in format_summary(summary_table(two), verdicts(two), RULES)
    assert summary_table(one).filter(regex="_(low|high)$").isna().all(axis=None)


def test_where_every_edit_failed_no_number_of_networks_is_named() -> None:
    found = tables(whole_run(), names=("boston",))
    lost = pd.concat([failures(removal=removal, removed=removed()[0]) for removal in REMOVALS])
    none = {name: frame[frame.removed == ""] if name == "outcomes" else frame[:0] for name, frame in found.items()}
    none |= {"attributions": found["attributions"].query("removal == 'original'"), "failures": lost}
    words = format_summary(summary_table(none), verdicts(none), RULES)
    assert words.endswith("\nNo edited network was measured.") and "Mean over" not in words
