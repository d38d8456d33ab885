"""The direct influence, on both sides of every threshold; nothing that was not measured reads as gone."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conclusion_cases import DELTAS, PROVED, Network, enclosed, exact, frames, searched
from report_fixture import failures, tables, units_run

from attribution_suite.conclusions.direct import direct, moved_at_most

JUST_ABOVE = np.nextafter(1.0, 2.0)
# One network of each state, the worst first.
NETWORKS: dict[str, Network] = {
    "present": exact(3.0), "not measured": exact(np.nan), "undecided": searched(0.3), "bounded": exact(0.4),
    "proved none": PROVED}
COUNTS = {"present": "networks_present", "not measured": "networks_not_measured", "undecided": "networks_undecided",
          "bounded": "networks_bounded", "proved none": "networks_proved"}


def verdict(networks: list[Network | None], **words: Any) -> pd.Series:
    """Of one removal of 'x', by constant."""
    table = direct(frames({("constant", "x"): networks}, **words))
    return table[table.removal == "constant"].iloc[0]


@pytest.mark.parametrize(("network", "state"), [
    (PROVED, "proved none"),
    (exact(0.0), "bounded"),  # nothing moved on these rows; of other rows or values no algebra speaks
    (exact(0.999), "bounded"), (exact(1.0), "bounded"), (exact(JUST_ABOVE), "present"), (exact(40.0), "present"),
    (enclosed(0.3, 1.0), "bounded"), (enclosed(0.3, JUST_ABOVE), "undecided"), (enclosed(1.0, 7.0), "undecided"),
    (enclosed(JUST_ABOVE, 7.0), "present"),
    (searched(0.0), "undecided"), (searched(1.0), "undecided"), (searched(JUST_ABOVE), "present"),
    (exact(np.nan), "not measured"), (exact(np.inf), "not measured"), (enclosed(0.3, np.nan), "not measured"),
    (enclosed(np.nan, 0.5), "not measured"), (exact(0.3) | {"delta": np.nan}, "not measured"),
    (exact(0.3) | {"delta": np.inf}, "not measured"),
    (PROVED | {"worst_case_bound": np.nan}, "not measured")])
@pytest.mark.parametrize("seed", range(3))
def test_the_state_of_one_network(network: Network, state: str, seed: int) -> None:
    """In each of three networks, whose δ differ; the others are proved, so that this one is the worst."""
    row = verdict([network if place == seed else PROVED for place in range(3)])
    assert row.direct == state
    counts = {name: row[column] for name, column in COUNTS.items()}
    assert counts == {**dict.fromkeys(COUNTS, 0), "proved none": 2} | {state: 3 if state == "proved none" else 1}


def test_delta_is_each_networks_own() -> None:
    """A move of 0.15 is above the δ of the first network alone."""
    assert verdict([exact(0.15 / delta) for delta in DELTAS])[list(COUNTS.values())].to_list() == [1, 0, 0, 2, 0]


@pytest.mark.parametrize(("network", "state"), [
    (exact(0.0), "not measured"), (exact(0.4), "not measured"), (exact(9.0), "not measured"),
    (searched(0.3), "not measured"), (PROVED, "proved none")])
def test_of_an_original_that_has_not_learned_algebra_alone_speaks(network: Network, state: str) -> None:
    row = verdict([PROVED, network, PROVED], learned=[True, False, True])
    assert row.direct == state and row.networks_proved == (3 if network is PROVED else 2)
    others = verdict([network, PROVED, network], learned=[True, False, True])  # whose originals have learned
    assert others.networks_not_measured == 0


def test_an_original_that_is_not_there_has_not_learned() -> None:
    found = frames({("constant", "x"): [exact(0.4)] * 3})
    outcomes = found["outcomes"]
    lost = outcomes[~((outcomes.removal == "original") & (outcomes.seed == 1))]
    row = direct({**found, "outcomes": lost}).query("removal == 'constant'").iloc[0]
    assert (row.direct, row.networks_not_measured, row.networks_bounded) == ("not measured", 1, 2)


@pytest.mark.parametrize(("worse", "better"), [*combinations(NETWORKS, 2)])
def test_a_method_takes_the_worst_of_its_networks(worse: str, better: str) -> None:
    for order in set(permutations([worse, better, better])):
        row = verdict([NETWORKS[state] for state in order])
        assert row.direct == worse and (row[COUNTS[worse]], row[COUNTS[better]]) == (1, 2)


def test_a_network_that_is_missing_was_not_measured() -> None:
    """Its chunk failed: other networks that are proved do not speak for it, one with influence does."""
    row = verdict([PROVED, None, PROVED])
    assert (row.direct, row.networks_proved, row.networks_not_measured) == ("not measured", 2, 1)
    assert np.isnan([row.worst_case, row.worst_case_bound, row.moved_at_most]).all()
    assert verdict([exact(3.0), None, PROVED]).direct == "present"
    nowhere = direct(frames({("constant", "x"): [PROVED] * 3, ("retrain", "y"): [PROVED] * 3})).set_index(
        ["removed", "removal"])
    for key in (("x", "retrain"), ("y", "constant"), ("x", "original"), ("y", "original")):  # never looked at
        row = nowhere.loc[key]
        assert (row.direct, row.networks_not_measured, row.rows, row.witness_row) == ("not measured", 3, 0, -1)
        assert np.isnan([row.worst_case, row.worst_case_bound, row.delta, row.moved_at_most]).all()


def test_a_removal_that_failed_has_a_row() -> None:
    found = frames({("constant", "x"): [PROVED] * 3})
    lost = failures(dataset="d", removal="lazy", removed="x", error="MemoryError")
    row = direct({**found, "failures": lost}).set_index("removal").loc["lazy"]
    assert (row.direct, row.networks_not_measured) == ("not measured", 3)


@pytest.mark.parametrize(("rows", "part"), [(500, 0.00597), (76, 0.0387), (1, 0.95), (59, 0.0495)])
def test_the_part_of_the_population_that_may_move(rows: int, part: float) -> None:
    """If more did, none of so many rows moving would have a probability below 5 %."""
    assert moved_at_most(rows) == pytest.approx(part, rel=2e-3)
    assert (1 - moved_at_most(rows)) ** rows == pytest.approx(0.05)


@pytest.mark.parametrize(("state", "part"), [
    ("proved none", 0.0), ("bounded", 0.0387), ("undecided", np.nan), ("not measured", np.nan), ("present", np.nan)])
def test_only_what_holds_of_all_rows_is_said_of_others(state: str, part: float) -> None:
    """The fewest rows of a network count, of those that nothing has seen; of no such row nothing follows."""
    row = verdict([NETWORKS[state] | {"rows": rows, "rows_unseen": rows - 24} for rows in (524, 100, 124)])
    assert row.moved_at_most == pytest.approx(part, rel=2e-3, nan_ok=True)
    assert row["rows"] == (0 if state == "not measured" else 100)
    seen = verdict([NETWORKS[state] | {"rows": rows, "rows_unseen": 0} for rows in (500, 76, 100)])
    assert seen.moved_at_most == 0 if state == "proved none" else np.isnan(seen.moved_at_most)


@pytest.mark.parametrize("worst", range(3))
def test_the_witness_is_the_row_that_moves_most(worst: int) -> None:
    """In f's units, not in δ: the third network's δ is four times that of the first."""
    moves = [0.5, 0.6, 0.7]
    moves[worst] = 5.0
    row = verdict([exact(move / delta) for move, delta in zip(moves, DELTAS, strict=True)])
    assert (row.worst_case, row.worst_case_bound, row.delta) == pytest.approx((5.0, 5.0, DELTAS[worst]))
    assert (row.witness_seed, row.witness_row) == (worst, 20 + worst)
    assert (row.witness_from, row.witness_to) == (f"own value {worst}", f"new value {worst}")
    assert (row.witness_before, row.witness_after) == pytest.approx((10, 5))


def test_a_witness_stands_where_another_network_is_not_measured() -> None:
    """But no largest move of all, which nobody knows; nothing moves a proved network."""
    row = verdict([exact(np.nan), exact(5.0), exact(0.2)])
    assert (row.direct, row.witness_seed, row.delta) == ("present", 1, 0.2)
    assert np.isnan([row.worst_case, row.worst_case_bound]).all()
    row = verdict([PROVED] * 3)
    assert (row.worst_case, row.worst_case_bound, row.witness_seed, row.witness_row) == (0, 0, -1, -1)
    assert row.witness_from == row.witness_to == "" and np.isnan([row.witness_before, row.witness_after]).all()


def test_no_bound_of_one_network_is_none_of_all() -> None:
    row = verdict([exact(0.2), searched(0.3), enclosed(0.1, 0.9)])
    assert np.isinf(row.worst_case_bound) and row.worst_case == pytest.approx(0.3 * DELTAS[1])
    row = verdict([exact(0.2), enclosed(0.3, 0.4), enclosed(0.1, 0.9)])
    assert row.worst_case_bound == pytest.approx(0.9 * DELTAS[2])


def test_the_originals_come_first_of_each_feature_and_the_sham_not_at_all() -> None:
    found = frames({("sham", ""): [exact(0.1)] * 3, ("constant", "x"): [PROVED] * 3, ("constant", "y"): [PROVED] * 3,
                    ("retrain", "x"): [exact(0.5)] * 3, ("retrain", "y"): [searched(0.5)] * 3},
                   originals={"x": [exact(0.7)] * 3, "y": [exact(2.0), exact(0.1), exact(0.1)]})
    table = direct(found)
    assert list(table[["removed", "removal", "direct"]].itertuples(index=False, name=None)) == [
        ("x", "original", "bounded"), ("x", "constant", "proved none"), ("x", "retrain", "bounded"),
        ("y", "original", "present"), ("y", "constant", "proved none"), ("y", "retrain", "undecided")]


@pytest.mark.parametrize("state", NETWORKS)
def test_what_reads_the_feature_at_inference_is_present_by_design(state: str) -> None:
    """Whatever its worst case; the counts stay."""
    row = verdict([NETWORKS[state] | {"reads": "at inference"}] * 3)
    assert row.direct == "present by design" and row[COUNTS[state]] == 3
    assert verdict([NETWORKS[state]] * 3).direct == state


def test_hidden_units_go_by_rank() -> None:
    """'unit:7' of one network is not 'unit:7' of another; each rank has one in every network."""
    found = tables(units_run())
    table, outcomes = direct(found), found["outcomes"]
    assert list(table.removed.unique()) == ["strongest unit", "unit of rank 2"]
    assert list(table.removal) == ["original", "retrain", "stochastic_tuning"] * 2
    for rank, name in ((1, "strongest unit"), (2, "unit of rank 2")):
        for removal in ("original", "retrain", "stochastic_tuning"):
            own = outcomes[(outcomes["rank"] == rank) & (outcomes.removal == removal)]
            row = table[(table.removed == name) & (table.removal == removal)].iloc[0]
            assert row.worst_case == own.worst_case.max()
            assert row[[*COUNTS.values()]].sum() == 3 and row.networks_not_measured == 0
        assert own.removed.nunique() > 1
