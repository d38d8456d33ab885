"""What is removed from which network, with which budget, and what that costs: recomputed from plain modules."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attribution_suite import audit, load_dataset, remove, train
from attribution_suite.conclusions.summary import edits
from attribution_suite.datasets.table import Split, TabularDataset
from attribution_suite.networks.perceptrons import Perceptrons

pytestmark = pytest.mark.usefixtures("plain")

SEEDS, ROWS, TUNING = 3, 12, 0.05
QUIET = {"jobs": 1, "device": "cpu", "seeds": SEEDS, "rows": ROWS, "lime_rows": 3, "reference": "off",
         "say": lambda line: None}
METHODS = ["stochastic_tuning", "shuffle_tuning", "fold"]


def brief(name: str, preset: str = "default") -> TabularDataset:
    """A data set whose networks are trained for ten epochs: what is shown here holds of any."""
    dataset = load_dataset(name, preset=preset)
    return replace(dataset, preset=replace(dataset.preset, training=replace(dataset.preset.training, epochs=10)))


def modules(networks: Perceptrons) -> list[nn.Sequential]:
    return [networks.to_module(member) for member in range(len(networks))]


def loss(module: nn.Module, inputs: Tensor, rows: Split, task: str) -> float:
    with torch.no_grad():
        outputs = module(inputs)
    return float(F.cross_entropy(outputs, rows.targets) if task == "multiclass" else
                 F.mse_loss(outputs[:, 0], rows.targets))


def replaced(method: str, published: bool, seed: int, dataset: TabularDataset, column: int) -> Tensor:
    """The validation rows as the method's training sees them: the draws of its early stopping, seed by seed."""
    inputs, train_column = dataset.validation.inputs.clone(), dataset.train.inputs[:, column]
    draws = torch.Generator().manual_seed(1_000_003 * seed + 14)
    if method == "stochastic_tuning" and published:
        inputs[:, column] = train_column.mean() + torch.randn(inputs.shape, generator=draws)[:, column]
    elif method == "stochastic_tuning":
        inputs[:, column] = train_column[torch.randint(len(train_column), (len(inputs),), generator=draws)]
    return inputs


@pytest.mark.parametrize(("name", "feature", "preset"), [
    ("synthetic", "X1", "default"), ("iris", "petal_width", "default"), ("iris", "petal_width", "published")])
def test_validation_losses_are_those_of_plain_modules(tmp_path: Path, name: str, feature: str, preset: str) -> None:
    dataset = brief(name, preset)
    found = audit(dataset, out=tmp_path, remove=feature, removals=METHODS, scorers=["saliency"], tuning=TUNING,
                  **QUIET).table("outcomes")
    outcomes = edits(found).set_index(["removal", "seed"])
    dataset = dataset if preset == "published" else dataset.with_decoy()
    column, = dataset.columns(feature)
    originals, rows = train(dataset, seeds=SEEDS).networks, dataset.validation
    for method in METHODS:
        options: dict[str, Any] = {"published": True} if (method, preset) == ("stochastic_tuning", "published") else {}
        edited = modules(remove(originals, dataset, feature, method, tuning=TUNING, **options))
        for seed, (before, after) in enumerate(zip(modules(originals), edited, strict=True)):
            row = outcomes.loc[(method, seed)]
            assert row.validation_before == pytest.approx(loss(before, rows.inputs, rows, dataset.task), rel=1e-4)
            assert row.validation_native == pytest.approx(loss(after, rows.inputs, rows, dataset.task), rel=1e-4)
            if method != "shuffle_tuning":  # whose permutation within batches is its own to draw
                seen = replaced(method, preset == "published", seed, dataset, column)
                expected = loss(after, seen, rows, dataset.task)
                assert row.validation_perturbed == pytest.approx(expected, rel=1e-4)
    tuned, folded = outcomes.loc[["stochastic_tuning", "shuffle_tuning"]], outcomes.loc["fold"]
    assert (tuned.validation_perturbed != tuned.validation_native).all()
    np.testing.assert_array_equal(folded.validation_perturbed, folded.validation_native)
    assert (outcomes.validation_native != outcomes.validation_before).all()


