"""Does an exported network still move with a feature? For a script that must stop where it does."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attribution_suite.auditing.export import CARD, card_path
from attribution_suite.datasets.columns import prepared
from attribution_suite.datasets.files import read_table_file
from attribution_suite.datasets.load import load_dataset
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.measures.worst_case.measure import worst_case
from attribution_suite.networks.exported import read_network
from attribution_suite.networks.nodes import Nodes


@dataclass(frozen=True)
class Checked:
    """What became of one feature, and the `sentence` that tells all of it.

    `verdict`: 'proved none' (all weights from the feature are zero), 'bounded' (no row can move by more than
    `max_effect`), 'present' (the witness moves by `effect` > `max_effect`) or 'undecided'.
    """

    verdict: str
    effect: float
    bound: float
    max_effect: float
    rows: int
    sentence: str

    @property
    def passed(self) -> bool:
        """True for 'proved none' and 'bounded' alone."""
        return self.verdict in ("proved none", "bounded")


def check_network(model: Path, data: str | Path, feature: str, max_effect: float, rows: int,
                  target: str | None = None, task: str | None = None, data_dir: str | None = None) -> Checked:
    """The worst case of `feature` over the first `rows` rows of a table, prepared as the model's card says.

    The feature moves over what all rows of that table say it may be. `max_effect` is in f's own units: the output's,
    or the logit's. `target`: the table's column to predict, if it is a file; the card's, if not given.
    Raises InputError for a file, card, table or feature that cannot be used.
    """
    network, card = read_network(model), _card(model)
    about = card["dataset"]
    is_file = Path(data).exists()
    dataset = load_dataset(data, target=target or (about["target"] if is_file else None), task=task or (
        about["task"] if is_file else None), data_dir=data_dir, **_as_prepared(data, about) if is_file else {})
    columns = card["columns"]
    if len(columns) != network.architecture.features:
        raise InputError(f"{card_path(model)}: has {len(columns)} columns, the network {network.architecture.features} "
                         "inputs: export both again")
    inputs = torch.from_numpy(prepared(dataset, columns))
    index = [number for number, entry in enumerate(columns) if entry["column"] == feature]
    if not index:
        raise unknown_name("feature of the network", feature, dict.fromkeys(entry["column"] for entry in columns))
    centre, scale = (np.array([entry[name] for entry in columns]) for name in ("centre", "scale"))
    worst = worst_case(network, inputs[:rows], inputs, Nodes.of([tuple(index)]), about["task"],
                       torch.tensor([max_effect], dtype=torch.float64)).named(
                           [entry["name"] for entry in columns], centre, scale)
    told = worst.to_frame().iloc[0]
    effect, bound, method = float(told.effect), float(told.bound), str(told.method)
    verdict = ("proved none" if method == "algebra" else "present" if effect > max_effect else
               "bounded" if bound <= max_effect else "undecided")
    looked = f"{worst.rows} of {len(inputs)} rows of {dataset.name}"
    sentence = {
        "proved none": f"all weights from it are zero, so no row can move ({looked} prepared)",
        "bounded": f"no row of {looked} can move f by more than {bound:.4g} (at most {max_effect:g} allowed)",
        "present": f"row {told.row} moves f by {effect:.4g} (at most {max_effect:g} allowed) from {told.native} to "
                   f"{told.value}; {looked}",
        "undecided": f"none of {looked} was found to move f by more than {effect:.4g}, but no bound below "
                     f"{max_effect:g} was reached"}[verdict]
    return Checked(verdict, effect, bound, max_effect, worst.rows, f"{feature}: {verdict}: {sentence}")


def _as_prepared(data: str | Path, about: dict[str, Any]) -> dict[str, Any]:
    """What the card says of columns, for those that the file has: new rows may do without what was no input."""
    told, present = dict(about["prepared"]), set(read_table_file(Path(data)).frame)
    for option in ("id", "group_by"):  # they may repeat here
        told["drop"] = [*told.get("drop", []), *([told.pop(option)] if option in told else [])]
    told["drop"] = [name for name in told["drop"] if name in present]
    return told


def _card(model: Path) -> dict[str, Any]:
    """The card beside the model. Raises InputError where it is missing, damaged, or another network's."""
    path = card_path(model)
    try:
        card: dict[str, Any] = json.loads(path.read_text())
        expected, found_format = card["sha256"], card["format"]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file: the card, which says how to prepare rows, lies beside the "
                         "network") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: is no card of a network ({type(error).__name__}): export it again") from error
    if found_format != CARD:
        raise InputError(f"{path}: is of the format '{found_format}', expected '{CARD}': export the network again")
    if hashlib.sha256(model.read_bytes()).hexdigest() != expected:
        raise InputError(f"{model}: is not the network of its card {path.name} (SHA-256 differs): export both again")
    return card
