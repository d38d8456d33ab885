"""What is asked of a data set, every option once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_suite.datasets import DATASETS, FILE_ENDINGS, is_file_name
from attribution_suite.errors import InputError, unknown_name

if TYPE_CHECKING:
    from attribution_suite.datasets.preset import Preset
    from attribution_suite.datasets.table import TabularDataset


@dataclass(frozen=True)
class DatasetRequest:
    """A data set of the catalogue, a CSV file, or a table that the caller has; plain values, as run.json keeps them.

    `name`: that of the catalogue, a path ending in .csv, .csv.gz or .zip, or the given table's.
    `target` (required) and `task` ('regression', 'binary', 'multiclass'; inferred without) belong to files.
    `preset`: 'default', or 'published' for the preparation, network and training of the source that docs/methods.md
    names. `pca`: the first k principal components of the scaled training rows become the inputs.
    `data_dir`, `real_only`: where the real file is, and whether a simulated stand-in is refused (see `sources`).
    `seed` draws the split where a preset does not fix it, and the rows of the generated sets.
    `given`: the table is the caller's own object, which no loader finds. `decoy`: a column of noise joins the inputs,
    unless the preset is the published one.
    """

    name: str
    target: str | None = None
    task: str | None = None
    preset: str = "default"
    pca: int | None = None
    data_dir: str | None = None
    real_only: bool = False
    seed: int = 0
    given: bool = False
    decoy: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"option 'seed' is a whole number of at least 0, got {self.seed!r}")

    @classmethod
    def of(cls, name: str | Path, **options: Any) -> "DatasetRequest":
        """A request from a caller's words. Raises InputError for an option that there is not."""
        known = [field.name for field in fields(cls) if field.name != "name"]
        for option in options:
            if option not in known:
                raise unknown_name("option", option, known)
        if (directory := options.get("data_dir")) is not None:
            options["data_dir"] = str(directory)
        return cls(str(name), **options)

    def load(self, table: "TabularDataset | None" = None) -> "TabularDataset":
        """The data set; `table` is the caller's own, where the request says that one is given.

        Raises InputError for an unknown name, preset or task, for options that the data set has no use for, and for
        a file that cannot be used as it is.
        """
        dataset = self._given(table) if self.given else self._found()
        return dataset.with_decoy() if self.decoy and dataset.preset.name != "published" else dataset

    def chosen(self, presets: "Sequence[Preset]") -> "Preset":
        """The one that is asked for of a data set's presets. Raises InputError for a name that is none of theirs."""
        named = {preset.name: preset for preset in presets}
        if self.preset not in named:
            raise unknown_name("preset", self.preset, named)
        return named[self.preset]

    def _found(self) -> "TabularDataset":
        """The file or the catalogue's data set, as it is prepared."""
        if is_file_name(self.name):
            from attribution_suite.datasets.csv_table import load_csv

            dataset = load_csv(self)
        else:
            self._check_name()
            dataset = DATASETS.load(self.name)(self)
        if self.pca is None:
            return dataset
        from attribution_suite.datasets.pca import principal_components

        return principal_components(dataset, self.pca)

    def _given(self, table: "TabularDataset | None") -> "TabularDataset":
        if table is None:
            raise InputError(f"'{self.name}' was given as an object: it cannot be loaded again")
        for option in ("target", "task", "pca"):
            if getattr(self, option) is not None:
                raise InputError(f"'{self.name}' is a table already: option '{option}' is for what is yet to be loaded")
        if self.preset not in ("default", table.preset.name):
            raise InputError(f"'{self.name}' is a table with the preset '{table.preset.name}': option 'preset' is for "
                             "what is yet to be loaded")
        return table

    def _check_name(self) -> None:
        """Raises InputError for a name that is no data set, and for file options beside a data set's name."""
        if self.name not in DATASETS.names and Path(self.name).exists():
            raise InputError(f"{self.name}: only files that end in {', '.join(FILE_ENDINGS)} are read")
        if self.name in DATASETS.names and (self.target is not None or self.task is not None):
            raise InputError(f"{self.name} has its own target and task: options 'target' and 'task' are for CSV files")
