"""Iris (Fisher 1936), as scikit-learn ships it: 4 inputs in cm, 3 species."""

import numpy as np
import pandas as pd

from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.sources import table_sha256
from attribution_suite.datasets.table import Provenance, TabularDataset, random_split, stratified_split

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
# As scikit-learn, R and UCI's repository call them.
ALIASES = {form: name for name in FEATURES for form in (
    f"{name.replace('_', ' ')} (cm)", name.replace("_", ".").title(), name.replace("_", " "))}
# Published: the Iris notebook; a batch holds all of its 135 training rows.
PRESETS = (
    Preset("default", (12,), Training(150, 16, 1e-2, patience=20), tuning_epochs=60),
    Preset("published", (12,), Training(125, 135, 0.15, keep="last", standardise=False)),
)


def load(request: DatasetRequest) -> TabularDataset:
    """Standardised. Default: stratified split 70/15/15. Published (the notebook): 90/10, tested on the 10 %."""
    from sklearn.datasets import load_iris

    preset = request.chosen(PRESETS)
    table = load_iris()
    targets = table.target.astype(np.int64)
    notes: tuple[str, ...] = ()
    if preset.name == "published":
        train, test = random_split(len(targets), (0.9, 0.1), request.seed)
        validation, notes = test, ("as published, the validation rows are the test rows",)
    else:
        train, validation, test = stratified_split(targets, (0.7, 0.15, 0.15), request.split_seed)
    frame = pd.DataFrame(table.data, columns=list(FEATURES)).assign(species=targets)
    return TabularDataset(
        name="iris",
        inputs=table.data.astype(np.float32),
        targets=targets,
        feature_names=FEATURES,
        groups={name: (index,) for index, name in enumerate(FEATURES)},
        task="multiclass",
        target_name="species",
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
        provenance=Provenance("package", "sklearn.datasets.load_iris", table_sha256(frame)),
        classes=tuple(map(str, table.target_names)),
        preset=preset,
        default_removals=("petal_length", "petal_width"),
        notes=notes,
        aliases=ALIASES,
    )
