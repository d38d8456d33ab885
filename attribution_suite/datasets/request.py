"""What is asked of a data set, every option once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from attribution_suite.datasets.preset import Preset
from attribution_suite.datasets.table import Seed
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.options import names, whole_number


@dataclass(frozen=True)
class DatasetRequest:
    """A data set of the catalogue, a CSV file, or a table that the caller has; plain values, as run.json keeps them.

    `name`: that of the catalogue, a path ending in .csv, .csv.gz or .zip, or that of the table in memory.
    `target` (required) and `task` ('regression', 'binary', 'multiclass'; inferred without) belong to files.
    `preset`: 'default', or 'published' for the preparation, network and training of the source that docs/methods.md
    names. `pca`: the first k principal components of the scaled training rows become the inputs.
    `data_dir`, `real_only`: where the real file is, and whether a simulated stand-in is refused (see `sources`).
    `seed` draws the split where a preset does not fix it, and the rows of the generated sets; `split` k > 0: the k-th
    other split of the same rows.
    `index_columns`: features of one column that holds a category's number.
    `in_memory`: the table is the caller's own object, which no loader finds. `decoy`: a column of noise joins the
    inputs, unless the preset is the published one.
    """

    name: str
    target: str | None = None
    task: str | None = None
    preset: str = "default"
    pca: int | None = None
    data_dir: str | None = None
    real_only: bool = False
    seed: int = 0
    split: int = 0
    index_columns: tuple[str, ...] = ()
    in_memory: bool = False
    decoy: bool = False

    def __post_init__(self) -> None:
        whole_number("seed", self.seed, 0)
        whole_number("split", self.split, 0)
        for option in ("target", "task", "preset", "data_dir"):
            if not isinstance(getattr(self, option), str | None):
                raise InputError(f"option '{option}' is a string, got {getattr(self, option)!r}")

    @classmethod
    def of(cls, name: str | Path, **options: Any) -> "DatasetRequest":
        """A request from a caller's words. Raises InputError for an option that there is not."""
        known = [field.name for field in fields(cls) if field.name != "name"]
        for option in options:
            if option not in known:
                raise unknown_name("option", option, known)
        if isinstance(directory := options.get("data_dir"), Path):
            options["data_dir"] = str(directory)
        options["index_columns"] = names("index_columns", options.get("index_columns", ()))
        return cls(str(name), **options)

    @property
    def split_seed(self) -> Seed:
        """What draws the split: `seed` alone for the first one, a stream of its own for each other."""
        return (self.seed, self.split) if self.split else self.seed

    def chosen(self, presets: Sequence[Preset]) -> Preset:
        """The one that is asked for of a data set's presets. Raises InputError for a name that is none of theirs."""
        named = {preset.name: preset for preset in presets}
        if self.preset not in named:
            raise unknown_name("preset", self.preset, named)
        return named[self.preset]
