"""Verdicts on networks whose truth is known: a small part of `benchmarks/verdicts.py`, and proof that it can fail."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from planted import FAMILIES, STRENGTHS, Planted
from planted_edits import HASTY, edited, searched
from planted_paths import COLUMNS, Table
from verdict_rates import false_clean, false_present, judged, rate

from attribution_suite.conclusions.direct import BOUNDED, PRESENT, PROVED, UNDECIDED
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.attribution import Evaluation

MEMBERS = 2 * len(STRENGTHS)
SEEDS = {name: seed for seed, name in enumerate(FAMILIES, 1)}
WITH_PATH = ["linear", "1 % of the rows", "saturated gate", "interaction", "spike", "tanh", "hidden units"]


@cache
def family(name: str) -> Planted:
    half_have_a_path = name == "hidden units"
    return FAMILIES[name](2 * MEMBERS if half_have_a_path else MEMBERS, SEEDS[name])


@cache
def verdicts(name: str) -> pd.DataFrame:
    return judged([family(name)])


@pytest.mark.parametrize(("name", "claim"), [
    ("algebra", "proved none (algebra)"), ("proxies only", "proved none (algebra)"),
    ("cancellation", "bounded (exact)")])
def test_no_dependence_is_proved_where_no_weight_is_left_and_bounded_where_weights_cancel(name: str,
                                                                                          claim: str) -> None:
    assert set(verdicts(name).claim) == {claim}


@pytest.mark.parametrize("name", WITH_PATH)
def test_present_exactly_where_the_worst_case_is_above_delta(name: str) -> None:
    table = verdicts(name)[lambda rows: rows.strength > 0]
    assert set(table.strength) == set(STRENGTHS)
    assert ((table.verdict == PRESENT) == (table.strength > 1)).all()
    assert ((table.verdict == BOUNDED) == (table.strength < 1)).all()
    # A hidden unit's activations are float32 sums: the truth, of float64 sums, is off by their rounding.
    np.testing.assert_allclose(table.effect, table.truth, rtol=1e-5 if name == "hidden units" else 1e-9)


def test_hidden_units_that_nothing_reads_are_proved_and_those_that_cancel_bounded() -> None:
    table = verdicts("hidden units")
    assert set(table.verdict[table.plant == "none"]) == {PROVED}
    assert set(table.claim[table.plant == "cancelling"]) == {"bounded (exact)"}


def test_a_search_never_calls_a_module_bounded() -> None:
    table = verdicts("any module")
    assert set(table.verdict[table.plant == "folded"]) == {PROVED}
    open_to_search = table[table.plant != "folded"]
    assert set(open_to_search.verdict) == {PRESENT, UNDECIDED} and set(open_to_search.method) == {"search"}
    assert ((open_to_search.verdict == PRESENT) <= (open_to_search.strength > 1)).all()
    # The control: a narrow spike above δ is missed by a search, so that 'bounded' would be false.
    missed = open_to_search[(open_to_search.verdict == UNDECIDED) & (open_to_search.strength > 1)]
    assert set(missed.plant) == {"spike"}


def test_no_clean_verdict_is_false_of_edited_networks() -> None:
    table = judged(edited(25, 20, HASTY))
    assert not false_clean(table).any()
    assert set(table[table.family.isin(["edited: retrain", "edited: fold", "edited: constant"])].verdict) == {PROVED}
    exact = table[table.method == "exact"]
    assert len(exact) and (exact.effect >= exact.truth * (1 - 1e-9)).all()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_no_verdict_is_false_and_a_wrong_one_would_be_counted(name: str) -> None:
    table = verdicts(name)
    assert not false_clean(table).any() and not false_present(table).any()
    assert (false_clean(table.assign(verdict=PROVED)) == (table.truth > 0)).all()
    assert (false_clean(table.assign(verdict=BOUNDED)) == (table.truth > table.delta)).all()
    assert (false_present(table.assign(verdict=PRESENT)) == (table.truth < table.delta)).all()


@pytest.mark.parametrize("name", ["linear", "1 % of the rows", "saturated gate", "interaction"])
def test_the_closed_forms_are_those_of_the_whole_network(name: str) -> None:
    asked = family(name)
    assert isinstance(asked.networks, Perceptrons)
    for member in (0, MEMBERS - 1):
        found = searched(asked.networks, member, Table(asked.training, asked.inputs), asked.training, 0)
        assert found == pytest.approx(asked.truth[member], rel=1e-3)


def test_gradients_are_blind_behind_a_saturated_gate_and_weights_are_not() -> None:
    asked, present = family("saturated gate"), np.array([verdicts("saturated gate").verdict == PRESENT])
    evaluation = Evaluation(
        asked.inputs, torch.zeros(len(asked.inputs)), asked.training, torch.zeros(len(asked.training)),
        torch.zeros(COLUMNS), {f"x{column}": (column,) for column in range(COLUMNS)}, "regression")
    scores = {name: SCORERS.load(name)().attribute(asked.networks, evaluation).scores[:, 0]
              for name in ("saliency", "integrated_gradients", "feature_ablation", "weights")}
    assert present.any() and bool(scores.pop("weights").all())
    assert not any(bool(values.any()) for values in scores.values())


def test_limits_of_a_rate_are_those_of_clopper_and_pearson() -> None:
    assert rate(0, 100) == pytest.approx((0, 0, 1 - 0.05 ** (1 / 100)))  # (1 − high)¹⁰⁰ = 0.05
    assert rate(100, 100) == pytest.approx((1, 0.05 ** (1 / 100), 1))
