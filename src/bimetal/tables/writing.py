"""Write a table batch after batch, whole or not at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bimetal.files import atomic_write
from bimetal.tables.kinds import arrow, kind_of

__all__ = ["open_sink"]


@contextmanager
def open_sink(path: str | os.PathLike[str], schema: Any) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes a record batch to `path`, which appears when the block ends well.

    Parameters
    ----------
    path : str or path-like
        Its name ends in one of `bimetal.tables.SUFFIXES`.
    schema : pyarrow.Schema
        Columns and metadata; CSV has no place for the metadata.

    Raises
    ------
    DataError
        When the name of the file ends otherwise.
    OSError
        When the file cannot be written; nothing is left behind.
    """
    kind = kind_of(path)
    # An Arrow file has one dictionary for a column, but each batch may bring another: write the values.
    plain = _decoded(schema) if kind == "arrow" else schema
    with atomic_write(path) as file, _writer(kind, file, plain) as writer:
        write = writer.write_batch if kind == "parquet" else writer.write
        yield write if plain is schema else lambda batch: write(batch.cast(plain))


def _decoded(schema: Any) -> Any:
    """Return the schema with the values of its dictionaries in their place; itself where it has none."""
    pa = arrow()
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return schema if fields == list(schema) else pa.schema(fields, schema.metadata)


def _writer(kind: str, sink: Any, schema: Any) -> Any:
    pa = arrow()
    if kind == "parquet":
        import pyarrow.parquet as parquet

        return parquet.ParquetWriter(sink, schema)
    if kind == "arrow":
        return pa.ipc.new_file(sink, schema)
    from pyarrow import csv

    return csv.CSVWriter(sink, schema)
