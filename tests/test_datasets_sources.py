"""Where a table comes from: the order of places, the checks, and the stand-ins against the real files."""

import gzip
import io
import os
import sys
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution_suite import load_dataset
from attribution_suite.datasets import boston, heart, prudential, sources
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.sources import FileSource, StandInWarning
from attribution_suite.errors import InputError

REAL = os.environ.get("ATTRIBUTION_SUITE_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="ATTRIBUTION_SUITE_DATA is not set")
ALL = {"boston": boston, "heart": heart, "prudential": prudential}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data directory, an empty cache, and no network."""
    monkeypatch.delenv("ATTRIBUTION_SUITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_connect", _offline)


def _offline(host: str) -> None:
    raise ConnectionError(f"{host}: offline")


@pytest.fixture
def heart_csv() -> str:
    """A table of the right form."""
    return heart.simulate().to_csv(index=False)


def asking(**options: object) -> DatasetRequest:
    """A request; a source of files does not ask for its name."""
    return DatasetRequest.of("any", **options)


def _cache() -> Path:
    directory = sources.cache_directory()
    directory.mkdir(parents=True)
    return directory


def test_places_are_tried_in_order(tmp_path, monkeypatch, heart_csv):
    option, variable, cache = tmp_path / "option", tmp_path / "variable", _cache()
    for directory in (option, variable, cache):
        directory.mkdir(exist_ok=True)
        (directory / "heart.csv").write_text(heart_csv)
    monkeypatch.setenv("ATTRIBUTION_SUITE_DATA", str(variable))
    for directory, asked in ((option, option), (variable, None), (cache, None)):
        provenance = heart.SOURCE.table(asking(data_dir=asked))[1]
        assert (provenance.source, provenance.location) == ("file", str(directory / "heart.csv"))
        (directory / "heart.csv").unlink()
    with pytest.warns(StandInWarning):
        assert heart.SOURCE.table(asking())[1].simulated


def test_a_directory_without_the_file_leads_to_the_next_place(tmp_path, heart_csv):
    (_cache() / "heart.csv").write_text(heart_csv)
    (tmp_path / "empty").mkdir()
    assert load_dataset("heart", data_dir=tmp_path / "empty").provenance.source == "file"


def _packed(text: str, name: str) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(text.encode())
    if name.endswith(".zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("heart.csv", text)
        return buffer.getvalue()
    return text.encode()


@pytest.mark.parametrize("name", heart.SOURCE.files)
def test_every_accepted_name_is_read(tmp_path, heart_csv, name):
    (tmp_path / name).write_bytes(_packed(heart_csv, name))
    dataset = load_dataset("heart", data_dir=tmp_path, real_only=True)
    assert dataset.provenance.location.endswith(name)
    assert "checksum is not the known one" in dataset.provenance.note


@needs_real
@pytest.mark.parametrize("name", prudential.SOURCE.files)
def test_prudential_under_its_original_names(tmp_path, name):
    text = gzip.decompress(Path(f"{REAL}/prudential_train.csv.gz").read_bytes()).decode()
    (tmp_path / name).write_bytes(_packed("\n".join(text.splitlines()[:40]), name))
    with pytest.raises(InputError, match="39 rows, 59381 expected"):
        load_dataset("prudential", data_dir=tmp_path)


def _edited(text: str, edit) -> str:
    return edit(pd.read_csv(io.StringIO(text))).to_csv(index=False)


def _set(column: str, value: object):
    def edit(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[4, column] = value
        return frame
    return edit


@pytest.mark.parametrize(("edit", "message"), [
    (lambda frame: frame.drop(columns="Age"), "no column 'Age'"),
    (lambda frame: frame.assign(Extra=1), "unexpected column 'Extra'"),
    (lambda frame: frame.iloc[:-1], "917 rows, 918 expected"),
    (_set("Age", "old"), "column 'Age' holds numbers, but 'old' in data row 5"),
    (_set("Age", np.nan), "column 'Age' has missing values"),
    (_set("Oldpeak", np.inf), "column 'Oldpeak' has inf in data row 5"),
    (_set("ST_Slope", "Sideways"), "unknown category 'Sideways'; known: Down, Flat, Up"),
])
def test_a_wrong_file_is_refused_by_name(tmp_path, heart_csv, edit, message):
    (tmp_path / "heart.csv").write_text(_edited(heart_csv, edit))
    with pytest.raises(InputError, match=message) as caught:
        load_dataset("heart", data_dir=tmp_path)
    assert str(tmp_path / "heart.csv") in str(caught.value)


def test_real_only_refuses_the_stand_in_and_says_how_to_get_the_file():
    with pytest.raises(InputError, match=r"download failed \(api.kaggle.com: offline\).*put heart.csv"):
        load_dataset("heart", real_only=True)
    assert not sources.cache_directory().exists()


def test_the_stand_in_is_told_of_once_in_one_line():
    with pytest.warns(StandInWarning) as told:
        dataset = load_dataset("boston")
    assert len(told) == 1 and told[0].filename == __file__
    message = str(told[0].message)
    assert "SIMULATED" in message and "offline" in message and "\n" not in message
    assert dataset.provenance.source == "simulated" and boston.TRUTH in dataset.provenance.note


def test_a_variable_that_names_no_directory_is_told(monkeypatch):
    monkeypatch.setenv("ATTRIBUTION_SUITE_DATA", "/no/such/place")
    with pytest.warns(StandInWarning, match="ATTRIBUTION_SUITE_DATA=/no/such/place is no directory"):
        load_dataset("boston")


def _download(text: str, monkeypatch: pytest.MonkeyPatch) -> FileSource:
    def fetch(directory: Path) -> Path:
        (directory / "heart.csv").write_text(text)
        return directory / "heart.csv"

    monkeypatch.setattr(sources, "_connect", lambda host: None)
    return replace(heart.SOURCE, download=fetch)


def test_a_download_is_kept_in_the_cache(monkeypatch, heart_csv):
    frame, provenance = _download(heart_csv, monkeypatch).table(asking())
    assert provenance.source == "download"
    again, cached = heart.SOURCE.table(asking(real_only=True))
    assert cached.source == "file" and cached.sha256 == provenance.sha256
    pd.testing.assert_frame_equal(frame, again)
    assert [path.name for path in sources.cache_directory().iterdir()] == ["heart.csv"]


def test_a_partial_download_leaves_nothing(monkeypatch, heart_csv):
    source = _download(heart_csv[:20_000], monkeypatch)
    with pytest.warns(StandInWarning, match="download failed"):
        source.table(asking())
    assert list(sources.cache_directory().iterdir()) == []


def test_kagglehub_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(sources, "_connect", lambda host: None)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(InputError, match="kagglehub is not installed: pip install"):
        load_dataset("heart", real_only=True)


def test_a_host_that_cannot_be_reached_is_given_up_quickly(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sources, "CONNECT_SECONDS", 0.2)
    assert sources._unreachable.__wrapped__("host.invalid") != ""


# The stand-ins against the real files: column for column.

@pytest.fixture(scope="module")
def stand_ins() -> dict[str, pd.DataFrame]:
    return {name: module.simulate() for name, module in ALL.items()}


@pytest.mark.parametrize("name", ALL)
def test_a_stand_in_passes_the_check_of_the_real_table(tmp_path, stand_ins, name):
    (tmp_path / ALL[name].SOURCE.files[-1]).write_bytes(
        _packed(stand_ins[name].to_csv(index=False), ALL[name].SOURCE.files[-1].replace(".zip", "")))
    assert ALL[name].SOURCE.table(asking(data_dir=tmp_path, real_only=True))[1].source == "file"


@needs_real
@pytest.mark.parametrize("name", ALL)
def test_a_stand_in_has_the_real_types_ranges_and_gaps(stand_ins, name):
    real = ALL[name].SOURCE.table(asking(data_dir=REAL, real_only=True))[0]
    stand_in = stand_ins[name]
    assert list(stand_in.columns) == list(real.columns) and len(stand_in) == len(real)
    for column in real:
        ours, theirs = stand_in[column], real[column]
        assert ours.isna().mean() == pytest.approx(theirs.isna().mean(), abs=1e-4), column
        assert ours.to_numpy().dtype == theirs.to_numpy().dtype, column
        if column in ("Id", "MEDV"):  # a plain count; the formula's own range
            continue
        if theirs.nunique() <= 19:
            rates = ours.value_counts(normalize=True) - theirs.value_counts(normalize=True)
            tolerance = 0.05 if column == "HeartDisease" else 0.002
            assert rates.notna().all() and rates.abs().max() < tolerance, column
        else:
            spread = theirs.max() - theirs.min()
            assert abs(ours.min() - theirs.min()) <= 0.02 * spread, column
            assert ours.max() == pytest.approx(theirs.max(), abs=0.02 * spread), column
            assert ours.mean() == pytest.approx(theirs.mean(), abs=0.05 * spread), column


@needs_real
def test_the_comparison_would_notice_another_table(stand_ins):
    real = ALL["boston"].SOURCE.table(asking(data_dir=REAL))[0]
    shuffled = stand_ins["boston"].assign(NOX=stand_ins["boston"]["RM"])
    assert abs(shuffled["NOX"].mean() - real["NOX"].mean()) > 0.05 * np.ptp(real["NOX"])


def test_the_truth_of_the_stand_ins_can_be_recovered(stand_ins):
    frame = stand_ins["boston"].query("5 < MEDV < 50")
    inputs = frame.drop(columns="MEDV")
    design = np.c_[inputs, np.ones(len(inputs))]
    coefficients = dict(zip(inputs, np.linalg.lstsq(design, frame["MEDV"], rcond=None)[0], strict=False))
    expected = dict.fromkeys(inputs, 0.0) | {"RM": 4, "LSTAT": -0.5, "PTRATIO": -0.9, "B": 0.01}
    deviations = inputs.std()
    for name, value in expected.items():  # in the target's units, per standard deviation; residual sd 3, n = 500
        assert abs(coefficients[name] - value) * deviations[name] < 1.0, name

    from sklearn.linear_model import LogisticRegression
    table = stand_ins["heart"]
    inputs = np.c_[table["ST_Slope"] == "Flat", table["ST_Slope"] == "Down", table["ChestPainType"] == "ASY",
                   table["Sex"] == "M", table["ExerciseAngina"] == "Y", table["FastingBS"], table["Oldpeak"],
                   table["Cholesterol"] > 240]
    fitted = LogisticRegression(C=1e4, max_iter=1000).fit(inputs, table["HeartDisease"]).coef_[0]
    np.testing.assert_allclose(fitted, [2, 1.5, 1.5, 1.2, 1, 1, 0.4, 0], atol=0.8)
    assert (fitted[:6] > 0.3).all()


def test_prudential_stand_in_orders_classes_by_its_risk(stand_ins):
    frame = stand_ins["prudential"]
    z = {name: (frame[name] - frame[name].mean()) / frame[name].std() for name in prudential.RISK}
    risk = sum(weight * z[name] for name, weight in prudential.RISK.items())
    means = risk.groupby(frame["Response"]).mean()
    assert (means.diff().dropna() < 0).all()
    assert abs(frame["Employment_Info_2"].corr(frame["Response"])) < 0.02


def test_loading_a_real_file_does_not_warn(tmp_path, heart_csv):
    (tmp_path / "heart.csv").write_text(heart_csv)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load_dataset("heart", data_dir=tmp_path)
    assert (dataset.provenance.source, dataset.provenance.simulated) == ("file", False)
