"""SQL: one SELECT that scores a table where it lies, in PostgreSQL, DuckDB or SQLite.

The data need not leave the warehouse, and whoever reviews the model can read the statement: the first
steps name the user's columns and cut-points. Points and answers equal the reference, bit for bit.
"""

from bimetal.export.sql.places import PLACES
from bimetal.export.sql.target import SqlOptions, check, write
from bimetal.export.target import Target
from bimetal.ops import Dense, Encode, Link, Lut, Readout, RowThreshold, Rules

__all__ = ["TARGET", "SqlOptions"]

TARGET = Target(
    "sql",
    "one SELECT that scores a table in PostgreSQL, DuckDB or SQLite",
    ".sql",
    (Encode, Dense, Rules, Lut, Readout, RowThreshold, Link),
    SqlOptions,
    write,
    PLACES,
    language="sql",
    check=check,
)
