"""Score a file into another, batch after batch: larger than memory in, whole or not at all out.

The scores are cut anew into batches of one size before they are written. So the file that appears
depends on the rows alone, not on how the table was stored or on who scored which part of it.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimetal.columns import Column
from bimetal.errors import DataError
from bimetal.runtime import Engine
from bimetal.scale.cluster import Cluster
from bimetal.scale.job import Job
from bimetal.scale.scores import AnswerScores, Scores
from bimetal.tables import column_names, open_sink, open_source

__all__ = ["BATCH_ROWS", "Tally", "score_file"]

BATCH_ROWS = 65_536
"""Rows of a batch, and of a row group of the output, unless told otherwise."""


@dataclass
class Tally:
    """What was written so far.

    Attributes
    ----------
    n_rows, n_refused, n_warned : int
        Rows; of them those that a policy refuses, and those scored in spite of a remark.
    """

    n_rows: int = 0
    n_refused: int = 0
    n_warned: int = 0

    def add(self, batch: Any) -> None:
        """Count a batch of scores."""
        self.n_rows += batch.num_rows
        if {"points", "problem"} <= set(batch.schema.names):
            n_refused = batch.column("points").null_count
            self.n_refused += n_refused
            self.n_warned += batch.num_rows - batch.column("problem").null_count - n_refused


def score_file(
    scores: Scores | Engine,
    data: Path,
    out: Path,
    keep: Sequence[str] = (),
    missing: Sequence[str] = (),
    batch_rows: int = BATCH_ROWS,
    cluster: Cluster | None = None,
    tally: Tally | None = None,
) -> Generator[int]:
    """Score a file into another, which appears when all rows are scored.

    Parameters
    ----------
    scores : Scores or Engine
        What is written for each row.
    data, out : Path
        Files that end in one of `bimetal.tables.SUFFIXES`.
    keep : sequence of str
        Columns to copy along.
    missing : sequence of str
        Words that mean a missing value in CSV, besides the empty one.
    batch_rows : int
        Rows that are read, scored and written at once.
    cluster : Cluster, optional
        Who scores; by default this process. The output is the same.
    tally : Tally, optional
        Counts what is written.

    Yields
    ------
    int
        How many rows are done, after each batch.

    Raises
    ------
    DataError
        When the table does not fit the model; nothing is left behind.
    OSError
        When a file cannot be read or written, or the cluster fails; nothing is left behind.
    """
    _require_place(data, out)
    scores = scores if isinstance(scores, Scores) else AnswerScores(scores)
    tally = tally or Tally()
    columns, others = inputs(scores, data)
    with open_source(data, columns, [*keep, *others], missing, batch_rows) as source:
        schema = scores.schema([source.schema.field(name) for name in keep])
        where = str(data), str(data.resolve())
        job = Job(*where, tuple(keep), batch_rows, schema, columns, others)
        yield 0
        found = cluster.scored(job, source) if cluster else job.scored(scores, source.batches)
        with closing(found), open_sink(out, schema) as write:
            for batch in rebatched(found, schema, batch_rows):
                write(batch)
                tally.add(batch)
                yield tally.n_rows


def inputs(scores: Scores, data: Path) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Return what is read of a file: see `Scores.inputs`, whose errors name the file here."""
    try:
        return scores.inputs(column_names(data))
    except DataError as error:
        if str(error).startswith(f"'{data}'"):
            raise
        raise type(error)(f"'{data}': {error}") from error


def rebatched(batches: Iterable[Any], schema: Any, batch_rows: int) -> Iterator[Any]:
    """Cut batches anew: each of `batch_rows` rows and of one piece, the last of what is left."""
    import pyarrow as pa

    held: list[Any] = []
    for batch in batches:
        held.append(batch)
        while (n_rows := sum(b.num_rows for b in held)) >= batch_rows:
            table = pa.Table.from_batches(held, schema)
            yield from table.slice(0, batch_rows).combine_chunks().to_batches()
            held = table.slice(batch_rows).to_batches() if n_rows > batch_rows else []
    if any(batch.num_rows for batch in held):
        yield from pa.Table.from_batches(held, schema).combine_chunks().to_batches()


def _require_place(data: Path, out: Path) -> None:
    if not out.parent.is_dir():
        raise DataError(f"'{out}': there is no folder '{out.parent}'; make it first")
    if out.exists() and data.exists() and out.samefile(data):
        raise DataError(f"'{out}' is the table itself; give the scores a file of their own")
