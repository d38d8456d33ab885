"""The sham: the tuned methods' warm start with nothing removed, run beside them; and costs, read net of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from removal_cases import METHODS, NAMES, by_case, by_method, direct_effects, removal_case
from scipy import stats

from attribution_suite import audit, load_dataset
from attribution_suite.auditing.spec import make_spec
from attribution_suite.conclusions.summary import COST_MARGIN, no_difference, pairs, summary_table
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks.batches import Block
from attribution_suite.networks.originals import train_originals
from attribution_suite.networks.training import train
from attribution_suite.removals import REMOVALS, SHAM
from attribution_suite.removals.removal import Removal, RemovalTraits, carried_out
from attribution_suite.removals.sham import Sham
from attribution_suite.removals.shuffle_tuning import ShuffleTuning
from attribution_suite.results import Audit

pytestmark = pytest.mark.usefixtures("plain")

SEEDS = 3
SMALL = Preset("default", (8, 6), Training(epochs=12, batch_size=32, learning_rate=1e-2, patience=4), tuning_epochs=8)
BRIEF: dict[str, Any] = {"seeds": SEEDS, "rows": 30, "background": 100, "scorers": ["saliency"], "jobs": 1,
                         "say": lambda line: None}
METHOD_NAMES = ["retrain", "shuffle_tuning", "fold_tuning", "fold"]
CPU = torch.device("cpu")


def boston() -> TabularDataset:
    return replace(load_dataset("boston"), preset=SMALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit(boston(), remove=["RM", "LSTAT"], removals=METHOD_NAMES, out=tmp_path_factory.mktemp("sham"), **BRIEF)


def tables(run: Audit) -> dict[str, pd.DataFrame]:
    return {name: run.table(name) for name in ("shifts", "outcomes", "failures")}


# The method.

@by_case
def test_it_is_training_with_nothing_removed(case: str) -> None:
    given = removal_case(case).briefly()
    found = Sham().remove(given.networks, given.nodes, given.setting)
    setting = given.setting
    expected = train(given.networks, setting.train, setting.validation, setting.task, setting.tuning, setting.seeds)
    for a, b in zip(found.networks.tensors, expected.networks.tensors, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(found.steps, expected.steps) and found.steps.any()
    assert (direct_effects(given, found.networks) > 0.3).all()  # every member still has what it was to lose


def identity(block: Block) -> torch.Tensor:
    return block.values


@by_case
def test_seeds_batches_and_budget_are_those_of_the_tuned_methods(case: str) -> None:
    """A tuned method that replaces its column by itself is the sham; one that does replace it is not."""
    given = removal_case(case)
    brief = replace(given.setting, tuning=replace(given.setting.tuning, epochs=4))
    sham, real = (method.remove(given.networks, given.nodes, brief) for method in (Sham(), ShuffleTuning()))
    same = brief.tune(given.networks, brief.tuning, replaced=given.nodes, replacement=identity)
    assert torch.equal(same.steps, sham.steps)
    for name in ("training_loss", "validation_loss"):
        torch.testing.assert_close(getattr(same, name), getattr(sham, name), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(getattr(real, name), getattr(sham, name), rtol=1e-2)
    for a, b in zip(same.networks.tensors, sham.networks.tensors, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # the same sums in another order


@pytest.mark.parametrize("case", [NAMES[0], NAMES[-1]])
@by_method(METHODS)
def test_a_method_that_says_tuned_trains_on_from_the_original(method: Removal, case: str) -> None:
    """Measured: it takes the steps of the tuning budget, and with no epoch its upper layers are the original's."""
    given = removal_case(case).for_method(method)
    budgets = {name: replace(getattr(given.setting, name), keep="last", max_steps=steps)
               for name, steps in (("training", 3), ("tuning", 5))}
    spent = set(method.remove(given.networks, given.nodes, replace(given.setting, **budgets)).steps.tolist())
    none = {name: replace(budget, epochs=0) for name, budget in budgets.items()}
    start = method.remove(given.networks, given.nodes, replace(given.setting, **none)).networks
    warm = all(map(torch.equal, start.weights[1:], given.networks.weights[1:]))
    assert method.traits.tuned == (spent == {5} and warm)
    if method.traits.control:
        assert method.replacement() is None and all(map(torch.equal, start.tensors, given.networks.tensors))


