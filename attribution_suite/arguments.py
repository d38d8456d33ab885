"""What a caller of the library gives: tables, layers, folders and features, checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_suite.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from attribution_suite.datasets.preset import Training
    from attribution_suite.datasets.removable import FeatureSet
    from attribution_suite.datasets.request import Frames
    from attribution_suite.datasets.table import TabularDataset
    from attribution_suite.networks.network import Ensemble

    # A DataFrame of pandas, or what becomes one by its own `to_pandas` (polars, pyarrow).
    Data = str | Path | TabularDataset | DataFrame


def load_table(dataset: "Data", preset: str | None, target: str | None, task: str | None,
               prepare: Mapping[str, Any] | None) -> "TabularDataset":
    """The data set; a table that the caller has brings its own preset. Raises InputError where `preset` differs."""
    from attribution_suite.datasets.load import as_frame, load_dataset
    from attribution_suite.datasets.table import TabularDataset

    if not isinstance(prepare, Mapping | None):
        raise InputError("option 'prepare' is a dictionary of options of `load_dataset`, as {'drop': ['id']}, got "
                         f"{prepare!r}")
    told = {"target": target, "task": task, **(prepare or {})}
    if isinstance(dataset, str | Path) or (frame := as_frame(dataset)) is not None:
        return load_dataset(dataset if isinstance(dataset, str | Path) else frame, **{
            "preset": preset or "default", **told})
    if not isinstance(dataset, TabularDataset):
        raise _no_data(dataset)
    for option, value in told.items():
        if value is not None:
            raise InputError(f"'{dataset.name}' is a table already: option '{option}' is for what is yet to be loaded")
    if preset not in (None, dataset.preset.name):
        raise InputError(f"'{dataset.name}' is a table with the preset '{dataset.preset.name}': option 'preset' is for "
                         "what is yet to be loaded")
    return dataset


def with_layer(networks: "Ensemble", table: "TabularDataset",
               layer: int | str) -> tuple["Ensemble", "TabularDataset", int]:
    """The networks with a layer that is named, the table with the index columns that they have, the layer's number.

    Raises InputError for a layer that cannot be.
    """
    from attribution_suite.networks.indexed import told_of_index
    from attribution_suite.networks.layered import at_layer
    from attribution_suite.options import whole_number

    networks, number = at_layer(networks, layer, table.train.inputs)
    return networks, told_of_index(table, networks), whole_number("layer", number, 0)


def named_tables(datasets: "Sequence[Data]",
                 test: "DataFrame | None") -> "tuple[list[str], dict[str, TabularDataset | Frames]]":
    """Every data set's name, and the tables among them by theirs; a DataFrame is called 'table'."""
    from attribution_suite.datasets.load import UNNAMED, as_frame
    from attribution_suite.datasets.request import Frames
    from attribution_suite.datasets.table import TabularDataset

    names: list[str] = []
    tables: dict[str, TabularDataset | Frames] = {}
    for dataset in datasets:
        if isinstance(dataset, str | Path):
            names.append(str(dataset))
            tables |= {} if test is None else {str(dataset): Frames(None, test)}
            continue
        table = dataset if isinstance(dataset, TabularDataset) else as_frame(dataset)
        if table is None:
            raise _no_data(dataset)
        names.append(table.name if isinstance(table, TabularDataset) else UNNAMED)
        tables[names[-1]] = table if isinstance(table, TabularDataset) else Frames(table, test)
    return names, tables


def _no_data(value: object) -> InputError:
    return InputError("a data set is a name, a file, a DataFrame or a table made by `from_arrays`, got a "
                      f"{type(value).__name__}: {' '.join(repr(value).split())[:60]}")


def own_training(training: object) -> "Training | None":
    """The caller's own. Raises InputError for what is no `Training`."""
    from attribution_suite.datasets.preset import Training

    if not isinstance(training, Training | None):
        raise InputError(f"option 'training' is a Training(epochs, batch_size, learning_rate), got {training!r}")
    return training


def path_of(option: str, path: object) -> Path:
    """The caller's folder. Raises InputError for what is no path."""
    if not isinstance(path, str | Path):
        raise InputError(f"option '{option}' is the path of a folder, got {path!r}")
    return Path(path)


def feature_set(dataset: "TabularDataset", networks: "Ensemble", feature: str | Sequence[str],
                layer: int) -> "FeatureSet":
    """Features, or units of a hidden layer. Raises InputError for a name that it does not have."""
    from attribution_suite.datasets.removable import Removable

    names = [feature] if isinstance(feature, str) else feature
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"a feature is named by a string, several of them by a list of strings, got {feature!r}")
    removable = Removable.of(dataset) if layer == 0 else Removable.units(
        networks.tail(layer).architecture.features, f"unit of layer {layer}")
    return removable.named(feature) if isinstance(feature, str) else removable.together(feature)
