"""Principal components as the inputs, as the Prudential paper has them."""

from dataclasses import replace

import numpy as np

from attribution_suite.datasets.table import Components, TabularDataset
from attribution_suite.errors import InputError

# Those whose removal the Prudential paper reports.
PUBLISHED_REMOVALS = (0, 2, 5, 7, 9)


def principal_components(dataset: TabularDataset, count: int) -> TabularDataset:
    """The data set with its first `count` principal components, `PC 0` …, in place of its inputs.

    With Z the scaled inputs `[rows, features]`, centred by the training rows' mean m, and V the eigenvectors of the
    training rows' covariance by falling eigenvalue: inputs = (Z − m) Vᵀ. Signs make each one's largest loading
    positive. The components are used as they are, unscaled. Raises InputError if there are fewer than `count`.
    """
    dataset.refuse_on_disk("option 'pca'")
    centre, scale = dataset.scaler
    scaled = (dataset.inputs - centre) / scale
    scaled -= scaled[dataset.train_rows].mean(0)
    train = scaled[dataset.train_rows]
    most = min(dataset.features, len(train) - 1)
    if not isinstance(count, int) or not 1 <= count <= most:
        raise InputError(f"option 'pca' {count!r}: {dataset.name} has 1 to {most} principal components")
    variances, vectors = np.linalg.eigh(train.T @ train)
    loadings = vectors.T[::-1][:count]
    loadings = loadings * np.sign(loadings[np.arange(count), np.abs(loadings).argmax(1)])[:, None]
    names = tuple(f"PC {index}" for index in range(count))
    return replace(
        dataset,
        inputs=(scaled @ loadings.T).astype(np.float32),
        feature_names=names,
        groups={name: (index,) for index, name in enumerate(names)},
        scaling="none",
        default_removals=tuple(names[index] for index in PUBLISHED_REMOVALS if index < count),
        components=Components(loadings, dataset.feature_names, variances[::-1][:count] / variances.sum()),
    )