@dataclass(frozen=True)
class Forgetful(ShuffleTuning):
    """Tunes as its parent does, and its traits are those of a closed form."""

    name: ClassVar[str] = "forgetful"
    traits: ClassVar[RemovalTraits] = RemovalTraits(exact=False)


@by_method([*METHODS, Forgetful()])
def test_a_method_that_tunes_and_does_not_say_so_is_refused(method: Removal) -> None:
    """The control: every method of the package, of which one trains from scratch, says what it does."""
    given = removal_case(NAMES[0])
    brief = replace(given.setting, tuning=replace(given.setting.tuning, epochs=1),
                    training=replace(given.setting.training, epochs=1))
    if method.name != "forgetful":
        made = carried_out(method, given.networks, given.nodes, brief)
        plain = method.remove(given.networks, given.nodes, brief)
        assert all(map(torch.equal, made.networks.tensors, plain.networks.tensors))
        return
    with pytest.raises(InputError, match=r"forgetful trained on from .* 1 epochs.*tuned=True"):
        carried_out(method, given.networks, given.nodes, brief)


# The audit.

def test_an_audit_with_a_tuned_method_has_one_sham_a_seed(run: Audit) -> None:
    outcomes, training = run.table("outcomes"), run.table("training")
    sham = outcomes[outcomes.removal == SHAM]
    assert list(sham.seed) == list(range(SEEDS)) and set(sham.removed) == {""} and set(sham["rank"]) == {0}
    tuned = outcomes[outcomes.tuned]
    assert set(tuned.removal) == {SHAM, "shuffle_tuning", "fold_tuning"}
    nothing_is_removed = ["loss_mean_filled", "loss_shuffled", "direct_effect", "direct_effect_before", "worst_case",
                          "worst_case_bound", "cost_ratio", "flip_rate", "delta"]
    assert sham[nothing_is_removed].isna().all(axis=None)
    assert (sham[["worst_case_method", "witness_from", "witness_to"]] == "").all(axis=None)
    folded = outcomes[outcomes.removal == "fold"].groupby("seed")[["loss_before", "r2_before", "learned"]].first()
    np.testing.assert_allclose(sham[["loss_before", "r2_before"]], folded[["loss_before", "r2_before"]], rtol=1e-6)
    assert list(sham.learned) == list(folded.learned)
    spread = (sham.loss_native / (1 - sham.r2)).to_numpy()  # loss = (1 − R²) × the variance of the test targets
    np.testing.assert_allclose(spread, boston().test.targets.var(correction=0).item(), rtol=1e-4)
    assert (sham.loss_native != sham.loss_before).all() and (sham.steps > 0).all() and (sham.seconds > 0).all()
    curves = training[training.removal == SHAM]
    assert set(curves.removed) == {""} and len(curves) == SEEDS * SMALL_TUNING == len(
        training[(training.removal == "shuffle_tuning") & (training.removed == "RM")])
    for name in ("attributions", "agreement", "shifts"):
        assert SHAM not in set(run.table(name).removal)


SMALL_TUNING = round(SMALL.tuning_epochs * 0.25)  # of the quick profile


def test_its_losses_are_those_of_tuning_on_computed_directly(run: Audit) -> None:
    dataset = boston().with_decoy()
    originals = train_originals(dataset, SMALL, range(SEEDS), CPU).networks
    budget = replace(SMALL.training, epochs=SMALL_TUNING)
    after = train(originals, dataset.train, dataset.validation, "regression", budget, range(SEEDS))
    sham = run.table("outcomes").query("removal == @SHAM", local_dict={"SHAM": SHAM})
    for rows, split, before in (("native", dataset.test, sham.loss_before),
                                ("validation", dataset.validation, sham.validation_before)):
        column = sham.loss_native if rows == "native" else sham.validation_native
        np.testing.assert_allclose(column, [mean_loss(after.networks, split, e) for e in range(SEEDS)], rtol=1e-5)
        np.testing.assert_allclose(before, [mean_loss(originals, split, e) for e in range(SEEDS)], rtol=1e-5)
    assert list(sham.steps) == after.steps.tolist()


