"""Tables in files: CSV, Parquet and Arrow, whole for training and in batches for scoring.

A batch is a pyarrow RecordBatch. Batches are read, scored and written one after the other, so that a
file may be larger than memory. Output appears whole or not at all.
"""

from bimetal.tables.kinds import SUFFIXES
from bimetal.tables.parts import Part, open_part, parts_of
from bimetal.tables.reading import Source, column_names, open_source, read_table
from bimetal.tables.writing import open_sink

__all__ = [
    "SUFFIXES",
    "Part",
    "Source",
    "column_names",
    "open_part",
    "open_sink",
    "open_source",
    "parts_of",
    "read_table",
]
