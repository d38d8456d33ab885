"""The networks that a finished run keeps in its store, read back as its run.json says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from attribution_suite.auditing.store import Arrays, Store
from attribution_suite.auditing.work.train import networks_of
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.networks.architecture import Architecture
from attribution_suite.networks.perceptrons import Perceptrons
from attribution_suite.removals.removal import removal_traits


@dataclass(frozen=True)
class Kept:
    """The networks of one data set. `record`: run.json; an `entry` is one of its chunks."""

    store: Store
    record: Mapping[str, Any]
    dataset: str
    architecture: Architecture
    _read: dict[str, Arrays] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, run: Path, record: Mapping[str, Any], dataset: str) -> "Kept":
        """Raises InputError where an earlier version wrote the run, and for networks that are not kept."""
        if "chunks" not in record:
            raise InputError(f"{run}/run.json does not say where the run's networks lie: an earlier version wrote it; "
                             "run the same command again")
        stacked = record["datasets"][dataset]["stacked"]
        if stacked is None:
            raise InputError(f"{dataset}: a module that is no chain of Linear and activation is not kept: "
                             "`attribution_suite.remove` returns it edited, `to_module` as a module")
        return cls(Store(run / "chunks"), record, dataset, Architecture.from_json(stacked))

    def original(self, split: int = 0) -> dict[str, Any]:
        """The entry of the originals on a split."""
        entries: list[dict[str, Any]] = self.record["chunks"]
        return next(entry for entry in entries if entry["work"] == "TrainOriginals"
                    and (entry["dataset"], entry["split"]) == (self.dataset, split))

    def network(self, entry: Mapping[str, Any], *members: int) -> Perceptrons:
        """The members of an entry's networks. Raises InputError where its file is missing or damaged."""
        if entry["work"] == "RemoveFeatures" and removal_traits(entry["removal"]).in_front:
            raise InputError(f"{entry['removal']} puts a fixed step in front of a network, which is no stacked weights "
                             "any more and is not kept: `attribution_suite.remove` returns it, `to_module` as a module")
        if entry["key"] not in self._read:
            stored = self.store.load(entry["key"])
            if stored is None:
                raise InputError(f"{self.store.path(entry['key'])}: this part of the run is missing or damaged: run "
                                 "the same command again, which makes it")
            self._read[entry["key"]] = {name: array for name, array in stored.arrays.items()
                                        if name.startswith(("weight ", "bias "))}
        return networks_of(self._read[entry["key"]], self.architecture).select(list(members))

    def edited(self, removal: str, removed: str, seeds: Sequence[int]) -> Perceptrons:
        """The networks of `seeds` after a removal, one a seed. Raises InputError for what the run did not do."""
        parts = [self.network(*edit_of(self.record, self.dataset, removal, removed, seed)) for seed in seeds]
        layers = range(self.architecture.depth)
        return Perceptrons(self.architecture, tuple(torch.cat([part.weights[k] for part in parts]) for k in layers),
                           tuple(torch.cat([part.biases[k] for part in parts]) for k in layers))


def dataset_of(record: Mapping[str, Any], dataset: str | None) -> str:
    """The one data set, or the one that is named. Raises InputError where that is none or not clear."""
    names = list(record["datasets"])
    if dataset is None and len(names) > 1:
        raise InputError(f"the run has {len(names)} data sets: name one of {', '.join(names)}: option 'dataset'")
    if dataset is not None and dataset not in names:
        raise unknown_name("data set of the run", dataset, names)
    return dataset or names[0]


def edit_of(record: Mapping[str, Any], dataset: str, removal: str, removed: str,
            seed: int) -> tuple[dict[str, Any], int]:
    """The chunk that holds the edited network, and the network's place in it."""
    edits = [chunk for chunk in record["chunks"] if chunk["work"] == "RemoveFeatures" and chunk["dataset"] == dataset]
    removals = list(dict.fromkeys(chunk["removal"] for chunk in edits))
    if removal not in removals:
        raise unknown_name(f"removal of this run on {dataset}", removal, removals or ["none"])
    edits = [chunk for chunk in edits if chunk["removal"] == removal]
    seeds = list(dict.fromkeys(number for chunk in edits for number in chunk["seeds"]))
    if seed not in seeds:
        raise InputError(f"seed {seed}: the run has the seeds {', '.join(map(str, seeds))}")
    edits = [chunk for chunk in edits if seed in chunk["seeds"]]
    lost = {name: (chunk, chunk["seeds"].index(seed) * len(names) + place) for chunk in edits
            for names in [chunk["removed"][chunk["seeds"].index(seed)]] for place, name in enumerate(names)}
    if removed not in lost:
        raise unknown_name(f"what {removal} removed from network {seed} of {dataset}", removed, lost)
    return lost[removed]