def mean_loss(networks: Any, split: Split, member: int) -> float:
    return float(F.mse_loss(networks.to_module(member)(split.inputs).detach()[:, 0], split.targets))


def test_a_step_is_read_net_of_its_own_sham(tmp_path: Path) -> None:
    found = audit(boston(), remove=["RM"], removals=["lazy", "newton", "shuffle_tuning"], out=tmp_path, **BRIEF)
    outcomes = found.table("outcomes").set_index(["removal", "seed"])
    assert {str(name) for name, _ in outcomes.index} == {
        "original", "sham", "sham?of=lazy", "sham?of=newton", "lazy", "newton", "shuffle_tuning"}
    summary, before = found.summary.set_index("removal"), outcomes.loc["lazy"].loss_before
    assert set(summary.index) == {"lazy", "newton", "shuffle_tuning"}
    for name, sham in (("lazy", "sham?of=lazy"), ("newton", "sham?of=newton"), ("shuffle_tuning", "sham")):
        assert set(outcomes.loc[name].sham) == {sham} and outcomes.loc[name].tuned.all()
        costs = (outcomes.loc[name].loss_native - outcomes.loc[sham].loss_native) / before
        assert summary.cost_net[name] == pytest.approx(costs.mean(), rel=1e-9)
    np.testing.assert_allclose(outcomes.loc["sham?of=newton"].loss_native, before, rtol=1e-4)  # no step
    assert (abs(outcomes.loc["sham?of=lazy"].loss_native / before - 1) > 1e-3).any()
    assert (outcomes.loc["lazy"].steps == 1).all() and outcomes.loc["lazy"].budget.isna().all()
    assert set(found.verdicts.query("removal == 'lazy'").direct) == {"proved none"}


def test_nothing_takes_it_for_a_removal_of_a_feature(run: Audit) -> None:
    found = tables(run)
    everything = pairs(found["outcomes"], found["failures"])
    assert set(everything.removal) == set(METHOD_NAMES) and set(everything.removed) == {"RM", "LSTAT"}
    failed = pd.DataFrame([{**found["outcomes"].iloc[0][["dataset", "layer", "rank"]], "removal": SHAM, "removed": "",
                            "scorer": "", "error": "no room"}])
    pd.testing.assert_frame_equal(pairs(found["outcomes"], failed), everything)
    assert (run.path / "report.html").exists() and not run.failed


def test_without_a_tuned_method_there_is_none_and_naming_it_is_refused(tmp_path: Path) -> None:
    closed = audit(boston(), remove=["RM"], removals=["fold"], out=tmp_path, **BRIEF)
    assert SHAM not in set(closed.table("outcomes").removal)
    assert not closed.table("outcomes").tuned.any()
    np.testing.assert_allclose(closed.summary.cost_net, closed.summary.loss_change, rtol=1e-12)
    with pytest.raises(InputError, match="sham removes nothing: it runs by itself"):
        audit(boston(), remove=["RM"], removals=["fold", SHAM], out=tmp_path, **BRIEF)


def test_a_hidden_layers_sham_keeps_the_layers_below(tmp_path: Path) -> None:
    run = audit(boston(), layer=1, remove=["unit:1"], removals=["shuffle_tuning"], out=tmp_path, **BRIEF)
    sham = run.table("outcomes").query("removal == @SHAM", local_dict={"SHAM": SHAM})
    dataset = boston().with_decoy()
    originals = train_originals(dataset, SMALL, range(SEEDS), CPU).networks
    entering = {name: Split(originals.activations(split.inputs)[1], split.targets)
                for name, split in (("train", dataset.train), ("validation", dataset.validation))}
    budget = replace(SMALL.training, epochs=SMALL_TUNING)
    after = train(originals.tail(1), entering["train"], entering["validation"], "regression", budget, range(SEEDS))
    seen = Split(dataset.test.inputs[:30], dataset.test.targets[:30])
    expected = [mean_loss(originals.with_tail(after.networks), seen, member) for member in range(SEEDS)]
    np.testing.assert_allclose(sham.loss_native, expected, rtol=1e-5)
    whole = train(originals, dataset.train, dataset.validation, "regression", budget, range(SEEDS)).networks
    assert not np.allclose(sham.loss_native, [mean_loss(whole, seen, member) for member in range(SEEDS)], rtol=1e-3)


