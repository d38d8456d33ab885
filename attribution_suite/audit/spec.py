"""What to run: everything that decides an audit's numbers, and nothing that does not."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from attribution_suite.datasets import DATASETS, is_file_name
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS

if TYPE_CHECKING:
    from attribution_suite.datasets.table import TabularDataset

MAIN_JOB = ("boston", "iris", "heart", "prudential")


@dataclass(frozen=True)
class Profile:
    """How much work an audit does. `tuning`: fine-tuning epochs as a fraction of the full budget."""

    seeds: int
    rows: int
    lime_rows: int
    lime_samples: int
    background: int
    tuning: float
    remove: tuple[str, ...]


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(5, rows=500, lime_rows=50, lime_samples=1000, background=2000, tuning=0.25, remove=("default",)),
    "full": Profile(10, rows=1000, lime_rows=200, lime_samples=5000, background=2000, tuning=1.0, remove=("all",)),
}


@dataclass(frozen=True)
class Source:
    """A data set as the loader takes it; `given`: a table that the caller has, which no loader finds."""

    name: str
    target: str | None = None
    task: str | None = None
    preset: str = "default"
    pca: int | None = None
    data_dir: str | None = None
    real_only: bool = False
    given: bool = False

    def load(self, table: "TabularDataset | None" = None, decoy: bool = True) -> "TabularDataset":
        """The table, or the one given; with the random decoy column unless it is a published setting."""
        from attribution_suite.datasets import load_dataset

        if self.given:
            if table is None:
                raise InputError(f"'{self.name}' was given as an object: it cannot be loaded again")
            return table.with_decoy() if decoy else table
        dataset = load_dataset(self.name, target=self.target, task=self.task, preset=self.preset, pca=self.pca,
                               data_dir=self.data_dir, real_only=self.real_only)
        return dataset if self.preset == "published" or not decoy else dataset.with_decoy()


@dataclass(frozen=True)
class Spec:
    """An audit: sources × removals × scorers, each number of the profile overridable.

    `profile.remove`: 'default' (what each data set declares), 'all', 'top:K' (by the median share over scorers), or
    names, each of them one feature or several separated by commas. `layer` 0 removes inputs, l > 0 hidden units
    (`unit:7`). `inside`: the hidden layer to look into, 'all' for every one, None not to look. Raises InputError for
    unknown names.
    """

    sources: tuple[Source, ...]
    removals: tuple[str, ...] = ()
    scorers: tuple[str, ...] = ()
    profile: Profile = field(default_factory=lambda: PROFILES["quick"])
    layer: int = 0
    inside: str | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("name at least one data set")
        for source in self.sources:
            if not source.given and not is_file_name(source.name) and source.name not in DATASETS.names:
                raise unknown_name("data set", source.name, [*DATASETS.names, "FILE.csv"])
        for registry, names in ((REMOVALS, self.removals), (SCORERS, self.scorers)):
            for name in names:
                if name not in registry.names:
                    raise unknown_name(registry.kind, name, registry.names)
        for name, least in (("seeds", 1), ("rows", 2), ("lime_rows", 1), ("lime_samples", 10), ("background", 10)):
            if getattr(self.profile, name) < least:
                raise InputError(f"--{name.replace('_', '-')} must be at least {least}")
        if not (math.isfinite(self.profile.tuning) and self.profile.tuning > 0):
            raise InputError("--tuning must be a number above 0: fine-tuning epochs as a fraction of the full budget")
        if not set(self.scorers) - {"random"}:
            raise InputError("--scorers: name at least one beside the control 'random'")
        if self.inside not in (None, "all") and not (self.inside.isdecimal() and int(self.inside) > 0):
            raise InputError(f"--layer {self.inside}: name a hidden layer by its number (1 is the first), or all")
        if not self.profile.remove:
            raise InputError("--remove: name at least one feature, or top:K, or all")
        self.top  # noqa: B018 - raises InputError for a K that is no number

    @property
    def top(self) -> int | None:
        """K of 'top:K', None if `remove` is something else."""
        words = self.profile.remove[0]
        if len(self.profile.remove) > 1 or not words.startswith("top:"):
            return None
        if not words[4:].isdecimal() or int(words[4:]) < 1:
            raise InputError(f"--remove {words}: 'top:' needs a whole number of at least 1, as in top:5")
        return int(words[4:])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        return asdict(self)


def make_spec(datasets: Sequence[str] = (), *, target: str | None = None, task: str | None = None,
              remove: str | Sequence[str] | None = None, removals: Sequence[str] | None = None,
              scorers: Sequence[str] | None = None, profile: str = "quick", preset: str = "default",
              pca: int | None = None, data_dir: str | None = None, real_only: bool = False, layer: int = 0,
              inside: str | None = None, given: Collection[str] = (),
              **overrides: int | float | None) -> Spec:
    """The spec of the command line's words.

    `inside`: the hidden layer to look into, or 'all', which a full audit does unasked.
    `given`: which names are tables that the caller has. `overrides`: numbers of the profile (None keeps the profile's).
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    numbers: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    if remove is not None:
        numbers["remove"] = (remove,) if isinstance(remove, str) else tuple(remove)
    sources = tuple(Source(name, target, task, preset, pca, data_dir, real_only, name in given)
                    for name in datasets or MAIN_JOB)
    return Spec(
        sources,
        tuple(dict.fromkeys(REMOVALS.names if removals is None else removals)),
        tuple(dict.fromkeys(SCORERS.names if scorers is None else scorers)),
        replace(PROFILES[profile], **numbers),
        layer,
        "all" if inside is None and profile == "full" and removals != [] else inside,
    )
