"""Read tables from files: all at once to train, batch after batch to score."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimetal.columns import Column
from bimetal.errors import BimetalError, DataError
from bimetal.tables.kinds import arrow, kind_of, only, wanted_columns
from bimetal.tables.text import csv_names, open_csv, read_csv

__all__ = [
    "Source",
    "column_names",
    "open_arrow",
    "open_source",
    "opened",
    "read_table",
    "sliced",
    "translated",
]

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Source:
    """An open table.

    Attributes
    ----------
    schema : pyarrow.Schema
        The columns that are read.
    batches : iterator of pyarrow.RecordBatch
        The rows, to be read once.
    """

    schema: Any
    batches: Iterator[Any]


def read_table(path: str | os.PathLike[str], missing: Sequence[str] = ()) -> Any:
    """Read a whole table; types are those of the file, in CSV inferred from all rows.

    Parameters
    ----------
    path : str or path-like
        A file that ends in one of `SUFFIXES`.
    missing : sequence of str
        Words that mean a missing value in CSV, besides the empty one.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    DataError
        When the file cannot be read as a table.
    OSError
        When there is no such file.
    """
    with translated(path):
        match kind_of(path):
            case "csv":
                return read_csv(Path(path), missing)
            case "parquet":
                import pyarrow.parquet as parquet

                return parquet.ParquetFile(path).read()
            case _:
                with open_arrow(path) as reader:
                    return reader.read_all()


def column_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of a file's columns, in order; one that occurs twice is named twice.

    Raises
    ------
    DataError
        When the file cannot be read as a table.
    OSError
        When there is no such file.
    """
    with translated(path):
        match kind_of(path):
            case "csv":
                return csv_names(Path(path))
            case "parquet":
                import pyarrow.parquet as parquet

                with parquet.ParquetFile(path) as file:
                    return list(file.schema_arrow.names)
            case _:
                with open_arrow(path) as reader:
                    return list(reader.schema.names)


@contextmanager
def open_source(
    path: str | os.PathLike[str],
    columns: Sequence[Column],
    keep: Sequence[str] = (),
    missing: Sequence[str] = (),
    batch_rows: int = BATCH_ROWS,
) -> Iterator[Source]:
    """Open a table to be read in batches, with the columns of a Program and a few more.

    In CSV, columns are read as what the Program takes them for (numbers as float64, text as text)
    and the others as text, just as they stand.

    Parameters
    ----------
    path : str or path-like
        A file that ends in one of `SUFFIXES`.
    columns : sequence of Column
        Columns of the Program.
    keep : sequence of str
        Further columns to read.
    missing : sequence of str
        Words that mean a missing value in CSV, besides the empty one.
    batch_rows : int
        Rows of a batch, at most (a CSV file has batches of its own).

    Raises
    ------
    ColumnError
        When a column is missing or of the wrong type.
    DataError
        When the file cannot be read as a table; also while reading the batches.
    OSError
        When there is no such file.
    """
    openers: dict[str, Callable[[], AbstractContextManager[Source]]] = {
        "csv": lambda: _csv_source(Path(path), columns, keep, missing),
        "parquet": lambda: _parquet_source(path, columns, keep, batch_rows),
        "arrow": lambda: _arrow_source(path, columns, keep, batch_rows),
    }
    with opened(path, lambda: openers[kind_of(path)]()) as source:
        yield source


@contextmanager
def opened(path: Any, opener: Callable[[], AbstractContextManager[Source]]) -> Iterator[Source]:
    """Open a source; whatever goes wrong in opening or reading it names the file."""
    with ExitStack() as stack:
        with translated(path):
            source = stack.enter_context(opener())
        yield Source(source.schema, _named(source.batches, path))


def _named(batches: Iterator[Any], path: Any) -> Iterator[Any]:
    """Pass batches on, and name the file when reading the next one goes wrong."""
    with translated(path):
        yield from batches


@contextmanager
def _csv_source(path: Path, columns: Any, keep: Any, missing: Any) -> Iterator[Source]:
    with open_csv(path, columns, keep, missing) as (schema, batches):
        yield Source(schema, batches)


@contextmanager
def _parquet_source(path: Any, columns: Any, keep: Any, batch_rows: int) -> Iterator[Source]:
    import pyarrow.parquet as parquet

    # pre_buffer, pyarrow's default, keeps every row group that was read until the file is closed.
    with parquet.ParquetFile(path, pre_buffer=False) as file:
        wanted = wanted_columns(file.schema_arrow, columns, keep)
        batches = file.iter_batches(batch_rows, columns=wanted)
        yield Source(only(file.schema_arrow, wanted), (batch.select(wanted) for batch in batches))


@contextmanager
def _arrow_source(path: Any, columns: Any, keep: Any, batch_rows: int) -> Iterator[Source]:
    with open_arrow(path) as reader:
        wanted = wanted_columns(reader.schema, columns, keep)
        batches = sliced(_arrow_batches(reader), wanted, batch_rows)
        yield Source(only(reader.schema, wanted), batches)


@contextmanager
def open_arrow(path: Any) -> Iterator[Any]:
    """Map an Arrow file into memory: a reader of batches by number, or of a stream."""
    pa = arrow()
    with pa.memory_map(os.fspath(path)) as file:
        try:
            reader = pa.ipc.open_file(file)
        except pa.ArrowInvalid:
            file.seek(0)
            reader = pa.ipc.open_stream(file)
        yield reader


def _arrow_batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(i) for i in range(reader.num_record_batches))
    return iter(reader)


def sliced(batches: Iterator[Any], wanted: list[str], batch_rows: int) -> Iterator[Any]:
    """Yield the columns wanted of each batch, in slices of at most `batch_rows`."""
    for batch in batches:
        narrow = batch.select(wanted)
        for start in range(0, narrow.num_rows, batch_rows):
            yield narrow.slice(start, batch_rows)


@contextmanager
def translated(path: Any) -> Iterator[None]:
    """Name the file in whatever goes wrong inside."""
    pa = arrow()
    try:
        yield
    except pa.ArrowException as error:
        if isinstance(error, OSError):
            raise
        raise DataError(f"'{path}' cannot be read as a table: {error}") from error
    except BimetalError as error:
        if isinstance(error, DataError) and not str(error).startswith(f"'{path}'"):
            raise type(error)(f"'{path}': {error}") from error
        raise
