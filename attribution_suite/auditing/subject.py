"""What all chunks of one data set share: everything that decides their numbers but the edit itself."""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import joblib

from attribution_suite.auditing.code_digest import VERSIONS, code_digest, plug_in_digest
from attribution_suite.auditing.given import Given
from attribution_suite.auditing.rules import Rules
from attribution_suite.auditing.spec import Profile
from attribution_suite.auditing.store import content_key
from attribution_suite.datasets.preset import Preset, Training
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.scorers import SCORERS
from attribution_suite.scorers.choice import Choice, scorers_at


@dataclass(frozen=True)
class Subject:
    """`name` and `data`: the data set and the fingerprint of its content; `preset`: its network and budgets.

    `split`: which of the repeated splits of its rows. `asked` are the scorers of the spec, of which `scorers` apply at
    `layer`. `rules`: how results are judged. `given`: the user's networks in the place of originals trained here.
    `device`: the kind that computes, for its arithmetic has its own last bits. `reference` and `baseline`: as in
    `Spec`.
    """

    name: str
    data: str
    preset: Preset
    profile: Profile
    asked: tuple[str, ...]
    layer: int
    device: str
    rules: Rules = field(default_factory=Rules)
    given: Given | None = field(default=None, repr=False, compare=False)
    split: int = 0
    reference: str = "off"
    baseline: str | None = None

    @property
    def title(self) -> str:
        """The data set, with the split where it is not the first."""
        return f"{self.name}, split {self.split}" if self.split else self.name

    @property
    def seeds(self) -> range:
        """One original a seed. No two splits share one, so that a seed names one network of the data set.

        Nor do they share initialisations: what these add to the spread over splits would not show.
        """
        return range(self.split * self.profile.seeds, (self.split + 1) * self.profile.seeds)

    @property
    def scorers(self) -> tuple[str, ...]:
        """The scorers of the tables, in their order."""
        return tuple(scorers_at(self.asked, self.layer))

    @property
    def tuning(self) -> Training:
        """The budget of a warm start: a fraction of the full one, at least one epoch."""
        part = self.profile.published_tuning if self.preset.name == "published" else self.profile.tuning
        return replace(self.preset.training, epochs=max(1, round(self.preset.tuning_epochs * part)))

    @property
    def budget(self) -> float:
        """The epochs of `tuning` as a fraction of a full warm start's: below 1 what is tuned had a shortened budget."""
        return self.tuning.epochs / self.preset.tuning_epochs

    @cached_property
    def choices(self) -> list[Choice]:
        """The scorers with the profile's numbers."""
        return [Choice.of(name, self.profile, self.reference == "all") for name in self.scorers]

    def content(self) -> dict[str, Any]:
        """What decides the numbers, as plain values. Where the data lie and what is removed is not in it."""
        content = asdict(replace(self, given=None))
        del content["profile"]["remove"]
        if self.given is not None:
            content["given"] = self.given.digest
        added = {name: plug_in_digest(SCORERS, name) for name in self.asked}
        return {**content, "versions": VERSIONS, "code": code_digest(), "added": added}


def fingerprint(dataset: TabularDataset) -> str:
    """The content of a prepared table: its values, names, split and scaling, and the network that belongs to it."""
    digests = [joblib.hash(array) for array in (
        dataset.inputs, dataset.targets, dataset.train_rows, dataset.validation_rows, dataset.test_rows,
        *dataset.scaler)]
    return content_key([digests, dataset.feature_names, dict(dataset.groups), dataset.task, dataset.classes,
                        dataset.ordered, asdict(dataset.preset), dataset.index_columns])
