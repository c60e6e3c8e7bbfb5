"""Columns of a table and the raw rows made from them: where frames end and float32 begins.

A raw row is float32: numbers as they are, categories as their codes (position in `categories`;
−1 for one never seen), missing values as NaN. Frames of any library come in through narwhals and
are matched by name; arrays come in by position. Numbers pass through float64 and are then rounded
to float32 once, so that every kind of frame gives the same row.
"""

from bimetal.columns.column import Column, places
from bimetal.columns.inference import infer_columns
from bimetal.columns.lists import Lists
from bimetal.columns.reading import feature_names
from bimetal.columns.rows import require_finite, require_known_missing, to_rows

__all__ = [
    "Column",
    "Lists",
    "feature_names",
    "infer_columns",
    "places",
    "require_finite",
    "require_known_missing",
    "to_rows",
]
