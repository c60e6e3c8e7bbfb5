"""Columns that have come but have no bits yet: their values are gathered until there are enough."""

from collections.abc import Mapping, Sequence

from bimetal.continual.stream.incoming import Plain
from bimetal.errors import ColumnError

__all__ = ["MAX_PENDING", "Pending"]

MAX_PENDING = 1_000
"""Columns that wait at one time; names beyond (a stream that hashes its names, say) are passed over."""


class Pending:
    """Values by name, missing ones left out.

    Parameters
    ----------
    enough : int
        Values after which a column is ready.
    values : mapping of str to sequence, optional
        What has been gathered before.

    Examples
    --------
    >>> pending = Pending(enough=2)
    >>> [pending.add("income", value) for value in (3.0, None, 4.0)]
    [False, False, True]
    >>> pending.take("income")
    [3.0, 4.0]
    """

    def __init__(self, enough: int, values: Mapping[str, Sequence[Plain]] | None = None) -> None:
        self.enough = enough
        self.values = {name: list(column) for name, column in (values or {}).items()}

    def room(self, name: str) -> int:
        """Return how many values a column still needs; 0 says that it does not wait at all."""
        if name not in self.values and len(self.values) >= MAX_PENDING:
            return 0
        return self.enough - len(self.values.get(name, ()))

    def check(self, name: str, value: Plain | None) -> None:
        """Raise `ColumnError` if a column would mix text and numbers."""
        known = self.values.get(name)
        if value is None or not known or isinstance(known[0], str) == isinstance(value, str):
            return
        raise ColumnError(
            f"column '{name}' mixes text and numbers, such as {known[0]!r} and {value!r}; make it one of "
            "the two (mark what is missing as missing)"
        )

    def add(self, name: str, value: Plain | None) -> bool:
        """Keep a value unless it is missing; return whether the column is ready now."""
        if value is None or not self.room(name):
            return False
        self.check(name, value)
        self.values.setdefault(name, []).append(value)
        return len(self.values[name]) == self.enough

    def take(self, name: str) -> list[Plain]:
        """Return the values of a column, which waits no longer."""
        return self.values.pop(name)

    def drop(self, name: str) -> None:
        """Let a column wait no longer, if it did."""
        self.values.pop(name, None)
