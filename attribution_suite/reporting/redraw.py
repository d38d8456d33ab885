"""Draws the report of a finished run again."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attribution_suite.auditing.subject import fingerprint
from attribution_suite.datasets.load import as_frame, load_request
from attribution_suite.datasets.request import DatasetRequest, Frames
from attribution_suite.datasets.sources import StandInWarning
from attribution_suite.datasets.table import TabularDataset
from attribution_suite.errors import InputError
from attribution_suite.evidence.write import LIST, relist_page
from attribution_suite.files import LOCK, exclusive, prove_writable, writing
from attribution_suite.reporting.page import draw_report


def redraw(run_dir: Path, say: Callable[[str], None]) -> Path:
    """The page, from the tables of a run; the figures that show rows need the data to be found again.

    `say` is told what is drawn. Holds the folder meanwhile. Raises InputError for one that holds no finished run, that
    another run is writing to, or that cannot be written to.
    """
    if not any((run_dir / name).exists() for name in ("run.json", LOCK)):  # no lock is left in a folder of no run
        raise _no_record(run_dir)
    with exclusive(run_dir):
        with writing(run_dir):
            for folder in (run_dir, run_dir / "figures"):
                folder.mkdir(exist_ok=True)
                prove_writable(folder)
        page = draw_report(run_dir, datasets_of(run_dir), say=say)
        if relist_page(run_dir):
            warnings.warn(f"the page is another now, so {LIST} is not signed any more: `attribution-suite certify "
                          f"{run_dir} --sign-key KEY.pem` signs it", stacklevel=2)
        return page


def datasets_of(run_dir: Path) -> dict[str, TabularDataset]:
    """Those of the run that are found as they were. Raises InputError where its record is missing or damaged."""
    try:
        record = json.loads((run_dir / "run.json").read_text())
        requests = [DatasetRequest(**request) for request in record["spec"]["requests"]]
        known = {about["fingerprint"] for about in record["datasets"].values()}
    except FileNotFoundError as error:
        raise _no_record(run_dir) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{run_dir}/run.json is not a run's record ({error}): run the audit again") from error
    datasets = {}
    for request in requests:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", StandInWarning)  # the page marks what is simulated
                dataset = load_request(request)
        except InputError:
            continue  # the page says which figures are left out for want of the data
        if fingerprint(dataset) in known:  # not another table, or a stand-in, that is found in its place by now
            datasets[dataset.name] = dataset
    return datasets


def given_again(record: Mapping[str, Any], name: str, data: Any) -> TabularDataset:
    """The table `name` of a run from the object that it was given as. Raises InputError for what is no such object."""
    frame = as_frame(data)
    if frame is None and not isinstance(data, TabularDataset):
        raise InputError(f"option 'data' is the DataFrame or table that the run had, got a {type(data).__name__}")
    requests = [DatasetRequest(**request) for request in record["spec"]["requests"]]
    asked = next(request for request in requests if name in (request.name, Path(request.name).name.split(".")[0]))
    return load_request(asked, data if frame is None else Frames(frame))


def _no_record(run_dir: Path) -> InputError:
    return InputError(f"{run_dir} holds no run.json: name the output folder of a finished run")
