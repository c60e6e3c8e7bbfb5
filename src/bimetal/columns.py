"""Columns of a table and the raw rows made from them: where frames end and float32 begins.

A raw row is float32: numbers as they are, categories as their codes (position in `categories`;
−1 for one never seen), missing values as NaN. Frames of any library come in through narwhals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bimetal.errors import ProgramError

__all__ = ["Column"]

MAX_NAME = 1_000
MAX_CATEGORIES = 1_000_000


@dataclass(frozen=True)
class Column:
    """Name, kind and categories of one column of the raw row.

    Parameters
    ----------
    name : str
        As in the training table.
    kind : {"number", "category"}
        A number is compared with cut-points, a category with its code.
    categories : tuple of str or int
        The known categories; the code of a category is its position here. Numbers have none.

    Examples
    --------
    >>> Column("housing", "category", ("own", "rent")).spec()
    {'name': 'housing', 'kind': 'category', 'categories': ['own', 'rent']}
    """

    name: str
    kind: Literal["number", "category"] = "number"
    categories: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= MAX_NAME:
            raise ProgramError(f"a column name must be a string of 1 to {MAX_NAME} characters")
        if self.kind not in ("number", "category"):
            raise ProgramError(f"column '{self.name}': kind must be number or category, got {self.kind!r}")
        if self.kind == "number" and self.categories:
            raise ProgramError(f"column '{self.name}' is a number and has no categories")
        if any(type(c) not in (str, int) for c in self.categories):
            raise ProgramError(f"column '{self.name}': categories must be strings or whole numbers")
        if not len(set(self.categories)) == len(self.categories) <= MAX_CATEGORIES:
            raise ProgramError(f"column '{self.name}': categories must differ")

    def spec(self) -> dict[str, Any]:
        """Return the column as JSON values."""
        return {"name": self.name, "kind": self.kind, "categories": list(self.categories)}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Column":
        """Build a column from JSON values: the inverse of `spec`."""
        if not isinstance(spec, Mapping) or set(spec) != {"name", "kind", "categories"}:
            raise ProgramError(f"a column needs name, kind and categories, got {spec!r}")
        if not isinstance(spec["categories"], list):
            raise ProgramError(f"column {spec['name']!r}: categories must be a list")
        return cls(spec["name"], spec["kind"], tuple(spec["categories"]))
