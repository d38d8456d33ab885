"""What one scorer says of single rows of one network: what a beeswarm and a waterfall are drawn from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from attribution_suite.auditing.store import Arrays
from attribution_suite.auditing.work.information import packed
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.networks.network import Ensemble
from attribution_suite.scorers.attribution import Attribution, Evaluation, Explained
from attribution_suite.scorers.choice import Choice

LOCAL = "local_attributions"  # the array: a table as the bytes of a Parquet file
ROWS = 100  # the first of the evaluated rows


def local_attributions(choices: Sequence[Choice], complete: np.ndarray, networks: Ensemble, evaluation: Evaluation,
                       layer: int, dataset: TabularDataset, seeds: Sequence[int]) -> Arrays:
    """φ of the first network's rows by the first of the scorers that share out f(x) − f(baseline), by `LOCAL`.

    `complete` `[scorers]`: which do, and have values; without any the table has no row.
    """
    if not complete.any():
        return {LOCAL: packed(pd.DataFrame({"row": pd.Series(dtype="int64")}))}
    one, seen, first = networks.select([0]), evaluation.alone(0).with_rows(ROWS), seeds[:1]
    attribution = choices[int(complete.argmax())].attribute_seeds(one, seen, layer, first)
    explained = Explained.of(attribution, one, seen, dataset, dataset.test_rows[:len(seen.targets)], first)
    return {LOCAL: packed(_table(attribution, explained, dataset))}


def _table(attribution: Attribution, explained: Explained, dataset: TabularDataset) -> pd.DataFrame:
    """One row a row and feature."""
    assert attribution.values is not None and explained.at_baseline is not None
    phi = attribution.values[0].double().numpy(force=True)
    rows, features = phi.shape
    values = np.full(phi.shape, np.nan) if explained.values is None else explained.values[:rows].numpy()
    classes = [""] * rows if explained.classes is None else [dataset.classes[each] for each in
                                                             explained.classes[0, :rows].tolist()]
    return pd.DataFrame({
        "scorer": attribution.scorer, "row": np.repeat(np.arange(rows), features),
        "feature": np.tile(np.array(attribution.features, dtype=object), rows), "value": values.ravel(),
        "phi": phi.ravel(), "explained_class": np.repeat(np.array(classes, dtype=object), features),
        "output": np.repeat(explained.outputs[0, :rows].numpy(), features),
        "output_at_baseline": np.repeat(explained.at_baseline[0, :rows].numpy(), features)})
