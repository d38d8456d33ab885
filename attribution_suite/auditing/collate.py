"""From the chunks of a run to its tidy tables, chunk by chunk: memory holds one chunk's rows, and few that wait."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from attribution_suite.auditing.chunks import Chunk, LookInside, load
from attribution_suite.auditing.context import RunContext
from attribution_suite.auditing.engine import Done
from attribution_suite.auditing.frames import failed
from attribution_suite.files import whole_files
from attribution_suite.tables import ALL_TABLES, NEURON_TABLES, TABLES
from attribution_suite.tables.column import MADE_FROM, schema, tidy

Rows = tuple[str, pd.DataFrame | pa.Table]
TOGETHER = 10_000  # rows of a table that wait for more: to write some costs as much as to write thousands


def collate(chunks: Sequence[Chunk], done: Sequence[Done], context: RunContext, out: Path, made_from: str) -> None:
    """Writes every table of the finished chunks to `out`, each whole or not at all.

    The tables of a look inside are written where there was one, and removed where there was not. The files' metadata
    name, under 'simulated', the data sets that are stand-ins, and hold `made_from`, the name that run.json has too.
    """
    looked = any(isinstance(chunk, LookInside) for chunk in chunks)
    tables = {**TABLES, **(NEURON_TABLES if looked else {})}
    stand_ins = ", ".join(name for (name, split), dataset in context.datasets.items()
                          if dataset.provenance.simulated and not split)
    about = {"simulated": stand_ins, MADE_FROM: made_from}
    schemas = {table: schema(columns, about) for table, columns in tables.items()}
    with whole_files([out / f"{table}.parquet" for table in tables]) as files, ExitStack() as stack:
        writers = {table: stack.enter_context(pq.ParquetWriter(file, schemas[table], compression="zstd"))
                   for table, file in zip(tables, files, strict=True)}
        for table, rows in together(rows_of(chunks, done, context)):
            writers[table].write_table(_arrow(table, rows, schemas[table]))
    for table in ALL_TABLES.keys() - tables.keys():
        (out / f"{table}.parquet").unlink(missing_ok=True)


def together(rows: Iterator[Rows]) -> Iterator[Rows]:
    """The same rows, each table's in their order, those of small chunks in one frame."""
    waiting: defaultdict[str, list[pd.DataFrame]] = defaultdict(list)
    for table, some in rows:
        if isinstance(some, pa.Table):
            yield table, some
            continue
        waiting[table].append(some)
        if sum(map(len, waiting[table])) >= TOGETHER:
            yield table, _joined(waiting.pop(table))
    for table, frames in waiting.items():
        yield table, _joined(frames)


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def rows_of(chunks: Sequence[Chunk], done: Sequence[Done], context: RunContext) -> Iterator[Rows]:
    """The tables' rows of every finished chunk; of one that failed, the failure."""
    for chunk in chunks:
        stored = load(chunk, context.store)
        if stored is not None:
            yield from chunk.tables(stored.arrays, context.dataset(chunk.subject), context.store, chunks)
    for ended in done:
        if ended.error:
            yield "failures", failed(ended.chunk.members, {"": ended.error})


def _arrow(table: str, rows: pd.DataFrame | pa.Table, kinds: pa.Schema) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows.cast(kinds)
    return pa.Table.from_pandas(tidy(ALL_TABLES[table], rows), kinds, preserve_index=False)
