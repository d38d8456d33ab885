"""Boston housing (Harrison and Rubinfeld 1978): 13 inputs, the median value of homes in $1000."""

import socket
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import stack
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.simulate import draw, parse_columns
from attribution_suite.datasets.sources import CONNECT_SECONDS, FileSource
from attribution_suite.datasets.table import TabularDataset, random_split

ROWS = 506
COLUMNS = parse_columns("""
CRIM | 0.00632 0.02791 0.082045 0.25651 3.677083 15.78915 88.9762
ZN | 0.0 0.0 0.0 0.0 12.5 80.0 100.0
INDUS | 0.46 2.18 5.19 9.69 18.1 21.89 27.74
CHAS | 0:.931 1:.069
NOX | 0.385 0.409 0.449 0.538 0.624 0.74 0.871
RM | 3.561 5.314 5.886 6.209 6.624 7.588 8.78
AGE | 2.9 17.7 45.0 77.5 94.1 100.0 100.0
DIS | 1.1296 1.462 2.1002 3.2074 5.1884 7.8278 12.1265
RAD | 1:.0395 2:.0474 3:.0751 4:.2174 5:.2273 6:.0514 7:.0336 8:.0474 24:.2609
TAX | 187 222 279 330 666 666 711
PTRATIO | 12.6 14.7 17.4 19.05 20.2 21.0 22.0
B | 0.32 84.59 375.38 391.44 396.22 396.9 396.9
LSTAT | 1.73 3.71 6.95 11.36 16.96 26.81 37.97
""")
# Loadings on one factor, 'how urban': about those of the real table's first principal component.
URBAN = {"CRIM": .6, "ZN": -.6, "INDUS": .85, "NOX": .85, "RM": -.45, "AGE": .75, "DIS": -.8, "RAD": .75,
         "TAX": .8, "PTRATIO": .45, "B": -.4, "LSTAT": .7}
TRUTH = ("MEDV = 22.5 + 4 (RM - 6.3) - 0.5 (LSTAT - 12.7) - 0.9 (PTRATIO - 18.5) + 0.01 (B - 357) + N(0, 3^2), "
         "rounded to 0.1, clipped to [5, 50]; the other columns have no effect")


def simulate() -> pd.DataFrame:
    """The stand-in; its target follows `TRUTH`."""
    frame = draw(COLUMNS, ROWS, seed=0, shared={name: ("urban", loading) for name, loading in URBAN.items()})
    value = (22.5 + 4 * (frame["RM"] - 6.3) - 0.5 * (frame["LSTAT"] - 12.7) - 0.9 * (frame["PTRATIO"] - 18.5)
             + 0.01 * (frame["B"] - 357) + np.random.default_rng(1).normal(0, 3, ROWS))
    frame["MEDV"] = value.round(1).clip(5, 50)
    return frame


def download(directory: Path) -> Path:
    """OpenML data set 531, through scikit-learn."""
    from sklearn.datasets import fetch_openml

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about each retry; the last failure is raised
            frame = fetch_openml(data_id=531, as_frame=True, cache=False, n_retries=1, delay=0.1).frame
    finally:
        socket.setdefaulttimeout(before)
    path = directory / SOURCE.files[0]
    frame.astype({"CHAS": float, "RAD": float}).astype({"CHAS": int, "RAD": int}).to_csv(path, index=False)
    return path


SOURCE = FileSource(
    name="boston",
    files=("boston.csv", "housing.csv", "BostonHousing.csv"),
    columns=(*(column.name for column in COLUMNS), "MEDV"),
    rows=ROWS,
    sha256="59f7ce87c12ec1b5171d45cf591ff1111ecb9b3bf127bacf1a7e46be883ed2dd",
    how_to_get="To use the real one, put boston.csv (OpenML data set 531, with a header) into the "
               "folder of option 'data_dir'",
    host="www.openml.org",
    download=download,
    simulate=simulate,
    truth=TRUTH,
)

# Published: Captum's tutorial 'Interpreting a regression model of house prices'.
PRESETS = (
    Preset("default", (64, 32), Training(200, 32, 2e-3, patience=20), tuning_epochs=60),
    Preset("published", (100, 50, 10), Training(200, 10, 1e-4, "rmsprop", keep="last", standardise=False)),
)


def load(request: DatasetRequest) -> TabularDataset:
    """Default: standardised, split 70/15/15. Published (Captum's tutorial): raw inputs, split 70/30 by seed 0."""
    preset = request.chosen(PRESETS)
    frame, provenance = SOURCE.table(request)
    names = SOURCE.columns[:-1]
    train, validation, test = random_split(ROWS, (0.7, 0.15, 0.15), request.split_seed)
    notes: tuple[str, ...] = ()
    if preset.name == "published":
        from sklearn.model_selection import train_test_split

        train, test = train_test_split(np.arange(ROWS), test_size=0.3, random_state=0)
        validation, notes = test, ("as published, the validation rows are the test rows",)
    return TabularDataset(
        name="boston",
        inputs=stack([frame[name].to_numpy() for name in names]),
        targets=frame["MEDV"].to_numpy(np.float32),
        feature_names=names,
        groups={name: (index,) for index, name in enumerate(names)},
        task="regression",
        target_name="MEDV",
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
        provenance=provenance,
        scaling="none" if preset.name == "published" else "standard",
        preset=preset,
        default_removals=("B", "LSTAT", "RM"),
        notes=notes,
    )
