"""Generated tables whose truth is known: what every scorer and removal should find."""

import numpy as np
import pandas as pd

from attribution_suite.datasets.encode import stack
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.sources import table_sha256
from attribution_suite.datasets.table import Provenance, TabularDataset, random_split
from attribution_suite.errors import InputError

ROWS = 2000
PROXY = Preset("default", (16,), Training(60, 32, 5e-3, patience=10))
# Published: the weight-history notebook.
HISTORY = (
    Preset("default", (4,), Training(500, 32, 1e-2), "linear"),
    Preset("published", (4,), Training(500, 32, 1e-2, keep="last", standardise=False), "linear"),
)


def load_proxy(request: DatasetRequest) -> TabularDataset:
    """The catalogue's `synthetic`: `linear_proxy` with its defaults."""
    request.chosen((PROXY,))
    return linear_proxy(seed=request.seed).with_split(request.split)


def linear_proxy(correlation: float = 0.9, rows: int = ROWS, seed: int = 0) -> TabularDataset:
    """Y = 2 X1 + X3 + N(0, 0.2²), all X standard normal, corr(X1, X2) = `correlation` r, X3 independent.

    X2 has no effect while X1 is there. Without X1 its coefficient becomes 2r; the loss rises by 4 (1 − r²).
    Raises InputError for |r| ≥ 1 and for fewer than 20 rows.
    """
    if not -1 < correlation < 1 or rows < 20:
        raise InputError(f"the synthetic set takes -1 < correlation < 1 and 20 rows or more, "
                         f"got {correlation:g} and {rows}")
    generator = np.random.default_rng(seed)
    x1, noise, x3 = generator.standard_normal((3, rows))
    frame = pd.DataFrame({"X1": x1, "X2": correlation * x1 + np.sqrt(1 - correlation**2) * noise, "X3": x3})
    frame["Y"] = 2 * x1 + x3 + generator.normal(0, 0.2, rows)
    formula = f"Y = 2 X1 + X3 + N(0, 0.2^2), corr(X1, X2) = {correlation:g}"
    return _dataset("synthetic", frame, "Y", formula, "X1", seed, PROXY)


def load_weight_history(request: DatasetRequest) -> TabularDataset:
    """y = slope·x + offset, with slope = 2 and offset = 50 as constant columns, and a column of noise.

    The linear set of the weight-history notebook: x uniform on [0, 10], noise standard normal; x alone informs.
    Published: the columns as they are. Default: standardised, which makes the two constant columns zero.
    """
    preset = request.chosen(HISTORY)
    generator = np.random.default_rng(request.seed)
    frame = pd.DataFrame({"x": generator.uniform(0, 10, ROWS), "slope": 2.0, "offset": 50.0,
                          "noise": generator.standard_normal(ROWS)})
    frame["y"] = frame["slope"] * frame["x"] + frame["offset"]
    table = _dataset("weight_history", frame, "y", "y = 2 x + 50", "x", request.seed, preset)
    return table.with_split(request.split)


def _dataset(name: str, frame: pd.DataFrame, target: str, formula: str, removal: str, seed: int,
             preset: Preset) -> TabularDataset:
    names = tuple(str(column) for column in frame if column != target)
    train, validation, test = random_split(len(frame), (0.7, 0.15, 0.15), seed)
    return TabularDataset(
        name=name,
        inputs=stack([frame[column].to_numpy() for column in names]),
        targets=frame[target].to_numpy(np.float32),
        feature_names=names,
        groups={column: (index,) for index, column in enumerate(names)},
        task="regression",
        target_name=target,
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
        provenance=Provenance("generated", f"{formula}; {len(frame)} rows, seed {seed}", table_sha256(frame)),
        scaling="none" if preset.name == "published" else "standard",
        preset=preset,
        default_removals=(removal,),
    )
