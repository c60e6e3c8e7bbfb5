"""The kinds of file a table may come in, and what all of them have to hold."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bimetal.columns import Column, to_rows
from bimetal.columns.column import listed
from bimetal.errors import ColumnError, DataError, MissingExtraError

__all__ = ["SUFFIXES", "arrow", "kind_of", "only", "wanted_columns", "wanted_names"]

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


def wanted_columns(schema: Any, columns: Sequence[Column], keep: Sequence[str]) -> list[str]:
    """Return the names to read, once names and types fit (see `open_source` for what is raised)."""
    wanted = wanted_names(schema.names, columns, keep)
    to_rows(only(schema, wanted).empty_table(), columns)
    return wanted


def wanted_names(names: Sequence[str], columns: Sequence[Column], keep: Sequence[str]) -> list[str]:
    """Return the names to read: those to keep, then those of the Program."""
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


def only(schema: Any, wanted: Sequence[str]) -> Any:
    """Return the schema of some columns, in the order wanted."""
    return arrow().schema([schema.field(name) for name in wanted])
