"""What a removal takes out, as users and tables name it: one feature, or several together ('sex+race')."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from attribution_suite.datasets.table import DECOY, TabularDataset
from attribution_suite.errors import InputError, unknown_name

TOGETHER, APART = "+", ","


def no_feature(name: str) -> InputError:
    """The error for a name where nothing more is known of what names there are."""
    return InputError(f"unknown feature '{name}'")


@dataclass(frozen=True)
class FeatureSet:
    """What one network loses: its `features`, one or several, and all their `columns`.

    `name` is what every table calls it.
    """

    features: tuple[str, ...]
    columns: tuple[int, ...]

    @property
    def name(self) -> str:
        """'sex', or 'sex+race', in the order given."""
        return TOGETHER.join(self.features)


@dataclass(frozen=True)
class Removable:
    """What there is to remove at a layer: `groups`, each feature's (or unit's) columns. Reads their names.

    '+' joins features that go together, ',' separates what goes from networks of its own. A name with a '+' or ','
    in it is taken whole: of two readings of the same words, the one whose first name is longer. `unknown`: the error
    for a name that is not there. `aliases`: other names, which are read and not written.
    """

    groups: Mapping[str, tuple[int, ...]]
    unknown: Callable[[str], InputError] = no_feature
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: TabularDataset) -> "Removable":
        """The features of a data set."""
        return cls(dataset.groups, dataset.no_feature, {
            alias: name for alias, name in dataset.aliases.items() if name in dataset.groups})

    @classmethod
    def units(cls, count: int, kind: str = "unit") -> "Removable":
        """The units of a hidden layer; `kind`: what an error calls one ('unit of layer 1')."""
        return cls.places([f"unit:{unit}" for unit in range(count)], kind)

    @classmethod
    def places(cls, names: Iterable[str], kind: str = "feature") -> "Removable":
        """Features whose `columns` are their places in a list, such as those of `shares`."""
        groups = {name: (place,) for place, name in enumerate(names)}
        return cls(groups, lambda name: unknown_name(kind, name, groups))

    def several(self, words: str) -> list[FeatureSet]:
        """What the words name, such as 'age,sex+race'. Raises InputError, naming it, for a part that is not there."""
        return [self.together(names) for names in self._read(words, TOGETHER + APART)]

    def named(self, name: str) -> FeatureSet:
        """One feature or set by the name that tables have for it. Raises InputError as `several` does."""
        return self.together((name,) if self._known(name) else self._read(name, TOGETHER)[0])

    def together(self, names: Sequence[str]) -> FeatureSet:
        """The set of these features, each taken once; no name is split.

        Raises InputError for a name that is not there, for a set that leaves no feature (the decoy does not count), and
        for one whose name would be read as something else.
        """
        for name in names:
            if not self._known(name):
                raise self.unknown(name)
        features = tuple(dict.fromkeys(name if name in self.groups else self.aliases[name] for name in names))
        joint = FeatureSet(features, tuple(column for name in features for column in self.groups[name]))
        if len(features) == 1:
            return joint
        if not self.groups.keys() - {*features, DECOY}:
            raise InputError(f"'{joint.name}' is all that there is: nothing would be left to predict from")
        if joint.name in self.groups or self._read(joint.name, TOGETHER) != [list(features)]:
            raise InputError(f"{' and '.join(features)} removed together would be called '{joint.name}', which is the "
                             "name of something else too: rename a column")
        return joint

    def _known(self, name: str) -> bool:
        return name in self.groups or name in self.aliases

    def _read(self, words: str, separators: str) -> list[list[str]]:
        """The names in `words`, those joined by '+' in one list."""
        pieces = re.split(f"([{separators}])", words)  # names, or parts of names, at the even places
        count = len(pieces)
        ends = {count + 1: count}  # start of a name → its end, where all behind it can be read too
        for start in range(count - 1, -1, -2):
            readable = [end for end in self._ends(pieces, start) if end + 1 in ends]
            if readable:
                ends[start] = readable[0]
        if 0 not in ends:
            raise self.unknown(self._first_unknown(pieces))
        start, sets = 0, [list[str]()]
        while start < count:
            end = ends[start]
            sets[-1].append("".join(pieces[start:end]).strip())
            sets += [[]] if end < count and pieces[end] == APART else []
            start = end + 1
        return sets

    def _ends(self, pieces: Sequence[str], start: int) -> list[int]:
        """Where the names that begin at `start` end, the longest first."""
        return [end for end in range(len(pieces), start, -2) if self._known("".join(pieces[start:end]).strip())]

    def _first_unknown(self, pieces: Sequence[str]) -> str:
        start = 0
        while ends := self._ends(pieces, start):
            start = ends[0] + 1
        return pieces[start].strip()
