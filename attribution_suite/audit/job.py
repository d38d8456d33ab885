"""One chunk of an audit as data: what decides its numbers, and the key under which they are kept."""

from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version

from attribution_suite.audit.given import Given
from attribution_suite.audit.spec import Profile
from attribution_suite.audit.store import content_key
from attribution_suite.audit.tables import NEURONS, ORIGINAL
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.removals import REMOVALS
from attribution_suite.scorers import SCORERS

VERSIONS = {package: version(package) for package in (
    "attribution-suite", "torch", "captum", "lime", "xgboost", "scikit-learn", "numpy", "scipy")}


@dataclass(frozen=True)
class Job:
    """One chunk. `removal` is 'original' for the training of the originals; `features` are those removed, one a member.

    `removal` 'neurons' looks inside the originals, `features` are then the hidden layers ('layer 1'); `record`: the
    originals keep their first layer's weights of every epoch for it. `name` and `data` are the data set's name and the
    fingerprint of its content.
    Its key is the content of everything that decides its numbers; where the data lie and who computes is not in it.
    """

    source: DatasetRequest
    name: str
    data: str
    profile: Profile
    scorers: tuple[str, ...]
    removal: str = ORIGINAL
    features: tuple[str, ...] = ()
    layer: int = 0
    record: bool = False
    given: Given | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """The chunk's name in the store."""
        content = asdict(replace(self, given=None))
        if self.given is not None:
            content["given"] = [self.given.digest, asdict(self.given.training)]
        for place in ("name", "data_dir", "real_only"):
            del content["source"][place]
        del content["profile"]["remove"]
        removal = None if self.removal == NEURONS else REMOVALS.version(self.removal)
        added = [removal, *map(SCORERS.version, self.scorers)]
        return content_key([content, VERSIONS, added])

    @property
    def original(self) -> "Job":
        """The chunk that trains the networks this one edits."""
        return replace(self, removal=ORIGINAL, features=())

    @property
    def title(self) -> str:
        """For progress and errors: data set, removal and features."""
        few = ", ".join(self.features[:3]) + (" …" if len(self.features) > 3 else "")
        return f"{self.name} {self.removal}" + (f" ({few})" if few else "")
