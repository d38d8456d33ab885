"""The table of verdicts: what may be concluded of every removed feature and method, from the tables of a run."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from attribution_suite.conclusions.direct import KEYS, Tables, direct
from attribution_suite.conclusions.information import information
from attribution_suite.conclusions.judgements import COLUMNS, judgements
from attribution_suite.files import write_atomically
from attribution_suite.tables.column import MADE_FROM, schema, tidy
from attribution_suite.tables.verdicts import VERDICTS

READ = ("outcomes", "shifts", "nulls", "information", "proxies", "attributions", "failures")


def verdicts(tables: Tables) -> pd.DataFrame:
    """The columns of `VERDICTS` for one data set and layer, whose rows `tables` hold."""
    rows = direct(tables)
    if rows.empty:
        return tidy(VERDICTS, rows)
    names = judgements(tables, rows).groupby([*KEYS, "state"], sort=False).scorer
    lists = names.agg(", ".join).unstack("state", fill_value="").reindex(columns=list(COLUMNS), fill_value="")
    keys = pd.concat([tables["outcomes"], tables["failures"]])[["dataset", "layer"]].drop_duplicates()
    judged_rows = rows.merge(lists.rename(columns=COLUMNS), on=KEYS, how="left").fillna(
        dict.fromkeys(COLUMNS.values(), ""))
    return tidy(VERDICTS, keys.merge(judged_rows.merge(information(tables, rows), on=KEYS), how="cross"))


def run_verdicts(run: Path) -> pd.DataFrame:
    """The rows of `verdicts` of every data set and layer, from the other tables in a run's folder."""
    tables = {name: pd.read_parquet(run / f"{name}.parquet", columns=None if name != "attributions" else [
        "dataset", "layer", "split", "seed", "removal", "scorer"]) for name in READ}
    places = pd.concat([tables["outcomes"], tables["failures"]])[["dataset", "layer"]].drop_duplicates()
    parts = [verdicts({name: rows[(rows.dataset == dataset) & (rows.layer == layer)] for name, rows in tables.items()})
             for dataset, layer in places.itertuples(index=False, name=None)]
    return pd.concat(parts, ignore_index=True) if parts else tidy(VERDICTS, pd.DataFrame(columns=list(VERDICTS)))


def write_verdicts(run: Path) -> pd.DataFrame:
    """Writes `verdicts.parquet` into a run's folder from its other tables; its rows."""
    rows = run_verdicts(run)
    metadata = pq.read_schema(run / "outcomes.parquet").metadata or {}
    about = {name: metadata.get(name.encode(), b"").decode() for name in ("simulated", MADE_FROM)}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(rows, schema(VERDICTS, about), preserve_index=False), buffer,
                   compression="zstd")
    write_atomically(run / "verdicts.parquet", buffer.getvalue().to_pybytes())
    return rows
