"""Column: the name, kind and categories of one column of the raw row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bimetal.errors import ProgramError

__all__ = ["MAX_CATEGORIES", "MAX_NAME", "Column", "is_portable", "listed"]

MAX_NAME = 1_000
MAX_CATEGORIES = 1_000_000


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
            raise ProgramError(
                f"a column name is a string of 1 to {MAX_NAME} characters, got {self.name!r:.80}"
            )
        if not is_portable(self.name):
            raise ProgramError(
                f"column {self.name!r}: the name holds half a character (a surrogate)"
            )
        if self.kind not in ("number", "category"):
            raise ProgramError(
                f"column '{self.name}': kind must be number or category, got {self.kind!r:.80}"
            )
        if self.kind == "number" and self.categories:
            raise ProgramError(f"column '{self.name}' is a number and has no categories")
        if not all(type(c) in (str, int) and is_portable(c) for c in self.categories):
            raise ProgramError(
                f"column '{self.name}': categories must be strings or whole numbers of 64 bits"
            )
        if not len(set(self.categories)) == len(self.categories) <= MAX_CATEGORIES:
            raise ProgramError(f"column '{self.name}': categories must differ")

    def spec(self) -> dict[str, Any]:
        """Return the column as JSON values."""
        return {"name": self.name, "kind": self.kind, "categories": list(self.categories)}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Column":
        """Build a column from JSON values: the inverse of `spec`."""
        if not isinstance(spec, Mapping) or set(spec) != {"name", "kind", "categories"}:
            raise ProgramError(f"a column needs name, kind and categories, got {spec!r:.80}")
        if not isinstance(spec["categories"], list):
            raise ProgramError(f"column {spec['name']!r:.80}: categories must be a list")
        return cls(spec["name"], spec["kind"], tuple(spec["categories"]))


def listed(names: Sequence[Any]) -> str:
    """Show names in a message: the first eight, in brackets."""
    shown = [str(name) for name in names[:8]] + (["…"] if len(names) > 8 else [])
    return f"[{', '.join(shown)}]"
