"""Read tables from files: all at once to train, batch after batch to score."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bimetal.columns import Column, to_rows
from bimetal.columns.column import listed
from bimetal.errors import BimetalError, ColumnError, DataError, MissingExtraError

__all__ = ["SUFFIXES", "Source", "arrow", "kind_of", "open_source", "read_table"]

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
"""The kinds of file, by the end of their names."""

BATCH_ROWS = 65_536
BLOCK_BYTES = 1 << 24  # one block of a CSV file: a batch of some hundred thousand short rows


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


def arrow() -> Any:
    """Return pyarrow.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("pyarrow", "cli", "reading and writing tables") from error
    return pyarrow


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return "csv", "parquet" or "arrow".

    Raises
    ------
    DataError
        When the name ends otherwise.

    Examples
    --------
    >>> kind_of("loans.feather")
    'arrow'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"'{path}': the kind of a table is told by the end of its name, one of "
            f"{', '.join(SUFFIXES)}; got {suffix or 'no ending'!r}"
        )
    return SUFFIXES[suffix]


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
    with _translated(path):
        match kind_of(path):
            case "csv":
                return _read_csv(Path(path), missing)
            case "parquet":
                import pyarrow.parquet as parquet

                return parquet.ParquetFile(path).read()
            case _:
                with _open_arrow(path) as reader:
                    return reader.read_all()


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
    with ExitStack() as stack:
        with _translated(path):
            source = stack.enter_context(openers[kind_of(path)]())
        yield Source(source.schema, _named(source.batches, path))


def _named(batches: Iterator[Any], path: Any) -> Iterator[Any]:
    """Pass batches on, and name the file when reading the next one goes wrong."""
    with _translated(path):
        yield from batches


@contextmanager
def _parquet_source(path: Any, columns: Any, keep: Any, batch_rows: int) -> Iterator[Source]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        wanted = _wanted(file.schema_arrow, columns, keep)
        batches = file.iter_batches(batch_rows, columns=wanted)
        yield Source(_only(file.schema_arrow, wanted), (batch.select(wanted) for batch in batches))


@contextmanager
def _arrow_source(path: Any, columns: Any, keep: Any, batch_rows: int) -> Iterator[Source]:
    with _open_arrow(path) as reader:
        wanted = _wanted(reader.schema, columns, keep)
        batches = _sliced(_arrow_batches(reader), wanted, batch_rows)
        yield Source(_only(reader.schema, wanted), batches)


@contextmanager
def _csv_source(path: Path, columns: Any, keep: Any, missing: Sequence[str]) -> Iterator[Source]:
    from pyarrow import csv

    parsing = _csv_parsing(path)
    reading = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
    with csv.open_csv(path, reading, parsing, _csv_types({}, missing)) as guess:
        wanted = _wanted_names(guess.schema.names, columns, keep)
        types = {name: arrow().string() for name in guess.schema.names}
        types |= {c.name: _csv_type(c, guess.schema) for c in columns}
    converting = _csv_types(types, missing, wanted)
    with _complaining(guess.schema.names):
        reader = csv.open_csv(path, reading, parsing, converting)
    with reader:
        _wanted(reader.schema, columns, keep)
        yield Source(reader.schema, _csv_batches(reader, guess.schema.names))


def _csv_batches(reader: Any, names: Sequence[str]) -> Iterator[Any]:
    with _complaining(names):
        yield from reader


def _csv_type(column: Column, guessed: Any) -> Any:
    """Return the arrow type of a Program's column in CSV."""
    pa = arrow()
    kinds = {type(category) for category in column.categories}
    if kinds == {str, int}:
        raise ColumnError(
            f"column '{column.name}' has categories that are text and others that are numbers; "
            "CSV cannot tell them apart: score a frame with the Engine in Python"
        )
    if column.kind == "category" and kinds != {int}:
        return pa.string()
    is_bool = guessed.field(column.name).type == pa.bool_()
    return pa.bool_() if is_bool else pa.float64()


def _csv_types(types: dict[str, Any], missing: Sequence[str], wanted: Any = None) -> Any:
    from pyarrow import csv

    return csv.ConvertOptions(
        column_types=types,
        null_values=["", *missing],
        strings_can_be_null=True,
        include_columns=wanted,
    )


def _csv_parsing(path: Path) -> Any:
    """Return how a CSV file is cut: by what its first line has most of, of comma, semicolon, tab."""
    from pyarrow import csv

    with path.open("rb") as file:
        header = file.readline(1 << 20)
    if not header.strip():
        raise DataError("a first line with the names of the columns expected, got none")
    delimiter = max(b",;\t", key=header.count)
    return csv.ParseOptions(delimiter=chr(delimiter), newlines_in_values=True)


def _read_csv(path: Path, missing: Sequence[str]) -> Any:
    from pyarrow import csv

    # One block: types are inferred from the first, and so from every row.
    block = min(max(path.stat().st_size + 1, BLOCK_BYTES), 2**31 - 1)
    reading = csv.ReadOptions(block_size=block)
    return csv.read_csv(path, reading, _csv_parsing(path), _csv_types({}, missing))


@contextmanager
def _complaining(names: Sequence[str]) -> Iterator[None]:
    """Put the name of a column where pyarrow has its number."""
    try:
        yield
    except arrow().ArrowInvalid as error:
        found = re.search(r"CSV column #(\d+): .*?invalid value '(.*)'", str(error), re.DOTALL)
        if not found or int(found[1]) >= len(names):
            raise
        raise ColumnError(
            f"column '{names[int(found[1])]}' must hold numbers, got '{found[2]}'; text is never "
            "guessed to be a number: correct it, or name it with --missing if it means that a value "
            "is missing"
        ) from error


@contextmanager
def _open_arrow(path: Any) -> Iterator[Any]:
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


def _sliced(batches: Iterator[Any], wanted: list[str], batch_rows: int) -> Iterator[Any]:
    for batch in batches:
        narrow = batch.select(wanted)
        for start in range(0, narrow.num_rows, batch_rows):
            yield narrow.slice(start, batch_rows)


def _wanted(schema: Any, columns: Sequence[Column], keep: Sequence[str]) -> list[str]:
    """Return the names to read, once names and types fit."""
    wanted = _wanted_names(schema.names, columns, keep)
    to_rows(_only(schema, wanted).empty_table(), columns)
    return wanted


def _wanted_names(
    names: Sequence[str], columns: Sequence[Column], keep: Sequence[str]
) -> list[str]:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ColumnError(f"each column must have a name of its own, got {listed(doubled)} twice")
    absent = [name for name in keep if name not in names]
    if absent:
        raise ColumnError(f"columns to keep: {listed(absent)} not among {listed(names)}")
    needed = [column.name for column in columns]
    if set(needed) - set(names):
        to_rows(arrow().table({name: [] for name in names}), columns)
    return list(dict.fromkeys([*keep, *needed]))


def _only(schema: Any, wanted: Sequence[str]) -> Any:
    return arrow().schema([schema.field(name) for name in wanted])


@contextmanager
def _translated(path: Any) -> Iterator[None]:
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
