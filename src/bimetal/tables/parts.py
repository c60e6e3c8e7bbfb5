"""Parts of a file that can be read by themselves: row groups of Parquet, record batches of Arrow.

Several workers that each read some parts read the file once between them. CSV and Arrow streams have
no such parts: they are read from beginning to end.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bimetal.columns import Column
from bimetal.tables.kinds import kind_of, only
from bimetal.tables.reading import Source, open_arrow, opened, sliced, translated

__all__ = ["Part", "open_part", "parts_of"]


@dataclass(frozen=True)
class Part:
    """Some neighbouring row groups of a Parquet file, or record batches of an Arrow file.

    Attributes
    ----------
    numbers : tuple of int
        Which of them.
    first_row, n_rows : int
        Rows of the file before the part, and in it.
    """

    numbers: tuple[int, ...]
    first_row: int
    n_rows: int


def parts_of(path: str | os.PathLike[str], part_rows: int) -> tuple[Part, ...] | None:
    """Cut a file into parts; None when it can only be read from beginning to end.

    Parameters
    ----------
    path : str or path-like
        A file that ends in one of `SUFFIXES`.
    part_rows : int
        Neighbours are joined up to so many rows. A single one may have more: it is not cut.

    Raises
    ------
    DataError
        When the file cannot be read as a table.
    OSError
        When there is no such file.
    """
    with translated(path):
        sizes = _sizes(path)
        return None if sizes is None else _joined(sizes, part_rows)


def _sizes(path: Any) -> list[int] | None:
    """Return the rows of each piece that can be read by itself."""
    match kind_of(path):
        case "parquet":
            import pyarrow.parquet as parquet

            with parquet.ParquetFile(path) as file:
                about = file.metadata
                return [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        case "arrow":
            with open_arrow(path) as reader:
                n = getattr(reader, "num_record_batches", None)
                return None if n is None else [reader.get_batch(i).num_rows for i in range(n)]
        case _:
            return None


def _joined(sizes: Iterable[int], part_rows: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    first_row = 0
    for number, n_rows in enumerate(sizes):
        last = parts[-1] if parts else None
        if last and last.n_rows + n_rows <= part_rows:
            parts[-1] = Part((*last.numbers, number), last.first_row, last.n_rows + n_rows)
        else:
            parts.append(Part((number,), first_row, n_rows))
        first_row += n_rows
    return tuple(parts)


@contextmanager
def open_part(
    path: str | os.PathLike[str],
    part: Part,
    columns: Sequence[Column],
    keep: Sequence[str] = (),
    batch_rows: int = 65_536,
) -> Iterator[Source]:
    """Open a part to be read in batches, on this thread alone: the columns to keep, then the Program's.

    Raises
    ------
    DataError
        When the file cannot be read as a table; also while reading the batches.
    OSError
        When there is no such file.
    """
    wanted = list(dict.fromkeys([*keep, *(column.name for column in columns)]))
    opener = _row_groups if kind_of(path) == "parquet" else _record_batches
    with opened(path, lambda: opener(path, part, wanted, batch_rows)) as source:
        yield source


@contextmanager
def _row_groups(path: Any, part: Part, wanted: list[str], batch_rows: int) -> Iterator[Source]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        batches = file.iter_batches(batch_rows, part.numbers, wanted, use_threads=False)
        yield Source(only(file.schema_arrow, wanted), (batch.select(wanted) for batch in batches))


@contextmanager
def _record_batches(path: Any, part: Part, wanted: list[str], batch_rows: int) -> Iterator[Source]:
    with open_arrow(path) as reader:
        batches = (reader.get_batch(number) for number in part.numbers)
        yield Source(only(reader.schema, wanted), sliced(batches, wanted, batch_rows))
