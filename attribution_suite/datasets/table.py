"""A table made ready for a network: encoded columns, split, scaler, and where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attribution_suite.datasets.on_disk import OnDisk
from attribution_suite.datasets.preset import GENERIC, Preset
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.presented import Presented

Task = Literal["regression", "binary", "multiclass"]
Seed = int | tuple[int, ...]  # as `numpy.random.default_rng` takes it
DECOY = "decoy"


@dataclass(frozen=True)
class Provenance:
    """Where the rows came from; every table, figure and page that shows them says so."""

    source: Literal["file", "download", "package", "simulated", "generated", "given"]
    location: str
    sha256: str
    note: str = ""

    @property
    def simulated(self) -> bool:
        """True if a stand-in was made because the real file was not to be had."""
        return self.source == "simulated"


@dataclass(frozen=True)
class Split:
    """One part of a table: `inputs` float32 `[rows, features]`, scaled; `targets` `[rows]`.

    Targets are float32 for regression (in the target's own units) and binary (0/1), int64 class indices else.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Split":
        """The same rows on another device."""
        return Split(self.inputs.to(device), self.targets.to(device))

    def rows(self, index: Tensor | slice) -> "Split":
        """The rows at `index`."""
        return Split(self.inputs[index], self.targets[index])


@dataclass(frozen=True)
class Components:
    """What the principal components that stand in for the inputs are made of.

    `loadings` `[components, original features]` (orthonormal rows, on scaled inputs), the names of those features,
    and `explained` `[components]`: each component's part of the training rows' variance, in [0, 1].
    """

    loadings: np.ndarray
    feature_names: tuple[str, ...]
    explained: np.ndarray


@dataclass(frozen=True)
class TabularDataset(Presented):
    """Encoded inputs `[rows, features]`, the original column each came from, target, task and split.

    `inputs` are unscaled; `train`, `validation` and `test` are scaled by (x − centre) / scale, fitted on the
    training rows alone. `groups` maps each original column to the indices of the columns it was encoded into.
    `ordered`: the classes are in the order of their index (a grade, a risk), so that a near miss is half a hit.
    `preset`: the network that belongs to the table, and its training; `GENERIC` for a table of one's own. `split`:
    which of the repeated splits of the same rows this is. `levels`: the categories of columns of text, where known.
    `index_columns`: the features of one column, not scaled, that holds a category's number.
    `aliases`: other names of features, as their sources have them. `row_numbers` `[rows]`: each row's number in the
    file or DataFrame, 0 the first below the header, where rows without a target were dropped; None where none were.
    `on_disk`: the files in whose memory the inputs and the scaled rows of each part are; None: they are in memory.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.dataset:DATASET"
    name: str
    inputs: np.ndarray
    targets: np.ndarray
    feature_names: tuple[str, ...]
    groups: Mapping[str, tuple[int, ...]]
    task: Task
    target_name: str
    train_rows: np.ndarray
    validation_rows: np.ndarray
    test_rows: np.ndarray
    provenance: Provenance
    classes: tuple[str, ...] = ()
    ordered: bool = False
    scaling: Literal["standard", "minmax", "none"] | Mapping[int, str] = "standard"
    preset: Preset = GENERIC
    default_removals: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    components: Components | None = None
    split: int = 0
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    index_columns: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    row_numbers: np.ndarray | None = None
    on_disk: OnDisk | None = None

    @property
    def features(self) -> int:
        """How many encoded columns a network sees."""
        return int(self.inputs.shape[1])

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: one, or one a class."""
        return len(self.classes) if self.task == "multiclass" else 1

    @cached_property
    def scaler(self) -> tuple[np.ndarray, np.ndarray]:
        """(centre, scale), each `[features]`, from the training rows; a constant column keeps scale 1."""
        kinds = self.scaling if isinstance(self.scaling, Mapping) else dict.fromkeys(range(self.features), self.scaling)
        centre, scale = np.zeros(self.features), np.ones(self.features)
        for column in range(self.features):
            kind, values = kinds.get(column, "none"), self.inputs[:, column][self.train_rows].astype(np.float64)
            if np.ptp(values) == 0:  # not a scale of 0: the deviation of a constant such as 0.1 comes out as 1e-17
                centre[column] = {"standard": values.mean(), "minmax": values[0], "none": 0.0}[kind]
            elif kind == "standard":
                centre[column], scale[column] = values.mean(), values.std()
            elif kind == "minmax":
                centre[column], scale[column] = values.min(), np.ptp(values)
        return centre, scale

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: of rows that are kept on disk, where they are."""
        opened = () if self.on_disk is None else ("inputs", "train", "validation", "test")
        return {name: value for name, value in vars(self).items() if name not in opened}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.on_disk is not None:
            vars(self)["inputs"] = self.on_disk.columns(len(self.feature_names))

    def rows(self, rows: np.ndarray) -> Split:
        """Rows of the table by their numbers, scaled."""
        centre, scale = self.scaler
        return self._with_targets(
            torch.from_numpy(((self.inputs[rows] - centre) / scale).astype(np.float32, order="C")), rows)

    def _with_targets(self, inputs: Tensor, rows: np.ndarray) -> Split:
        targets = torch.from_numpy(self.targets[rows])
        return Split(inputs, targets.long() if self.task == "multiclass" else targets.float())

    def _part(self, rows: np.ndarray) -> Split:
        """All rows of a part of the split, scaled: of a table that is kept on disk, in the memory of a file."""
        if self.on_disk is None:
            return self.rows(rows)
        return self._with_targets(self.on_disk.part(rows, self.features, *self.scaler), rows)

    @cached_property
    def train(self) -> Split:
        """The training rows, scaled."""
        return self._part(self.train_rows)

    @cached_property
    def validation(self) -> Split:
        """The rows that early stopping reads, scaled."""
        return self._part(self.validation_rows)

    @cached_property
    def test(self) -> Split:
        """The rows that losses and attributions are reported on, scaled."""
        return self._part(self.test_rows)

    @property
    def numbers(self) -> np.ndarray:
        """Each row's number in the file or DataFrame that it came from, 0 the first below the header, `[rows]`."""
        return np.arange(len(self.inputs)) if self.row_numbers is None else self.row_numbers

    def place(self, number: int) -> int:
        """The place in `inputs` of the row with this number. Raises InputError for one that it does not have."""
        known = np.flatnonzero(self.numbers == number)
        if len(known):
            return int(known[0])
        last = int(self.numbers[-1])
        reason = "it has no target and was dropped" if 0 <= number <= last else "there is no such row"
        raise InputError(f"row {number} of {self.name}: {reason}; rows are 0, the first below the header, to {last}")

    def part(self, place: int) -> str:
        """What the row at this place is for: 'training', 'validation', 'test', several of these, or 'no' row."""
        return " and ".join(name for name, rows in self._parts.items() if place in rows) or "no"

    @property
    def _parts(self) -> dict[str, np.ndarray]:
        return {"training": self.train_rows, "validation": self.validation_rows, "test": self.test_rows}

    def to_frame(self) -> pd.DataFrame:
        """A row each: its number `row`, its `part` of the split, the encoded columns in their own units, the target.

        Of a row in two parts, as published splits have, the last one. A class goes by its name.
        """
        part = np.full(len(self.inputs), "no", dtype=object)
        for name, rows in self._parts.items():
            part[rows] = name
        target = np.array(self.classes)[self.targets.astype(int)] if self.classes else self.targets
        keys = pd.DataFrame({"row": self.numbers, "part": part})
        columns = pd.DataFrame(self.inputs, columns=list(self.feature_names))
        return pd.concat([keys, columns, pd.Series(target, name=self.target_name)], axis=1)

    def columns(self, feature: str) -> tuple[int, ...]:
        """The encoded columns of an original column. Raises InputError for an unknown name or the target."""
        name = self.aliases.get(feature, feature)
        if name not in self.groups:
            raise self.no_feature(feature)
        return self.groups[name]

    def refuse_on_disk(self, what: str) -> None:
        """Raises InputError, where the rows are kept on disk, for what would need all of them in memory."""
        if self.on_disk is not None:
            raise InputError(f"{what}: the rows of {self.name} are kept on disk, and this would need all of them in "
                             "memory: leave it out, or raise option 'on_disk_above'")

    @property
    def index(self) -> tuple[int, ...]:
        """The positions of the columns that hold a category's number."""
        return tuple(column for name in self.index_columns for column in self.groups[name])

    def with_index_columns(self, names: Sequence[str]) -> "TabularDataset":
        """The same table that knows that these features hold a category's number, and leaves them unscaled.

        Raises InputError for a feature that is not there, of several columns, or not of whole numbers.
        """
        for name in names:
            columns = self.columns(name)
            if len(columns) > 1:
                raise InputError(f"option 'index_columns': '{name}' is {len(columns)} columns, a category already: "
                                 "leave it out")
            values = self.inputs[:, columns[0]]
            if (values != values.round()).any():
                raise InputError(f"option 'index_columns': '{name}' holds {values[values != values.round()][0]:g}: an "
                                 "index is a whole number")
        known = tuple(dict.fromkeys((*self.index_columns, *(self.aliases.get(name, name) for name in names))))
        indices = {column: "none" for name in known for column in self.groups[name]}
        if self.scaling == "none":
            return replace(self, index_columns=known)
        kinds = self.scaling if isinstance(self.scaling, Mapping) else dict.fromkeys(range(self.features), self.scaling)
        return replace(self, index_columns=known, scaling={**kinds, **indices})

    def no_feature(self, name: str) -> InputError:
        """The error for a name that is none of its features."""
        if name == self.target_name:
            return InputError(f"'{name}' is the target of {self.name}: only an input can be removed")
        return unknown_name(f"feature of {self.name}", name, self.groups)

    def with_decoy(self, seed: int = 0) -> "TabularDataset":
        """The same table with one more column, `decoy`, of standard normal noise: a known zero for every scorer."""
        if DECOY in self.groups:
            raise InputError(f"{self.name} has a column named '{DECOY}' already: rename it")
        if self.on_disk is not None and seed:
            raise InputError(f"the rows of {self.name} are kept on disk, the decoy of seed 0 with them: leave out seed")
        scaling = self.scaling if isinstance(self.scaling, str) else {**self.scaling, self.features: "standard"}
        return replace(
            self,
            inputs=(np.hstack([self.inputs, decoy_noise(len(self.inputs), seed)]) if self.on_disk is None else
                    self.on_disk.columns(self.features + 1)),
            feature_names=(*self.feature_names, DECOY),
            groups={**self.groups, DECOY: (self.features,)},
            scaling=scaling,
        )

    def with_split(self, number: int) -> "TabularDataset":
        """Another split of the same rows, in parts of the same sizes, stratified for classes; 0 is this one.

        For a table whose inputs do not depend on its split. Raises InputError for one that has a row in two parts, as
        published splits have, for which there is no such thing.
        """
        if number == 0:
            return self
        parts = (self.train_rows, self.validation_rows, self.test_rows)
        rows = np.sort(np.concatenate(parts))
        if len(np.unique(rows)) < len(rows):
            raise InputError(f"option 'splits': {self.name} has rows in two parts of its split: leave it out")
        fractions, seed = [len(part) / len(rows) for part in parts], (number, *b"split")
        drawn = (random_split(len(rows), fractions, seed) if self.task == "regression" else
                 stratified_split(self.targets[rows], fractions, seed))
        train, validation, test = (rows[part] for part in drawn)
        return replace(self, train_rows=train, validation_rows=validation, test_rows=test, split=number)


def decoy_noise(rows: int, seed: int) -> np.ndarray:
    """The decoy's values, float32 `[rows, 1]`.

    From a stream of their own: a table that was itself drawn from `seed` has the plain stream's normals as a column.
    """
    return np.random.default_rng([seed, *DECOY.encode()]).standard_normal((rows, 1)).astype(np.float32)


def random_split(rows: int, parts: Sequence[float], seed: Seed) -> tuple[np.ndarray, ...]:
    """Row numbers of a shuffled split into fractions `parts` (the last takes what is left), each sorted as drawn."""
    order = np.random.default_rng(seed).permutation(rows)
    ends = np.round(np.cumsum(parts)[:-1] * rows).astype(int)
    return tuple(np.split(order, ends))


def stratified_split(classes: np.ndarray, parts: Sequence[float], seed: Seed) -> tuple[np.ndarray, ...]:
    """Row numbers of a shuffled split in which every part holds the classes `[rows]` in their proportions.

    Raises InputError where a class has too few rows to be in every part.
    """
    generator = np.random.default_rng(seed)
    drawn: list[list[np.ndarray]] = [[] for _ in parts]
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        pieces = np.split(rows, np.round(np.cumsum(parts)[:-1] * len(rows)).astype(int))
        if not all(map(len, pieces)):
            raise InputError(f"class {value} has {len(rows)} rows, too few for a split in {len(parts)} parts: "
                             "merge it with another class or drop it")
        for part, piece in zip(drawn, pieces, strict=True):
            part.append(piece)
    return tuple(generator.permutation(np.concatenate(part)) for part in drawn)
