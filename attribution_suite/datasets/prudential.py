"""Prudential Life Insurance Assessment (Kaggle competition 2015): 126 inputs, a risk class of 1 to 8."""

from functools import partial

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import Encoded, encode, stack
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.prudential_columns import COLUMNS
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.simulate import draw, standardised
from attribution_suite.datasets.sources import FileSource, download_from_kaggle
from attribution_suite.datasets.table import TabularDataset, stratified_split

ROWS = 59381
TARGET = "Response"
KEYWORDS = tuple(f"Medical_Keyword_{index}" for index in range(1, 49))
CLASS_RATES = (0.1045, 0.1103, 0.0171, 0.0240, 0.0915, 0.1892, 0.1352, 0.3282)
PUBLISHED_MISSING = -1000
# The stand-in's risk: what a standard deviation of each column adds. All other columns add nothing.
RISK = {"BMI": 1, "Ins_Age": 0.5, "Product_Info_4": -0.4, "Medical_History_4": -0.6, "Medical_History_23": -0.4,
        "Medical_Keyword_15": 0.6, "Medical_Keyword_3": 0.3}
TRUTH = (f"risk = {' '.join(f'{weight:+g} z({name})' for name, weight in RISK.items())} + N(0, 1), z = standardised; "
         "Response = 8 for the lowest risks down to 1 for the highest, in the real frequencies; "
         "the other columns have no effect of their own")


def simulate() -> pd.DataFrame:
    """The stand-in; its target follows `TRUTH`. Wt and BMI, and the columns of a family, share a factor."""
    shared = {"Wt": ("body", 0.95), "BMI": ("body", 0.95)}
    for family, loading in (("Family_Hist", 0.6), ("Medical_History", 0.3), ("Insurance_History", 0.6)):
        shared |= {column.name: (family, loading) for column in COLUMNS if column.name.startswith(family)}
    frame = draw(COLUMNS, ROWS, seed=0, shared=shared)
    risk = np.random.default_rng(1).standard_normal(ROWS)
    for name, weight in RISK.items():
        risk += weight * standardised(frame[name])
    ranks = np.empty(ROWS)
    ranks[np.argsort(-risk)] = np.linspace(0, 1, ROWS)
    response = 1 + np.searchsorted(np.cumsum(CLASS_RATES)[:-1], ranks, side="right")
    return pd.concat([pd.Series(np.arange(1, ROWS + 1), name="Id"), frame, pd.Series(response, name=TARGET)], axis=1)


SOURCE = FileSource(
    name="prudential",
    files=("prudential_train.csv.gz", "prudential_train.csv", "train.csv.zip", "train.csv.gz", "train.csv"),
    columns=("Id", *(column.name for column in COLUMNS), TARGET),
    rows=ROWS,
    sha256="42c09e73b0abaf94aaae9ae377e9aa55937388045bd5e029a6f059340e5571c8",
    how_to_get="To use the real one, accept the rules at kaggle.com/c/prudential-life-insurance-assessment and put its "
               "train.csv.zip into the folder of option 'data_dir' (or set up Kaggle's API token for kagglehub)",
    host="api.kaggle.com",
    download=partial(download_from_kaggle, handle="prudential-life-insurance-assessment", file="train.csv.zip"),
    simulate=simulate,
    truth=TRUTH,
    text={"Product_Info_2": next(column.values for column in COLUMNS if column.name == "Product_Info_2")},
    may_miss=frozenset(column.name for column in COLUMNS if column.missing),
)

# Published: the Prudential paper. Its budget suits the sound preparation too.
PRESETS = (
    Preset("default", (32, 16), Training(30, 64, 1e-3, patience=2)),
    Preset("published", (32, 16), Training(30, 64, 1e-3, patience=2, standardise=False)),
)


def _published_inputs(frame: pd.DataFrame) -> Encoded:
    """The paper's 130 columns: the table's 126 (Product_Info_2 as codes), and four derived from them.

    126 = 128 − Id − Response. Derived: the letter and the digit of Product_Info_2, BMI × Ins_Age, and how many of
    the 48 keywords are set. Codes count categories in order of appearance; missing values become −1000.
    Each column, derived or not, is a group of its own, as in the paper.
    """
    product = frame["Product_Info_2"]
    columns = {str(name): column.fillna(PUBLISHED_MISSING).to_numpy() for name, column in frame.items()} | {
        "Product_Info_2": pd.factorize(product)[0],
        "Product_Info_2_char": pd.factorize(product.str[0])[0],
        "Product_Info_2_num": pd.factorize(product.str[1])[0],
        "BMI_Age": (frame["BMI"] * frame["Ins_Age"]).to_numpy(),
        "Med_Keywords_Count": frame[list(KEYWORDS)].sum(axis=1).to_numpy(),
    }
    return Encoded(stack(list(columns.values())), tuple(columns),
                   {name: (index,) for index, name in enumerate(columns)})


def _sound_inputs(frame: pd.DataFrame, train_rows: np.ndarray) -> Encoded:
    """126 columns as 144 features: gaps as indicators with the training median, Product_Info_2 as letter and digit.

    Coded columns stay one number each, so that a column's score reads against the published one. No column is
    derived from two others: BMI × Ins_Age would keep BMI's information after BMI was removed.
    """
    product = frame["Product_Info_2"]
    parts = pd.DataFrame({"Product_Info_2_letter": product.str[0],
                          "Product_Info_2_digit": product.str[1].astype(np.int64)})
    columns = pd.concat([frame.drop(columns="Product_Info_2"), parts], axis=1)
    return encode(columns, train_rows, "median", "prudential", dict.fromkeys(map(str, parts), "Product_Info_2"))


def load(request: DatasetRequest) -> TabularDataset:
    """Default: 144 features, stratified split 70/15/15. Published: the paper's 130, split 80/20 by seed 42.

    Both standardised.
    """
    preset = request.chosen(PRESETS)
    frame, provenance = SOURCE.table(request)
    targets = frame[TARGET].to_numpy(np.int64) - 1
    inputs = frame.drop(columns=["Id", TARGET])
    notes: tuple[str, ...] = ()
    if preset.name == "published":
        from sklearn.model_selection import train_test_split

        train, test = train_test_split(np.arange(ROWS), test_size=0.2, random_state=42)
        validation, notes = test, ("as published, the test rows are the validation rows",)
        encoded = _published_inputs(inputs)
    else:
        train, validation, test = stratified_split(targets, (0.7, 0.15, 0.15), request.split_seed)
        encoded = _sound_inputs(inputs, train)
    return TabularDataset(
        name="prudential",
        inputs=encoded.inputs,
        targets=targets,
        feature_names=encoded.names,
        groups=encoded.groups,
        levels=encoded.levels,
        task="multiclass",
        target_name=TARGET,
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
        provenance=provenance,
        classes=tuple(map(str, range(1, 9))),
        ordered=True,
        preset=preset,
        default_removals=("BMI", "Ins_Age", "Product_Info_4"),
        notes=notes,
    )
