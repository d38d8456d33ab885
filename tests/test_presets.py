"""The network of each data set travels with the table: its numbers, and that a name alone brings none."""

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution_suite import audit, load_dataset, train
from attribution_suite.auditing.plan import architecture_for
from attribution_suite.auditing.spec import PROFILES, make_spec
from attribution_suite.auditing.subject import Subject
from attribution_suite.auditing.work.edit import published_options
from attribution_suite.datasets import DATASETS
from attribution_suite.datasets.arrays import from_arrays
from attribution_suite.datasets.load import load_request
from attribution_suite.datasets.preset import GENERIC, Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.networks import originals

pytestmark = [pytest.mark.usefixtures("plain"),
              pytest.mark.filterwarnings("ignore::attribution_suite.datasets.sources.StandInWarning")]

# Hidden widths, activation; epochs, batch, rate, optimiser, patience, weights kept; epochs of a full warm start.
# 'published' is what docs/methods.md says of each source.
NUMBERS: dict[tuple[str, str], tuple] = {
    ("boston", "default"): ((64, 32), "relu", 200, 32, 0.002, "adam", 20, "best", 60),
    ("boston", "published"): ((100, 50, 10), "relu", 200, 10, 0.0001, "rmsprop", None, "last", 30),
    ("iris", "default"): ((12,), "relu", 150, 16, 0.01, "adam", 20, "best", 60),
    ("iris", "published"): ((12,), "relu", 125, 135, 0.15, "adam", None, "last", 30),
    ("heart", "default"): ((32, 16), "relu", 100, 32, 0.002, "adam", 10, "best", 40),
    ("heart", "published"): ((512, 1024), "tanh", 100, 8, 0.001, "adam", None, "last", 30),
    ("prudential", "default"): ((32, 16), "relu", 30, 64, 0.001, "adam", 2, "best", 30),
    ("prudential", "published"): ((32, 16), "relu", 30, 64, 0.001, "adam", 2, "best", 30),
    ("synthetic", "default"): ((16,), "relu", 60, 32, 0.005, "adam", 10, "best", 30),
    ("weight_history", "default"): ((4,), "linear", 500, 32, 0.01, "adam", None, "best", 30),
    ("weight_history", "published"): ((4,), "linear", 500, 32, 0.01, "adam", None, "last", 30),
}
OWN = ((64, 32), "relu", 100, 32, 0.001, "adam", 10, "best", 30)
PUBLISHED_SHAPES = {"boston": "13-100-50-10-1 relu", "iris": "4-12-3 relu", "heart": "17-512-1024-1 tanh",
                    "weight_history": "4-4-1 linear"}


def numbers(preset: Preset) -> tuple:
    budget = preset.training
    assert budget.max_steps is None and budget.record_every is None
    return (preset.hidden, preset.activation, *astuple(budget)[:6], preset.tuning_epochs)


def subject(table: TabularDataset) -> Subject:
    return Subject(table.name, "", table.preset, PROFILES["full"], (), 0, "cpu")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).standard_normal((60, 3)), columns=list("abc"))


@pytest.mark.parametrize(("name", "preset"), NUMBERS)
def test_every_data_set_brings_its_numbers(name: str, preset: str) -> None:
    table = load_dataset(name, preset=preset)
    assert table.preset.name == preset and numbers(table.preset) == NUMBERS[name, preset]
    assert subject(table).tuning == replace(table.preset.training, epochs=table.preset.tuning_epochs)
    if preset == "published" and name in PUBLISHED_SHAPES:
        assert str(architecture_for(subject(table), table)) == PUBLISHED_SHAPES[name]
    if name == "iris" and preset == "published":
        assert len(table.train_rows) == table.preset.training.batch_size  # one step an epoch


def test_the_table_of_numbers_has_every_data_set() -> None:
    assert {name for name, _ in NUMBERS} == set(DATASETS.names)


@pytest.mark.parametrize("change", [lambda table: table.with_decoy(), lambda table: replace(table, name="other")])
def test_the_preset_stays_with_what_is_made_of_a_table(change) -> None:
    assert change(load_dataset("iris", preset="published")).preset.name == "published"
    assert numbers(load_dataset("heart", preset="published", pca=3).preset) == NUMBERS["heart", "published"]


@pytest.mark.parametrize("name", ["heart", "boston", "iris"])
def test_a_name_alone_brings_no_network(rows: pd.DataFrame, name: str) -> None:
    table = from_arrays(rows, rows["a"], name=name)
    assert table.preset == GENERIC and numbers(GENERIC) == OWN
    assert str(train(table, seeds=1, training=Training(1, 20, 1e-3)).networks.architecture) == "3-64-32-1 relu"


def test_a_file_called_boston_is_a_table_of_ones_own(rows: pd.DataFrame, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "boston.csv"
    rows.assign(y=rows["a"] - rows["b"]).to_csv(path, index=False)
    table = load_dataset(path, target="y")
    assert table.name == "boston" and numbers(table.preset) == OWN
    budgets: list[Training] = []
    monkeypatch.setattr(originals, "train", lambda *words: budgets.append(words[4]))
    train(table, seeds=1)
    train("boston", seeds=1)
    assert [budget.epochs for budget in budgets] == [100, 200]
    found = audit(path, target="y", remove="a", removals=["constant"], scorers=["saliency"], seeds=1, rows=5, jobs=1,
                  out=tmp_path / "out", say=lambda _: None)
    about = found.record["datasets"]["boston"]
    assert (about["training"]["epochs"], about["training"]["patience"]) == (100, 10)
    assert about["tuning"]["epochs"] == round(30 * 0.25)


def test_a_table_that_is_given_brings_its_own_preset() -> None:
    published, sound = (load_dataset("iris", preset=preset) for preset in ("published", "default"))
    assert subject(published).preset.training.learning_rate == 0.15
    short = Training(1, 50, 0.01)
    assert train(published, seeds=1, preset="published", training=short).networks.architecture.features == 4
    with pytest.raises(InputError, match="'iris' is a table with the preset 'default': option 'preset'"):
        train(sound, seeds=1, preset="published", training=short)
    with pytest.raises(InputError, match="'iris' is a table with the preset 'default': option 'preset'"):
        load_request(make_spec(["iris"], in_memory=["iris"], preset="published").requests[0], sound)


@pytest.mark.parametrize("removal", ["stochastic_tuning", "inversion_tuning"])
def test_published_variants_of_removals_go_with_the_tables_preset(removal: str) -> None:
    for preset, expected in (("published", {"published": True}), ("default", {})):
        asked = subject(load_dataset("iris", preset=preset))
        assert published_options(asked, removal) == expected and published_options(asked, "constant") == {}
