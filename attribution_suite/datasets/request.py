"""What is asked of a data set, every option once."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from attribution_suite.datasets.dialect import Reading
from attribution_suite.datasets.preset import Preset
from attribution_suite.datasets.table import Seed
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.options import names, whole_number

LISTS = ("na", "drop", "categorical", "ordinal", "dates", "index_columns")
WORDS = ("target", "task", "preset", "data_dir", "sep", "decimal", "encoding", "id", "group_by", "test")
TEST_FRAME = "DataFrame"  # what `test` is where the caller has the rows
OF_ONES_OWN = ("target", "task", "sep", "decimal", "encoding", "na", "drop", "id", "categorical", "ordinal", "dates",
               "group_by", "group_rare", "test", "on_disk_above")
ON_DISK_ABOVE = 0.1  # GB: a table of this size takes about 3 GB while it is read in memory


@dataclass(frozen=True)
class Frames:
    """DataFrames that the caller has: the `table`, None where that is a file, and the `test` rows, None if they are."""

    table: pd.DataFrame | None
    test: pd.DataFrame | None = None


@dataclass(frozen=True)
class DatasetRequest:
    """A data set of the catalogue, a file, or a table that the caller has; plain values, as run.json keeps them.

    `name`: that of the catalogue, a path (.csv .tsv .tab .txt .data .parquet .feather, packed in .gz or .zip), a folder
    of Parquet files, a URL of either that fsspec knows, or that of the table in memory.
    `target` (required) and `task` ('regression', 'binary', 'multiclass'; inferred without) belong to tables of one's
    own, as these do. How a text file was written, where it is not found rightly: `sep` (one character, 'tab', 'space'),
    `decimal` ('.' or ','), `encoding`; `na`: what is missing beside nothing, NA, N/A, ? and the like.
    What becomes of columns: `drop`; `id`, which names the rows and is no input; `categorical`, numbers that are names;
    `ordinal`, numbers in their order, or text in a given one ('size=S<M<L'); `dates`, as year, month and weekday;
    `group_by`, whose rows of one value stay in one part of the split, no input; `group_rare` N: categories of fewer
    than N rows are one, '(rare)'. `test`: a file (or `TEST_FRAME`) with the same columns, whose rows are the test rows.
    `on_disk_above`: a Parquet data set of more gigabytes (rows × columns × 4 bytes) is read column by column and kept
    on disk, not in memory (0.1 if it is not given; 0: every one).
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
    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    na: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    id: str | None = None
    categorical: tuple[str, ...] = ()
    ordinal: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    group_by: str | None = None
    group_rare: int | None = None
    test: str | None = None
    on_disk_above: float | None = None
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
        for option in WORDS:
            if not isinstance(getattr(self, option), str | None):
                raise InputError(f"option '{option}' is a string, got {getattr(self, option)!r}")
        for option in LISTS:
            value = getattr(self, option)
            object.__setattr__(self, option, names(option, [value] if isinstance(value, str) else value))
        if self.group_rare is not None:
            whole_number("group_rare", self.group_rare, 2)
        if not isinstance(self.most_in_memory, int | float) or not self.most_in_memory >= 0:
            raise InputError(f"option 'on_disk_above' is a number of gigabytes, at least 0, got {self.on_disk_above!r}")
        self.reading  # noqa: B018 - raises InputError for a separator or decimal mark that is none

    @classmethod
    def of(cls, name: str | Path, **options: Any) -> "DatasetRequest":
        """A request from a caller's words. Raises InputError for an option that there is not."""
        known = [field.name for field in fields(cls) if field.name != "name"]
        for option in options:
            if option not in known:
                raise unknown_name("option", option, known)
        paths = {option: str(path) for option, path in options.items() if isinstance(path, Path)}
        return cls(str(name), **options | paths)

    @property
    def most_in_memory(self) -> float:
        """The gigabytes above which a Parquet data set is kept on disk."""
        return ON_DISK_ABOVE if self.on_disk_above is None else self.on_disk_above

    @property
    def reading(self) -> Reading:
        """How its text is written."""
        return Reading(self.sep, self.decimal, self.encoding, self.na)

    @property
    def of_ones_own(self) -> dict[str, Any]:
        """The options for tables of one's own that are given."""
        default = DatasetRequest("")
        return {option: value for option in OF_ONES_OWN if (value := getattr(self, option)) != getattr(default, option)}

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
