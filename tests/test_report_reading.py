"""A run directory as the report reads it: what is damaged is named, and every name has an anchor of its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_fixture import record, tables, whole_run, write_run

from attribution_suite.errors import InputError
from attribution_suite.reporting.reading import Run, Subject


def test_damaged_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json' does not exist: give a directory"):
        _ = Run(tmp_path).info
    whole = record(whole_run())
    run = write_run(tmp_path / "run", tables(whole_run(), 2), whole)
    (run / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        _ = Run(run).info
    (run / "run.json").write_text(json.dumps({name: value for name, value in whole.items() if name != "versions"}))
    with pytest.raises(InputError, match="lacks versions: run the audit again"):
        _ = Run(run).info
    (run / "shifts.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"shifts\.parquet' cannot be read"):
        Run(run).table("shifts")
    (run / "shifts.parquet").unlink()
    with pytest.raises(InputError, match=r"shifts\.parquet' does not exist"):
        Run(run).table("shifts")
    tables(whole_run(), 2)["shifts"].drop(columns="proxy_mass").to_parquet(run / "shifts.parquet")
    with pytest.raises(InputError, match="lacks the column proxy_mass"):
        Run(run).table("shifts")


def test_names_become_different_anchors() -> None:
    empty = Subject("a b", 0, {}, {}, {}, None)
    slugs = [replace(empty, name=name).slug for name in ("a b", "a-b", "a/b", "A b", "héart", "heart", "日本")]
    assert len(set(slugs)) == len(slugs)
    assert replace(empty, name="heart", layer=2).slug == "heart-layer-2"
    assert all(slug.replace("-", "").replace("_", "").isalnum() for slug in slugs)