@pytest.mark.parametrize(("name", "feature"), [("synthetic", "X1"), ("iris", "petal_width")])
def test_the_largest_effect_is_over_the_quantiles_of_the_training_rows(tmp_path: Path, name: str,
                                                                       feature: str) -> None:
    found = audit(brief(name), out=tmp_path, remove=feature, removals=["stochastic_tuning"], scorers=["saliency"],
                  tuning=TUNING, **QUIET)
    outcomes = edits(found.table("outcomes")).set_index("seed")
    dataset = brief(name).with_decoy()
    column, = dataset.columns(feature)
    values = dataset.train.inputs[:, column].numpy()
    grid = np.quantile(values, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)).astype(np.float32)
    originals, inputs = train(dataset, seeds=SEEDS).networks, dataset.test.inputs[:ROWS]
    assert grid[-1] > inputs[:, column].max()  # else the explained rows would do as well
    edited = modules(remove(originals, dataset, feature, "stochastic_tuning", tuning=TUNING))
    for seed, (before, after) in enumerate(zip(modules(originals), edited, strict=True)):
        largest = []
        for row in inputs:
            output = int(before(row[None]).argmax())  # of the class that the original predicts
            moved = row.repeat(len(grid), 1)
            moved[:, column] = torch.from_numpy(grid)
            with torch.no_grad():
                largest.append(float((after(moved)[:, output] - after(row[None])[0, output]).abs().max()))
        assert outcomes.loc[seed, "direct_effect_max"] == pytest.approx(np.mean(largest), rel=1e-3)


@pytest.mark.parametrize(("words", "epochs"), [
    ({"preset": "published"}, 30), ({"preset": "published", "tuning": 0.5}, 15), ({}, 15), ({"tuning": 0.1}, 6)])
def test_a_published_setting_is_tuned_as_published(tmp_path: Path, words: dict[str, Any], epochs: int) -> None:
    """The quick profile's quarter is of the default preset's 60 epochs alone."""
    asked = {"remove": "petal_width", "removals": ["shuffle_tuning"], "scorers": ["saliency"], **QUIET, "seeds": 1}
    found = audit("iris", out=tmp_path / "name", **asked, **words)
    assert found.record["datasets"]["iris"]["tuning"]["epochs"] == epochs
    budgets = found.table("outcomes").groupby("removal").budget.first()
    assert budgets.shuffle_tuning == budgets.sham == epochs / (30 if "preset" in words else 60)
    assert np.isnan(budgets.original)
    note = f"{round(100 * budgets.sham)} % budget"
    assert list(found.summary.note) == [note if budgets.sham < 1 else ""]
    curve = found.table("training").query("removal == 'shuffle_tuning'")
    assert curve.epoch.max() <= epochs and ("preset" not in words or curve.epoch.max() == epochs)
    table = load_dataset("iris", preset=words.get("preset", "default"))  # the preset travels with a table
    given = audit(table, out=tmp_path / "table", **asked, tuning=words.get("tuning"))
    assert given.record["datasets"]["iris"]["tuning"]["epochs"] == epochs


def test_a_goal_that_was_not_reached_is_said(tmp_path: Path) -> None:
    found = audit(brief("iris"), out=tmp_path, remove="petal_width", scorers=["saliency"], tuning=0.02, removals=[
        "shuffle_tuning?until=1e-6&then=fold", "shuffle_tuning?until=1e6", "shuffle_tuning"], **QUIET)
    folded, easy, plain = "shuffle_tuning?then=fold&until=1e-06", "shuffle_tuning?until=1000000.0", "shuffle_tuning"
    outcomes = edits(found.table("outcomes"))
    goals = {str(removal): set(rows.goal) for removal, rows in outcomes.groupby("removal")}
    assert goals == {folded: {"not reached"}, easy: {"reached"}, plain: {""}}
    notes = found.summary.set_index("removal").note
    assert notes[folded] == "1.7 % budget, goal reached in 0 of 3 networks" and notes[plain] == "1.7 % budget"
    assert notes[easy] == "1.7 % budget, goal reached in 3 of 3 networks"
    direct = found.verdicts.set_index("removal").direct
    assert direct[folded] == "proved none" and direct[plain] == "present"


SCORERS = ["saliency", "input_x_gradient", "integrated_gradients", "random"]


def test_top_units_are_each_networks_own(tmp_path: Path) -> None:
    run = audit("iris", out=tmp_path, layer=1, remove="top:3", removals=["constant", "retrain"], scorers=SCORERS,
                **QUIET)
    outcomes = edits(run.table("outcomes"))
    units = {seed: tuple(rows[rows.removal == "constant"].sort_values("rank").removed)
             for seed, rows in outcomes.groupby("seed")}
    assert len(set(units.values())) > 1  # else nothing is shown here
    for name in ("outcomes", "shifts"):
        for (seed, _), rows in edits(run.table(name)).groupby(["seed", "removal"]):
            by_rank = rows.drop_duplicates(["rank", "removed"]).set_index("rank").removed
            assert by_rank.to_dict() == dict(enumerate(units[seed], 1)), name
    originals = run.table("attributions").query("removal == 'original'")
    assert set(originals["rank"]) == {0}
    gone = run.table("shifts").query("scorer != 'random'")
    assert (gone.share_after == 0).all()  # of the unit that the row names
