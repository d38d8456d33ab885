"""A data set of the catalogue's kind: 178 wines of three growers, 13 measurements, from scikit-learn."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from attribution_suite import TabularDataset, Training, train
from attribution_suite.datasets.preset import Preset
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.sources import table_sha256
from attribution_suite.datasets.table import Provenance, stratified_split

PRESETS = (Preset("default", (16,), Training(100, 16, 5e-3, patience=20)),)  # one hidden layer of 16 units


def load(request: DatasetRequest) -> TabularDataset:
    """Wine (Aeberhard & Forina 1992), standardised, split 70/15/15 by class."""
    preset = request.chosen(PRESETS)  # InputError for a preset that this data set does not have
    wine = load_wine()
    names, targets = tuple(wine.feature_names), wine.target.astype(np.int64)
    train_rows, validation_rows, test_rows = stratified_split(targets, (0.7, 0.15, 0.15), request.split_seed)
    frame = pd.DataFrame(wine.data, columns=list(names)).assign(grower=targets)
    return TabularDataset(
        name="wine",
        inputs=wine.data.astype(np.float32),
        targets=targets,
        feature_names=names,
        groups={name: (index,) for index, name in enumerate(names)},
        task="multiclass",
        target_name="grower",
        train_rows=train_rows,
        validation_rows=validation_rows,
        test_rows=test_rows,
        provenance=Provenance("package", "sklearn.datasets.load_wine", table_sha256(frame)),
        classes=tuple(map(str, wine.target_names)),
        preset=preset,
        default_removals=("proline",),
    )


if __name__ == "__main__":
    wine = load(DatasetRequest("wine"))
    trained = train(wine, seeds=2)
    right = trained.networks.outputs(wine.test.inputs).argmax(2) == wine.test.targets
    print(f"{len(wine.test)} test rows, {right.float().mean():.0%} right")
    assert right.float().mean() > 0.8  # the majority class is 40 %
