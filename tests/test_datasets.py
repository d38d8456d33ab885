"""The catalogue: what each data set holds, and that nothing of the test rows leaks into its preparation."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from attribution_suite import DATASETS, load_dataset
from attribution_suite.datasets.pca import principal_components
from attribution_suite.datasets.synthetic import linear_proxy
from attribution_suite.datasets.table import TabularDataset, stratified_split
from attribution_suite.errors import InputError

REAL = os.environ.get("ATTRIBUTION_SUITE_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="ATTRIBUTION_SUITE_DATA is not set")
pytestmark = pytest.mark.filterwarnings("ignore::attribution_suite.datasets.sources.StandInWarning")

CASES = [(name, "default") for name in DATASETS.names]
CASES += [(name, "published") for name in DATASETS.names if name != "synthetic"]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def dataset(request: pytest.FixtureRequest) -> TabularDataset:
    name, preset = request.param
    return load_dataset(name, preset=preset)


def test_groups_partition_the_features(dataset):
    columns = [column for group in dataset.groups.values() for column in group]
    assert sorted(columns) == list(range(dataset.features))
    assert len(set(dataset.feature_names)) == len(dataset.feature_names) == dataset.features


def test_inputs_are_finite_float32_and_targets_fit_the_task(dataset):
    assert dataset.inputs.dtype == np.float32 and np.isfinite(dataset.inputs).all()
    assert dataset.targets.dtype == (np.int64 if dataset.task == "multiclass" else np.float32)
    if dataset.task != "regression":
        assert sorted(set(dataset.targets.tolist())) == list(range(len(dataset.classes)))
    assert dataset.default_removals and all(dataset.columns(name) for name in dataset.default_removals)


def test_training_rows_are_in_no_other_part(dataset):
    assert not set(dataset.train_rows) & {*dataset.validation_rows, *dataset.test_rows}
    shared = set(dataset.validation_rows) & set(dataset.test_rows)
    assert not shared or any("validation rows" in note for note in dataset.notes)
    assert len({*dataset.train_rows, *dataset.validation_rows, *dataset.test_rows}) == len(dataset.inputs)


def test_scaler_reads_the_training_rows_alone(dataset):
    changed = dataset.inputs.copy()
    changed[dataset.test_rows] += 1000
    centre, scale = replace(dataset, inputs=changed).scaler
    np.testing.assert_array_equal(centre, dataset.scaler[0])
    np.testing.assert_array_equal(scale, dataset.scaler[1])
    changed[dataset.train_rows] += 1000
    scaled = (np.array(_kinds(dataset)) != "none") & (dataset.inputs.std(0) > 0)
    assert (replace(dataset, inputs=changed).scaler[0] != centre)[scaled].all()


def _kinds(dataset: TabularDataset) -> list[str]:
    if isinstance(dataset.scaling, str):
        return [dataset.scaling] * dataset.features
    return [dataset.scaling.get(column, "none") for column in range(dataset.features)]


def test_scaled_inputs_equal_scikit_learns(dataset):
    raw = dataset.inputs.astype(np.float64)
    expected = raw.copy()
    scalers = {"standard": StandardScaler(), "minmax": MinMaxScaler()}
    for column, kind in enumerate(_kinds(dataset)):
        if kind != "none":
            scaler = scalers[kind].fit(raw[dataset.train_rows, column:column + 1])
            expected[:, column] = scaler.transform(raw[:, column:column + 1])[:, 0]
    np.testing.assert_allclose(dataset.test.inputs.numpy(), expected[dataset.test_rows], rtol=1e-4, atol=1e-4)


def test_a_constant_column_keeps_scale_one():
    dataset = replace(linear_proxy(rows=50), inputs=np.full((50, 3), 0.1, np.float32))
    np.testing.assert_array_equal(dataset.scaler[1], 1.0)


@needs_real
@pytest.mark.parametrize(("name", "preset", "rows", "features", "groups", "outputs", "test"), [
    ("boston", "default", 506, 13, 13, 1, 76),
    ("boston", "published", 506, 13, 13, 1, 152),
    ("iris", "default", 150, 4, 4, 3, 24),
    ("iris", "published", 150, 4, 4, 3, 15),
    ("heart", "default", 918, 20, 11, 1, 138),
    ("heart", "published", 918, 17, 10, 1, 92),
    ("prudential", "default", 59381, 126 - 1 + 6 + 13, 126, 8, 8907),
    ("prudential", "published", 59381, 130, 130, 8, 11877),
])
def test_real_shapes(name, preset, rows, features, groups, outputs, test):
    dataset = load_dataset(name, preset=preset, real_only=True)
    assert dataset.inputs.shape == (rows, features)
    assert (len(dataset.groups), dataset.outputs, len(dataset.test)) == (groups, outputs, test)
    assert not dataset.provenance.simulated and dataset.provenance.note == "", "a known checksum needs no note"


@needs_real
def test_boston_published_split_is_that_of_captums_tutorial():
    frame = pd.read_csv(f"{REAL}/boston.csv")
    inputs, _, targets, _ = train_test_split(frame.drop(columns="MEDV").to_numpy(), frame["MEDV"].to_numpy(),
                                             test_size=0.3, random_state=0)
    train = load_dataset("boston", preset="published").train
    np.testing.assert_allclose(train.inputs, inputs, rtol=1e-6)
    np.testing.assert_allclose(train.targets, targets, rtol=1e-6)


@needs_real
def test_heart_zeros_that_mean_not_measured_become_gaps():
    frame = pd.read_csv(f"{REAL}/heart.csv")
    dataset = load_dataset("heart")
    value, gap = dataset.columns("Cholesterol")
    missing = dataset.inputs[:, gap] == 1
    assert missing.sum() == 172 and dataset.inputs[:, dataset.columns("RestingBP")[1]].sum() == 1
    np.testing.assert_array_equal(missing, frame["Cholesterol"] == 0)
    train = frame["Cholesterol"].iloc[dataset.train_rows]
    np.testing.assert_allclose(dataset.inputs[missing, value], train[train > 0].mean(), rtol=1e-6)
    assert (load_dataset("heart", preset="published").inputs[:, 2] == 0).sum() == 172, "published: zeros kept"


@needs_real
def test_prudential_gaps_match_the_known_counts():
    frame = pd.read_csv(f"{REAL}/prudential_train.csv.gz")
    assert frame.isna().sum().sum() == 393_103
    sound, published = load_dataset("prudential"), load_dataset("prudential", preset="published")
    gaps = [index for index, name in enumerate(sound.feature_names) if name.endswith(" missing")]
    assert len(gaps) == 13 and sound.inputs[:, gaps].sum() == 393_103 == (published.inputs == -1000).sum()
    value, gap = sound.columns("Family_Hist_5")
    filled = sound.inputs[sound.inputs[:, gap] == 1, value]
    np.testing.assert_allclose(filled, frame["Family_Hist_5"].iloc[sound.train_rows].median(), rtol=1e-6)


@needs_real
def test_prudential_published_preparation_by_hand():
    frame = pd.read_csv(f"{REAL}/prudential_train.csv.gz")
    dataset = load_dataset("prudential", preset="published")
    column = {name: dataset.inputs[:, index] for index, name in enumerate(dataset.feature_names)}
    np.testing.assert_allclose(column["BMI_Age"], frame["BMI"] * frame["Ins_Age"], rtol=1e-6)
    np.testing.assert_array_equal(column["Med_Keywords_Count"], frame.filter(like="Medical_Keyword_").sum(axis=1))
    for name, part in (("Product_Info_2_char", slice(0, 1)), ("Product_Info_2_num", slice(1, 2))):
        pairs = set(zip(column[name], frame["Product_Info_2"].str[part], strict=True))
        assert len(pairs) == len({code for code, _ in pairs}) == len({text for _, text in pairs}), "one code a category"
    np.testing.assert_array_equal(dataset.targets, frame["Response"] - 1)
    _, validation = train_test_split(frame["Response"].to_numpy() - 1, test_size=0.2, random_state=42)
    np.testing.assert_array_equal(dataset.validation.targets, validation)


@pytest.mark.parametrize("name", ["boston", "heart"])
def test_components_equal_scikit_learns_pca_of_the_training_rows(name):
    dataset = load_dataset(name)
    reduced = load_dataset(name, pca=6)
    model = PCA(6, svd_solver="full").fit(dataset.train.inputs.double())
    np.testing.assert_allclose(reduced.test.inputs, model.transform(dataset.test.inputs.double()), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(reduced.components.loadings, model.components_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(reduced.components.explained, model.explained_variance_ratio_, rtol=1e-5)
    assert reduced.feature_names == tuple(f"PC {index}" for index in range(6))
    assert reduced.default_removals == ("PC 0", "PC 2", "PC 5")
    assert reduced.components.feature_names == tuple(dataset.feature_names)


def test_components_do_not_depend_on_test_rows():
    dataset = load_dataset("iris")
    changed = dataset.inputs.copy()
    changed[dataset.test_rows] *= -7
    before, after = principal_components(dataset, 3), principal_components(replace(dataset, inputs=changed), 3)
    np.testing.assert_array_equal(before.inputs[dataset.train_rows], after.inputs[dataset.train_rows])
    with pytest.raises(InputError, match="1 to 4"):
        principal_components(dataset, 5)


def test_synthetic_follows_its_formula():
    dataset = linear_proxy(0.6, rows=20_000, seed=1)
    x1, x2, x3 = dataset.inputs.astype(float).T
    assert np.corrcoef(x1, x2)[0, 1] == pytest.approx(0.6, abs=0.02)
    coefficients, *_ = np.linalg.lstsq(np.c_[x1, x2, x3], dataset.targets, rcond=None)
    np.testing.assert_allclose(coefficients, [2, 0, 1], atol=0.01)
    without, *_ = np.linalg.lstsq(np.c_[x2, x3], dataset.targets, rcond=None)
    np.testing.assert_allclose(without, [2 * 0.6, 1], atol=0.05)
    with pytest.raises(InputError):
        linear_proxy(1.0)


def test_weight_history_set_is_the_line():
    dataset = load_dataset("weight_history", preset="published")
    x, slope, offset, noise = dataset.inputs.T
    np.testing.assert_allclose(dataset.targets, 2 * x + 50, rtol=1e-6)
    assert (slope == 2).all() and (offset == 50).all()
    assert abs(np.corrcoef(noise, dataset.targets)[0, 1]) < 0.1


def test_generated_rows_and_splits_follow_the_seed():
    first, again, other = (load_dataset("synthetic", seed=seed) for seed in (0, 0, 1))
    assert first.provenance.sha256 == again.provenance.sha256 != other.provenance.sha256
    iris, same, different = (load_dataset("iris", seed=seed).test_rows for seed in (0, 0, 1))
    assert (iris == same).all() and set(iris) != set(different)


@pytest.mark.parametrize("smallest", [6, 7, 11, 50])
def test_stratified_split_keeps_every_class_in_its_proportion(smallest):
    classes = np.repeat([0, 1, 2], [smallest, 100, 300])
    parts = stratified_split(classes, (0.7, 0.15, 0.15), seed=3)
    assert sorted(np.concatenate(parts)) == list(range(len(classes)))
    for part, fraction in zip(parts, (0.7, 0.15, 0.15), strict=True):
        counts = np.bincount(classes[part], minlength=3)
        assert counts[0] >= 1
        np.testing.assert_allclose(counts[1:], fraction * np.array([100, 300]), atol=1)
        assert (np.diff(classes[part]) < 0).any(), "the first rows of a part must not be of one class"


@pytest.mark.parametrize(("options", "message"), [
    ({"name_or_table": "bostn"}, "did you mean boston"),
    ({"name_or_table": "iris", "preset": "publishd"}, "did you mean published"),
    ({"name_or_table": "synthetic", "preset": "published"}, "unknown preset"),
    ({"name_or_table": "iris", "target": "species"}, "is for tables of your own"),
    ({"name_or_table": "iris", "task": "binary"}, "is for tables of your own"),
    ({"name_or_table": "iris", "pca": 0}, "1 to 4 principal components"),
    ({"name_or_table": "iris", "pca": "3"}, "option 'pca' '3': iris has 1 to 4"),
    ({"name_or_table": "iris", "seed": -1}, "option 'seed' must be a whole number of at least 0, got -1"),
    ({"name_or_table": "iris", "seed": "one"}, "option 'seed' must be a whole number of at least 0, got 'one'"),
    ({"name_or_table": "iris", "sed": 1}, "unknown option 'sed'; did you mean seed"),
    ({"name_or_table": "boston", "data_dir": "no/such/place"}, "no such directory; option 'data_dir'"),
])
def test_bad_requests_say_what_to_do(options, message):
    with pytest.raises(InputError, match=message):
        load_dataset(**options)


def test_a_file_of_another_kind_is_refused_by_its_ending(tmp_path):
    path = tmp_path / "table.xlsx"
    path.write_text("")
    with pytest.raises(InputError, match=r"only files that end in \.csv"):
        load_dataset(path)


def test_importing_the_catalogue_loads_no_heavy_package():
    code = ("import sys, attribution_suite.datasets; "
            "print([name for name in ('torch', 'pandas', 'sklearn', 'numpy') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
