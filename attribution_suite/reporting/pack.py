"""A run to hand on: one zip with the page, its figures, the record, and every table as CSV."""

import io
import zipfile
from pathlib import Path

import pandas as pd

from attribution_suite.files import write_atomically
from attribution_suite.tables import ALL_TABLES

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a text that begins with one of these
MADE = (1980, 1, 1, 0, 0, 0)  # the same run gives the same bytes


def pack(run: Path) -> Path:
    """Writes `report.zip` into a run's folder, whose page is drawn; its path."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (run / "report.html", run / "run.json", *sorted((run / "figures").iterdir())):
            _write(archive, str(path.relative_to(run)), path.read_bytes())
        for name in ALL_TABLES:
            if (run / f"{name}.parquet").exists():
                table = harmless(pd.read_parquet(run / f"{name}.parquet"))
                _write(archive, f"csv/{name}.csv", table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig"))
    write_atomically(run / "report.zip", content.getvalue())
    return run / "report.zip"


def harmless(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with an apostrophe before every text that a spreadsheet would run as a formula; numbers as they are."""
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{name: table[name].where(~table[name].str.startswith(FORMULA).fillna(False).astype(bool),
                                                   "'" + table[name]) for name in texts})


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, MADE)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(entry, content)
