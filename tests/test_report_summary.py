"""The summary and the verdict against loops written from their definitions."""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_fixture import REMOVALS, SUBJECTS, info, tables, write_run

from attribution_suite.errors import InputError
from attribution_suite.report import verdict
from attribution_suite.report.reading import Run, Subject
from attribution_suite.report.summary import (
    MINUS,
    format_summary,
    percent,
    seconds,
    seed_interval,
    signed_percent,
    summary_table,
)


@pytest.fixture(scope="module")
def found() -> dict[str, pd.DataFrame]:
    return tables()


@pytest.fixture(scope="module")
def summary(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return summary_table(found, ["heart"])


@pytest.fixture(scope="module")
def boston(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Run(write_run(tmp_path_factory.mktemp("run"))).subjects(None)[0]


def slow_share(found: dict[str, pd.DataFrame], dataset: str, removal: str, column: str) -> float:
    """Median over applicable scorers but the control; mean over removed features, then over seeds."""
    per_seed = []
    for seed in range(5):
        medians = []
        for feature in SUBJECTS[dataset][1]:
            values = [getattr(row, column) for row in found["shifts"].itertuples()
                      if (row.dataset, row.removal, row.seed, row.removed) == (dataset, removal, seed, feature)
                      and row.applicable and row.scorer != "random"]
            medians.append(statistics.median(values))
        per_seed.append(sum(medians) / len(medians))
    return sum(per_seed) / len(per_seed)


@pytest.mark.parametrize("removal", ["stochastic_tuning", "subset_fold"])
@pytest.mark.parametrize("column", ["share_before", "share_after"])
def test_shares_equal_the_definition(found: dict[str, pd.DataFrame], summary: pd.DataFrame, removal: str,
                                     column: str) -> None:
    row = summary.query("dataset == 'heart' and removal == @removal").iloc[0]
    assert row[column] == pytest.approx(slow_share(found, "heart", removal, column), rel=1e-12)


def test_effect_loss_and_seconds_equal_the_definition(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    rows = found["outcomes"].query("dataset == 'boston' and removal == 'inversion_tuning'")
    row = summary.query("dataset == 'boston' and removal == 'inversion_tuning'").iloc[0]
    left = [part.direct_effect.sum() / part.direct_effect_before.sum() for _, part in rows.groupby("seed")]
    change = [(part.loss_native / part.loss_before - 1).mean() for _, part in rows.groupby("seed")]
    assert row.effect_left == pytest.approx(np.mean(left), rel=1e-12)
    assert row.loss_change == pytest.approx(np.mean(change), rel=1e-12)
    assert row.seconds == pytest.approx(0.45)
    assert row.loss_change_low < row.loss_change < row.loss_change_high
    assert np.isnan(row.flip_rate)


def test_a_method_that_does_not_apply_is_no_zero(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    """Read as zeros, the scorers that do not apply would pull the median down."""
    zeros = {**found, "shifts": found["shifts"].fillna({"share_before": 0.0, "share_after": 0.0}).assign(
        applicable=True)}
    assert summary_table(zeros).set_index(["dataset", "removal"]).share_before["boston", "fold"] < (
        summary.set_index(["dataset", "removal"]).share_before["boston", "fold"])


def test_the_control_has_no_vote(found: dict[str, pd.DataFrame], summary: pd.DataFrame) -> None:
    without = {**found, "shifts": found["shifts"].query("scorer != 'random'")}
    pd.testing.assert_frame_equal(summary_table(without, ["heart"]), summary)


def test_rows_come_in_the_order_of_the_run(summary: pd.DataFrame) -> None:
    assert list(summary.removal) == [*REMOVALS, *REMOVALS]
    assert list(summary.simulated) == [False] * len(REMOVALS) + [True] * len(REMOVALS)


def test_intervals_of_few_seeds() -> None:
    assert np.isnan(seed_interval(np.array([np.nan]))).all()
    mean, low, high = seed_interval(np.array([2.0]))
    assert mean == 2.0
    assert np.isnan([low, high]).all()
    assert seed_interval(np.array([1.0, np.nan, 3.0]))[0] == 2.0


def test_the_terminal_summary_is_aligned_and_marks_stand_ins(summary: pd.DataFrame) -> None:
    lines = format_summary(summary).splitlines()
    table = lines[: 1 + len(summary)]
    assert len({len(line) for line in table}) == 1
    assert max(map(len, lines)) <= 120
    assert sum("heart (simulated)" in line for line in lines) == 1
    assert not any("boston (simulated)" in line for line in lines)
    fold = next(line for line in table if " fold " in line)
    assert "→ 0 %" in fold
    assert "<0.001" in fold
    assert format_summary(summary_table(tables_without_removals())) == "nothing was removed: no summary"


def tables_without_removals() -> dict[str, pd.DataFrame]:
    whole = tables(seeds=2)
    return {**whole, "shifts": whole["shifts"][:0], "outcomes": whole["outcomes"][:0]}


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0 %"), (1e-9, "0 %"), (2e-4, "<0.1 %"), (0.0123, "1.2 %"), (0.09951, "10 %"), (0.5, "50 %"),
    (12.0, "1,200 %"), (np.nan, "–"), (-0.05, f"{MINUS}5.0 %")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


def test_signs_and_seconds() -> None:
    assert [signed_percent(v) for v in (0.011, -0.011, 0.0, -1e-9, 0.31, np.nan)] == [
        "+1.1 %", f"{MINUS}1.1 %", "0 %", "0 %", "+31 %", "–"]
    assert [seconds(v) for v in (1e-4, 0.03, 0.42, 1.6, 12.3, np.nan)] == ["<0.001", "0.030", "0.42", "1.6", "12", "–"]


def test_verdicts_of_known_effects(boston: Subject) -> None:
    assert verdict.kinds(boston) == {
        "retrain": "out", "stochastic_tuning": "reduced", "inversion_tuning": "stays", "fold_tuning": "out",
        "fold": "out", "subset_fold": "disputed", "constant": "out"}
    assert verdict.headline(boston) == "5 of 7 methods take B, LSTAT and RM out of the network."


def test_the_words_name_methods_dissent_cost_and_destination(boston: Subject) -> None:
    words = verdict.findings(boston, summary_table(boston.tables))
    by_kind = {finding.kind: finding for finding in words}
    assert by_kind["out"].methods == ("retrain", "fold_tuning", "fold", "constant")
    assert "all 12 scorers that apply agree" in by_kind["out"].text
    assert by_kind["disputed"].methods == ("subset_fold",)
    assert by_kind["disputed"].text.endswith("1 of 10 scorers still gives it more than noise: lime.")
    assert by_kind["cost"].methods == ("retrain",)
    assert "LSTAT → CRIM" in by_kind["went"].text  # the fixture lets the next column gain, the decoy aside


def test_one_scorer_that_still_sees_the_feature_changes_the_verdict(boston: Subject) -> None:
    shifts = boston.tables["shifts"].copy()
    here = (shifts.removal == "fold") & (shifts.removed == "B") & (shifts.scorer == "lrp")
    shifts.loc[here, "share_after"] = 0.9 * shifts.loc[here, "share_before"]
    changed = replace(boston, tables={**boston.tables, "shifts": shifts})
    assert verdict.kinds(changed)["fold"] == "disputed"


def test_the_output_decides_not_the_scorers(boston: Subject) -> None:
    """If the output still moves, no agreement of scorers makes it 'out'."""
    outcomes = boston.tables["outcomes"].copy()
    outcomes.loc[(outcomes.removal == "retrain") & (outcomes.removed == "RM"), "direct_effect"] *= 0
    outcomes.loc[(outcomes.removal == "retrain") & (outcomes.removed == "RM"), "direct_effect"] += (
        0.2 * outcomes.direct_effect_before)
    changed = replace(boston, tables={**boston.tables, "outcomes": outcomes})
    assert verdict.kinds(changed)["retrain"] == "reduced"
    finding = next(f for f in verdict.findings(changed, summary_table(changed.tables)) if f.methods == ("retrain",))
    assert finding.text == "leaves up to 20 % of the direct effect (RM); none of 12 scorers sees it."


def test_votes_read_the_noise_column(boston: Subject) -> None:
    """The decoy's share in the original networks is the floor: below it a scorer sees nothing."""
    votes = verdict.votes(boston).set_index(["removal", "removed", "scorer"])
    rows = boston.originals
    floor = rows[(rows.feature == "decoy") & (rows.scorer == "saliency")].share.mean()
    left = votes.loc["stochastic_tuning", "RM", "saliency"]
    assert left.state == ("noise" if left.share_after <= floor else "left")
    higher = rows.assign(share=rows.share.where(rows.feature != "decoy", 0.99))
    attributions = pd.concat([higher, boston.tables["attributions"].query("removal != 'original'")])
    blind = replace(boston, tables={**boston.tables, "attributions": attributions})
    assert set(verdict.votes(blind).query("removal == 'inversion_tuning'").state) == {"blind"}
    words = verdict.findings(blind, summary_table(blind.tables))
    text = next(finding.text for finding in words if finding.methods == ("inversion_tuning",))
    assert "none of 12 scorers sees it (weights, gradient_weight and 10 more could not tell it from the noise" in text


def test_a_feature_that_was_never_used_counts_as_out(boston: Subject) -> None:
    outcomes = boston.tables["outcomes"].assign(direct_effect_before=0.0, direct_effect=0.0)
    assert (verdict.effects(replace(boston, tables={**boston.tables, "outcomes": outcomes})) == 0).all()
    moved = outcomes.assign(direct_effect=0.1)
    assert np.isinf(verdict.effects(replace(boston, tables={**boston.tables, "outcomes": moved}))).all()


def test_damaged_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json' does not exist: give a directory"):
        _ = Run(tmp_path).info
    run = write_run(tmp_path / "run", tables(seeds=2))
    (run / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        _ = Run(run).info
    (run / "run.json").write_text(json.dumps({name: value for name, value in info().items() if name != "versions"}))
    with pytest.raises(InputError, match="lacks versions: run the audit again"):
        _ = Run(run).info
    (run / "shifts.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"shifts\.parquet' cannot be read"):
        Run(run).table("shifts")
    (run / "shifts.parquet").unlink()
    with pytest.raises(InputError, match=r"shifts\.parquet' does not exist"):
        Run(run).table("shifts")
    tables(seeds=2)["shifts"].drop(columns="proxy_mass").to_parquet(run / "shifts.parquet")
    with pytest.raises(InputError, match="lacks the column proxy_mass"):
        Run(run).table("shifts")


def test_names_become_different_anchors() -> None:
    empty = Subject("a b", 0, {}, {}, {}, None)
    slugs = [replace(empty, name=name).slug for name in ("a b", "a-b", "a/b", "A b", "héart", "heart", "日本")]
    assert len(set(slugs)) == len(slugs)
    assert replace(empty, name="heart", layer=2).slug == "heart-layer-2"
    assert all(slug.replace("-", "").replace("_", "").isalnum() for slug in slugs)
    assert info()["datasets"]["heart"]["source"] == "simulated"
