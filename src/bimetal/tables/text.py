"""CSV: text that is given types, those of the Program where there is one."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bimetal.columns import Column
from bimetal.errors import ColumnError, DataError
from bimetal.tables.kinds import arrow, wanted_columns, wanted_names

__all__ = ["csv_names", "open_csv", "read_csv"]

BLOCK_BYTES = 1 << 22  # one block of a CSV file: a batch of some ten thousand rows


def csv_names(path: Path) -> list[str]:
    """Return the names in the first line of a CSV file."""
    from pyarrow import csv

    reading = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
    with csv.open_csv(path, reading, _csv_parsing(path)) as reader:
        return list(reader.schema.names)


@contextmanager
def open_csv(
    path: Path, columns: Sequence[Column], keep: Sequence[str], missing: Sequence[str]
) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Yield the schema and the batches of a CSV file; see `open_source`."""
    from pyarrow import csv

    parsing = _csv_parsing(path)
    reading = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
    with csv.open_csv(path, reading, parsing, _csv_types({}, missing)) as guess:
        wanted = wanted_names(guess.schema.names, columns, keep)
        types = {name: arrow().string() for name in guess.schema.names}
        types |= {c.name: _csv_type(c, guess.schema) for c in columns}
    converting = _csv_types(types, missing, wanted)
    with _complaining(guess.schema.names):
        reader = csv.open_csv(path, reading, parsing, converting)
    with reader:
        wanted_columns(reader.schema, columns, keep)
        yield reader.schema, _csv_batches(reader, guess.schema.names)


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


def read_csv(path: Path, missing: Sequence[str]) -> Any:
    """Return a CSV file as a pyarrow table, its types inferred from all rows."""
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
