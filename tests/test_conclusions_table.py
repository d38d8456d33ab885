"""The table of verdicts that a run writes: its columns, its rows, and that the page tells the same."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from report_fixture import (
    REMOVALS,
    SEEDS,
    STATES,
    failures,
    record,
    removed,
    settled,
    tables,
    whole_run,
    write_run,
)

from attribution_suite import report
from attribution_suite.conclusions import words
from attribution_suite.conclusions.verdicts import write_verdicts
from attribution_suite.errors import InputError
from attribution_suite.reporting.reading import Run
from attribution_suite.tables.column import flag, number, tidy
from attribution_suite.tables.verdicts import VERDICTS


def test_the_table_of_a_run_is_what_its_tables_say(tmp_path: Path) -> None:
    """Columns and types as documented, one row a removal and feature with the originals'; the page tells the same."""
    kept = pd.read_parquet(whole_run() / "verdicts.parquet")
    # pandas before 3 reads text as 'object'
    assert {name: str(dtype).replace("object", "str") for name, dtype in kept.dtypes.items()} == {
        name: column.dtype for name, column in VERDICTS.items()}
    fields = {field.name: field.metadata for field in pq.read_schema(whole_run() / "verdicts.parquet")}
    assert fields["moved_at_most"][b"unit"] == b"in [0, 1]" and all(about[b"meaning"] for about in fields.values())
    assert list(kept[["dataset", "removed", "removal"]].itertuples(index=False, name=None)) == [
        (dataset, feature, removal) for dataset in ("boston", "iris") for feature in removed(dataset)
        for removal in ("original", *REMOVALS)]
    pd.testing.assert_frame_equal(
        pd.concat([one.verdicts for one in Run(whole_run()).subjects(None)], ignore_index=True), kept)
    path = write_run(tmp_path / "run", tables(whole_run()), record(whole_run()))
    pd.testing.assert_frame_equal(write_verdicts(path), kept)
    pd.testing.assert_frame_equal(pd.read_parquet(path / "verdicts.parquet"), kept)
    before = (path / "verdicts.parquet").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attribution_suite.reporting.figures.draw", lambda subject: {})
        page = report(path).read_text()
    assert (path / "verdicts.parquet").read_bytes() == before
    for feature in removed():
        own = kept[(kept.dataset == "boston") & (kept.removed == feature)]
        assert words.headline(feature, list(own.direct[own.removal != "original"])) in page


def test_a_run_with_a_failed_chunk_has_a_table(tmp_path: Path) -> None:
    """Of one removal nothing is there but the failure; of the other, one network."""
    found = settled(tables(whole_run(), names=("boston",)))
    feature = removed()[0]
    for name, frame in found.items():
        if {"removal", "removed", "seed"} <= {*frame}:
            lost = (frame.removal == "constant") | ((frame.removal == "retrain") & (frame.seed == 2))
            found[name] = frame[~lost]
    found["failures"] = failures(removal="constant", removed=feature, rank=1, error="MemoryError")
    path = write_run(tmp_path / "run", found, record(whole_run(), ("boston",)))
    table = write_verdicts(path).set_index(["removed", "removal"])
    row = table.loc[(feature, "constant")]
    assert (row.direct, row.networks_not_measured, row.networks_proved) == ("not measured", SEEDS, 0)
    assert set(row.scorers_not_measured.split(", ")) > {"weights", "lime"}
    row = table.loc[(feature, "retrain")]
    assert (row.direct, row.networks_not_measured, row.networks_proved) == ("not measured", 1, 2)
    for removal in ("stochastic_tuning", "inversion_tuning", "fold_tuning"):
        assert table.direct[feature, removal] == STATES[removal]
    empty = write_run(tmp_path / "nothing", {name: frame[:0] for name, frame in found.items()}, record(whole_run()))
    assert write_verdicts(empty).columns.to_list() == list(VERDICTS)


def test_a_flag_without_a_value_is_refused() -> None:
    """Not a number is True where it is cast; a number may be missing."""
    columns = {"value": number("a number"), "chosen": flag("True or False")}
    rows = pd.DataFrame({"chosen": [True, False, None], "value": [1.0, None, 2.0]})
    with pytest.raises(InputError, match="column 'chosen' has no value in row 2"):
        tidy(columns, rows)
    with pytest.raises(InputError, match="column 'chosen' has no value in row 0"):
        tidy(columns, rows[["value"]])
    assert tidy(columns, rows[:2]).chosen.tolist() == [True, False]
