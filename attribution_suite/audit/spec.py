"""What to run: everything that decides an audit's numbers, and nothing that does not."""

from collections.abc import Mapping, Sequence
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
    remove: str


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(5, rows=500, lime_rows=50, lime_samples=1000, background=2000, tuning=0.25, remove="default"),
    "full": Profile(10, rows=1000, lime_rows=200, lime_samples=5000, background=2000, tuning=1.0, remove="all"),
}


@dataclass(frozen=True)
class Source:
    """A data set as the loader takes it."""

    name: str
    target: str | None = None
    task: str | None = None
    preset: str = "default"
    pca: int | None = None
    data_dir: str | None = None
    real_only: bool = False

    def load(self) -> "TabularDataset":
        """The table, with the random decoy column unless it is a published setting."""
        from attribution_suite.datasets import load_dataset

        dataset = load_dataset(self.name, target=self.target, task=self.task, preset=self.preset, pca=self.pca,
                               data_dir=self.data_dir, real_only=self.real_only)
        return dataset if self.preset == "published" else dataset.with_decoy()


@dataclass(frozen=True)
class Spec:
    """An audit: sources × removals × scorers, each number of the profile overridable.

    `remove`: 'default' (what each data set declares), 'all', 'top:K' (by the median share over scorers), or names
    separated by commas. `layer` 0 removes inputs, l > 0 hidden units (`unit:7`). Raises InputError for unknown names.
    """

    sources: tuple[Source, ...]
    removals: tuple[str, ...] = ()
    scorers: tuple[str, ...] = ()
    profile: Profile = field(default_factory=lambda: PROFILES["quick"])
    layer: int = 0

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("name at least one data set")
        for source in self.sources:
            if not is_file_name(source.name) and source.name not in DATASETS.names:
                raise unknown_name("data set", source.name, [*DATASETS.names, "FILE.csv"])
        for registry, names in ((REMOVALS, self.removals), (SCORERS, self.scorers)):
            for name in names:
                if name not in registry.names:
                    raise unknown_name(registry.kind, name, registry.names)
        for name, least in (("seeds", 1), ("rows", 2), ("lime_rows", 1), ("lime_samples", 10), ("background", 10)):
            if getattr(self.profile, name) < least:
                raise InputError(f"--{name.replace('_', '-')} must be at least {least}")
        if self.profile.remove.startswith("top:") and not self.profile.remove[4:].isdigit():
            raise InputError(f"--remove {self.profile.remove}: 'top:' needs a whole number, as in top:5")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        return asdict(self)


def make_spec(datasets: Sequence[str] = (), *, target: str | None = None, task: str | None = None,
              remove: str | Sequence[str] | None = None, removals: Sequence[str] | None = None,
              scorers: Sequence[str] | None = None, profile: str = "quick", preset: str = "default",
              pca: int | None = None, data_dir: str | None = None, real_only: bool = False, layer: int = 0,
              **overrides: int | float | None) -> Spec:
    """The spec of the command line's words. `overrides` are numbers of the profile (None keeps the profile's)."""
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES)
    numbers: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    if remove is not None:
        numbers["remove"] = remove if isinstance(remove, str) else ",".join(remove)
    sources = tuple(Source(name, target, task, preset, pca, data_dir, real_only) for name in datasets or MAIN_JOB)
    return Spec(
        sources,
        tuple(removals if removals is not None else REMOVALS.names),
        tuple(scorers if scorers is not None else SCORERS.names),
        replace(PROFILES[profile], **numbers),
        layer,
    )
