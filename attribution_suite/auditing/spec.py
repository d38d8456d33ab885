"""What to run: everything that decides an audit's numbers, and nothing that does not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

from attribution_suite.auditing.rules import Rules
from attribution_suite.datasets import DATASETS, FILE_ENDINGS, is_file_name
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.options import checked_options, name_sets, names, one_or_more, positive, whole_number, word
from attribution_suite.removals import REMOVALS, removal
from attribution_suite.scorers import SCORERS, choice
from attribution_suite.scorers.choice import Choice, check_baseline, refusal_at, scorers_at, traits_of

MAIN_JOB = ("boston", "iris", "heart", "prudential")
NUMBERS = {"seeds": 1, "rows": 2, "lime_rows": 1, "lime_samples": 10, "background": 10}  # a profile's, each at least


REFERENCE = ("sample", "all", "off")
PROXIES = ("keep", "drop", "residualise")


@dataclass(frozen=True)
class Profile:
    """How much work an audit does.

    `tuning`: fine-tuning epochs as a fraction of the full budget; `published_tuning`: that of a data set's published
    preset, which is published whole.
    """

    seeds: int
    rows: int
    lime_rows: int
    lime_samples: int
    background: int
    tuning: float
    remove: tuple[str | tuple[str, ...], ...]
    published_tuning: float = 1.0


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(5, rows=500, lime_rows=50, lime_samples=1000, background=2000, tuning=0.25, remove=("default",)),
    "full": Profile(10, rows=1000, lime_rows=200, lime_samples=5000, background=2000, tuning=1.0, remove=("all",)),
}


@dataclass(frozen=True)
class Spec:
    """An audit: data sets × removals × scorers, each number of the profile overridable.

    `profile.remove`: 'default' (what each data set declares), 'all', 'top:K' (by the direct effect), or
    names, each of them one feature, several of them separated by commas, or a set that is removed together ('sex+race',
    or a tuple of names, none of which is split). `layer` 0 removes inputs, l > 0 hidden units
    (`unit:7`), a name those of that layer in networks that are given. `inside`: the hidden layer to look into by number
    or name, 'all' for every one, None not to look. `rules`: how results are judged, fixed before the run. `splits`: on
    how many splits of its rows each data set is audited.
    `reference`: 'sample' holds every scorer that has a reference against it on a few rows of a few networks, 'all'
    takes the reference's own numbers, 'off' does neither. `baseline`: what scorers compare a row with, as in
    `scorers.baselines`; None for each scorer's own. `metrics`: whether infidelity and sensitivity of every scorer are
    measured, and what it says of networks with random weights. `proxies` 'drop': with each removed feature go those
    that predict it; 'residualise': these become their residuals on it. Raises InputError for unknown names.
    """

    requests: tuple[DatasetRequest, ...]
    removals: tuple[str, ...] = ()
    scorers: tuple[str, ...] = ()
    profile: Profile = field(default_factory=lambda: PROFILES["quick"])
    layer: int | str = 0
    inside: str | None = None
    rules: Rules = field(default_factory=Rules)
    splits: int = 1
    reference: str = "sample"
    baseline: str | None = None
    metrics: bool = False
    proxies: str = "keep"

    def __post_init__(self) -> None:
        if not self.requests:
            raise InputError("name at least one data set")
        known = [*DATASETS.names, *(f"FILE{ending}" for ending in FILE_ENDINGS)]
        for request in self.requests:
            if not request.in_memory and not is_file_name(request.name) and request.name not in DATASETS.names:
                raise unknown_name("data set", request.name, known)
        for name in self.removals:
            checked_options(REMOVALS, name, {})
            if REMOVALS.load(name).traits.control:
                raise InputError(f"option 'removals': {name} removes nothing: it runs by itself beside every method "
                                 "that fine-tunes, as stochastic_tuning does; leave it out")
        if not isinstance(self.layer, int | str) or isinstance(self.layer, bool):
            raise InputError("option 'layer' is 0 for the input, or the number or name of a hidden layer, got "
                             f"{self.layer!r}")
        for scorer in self.scorers:
            Choice.of(scorer, self.profile)
            if scorer in SCORERS.names or isinstance(self.layer, str):
                continue
            if reason := refusal_at(scorer, self.layer):
                raise InputError(reason)  # the catalogue's are left out where they do not apply: all of it is asked
        word("reference", self.reference, REFERENCE)
        check_baseline(self.baseline, scorers_at(self.scorers, self.layer) if isinstance(self.layer, int)
                       else self.scorers)
        if not isinstance(self.metrics, bool):
            raise InputError(f"option 'metrics' is True or False, got {self.metrics!r}")
        if word("proxies", self.proxies, PROXIES) != "keep" and self.layer:
            raise InputError("option 'proxies': hidden units have no proxies that could go with them: leave it out")
        for option, least in NUMBERS.items():
            whole_number(option, getattr(self.profile, option), least)
        positive("tuning", self.profile.tuning)
        if whole_number("splits", self.splits, 1) == 2:
            raise InputError("option 'splits': two splits give no interval: name 1, or at least 3")
        if all(traits_of(name).control for name in self.scorers):
            raise InputError("option 'scorers': name at least one beside the control")
        if self.inside is not None and (not self.inside or (self.inside.isdecimal() and int(self.inside) == 0)):
            raise InputError(f"hidden layer '{self.inside}': name one by its number (1 is the first), or all")
        if not self.profile.remove:
            raise InputError("option 'remove': name at least one feature, or top:K, or all")
        self.top  # noqa: B018 - raises InputError for a K that is no number

    @property
    def top(self) -> int | None:
        """K of 'top:K', None if `remove` is something else."""
        words = self.profile.remove[0]
        if len(self.profile.remove) > 1 or not isinstance(words, str) or not words.startswith("top:"):
            return None
        if not words[4:].isdecimal() or int(words[4:]) < 1:
            raise InputError(f"option 'remove' {words}: 'top:' needs a whole number of at least 1, as in top:5")
        return int(words[4:])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        return asdict(self)


def make_spec(datasets: Sequence[str] = (), *, target: str | None = None, task: str | None = None,
              own: Mapping[str, Any] | None = None, remove: str | Sequence[str | Sequence[str]] | None = None,
              removals: str | Sequence[str] | None = None,
              scorers: Sequence[object] | None = None, profile: str = "quick", preset: str = "default",
              pca: int | None = None, data_dir: str | Path | None = None, real_only: bool = False,
              layer: int | str = 0,
              inside: str | int | None = None, in_memory: Collection[str] = (), decoy: bool = True,
              tuning: float | None = None, delta: float = 0.01, delta_absolute: float | None = None,
              information: str | None = None, information_margin: float | None = None,
              conditional_on: str | Sequence[str] = (), favourable: str | None = None, splits: int = 1,
              index_columns: Sequence[str] = (), reference: str = "sample", baseline: str | None = None,
              metrics: bool = False, proxies: str = "keep",
              **overrides: int | None) -> Spec:
    """The spec of the command line's words.

    `own`: the other options for tables of one's own, as `DatasetRequest` has them.
    `inside`: the hidden layer to look into, or 'all', which a full audit does unasked.
    `in_memory`: which names are tables that the caller has; `decoy`: a column of noise joins every table (not where the
    networks are the caller's own, which know no such column). Options may follow the name of a scorer or removal
    (`integrated_gradients?steps=100`); a scorer may be a class or an object of Captum. `removals` and `scorers`: None
    asks the catalogue's defaults, ['all'] all of it. `information`: the profile's name if it is not given, for a quick
    audit asks the quick questions, a full one all of them. `overrides`: numbers of the profile (None keeps the
    profile's). Raises InputError for an unknown option.
    """
    for option in overrides:
        if option not in NUMBERS:
            words = [word.name for word in signature(make_spec).parameters.values() if word.kind is word.KEYWORD_ONLY]
            raise unknown_name("option", option, [*NUMBERS, *words])
    word("profile", profile, list(PROFILES))
    numbers: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    if tuning is not None:
        numbers |= {"tuning": tuning, "published_tuning": tuning}
    if remove is not None:
        numbers["remove"] = (remove,) if isinstance(remove, str) else name_sets("remove", remove)
    requests = tuple(DatasetRequest.of(name, target=target, task=task, preset=preset, pca=pca, data_dir=data_dir,
                                      real_only=real_only, index_columns=index_columns,
                                      in_memory=name in in_memory, decoy=decoy, **own or {})
                    for name in datasets or MAIN_JOB)
    return Spec(
        requests,
        removal.asked(removals),
        names("scorers", choice.asked(scorers)),
        replace(PROFILES[profile], **numbers),
        layer,
        "all" if inside is None and profile == "full" and removals != [] else None if inside is None else str(inside),
        Rules(delta, delta_absolute, information or profile, information_margin,
              one_or_more("conditional_on", conditional_on), favourable),
        splits, reference, baseline, metrics, proxies,
    )
