"""Heart Failure Prediction (Kaggle, fedesoriano 2021): 11 columns of 918 patients, heart disease or not."""

from functools import partial

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import Encoded, encode, one_hot, stack
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.simulate import draw, parse_columns
from attribution_suite.datasets.sources import FileSource, download_from_kaggle
from attribution_suite.datasets.table import TabularDataset, random_split, stratified_split

ROWS = 918
TARGET = "HeartDisease"
NOT_MEASURED = ("RestingBP", "Cholesterol")  # a 0 in them means that nobody measured
COLUMNS = parse_columns("""
Age | 28 37 47 54 60 68 77
Sex | F:.210 M:.790
ChestPainType | ASY:.540 ATA:.188 NAP:.221 TA:.051
RestingBP | 80 106 120 130 140 164 200 | .0011
Cholesterol | 85 162 207 237 275 345 603 | .1874
FastingBS | 0:.767 1:.233
RestingECG | LVH:.205 Normal:.601 ST:.194
MaxHR | 60 96 120 138 156 178 202
ExerciseAngina | N:.596 Y:.404
Oldpeak | -2.6 0.0 0.0 0.6 1.5 3.0 6.2
ST_Slope | Down:.069 Flat:.501 Up:.430
""")
# Categories are drawn in alphabetical order along the factor, so Down < Flat < Up.
STRAIN = {"Age": .5, "MaxHR": -.6, "ExerciseAngina": .6, "Oldpeak": .6, "ST_Slope": -.6, "ChestPainType": -.4}
TRUTH = ("logit P(HeartDisease) = -3.5 + 2 [ST_Slope=Flat] + 1.5 [ST_Slope=Down] + 1.5 [ChestPainType=ASY] "
         "+ 1.2 [Sex=M] + 1 [ExerciseAngina=Y] + FastingBS + 0.4 Oldpeak + 0.02 (Age - 53.5); "
         "the other columns have no effect")


def simulate() -> pd.DataFrame:
    """The stand-in; its target follows `TRUTH`."""
    frame = draw(COLUMNS, ROWS, seed=0, shared={name: ("strain", loading) for name, loading in STRAIN.items()})
    frame = frame.fillna(dict.fromkeys(NOT_MEASURED, 0)).astype(dict.fromkeys(NOT_MEASURED, np.int64))
    logit = (-3.5 + 2 * (frame["ST_Slope"] == "Flat") + 1.5 * (frame["ST_Slope"] == "Down")
             + 1.5 * (frame["ChestPainType"] == "ASY") + 1.2 * (frame["Sex"] == "M")
             + (frame["ExerciseAngina"] == "Y") + frame["FastingBS"] + 0.4 * frame["Oldpeak"]
             + 0.02 * (frame["Age"] - 53.5))
    frame[TARGET] = (np.random.default_rng(1).random(ROWS) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return frame


SOURCE = FileSource(
    name="heart",
    files=("heart.csv", "heart.csv.gz", "heart.csv.zip", "heart-failure-prediction.zip"),
    columns=(*(column.name for column in COLUMNS), TARGET),
    rows=ROWS,
    sha256="948420b084d8a3a0ca42b8419fce9aee175879e43f8aedf712377899a67aa49b",
    how_to_get="To use the real one, put heart.csv (kaggle.com/datasets/fedesoriano/heart-failure-prediction) into "
               "the folder of option 'data_dir'",
    host="api.kaggle.com",
    download=partial(download_from_kaggle, handle="fedesoriano/heart-failure-prediction", file="heart.csv"),
    simulate=simulate,
    truth=TRUTH,
    text={column.name: column.values for column in COLUMNS if column.values[0].isalpha()},
)

# Published: the heart notebook.
PRESETS = (
    Preset("default", (32, 16), Training(100, 32, 2e-3, patience=10), tuning_epochs=40),
    Preset("published", (512, 1024), Training(100, 8, 1e-3, keep="last", standardise=False), "tanh"),
)


def _notebook_inputs(frame: pd.DataFrame) -> Encoded:
    """The notebook's 17 inputs: 5 numbers, 3 one-hot columns (10), 2 binary ones; `FastingBS` is left out."""
    columns = {name: {name: frame[name].to_numpy()} for name in ("Age", "RestingBP", "Cholesterol", "MaxHR", "Oldpeak")}
    columns |= {name: one_hot(frame[name]) for name in ("ChestPainType", "RestingECG", "ST_Slope")}
    columns |= {name: {name: (frame[name] == yes).to_numpy()} for name, yes in (("Sex", "M"), ("ExerciseAngina", "Y"))}
    names = [name for features in columns.values() for name in features]
    groups = {original: tuple(map(names.index, features)) for original, features in columns.items()}
    return Encoded(stack([values for features in columns.values() for values in features.values()]),
                   tuple(names), groups)


def load(request: DatasetRequest) -> TabularDataset:
    """Default: every column, zeros that mean 'not measured' as missing, standardised, stratified split 70/15/15.

    Published (the notebook): its 17 inputs, 5 of them min-max scaled and the others left 0/1, zeros kept, split
    80/10/10.
    """
    preset = request.chosen(PRESETS)
    frame, provenance = SOURCE.table(request)
    targets = frame[TARGET].to_numpy(np.float32)
    inputs = frame.drop(columns=TARGET)
    if preset.name == "published":
        train, validation, test = random_split(ROWS, (0.8, 0.1, 0.1), request.seed)
        encoded = _notebook_inputs(inputs)
    else:
        train, validation, test = stratified_split(targets, (0.7, 0.15, 0.15), request.split_seed)
        measured = {name: inputs[name].where(inputs[name] != 0) for name in NOT_MEASURED}
        encoded = encode(inputs.assign(**measured), train, "mean", "heart")
    return TabularDataset(
        name="heart",
        inputs=encoded.inputs,
        targets=targets,
        feature_names=encoded.names,
        groups=encoded.groups,
        levels=encoded.levels,
        task="binary",
        target_name=TARGET,
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
        provenance=provenance,
        classes=("no disease", "heart disease"),
        scaling=dict.fromkeys(range(5), "minmax") if preset.name == "published" else "standard",
        preset=preset,
        default_removals=("Sex", "Age", "ST_Slope"),
    )
