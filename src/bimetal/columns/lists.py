"""A table without a library of frames: names, and a list of values under each.

Rows that come one by one (events of a stream) are gathered as Python values. `Lists` makes a table of
them that is read as any frame is, where neither pandas nor Polars is installed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bimetal.errors import ColumnError, DataError

__all__ = ["Lists"]


@dataclass(frozen=True, eq=False)
class Lists:
    """Columns of Python values: numbers, text, None.

    Parameters
    ----------
    values : mapping of str to sequence
        Name → the values of the column, as many for each.

    Raises
    ------
    ColumnError
        When columns are of different lengths.
    DataError
        When there is no column.

    Examples
    --------
    >>> table = Lists({"age": [31, None], "housing": ["own", "rent"]})
    >>> len(table), table.columns
    (2, ['age', 'housing'])
    """

    values: Mapping[str, Sequence[Any]]

    def __post_init__(self) -> None:
        if not self.values:
            raise DataError("a table with at least one column expected, got one without columns")
        lengths = {name: len(column) for name, column in self.values.items()}
        if len(set(lengths.values())) > 1:
            raise ColumnError(f"columns must be of one length, got {lengths!r:.200}")

    @property
    def columns(self) -> list[str]:
        """The names, in their order."""
        return list(self.values)

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def get_column(self, name: str) -> list[Any]:
        """Return the values of a column."""
        return list(self.values[name])