# Net costs.

def test_net_cost_by_hand(run: Audit) -> None:
    outcomes, summary = run.table("outcomes"), run.summary.set_index(["removed", "removal"])
    sham = outcomes[outcomes.removal == SHAM].set_index("seed").loss_native
    for removed in ("RM", "LSTAT"):
        for removal in METHOD_NAMES:
            rows = outcomes[(outcomes.removal == removal) & (outcomes.removed == removed)].set_index("seed")
            tuned = removal in ("shuffle_tuning", "fold_tuning")
            costs = [(rows.loss_native[s] - (sham[s] if tuned else rows.loss_before[s])) / rows.loss_before[s]
                     for s in range(SEEDS)]
            interval = stats.t.interval(0.95, SEEDS - 1, np.mean(costs), stats.sem(costs))
            row = summary.loc[(removed, removal)]
            np.testing.assert_allclose([row.cost_net, row.cost_net_low, row.cost_net_high],
                                       [np.mean(costs), *interval], rtol=1e-9)
            assert (row.cost_net == pytest.approx(row.loss_change)) == (not tuned)


def test_without_its_sham_a_tuned_method_has_no_net_cost(run: Audit) -> None:
    whole = tables(run)
    outcomes = whole["outcomes"]
    for lost in (outcomes.removal == SHAM, (outcomes.removal == SHAM) & (outcomes.seed == 1)):  # all, and one seed's
        found = summary_table({**whole, "outcomes": outcomes[~lost]}).set_index(["removed", "removal"])
        for _, row in found.iterrows():
            tuned = row.name[1] in ("shuffle_tuning", "fold_tuning")
            assert np.isnan(row[["cost_net", "cost_net_low", "cost_net_high"]].astype(float)).all() == tuned
            assert np.isfinite(row.loss_change) and not (tuned and row.cost_equivalent)


def with_costs(run: Audit, costs: list[float]) -> pd.Series:
    """The summary's row of shuffle_tuning of RM, had it cost so much beyond the sham."""
    whole = tables(run)
    outcomes = whole["outcomes"].copy()
    sham = outcomes[outcomes.removal == SHAM].set_index("seed").loss_native
    rows = outcomes[(outcomes.removal == "shuffle_tuning") & (outcomes.removed == "RM")]
    for (place, row), cost in zip(rows.iterrows(), costs, strict=True):
        outcomes.loc[place, "loss_native"] = sham[row.seed] + cost * row.loss_before
    found = summary_table({**whole, "outcomes": outcomes})
    return found[(found.removed == "RM") & (found.removal == "shuffle_tuning")].iloc[0]


@pytest.mark.parametrize(("costs", "equal"), [
    ([0.001, -0.001, 0.0005], True), ([-0.0002, 0.002, 0.001], True),
    ([0.02, 0.021, 0.019], False),     # a cost
    ([-0.02, -0.021, -0.019], False),  # a gain is a difference too
    ([0.05, -0.05, 0.001], False),     # an interval that holds 0 shows nothing
    ([0.0080, 0.0082, 0.0081], True), ([0.009, 0.013, 0.0095], False),
])
def test_no_difference_is_said_only_by_two_one_sided_tests(run: Audit, costs: list[float], equal: bool) -> None:
    row = with_costs(run, costs)
    assert row.cost_net == pytest.approx(np.mean(costs), abs=1e-9)
    assert bool(row.cost_equivalent) == equal
    p = max(stats.ttest_1samp(costs, -COST_MARGIN, alternative="greater").pvalue,
            stats.ttest_1samp(costs, COST_MARGIN, alternative="less").pvalue)
    assert (p < 0.05) == equal


@pytest.mark.parametrize("costs", [[], [0.0], [0.0, np.nan, 0.0], [0.0, np.inf]])
def test_what_was_not_measured_is_not_equal(costs: list[float]) -> None:
    assert not no_difference(np.array(costs))
    assert no_difference(np.zeros(2))


def test_the_catalogue_has_it_and_no_audit_asks_for_it_by_default() -> None:
    assert SHAM in REMOVALS.names
    assert SHAM not in make_spec(["iris"], removals="all").removals
