"""Column: the name, kind and categories of one column of the raw row."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

from bimetal.errors import ProgramError

__all__ = [
    "MAX_CATEGORIES",
    "MAX_ELEMENTS",
    "MAX_NAME",
    "Column",
    "is_portable",
    "listed",
    "n_values",
    "places",
]

MAX_NAME = 1_000
MAX_CATEGORIES = 1_000_000
MAX_ELEMENTS = 2**24
"""The most numbers of one array column, of one raw row, and of one map in a Program."""


def is_portable(value: str | int | float) -> bool:
    """Tell whether a value survives JSON and UTF-8 everywhere.

    Lone surrogates, whole numbers beyond 64 bits and non-finite numbers do not.
    """
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63


@dataclass(frozen=True)
class Column:
    """Name, kind and categories of one column of the raw row.

    Parameters
    ----------
    name : str
        As in the training table.
    kind : {"number", "category", "array"}
        A number is compared with cut-points, a category with its code; an array is many numbers
        under one name, such as the pixels of an image.
    categories : tuple of str or int
        The known categories; the code of a category is its position here. Numbers have none.
    size : int, default 1
        How many numbers of the raw row an array takes, 1 to `MAX_ELEMENTS`.

    Examples
    --------
    >>> Column("housing", "category", ("own", "rent")).spec()
    {'name': 'housing', 'kind': 'category', 'categories': ['own', 'rent']}
    >>> Column("image", "array", size=28 * 28).spec()
    {'name': 'image', 'kind': 'array', 'categories': [], 'size': 784}
    """

    name: str
    kind: Literal["number", "category", "array"] = "number"
    categories: tuple[str | int, ...] = ()
    size: int = field(default=1, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= MAX_NAME:
            raise ProgramError(
                f"a column name is a string of 1 to {MAX_NAME} characters, got {self.name!r:.80}"
            )
        if not is_portable(self.name):
            raise ProgramError(
                f"column {self.name!r}: the name holds half a character (a surrogate)"
            )
        if self.kind not in ("number", "category", "array"):
            raise ProgramError(
                f"column '{self.name}': kind must be number, category or array, "
                f"got {self.kind!r:.80}"
            )
        if self.kind != "category" and self.categories:
            article = "an" if self.kind == "array" else "a"
            raise ProgramError(
                f"column '{self.name}' is {article} {self.kind} and has no categories"
            )
        self._check_size()
        if not all(type(c) in (str, int) and is_portable(c) for c in self.categories):
            raise ProgramError(
                f"column '{self.name}': categories must be strings or whole numbers of 64 bits"
            )
        if not len(set(self.categories)) == len(self.categories) <= MAX_CATEGORIES:
            raise ProgramError(f"column '{self.name}': categories must differ")

    def _check_size(self) -> None:
        largest = MAX_ELEMENTS if self.kind == "array" else 1
        if type(self.size) is not int or not 1 <= self.size <= largest:
            wanted = f"a whole number (Python's int) from 1 to {largest}" if largest > 1 else "1"
            raise ProgramError(
                f"column '{self.name}' ({self.kind}): size must be {wanted}, got {self.size!r:.80}"
            )

    def spec(self) -> dict[str, Any]:
        """Return the column as JSON values; only an array states its size."""
        plain = {"name": self.name, "kind": self.kind, "categories": list(self.categories)}
        return plain | ({"size": self.size} if self.kind == "array" else {})

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Column":
        """Build a column from JSON values: the inverse of `spec`."""
        keys = {"name", "kind", "categories"}
        is_array = isinstance(spec, Mapping) and spec.get("kind") == "array"
        if not isinstance(spec, Mapping) or set(spec) != (keys | {"size"} if is_array else keys):
            raise ProgramError(
                "a column needs name, kind and categories, and size if it is an array, "
                f"got {spec!r:.80}"
            )
        if not isinstance(spec["categories"], list):
            raise ProgramError(f"column {spec['name']!r:.80}: categories must be a list")
        return cls(spec["name"], spec["kind"], tuple(spec["categories"]), spec.get("size", 1))


def n_values(columns: Sequence[Column]) -> int:
    """Return how many numbers a raw row of these columns has."""
    return sum(column.size for column in columns)


def places(columns: Sequence[Column], positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return, for each number of the raw row, its column and its place within that column.

    Examples
    --------
    >>> places([Column("age"), Column("image", "array", size=784)], [0, 1, 784])
    [(0, 0), (1, 0), (1, 783)]
    """
    starts = [0, *accumulate(column.size for column in columns)]
    found = [bisect_right(starts, position) - 1 for position in positions]
    return [(j, position - starts[j]) for j, position in zip(found, positions, strict=True)]


def listed(names: Sequence[Any]) -> str:
    """Show names in a message: the first eight, in brackets."""
    shown = [str(name) for name in names[:8]] + (["…"] if len(names) > 8 else [])
    return f"[{', '.join(shown)}]"
