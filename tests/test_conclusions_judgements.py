"""Which scorers are right of a removal: every state on both sides of its threshold, the control in none."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conclusion_cases import PROVED, Network, enclosed, exact, frames, searched
from report_fixture import VOTERS, failures, subject, tables, units_run

from attribution_suite.conclusions.direct import direct
from attribution_suite.conclusions.judgements import COLUMNS, FAITHFUL, judgements, poor_surrogates
from attribution_suite.conclusions.verdicts import verdicts
from attribution_suite.tables.verdicts import VERDICTS

Said = Mapping[str, Any] | None
JUST_ABOVE = np.nextafter(0.05, 1.0)
PRESENT, BOUNDED = exact(9.0), exact(0.4)


def said(p: float, scores: Sequence[float] = (1.0, 2.0, 3.0), by_construction: bool = False,
         unseen: bool = False, fidelity: float = np.nan) -> dict[str, Any]:
    """What a scorer says of the feature in three networks, against its null."""
    return {"p": p, "score": scores, "phantoms": 19, "by_construction": by_construction, "unseen": unseen,
            "fidelity": fidelity}


SEEN, UNSEEN = said(0.05), said(0.4)
ZERO = said(1.0, (0.0, 0.0, 0.0), by_construction=True)  # exactly zero on zero weights
LABELS = said(np.nan, by_construction=True)  # reads labels: it has no null


def run(after: Said, before: Said = SEEN, network: Network = PROVED, original: Network = PRESENT,
        applicable: bool = True, scorer: str = "lime", failed: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """'x' removed by constant, one scorer; `failed`: the removals on which it failed."""
    found = frames({("constant", "x"): [network] * 3}, originals={"x": [original] * 3})
    keys = {"dataset": "d", "split": 0, "layer": 0, "rank": 0, "removed": "x", "scorer": scorer}
    rows = [{**keys, "removal": removal, "seed": seed, **words, "score": words["score"][seed]}
            for removal, words in (("original", before), ("constant", after)) if words for seed in range(3)]
    shifts = pd.DataFrame([{**keys, "removal": "constant", "seed": seed, "applicable": applicable}
                           for seed in range(3)])
    lost = [failures(dataset="d", removal=removal, removed="" if removal == "original" else "x", scorer=scorer,
                     error="MemoryError") for removal in failed]
    return {**found, "shifts": shifts, "attributions": found["attributions"].assign(scorer=scorer),
            "nulls": pd.DataFrame(rows, columns=found["nulls"].columns),
            "failures": pd.concat(lost) if lost else found["failures"]}


def state(after: Said, removal: str = "constant", **words: Any) -> str:
    found = run(after, **words)
    table = judgements(found, direct(found)).set_index("removal")
    return str(table.loc[removal, "state"])


@pytest.mark.parametrize(("p", "proved", "present"), [
    (0.0, "false alarm", "sees"), (0.05, "false alarm", "sees"), (JUST_ABOVE, "silent", "silent"),
    (0.1, "silent", "silent"), (1.0, "silent", "silent")])
def test_above_the_null_is_a_p_of_one_in_twenty(p: float, proved: str, present: str) -> None:
    """A sight is an alarm where the direct influence is proved none, none where it is present."""
    assert state(said(p)) == proved
    for network in (PRESENT, BOUNDED, searched(0.3), searched(9.0)):
        assert state(said(p), network=network) == present


@pytest.mark.parametrize(("network", "wanted"), [
    (exact(0.99e-4), "false alarm"), (exact(1.01e-4), "sees"), (enclosed(1e-6, 0.99e-4), "false alarm"),
    (enclosed(1e-6, 1.01e-4), "sees"), (searched(0.0), "sees"), (exact(np.nan), "sees")])
def test_an_alarm_is_false_only_where_nothing_moves_but_by_rounding(network: Network, wanted: str) -> None:
    """Under a bound above zero a sensitive scorer may be right; what was not measured proves nobody wrong."""
    assert state(SEEN, network=network) == wanted


@pytest.mark.parametrize(("p", "wanted"), [(0.05, "false alarm"), (JUST_ABOVE, "blind"), (0.9, "blind")])
def test_blindness_is_asked_first(p: float, wanted: str) -> None:
    """Whoever could not tell the feature from its null where it was present says nothing by an alarm or by silence."""
    assert state(SEEN, before=said(p)) == wanted
    assert state(UNSEEN, before=said(p)) == ("blind" if wanted == "blind" else "silent")
    assert state(SEEN, before=said(p), network=PRESENT) == ("blind" if wanted == "blind" else "sees")
    assert state(ZERO, before=said(p)) == ("blind" if wanted == "blind" else "by construction")
    assert state(UNSEEN, removal="original", before=said(p)) == ("blind" if wanted == "blind" else "sees")


def test_nobody_is_blind_to_what_was_not_there() -> None:
    """The originals did not move with the feature by more than δ: not to see it was right."""
    for original in (BOUNDED, PROVED, searched(0.3)):
        assert state(UNSEEN, before=said(0.9), original=original) == "silent"
    assert state(UNSEEN, removal="original", before=said(0.9), original=BOUNDED) == "silent"


def test_silence_says_nothing_where_the_influence_before_was_not_measured() -> None:
    """Nobody knows what there was to see; what is above its null still is."""
    unknown = exact(np.nan)
    assert state(UNSEEN, original=unknown) == "not measured" != state(UNSEEN, original=BOUNDED)
    assert state(SEEN, original=unknown) == "false alarm" and state(SEEN, original=unknown, network=PRESENT) == "sees"


def test_a_zero_by_construction_is_no_evidence() -> None:
    assert state(ZERO) == state(LABELS, before=LABELS) == "by construction"
    assert state(LABELS, before=LABELS, network=PRESENT) == "by construction"
    assert state(said(1.0, (0.0, 0.0, 0.0))) == "silent"  # it could have been otherwise
    assert state(said(0.0, by_construction=True)) == "false alarm"  # said to be zero, and is not


def test_a_gradient_that_is_zero_by_the_features_kind_sees_nothing() -> None:
    flat = said(1.0, (0.0, 0.0, 0.0), unseen=True)
    assert state(flat, before=flat, network=PRESENT) == "cannot see"
    assert state(said(0.9), before=flat, network=PRESENT) == "cannot see"
    assert state(flat, before=flat, removal="original") == "cannot see"


@pytest.mark.parametrize("p", [0.01, 0.9])
@pytest.mark.parametrize("network", [PROVED, PRESENT])
def test_a_surrogate_unlike_its_networks_counts_neither_for_nor_against(p: float, network: Network) -> None:
    """Nor is it blind or alarmed; one that follows them is what it would be, and so is a scorer without a surrogate."""
    poor, apt, none = said(p, fidelity=0.79), said(p, fidelity=0.8), said(p)
    for before, after in ((poor, apt), (apt, poor), (poor, poor)):
        assert state(after, before=before, network=network) == "too poor"
    wanted = state(none, before=none, network=network)
    assert wanted != "too poor" and state(apt, before=apt, network=network) == wanted
    assert state(said(np.nan, fidelity=0.1), before=poor, network=network) == "not measured"
    assert f"below {FAITHFUL}," in VERDICTS["too_poor"].meaning


def test_the_surrogates_of_the_originals_that_are_too_poor() -> None:
    """By what the verdicts are made from, or, where nothing was removed, by what run.json says of them."""
    recorded = {"on": {"fidelity": 0.8}, "below": {"fidelity": 0.79}, "none": {"fidelity": None}}
    unasked = run(None, before=None)["nulls"]
    assert poor_surrogates(unasked, recorded) == ["below"] and poor_surrogates(unasked, {}) == []
    splits = [run(said(0.5, fidelity=0.1), said(0.5, fidelity=value), scorer="on")["nulls"] for value in (0.85, 0.7)]
    assert poor_surrogates(pd.concat(splits), recorded) == ["below", "on"]
    assert poor_surrogates(splits[0], recorded) == ["below"]  # edits have a fidelity of their own


@pytest.mark.parametrize("lost", [
    None, said(np.nan), said(0.4, (1.0, np.nan, 3.0)), said(0.05, (1.0, 2.0, np.inf)),
    said(1.0, (0.0, np.nan, 0.0), by_construction=True)])
@pytest.mark.parametrize("network", [PROVED, PRESENT])
def test_a_scorer_without_a_number_is_not_measured(lost: Said, network: Network) -> None:
    """Absent, its null failed, or one network of three not finite: neither silent nor a sight."""
    assert state(lost, network=network) == "not measured"
    assert state(lost, removal="original", before=lost) == "not measured"
    # Nobody knows whether it could have told the feature before; where it was not present there is nothing to know.
    assert state(UNSEEN, before=lost, network=network) == state(SEEN, before=lost, network=network) == "not measured"
    assert state(UNSEEN, before=lost, network=network, original=BOUNDED) == "silent"


def judged_together(questions: int, p: dict[str, float]) -> pd.Series:
    """One feature, 'lime' after `questions` removals that leave nothing, and one that leaves it; p where not 0.5."""
    edits = {(f"m{number}", "x"): [PROVED] * 3 for number in range(questions)}
    found = frames({**edits, ("left", "x"): [PRESENT] * 3}, originals={"x": [PRESENT] * 3})
    removals = [*(removal for removal, _ in edits), "left", "original"]
    rows = [{"dataset": "d", "split": 0, "layer": 0, "rank": 0, "removed": "x", "scorer": "lime", "removal": removal,
             "seed": seed, **said({"original": 0.05, "left": 0.05, **p}.get(removal, 0.5)), "score": 1.0}
            for removal in removals for seed in range(3)]
    shifts = pd.DataFrame([{**row, "applicable": True} for row in rows if row["removal"] != "original"])
    found = {**found, "nulls": pd.DataFrame(rows, columns=found["nulls"].columns), "shifts": shifts,
             "attributions": found["attributions"].assign(scorer="lime")}
    return judgements(found, direct(found)).set_index("removal").state


def test_alarms_about_a_feature_are_adjusted_together() -> None:
    """Holm: the smallest of ten p-values needs 1/200, the next 1/180; who sees what is there is not asked."""
    state = judged_together(10, {"m0": 0.005, "m1": 0.0055, "m2": 0.05})
    assert (state[["m0", "m1"]] == "false alarm").all() and state["m2"] == "silent" and state["left"] == "sees"
    assert judged_together(10, {"m0": 0.0051})["m0"] == "silent"
    assert judged_together(1, {"m0": 0.05})["m0"] == "false alarm"


def test_what_no_phantom_reaches_is_not_measured_among_too_many_questions() -> None:
    assert judged_together(60, {"m0": 1 / 1200})["m0"] == "false alarm"
    state = judged_together(61, {"m0": 1 / 1200, "m1": 0.01})
    assert state["m0"] == "not measured" and state["m1"] == "silent"


def test_what_does_not_apply_is_told_from_what_failed() -> None:
    """A failed scorer is marked as one that does not apply too: the table of failures tells."""
    assert state(None, applicable=False) == "not applicable"
    assert state(SEEN, applicable=False) == "not applicable"
    assert state(None, applicable=False, failed=["constant"]) == "not measured"
    assert state(None, applicable=False, failed=["original"]) == "not measured"
    assert state(None, applicable=False, failed=["retrain"]) == "not applicable"  # it failed elsewhere


@pytest.mark.no_cover
def test_the_control_is_never_judged() -> None:
    found = run(SEEN, scorer="random")
    assert judgements(found, direct(found)).empty
    named = {**found, "failures": failures(dataset="d", removal="constant", removed="x", scorer="random")}
    assert judgements(named, direct(named)).empty
    real = subject("boston")
    assert list(judgements(real.tables, direct(real.tables)).scorer.unique()) == VOTERS
    assert "random" in set(real.tables["nulls"].scorer)


def test_every_state_has_its_column_and_every_scorer_one_state() -> None:
    real = subject("boston")
    for table in (real.verdicts, subject("iris").verdicts):
        for row in table[list(COLUMNS.values())].itertuples(index=False):
            assert sorted(", ".join(filter(None, row)).split(", ")) == sorted(VOTERS)
    for removal, row in real.verdicts.query("removed == @real.removed[0]").set_index("removal").iterrows():
        assert row.by_construction.split(", ").count("xgboost_gain") == (
            removal not in ("fold_tuning", "constant")), removal
        assert row.not_applicable == ("xgboost_gain" if removal in ("fold_tuning", "constant") else "")


def test_the_judgements_of_a_real_run_are_those_of_its_nulls() -> None:
    """Written out scorer by scorer: gradients are zero where weights are; LIME alone was asked with phantoms."""
    real = subject("boston")
    nulls = real.tables["nulls"].drop_duplicates(["removed", "removal", "scorer"]).set_index(
        ["removed", "removal", "scorer"])
    every = judgements(real.tables, direct(real.tables)).set_index(["removed", "removal", "scorer"])
    for (removed, removal, scorer), judged in every.iterrows():
        proved = removal in ("retrain", "fold_tuning", "constant")
        if scorer == "xgboost_gain":
            wanted = "not applicable" if removal in ("fold_tuning", "constant") else "by construction"
        elif scorer == "lime" and nulls.p[removed, "original", "lime"] > 0.05:
            wanted = "blind"
        elif scorer == "lime":
            sees = nulls.p[removed, removal, "lime"] <= 0.05
            wanted = ("false alarm" if proved else "sees") if sees else "silent"
        else:
            wanted = "by construction" if proved else "sees"
        assert judged.state == wanted, (removed, removal, scorer)


def test_hidden_units_are_judged_by_rank() -> None:
    found = tables(units_run())
    table = verdicts(found)
    assert list(table.removed.unique()) == ["strongest unit", "unit of rank 2"] and len(table) == 6
    judged = judgements(found, direct(found))
    assert len(judged) == 6 * 3 and not (judged.state == "not measured").any()
    assert set(judged.query("removal == 'retrain'").state) == {"by construction"}
    assert set(judged.query("removal == 'original'").state) == {"sees"}


def test_a_failed_scorer_of_a_whole_run_is_named() -> None:
    """It has no row anywhere but among the failures."""
    real = subject("boston")
    found = {name: frame[frame.scorer != "deep_lift"] if "scorer" in frame else frame
             for name, frame in real.tables.items()}
    lost = verdicts({**found, "failures": failures(scorer="deep_lift", error="no room")})
    assert set(lost.scorers_not_measured) == {"deep_lift"}
