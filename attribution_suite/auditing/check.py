"""Does an exported network still move with a feature? For a script that must stop where it does."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from attribution_suite.auditing.export import CARD, card_path
from attribution_suite.datasets.columns import prepared
from attribution_suite.datasets.files import parse_frame, read_table_file
from attribution_suite.datasets.load import UNNAMED, load_dataset
from attribution_suite.datasets.own_kinds import RARE, written
from attribution_suite.datasets.request import DatasetRequest
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError, unknown_name
from attribution_suite.measures.worst_case.measure import worst_case
from attribution_suite.networks.exported import read_network
from attribution_suite.networks.nodes import Nodes
from attribution_suite.presented import Presented


@dataclass(frozen=True)
class Checked(Presented):
    """What became of one feature, and the `sentence` that tells all of it.

    `verdict`: 'proved none' (all weights from the feature are zero), 'bounded' (no row can move by more than
    `max_effect`), 'present' (the witness moves by `effect` > `max_effect`) or 'undecided'.
    """

    view: ClassVar[str] = "attribution_suite.reporting.views.measures:CHECKED"
    feature: str
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

    def to_frame(self) -> pd.DataFrame:
        """One row: the fields, and whether it passed."""
        return pd.DataFrame([vars(self) | {"passed": self.passed}])


def check_network(model: Path, data: str | Path | pd.DataFrame, feature: str, max_effect: float, rows: int,
                  options: Mapping[str, Any]) -> Checked:
    """The worst case of `feature` over the first `rows` rows of a table, prepared as the model's card says.

    The feature moves over what all rows of that table say it may be. `max_effect` is in f's own units: the output's,
    or the logit's. `options`: those of `load_dataset`; of a table of one's own, target and task are the card's if they
    are None, and so is its preparation where nothing else is said.
    Raises InputError for a file, card, table or feature that cannot be used.
    """
    network, card = read_network(model), _card(model)
    columns, given = card["columns"], {name: value for name, value in options.items() if value is not None}
    if isinstance(data, pd.DataFrame) or Path(data).exists():
        dataset = _new_rows(data, card, given)
    else:
        dataset = load_dataset(data, **given)
    if len(columns) != network.architecture.features:
        raise InputError(f"{card_path(model)}: has {len(columns)} columns, the network {network.architecture.features} "
                         "inputs: export both again")
    inputs = torch.from_numpy(prepared(dataset, columns))
    known = dict.fromkeys(entry["column"] for entry in columns)
    together = {feature} if feature in known else set(feature.split("+"))
    for name in sorted(together - known.keys()):
        raise unknown_name("feature of the network", name, known)
    index = [number for number, entry in enumerate(columns) if entry["column"] in together]
    centre, scale = (np.array([entry[name] for entry in columns]) for name in ("centre", "scale"))
    worst = worst_case(network, inputs[:rows], inputs, Nodes.of([tuple(index)]), card["dataset"]["task"],
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
    return Checked(feature, verdict, effect, bound, max_effect, worst.rows, f"{feature}: {verdict}: {sentence}")


def _new_rows(data: str | Path | pd.DataFrame, card: Mapping[str, Any], options: Mapping[str, Any]) -> TabularDataset:
    """A table of one's own, prepared as the card says and `options` add.

    A category that is not among those of a column that was grouped is rare there: '(rare)', whatever it is here.
    """
    about = card["dataset"]
    told = {**about["prepared"], "target": about["target"], "task": about["task"], **options}
    request = DatasetRequest.of("", **told)
    if isinstance(data, pd.DataFrame):
        frame, name = parse_frame(data, UNNAMED, request.reading)[0], UNNAMED
    else:
        frame, name = read_table_file(Path(data), request.reading).frame, Path(data).name.split(".")[0]
    for option in ("id", "group_by"):  # they may repeat here
        told["drop"] = [*told.get("drop", []), *([told.pop(option)] if option in told else [])]
    told["drop"] = [column for column in told["drop"] if column in frame]  # new rows may do without what was no input
    for entry in card["columns"]:
        if RARE in entry.get("levels", ()) and entry["text"] in frame:
            values = frame[entry["text"]]
            values = written(values) if entry["text"] in told.get("categorical", ()) else values
            known = values.isna() | values.isin(entry["levels"])
            frame = frame.assign(**{entry["text"]: values.where(known, RARE)})
    as_it_was_read = {option: value for option, value in told.items() if option not in ("sep", "decimal", "encoding")}
    return replace(load_dataset(frame, **as_it_was_read), name=name)


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
